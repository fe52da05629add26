/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 server: llhttp strict plus RFC 9112 rules that it leaves to us. One request at a time
 * per connection (pipelined ones wait in the connection's bounded buffer).
 *
 * Happy path of a request: head parsed -> on_head (route, authenticate, admit, choose the body
 * limit) -> body collected -> on_request -> http_reply, now or on a later turn.
 *
 * Ends: every request that reached on_request must be answered with http_reply exactly once, also
 * when the client has gone (the reply is then dropped). A request refused in on_head is answered
 * by the server with the status, headers and body set there.
 * The request and all it points to (head, body, arena) live until http_reply.
 */
#ifndef LL_HTTP_SERVER_H
#define LL_HTTP_SERVER_H

#include "longline/arena.h"
#include "longline/config.h"
#include "longline/http.h"
#include "longline/listener.h"
#include "longline/loop.h"
#include "longline/metrics.h"
#include "longline/tls.h"

struct http_server;

/* Section [server] of the configuration. */
struct http_server_cfg {
    char *listen;
    int64_t max_body;         /* bytes; default of routes that set none */
    int64_t max_publish_body; /* bytes; POST /publish */
    int64_t max_head;         /* request line and headers, bytes */
    int64_t max_headers;      /* count */
    int64_t max_connections;
    int64_t max_connections_per_ip; /* 0: half of max_connections */
    int64_t head_timeout_ms;        /* absolute, for the whole head */
    int64_t body_timeout_ms;        /* absolute, for the whole body */
    int64_t idle_timeout_ms;        /* keep-alive */
    int64_t write_timeout_ms;       /* without progress */
    struct cfg_list cors_origins;   /* empty: no CORS; "*" allowed */
    char *tls_cert;                 /* PEM files; both or none */
    char *tls_key;
    int64_t tls_workers;    /* handshake threads */
    int64_t max_handshakes; /* under way */
};
extern const struct cfg_key http_server_cfg_keys[];
extern const size_t http_server_cfg_n_keys;

struct http_request {
    enum http_method method;
    struct str method_text;
    struct str target; /* as received */
    struct str path;   /* raw (not decoded), without query */
    struct str query;  /* raw, without '?' */
    const struct http_header *headers;
    size_t n_headers;
    struct str body; /* empty until on_request */
    bool has_length; /* a Content-Length was given */
    int64_t content_length;
    union addr peer;
    struct arena *arena; /* freed after the reply */
    int64_t start_mono_ms;
    void *user; /* for the handler's use, set in on_head (route match …) */
};

/* What http_reply sends. Content-Length, Date, Connection are added by the server. */
struct http_reply {
    int status;
    const char *content_type;          /* NULL: no Content-Type */
    struct str body;                   /* copied or sent during the call */
    const struct http_header *headers; /* further ones; must be valid field text */
    size_t n_headers;
    bool close; /* end the connection after this reply */
};

struct http_handler {
    /* 0: go on, with *max_body set to the limit (0: server default). Or fill *refusal (static or
     * arena text) and return a negative number: the body is not read. Runs before any
     * "100 Continue" is sent. */
    int (*on_head)(void *ctx, struct http_request *rq, int64_t *max_body,
                   struct http_reply *refusal);
    /* Never called from inside http_reply. */
    void (*on_request)(void *ctx, struct http_request *rq);
    /* The server itself answers a malformed or oversize request: fills body and type for `status`
     * (text may live in the arena, which may be NULL). May be NULL. */
    void (*on_protocol_error)(void *ctx, int status, struct arena *a, struct http_reply *out);
    void *ctx;
};

struct http_server_metrics {
    struct metric connections; /* open now */
    struct metric accepted;    /* connections, total */
    struct metric refused;     /* of them, for being too many */
    struct metric requests;    /* total */
    struct metric protocol_errors;
    struct metric timeouts;
};

int http_server_open(struct http_server **out, struct loop *l, const struct http_server_cfg *cfg,
                     const struct http_handler *h, struct err_detail *err) LL_MUST_USE;
/* cfg is copied; limits and timeouts of new requests follow. */
void http_server_reload(struct http_server *s, const struct http_server_cfg *cfg);
/* Connections to come get the certificate of `fresh`, which is taken over; for a server that was
 * opened with one. False when it is the same certificate. */
bool http_server_renew_tls(struct http_server *s, struct tls_identity *fresh);
void http_server_tls_stats(const struct http_server *s, struct tls_server_stats *out); /* or 0 */
void http_server_addr(const struct http_server *s, union addr *out);
struct http_server_metrics *http_server_get_metrics(struct http_server *s);

/* Sends the reply for rq and ends it; rq is gone afterwards. HEAD and OPTIONS details, keep-alive
 * and pipelining are the server's business. */
void http_reply(struct http_request *rq, const struct http_reply *rp);

/* Answers every request that a handler still has with `rp`, in its place. For a process that
 * ends at once after it: handlers must not reply any more. */
void http_server_abandon(struct http_server *s, const struct http_reply *rp);

/* Stops accepting, answers what is under way with Connection: close, closes idle connections. */
void http_server_drain(struct http_server *s);
size_t http_server_n_active(const struct http_server *s); /* requests not answered yet */
/* Closes everything. Requests under way must still be answered by their handler (to nowhere);
 * `done` follows when the last connection is closed and the last request answered. */
void http_server_close(struct http_server *s, void (*done)(void *ctx), void *ctx);

#endif
