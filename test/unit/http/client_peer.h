/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the client's tests share: a world (loop, dialer, client) and a peer, which is a server on
 * raw sockets. The peer runs only when the test steps it, between turns of the loop, and what one
 * side sent has come before the other one looks, so the order of events is the test's choice.
 */
#ifndef LL_TEST_CLIENT_PEER_H
#define LL_TEST_CLIENT_PEER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "longline/dns.h"
#include "longline/http_client.h"

#define PEER_MAX_CONNS 128
#define PEER_MAX_IN    65536
#define OK_RESPONSE    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define DEADLINE_MS    60000

struct peer_conn {
    int fd; /* -1: closed */
    size_t n_in;
    char *in;
    int n_requests;
    bool is_eof;
};

struct peer {
    int listen_fd;
    uint16_t port;
    bool no_accept;
    bool no_read;
    size_t n_conns; /* accepted ever, in order */
    size_t max_open;
    struct peer_conn conns[PEER_MAX_CONNS];
    int n_requests;
    int last_conn; /* where the last request came in */
    /* Called for each complete request, which is valid in the call. NULL: OK_RESPONSE. */
    void (*on_request)(struct peer *p, struct peer_conn *pc, struct str request);
    void *ctx;
};

void peer_send(struct peer_conn *pc, const char *text);
void peer_close(struct peer_conn *pc);
void peer_reset(struct peer_conn *pc); /* RST instead of FIN */
size_t peer_n_open(const struct peer *p);

struct world {
    struct loop *loop;
    struct dns *dns;
    struct dialer *dialer;
    struct egress_policy policy;
    struct http_client_cfg cfg;
    struct http_client *client;
    struct peer peer;
    int n_closed;  /* calls of http_client_close's callback */
    bool is_large; /* requests that do not fit into the sockets: steps do not wait for them */
    struct clock clock;
    int64_t frozen_ns; /* not 0: the clock stands here */
    int64_t shift_ns;  /* what it is ahead by after that */
};

struct outcome {
    int n_done;
    int status;
    struct err_detail err;
    char body[128];
    bool truncated;
    bool reused;
    size_t n_headers;
    struct http_client_result raw; /* pointers in it are dead */
    int order;                     /* 1 for the first exchange of the world that ended, ... */
    int *counter;                  /* may be NULL */
};

/* cmocka setup and teardown; the teardown demands that nothing is left. */
int world_setup(void **state);
int world_teardown(void **state);
/* After a change of w->cfg. */
void world_reload(struct world *w);

/* Stops the clock until it is let go again. world_advance moves it, with a turn of the loop. */
void world_freeze(struct world *w);
void world_thaw(struct world *w);
void world_advance(struct world *w, int64_t ms);

/* One step of the peer and one turn of the loop, without waiting. */
void world_step(struct world *w);
/* Until pred(ctx); fails the test after DEADLINE_MS. */
void world_until(struct world *w, bool (*pred)(void *ctx), void *ctx);
void world_wait(struct world *w, const struct outcome *o); /* until it is done */
void world_wait_n(struct world *w, const int *counter, int n);
void world_wait_stats(struct world *w, size_t n_open, size_t n_idle);
void world_settle(struct world *w, int steps);
/* Until the client has read all that the peer sent, and the peer's kernel has all of the client. */
void world_wait_read(struct world *w);

struct http_exchange *post(struct world *w, struct outcome *o, const char *body);
/* To another address of the same peer: another origin. */
struct http_exchange *post_to(struct world *w, struct outcome *o, const char *host,
                              const char *body);
struct http_exchange *send_request(struct world *w, struct outcome *o,
                                   const struct http_client_request *rq);
void take_outcome(void *ctx, const struct http_client_result *r); /* http_client_fn */

void assert_ok(const struct outcome *o);
void assert_error(const struct outcome *o, int code);

#endif
