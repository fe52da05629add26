/* SPDX-License-Identifier: Apache-2.0 */
/* Clocks that are wrong delete nothing, and leave no row behind for ever. */
#include "fixture.h"

#include "store/store_internal.h"

#define HOUR_MS ((int64_t)3600 * 1000)
#define DAY_MS  (24 * HOUR_MS)
#define YEAR_MS (365 * DAY_MS)

/* ---- the clock of the seqs ---- */

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

/* ---- the age clock and its marks ---- */

static void test_age_clock(void **state)
{
    struct age_clock c;
    (void)state;
    age_clock_init(&c, 1000, 500);
    assert_int_equal(age_clock_now(&c, 500), 1000);
    assert_int_equal(age_clock_now(&c, 750), 1250);
    assert_int_equal(age_clock_now(&c, 750 + AGE_STEP_MAX_MS), 1250 + AGE_STEP_MAX_MS);
    /* A machine that was suspended, or a clock that jumps: forward, and back. */
    assert_int_equal(age_clock_now(&c, YEAR_MS), 1250 + 2 * AGE_STEP_MAX_MS);
    assert_int_equal(age_clock_now(&c, 10), 1250 + 2 * AGE_STEP_MAX_MS);
    assert_int_equal(age_clock_now(&c, 20), 1260 + 2 * AGE_STEP_MAX_MS);
}

static void over_disk(struct ages *a, int64_t now)
{
    unsigned char bytes[AGES_BYTES];
    ages_write(a, now, bytes);
    ages_read(a, bytes);
    assert_int_equal(a->saved_ms, now);
}

/* One row a minute: each goes late by a 32nd at most, and never early. */
static void test_ages(void **state)
{
    const int64_t retention = 8 * HOUR_MS;
    const int64_t late = retention / AGES_PARTS + 60000;
    struct ages a = {0};
    (void)state;

    assert_int_equal(ages_cutoff(&a, YEAR_MS, retention), 0);
    assert_false(ages_note(&a, 0, 0, retention)); /* there is no row */
    for (int64_t i = 0; i < 4000; i++) {
        const int64_t now = i * 60000;
        (void)ages_note(&a, (uint64_t)i + 1, now, retention);
        over_disk(&a, now);
        const int64_t cutoff = (int64_t)ages_cutoff(&a, now, retention);
        assert_true(cutoff <= i - retention / 60000 + 2 || cutoff == 0);
        if (now > retention + late) {
            assert_true(cutoff > i - (retention + late) / 60000);
        }
        assert_true(a.n <= AGES_PARTS + 2);
    }
    assert_false(ages_note(&a, 4000, 4000 * 60000, retention)); /* no new rows */
}

/* Shorter takes effect, longer deletes nothing early, and the marks never run out. */
static void test_retention_changes(void **state)
{
    const int64_t retentions[] = {HOUR_MS, 30 * DAY_MS, 60000, DAY_MS, YEAR_MS, 2 * HOUR_MS};
    struct ages a = {0};
    int64_t now = 0;
    uint64_t seq = 0;
    (void)state;

    for (size_t i = 0; i < LL_COUNT(retentions); i++) {
        const int64_t r = retentions[i];
        const int64_t stride = r / 100;
        for (int j = 0; j < 400; j++) {
            now += stride;
            seq = (uint64_t)now; /* a row tells when it was put */
            (void)ages_note(&a, seq, now, r);
            assert_true(a.n < AGES_MAX);
            assert_true((int64_t)ages_cutoff(&a, now, r) <= now - r + 1 ||
                        ages_cutoff(&a, now, r) == 0);
        }
        assert_true((int64_t)ages_cutoff(&a, now, r) >= now - r - r / 20 - 2000);
        assert_int_equal(ages_cutoff(&a, now, 2 * YEAR_MS), 0);
    }
}

/* ---- in a store ---- */

/* An event that is over. */
static uint64_t put(struct fixture *f, const char *id)
{
    const uint64_t seq = fx_put_event(f, &(struct fx_event){.id = id, .n_data = 100});
    store_put_idempotency(f->store, STR("t1"), str_c(id), seq);
    store_set_low(f->store, seq + 1);
    fx_commit(f);
    return seq;
}

static uint64_t put_owed(struct fixture *f, const char *id)
{
    const uint64_t seq = put(f, id);
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

/* The purge looks at the clock and acts: with a commit, when the last time is 100 ms ago. */
static void settle(struct fixture *f)
{
    for (int i = 0; i < 2; i++) {
        fx_turns(f, 110);
        assert_int_equal(store_put_object(f->store, STORE_TOPIC, STR("tick"), STR("")), 0);
        fx_commit(f);
    }
}

/* The marks stand a 32nd of the retention apart: first one is taken above all rows. */
static void grow_old(struct fixture *f, int64_t ms)
{
    fx_pass(f, DAY_MS / 4);
    settle(f);
    fx_pass(f, ms - DAY_MS / 4);
}

static void restart(struct fixture *f)
{
    fx_close(f);
    fx_open(f);
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

/* Five minutes fast, eight days back, right again: rows that are minutes old stay. */
static void test_fast_then_back(void **state)
{
    struct fixture *f = *state;
    uint64_t seqs[3];

    f->step_ms = HOUR_MS / 12;
    fx_open(f);
    seqs[0] = put(f, "a");
    settle(f);
    fx_close(f);
    f->step_ms = -8 * DAY_MS;
    fx_open(f);
    seqs[1] = put(f, "b");
    settle(f);
    fx_close(f);
    f->step_ms = 0;
    fx_open(f);
    seqs[2] = put(f, "c");
    settle(f);
    for (size_t i = 0; i < 3; i++) {
        assert_true(has(f, seqs[i]));
    }
    assert_int_equal(store_get_stats(f->store)->purged_events, 0);
    assert_int_equal(fx_find_idempotency(f->store, STR("t1"), STR("a")), seqs[0]);
    grow_old(f, 8 * DAY_MS); /* and leave when they are old */
    settle(f);
    assert_false(has(f, seqs[0]) || has(f, seqs[1]) || has(f, seqs[2]));
}

/* However far ahead the wall clock is, and for however long: only time that was run through
 * counts. */
static void test_start_in_the_future(void **state)
{
    struct fixture *f = *state;
    uint64_t seq;

    fx_open(f);
    seq = put(f, "a");
    settle(f);
    fx_close(f);
    f->step_ms = 10 * YEAR_MS;
    fx_open(f);
    settle(f);
    fx_pass(f, 2 * HOUR_MS);
    settle(f);
    assert_true(has(f, seq));
    assert_int_equal(fx_find_idempotency(f->store, STR("t1"), STR("a")), seq);
    fx_pass(f, 22 * HOUR_MS);
    assert_int_equal(fx_find_idempotency(f->store, STR("t1"), STR("a")), 0);
    fx_pass(f, 6 * DAY_MS);
    settle(f);
    assert_false(has(f, seq));
}

/* A time to live that was longer left the id in a bucket of the future, which is asked first. */
static void test_shorter_time_to_live(void **state)
{
    struct fixture *f = *state;
    uint64_t second;

    f->cfg.idempotency_ttl_ms = 24 * HOUR_MS;
    fx_open(f);
    (void)put(f, "a");
    f->cfg.idempotency_ttl_ms = HOUR_MS;
    store_reload(f->store, &f->cfg);
    fx_pass(f, HOUR_MS + HOUR_MS / 2);
    assert_int_equal(fx_find_idempotency(f->store, STR("t1"), STR("a")), 0);
    second = put(f, "a");
    assert_int_equal(fx_find_idempotency(f->store, STR("t1"), STR("a")), second);
    fx_pass(f, HOUR_MS / 2);
    assert_int_equal(fx_find_idempotency(f->store, STR("t1"), STR("a")), second);
    fx_pass(f, HOUR_MS);
    assert_int_equal(fx_find_idempotency(f->store, STR("t1"), STR("a")), 0);
}

static void test_down_time(void **state)
{
    struct fixture *f = *state;
    uint64_t seq;

    fx_open(f);
    seq = put(f, "a");
    settle(f);
    for (int i = 0; i < 3; i++) { /* six days and a half in pieces, a month down in each */
        fx_pass(f, 2 * DAY_MS + 4 * HOUR_MS);
        settle(f);
        assert_true(has(f, seq));
        fx_close(f);
        f->shift_ms += 30 * DAY_MS;
        fx_open(f);
        settle(f);
    }
    assert_true(has(f, seq));
    fx_pass(f, DAY_MS);
    settle(f);
    assert_false(has(f, seq));
}

static void test_monotonic_jumps(void **state)
{
    struct fixture *f = *state;
    uint64_t seq;

    fx_open(f);
    seq = put(f, "a");
    settle(f);
    for (int i = 0; i < 5; i++) {
        f->shift_ms += 100 * DAY_MS;
        settle(f);
    }
    assert_true(has(f, seq));
    assert_int_equal(fx_find_idempotency(f->store, STR("t1"), STR("a")), seq);
}

/* Too old, but owed, or not known to be over: not the store's to delete. */
static void test_owed(void **state)
{
    struct fixture *f = *state;
    uint64_t over;
    uint64_t owed;
    uint64_t fresh;

    fx_open(f);
    over = put(f, "over");
    owed = put_owed(f, "owed");
    fresh = fx_put_event(f, &(struct fx_event){.id = "fresh", .n_data = 9000});
    fx_commit(f);
    assert_int_equal(store_cutoff(f->store), 0);
    grow_old(f, 8 * DAY_MS);
    settle(f);
    assert_false(has(f, over));
    assert_true(has(f, owed));
    assert_true(has(f, fresh));
    assert_true(store_cutoff(f->store) > fresh);
    restart(f);
    (void)put(f, "moves low");
    settle(f);
    assert_true(has(f, owed));
    assert_false(has(f, fresh));
    store_del_retry(f->store, owed, 1);
    settle(f);
    assert_false(has(f, owed));
}

static void test_reload(void **state)
{
    struct fixture *f = *state;
    uint64_t seq;

    fx_open(f);
    seq = put(f, "a");
    settle(f);
    fx_pass(f, 2 * DAY_MS);
    f->cfg.retention_ms = 30 * DAY_MS;
    store_reload(f->store, &f->cfg);
    settle(f);
    fx_pass(f, 8 * DAY_MS);
    settle(f);
    assert_true(has(f, seq));
    f->cfg.retention_ms = 9 * DAY_MS;
    store_reload(f->store, &f->cfg);
    settle(f);
    assert_false(has(f, seq));
}

static void believe(struct fixture *f)
{
    (void)put(f, "before");
    fx_pass(f, 2 * HOUR_MS);
    (void)put(f, "after");
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
    restart(f);
    assert_true(put(f, "b") > old);
    assert_true(SEQ_MS(old) > loop_wall_ms(f->loop) + 90 * DAY_MS);
    settle(f);
    grow_old(f, 8 * DAY_MS);
    young = put(f, "young");
    settle(f);
    assert_false(has(f, old));
    assert_true(has(f, young));
    grow_old(f, 10 * DAY_MS);
    settle(f);
    assert_false(has(f, young));
}

/* Everything was purged, and the clock is set back: new seqs do not begin below the marks. */
static void test_empty_and_back(void **state)
{
    struct fixture *f = *state;
    uint64_t seq;

    fx_open(f);
    seq = put(f, "a");
    settle(f);
    fx_pass(f, 9 * DAY_MS);
    settle(f);
    (void)put(f, "b");
    settle(f);
    assert_false(has(f, seq));
    fx_close(f);
    f->step_ms = -YEAR_MS;
    fx_open(f);
    seq = put(f, "c");
    settle(f);
    assert_true(has(f, seq));
}

/* Turns the closed directory's only key into one of the first version, and forgets the clock. */
static void make_older(struct fixture *f, uint32_t hour, uint64_t seq)
{
    char path[160];
    unsigned char bytes[KEY_IDEM + SEAL_BYTES + 8];
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi mt;
    MDB_dbi ik;
    MDB_cursor *cur;
    MDB_val key = val_of("age", 3);
    MDB_val value;

    fx_path(f, path, "journal");
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, N_JOURNAL_TREES), 0);
    assert_int_equal(mdb_env_open(env, path, 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, "mt", 0, &mt), 0);
    assert_int_equal(mdb_dbi_open(txn, "ik", 0, &ik), 0);
    assert_int_equal(mdb_del(txn, mt, &key, NULL), 0);
    assert_int_equal(mdb_cursor_open(txn, ik, &cur), 0);
    assert_int_equal(mdb_cursor_get(cur, &key, &value, MDB_FIRST), 0);
    memcpy(bytes, key.mv_data, KEY_IDEM);
    assert_int_equal(mdb_cursor_del(cur, 0), 0);
    mdb_cursor_close(cur);
    put_be32(bytes, hour);
    put_be64(bytes + KEY_IDEM + SEAL_BYTES, seq);
    value_seal(bytes + KEY_IDEM, SEAL_BYTES + 8, "ik", str_of((const char *)bytes, KEY_IDEM));
    key = val_of(bytes, KEY_IDEM);
    value = val_of(bytes + KEY_IDEM, SEAL_BYTES + 8);
    assert_int_equal(mdb_put(txn, ik, &key, &value, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

/* A directory from before there was the age clock, opened with a wall clock that is wrong. */
static void test_older_format(void **state)
{
    struct fixture *f = *state;
    uint64_t seq;

    fx_open(f);
    seq = put(f, "a");
    fx_close(f);
    make_older(f, 500000, 77);
    f->step_ms = 100 * YEAR_MS;
    fx_open(f);
    assert_int_equal(fx_find_idempotency(f->store, STR("t1"), STR("a")), 77);
    settle(f);
    fx_pass(f, 23 * HOUR_MS);
    settle(f);
    assert_int_equal(fx_find_idempotency(f->store, STR("t1"), STR("a")), 77);
    fx_pass(f, 3 * HOUR_MS);
    assert_int_equal(fx_find_idempotency(f->store, STR("t1"), STR("a")), 0);
    assert_true(has(f, seq));
    fx_pass(f, 6 * DAY_MS + 12 * HOUR_MS);
    settle(f);
    assert_false(has(f, seq));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, fx_setup, fx_teardown)
        cmocka_unit_test(test_follows),
        cmocka_unit_test(test_steps),
        cmocka_unit_test(test_start),
        cmocka_unit_test(test_age_clock),
        cmocka_unit_test(test_ages),
        cmocka_unit_test(test_retention_changes),
        T(test_moment_in_the_future),
        T(test_fast_then_back),
        T(test_start_in_the_future),
        T(test_shorter_time_to_live),
        T(test_down_time),
        T(test_monotonic_jumps),
        T(test_owed),
        T(test_reload),
        T(test_seqs_ahead),
        T(test_empty_and_back),
        T(test_older_format),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
