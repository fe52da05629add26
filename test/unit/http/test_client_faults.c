/* SPDX-License-Identifier: Apache-2.0 */
/* Peers that misbehave, and what the attempt is told. */
#include "client_peer.h"

#include <stdio.h>
#include <string.h>

#include "longline/check.h"
#include "longline/mem.h"
#include "test_sockets.h"

#define BIG_BODY (7u << 20) /* beyond BOUNDED_MAX, within STREAM_MAX_PENDING */

enum act { ANSWER, CLOSE, RESET, HALF_HEAD_CLOSE, HALF_BODY_CLOSE, HALF_BODY_RESET, SILENCE };

/* What is done with the n-th request of each connection, and how many connections do it. */
struct script {
    enum act first;       /* first request of a connection */
    enum act second;      /* second one */
    enum act later_conns; /* first request of every connection but the first */
};

static void act(struct peer_conn *pc, enum act a)
{
    switch (a) {
    case ANSWER:
        peer_send(pc, OK_RESPONSE);
        return;
    case CLOSE:
        peer_close(pc);
        return;
    case RESET:
        peer_reset(pc);
        return;
    case HALF_HEAD_CLOSE:
        peer_send(pc, "HTTP/1.1 200 O");
        peer_close(pc);
        return;
    case HALF_BODY_CLOSE:
        peer_send(pc, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
        peer_close(pc);
        return;
    case HALF_BODY_RESET:
        peer_send(pc, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
        return; /* the test resets */
    case SILENCE:
        return;
    }
}

static void play(struct peer *p, struct peer_conn *pc, struct str request)
{
    const struct script *s = p->ctx;
    (void)request;
    if (pc != &p->conns[0]) {
        act(pc, s->later_conns);
    } else {
        act(pc, pc->n_requests == 1 ? s->first : s->second);
    }
}

static void use_script(struct world *w, struct script *s)
{
    w->peer.on_request = play;
    w->peer.ctx = s;
}

static void test_idle_connection_closed_by_server(void **state)
{
    struct world *w = *state;
    struct outcome o[2] = {{0}, {0}};
    post(w, &o[0], "x");
    world_wait(w, &o[0]);
    world_wait_stats(w, 1, 1);
    peer_close(&w->peer.conns[0]);
    world_wait_stats(w, 0, 0);
    post(w, &o[1], "x");
    world_wait(w, &o[1]);
    assert_ok(&o[1]);
    assert_false(o[1].reused);
}

static void test_idle_connection_reset(void **state)
{
    struct world *w = *state;
    struct outcome o = {0};
    post(w, &o, "x");
    world_wait(w, &o);
    peer_reset(&w->peer.conns[0]);
    world_wait_stats(w, 0, 0);
}

static void test_stray_byte_on_idle_connection(void **state)
{
    struct world *w = *state;
    struct outcome o = {0};
    post(w, &o, "x");
    world_wait(w, &o);
    peer_send(&w->peer.conns[0], "H");
    world_wait_stats(w, 0, 0);
}

/* The server lets the second request in and then closes or resets: retried once, unseen. */
static void test_race_on_reuse(void **state)
{
    struct world *w = *state;
    static const enum act rows[] = {CLOSE, RESET};
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        struct script s = {.first = ANSWER, .second = rows[i], .later_conns = ANSWER};
        struct outcome o[2] = {{0}, {0}};
        struct http_client_stats before;
        struct http_client_stats after;

        use_script(w, &s);
        http_client_stats(w->client, &before);
        post(w, &o[0], "x");
        world_wait(w, &o[0]);
        post(w, &o[1], "x");
        world_wait(w, &o[1]);
        assert_ok(&o[1]);
        assert_false(o[1].reused);
        world_wait_stats(w, 1, 1);
        http_client_stats(w->client, &after);
        assert_int_equal(after.opened - before.opened, 2);
        assert_int_equal(after.reused - before.reused, 1);
        /* Start over with a first connection. */
        peer_close(&w->peer.conns[1]);
        world_wait_stats(w, 0, 0);
        for (size_t k = 0; k < w->peer.n_conns; k++) {
            mem_free(w->peer.conns[k].in);
        }
        w->peer.n_conns = 0;
    }
}

/* The close is already in the kernel when the request is written. */
static void test_race_with_close_under_way(void **state)
{
    struct world *w = *state;
    for (int i = 0; i < 2; i++) {
        struct outcome o[2] = {{0}, {0}};
        post(w, &o[0], "x");
        world_wait(w, &o[0]);
        const int last = w->peer.last_conn;
        if (i == 0) {
            peer_close(&w->peer.conns[last]);
        } else {
            peer_reset(&w->peer.conns[last]);
        }
        post(w, &o[1], "x"); /* no turn in between */
        world_wait(w, &o[1]);
        assert_ok(&o[1]);
        assert_false(o[1].reused);
    }
}

static void test_retry_happens_once(void **state)
{
    struct world *w = *state;
    struct script s = {.first = ANSWER, .second = CLOSE, .later_conns = CLOSE};
    struct outcome o[2] = {{0}, {0}};
    use_script(w, &s);
    post(w, &o[0], "x");
    world_wait(w, &o[0]);
    post(w, &o[1], "x");
    world_wait(w, &o[1]);
    assert_error(&o[1], ERR_CLOSED);
    assert_int_equal(w->peer.n_requests, 3);
}

static void test_no_retry(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *name;
        struct script script;
        int n_requests; /* besides the first */
        int code;
    } rows[] = {
        {"fresh connection closed", {CLOSE, ANSWER, ANSWER}, 1, ERR_CLOSED},
        {"fresh connection reset", {RESET, ANSWER, ANSWER}, 1, ERR_RESET},
        {"after a byte of the head", {HALF_HEAD_CLOSE, ANSWER, ANSWER}, 1, ERR_CLOSED},
        {"after a byte of the body", {HALF_BODY_CLOSE, ANSWER, ANSWER}, 1, ERR_CLOSED},
    };
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        struct script s = {.later_conns = rows[i].script.first, .first = rows[i].script.first};
        struct outcome o = {0};
        const int before = w->peer.n_requests;
        use_script(w, &s);
        post(w, &o, "x");
        world_wait(w, &o);
        assert_error(&o, rows[i].code);
        world_settle(w, 3);
        assert_int_equal(w->peer.n_requests - before, rows[i].n_requests);
        world_wait_stats(w, 0, 0);
    }
}

static void test_no_retry_after_response_began(void **state)
{
    struct world *w = *state;
    struct script s = {.first = ANSWER, .second = HALF_HEAD_CLOSE, .later_conns = ANSWER};
    struct outcome o[2] = {{0}, {0}};
    use_script(w, &s);
    post(w, &o[0], "x");
    world_wait(w, &o[0]);
    post(w, &o[1], "x");
    world_wait(w, &o[1]);
    assert_error(&o[1], ERR_CLOSED);
    assert_true(o[1].reused);
    assert_int_equal(w->peer.n_requests, 2);
}

static void test_reset_within_response(void **state)
{
    struct world *w = *state;
    struct script s = {.first = HALF_BODY_RESET};
    struct outcome o = {0};
    use_script(w, &s);
    post(w, &o, "x");
    world_wait_n(w, &w->peer.n_requests, 1);
    world_settle(w, 5);
    assert_int_equal(o.n_done, 0);
    peer_reset(&w->peer.conns[0]);
    world_wait(w, &o);
    assert_error(&o, ERR_RESET);
    assert_non_null(strstr(o.err.msg, "within the response body"));
    world_wait_stats(w, 0, 0);
}

static void send_raw(struct peer *p, struct peer_conn *pc, struct str request)
{
    (void)request;
    peer_send(pc, p->ctx);
}

static void test_garbage(void **state)
{
    struct world *w = *state;
    static char rows[][120] = {
        "garbage\r\n\r\n",
        "\x16\x03\x01\x02",
        "HTTP/2.0 200 OK\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\nBad Header: x\r\n\r\n",
        "<html>502</html>",
    };
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        struct outcome o = {0};
        w->peer.on_request = send_raw;
        w->peer.ctx = rows[i];
        post(w, &o, "x");
        world_wait(w, &o);
        assert_error(&o, ERR_PROTO);
        world_wait_stats(w, 0, 0);
    }
}

static void test_huge_head(void **state)
{
    struct world *w = *state;
    struct outcome o = {0};
    static char text[6000];
    const int n = snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nX-Big: ");
    memset(text + n, 'h', sizeof(text) - 1 - (size_t)n);
    w->peer.on_request = send_raw;
    w->peer.ctx = text;
    post(w, &o, "x");
    world_wait(w, &o);
    assert_error(&o, ERR_TOO_BIG);
    world_wait_stats(w, 0, 0);
}

static void test_endless_body(void **state)
{
    struct world *w = *state;
    struct outcome o = {0};
    static char piece[1000];
    char head[] = "HTTP/1.1 200 OK\r\n\r\n";
    memset(piece, 'e', sizeof(piece) - 1);
    w->peer.on_request = send_raw;
    w->peer.ctx = head;
    post(w, &o, "x");
    world_wait_n(w, &w->peer.n_requests, 1);
    for (int i = 0; i < 1000 && o.n_done == 0; i++) {
        peer_send(&w->peer.conns[0], piece);
        world_step(w);
    }
    world_wait(w, &o);
    assert_ok(&o); /* by its status; the rest is not wanted */
    assert_true(o.truncated);
    world_wait_stats(w, 0, 0);
}

static void test_slow_dribble(void **state)
{
    struct world *w = *state;
    struct outcome o = {0};
    struct script s = {.first = SILENCE};
    w->cfg.total_timeout_ms = 150;
    w->cfg.first_byte_timeout_ms = 100;
    world_freeze(w);
    world_reload(w);
    use_script(w, &s);
    post(w, &o, "x");
    world_wait_n(w, &w->peer.n_requests, 1);
    peer_send(&w->peer.conns[0], "HTTP/1.1 200 OK\r\nX: ");
    world_wait_read(w);
    for (int ms = 0; ms < 140; ms += 10) {
        peer_send(&w->peer.conns[0], "d");
        world_wait_read(w);
        world_advance(w, 10);
    }
    assert_int_equal(o.n_done, 0);
    world_advance(w, 10);
    world_thaw(w);
    world_wait(w, &o);
    assert_error(&o, ERR_TIMEOUT);
    assert_non_null(strstr(o.err.msg, "150 ms"));
    assert_non_null(strstr(o.err.msg, "head"));
    world_wait_stats(w, 0, 0);
}

static void test_no_answer(void **state)
{
    struct world *w = *state;
    struct script s = {.first = ANSWER, .second = SILENCE};
    struct outcome o[2] = {{0}, {0}};
    world_freeze(w);
    w->cfg.first_byte_timeout_ms = 60;
    world_reload(w);
    use_script(w, &s);
    post(w, &o[0], "x");
    world_wait(w, &o[0]);
    post(w, &o[1], "x");
    world_wait_n(w, &w->peer.n_requests, 2);
    world_advance(w, 59);
    world_settle(w, 3);
    assert_int_equal(o[1].n_done, 0);
    world_advance(w, 1);
    world_thaw(w);
    world_wait(w, &o[1]);
    assert_error(&o[1], ERR_TIMEOUT); /* and no retry, although the connection was a used one */
    assert_non_null(strstr(o[1].err.msg, "60 ms"));
    assert_int_equal(w->peer.n_requests, 2);
}

static void test_request_with_own_timeout(void **state)
{
    struct world *w = *state;
    struct script s = {.first = SILENCE};
    struct outcome o = {0};
    char text[64];
    struct url url;
    use_script(w, &s);
    (void)snprintf(text, sizeof(text), "http://127.0.0.1:%u/", (unsigned)w->peer.port);
    assert_int_equal(url_parse(&url, str_c(text), NULL), 0);
    send_request(w, &o,
                 &(struct http_client_request){
                     .method = HTTP_METHOD_POST, .url = &url, .total_timeout_ms = 50});
    world_wait(w, &o);
    assert_error(&o, ERR_TIMEOUT);
    assert_true(o.raw.total_us >= 49000);
}

static char *big_body(void)
{
    char *body = mem_alloc(BIG_BODY + 1);
    memset(body, 'B', BIG_BODY);
    body[BIG_BODY] = '\0';
    return body;
}

/* The next request goes over a connection whose buffers are bounded at both ends. */
static void warm_up(struct world *w)
{
    struct outcome o = {0};
    post(w, &o, "x");
    world_wait(w, &o);
    world_wait_stats(w, 1, 1);
    test_sockets_bound(w->peer.port);
    w->is_large = true;
}

static void test_server_that_does_not_read(void **state)
{
    struct world *w = *state;
    struct outcome o = {0};
    char *body = big_body();
    w->cfg.write_timeout_ms = 60;
    warm_up(w);
    world_reload(w);
    w->peer.no_read = true;
    post(w, &o, body);
    world_wait(w, &o);
    assert_error(&o, ERR_TIMEOUT);
    assert_non_null(strstr(o.err.msg, "did not take the request"));
    mem_free(body);
}

/* As if a program had consumed what was read; how much it was, without the request's head. */
static size_t discard(struct peer_conn *pc)
{
    const char *const end = strstr(pc->in, "\r\n\r\n");
    const size_t n = pc->n_in - (end != NULL ? (size_t)(end - pc->in) + 4 : 0);
    pc->n_in = 0;
    pc->in[0] = '\0';
    return n;
}

/* Takes longer than the timeout to read the request, but never pauses for as long as that. */
static void test_slow_reader_is_not_cut_off(void **state)
{
    struct world *w = *state;
    struct outcome o = {0};
    char *body = big_body();
    struct peer_conn *pc = &w->peer.conns[0];
    size_t n_read = 0;
    const int64_t real_end = clock_mono_ms(clock_system()) + DEADLINE_MS;

    w->cfg.write_timeout_ms = 600;
    warm_up(w);
    world_reload(w);
    world_freeze(w);
    const int64_t start = w->frozen_ns;
    post(w, &o, body);
    while (n_read < BIG_BODY) {
        world_step(w);
        const size_t n = discard(pc);
        n_read += n;
        if (n != 0) { /* time goes by with what is read, at most 64 KiB each time */
            world_advance(w, 10);
        }
        assert_int_equal(o.n_done, 0);
        assert_true(clock_mono_ms(clock_system()) < real_end);
    }
    assert_true((w->frozen_ns - start) / 1000000 > w->cfg.write_timeout_ms);
    world_thaw(w);
    peer_send(pc, OK_RESPONSE);
    world_wait(w, &o);
    assert_ok(&o);
    mem_free(body);
}

static bool has_come(void *ctx)
{
    const struct world *w = ctx;
    return test_sockets_unread(w->peer.port) != 0;
}

static void test_early_response(void **state)
{
    struct world *w = *state;
    struct outcome o = {0};
    char *body = big_body();
    warm_up(w);
    w->peer.no_read = true;
    post(w, &o, body);
    world_until(w, has_come, w);
    peer_send(&w->peer.conns[0], "HTTP/1.1 413 Too Large\r\nContent-Length: 3\r\n\r\nbig");
    world_wait(w, &o);
    assert_int_equal(o.err.code, 0);
    assert_int_equal(o.status, 413);
    assert_string_equal(o.body, "big");
    world_wait_stats(w, 0, 0); /* half a request went over it */
    mem_free(body);
}

static void test_request_too_large(void **state)
{
    struct world *w = *state;
    struct outcome o = {0};
    const size_t n = STREAM_MAX_PENDING * 4; /* some of it goes into the socket at once */
    char *body = mem_alloc(n + 1);
    memset(body, 'B', n);
    body[n] = '\0';
    warm_up(w); /* on a used connection, where the request is sent from within the call */
    w->peer.no_read = true;
    post(w, &o, body);
    world_wait(w, &o);
    assert_error(&o, ERR_TOO_BIG);
    mem_free(body);
}

static void test_refused(void **state)
{
    struct world *w = *state;
    struct outcome o = {0};
    const uint16_t port = w->peer.port;
    w->peer.port = 1;
    post(w, &o, "x");
    world_wait(w, &o);
    w->peer.port = port;
    assert_error(&o, ERR_REFUSED);
    world_wait_stats(w, 0, 0);
}

static void test_blocked(void **state)
{
    struct world *w = *state;
    struct outcome o = {0};
    w->policy.allow_loopback = false;
    post(w, &o, "x");
    world_wait(w, &o);
    assert_error(&o, ERR_BLOCKED);
    assert_int_equal(w->peer.n_conns, 0);
}

static void test_https_without_tls(void **state)
{
    struct world *w = *state;
    struct outcome o = {0};
    struct url url;
    char text[64];
    (void)snprintf(text, sizeof(text), "https://127.0.0.1:%u/", (unsigned)w->peer.port);
    assert_int_equal(url_parse(&url, str_c(text), NULL), 0);
    send_request(w, &o, &(struct http_client_request){.method = HTTP_METHOD_GET, .url = &url});
    world_wait(w, &o);
    assert_error(&o, ERR_UNSUPPORTED);
}

#define WITH_WORLD(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORLD(test_idle_connection_closed_by_server),
        WITH_WORLD(test_idle_connection_reset),
        WITH_WORLD(test_stray_byte_on_idle_connection),
        WITH_WORLD(test_race_on_reuse),
        WITH_WORLD(test_race_with_close_under_way),
        WITH_WORLD(test_retry_happens_once),
        WITH_WORLD(test_no_retry),
        WITH_WORLD(test_no_retry_after_response_began),
        WITH_WORLD(test_reset_within_response),
        WITH_WORLD(test_garbage),
        WITH_WORLD(test_huge_head),
        WITH_WORLD(test_endless_body),
        WITH_WORLD(test_slow_dribble),
        WITH_WORLD(test_no_answer),
        WITH_WORLD(test_request_with_own_timeout),
        WITH_WORLD(test_server_that_does_not_read),
        WITH_WORLD(test_slow_reader_is_not_cut_off),
        WITH_WORLD(test_early_response),
        WITH_WORLD(test_request_too_large),
        WITH_WORLD(test_refused),
        WITH_WORLD(test_blocked),
        WITH_WORLD(test_https_without_tls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
