/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One client connection. Async object: it owns a stream and, while the handler works, a request.
 *
 *            +-----------------------------------------------------+
 *            v                                                     |
 *   HEAD -> BODY -> BUSY -> (FLUSH) -> IDLE -> COLD -> HEAD ...     |
 *     |      |       |         |        |       |                  |
 *     |      |       +---------+--> next request waiting: HEAD ----+
 *     |      +-> DISCARD -> IDLE        |       |
 *     +------+-------+----> ENDING -----+-------+--> CLOSING
 *
 *   HEAD     a head is expected (new connection) or being read
 *   BODY     the body is being read
 *   WAITING  (between BODY and BUSY) complete; it waits for its share of a turn, or for memory
 *   BUSY     the handler has the request
 *   FLUSH    the reply is larger than the client takes at once
 *   DISCARD  refused already; the rest of the body is read and dropped
 *   IDLE     between two requests, memory kept; COLD: the same, memory given back
 *   ENDING   the last reply is on its way out, input is dropped
 *   CLOSING  the stream is being closed
 *
 * A connection is freed when its stream is closed and the handler has replied, whichever is later.
 */
#ifndef LL_HTTP_SERVER_CONN_H
#define LL_HTTP_SERVER_CONN_H

#include "longline/loop.h"
#include "longline/stream.h"
#include "parser.h"

#define CONN_MAGIC 0x48434f4eU /* "HCON" */

enum conn_state {
    CONN_HEAD,
    CONN_BODY,
    CONN_WAITING,
    CONN_BUSY,
    CONN_FLUSH,
    CONN_DISCARD,
    CONN_IDLE,
    CONN_COLD,
    CONN_ENDING,
    CONN_CLOSING,
    CONN_N_STATES
};

struct peer_count;

struct conn {
    unsigned magic;
    enum conn_state state;
    struct http_server *server;
    struct stream *stream;  /* NULL once closed */
    struct list state_node; /* in server.by_state[state] */
    struct list check_node; /* in server.body_grace or body_checks */
    struct list write_node; /* in server.writing */
    struct list ready_node; /* in server.ready; WAITING: in server.shares[].waiting */
    int64_t since_ms;       /* entered the state */
    int64_t check_ms;       /* last look at the body's rate */
    int64_t write_ms;       /* last progress of output */
    size_t write_pending;   /* then */
    size_t write_high;      /* most output that has waited since none did */
    size_t held;            /* this connection's part of server.held */
    size_t handled;         /* ... of server.handled */

    bool is_active;   /* counted in server.n_active */
    bool is_handling; /* the handler owes a reply */
    bool in_parse;    /* conn_parse is on the stack */
    bool is_stopped;  /* reading is stopped */
    bool peer_ended;  /* the client will send no more */
    bool close_after; /* no further request */
    bool is_preflight;

    struct buf in; /* bytes that came while a request was under way */
    struct arena arena;
    struct parser parser;
    struct http_request rq;
    struct peer_count *peer_count;
};

/* Takes over the stream. status != 0: the client is told so and nothing else (overload). */
void conn_open(struct http_server *s, struct stream *st, const union addr *peer,
               struct peer_count *pc, int status);
/* Goes on with buffered input. From the end-of-turn hook. */
void conn_resume(struct conn *c);
/* Gives a request that waited to the handler. From the end-of-turn hook. */
void conn_run(struct conn *c);
/* For drain: ends the connection if nothing is under way on it. */
void conn_drain(struct conn *c);
void conn_close(struct conn *c, bool graceful);

/* For the sweep. */
void conn_on_state_timeout(struct conn *c);
void conn_check_body_rate(struct conn *c);
void conn_check_output(struct conn *c);
/* Memory is short. The first gives back what an idle connection keeps for its next request, the
 * second cuts off a client that has not sent or not taken what it should have. */
void conn_cool(struct conn *c);
void conn_evict(struct conn *c);

/* reply.c: writes rp for c->rq; false when the stream broke. */
bool conn_write_reply(struct conn *c, const struct http_reply *rp, bool close);
/* Writes bytes and watches over what the stream could not take. */
bool conn_write(struct conn *c, const struct str *parts, size_t n_parts);

#endif
