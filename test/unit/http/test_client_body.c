/* SPDX-License-Identifier: Apache-2.0 */
/* The head of a response is its verdict: bodies that come late, and interim responses. */
#include "client_peer.h"

#include <string.h>

#include "http/client/response.h"
#include "longline/check.h"

#define HEAD    "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
#define BODY_MS 5000

static void answer(struct peer *p, struct peer_conn *pc, struct str request)
{
    (void)request;
    peer_send(pc, p->ctx);
}

static void begin(struct world *w, struct outcome *o, const char *text)
{
    w->peer.on_request = answer;
    w->peer.ctx = (void *)(uintptr_t)text;
    world_freeze(w);
    post(w, o, "x");
    world_wait_n(w, &w->peer.n_requests, 1);
    world_wait_read(w);
}

static void end(struct world *w, struct outcome *o, const char *body)
{
    world_thaw(w);
    world_wait(w, o);
    assert_ok(o);
    assert_int_equal(o->status, 200);
    assert_true(o->truncated);
    assert_string_equal(o->body, body);
    assert_true(o->n_headers > 0);
    world_wait_stats(w, 0, 0);
}

static void test_body_that_stalls(void **state)
{
    struct world *w = *state;
    struct outcome o = {0};
    begin(w, &o, HEAD "half");
    world_advance(w, BODY_MS - 1);
    world_settle(w, 3);
    assert_int_equal(o.n_done, 0);
    world_advance(w, 1);
    end(w, &o, "half");
}

static void test_body_that_trickles(void **state)
{
    struct world *w = *state;
    struct outcome o = {0};
    begin(w, &o, HEAD);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(o.n_done, 0);
        peer_send(&w->peer.conns[0], "b");
        world_wait_read(w);
        world_advance(w, BODY_MS / 5);
    }
    end(w, &o, "bbbbb");
}

static void test_total_timeout_within_the_body(void **state)
{
    struct world *w = *state;
    struct outcome o = {0};
    w->cfg.total_timeout_ms = 300;
    world_reload(w);
    begin(w, &o, HEAD "ha");
    world_advance(w, 300);
    end(w, &o, "ha");
}

static void test_failed_status_stays_failed(void **state)
{
    struct world *w = *state;
    struct outcome o = {0};
    begin(w, &o, "HTTP/1.1 500 Oops\r\nContent-Length: 10\r\n\r\n");
    world_advance(w, BODY_MS);
    world_thaw(w);
    world_wait(w, &o);
    assert_int_equal(o.err.code, 0);
    assert_int_equal(o.status, 500);
    world_wait_stats(w, 0, 0);
}

/* Not a slow one but a broken one. */
static void test_reset_within_the_body(void **state)
{
    struct world *w = *state;
    struct outcome o = {0};
    begin(w, &o, HEAD "half");
    world_thaw(w);
    peer_reset(&w->peer.conns[0]);
    world_wait(w, &o);
    assert_int_not_equal(o.err.code, 0);
}

static const char *const interims[] = {
    "HTTP/1.1 100 Continue\r\nConnection: close\r\n\r\n",
    "HTTP/1.0 100 Continue\r\n\r\n",
    "HTTP/1.1 103 Early\r\nConnection: close\r\n\r\nHTTP/1.0 100 Continue\r\n\r\n",
};

static void test_interim_that_ends_the_connection(void **state)
{
    (void)state;
    static const struct resp_limits limits = {.max_head = 1024, .max_body = 64, .keep_body = 16};
    static const char final[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    struct client_resp r;
    client_resp_init(&r);
    for (size_t i = 0; i < LL_COUNT(interims); i++) {
        char text[256];
        const size_t first = strlen(interims[i]);
        const size_t n = first + sizeof(final) - 1;
        memcpy(text, interims[i], first);
        memcpy(text + first, final, sizeof(final));
        for (size_t cut = 0; cut < n; cut++) {
            client_resp_reset(&r, &limits, false);
            assert_int_equal(client_resp_feed(&r, text, cut) == RESP_FAILED, false);
            assert_int_equal(client_resp_feed(&r, text + cut, n - cut), RESP_DONE);
            assert_int_equal(r.status, 200);
            assert_int_equal(r.n_fields, 1);
            assert_int_equal(r.body.n, 2);
            assert_false(r.keep_alive);
        }
    }
    /* They still count against the limit of the head. */
    client_resp_reset(&r, &limits, false);
    enum resp_state s = RESP_HEAD;
    for (int i = 0; i < 100 && s == RESP_HEAD; i++) {
        s = client_resp_feed(&r, interims[0], strlen(interims[0]));
    }
    assert_int_equal(s, RESP_FAILED);
    assert_int_equal(r.err.code, ERR_TOO_BIG);
    client_resp_fini(&r);
}

#define WITH_WORLD(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORLD(test_body_that_stalls),
        WITH_WORLD(test_body_that_trickles),
        WITH_WORLD(test_total_timeout_within_the_body),
        WITH_WORLD(test_failed_status_stays_failed),
        WITH_WORLD(test_reset_within_the_body),
        cmocka_unit_test(test_interim_that_ends_the_connection),
    };
    return cmocka_run_group_tests_name("http_client_body", tests, NULL, NULL);
}
