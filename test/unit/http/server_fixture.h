/* SPDX-License-Identifier: Apache-2.0 */
/* A server over in-memory streams with a clock of the test's own, and clients for it. */
#ifndef LL_TEST_SERVER_FIXTURE_H
#define LL_TEST_SERVER_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "http/server/server.h"
#include "longline/check.h"

/*
 * Paths that the handler knows:
 *   /sync...   200 at once; the body tells the method, target and body of the request
 *   /later     kept until the test calls fx_answer
 *   /refuse    refused in on_head with 401 and the body "no"
 *   /gone      refused in on_head, with close
 *   /small     at most 10 bytes of body
 *   /big       200 with FX_BIG bytes
 *   /end       200, with close
 *   /long      200 at once, after FX_LONG_MS of the test's clock
 *   /evil      200 with a header that tries to end the line
 */
#define FX_BIG      ((size_t)300 * 1024)
#define FX_LONG_MS  3

#define FX_MAX_HELD 64

struct fx {
    struct loop *loop;
    struct clock clock;
    int64_t mono_ms;
    int64_t wall_ms;
    struct http_server_cfg cfg;
    struct http_handler handler;
    struct http_server *server; /* NULL once closed */
    struct http_request *held[FX_MAX_HELD];
    size_t n_held;
    size_t n_heads;    /* calls of on_head */
    size_t n_requests; /* calls of on_request */
    size_t n_errors;   /* calls of on_protocol_error */
    int server_done;
    char *big;
};

/* One client end. */
struct fx_client {
    struct stream *stream;
    struct buf got;
    bool ended;
    bool closed;
    int end_err;
};

void fx_cfg_defaults(struct http_server_cfg *cfg);
void fx_handler(struct fx *f, struct http_handler *h);
/* tweak (may be NULL) changes the configuration before the server is made. */
void fx_open(struct fx *f, void (*tweak)(struct http_server_cfg *cfg));
/* Closes what is open, and demands that nothing is left. */
void fx_close(struct fx *f);
void fx_turns(struct fx *f, int n);
/* Moves the clock and lets due timers run. */
void fx_advance(struct fx *f, int64_t ms);
/* Answers the oldest held request with 200 and the text. */
void fx_answer(struct fx *f, const char *text);

void fx_connect(struct fx *f, struct fx_client *c);
void fx_send(struct fx *f, struct fx_client *c, const char *text);
void fx_send_n(struct fx *f, struct fx_client *c, const char *p, size_t n);
void fx_disconnect(struct fx *f, struct fx_client *c);
/* Status of the first response in c->got, 0 when there is none. */
int fx_status(const struct fx_client *c);
/* Number of complete responses in c->got (1xx not counted). */
size_t fx_n_responses(const struct fx_client *c);
/* Whether the text occurs in what came. */
bool fx_has(const struct fx_client *c, const char *text);
void fx_forget(struct fx_client *c); /* what came so far */
#define FX_H "Host: a\r\n"

#endif
