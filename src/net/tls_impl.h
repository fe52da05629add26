/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the TLS files share.
 *
 *   tls_workers  threads that run handshakes, step by step
 *   tls_client   configuration, session cache, workers of its own
 *   tls_server   identity, workers of its own, and the gate in front of them
 *   tls_identity a server's certificate, key, settings and ticket keys; shared by connections
 *   tls_conn     one mbedtls context with its input and output. A heap object with one owner at a
 *                time: the loop (in a tls_stream), or the workers while a handshake step is due.
 *   tls_stream   the struct stream around a tls_conn and the stream below; loop only.
 */
#ifndef LL_NET_TLS_IMPL_H
#define LL_NET_TLS_IMPL_H

#include <mbedtls/ssl.h>
#include <stdatomic.h>

#include "longline/blob.h"
#include "longline/stream.h"
#include "longline/tls.h"
#include "loop_impl.h"
#include "tls_gate.h"

#define TLS_HOST_MAX 253
#define TLS_KEY_MAX  (TLS_HOST_MAX + 8) /* "host:port" */
#define TLS_HS_MAX   (256u << 10)       /* bytes of one handshake in either direction, at most */

struct tls_stream;
struct tls_workers;

/* ---- connections: tls_conn.c ---- */

struct tls_conn {
    mbedtls_ssl_context ssl;
    struct str in;   /* borrowed input; the receive function takes from its front */
    bool in_eof;     /* no more will come */
    bool starved;    /* the receive function found nothing since this was last cleared */
    bool paused;     /* it found no budget */
    unsigned reads;  /* its budget: two calls a record */
    struct buf *out; /* the send function appends here */
    bool set_up;     /* the first step has prepared the context */
    bool handshaken;
    bool cert_due;  /* client: the handshake has come to the server's certificates */
    bool cert_seen; /* and they were looked at, so the session was not resumed */
    bool offered;   /* client: a session to resume was given to mbedtls */
    struct err_detail err;

    const mbedtls_ssl_config *conf; /* for the first step; outlives the connection */
    struct list node;               /* in the queue of the workers, then in the mailbox */
    bool queued;                    /* in that queue; under its lock */
    bool discard;                   /* posted to be freed, nothing else */
    struct str lane;                /* whose turn its steps are: a host, or a client's address */
    struct tls_stream *stream;      /* loop only; NULL: nobody waits for the result */
    int64_t posted_ns;              /* when the loop gave it to the workers, and ... */
    _Atomic int64_t taken_ns;       /* ... when one took it; 0: it is still in their queue */
    int64_t queued_ns;              /* in that queue, all finished steps together */
    struct buf hs_in;               /* whole records from the peer, for the next step */
    struct buf hs_out;              /* bytes for the peer, from the last step */

    /* Servers only. */
    struct tls_identity *identity; /* a reference: conf is its */
    unsigned char peer[ADDR_PEER_KEY];

    /* Clients only. */
    mbedtls_x509_crt *ca; /* what to trust; borrowed */
    struct blob *offer;   /* session to resume */
    struct blob *session; /* session to keep */
    int64_t session_ms;   /* for so long */
    union addr ip;        /* of a host that is an IP literal, else AF_UNSPEC */
    char host[TLS_HOST_MAX + 1];
    char key[TLS_KEY_MAX];
};

struct tls_conn *tls_conn_new(void);
void tls_conn_free(struct tls_conn *c); /* NULL is fine */
/* Runs the handshake as far as hs_in goes, on a worker; what it sends is in hs_out. Sets handshaken
 * or err, or neither (more input). */
void tls_conn_step(struct tls_conn *c);
/* tls_verify.c: sets err when the chain that the handshake has just read is not to be trusted. */
void tls_conn_verify(struct tls_conn *c);

/* ---- handshake threads: tls_worker.c ---- */

#define TLS_MAX_WORKERS 4

struct tls_workers_options {
    unsigned n_threads;           /* 1..TLS_MAX_WORKERS */
    bool gives_way;               /* to whoever else wants the processor: see tls_worker.c */
    int64_t (*n_preempted)(void); /* of the calling thread; NULL: as the kernel counts */
};

int tls_workers_open(struct tls_workers **out, struct loop *l,
                     const struct tls_workers_options *o) LL_MUST_USE;
/* Gives c away for a step of its handshake; it comes back through tls_stream_step_done, or is freed
 * when its stream is NULL by then. */
void tls_workers_step(struct tls_workers *w, struct tls_conn *c);
/* Takes the step back. False: a worker has begun it, and c is still given away. */
bool tls_workers_cancel(struct tls_workers *w, struct tls_conn *c);
/* Frees c on a worker. */
void tls_workers_discard(struct tls_workers *w, struct tls_conn *c);
/* What began on the loop at start_ns of the thread's processor time, for a handshake, ends. */
void tls_workers_note_loop(struct tls_workers *w, int64_t start_ns);

/* What a thread that gives way has saved up of its share of a processor. */
struct tls_pace {
    int64_t saved_ns;
    int64_t at_ns; /* then */
};
/* The rest that is due at now_ns after a step that took busy_ns of processor time, and from which
 * the kernel took it away n_times; 0 times: nobody else wants it, and the step costs nothing. */
int64_t tls_pace_rest_ns(struct tls_pace *p, int64_t now_ns, int64_t busy_ns, int64_t n_times);

struct tls_workers_stats {
    uint64_t steps;      /* that were done */
    size_t queued;       /* that wait */
    int64_t max_loop_us; /* see tls_workers_note_loop */
};
void tls_workers_stats(struct tls_workers *w, struct tls_workers_stats *out);
/* Joins, then frees what is queued. No stream may wait for a result. */
void tls_workers_close(struct tls_workers *w);

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
struct stream *tls_server_wrap(struct tls_server *s, struct stream *lower, tls_done_fn done,
                               void *ctx);
/* How long the handshake of such a client has waited for a worker so far: our doing. */
int64_t tls_stream_queued_ms(const struct stream *s);
/* A worker has given the connection of t back. */
void tls_stream_step_done(struct tls_stream *t);
/* Ends the handshake that has this place, to make room. */
void tls_stream_evict(struct tls_place *place);

/* ---- contexts: tls_client.c, tls_server.c ---- */

struct loop *tls_client_loop(const struct tls_client *c);
/* With err set when `to` cannot be a host. */
struct tls_conn *tls_client_conn(struct tls_client *c, const struct tls_target *to);
struct tls_workers *tls_client_workers(struct tls_client *c);
void tls_client_settle(struct tls_client *c, struct tls_conn *conn); /* handshake over: books it */
void tls_client_ticket(struct tls_client *c, struct tls_conn *conn);

struct loop *tls_server_loop(const struct tls_server *s);
struct tls_workers *tls_server_workers(struct tls_server *s);
struct tls_gate *tls_server_gate(struct tls_server *s);
struct tls_conn *tls_server_conn(struct tls_server *s, const union addr *peer);
/* Whether a handshake with peer may begin; another one may have to go for it, and has to when
 * is_full: there is no room for one more stream. Counts and logs a refusal. */
bool tls_server_admit(struct tls_server *s, const union addr *peer, bool is_full);
/* Whether a handshake waits for its client, so that it could go for another one. */
bool tls_server_may_evict(const struct tls_server *s);
void tls_server_settle(struct tls_server *s, int code); /* handshake over: counts it */

/* tls_suites.c: what both sides speak. */
void tls_conf_algorithms(mbedtls_ssl_config *conf);

/* For tests: speak only this version ("TLSv1.2", "TLSv1.3"). Before the first stream. */
void tls_client_only(struct tls_client *c, const char *version);
void tls_server_only(struct tls_server *s, const char *version);

#endif
