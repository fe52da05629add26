/* SPDX-License-Identifier: Apache-2.0 */
/* Raw bytes to the server, whole and cut at every place: the answers must be the same bytes. */
#include "server_fixture.h"

#include "longline/mem.h"

static const struct {
    const char *name;
    const char *bytes;
    int status; /* of the first response */
    size_t n_responses;
    bool ends; /* the server closes */
    const char *has;
} rows[] = {
    {"get", "GET /sync HTTP/1.1\r\n" FX_H "\r\n", 200, 1, false, "\r\n\r\nGET /sync []"},
    {"get 1.0", "GET /sync HTTP/1.0\r\n\r\n", 200, 1, true, "Connection: close\r\n"},
    {"get 1.0 kept", "GET /sync HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 200, 1, false,
     "Connection: keep-alive\r\n"},
    {"head", "HEAD /sync HTTP/1.1\r\n" FX_H "\r\n", 200, 1, false, "Content-Length: 13\r\n"},
    {"post", "POST /sync HTTP/1.1\r\n" FX_H "Content-Length: 3\r\n\r\nabc", 200, 1, false,
     "POST /sync [abc]"},
    {"chunked",
     "POST /sync HTTP/1.1\r\n" FX_H "Transfer-Encoding: chunked\r\n\r\n"
     "1\r\na\r\n2\r\nbc\r\n0\r\nX: y\r\n\r\n",
     200, 1, false, "POST /sync [abc]"},
    {"pipelined",
     "GET /sync1 HTTP/1.1\r\n" FX_H "\r\n"
     "POST /sync2 HTTP/1.1\r\n" FX_H "Content-Length: 1\r\n\r\nx"
     "\r\nGET /sync3 HTTP/1.1\r\n" FX_H "\r\n",
     200, 3, false, "GET /sync3 []"},
    {"pipelined after close",
     "GET /end HTTP/1.1\r\n" FX_H "\r\nGET /sync3 HTTP/1.1\r\n" FX_H "\r\n", 200, 1, true,
     "GET /end []"},
    {"client asks to close", "GET /sync HTTP/1.1\r\n" FX_H "Connection: close\r\n\r\n", 200, 1,
     true, "Connection: close\r\n"},
    {"continue",
     "POST /sync HTTP/1.1\r\n" FX_H "Expect: 100-continue\r\nContent-Length: 1\r\n\r\nx", 100, 1,
     false, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n"},
    {"continue without body", "POST /sync HTTP/1.1\r\n" FX_H "Expect: 100-continue\r\n\r\n", 200, 1,
     false, "POST /sync []"},
    {"continue refused",
     "POST /refuse HTTP/1.1\r\n" FX_H "Expect: 100-continue\r\nContent-Length: 1\r\n\r\nx", 401, 1,
     true, "no"},
    {"continue too large",
     "POST /small HTTP/1.1\r\n" FX_H "Expect: 100-continue\r\nContent-Length: 11\r\n\r\n", 413, 1,
     true, "error 413"},
    {"refused", "GET /refuse HTTP/1.1\r\n" FX_H "\r\nGET /sync HTTP/1.1\r\n" FX_H "\r\n", 401, 2,
     false, "GET /sync []"},
    {"refused with body",
     "POST /refuse HTTP/1.1\r\n" FX_H "Content-Length: 3\r\n\r\nabc"
     "GET /sync HTTP/1.1\r\n" FX_H "\r\n",
     401, 2, false, "GET /sync []"},
    {"refused with large body", "POST /refuse HTTP/1.1\r\n" FX_H "Content-Length: 70000\r\n\r\nabc",
     401, 1, true, "no"},
    {"refused with chunks",
     "POST /refuse HTTP/1.1\r\n" FX_H "Transfer-Encoding: chunked\r\n\r\n1\r\n", 401, 1, true,
     "no"},
    {"refused with close", "POST /gone HTTP/1.1\r\n" FX_H "Content-Length: 3\r\n\r\nabc", 401, 1,
     true, "no"},
    {"body at the route's limit",
     "POST /small HTTP/1.1\r\n" FX_H "Content-Length: 10\r\n\r\n0123456789", 200, 1, false,
     "[0123456789]"},
    {"body over the route's limit",
     "POST /small HTTP/1.1\r\n" FX_H "Content-Length: 11\r\n\r\n01234567890", 413, 1, true,
     "error 413"},
    {"chunks over the route's limit",
     "POST /small HTTP/1.1\r\n" FX_H "Transfer-Encoding: chunked\r\n\r\nb\r\n01234567890\r\n", 413,
     1, true, "error 413"},
    {"malformed", "GET /sync HTTP/1.1\r\nHost : a\r\n\r\n", 400, 1, true, "error 400"},
    {"malformed second", "GET /sync HTTP/1.1\r\n" FX_H "\r\nGET /sync\r\n\r\n", 200, 2, true,
     "error 400"},
    {"smuggled",
     "POST /sync HTTP/1.1\r\n" FX_H "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
     "0\r\n\r\nGET /sync HTTP/1.1\r\n" FX_H "\r\n",
     400, 1, true, "error 400"},
    {"bad chunk", "POST /sync HTTP/1.1\r\n" FX_H "Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400, 1,
     true, "error 400"},
    {"expectation", "POST /sync HTTP/1.1\r\n" FX_H "Expect: more\r\n\r\n", 417, 1, true,
     "error 417"},
    {"coding", "POST /sync HTTP/1.1\r\n" FX_H "Transfer-Encoding: gzip\r\n\r\n", 501, 1, true,
     "error 501"},
    {"version", "GET /sync HTTP/2.0\r\n" FX_H "\r\n", 505, 1, true, "error 505"},
    {"connect", "CONNECT a:1 HTTP/1.1\r\n" FX_H "\r\n", 501, 1, true, "error 501"},
    {"options",
     "OPTIONS /sync HTTP/1.1\r\n" FX_H "Origin: http://o\r\n"
     "Access-Control-Request-Method: GET\r\n\r\n",
     200, 1, false, "OPTIONS /sync []"},
    {"header injection", "GET /evil HTTP/1.1\r\n" FX_H "\r\n", 200, 1, false, "X-Fine: b\r\n"},
    {"incomplete", "GET /sync HTTP/1.1\r\n" FX_H, 0, 0, false, ""},
};

/* Sends the row cut at `cut`; fills got with the answer. */
static void run_row(struct fx *f, size_t i, size_t cut, struct buf *got)
{
    const size_t n = strlen(rows[i].bytes);
    struct fx_client c;
    fx_connect(f, &c);
    fx_send_n(f, &c, rows[i].bytes, cut);
    fx_send_n(f, &c, rows[i].bytes + cut, n - cut);
    fx_turns(f, 4);
    if (fx_status(&c) != rows[i].status || fx_n_responses(&c) != rows[i].n_responses ||
        c.ended != rows[i].ends || !fx_has(&c, rows[i].has)) {
        fail_msg("%s, cut at %zu: status %d, %zu responses, %s\n" STR_FMT, rows[i].name, cut,
                 fx_status(&c), fx_n_responses(&c), c.ended ? "ended" : "open", STR_ARG(c.got));
    }
    assert_false(fx_has(&c, "Set-Cookie"));
    buf_reset(got);
    assert_int_equal(buf_add_str(got, buf_str(&c.got)), 0);
    fx_disconnect(f, &c);
}

static void test_rows(void **state)
{
    struct fx f;
    struct buf whole;
    struct buf cut;
    (void)state;
    buf_init(&whole, 1 << 20);
    buf_init(&cut, 1 << 20);
    fx_open(&f, NULL);
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        const size_t n = strlen(rows[i].bytes);
        run_row(&f, i, n, &whole);
        for (size_t at = 1; at < n; at++) {
            run_row(&f, i, at, &cut);
            if (!str_eq(buf_str(&whole), buf_str(&cut))) {
                fail_msg("%s, cut at %zu: another answer", rows[i].name, at);
            }
        }
    }
    assert_int_equal(http_server_n_active(f.server), 0);
    assert_int_equal(f.server->n_conns, 0);
    fx_close(&f);
    buf_fini(&whole);
    buf_fini(&cut);
}

/* Every byte a turn of its own. */
static void test_bytes(void **state)
{
    struct fx f;
    (void)state;
    fx_open(&f, NULL);
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        struct fx_client c;
        fx_connect(&f, &c);
        for (const char *p = rows[i].bytes; *p != '\0'; p++) {
            fx_send_n(&f, &c, p, 1);
        }
        fx_turns(&f, 4);
        assert_int_equal(fx_status(&c), rows[i].status);
        assert_int_equal(fx_n_responses(&c), rows[i].n_responses);
        assert_int_equal(c.ended, rows[i].ends);
        fx_disconnect(&f, &c);
    }
    fx_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_bytes),
    };
    return cmocka_run_group_tests_name("http_server_raw", tests, NULL, NULL);
}
