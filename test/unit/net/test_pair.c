/* SPDX-License-Identifier: Apache-2.0 */
/* The in-memory pair keeps the contract of streams, so that tests on it mean something. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "peer.h"
#include "test_wait.h"

#define WAIT_MS 30000

struct fixture {
    struct loop *l;
    struct peer a;
    struct peer b;
};

static void open_fixture(struct fixture *f)
{
    assert_int_equal(loop_open(&f->l, NULL), 0);
    peer_init(&f->a, f->l);
    peer_init(&f->b, f->l);
    struct stream *a = NULL;
    struct stream *b = NULL;
    stream_pair(f->l, &a, &b);
    peer_take(&f->a, a);
    peer_take(&f->b, b);
}

static void close_fixture(struct fixture *f)
{
    peer_fini(&f->a);
    peer_fini(&f->b);
    loop_free(f->l);
}

static void delivers_on_the_next_turn(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);
    f.b.echo = true;
    assert_int_equal(peer_send(&f.a, "hello"), 0);
    assert_int_equal(f.b.n_data, 0);
    assert_int_equal(stream_pending(f.a.s), 5);
    assert_true(peer_wait_bytes(&f.a, 5, WAIT_MS));
    assert_memory_equal(f.a.got.p, "hello", 5);
    assert_int_equal(stream_pending(f.a.s), 0);
    assert_int_equal(f.a.n_drain, 1);
    close_fixture(&f);
}

static void close_ends_the_other_side_after_its_bytes(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);
    assert_int_equal(peer_send(&f.a, "bye"), 0);
    stream_close_graceful(f.a.s);
    assert_true(peer_wait_end(&f.b, WAIT_MS));
    assert_int_equal(f.b.n_got, 3);
    assert_int_equal(f.b.end_err, 0);
    assert_int_equal(peer_send(&f.b, "x"), ERR_RESET);
    close_fixture(&f);
}

static void close_with_unread_input_resets(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);
    assert_int_equal(peer_send(&f.a, "unread"), 0);
    stream_close(f.b.s);
    assert_true(peer_wait_end(&f.a, WAIT_MS));
    assert_int_equal(f.a.end_err, ERR_RESET);
    close_fixture(&f);
}

static void pauses_hold_data_back(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);
    f.b.keep = false;
    f.b.stop_every = 100;
    f.b.stop_at = 100;
    static char data[300000];
    pattern_fill(data, sizeof(data), 0);
    const struct str part = str_of(data, sizeof(data));
    assert_int_equal(stream_write(f.a.s, &part, 1), 0);
    assert_true(peer_wait_bytes(&f.b, sizeof(data), WAIT_MS));
    assert_int_equal(f.b.sum, pattern_sum(sizeof(data)));
    close_fixture(&f);
}

static void close_at_every_step(void **state)
{
    (void)state;
    for (int turns = 0; turns < 6; turns++) {
        struct fixture f;
        open_fixture(&f);
        f.b.echo = true;
        assert_int_equal(peer_send(&f.a, "ping"), 0);
        for (int i = 0; i < turns; i++) {
            (void)loop_turn(f.l, false);
        }
        stream_close(f.a.s);
        stream_close(f.a.s);
        assert_int_equal(f.a.n_closed, 0);
        close_fixture(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delivers_on_the_next_turn),
        cmocka_unit_test(close_ends_the_other_side_after_its_bytes),
        cmocka_unit_test(close_with_unread_input_resets),
        cmocka_unit_test(pauses_hold_data_back),
        cmocka_unit_test(close_at_every_step),
    };
    return cmocka_run_group_tests_name("net_pair", tests, NULL, NULL);
}
