/* SPDX-License-Identifier: Apache-2.0 */
/* What many requests at once may take: of a turn of the loop, and of memory. */
#include "server_fixture.h"

#include <stdio.h>

#define N_READS 10
#define BODY    60000

/* Without a turn of the loop: all of it is there when the next one comes. */
static void put(struct fx_client *c, const char *text)
{
    const struct str part = str_c(text);
    assert_int_equal(stream_write(c->stream, &part, 1), 0);
}

static size_t n_answered(const struct fx_client *c, size_t n)
{
    size_t answered = 0;
    for (size_t i = 0; i < n; i++) {
        answered += fx_status(&c[i]) == 200 ? 1 : 0;
    }
    return answered;
}

/* /long takes LONG_MS of the clock. A turn has room for two, by its share of 5 ms; the test's turns
 * are two of the loop's, before the poll and after it. */
static void test_long_reads_take_turns(void **state)
{
    struct fx f;
    struct fx_client c[N_READS];
    struct fx_client writer;
    size_t before = 0;
    unsigned n_turns = 0;
    (void)state;
    fx_open(&f, NULL);
    for (size_t i = 0; i < N_READS; i++) {
        fx_connect(&f, &c[i]);
    }
    fx_connect(&f, &writer);
    for (size_t i = 0; i < N_READS; i++) {
        put(&c[i], "GET /long HTTP/1.1\r\n" FX_H "\r\n");
    }
    put(&writer, "POST /sync HTTP/1.1\r\n" FX_H "Content-Length: 2\r\n\r\nhi");
    while (fx_status(&writer) == 0) {
        fx_turns(&f, 1);
        n_turns++;
        assert_true(n_turns < 100);
    }
    assert_true(n_answered(c, N_READS) < N_READS); /* a write does not wait for all the reads */
    for (before = n_answered(c, N_READS); before < N_READS; n_turns++) {
        fx_turns(&f, 1);
        const size_t now = n_answered(c, N_READS);
        assert_true(now - before <= 4);
        assert_true(n_turns < 100);
        for (size_t i = 1; i < N_READS; i++) { /* in order of arrival */
            assert_true(fx_status(&c[i - 1]) != 0 || fx_status(&c[i]) == 0);
        }
        before = now;
    }
    assert_true(n_turns >= 3);
    assert_int_equal(f.server->n_active, 0);
    for (size_t i = 0; i < N_READS; i++) {
        fx_disconnect(&f, &c[i]);
    }
    fx_disconnect(&f, &writer);
    assert_int_equal(f.server->held, 0);
    fx_close(&f);
}

/* A client that goes while its request waits. */
static void test_gone_while_waiting(void **state)
{
    struct fx f;
    struct fx_client c[N_READS];
    (void)state;
    fx_open(&f, NULL);
    for (size_t i = 0; i < N_READS; i++) {
        fx_connect(&f, &c[i]);
    }
    for (size_t i = 0; i < N_READS; i++) {
        put(&c[i], "GET /long HTTP/1.1\r\n" FX_H "\r\n");
    }
    while (list_empty(&f.server->by_state[CONN_WAITING])) {
        fx_turns(&f, 1);
    }
    for (size_t i = 0; i < N_READS; i++) {
        if (c[i].stream != NULL) {
            stream_close(c[i].stream);
        }
    }
    fx_turns(&f, 30);
    assert_int_equal(f.server->n_conns, 0);
    assert_int_equal(f.server->n_active, 0);
    for (size_t i = 0; i < N_READS; i++) {
        fx_disconnect(&f, &c[i]);
    }
    fx_close(&f);
}

static void send_body(struct fx *f, struct fx_client *c)
{
    static char body[BODY];
    char head[100];
    (void)snprintf(head, sizeof(head), "POST /later HTTP/1.1\r\n" FX_H "Content-Length: %d\r\n\r\n",
                   BODY);
    fx_connect(f, c);
    fx_send(f, c, head);
    fx_send_n(f, c, body, sizeof(body));
}

/* Requests that the handler has may take half of the memory; the next ones wait for it. */
static void test_memory_of_requests(void **state)
{
    struct fx f;
    struct fx_client c[4];
    (void)state;
    fx_open(&f, NULL);
    f.server->max_held = (size_t)BODY * 5;
    for (size_t i = 0; i < LL_COUNT(c); i++) {
        send_body(&f, &c[i]);
    }
    assert_int_equal(f.n_held, 3); /* at the third, two were less than half */
    assert_true(f.server->handled >= 3 * (size_t)BODY && f.server->held > f.server->handled);
    fx_answer(&f, "one");
    fx_turns(&f, 4);
    assert_int_equal(fx_status(&c[0]), 200);
    assert_int_equal(f.n_held, 3); /* the fourth */
    for (size_t i = 1; i < LL_COUNT(c); i++) {
        fx_answer(&f, "more");
        fx_turns(&f, 4);
        assert_int_equal(fx_status(&c[i]), 200);
    }
    assert_int_equal(f.server->handled, 0);
    for (size_t i = 0; i < LL_COUNT(c); i++) {
        fx_disconnect(&f, &c[i]);
    }
    assert_int_equal(f.server->held, 0);
    fx_close(&f);
}

/* However little there is, one request goes on after the other; what cannot wait is told so. */
static void test_hardly_any_memory(void **state)
{
    struct fx f;
    struct fx_client c[3];
    (void)state;
    fx_open(&f, NULL);
    f.server->max_held = (size_t)BODY + 10000;
    for (size_t i = 0; i < LL_COUNT(c); i++) {
        send_body(&f, &c[i]);
    }
    assert_int_equal(f.n_held, 1);
    assert_int_equal(fx_status(&c[1]), 503);
    assert_int_equal(fx_status(&c[2]), 503);
    assert_true(f.server->held <= f.server->max_held);
    fx_answer(&f, "one");
    fx_turns(&f, 4);
    assert_int_equal(fx_status(&c[0]), 200);
    for (size_t i = 0; i < LL_COUNT(c); i++) {
        fx_disconnect(&f, &c[i]);
    }
    fx_close(&f);
}

/* Idle connections give up what they keep before a client that is slow is cut off. */
static void test_idle_ones_make_room(void **state)
{
    static char piece[40000];
    struct fx f;
    struct fx_client idle;
    struct fx_client slow;
    (void)state;
    fx_open(&f, NULL);
    fx_connect(&f, &idle);
    fx_send(&f, &idle, "POST /sync HTTP/1.1\r\n" FX_H "Content-Length: 40000\r\n\r\n");
    fx_send_n(&f, &idle, piece, sizeof(piece));
    assert_int_equal(fx_status(&idle), 200);
    assert_int_equal(list_empty(&f.server->by_state[CONN_IDLE]), false);
    assert_true(f.server->held > 16000);
    f.server->max_held = 60000;
    fx_connect(&f, &slow);
    fx_send(&f, &slow, "POST /sync HTTP/1.1\r\n" FX_H "Content-Length: 50000\r\n\r\n");
    fx_send_n(&f, &slow, piece, sizeof(piece));
    assert_int_equal(slow.got.n, 0);
    assert_int_equal(list_empty(&f.server->by_state[CONN_COLD]), false);
    assert_true(f.server->held <= f.server->max_held);
    fx_forget(&idle);
    fx_send(&f, &idle, "GET /sync HTTP/1.1\r\n" FX_H "\r\n"); /* it works on */
    assert_int_equal(fx_status(&idle), 200);
    fx_disconnect(&f, &idle);
    fx_disconnect(&f, &slow);
    fx_close(&f);
}

/* A client that was answered for good and does not go costs nothing but its connection. */
static void test_the_end_gives_memory_back(void **state)
{
    static char piece[40000];
    struct fx f;
    struct fx_client c;
    (void)state;
    fx_open(&f, NULL);
    fx_connect(&f, &c);
    stream_read_stop(c.stream);
    fx_send(&f, &c, "POST /sync HTTP/1.1\r\n" FX_H "Content-Length: 50000\r\n\r\n");
    fx_send_n(&f, &c, piece, sizeof(piece));
    assert_true(f.server->held > 50000);
    fx_advance(&f, 31000);
    assert_int_equal(f.server->n_conns, 1); /* it has not taken its 408 */
    assert_true(f.server->held < 1000);
    fx_disconnect(&f, &c);
    assert_int_equal(f.server->held, 0);
    fx_close(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_long_reads_take_turns),
        cmocka_unit_test(test_gone_while_waiting),
        cmocka_unit_test(test_memory_of_requests),
        cmocka_unit_test(test_hardly_any_memory),
        cmocka_unit_test(test_idle_ones_make_room),
        cmocka_unit_test(test_the_end_gives_memory_back),
    };
    return cmocka_run_group_tests_name("http_server_turn", tests, NULL, NULL);
}
