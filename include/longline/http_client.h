/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HTTP/1.1 client with a keep-alive pool per origin (scheme, host, port). A connection that
 * was opened under an earlier address policy is not used again.
 *
 * Happy path: http_exchange_start -> a pooled or new connection -> request written -> response head
 * -> body (capped) -> done(result); the connection returns to the pool when nothing speaks against
 * it.
 *
 * Ends: done is called exactly once, never before http_exchange_start returned, with a status or an
 * error; not at all after http_exchange_cancel. A reused connection that dies before the first
 * response byte is replaced by a fresh one, once, inside the same exchange. Redirects are never
 * followed. No pipelining. 1xx are skipped; 101 is a failure. The status counts as soon as the head
 * is complete: a body that is not there 5 s later is given up together with the connection.
 * ERR_BUSY means that the gateway itself had no connection, lookup or handshake free in time.
 */
#ifndef LL_HTTP_CLIENT_H
#define LL_HTTP_CLIENT_H

#include "longline/config.h"
#include "longline/dial.h"
#include "longline/http.h"
#include "longline/metrics.h"
#include "longline/url.h"

struct http_client;
struct http_exchange;

struct http_client_cfg {      /* section [client] */
    int64_t total_timeout_ms; /* whole attempt */
    int64_t dns_timeout_ms;   /* used by the dialer */
    int64_t connect_timeout_ms;
    int64_t tls_timeout_ms;
    int64_t first_byte_timeout_ms; /* request written -> first response byte */
    int64_t write_timeout_ms;      /* without progress */
    int64_t max_response_head;     /* bytes */
    /* Bytes read. Beyond, the connection is dropped and the response counts with its status, as
     * body_truncated: the server has judged the request. */
    int64_t max_response_body;
    int64_t keep_response_body; /* bytes handed to the caller */
    int64_t max_connections;    /* all origins */
    int64_t max_connections_per_origin;
    int64_t max_idle; /* all origins */
    int64_t idle_timeout_ms;
    int64_t max_uses;   /* requests per connection */
    int64_t max_age_ms; /* of a connection */
};
extern const struct cfg_key http_client_cfg_keys[];
extern const size_t http_client_cfg_n_keys;

struct http_client_request {
    enum http_method method;
    const struct url *url;             /* copied as needed during the call */
    const struct http_header *headers; /* copied; those that frame the message or steer the
                                        * connection (Host, Content-Length, Connection, ...) and
                                        * malformed ones end with ERR_INVALID */
    size_t n_headers;
    struct str body;          /* must stay valid until done or cancel */
    int64_t total_timeout_ms; /* 0: the client's */
};

struct http_client_result {
    int status;            /* 0 on failure */
    struct err_detail err; /* code 0 when a response came */
    const struct http_header *headers;
    size_t n_headers;
    struct str body;     /* first keep_response_body bytes */
    bool body_truncated; /* more came than was kept, or not all of it in time */
    bool reused;         /* connection came from the pool */
    int32_t dns_us, connect_us, tls_us, first_byte_us, total_us;
    char peer[ADDR_TEXT_MAX];
};
typedef void (*http_client_fn)(void *ctx,
                               const struct http_client_result *r); /* valid in the call */

int http_client_open(struct http_client **out, struct loop *l, struct dialer *d,
                     const struct http_client_cfg *cfg) LL_MUST_USE;
void http_client_reload(struct http_client *c, const struct http_client_cfg *cfg);

/* Waits in the origin's queue when its connections are all busy (the total timeout runs). */
struct http_exchange *http_exchange_start(struct http_client *c,
                                          const struct http_client_request *rq, http_client_fn done,
                                          void *ctx);
void http_exchange_cancel(struct http_exchange *x);

struct http_client_stats {
    size_t n_open; /* connections, busy and idle */
    size_t n_idle;
    size_t n_waiting; /* exchanges waiting for a connection */
    uint64_t opened;
    uint64_t reused;
};
void http_client_stats(const struct http_client *c, struct http_client_stats *out);

/* Exchanges still open are completed with ERR_CANCELED. `done` follows on a later turn. */
void http_client_close(struct http_client *c, void (*done)(void *ctx), void *ctx);

#endif
