/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the TLS files share.
 *
 *   tls_client  configuration, session cache, workers
 *   tls_server  configuration, ticket keys
 *   tls_conn    one mbedtls context with its input and output. A heap object with one owner at a
 *               time: the loop (in a tls_stream), or a worker while a client's handshake step runs.
 *   tls_stream  the struct stream around a tls_conn and the stream below; loop only.
 */
#ifndef LL_NET_TLS_IMPL_H
#define LL_NET_TLS_IMPL_H

#include <mbedtls/ssl.h>
#include <stdatomic.h>

#include "longline/blob.h"
#include "longline/mailbox.h"
#include "longline/stream.h"
#include "longline/tls.h"
#include "loop_impl.h"

#define TLS_HOST_MAX 253
#define TLS_KEY_MAX  (TLS_HOST_MAX + 8) /* "host:port" */
#define TLS_HS_MAX   (256u << 10)       /* bytes of one handshake waiting in either direction */

struct tls_stream;
struct tls_identity; /* a server's certificate, key and settings */

/* ---- connections: tls_conn.c ---- */

struct tls_conn {
    mbedtls_ssl_context ssl;
    struct str in;   /* borrowed input; the receive function takes from its front */
    bool in_eof;     /* no more will come */
    bool starved;    /* the receive function found nothing since this was last cleared */
    struct buf *out; /* the send function appends here */
    bool set_up;     /* client: the first step has prepared the context */
    bool handshaken;
    bool cert_due;  /* client: the handshake has come to the server's certificates */
    bool cert_seen; /* and they were looked at, so the session was not resumed */
    bool offered;   /* client: a session to resume was given to mbedtls */
    struct err_detail err;

    struct tls_identity *identity; /* servers only; loop only */

    /* Clients only. */
    mbedtls_x509_crt *ca;      /* what to trust; borrowed */
    struct list node;          /* in the queue of the workers, then in the mailbox */
    struct tls_stream *stream; /* loop only; NULL: nobody waits for the result */
    atomic_bool abandoned;     /* set by the loop to spare a worker the work */
    int64_t posted_ns;         /* when the loop gave it to the workers, and ... */
    _Atomic int64_t taken_ns;  /* ... when one took it; 0: it is still in their queue */
    int64_t queued_ns;         /* in that queue, all finished steps together */
    bool discard;              /* posted to be freed, nothing else */
    struct buf hs_in;          /* bytes from the peer, for the next step */
    struct buf hs_out;         /* bytes for the peer, from the last step */
    struct blob *offer;        /* session to resume */
    struct blob *session;      /* session to keep */
    int64_t session_ms;        /* for so long */
    union addr ip;             /* of a host that is an IP literal, else AF_UNSPEC */
    char host[TLS_HOST_MAX + 1];
    char key[TLS_KEY_MAX];
};

struct tls_conn *tls_conn_new(void);
void tls_conn_free(struct tls_conn *c); /* NULL is fine */
/* Runs the handshake as far as the input goes. Sets handshaken or err, or neither (more input). */
void tls_conn_handshake(struct tls_conn *c);
/* One step of a client's handshake, on a worker: hs_in to hs_out. */
void tls_conn_client_step(struct tls_conn *c, const mbedtls_ssl_config *conf);
int tls_bio_send(void *ctx, const unsigned char *p, size_t n);
int tls_bio_recv(void *ctx, unsigned char *p, size_t n);
/* tls_verify.c: sets err when the chain that the handshake has just read is not to be trusted. */
void tls_conn_verify(struct tls_conn *c);

/* ---- handshake threads: tls_worker.c ---- */

struct tls_workers;

int tls_workers_open(struct tls_workers **out, unsigned n, struct mailbox *results,
                     const mbedtls_ssl_config *conf) LL_MUST_USE;
void tls_workers_post(struct tls_workers *w, struct tls_conn *c); /* gives c away */
size_t tls_workers_queued(struct tls_workers *w);
void tls_workers_close(struct tls_workers *w); /* joins, then frees what is queued */

/* ---- sessions of a client: tls_session.c ---- */

struct tls_sessions;

struct tls_sessions *tls_sessions_new(size_t max);
void tls_sessions_free(struct tls_sessions *s);
/* A reference to the session kept under key, or NULL. */
struct blob *tls_sessions_get(struct tls_sessions *s, struct str key, int64_t now_ms);
/* Takes over the reference. */
void tls_sessions_put(struct tls_sessions *s, struct str key, struct blob *session,
                      int64_t expires_ms);
void tls_sessions_drop(struct tls_sessions *s, struct str key);
size_t tls_sessions_count(const struct tls_sessions *s);
/* The session of an established connection in its serialised form, NULL when it could not be
 * resumed; *keep_ms: how long it may be kept. */
struct blob *tls_session_save(const mbedtls_ssl_context *ssl, int64_t *keep_ms);
void tls_session_unref(struct blob *session); /* wipes the last reference */

/* ---- tls_err.c: the one translation of mbedtls codes and certificate flags ---- */

int err_from_tls(int rc, struct err_detail *err);
void err_from_verify(uint32_t flags, struct err_detail *err);

/* ---- streams: tls_stream.c ---- */

/* Called once when the handshake is over, err->code 0 on success; never before the call that
 * started it returned, and not at all when the stream is closed first. After a failure the owner
 * must still close. */
typedef void (*tls_done_fn)(void *ctx, const struct err_detail *err);

struct tls_target {
    struct str host; /* verified, and sent as SNI unless it is an IP literal */
    uint16_t port;   /* part of the session key */
};

/* Both take over the connected stream `lower`. */
struct stream *tls_client_wrap(struct tls_client *c, struct stream *lower,
                               const struct tls_target *to, tls_done_fn done, void *ctx);
struct stream *tls_server_wrap(struct tls_server *s, struct loop *l, struct stream *lower,
                               tls_done_fn done, void *ctx);
/* How long the handshake of such a client has waited for a worker so far: our doing. */
int64_t tls_stream_queued_ms(const struct stream *s);
/* A worker has given the connection of t back. */
void tls_stream_step_done(struct tls_stream *t);

/* ---- contexts: tls_client.c, tls_server.c ---- */

struct loop *tls_client_loop(const struct tls_client *c);
/* With err set when `to` cannot be a host. */
struct tls_conn *tls_client_conn(struct tls_client *c, const struct tls_target *to);
void tls_client_step(struct tls_client *c, struct tls_conn *conn);
/* A step of a handshake on the loop ends, which began at start_ns of the thread's processor
 * time. */
void tls_client_note_loop(struct tls_client *c, int64_t start_ns);
void tls_client_discard(struct tls_client *c, struct tls_conn *conn);
void tls_client_settle(struct tls_client *c, struct tls_conn *conn); /* handshake over: books it */
void tls_client_ticket(struct tls_client *c, struct tls_conn *conn);
/* With err set when there is no memory for it. `out` takes what it sends. */
struct tls_conn *tls_server_conn(struct tls_server *s, struct buf *out);

void tls_identity_unref(struct tls_identity *id); /* NULL is fine */

/* For tests: speak only this version ("TLSv1.2", "TLSv1.3"). Before the first stream. */
void tls_client_only(struct tls_client *c, const char *version);
void tls_server_only(struct tls_server *s, const char *version);

#endif
