/* SPDX-License-Identifier: Apache-2.0 */
/* Slow clients, too many clients, and what an idle one costs. */
#include "server_fixture.h"

static void test_head_timeout(void **state)
{
    struct fx f;
    struct fx_client c;
    (void)state;
    fx_open(&f, NULL);
    fx_connect(&f, &c);
    fx_advance(&f, 9000);
    fx_send(&f, &c, "GET /sync HTTP/1.1\r\n");
    fx_advance(&f, 900);
    assert_int_equal(c.got.n, 0);
    fx_advance(&f, 200); /* from the start, not from the last byte */
    assert_int_equal(fx_status(&c), 408);
    assert_true(fx_has(&c, "error 408"));
    assert_true(c.ended);
    assert_int_equal(http_server_get_metrics(f.server)->timeouts.value, 1);
    fx_disconnect(&f, &c);

    /* On a kept connection the clock starts with the first byte of the request. */
    fx_connect(&f, &c);
    fx_send(&f, &c, "GET /sync HTTP/1.1\r\n" FX_H "\r\n");
    fx_advance(&f, 30000);
    fx_forget(&c);
    fx_send(&f, &c, "G");
    fx_advance(&f, 5000);
    fx_send(&f, &c, "ET");
    fx_advance(&f, 4900);
    assert_int_equal(c.got.n, 0);
    fx_advance(&f, 200);
    assert_int_equal(fx_status(&c), 408);
    fx_disconnect(&f, &c);
    fx_close(&f);
}

static void test_silent_client(void **state)
{
    struct fx f;
    struct fx_client c;
    (void)state;
    fx_open(&f, NULL);
    fx_connect(&f, &c);
    fx_advance(&f, 9900);
    assert_false(c.ended);
    fx_advance(&f, 200);
    assert_true(c.ended);
    assert_int_equal(c.got.n, 0); /* nothing was asked, nothing is said */
    fx_disconnect(&f, &c);
    fx_close(&f);
}

static void test_body_timeout(void **state)
{
    struct fx f;
    struct fx_client c;
    (void)state;
    fx_open(&f, NULL);
    fx_connect(&f, &c);
    fx_send(&f, &c, "POST /sync HTTP/1.1\r\n" FX_H "Content-Length: 1000000\r\n\r\n");
    for (int i = 0; i < 29; i++) {
        static char two_k[2048];
        fx_send_n(&f, &c, two_k, sizeof(two_k));
        fx_advance(&f, 1000);
        assert_int_equal(c.got.n, 0);
    }
    fx_advance(&f, 1100);
    assert_int_equal(fx_status(&c), 408);
    assert_true(c.ended);
    assert_int_equal(http_server_n_active(f.server), 0);
    fx_disconnect(&f, &c);
    fx_close(&f);
}

/* Below 1 KiB/s after five seconds, with and without a length. */
static void test_body_rate(void **state)
{
    static const char *const heads[] = {
        "POST /sync HTTP/1.1\r\n" FX_H "Content-Length: 1000000\r\n\r\n",
        "POST /sync HTTP/1.1\r\n" FX_H "Transfer-Encoding: chunked\r\n\r\nfffff\r\n",
    };
    struct fx f;
    (void)state;
    fx_open(&f, NULL);
    for (size_t i = 0; i < LL_COUNT(heads); i++) {
        struct fx_client c;
        fx_connect(&f, &c);
        fx_send(&f, &c, heads[i]);
        for (int k = 0; k < 6; k++) {
            fx_send(&f, &c, "0123456789");
            assert_int_equal(c.got.n, 0);
            fx_advance(&f, 1000);
        }
        fx_advance(&f, 300);
        assert_int_equal(fx_status(&c), 408);
        assert_true(c.ended);
        fx_disconnect(&f, &c);
    }
    fx_close(&f);
}

static void test_idle_timeout(void **state)
{
    struct fx f;
    struct fx_client c;
    (void)state;
    fx_open(&f, NULL);
    fx_connect(&f, &c);
    fx_send(&f, &c, "GET /sync HTTP/1.1\r\n" FX_H "\r\n");
    fx_forget(&c);
    fx_advance(&f, 59900);
    assert_false(c.ended);
    fx_send(&f, &c, "GET /sync HTTP/1.1\r\n" FX_H "\r\n");
    assert_int_equal(fx_n_responses(&c), 1);
    fx_forget(&c);
    fx_advance(&f, 59900);
    assert_false(c.ended);
    fx_send(&f, &c, "\r\n"); /* not a request */
    fx_advance(&f, 200);
    assert_true(c.ended);
    assert_int_equal(c.got.n, 0);
    assert_int_equal(http_server_get_metrics(f.server)->timeouts.value, 0);
    fx_disconnect(&f, &c);

    /* A shorter one holds at once, for open connections too. */
    fx_connect(&f, &c);
    fx_send(&f, &c, "GET /sync HTTP/1.1\r\n" FX_H "\r\n");
    f.cfg.idle_timeout_ms = 500;
    http_server_reload(f.server, &f.cfg);
    fx_advance(&f, 600);
    assert_true(c.ended);
    fx_disconnect(&f, &c);
    fx_close(&f);
}

/* The handler may take its time. */
static void test_no_timeout_while_handling(void **state)
{
    struct fx f;
    struct fx_client c;
    (void)state;
    fx_open(&f, NULL);
    fx_connect(&f, &c);
    fx_send(&f, &c, "GET /later HTTP/1.1\r\n" FX_H "\r\n");
    fx_advance(&f, 300000);
    assert_false(c.ended);
    fx_answer(&f, "at last");
    fx_turns(&f, 4);
    assert_true(fx_has(&c, "at last"));
    fx_disconnect(&f, &c);
    fx_close(&f);
}

static void test_stalled_reader(void **state)
{
    static const char *const requests[] = {
        "GET /big HTTP/1.1\r\n" FX_H "\r\n",
        "GET /big HTTP/1.1\r\n" FX_H "Connection: close\r\n\r\n",
    };
    struct fx f;
    (void)state;
    fx_open(&f, NULL);
    for (size_t i = 0; i < LL_COUNT(requests); i++) {
        struct fx_client c;
        fx_connect(&f, &c);
        stream_read_stop(c.stream);
        fx_send(&f, &c, requests[i]);
        fx_advance(&f, 9800);
        assert_int_equal(f.server->n_conns, 1);
        fx_advance(&f, 400);
        assert_int_equal(f.server->n_conns, 0);
        fx_disconnect(&f, &c);
    }
    assert_int_equal(http_server_get_metrics(f.server)->timeouts.value, 2);
    fx_close(&f);
}

static void few(struct http_server_cfg *cfg)
{
    cfg->max_connections = 3;
}

static void few_per_ip(struct http_server_cfg *cfg)
{
    cfg->max_connections_per_ip = 2;
}

static void test_overload(void **state)
{
    struct fx f;
    struct fx_client c[4];
    (void)state;
    fx_open(&f, few);
    for (int i = 0; i < 4; i++) {
        fx_connect(&f, &c[i]);
        fx_turns(&f, 4);
    }
    assert_int_equal(fx_status(&c[3]), 503);
    assert_true(fx_has(&c[3], "Retry-After: 1\r\n"));
    assert_true(c[3].ended);
    fx_send(&f, &c[0], "GET /sync HTTP/1.1\r\n" FX_H "\r\n");
    assert_int_equal(fx_status(&c[0]), 200);
    fx_disconnect(&f, &c[0]);
    fx_disconnect(&f, &c[3]);
    fx_connect(&f, &c[0]);
    fx_send(&f, &c[0], "GET /sync HTTP/1.1\r\n" FX_H "\r\n");
    assert_int_equal(fx_status(&c[0]), 200);
    for (int i = 0; i < 3; i++) {
        fx_disconnect(&f, &c[i]);
    }
    fx_close(&f);
}

static void test_per_ip(void **state)
{
    struct fx f;
    struct fx_client c[3];
    (void)state;
    fx_open(&f, few_per_ip);
    for (int i = 0; i < 3; i++) {
        fx_connect(&f, &c[i]);
        fx_turns(&f, 4);
    }
    assert_int_equal(fx_status(&c[2]), 429);
    assert_true(fx_has(&c[2], "Retry-After: 1\r\n"));
    assert_true(c[2].ended);
    assert_int_equal(f.server->peers.n, 1);
    fx_disconnect(&f, &c[2]);
    fx_disconnect(&f, &c[0]);
    fx_connect(&f, &c[0]);
    fx_send(&f, &c[0], "GET /sync HTTP/1.1\r\n" FX_H "\r\n");
    assert_int_equal(fx_status(&c[0]), 200);
    fx_disconnect(&f, &c[0]);
    fx_disconnect(&f, &c[1]);
    assert_int_equal(f.server->peers.n, 0);
    fx_close(&f);
}

/* Who is told and comes again all the same is not told for ever: those connections too would fill
 * the server. */
static void test_per_ip_overflow(void **state)
{
    enum { N = 13, TOLD = 8 };
    struct fx f;
    struct fx_client c[N];
    (void)state;
    fx_open(&f, few_per_ip);
    for (int i = 0; i < N; i++) {
        fx_connect(&f, &c[i]);
    }
    fx_turns(&f, 4);
    for (int i = 2; i < N; i++) {
        assert_int_equal(fx_status(&c[i]), i < 2 + TOLD ? 429 : 0);
        assert_true(c[i].ended);
    }
    assert_int_equal(f.server->metrics.refused.value, N - 2);
    for (int i = 0; i < N; i++) {
        fx_disconnect(&f, &c[i]);
    }
    assert_int_equal(f.server->peers.n, 0);
    fx_close(&f);
}

static void two_hundred(struct http_server_cfg *cfg)
{
    cfg->max_connections = 200;
}

/* Without a setting: half of all connections, but a small server's all. */
static void test_per_ip_default(void **state)
{
    static struct fx_client c[101];
    struct fx f;
    (void)state;
    fx_open(&f, two_hundred);
    for (size_t i = 0; i < LL_COUNT(c); i++) {
        fx_connect(&f, &c[i]);
    }
    fx_turns(&f, 4);
    assert_false(c[99].ended);
    assert_int_equal(fx_status(&c[100]), 429);
    for (size_t i = 0; i < LL_COUNT(c); i++) {
        fx_disconnect(&f, &c[i]);
    }
    fx_close(&f);
    fx_open(&f, few);
    for (int i = 0; i < 3; i++) {
        fx_connect(&f, &c[i]);
    }
    fx_turns(&f, 4);
    for (int i = 0; i < 3; i++) {
        assert_false(c[i].ended);
        fx_disconnect(&f, &c[i]);
    }
    fx_close(&f);
}

/* An idle connection keeps its struct and nothing else. */
static void test_idle_memory(void **state)
{
    static char body[200000];
    struct fx f;
    struct fx_client c;
    struct conn *conn;
    (void)state;
    assert_true(sizeof(struct conn) < 2048);
    fx_open(&f, NULL);
    fx_connect(&f, &c);
    fx_send(&f, &c, "POST /sync HTTP/1.1\r\n" FX_H "Content-Length: 200000\r\n\r\n");
    fx_send_n(&f, &c, body, sizeof(body));
    assert_int_equal(fx_status(&c), 200);
    conn = LIST_ENTRY(f.server->by_state[CONN_IDLE].next, struct conn, state_node);
    assert_true(conn->parser.body.cap <= 16384);
    fx_advance(&f, 1200);
    assert_int_equal(conn->state, CONN_COLD);
    assert_int_equal(conn->parser.body.cap, 0);
    assert_int_equal(conn->parser.head.cap, 0);
    assert_int_equal(conn->in.cap, 0);
    assert_null(conn->arena.head);
    fx_forget(&c);
    fx_send(&f, &c, "POST /sync HTTP/1.1\r\n" FX_H "Content-Length: 2\r\n\r\nhi");
    assert_true(fx_has(&c, "POST /sync [hi]"));
    fx_disconnect(&f, &c);
    fx_close(&f);
}

/* Slow clients that keep to every timeout may still be too many: the oldest makes room. */
static void test_held_bodies(void **state)
{
    static char piece[40000];
    struct fx f;
    struct fx_client c[3];
    struct fx_client quick;
    (void)state;
    fx_open(&f, NULL);
    f.server->max_held = 120000; /* two bodies and what a connection has beside */
    for (size_t i = 0; i < LL_COUNT(c); i++) {
        fx_connect(&f, &c[i]);
        fx_send(&f, &c[i], "POST /sync HTTP/1.1\r\n" FX_H "Content-Length: 50000\r\n\r\n");
        fx_send_n(&f, &c[i], piece, sizeof(piece));
        fx_advance(&f, 100);
    }
    assert_int_equal(fx_status(&c[0]), 503);
    assert_true(fx_has(&c[0], "Retry-After: 1"));
    assert_true(c[0].ended);
    assert_int_equal(c[1].got.n + c[2].got.n, 0);
    assert_true(f.server->held >= 2 * 50000 && f.server->held <= f.server->max_held);
    fx_connect(&f, &quick);
    fx_send(&f, &quick, "POST /sync HTTP/1.1\r\n" FX_H "Content-Length: 2\r\n\r\nhi");
    assert_int_equal(fx_status(&quick), 200);
    fx_send_n(&f, &c[1], piece, 10000);
    assert_int_equal(fx_status(&c[1]), 200);
    assert_int_equal(c[2].got.n, 0);
    assert_true(f.server->held >= 50000 && f.server->held < 100000);
    for (size_t i = 0; i < LL_COUNT(c); i++) {
        fx_disconnect(&f, &c[i]);
    }
    fx_disconnect(&f, &quick);
    assert_int_equal(f.server->held, 0);
    fx_close(&f);
}

static void test_held_replies(void **state)
{
    struct fx f;
    struct fx_client c[3];
    (void)state;
    fx_open(&f, NULL);
    f.server->max_held = 2 * FX_BIG + 50000;
    for (size_t i = 0; i < LL_COUNT(c); i++) {
        fx_connect(&f, &c[i]);
        stream_read_stop(c[i].stream);
        fx_send(&f, &c[i], "GET /big HTTP/1.1\r\n" FX_H "\r\n");
        fx_advance(&f, 100);
    }
    assert_true(f.server->held > FX_BIG && f.server->held <= f.server->max_held);
    assert_int_equal(f.server->n_conns, 2);
    for (size_t i = 0; i < LL_COUNT(c); i++) {
        fx_disconnect(&f, &c[i]);
    }
    assert_int_equal(f.server->held, 0);
    fx_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_head_timeout),   cmocka_unit_test(test_silent_client),
        cmocka_unit_test(test_body_timeout),   cmocka_unit_test(test_body_rate),
        cmocka_unit_test(test_idle_timeout),   cmocka_unit_test(test_no_timeout_while_handling),
        cmocka_unit_test(test_stalled_reader), cmocka_unit_test(test_overload),
        cmocka_unit_test(test_per_ip),         cmocka_unit_test(test_per_ip_overflow),
        cmocka_unit_test(test_per_ip_default), cmocka_unit_test(test_idle_memory),
        cmocka_unit_test(test_held_bodies),    cmocka_unit_test(test_held_replies),
    };
    return cmocka_run_group_tests_name("http_server_limits", tests, NULL, NULL);
}
