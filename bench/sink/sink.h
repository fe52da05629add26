/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The sink: a webhook receiver that answers at once, or as badly as it is told to, and keeps books.
 *
 * How a request is answered is decided by its path, else by the current mode (POST /mode):
 *     /dead/…          accepted, never answered
 *     /slow/MS/…       200 after MS milliseconds
 *     /status/CODE/…   that status
 *     anything else    the mode: status, delay_ms, close (connection closed after each answer)
 *
 * Books: an event is delivered when it was answered with 2xx. Its sequence number goes into a set
 * (so duplicates show), and, on paths that follow the mode, the time from its intended sending to
 * its arrival into a histogram.
 */
#ifndef LL_BENCH_SINK_H
#define LL_BENCH_SINK_H

#include <llhttp.h>
#include <mbedtls/pk.h>
#include <mbedtls/ssl.h>
#include <mbedtls/ssl_ticket.h>
#include <mbedtls/x509_crt.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "bitmap.h"
#include "hdr.h"
#include "util.h"

#define SINK_READ_SIZE 65536u
#define SINK_SECONDS   86400u

struct sink_mode {
    unsigned status;
    uint32_t delay_ms;
    bool closes;
};

struct ledger {
    struct hdr delivery; /* measured events, first arrival, paths that follow the mode */
    struct bitmap unique;
    uint64_t posts;
    uint64_t delivered; /* answered 2xx, duplicates included */
    uint64_t refused;   /* answered otherwise */
    uint64_t never;     /* not answered */
    uint64_t duplicates;
    uint64_t unmarked; /* answered 2xx, but without a mark */
    uint64_t measured; /* unique measured events */
    uint64_t verified;
    uint64_t bad_signatures;
    int64_t first_ns; /* arrival of the first and last measured event */
    int64_t last_ns;
};

struct tls_server {
    mbedtls_ssl_config config;
    mbedtls_ssl_ticket_context tickets;
    mbedtls_x509_crt chain;
    mbedtls_pk_context key;
};

struct sink {
    uv_loop_t loop;
    uv_tcp_t plain;
    uv_tcp_t tls;
    uv_tcp_t control;
    llhttp_settings_t settings;
    struct tls_server tls_server;
    struct sink_mode mode;
    struct ledger ledger;
    const char *secret;           /* for signatures, NULL: not verified */
    uint64_t verify_every;        /* 1 in N */
    const char *signature_header; /* lower case */
    uint64_t connections;         /* accepted so far */
    uint64_t handshakes;
    uint64_t handshake_failures;
    uint64_t open;
    char read_buffer[SINK_READ_SIZE];
};

/* certs.c: a CA and a certificate for 127.0.0.1, ::1 and localhost; the CA's PEM goes to a file. */
void certs_make(struct tls_server *server, const char *ca_file);

/* ledger.c */
struct arrival {
    struct mark mark;
    bool is_marked;
    bool follows_mode;
    unsigned status; /* 0: never answered */
};
void ledger_add(struct ledger *l, const struct arrival *a, int64_t now);
void ledger_reset(struct ledger *l);

/* peer.c: one connection of a sender. */
struct tls_session;
struct peer;
void peer_accept(struct sink *s, uv_stream_t *listener, bool is_tls);
void peer_close(struct peer *p);
/* Plain text that arrived, and bytes for the socket. */
void peer_input(struct peer *p, const char *bytes, size_t n);
void peer_send_raw(struct peer *p, const char *bytes, size_t n);

/* tls.c: mbedTLS between the two. */
void tls_server_init(struct tls_server *t, const char *ca_file);
struct tls_session *tls_session_new(struct sink *s, struct peer *p);
void tls_session_free(struct tls_session *t);
void tls_input(struct tls_session *t, const char *bytes, size_t n);
void tls_output(struct tls_session *t, const char *bytes, size_t n);
void tls_notify_close(struct tls_session *t);

/* control.c: GET /stats, GET /ledger, POST /reset, POST /mode?status=…&delay_ms=…&close=… */
void control_accept(struct sink *s, uv_stream_t *listener);

#endif
