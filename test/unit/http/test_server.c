/* SPDX-License-Identifier: Apache-2.0 */
/* What the server does with well-formed requests: order, replies, CORS, clients that vanish. */
#include "server_fixture.h"

static void test_reply_text(void **state)
{
    struct fx f;
    struct fx_client c;
    (void)state;
    fx_open(&f, NULL);
    fx_connect(&f, &c);
    fx_send(&f, &c, "GET /sync?a=b HTTP/1.1\r\n" FX_H "\r\n");
    assert_true(str_eq(buf_str(&c.got), STR("HTTP/1.1 200 OK\r\n"
                                            "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                                            "Content-Type: text/plain\r\n"
                                            "Content-Length: 16\r\n"
                                            "\r\n"
                                            "GET /sync?a=b []")));
    fx_forget(&c);
    f.wall_ms += 1000;
    f.mono_ms += 1000;
    fx_send(&f, &c, "HEAD /sync?a=b HTTP/1.1\r\n" FX_H "\r\n");
    assert_true(str_eq(buf_str(&c.got), STR("HTTP/1.1 200 OK\r\n"
                                            "Date: Sun, 06 Nov 1994 08:49:38 GMT\r\n"
                                            "Content-Type: text/plain\r\n"
                                            "Content-Length: 17\r\n"
                                            "\r\n")));
    assert_int_equal(http_server_get_metrics(f.server)->requests.value, 2);
    assert_int_equal(http_server_get_metrics(f.server)->accepted.value, 1);
    assert_int_equal(http_server_get_metrics(f.server)->connections.value, 1);
    fx_disconnect(&f, &c);
    assert_int_equal(http_server_get_metrics(f.server)->connections.value, 0);
    fx_close(&f);
}

/* A request is not started while the one before it on the connection is unanswered. */
static void test_pipelining_waits(void **state)
{
    struct fx f;
    struct fx_client c;
    (void)state;
    fx_open(&f, NULL);
    fx_connect(&f, &c);
    fx_send(&f, &c,
            "GET /later HTTP/1.1\r\n" FX_H "\r\nGET /sync2 HTTP/1.1\r\n" FX_H "\r\n"
            "GET /later HTTP/1.1\r\n" FX_H "\r\nGET /sync4 HTTP/1.1\r\n" FX_H "\r\n");
    assert_int_equal(f.n_requests, 1);
    assert_int_equal(http_server_n_active(f.server), 1);
    fx_send(&f, &c, "GET /sync5 HTTP/1.1\r\n" FX_H "\r\n");
    assert_int_equal(f.n_requests, 1);
    fx_answer(&f, "one");
    assert_int_equal(f.n_requests, 1); /* not from inside http_reply */
    fx_turns(&f, 6);
    assert_int_equal(f.n_requests, 3);
    fx_answer(&f, "three");
    fx_turns(&f, 6);
    assert_int_equal(f.n_requests, 5);
    assert_int_equal(fx_n_responses(&c), 5);
    assert_true(fx_has(&c, "GET /sync2 []HTTP/1.1 200"));
    assert_true(fx_has(&c, "threeHTTP/1.1 200"));
    assert_int_equal(http_server_n_active(f.server), 0);
    fx_disconnect(&f, &c);
    fx_close(&f);
}

/* Many requests in one piece are spread over turns, and all answered in order. */
static void test_pipelining_many(void **state)
{
    enum { N = 500 };
    struct fx f;
    struct fx_client c;
    struct buf b;
    (void)state;
    buf_init(&b, 1 << 20);
    for (int i = 0; i < N; i++) {
        buf_printf(&b, "GET /sync%d HTTP/1.1\r\n" FX_H "\r\n", i);
    }
    fx_open(&f, NULL);
    fx_connect(&f, &c);
    fx_send_n(&f, &c, b.p, b.n);
    assert_true(f.n_requests < N);
    fx_turns(&f, N / 8);
    assert_int_equal(f.n_requests, N);
    assert_int_equal(fx_n_responses(&c), N);
    assert_true(fx_has(&c, "GET /sync499 []"));
    fx_disconnect(&f, &c);
    fx_close(&f);
    buf_fini(&b);
}

/* While the handler works, input is taken up to a bound and then left to the kernel. */
static void test_input_is_bounded(void **state)
{
    static char junk[40000];
    struct fx f;
    struct fx_client c;
    struct conn *conn;
    (void)state;
    memset(junk, 'j', sizeof(junk));
    fx_open(&f, NULL);
    fx_connect(&f, &c);
    fx_send(&f, &c, "GET /later HTTP/1.1\r\n" FX_H "\r\n");
    conn = LIST_ENTRY(f.server->by_state[CONN_BUSY].next, struct conn, state_node);
    for (int i = 0; i < 50; i++) {
        fx_send_n(&f, &c, junk, sizeof(junk));
    }
    assert_true(conn->is_stopped);
    assert_true(conn->in.n <= 64 * 1024);
    assert_true(stream_pending(c.stream) > 1000000);
    fx_answer(&f, "x");
    fx_turns(&f, 20);
    assert_int_equal(fx_n_responses(&c), 2); /* the junk is malformed */
    assert_true(fx_has(&c, "error 400"));
    assert_true(c.ended);
    fx_disconnect(&f, &c);
    fx_close(&f);
}

/* More output than the client takes holds the next request back. */
static void test_flush(void **state)
{
    struct fx f;
    struct fx_client c;
    (void)state;
    fx_open(&f, NULL);
    fx_connect(&f, &c);
    stream_read_stop(c.stream);
    fx_send(&f, &c, "GET /big HTTP/1.1\r\n" FX_H "\r\nGET /sync2 HTTP/1.1\r\n" FX_H "\r\n");
    assert_int_equal(f.n_requests, 1);
    assert_false(list_empty(&f.server->by_state[CONN_FLUSH]));
    assert_int_equal(stream_read_start(c.stream), 0);
    fx_turns(&f, 20);
    assert_int_equal(f.n_requests, 2);
    assert_true(c.got.n > FX_BIG);
    assert_true(fx_has(&c, "GET /sync2 []"));
    fx_disconnect(&f, &c);
    fx_close(&f);
}

/* A large body comes whole, from one write and from many. */
static void test_large_body(void **state)
{
    enum { SIZE = 900000 };
    struct fx f;
    struct fx_client c;
    char *body = test_malloc(SIZE);
    (void)state;
    for (int i = 0; i < SIZE; i++) {
        body[i] = (char)('a' + i % 26);
    }
    fx_open(&f, NULL);
    fx_connect(&f, &c);
    fx_send(&f, &c, "POST /later HTTP/1.1\r\n" FX_H "Content-Length: 900000\r\n\r\n");
    for (size_t at = 0; at < SIZE; at += 60000) {
        fx_send_n(&f, &c, body + at, 60000);
    }
    assert_int_equal(f.n_held, 1);
    assert_true(str_eq(f.held[0]->body, str_of(body, SIZE)));
    assert_true(f.held[0]->has_length);
    fx_answer(&f, "x");
    fx_send(&f, &c, "POST /later HTTP/1.1\r\n" FX_H "Transfer-Encoding: chunked\r\n\r\n");
    for (size_t at = 0; at < SIZE; at += 60000) {
        fx_send(&f, &c, "ea60\r\n");
        fx_send_n(&f, &c, body + at, 60000);
        fx_send(&f, &c, "\r\n");
    }
    fx_send(&f, &c, "0\r\n\r\n");
    assert_int_equal(f.n_held, 1);
    assert_true(str_eq(f.held[0]->body, str_of(body, SIZE)));
    assert_false(f.held[0]->has_length);
    fx_answer(&f, "x");
    fx_turns(&f, 4);
    assert_int_equal(fx_n_responses(&c), 2);
    fx_disconnect(&f, &c);
    fx_close(&f);
    test_free(body);
}

/* "100 Continue" goes out after on_head and before the body. */
static void test_continue_order(void **state)
{
    struct fx f;
    struct fx_client c;
    (void)state;
    fx_open(&f, NULL);
    fx_connect(&f, &c);
    fx_send(&f, &c, "POST /sync HTTP/1.1\r\n" FX_H "Expect: 100-continue\r\n");
    assert_int_equal(c.got.n, 0);
    fx_send(&f, &c, "Content-Length: 2\r\n\r\n");
    assert_int_equal(f.n_heads, 1);
    assert_true(str_eq(buf_str(&c.got), STR("HTTP/1.1 100 Continue\r\n\r\n")));
    assert_int_equal(http_server_n_active(f.server), 1);
    fx_send(&f, &c, "hi");
    assert_true(fx_has(&c, "POST /sync [hi]"));
    fx_disconnect(&f, &c);

    fx_connect(&f, &c);
    fx_send(&f, &c,
            "POST /refuse HTTP/1.1\r\n" FX_H "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    assert_int_equal(fx_status(&c), 401);
    assert_int_equal(fx_n_responses(&c), 1);
    assert_false(fx_has(&c, "100 Continue"));
    assert_true(c.ended);
    fx_disconnect(&f, &c);
    fx_close(&f);
}

/* The client goes while the handler has the request: it stays valid, the reply is dropped. */
static void test_client_vanishes(void **state)
{
    struct fx f;
    struct fx_client c;
    (void)state;
    fx_open(&f, NULL);
    for (int turns = 0; turns < 8; turns++) {
        fx_connect(&f, &c);
        fx_send(&f, &c, "POST /later HTTP/1.1\r\n" FX_H "Content-Length: 5\r\n\r\nhello");
        assert_int_equal(f.n_held, 1);
        stream_close(c.stream);
        fx_turns(&f, turns);
        assert_true(str_eq(f.held[0]->body, STR("hello")));
        assert_true(
            str_eq(http_find(f.held[0]->headers, f.held[0]->n_headers, STR("host")), STR("a")));
        assert_int_equal(http_server_n_active(f.server), 1);
        fx_answer(&f, "nobody hears this");
        fx_turns(&f, 8);
        assert_int_equal(http_server_n_active(f.server), 0);
        assert_int_equal(f.server->n_conns, 0);
        assert_true(c.closed);
        buf_fini(&c.got);
    }
    fx_close(&f);
}

/* The client goes in the middle of a head or a body: the handler never hears of the request, or
 * never sees it complete. */
static void test_client_vanishes_early(void **state)
{
    static const char text[] = "POST /sync HTTP/1.1\r\n" FX_H "Content-Length: 5\r\n\r\nhello";
    struct fx f;
    struct fx_client c;
    (void)state;
    fx_open(&f, NULL);
    for (size_t n = 0; n < sizeof(text) - 1; n++) {
        fx_connect(&f, &c);
        fx_send_n(&f, &c, text, n);
        fx_disconnect(&f, &c);
        fx_turns(&f, 4);
        assert_int_equal(f.server->n_conns, 0);
        assert_int_equal(http_server_n_active(f.server), 0);
    }
    assert_int_equal(f.n_requests, 0);
    fx_close(&f);
}

static void cors_two(struct http_server_cfg *cfg)
{
    static char one[] = "https://one.example";
    static char two[] = "http://localhost:5173";
    static char *list[] = {one, two};
    cfg->cors_origins = (struct cfg_list){.v = list, .n = 2};
}

static void cors_any(struct http_server_cfg *cfg)
{
    static char any[] = "*";
    static char *list[] = {any};
    cfg->cors_origins = (struct cfg_list){.v = list, .n = 1};
}

static void test_cors(void **state)
{
    struct fx f;
    struct fx_client c;
    (void)state;
    fx_open(&f, cors_two);
    fx_connect(&f, &c);
    fx_send(&f, &c,
            "OPTIONS /sync HTTP/1.1\r\n" FX_H "Origin: http://localhost:5173\r\n"
            "Access-Control-Request-Method: PUT\r\n"
            "Access-Control-Request-Headers: authorization, x-a\r\n\r\n");
    assert_int_equal(f.n_heads, 0);
    assert_int_equal(fx_status(&c), 204);
    assert_true(fx_has(&c, "Access-Control-Allow-Origin: http://localhost:5173\r\n"));
    assert_true(
        fx_has(&c, "Access-Control-Allow-Methods: GET, HEAD, POST, PUT, PATCH, DELETE\r\n"));
    assert_true(fx_has(&c, "Access-Control-Allow-Headers: authorization, x-a\r\n"));
    assert_true(fx_has(&c, "Vary: Origin\r\n"));
    assert_false(fx_has(&c, "Content-Length"));
    fx_forget(&c);

    fx_send(&f, &c,
            "OPTIONS /sync HTTP/1.1\r\n" FX_H "Origin: http://evil\r\n"
            "Access-Control-Request-Method: PUT\r\n\r\n");
    assert_int_equal(fx_status(&c), 204);
    assert_false(fx_has(&c, "Access-Control-"));
    assert_true(fx_has(&c, "Vary: Origin\r\n"));
    fx_forget(&c);

    fx_send(&f, &c, "GET /sync HTTP/1.1\r\n" FX_H "Origin: https://one.example\r\n\r\n");
    assert_true(fx_has(&c, "Access-Control-Allow-Origin: https://one.example\r\n"));
    fx_forget(&c);
    fx_send(&f, &c, "GET /refuse HTTP/1.1\r\n" FX_H "Origin: https://one.example\r\n\r\n");
    assert_int_equal(fx_status(&c), 401);
    assert_true(fx_has(&c, "Access-Control-Allow-Origin: https://one.example\r\n"));
    fx_forget(&c);
    fx_send(&f, &c, "GET /sync HTTP/1.1\r\n" FX_H "Origin: https://one.example.evil\r\n\r\n");
    assert_int_equal(fx_status(&c), 200);
    assert_false(fx_has(&c, "Access-Control-"));
    fx_forget(&c);

    /* Not a preflight: the handler's. */
    fx_send(&f, &c, "OPTIONS /sync HTTP/1.1\r\n" FX_H "\r\n");
    assert_true(fx_has(&c, "OPTIONS /sync []"));
    fx_disconnect(&f, &c);

    fx_handler(&f, &f.handler);
    cors_any(&f.cfg);
    http_server_reload(f.server, &f.cfg);
    fx_connect(&f, &c);
    fx_send(&f, &c, "GET /sync HTTP/1.1\r\n" FX_H "Origin: null\r\n\r\n");
    assert_true(fx_has(&c, "Access-Control-Allow-Origin: *\r\n"));
    assert_false(fx_has(&c, "Vary"));
    fx_disconnect(&f, &c);
    fx_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reply_text),
        cmocka_unit_test(test_pipelining_waits),
        cmocka_unit_test(test_pipelining_many),
        cmocka_unit_test(test_input_is_bounded),
        cmocka_unit_test(test_flush),
        cmocka_unit_test(test_large_body),
        cmocka_unit_test(test_continue_order),
        cmocka_unit_test(test_client_vanishes),
        cmocka_unit_test(test_client_vanishes_early),
        cmocka_unit_test(test_cors),
    };
    return cmocka_run_group_tests_name("http_server", tests, NULL, NULL);
}
