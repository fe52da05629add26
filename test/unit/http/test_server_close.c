/* SPDX-License-Identifier: Apache-2.0 */
/* Drain and close at every step of every kind of exchange. fx_close demands one completion, no
 * object left and a loop that can be closed. */
#include "server_fixture.h"

static const char *const scripts[] = {
    "GET /sync HTTP/1.1\r\n" FX_H "\r\n",
    "GET /sync HTTP/1.1\r\n" FX_H "Connection: close\r\n\r\n",
    "POST /later HTTP/1.1\r\n" FX_H "Content-Length: 5\r\n\r\nhello",
    "POST /sync HTTP/1.1\r\n" FX_H "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n\r\n"
    "5\r\nhello\r\n0\r\n\r\n",
    "GET /later HTTP/1.1\r\n" FX_H "\r\nGET /sync HTTP/1.1\r\n" FX_H "\r\n",
    "GET /big HTTP/1.1\r\n" FX_H "\r\nGET /sync HTTP/1.1\r\n" FX_H "\r\n",
    "POST /refuse HTTP/1.1\r\n" FX_H "Content-Length: 5\r\n\r\nhello",
    "GET / HTTP/3.0\r\n\r\n",
};

static void count_done(void *ctx)
{
    struct fx *f = ctx;
    f->server_done++;
    f->server = NULL;
}

enum what { CLOSE, DRAIN, DRAIN_AND_CLOSE };

/* n bytes of the script, then some turns, then the end. */
static void run(const char *script, size_t n, int turns, enum what what)
{
    struct fx f;
    struct fx_client c;
    const struct str part = str_of(script, n);

    fx_open(&f, NULL);
    fx_connect(&f, &c);
    assert_int_equal(stream_write(c.stream, &part, 1), 0);
    fx_turns(&f, turns);
    if (what != CLOSE) {
        http_server_drain(f.server);
        fx_turns(&f, 3);
        while (f.n_held != 0) {
            fx_answer(&f, "drained");
            fx_turns(&f, 4);
        }
    }
    if (what == DRAIN) {
        /* What was under way is answered, the rest is cut by the head or body timeout. */
        fx_advance(&f, 31000);
        assert_int_equal(f.server->n_conns, 0);
        assert_int_equal(http_server_n_active(f.server), 0);
        assert_true(c.ended);
    }
    if (turns % 2 == 1) {
        stream_close(c.stream);
    }
    http_server_close(f.server, count_done, &f);
    while (f.n_held != 0) {
        fx_answer(&f, "too late");
    }
    fx_advance(&f, 50);
    assert_int_equal(f.server_done, 1);
    assert_true(c.ended || c.closed);
    if (c.stream != NULL) {
        stream_close(c.stream);
    }
    fx_close(&f);
    buf_fini(&c.got);
}

static void all(enum what what)
{
    for (size_t i = 0; i < LL_COUNT(scripts); i++) {
        const size_t len = strlen(scripts[i]);
        for (size_t n = 0; n <= len; n += len - n < 8 || n < 8 ? 1 : 5) {
            for (int turns = 0; turns < 5; turns++) {
                run(scripts[i], n, turns, what);
            }
        }
    }
}

static void test_close(void **state)
{
    (void)state;
    all(CLOSE);
}

static void test_drain(void **state)
{
    (void)state;
    all(DRAIN);
}

static void test_drain_and_close(void **state)
{
    (void)state;
    all(DRAIN_AND_CLOSE);
}

/* What drain promises to clients. */
static void test_drain_answers(void **state)
{
    struct fx f;
    struct fx_client idle;
    struct fx_client busy;
    struct fx_client half;
    struct fx_client fresh;
    struct fx_client late;
    (void)state;
    fx_open(&f, NULL);
    fx_connect(&f, &idle);
    fx_send(&f, &idle, "GET /sync HTTP/1.1\r\n" FX_H "\r\n");
    fx_connect(&f, &busy);
    fx_send(&f, &busy, "GET /later HTTP/1.1\r\n" FX_H "\r\n");
    fx_connect(&f, &half);
    fx_send(&f, &half, "POST /sync HTTP/1.1\r\n" FX_H "Content-Length: 4\r\n\r\nab");
    fx_connect(&f, &fresh);
    fx_turns(&f, 2);
    assert_int_equal(http_server_n_active(f.server), 2);

    http_server_drain(f.server);
    fx_connect(&f, &late); /* accepted just before the listener closed */
    fx_turns(&f, 6);
    assert_true(idle.ended);
    assert_true(fresh.ended);
    assert_int_equal(fx_status(&late), 503);
    assert_true(late.ended);
    assert_false(busy.ended);
    assert_false(half.ended);
    fx_send(&f, &half, "cd");
    assert_true(fx_has(&half, "Connection: close\r\n"));
    assert_true(fx_has(&half, "POST /sync [abcd]"));
    assert_true(half.ended);
    assert_int_equal(http_server_n_active(f.server), 1);
    fx_answer(&f, "done");
    assert_int_equal(http_server_n_active(f.server), 0);
    fx_turns(&f, 6);
    assert_true(fx_has(&busy, "Connection: close\r\n"));
    assert_true(busy.ended);
    assert_int_equal(f.server->n_conns, 0);
    fx_disconnect(&f, &idle);
    fx_disconnect(&f, &busy);
    fx_disconnect(&f, &half);
    fx_disconnect(&f, &fresh);
    fx_disconnect(&f, &late);
    fx_close(&f);
}

/* `done` waits for handlers, and replies after close go nowhere. */
static void test_close_waits_for_replies(void **state)
{
    struct fx f;
    struct fx_client c[3];
    (void)state;
    fx_open(&f, NULL);
    for (int i = 0; i < 3; i++) {
        fx_connect(&f, &c[i]);
        fx_send(&f, &c[i], "GET /later HTTP/1.1\r\n" FX_H "\r\n");
    }
    http_server_close(f.server, count_done, &f);
    for (int i = 0; i < 3; i++) {
        fx_advance(&f, 100);
        assert_int_equal(f.server_done, 0);
        assert_true(c[i].ended);
        fx_answer(&f, "to nowhere");
        assert_int_equal(f.server_done, 0);
    }
    fx_advance(&f, 100);
    assert_int_equal(f.server_done, 1);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(c[i].got.n, 0);
        fx_disconnect(&f, &c[i]);
    }
    fx_close(&f);
}

/* The handler itself closes the server, from each of its callbacks. */
enum where { IN_HEAD, IN_HEAD_REFUSING, IN_REQUEST, AFTER_REPLY, IN_ERROR };

struct suicidal {
    struct fx *f;
    enum where where;
};

static void close_here(struct suicidal *s, enum where where)
{
    if (s->where == where && !s->f->server->is_closing) {
        http_server_close(s->f->server, count_done, s->f);
    }
}

static int suicidal_head(void *ctx, struct http_request *rq, int64_t *max_body,
                         struct http_reply *refusal)
{
    struct suicidal *s = ctx;
    (void)rq;
    (void)max_body;
    close_here(s, IN_HEAD);
    close_here(s, IN_HEAD_REFUSING);
    refusal->status = 403;
    return s->where == IN_HEAD_REFUSING ? ERR_DENIED : 0;
}

static void suicidal_request(void *ctx, struct http_request *rq)
{
    struct suicidal *s = ctx;
    const struct http_reply rp = {.status = 200};
    close_here(s, IN_REQUEST);
    http_reply(rq, &rp);
    close_here(s, AFTER_REPLY);
}

static void suicidal_error(void *ctx, int status, struct arena *a, struct http_reply *out)
{
    struct suicidal *s = ctx;
    (void)status;
    (void)a;
    (void)out;
    close_here(s, IN_ERROR);
}

static void test_handler_closes(void **state)
{
    (void)state;
    for (int where = IN_HEAD; where <= IN_ERROR; where++) {
        struct fx f;
        struct fx_client c;
        struct suicidal s = {.f = &f, .where = (enum where)where};
        fx_open(&f, NULL);
        f.server->handler = (struct http_handler){
            .on_head = suicidal_head,
            .on_request = suicidal_request,
            .on_protocol_error = suicidal_error,
            .ctx = &s,
        };
        fx_connect(&f, &c);
        fx_send(&f, &c,
                where == IN_ERROR ? "GET / HTTP/9.9\r\n\r\n"
                                  : "POST / HTTP/1.1\r\n" FX_H "Content-Length: 1\r\n\r\nx"
                                    "GET / HTTP/1.1\r\n" FX_H "\r\n");
        fx_advance(&f, 100);
        assert_int_equal(f.server_done, 1);
        assert_true(c.ended);
        fx_disconnect(&f, &c);
        fx_close(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_close),
        cmocka_unit_test(test_drain),
        cmocka_unit_test(test_drain_and_close),
        cmocka_unit_test(test_drain_answers),
        cmocka_unit_test(test_close_waits_for_replies),
        cmocka_unit_test(test_handler_closes),
    };
    return cmocka_run_group_tests_name("http_server_close", tests, NULL, NULL);
}
