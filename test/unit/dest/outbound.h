/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A driver's surroundings, for real: HTTP client and dialer, and on the same loop a server on
 * 127.0.0.1 that keeps what it receives and answers as it was told.
 */
#ifndef LL_TEST_OUTBOUND_H
#define LL_TEST_OUTBOUND_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "longline/check.h"
#include "longline/dest.h"
#include "longline/http_server.h"

#define OB_MAX_HITS    256
#define OB_DEADLINE_MS 60000

/* One request as it came. */
struct hit {
    struct arena arena;
    struct str target;
    struct http_header *headers;
    size_t n_headers;
    struct str body;
    struct http_request *held; /* not answered yet */
};

struct ob_reply {
    int status; /* 0: keep the request until ob_answer */
    const char *body;
    const char *retry_after;
};

struct outbound {
    struct loop *loop;
    struct dns *dns;
    struct egress_policy policy;
    struct dialer *dialer;
    struct http_client_cfg client_cfg;
    struct http_client *client;
    struct http_server *server;
    struct webhook_cfg webhook;
    char prefix[32];
    char user_agent[32];
    struct dest_env env;
    uint16_t port;
    const struct ob_reply *script; /* one per request, the last one repeats; none: 200 "ok" */
    size_t n_script;
    struct hit hits[OB_MAX_HITS];
    size_t n_hits;
    bool closed;
};

void ob_open(struct outbound *o, struct loop *l);
void ob_close(struct outbound *o); /* the loop goes on */
void ob_script(struct outbound *o, const struct ob_reply *replies, size_t n);
/* "http://127.0.0.1:<port><path>" */
void ob_url(const struct outbound *o, char out[96], const char *path);
void ob_answer(struct outbound *o, size_t hit, int status);
/* Runs the loop until `n` requests came; fails the test after OB_DEADLINE_MS. */
void ob_wait_hits(struct outbound *o, size_t n);
/* The header's value, or STR_NULL. */
struct str hit_header(const struct hit *h, const char *name);

void assert_str(struct str got, const char *expected);

#endif
