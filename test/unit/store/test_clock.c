/* SPDX-License-Identifier: Apache-2.0 */
/* A wall clock that is wrong deletes nothing, and leaves no row behind for ever. */
#include "fixture.h"

#include "store/store_internal.h"

#define HOUR_MS ((int64_t)3600 * 1000)
#define DAY_MS  (24 * HOUR_MS)
#define YEAR_MS (365 * DAY_MS)

/* ---- the clock by itself ---- */

static void test_follows(void **state)
{
    struct steady t;
    (void)state;
    steady_init(&t, 1000000, 500, 0);
    assert_int_equal(steady_now(&t, 1000100, 600), 1000100);
    assert_int_equal(steady_now(&t, 1010200, 700), 1000300); /* no faster than twice */
    assert_int_equal(steady_now(&t, 1000300, 800), 1000300); /* and never back while near */
    assert_int_equal(steady_now(&t, 1000300, 700), 1000300);
    assert_int_equal(steady_now(&t, 1010300, 10800), 1010300);
}

static void test_steps(void **state)
{
    const int64_t start = YEAR_MS;
    struct steady t;
    (void)state;
    steady_init(&t, start, 0, start - HOUR_MS);
    assert_int_equal(steady_now(&t, start + DAY_MS, 1000), start + 1000);
    assert_int_equal(steady_now(&t, start + DAY_MS + HOUR_MS / 2, HOUR_MS / 2),
                     start + HOUR_MS / 2);
    /* Another step, after half of the time: it begins anew. */
    assert_int_equal(steady_now(&t, start + 9 * DAY_MS, HOUR_MS), start + HOUR_MS);
    assert_int_equal(steady_now(&t, start + 9 * DAY_MS + HOUR_MS / 2, HOUR_MS + HOUR_MS / 2),
                     start + HOUR_MS + HOUR_MS / 2);
    assert_int_equal(steady_now(&t, start + 9 * DAY_MS + HOUR_MS, 2 * HOUR_MS),
                     start + 9 * DAY_MS + HOUR_MS);
    /* Back, for a moment and for long. */
    assert_int_equal(steady_now(&t, start, 2 * HOUR_MS + 1), start + 9 * DAY_MS + HOUR_MS + 1);
    assert_int_equal(steady_now(&t, start + 9 * DAY_MS + HOUR_MS + 2, 2 * HOUR_MS + 2),
                     start + 9 * DAY_MS + HOUR_MS + 2);
    (void)steady_now(&t, start, 3 * HOUR_MS);
    assert_int_equal(steady_now(&t, start + HOUR_MS, 4 * HOUR_MS), start + HOUR_MS);
}

static void test_start(void **state)
{
    struct steady t;
    (void)state;
    steady_init(&t, YEAR_MS, 0, YEAR_MS - HOUR_MS);
    assert_int_equal(steady_now(&t, YEAR_MS, 0), YEAR_MS);
    steady_init(&t, YEAR_MS, 0, 2 * YEAR_MS); /* behind what is stored: nothing gets old by it */
    assert_int_equal(steady_now(&t, YEAR_MS, 0), YEAR_MS);
    steady_init(&t, YEAR_MS, 0, DAY_MS);
    assert_int_equal(steady_now(&t, YEAR_MS, 0), DAY_MS);
    assert_int_equal(steady_now(&t, YEAR_MS + HOUR_MS, HOUR_MS), YEAR_MS + HOUR_MS);
}

/* Rows that were written while the seqs ran ahead go by their own age, a quarter late at most. */
static void test_ages(void **state)
{
    const int64_t retention = 8 * HOUR_MS;
    const uint64_t first = SEQ_FROM_MS(10 * YEAR_MS);
    unsigned char bytes[AGES_BYTES];
    struct ages a = {0};
    int64_t now = YEAR_MS;
    (void)state;

    assert_false(ages_note(&a, SEQ_FROM_MS(now), now, retention));
    for (uint64_t i = 0; i < 4000; i++) { /* one row a minute */
        const int64_t late = 2 * HOUR_MS + 60000;
        uint64_t cutoff;
        now = YEAR_MS + (int64_t)i * 60000;
        (void)ages_note(&a, first + i, now, retention);
        ages_write(&a, bytes);
        ages_read(&a, bytes);
        cutoff = ages_cutoff(&a, now, retention);
        if ((int64_t)i * 60000 > retention + late) {
            assert_true(cutoff > first + i - (uint64_t)((retention + late) / 60000));
            assert_true(cutoff <= first + i - (uint64_t)(retention / 60000) + 1);
        }
    }
    assert_false(ages_note(&a, first + 3999, now + HOUR_MS / 2, retention)); /* no new rows */
    assert_true(ages_note(&a, first + 3999, 10 * YEAR_MS, retention)); /* not ahead any more */
    assert_int_equal(a.n, 0);
}

/* ---- in a store ---- */

static uint64_t put(struct fixture *f, const char *id)
{
    const uint64_t seq = fx_put_event(f, &(struct fx_event){.id = id, .n_data = 100});
    store_put_idempotency(f->store, STR("t1"), str_c(id), seq);
    store_put_retry(f->store, &(struct retry_record){.event_seq = seq, .dest_num = 1});
    fx_commit(f);
    return seq;
}

static bool has(struct fixture *f, uint64_t seq)
{
    struct event_record e;
    assert_int_equal(store_read_begin(f->store), 0);
    const int rc = store_get_event(f->store, seq, &f->arena, &e);
    store_read_end(f->store);
    arena_reset(&f->arena);
    return rc == 0;
}

/* Long enough for the purge to see the clock and to act. */
static void settle(struct fixture *f)
{
    fx_turns(f, 600);
    (void)put(f, "tick");
    fx_turns(f, 600);
}

static void test_moment_in_the_future(void **state)
{
    struct fixture *f = *state;
    uint64_t seq;
    uint64_t within;

    fx_open(f);
    seq = put(f, "a");
    f->step_ms = 10 * YEAR_MS;
    loop_refresh(f->loop);
    within = put(f, "b");
    settle(f);
    f->step_ms = 0;
    settle(f);
    assert_true(has(f, seq));
    assert_int_equal(fx_find_idempotency(f->store, STR("t1"), STR("a")), seq);
    assert_int_equal(store_get_stats(f->store)->purged_events, 0);
    assert_true(SEQ_MS(within) - SEQ_MS(seq) < HOUR_MS); /* no seq went there either */
}

static void test_start_in_the_future(void **state)
{
    struct fixture *f = *state;
    uint64_t seq;

    fx_open(f);
    seq = put(f, "a");
    fx_close(f);
    f->step_ms = 10 * YEAR_MS;
    fx_open(f);
    settle(f);
    assert_true(has(f, seq));
    assert_int_equal(fx_find_idempotency(f->store, STR("t1"), STR("a")), seq);
    f->shift_ms = 2 * HOUR_MS; /* it stays: then it is the time */
    settle(f);
    settle(f);
    assert_false(has(f, seq));
    assert_int_equal(fx_find_idempotency(f->store, STR("t1"), STR("a")), 0);
}

/* Nothing happened for days, but the store knows when it was closed. */
static void test_orderly_end_counts(void **state)
{
    struct fixture *f = *state;
    uint64_t seq;

    fx_open(f);
    seq = put(f, "a");
    f->shift_ms = 6 * DAY_MS + 12 * HOUR_MS;
    settle(f);
    assert_true(has(f, seq));
    fx_close(f);
    f->shift_ms += 20 * HOUR_MS;
    fx_open(f);
    settle(f);
    assert_false(has(f, seq));
}

static void believe(struct fixture *f)
{
    settle(f);
    f->shift_ms += 2 * HOUR_MS;
    settle(f);
}

/* Wrong for hours, then put right: seqs stay ahead, also over a restart. */
static void test_seqs_ahead(void **state)
{
    struct fixture *f = *state;
    uint64_t old;
    uint64_t young;

    fx_open(f);
    (void)put(f, "first");
    f->step_ms = 100 * DAY_MS;
    believe(f);
    old = put(f, "old");
    f->step_ms = 0;
    believe(f);
    fx_close(f);
    fx_open(f);
    assert_true(put(f, "b") > old);
    assert_true(SEQ_MS(old) > loop_wall_ms(f->loop) + 90 * DAY_MS);
    settle(f);
    f->shift_ms += 8 * DAY_MS;
    young = put(f, "young");
    settle(f);
    assert_false(has(f, old));
    assert_true(has(f, young));
    f->shift_ms += 10 * DAY_MS;
    settle(f);
    assert_false(has(f, young));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, fx_setup, fx_teardown)
        cmocka_unit_test(test_follows), cmocka_unit_test(test_steps), cmocka_unit_test(test_start),
        cmocka_unit_test(test_ages),    T(test_moment_in_the_future), T(test_start_in_the_future),
        T(test_orderly_end_counts),     T(test_seqs_ahead),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
