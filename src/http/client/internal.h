/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shared by the files of the client; nobody else includes it.
 *
 *   client.c    open, close, reload, statistics
 *   exchange.c  one request: start, phases and their one timer, completion
 *   request.c   the bytes of the request head
 *   response.c  parser
 *   conn.c      one connection: dial, stream events, close
 *   pool.c      who gets which connection: reuse, caps, waiting exchanges, idle expiry
 *
 * Objects and lists:
 *   client -> origins (map)     one per scheme, host and port; gone with its last connection/waiter
 *          -> exchanges         waiting, dialing or on a connection
 *          -> ended             failed ones; `done` is called on the next turn
 *          -> spare             objects for reuse, buffers kept
 *          -> idle              all idle connections, longest idle first
 *          -> starved[2]        origins whose waiters only lack a global slot
 *   origin -> idle              its idle connections, last used first
 *          -> waiting           its exchanges without a connection, oldest first
 *
 * Invariant: an exchange waits only while its origin or the whole client is at its cap, or while
 * dialing pauses for lack of file descriptors.
 * User callbacks run in two places only: complete (from a stream event, or from the exchange's
 * timer when a body is too slow) and the end timer.
 */
#ifndef LL_HTTP_CLIENT_INTERNAL_H
#define LL_HTTP_CLIENT_INTERNAL_H

#include "longline/http_client.h"
#include "longline/list.h"
#include "longline/map.h"

#include "response.h"

#define CLIENT_MAGIC     0x68634c31u
#define CONN_MAGIC       0x68634332u
#define EXCHANGE_MAGIC   0x68634533u

#define CLIENT_MAX_SPARE 1024        /* exchange objects kept for reuse */
#define CLIENT_KEEP_BUF  4096        /* bytes kept per buffer of a spare exchange */
#define CLIENT_MAX_HEAD  (64u << 10) /* request line and headers */

/*
 * conn:  DIALING -> BUSY <-> IDLE -> CLOSING     (DIALING ends without CLOSING when the dial fails)
 * Moved by conn.c and pool.c only.
 */
enum client_conn_state { CONN_DIALING, CONN_BUSY, CONN_IDLE, CONN_CLOSING };

/* Async object: freed when its stream reported on_closed, or its dial failed or was canceled. */
struct client_conn {
    unsigned magic;
    enum client_conn_state state;
    struct http_client *client;
    struct client_origin *origin;
    struct http_exchange *x; /* DIALING, BUSY */
    struct dial *dial;       /* DIALING */
    struct stream *stream;   /* else */
    int64_t opened_ms;
    int64_t idle_since_ms;
    int64_t uses;
    unsigned policy_version;
    bool is_ended;           /* the peer has closed its side */
    struct list node;        /* client->conns */
    struct list idle_node;   /* client->idle */
    struct list origin_node; /* origin->idle */
    char peer[ADDR_TEXT_MAX];
};

struct client_origin { /* owned by the client's map */
    bool is_https;
    uint16_t port;
    char *key_text;
    struct str key;  /* all of key_text */
    struct str host; /* the end of it: in one spelling, like all of it (url_peer) */
    size_t n_conns;  /* in any state */
    struct list idle;
    struct list waiting;
    struct list starved_node; /* in one of client->starved */
};

/*
 * exchange: WAITING -> DIALING -> WRITING -> SENT -> READING -> ENDED -> SPARE
 *    a pooled connection skips DIALING, a small request skips WRITING; a retry goes back to
 *    WAITING; every state may go to ENDED. Moved by exchange.c and, WAITING -> DIALING, by pool.c.
 */
enum exchange_state {
    EXCHANGE_WAITING,
    EXCHANGE_DIALING,
    EXCHANGE_WRITING, /* a part of the request is not with the kernel yet */
    EXCHANGE_SENT,
    EXCHANGE_READING, /* a byte of the response was seen */
    EXCHANGE_ENDED,
    EXCHANGE_SPARE
};

struct http_exchange {
    unsigned magic;
    enum exchange_state state;
    struct http_client *client;
    struct client_origin *origin; /* until ENDED */
    struct client_conn *conn;     /* DIALING to READING */
    http_client_fn done;
    void *ctx;
    struct list node;      /* client->exchanges, ended or spare */
    struct list wait_node; /* origin->waiting */
    /* Armed for some time not after the real deadline and re-armed when it fires: an exchange on a
     * warm connection touches no heap at all. It stays armed in spare objects. */
    struct timer timer;
    int64_t total_due_ms;
    int64_t phase_due_ms; /* TIME_NEVER: no deadline of its own */
    int64_t total_ms;
    int64_t start_us;
    int64_t sent_us;
    size_t pending_seen;
    bool fresh_only; /* the retry: must not take a used connection, will not be retried again */
    bool had_grace;  /* after the process stood still */
    bool is_head;
    struct buf head;
    struct str body;
    struct client_resp resp;
    struct http_client_result res;
};

struct http_client {
    unsigned magic;
    struct loop *loop;
    struct dialer *dialer;
    struct http_client_cfg cfg;
    struct map origins;
    struct list conns;
    struct list idle;
    struct list starved[2]; /* [0]: origins without any connection, they go first; [1]: others */
    size_t n_starved;
    struct list exchanges;
    struct list ended;
    struct list spare;
    size_t n_exchanges; /* exchanges and ended */
    size_t n_spare;
    size_t n_open; /* connections in any state */
    size_t n_idle;
    size_t n_closing;
    size_t n_waiting;
    uint64_t opened;
    uint64_t reused;
    unsigned policy_version; /* of all idle connections */
    struct timer idle_timer;
    struct timer end_timer;
    struct timer files_timer; /* armed: there was no file descriptor, nothing is dialed */
    int64_t files_warned_ms;
    bool is_closing;
    void (*closed_fn)(void *ctx);
    void *closed_ctx;
};

int64_t client_now_us(void);
unsigned client_policy_version(const struct http_client *c);
/* Reports the end of http_client_close when nothing is left; c may be gone afterwards. */
void client_maybe_closed(struct http_client *c);

/* Fills x->head, is_head and body. 0, or an error with x->res.err set. */
int request_build(struct http_exchange *x, const struct http_client_request *rq);

/* exchange.c */
void exchange_send(struct http_exchange *x); /* x->conn is connected */
void exchange_on_drain(struct http_exchange *x);
void exchange_on_data(struct http_exchange *x, const char *p, size_t n);
/* The connection ended: 0 in order, else an error. It is closed on return. */
void exchange_on_end(struct http_exchange *x, int err);
/* x->res.err is set and x has no connection and waits nowhere: `done` on the next turn. */
void exchange_end(struct http_exchange *x);
/* Takes x from wherever it is; err is copied. */
void exchange_fail(struct http_exchange *x, const struct err_detail *err);
void exchange_free(struct http_exchange *x);
void exchange_run_ended(void *client); /* end_timer */

/* conn.c */
struct client_conn *client_conn_dial(struct client_origin *o, struct http_exchange *x);
/* x, if any, must have been detached; idempotent. */
void client_conn_close(struct client_conn *conn, bool graceful);

/* pool.c */
struct client_origin *pool_origin(struct http_client *c, const struct url *url);
void pool_get(struct http_exchange *x); /* a warm connection, a new one, or the queue's end */
void pool_retry(
    struct http_exchange *x); /* the same on a fresh connection, from the queue's head */
/* There was no file descriptor for a socket, which is no fault of x's origin: x waits again, at its
 * queue's head, and the whole client pauses dialing for a moment. */
void pool_no_files(struct http_exchange *x);
void pool_files_tick(void *client); /* files_timer */
void pool_unwait(struct http_exchange *x);
/* x is done with conn: back to the pool if `reusable` and nothing else speaks against it. */
void pool_release(struct client_conn *conn, bool reusable);
void pool_not_idle(struct client_conn *conn); /* takes it off the idle lists */
/* conn is gone: its slot goes to a waiting exchange, its origin goes when unused. */
void pool_slot_freed(struct http_client *c, struct client_origin *o);
void pool_origin_check(struct http_client *c, struct client_origin *o); /* frees it when unused */
void pool_reload(struct http_client *c);
void pool_idle_tick(void *client); /* idle_timer */
struct str pool_origin_key(const void *origin);

#endif
