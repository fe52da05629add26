/* SPDX-License-Identifier: Apache-2.0 */
/* Deleting by age and by size, what is protected from it, and the levels of a full store. */
#include "fixture.h"

#include "store/store_internal.h"

#define MIB    ((int64_t)1024 * 1024)
#define DAY_MS ((int64_t)24 * 3600 * 1000)

static size_t rows(struct fixture *f, enum journal_tree tree)
{
    MDB_txn *txn;
    MDB_stat st;
    assert_int_equal(mdb_txn_begin(f->store->journal.mdb, NULL, MDB_RDONLY, &txn), 0);
    assert_int_equal(mdb_stat(txn, f->store->journal.dbi[tree], &st), 0);
    mdb_txn_abort(txn);
    return st.ms_entries;
}

static bool has_event(struct fixture *f, uint64_t seq)
{
    struct event_record e;
    assert_int_equal(store_read_begin(f->store), 0);
    const int rc = store_get_event(f->store, seq, &f->arena, &e);
    store_read_end(f->store);
    arena_reset(&f->arena);
    return rc == 0;
}

/* All but what somebody is still to get. */
static bool owed_is_left(struct fixture *f)
{
    return rows(f, TREE_EV) == 303 && rows(f, TREE_AT) == 2 && rows(f, TREE_RT) == 301 &&
           rows(f, TREE_IK) == 1;
}

static bool old_is_gone(struct fixture *f)
{
    return rows(f, TREE_EV) == 3 && rows(f, TREE_AT) == 2 && rows(f, TREE_BD) == 0 &&
           rows(f, TREE_RT) == 1 && rows(f, TREE_IK) == 1;
}

static bool index_is_swept(struct fixture *f)
{
    MDB_txn *txn;
    MDB_stat ea;
    MDB_stat id;
    (void)fx_put_attempt(f, 1, "other", "d",
                         ATTEMPT_SUCCESS); /* gives the thread something to do */
    fx_commit(f);
    fx_indexed(f);
    assert_int_equal(mdb_txn_begin(f->store->index.env.mdb, NULL, MDB_RDONLY, &txn), 0);
    assert_int_equal(mdb_stat(txn, f->store->index.env.dbi[TREE_EA], &ea), 0);
    assert_int_equal(mdb_stat(txn, f->store->index.env.dbi[TREE_ID], &id), 0);
    mdb_txn_abort(txn);
    return id.ms_entries == 1 && ea.ms_entries < 100;
}

static void test_age(void **state)
{
    struct fixture *f = *state;
    uint64_t owed[300];
    uint64_t seq = 0;

    fx_open(f);
    for (size_t i = 0; i < 1500; i++) {
        const char *id = i == 7 ? "custom" : NULL;
        seq = fx_put_event(f, &(struct fx_event){.id = id, .n_data = i % 10 == 0 ? 20000 : 100});
        (void)fx_put_attempt(f, seq, "t1", "d", ATTEMPT_FAILED);
        if (i % 5 == 0) {
            owed[i / 5] = seq;
            store_put_retry(f->store, &(struct retry_record){.event_seq = seq, .dest_num = 1});
        }
        if (i == 7) {
            store_put_idempotency(f->store, STR("t1"), STR("custom"), seq);
        }
    }
    fx_commit(f);
    fx_indexed(f);
    assert_int_equal(fx_count(f, STORE_EVENTS, "t1", NULL), 1500);
    store_set_low(f->store, seq + 1); /* as long as nothing is published, attempts are above it */
    fx_commit(f);
    fx_pass(f, DAY_MS / 4);
    fx_turns(f, 1200); /* the purge has seen them all */
    fx_pass(f, 8 * DAY_MS);
    for (size_t i = 0; i < 3; i++) {
        const char *id = i == 0 ? "custom" : NULL;
        seq = fx_put_event(f, &(struct fx_event){.id = id, .n_data = 100});
        if (i < 2) {
            (void)fx_put_attempt(f, seq, "t1", "d", ATTEMPT_SUCCESS);
        }
    }
    store_put_retry(f->store, &(struct retry_record){.event_seq = seq, .dest_num = 1});
    store_put_idempotency(f->store, STR("t1"), STR("custom"), seq);
    fx_commit(f);
    fx_until(f, owed_is_left);
    for (size_t i = 0; i < 300; i++) {
        assert_true(has_event(f, owed[i]));
        store_del_retry(f->store, owed[i], 1);
    }
    fx_commit(f);
    fx_until(f, old_is_gone);
    assert_int_equal(store_get_stats(f->store)->purged_events, 1500);
    assert_int_equal(store_get_stats(f->store)->purged_attempts, 1500);
    assert_int_equal(fx_count(f, STORE_EVENTS, "t1", NULL), 3);
    assert_int_equal(fx_count(f, STORE_ATTEMPTS, "t1", NULL), 2);
    fx_until(f, index_is_swept);
    assert_int_equal(fx_count(f, STORE_EVENTS, "t1", NULL), 3);
    fx_close(f);
    fx_open(f);
    assert_int_equal(fx_count(f, STORE_EVENTS, "t1", NULL), 3);
}

static bool is_below_high(struct fixture *f)
{
    return store_get_level(f->store) < STORE_LEVEL_HIGH;
}

/* Above the mark resolved events go, oldest first; pending ones stay however old they are. */
static void test_size(void **state)
{
    struct fixture *f = *state;
    uint64_t parked[5];
    uint64_t young = 0;
    uint64_t first;

    f->cfg.max_size = 12 * MIB;
    fx_open(f);
    first = fx_put_event(f, &(struct fx_event){.n_data = 1000});
    (void)fx_put_attempt(f, first, "t1", "d", ATTEMPT_SUCCESS);
    for (size_t i = 0; i < 5; i++) {
        parked[i] = fx_put_event(f, &(struct fx_event){.n_data = i % 2 == 0 ? 1000 : 9000});
        store_put_retry(f->store, &(struct retry_record){.event_seq = parked[i], .dest_num = 3});
        (void)fx_put_attempt(f, parked[i], "t1", "d", ATTEMPT_FAILED);
    }
    for (size_t i = 0; i < 4000; i++) {
        young = fx_put_event(f, &(struct fx_event){.n_data = 4000 + i % 3000});
        (void)fx_put_attempt(f, young, "t1", "d", ATTEMPT_SUCCESS);
        if (i % 50 == 0) {
            store_set_low(f->store, young);
            fx_commit(f);
            fx_turns(f, 10);
        }
    }
    fx_commit(f);
    fx_until(f, is_below_high);
    assert_false(has_event(f, first));
    for (size_t i = 0; i < 5; i++) {
        assert_true(has_event(f, parked[i]));
    }
    assert_true(has_event(f, young));
    assert_true(store_get_stats(f->store)->purged_events > 1000);
    assert_true(rows(f, TREE_AT) >= rows(f, TREE_EV) - 50);
    /* Attempts go with their events, those of pending events stay. */
    struct attempt_record at;
    assert_int_equal(store_read_begin(f->store), 0);
    assert_int_equal(store_last_attempt(f->store, parked[0], STR("d"), &f->arena, &at), 0);
    assert_int_equal(store_last_attempt(f->store, first, STR("d"), &f->arena, &at), ERR_NOT_FOUND);
    store_read_end(f->store);
}

static bool is_full(struct fixture *f)
{
    return store_get_level(f->store) == STORE_LEVEL_FULL;
}

static void put_mib(struct fixture *f, size_t n, uint64_t *last)
{
    for (size_t i = 0; i < n * 16; i++) {
        *last = fx_put_event(f, &(struct fx_event){.n_data = 65000});
    }
    fx_commit(f);
}

/* Nothing may be deleted: publishes are refused; attempts go on; even above STOP the purge gets
 * the store back to work as soon as something is resolved. */
static void test_levels(void **state)
{
    struct fixture *f = *state;
    uint64_t last = 0;

    f->cfg.max_size = 32 * MIB;
    fx_open(f);
    assert_int_equal(store_get_level(f->store), STORE_LEVEL_OK);
    while (store_admit(f->store, 65000, 0) == 0) {
        put_mib(f, 1, &last);
    }
    assert_int_equal(store_admit(f->store, 65000, 0), ERR_FULL);
    fx_until(f, is_full);
    (void)fx_put_attempt(f, last, "t1", "d", ATTEMPT_SUCCESS);
    fx_commit(f);
    while (store_get_level(f->store) != STORE_LEVEL_STOP) {
        put_mib(f, 1, &last); /* nobody asks store_admit */
    }
    (void)fx_put_attempt(f, last, "t1", "d", ATTEMPT_SUCCESS);
    store_set_low(f->store, last);
    fx_commit(f);
    fx_until(f, is_below_high);
    assert_int_equal(store_admit(f->store, 65000, 0), 0);
    assert_true(has_event(f, last));
    /* A quota that is raised at run time, and one that is lowered. */
    f->cfg.max_size = 8 * MIB;
    store_reload(f->store, &f->cfg);
    assert_int_equal(store_get_level(f->store), STORE_LEVEL_STOP);
    fx_until(f, is_below_high);
}

static void test_disk(void **state)
{
    struct fixture *f = *state;
    f->cfg.min_free_disk = (int64_t)1 << 60; /* no disk has that */
    fx_open(f);
    assert_int_equal(store_admit(f->store, 1000000, 0), ERR_FULL);
    f->cfg.min_free_disk = 0;
    store_reload(f->store, &f->cfg);
    assert_int_equal(store_admit(f->store, 100, 0), 0);
    f->cfg.max_pending_bytes = 10000;
    store_reload(f->store, &f->cfg);
    (void)fx_put_event(f, &(struct fx_event){.n_data = 9000});
    assert_int_equal(store_admit(f->store, 9000, 0), ERR_BUSY);
    fx_commit(f);
    assert_int_equal(store_admit(f->store, 9000, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, fx_setup, fx_teardown)
        T(test_age),
        T(test_size),
        T(test_levels),
        T(test_disk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
