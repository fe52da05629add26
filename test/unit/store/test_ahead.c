/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks ahead of the files' ends, files that somebody takes away, and an index that stays in
 * proportion to the journal. */
#include "fixture.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/journal/ahead.h"
#include "store/store_internal.h"

#define MIB    ((uint64_t)1024 * 1024)
#define PAGE   4096U
#define ENOUGH (1024 * MIB)
#define N_LATE 100U

static uint64_t blocks_on_disk(const struct fixture *f, const char *name)
{
    char path[160];
    struct stat st;
    fx_path(f, path, name);
    assert_int_equal(stat(path, &st), 0);
    return (uint64_t)st.st_blocks * 512;
}

/* The journal without the threads of a store, which take blocks by themselves. */
static void open_alone(const struct fixture *f, struct env *e)
{
    char dir[160];
    struct err_detail err = {0};
    const struct env_spec spec = {.dir = dir,
                                  .file = CRASH_JOURNAL,
                                  .assert_status = 1,
                                  .map_size = ENOUGH,
                                  .trees = journal_trees,
                                  .n_trees = N_JOURNAL_TREES};
    fx_path(f, dir, "journal");
    assert_int_equal(env_open(e, &spec, &err), 0);
}

static void test_blocks_are_there_at_the_next_start(void **state)
{
    struct fixture *f = *state;
    struct env e;
    char path[160];
    struct stat before;
    struct stat after;

    fx_open(f);
    fx_close(f);
    open_alone(f, &e);
    fx_path(f, path, "journal/data.mdb");
    assert_int_equal(stat(path, &before), 0);
    assert_false(ahead_take(&e, 128 * MIB, 64 * MIB)); /* the disk may not give so much */
    assert_true(ahead_take(&e, 128 * MIB, ENOUGH));
    assert_int_equal(ahead_blocks(&e), 128 * MIB);
    assert_true(blocks_on_disk(f, "journal/data.mdb") >= 128 * MIB);
    assert_int_equal(stat(path, &after), 0);
    assert_int_equal(after.st_size, before.st_size);
    env_close(&e);
    open_alone(f, &e);
    assert_true(ahead_blocks(&e) >= 127 * MIB);
    env_close(&e);
}

/* Without being asked for: some for either file, and more as they grow. */
static void test_a_store_takes_blocks_ahead(void **state)
{
    struct fixture *f = *state;

    fx_open(f);
    fx_commit(f);
    fx_indexed(f);
    fx_turns(f, 100);
    assert_true(blocks_on_disk(f, "journal/data.mdb") >= 2 * MIB);
    assert_true(blocks_on_disk(f, "index/data.mdb") >= 2 * MIB);
    for (size_t i = 0; i < 40; i++) {
        (void)fx_put_event(f, &(struct fx_event){.n_data = MIB});
        fx_commit(f);
        assert_true(blocks_on_disk(f, "journal/data.mdb") > env_file_bytes(&f->store->journal));
    }
}

/* Nobody asks whether there is room, and the disk gives no more: commits wait until deleting has
 * made room, and the file stays within the blocks it has. */
static void test_a_commit_waits_for_room(void **state)
{
    struct fixture *f = *state;
    uint64_t most;
    uint64_t last = 0;

    f->cfg.min_free_disk = (int64_t)(4 * MIB);
    fx_open(f);
    f->cfg.min_free_disk = INT64_MAX / 2;
    store_reload(f->store, &f->cfg);
    fx_commit(f);
    most = blocks_on_disk(f, "journal/data.mdb");
    assert_true(most < 40 * MIB);
    for (size_t i = 0; i < 200; i++) {
        last = fx_put_event(f, &(struct fx_event){.n_data = MIB});
        store_set_low(f->store, last);
        fx_commit(f);
        assert_true(env_file_bytes(&f->store->journal) <= most);
    }
    assert_int_equal(f->n_fatal, 0);
    assert_int_equal(blocks_on_disk(f, "journal/data.mdb"), most);
    assert_true(store_get_stats(f->store)->purged_events > 100);
}

static bool is_fatal(struct fixture *f)
{
    return f->n_fatal != 0;
}

static void assert_stops(struct fixture *f)
{
    (void)fx_put_event(f, &(struct fx_event){.n_data = 100});
    fx_until(f, is_fatal);
    assert_int_equal(f->n_fatal, 1);
    assert_non_null(strstr(f->fatal.msg, "deleted, replaced or moved away"));
    assert_int_equal(store_admit(f->store, 10, 0), ERR_BUSY);
}

static void test_journal_unlinked(void **state)
{
    struct fixture *f = *state;
    char path[160];
    fx_open(f);
    fx_commit(f);
    fx_path(f, path, "journal/data.mdb");
    assert_int_equal(unlink(path), 0);
    assert_stops(f);
}

static void test_journal_replaced(void **state)
{
    struct fixture *f = *state;
    char path[160];
    char aside[160];
    FILE *other;
    fx_open(f);
    fx_commit(f);
    fx_path(f, path, "journal/data.mdb");
    fx_path(f, aside, "journal/aside");
    assert_int_equal(rename(path, aside), 0);
    other = fopen(path, "wx");
    assert_non_null(other);
    (void)fclose(other);
    assert_stops(f);
    assert_int_equal(unlink(aside), 0);
}

static void test_directory_moved_away(void **state)
{
    struct fixture *f = *state;
    char path[160];
    char aside[160];
    fx_open(f);
    fx_commit(f);
    fx_path(f, path, "journal");
    fx_path(f, aside, "elsewhere");
    assert_int_equal(rename(path, aside), 0);
    assert_stops(f);
    assert_int_equal(rename(aside, path), 0);
}

static bool index_is_back(struct fixture *f)
{
    char path[160];
    struct stat st;
    fx_path(f, path, "index/data.mdb");
    return stat(path, &st) == 0 && store_index_ready(f->store);
}

/* The index is derived: it is made anew and the lists are whole. */
static void test_index_unlinked(void **state)
{
    struct fixture *f = *state;
    char path[160];
    fx_open(f);
    for (size_t i = 0; i < 500; i++) {
        (void)fx_put_event(f, &(struct fx_event){.n_data = 100});
    }
    fx_commit(f);
    fx_indexed(f);
    fx_path(f, path, "index/data.mdb");
    assert_int_equal(unlink(path), 0);
    fx_until(f, index_is_back);
    assert_int_equal(f->n_fatal, 0);
    assert_int_equal(fx_count(f, STORE_EVENTS, "t1", NULL), 500);
}

/* ---- the index in proportion ---- */

static size_t rows_of(const struct env *e, size_t tree)
{
    MDB_txn *txn;
    MDB_stat st;
    assert_int_equal(mdb_txn_begin(e->mdb, NULL, MDB_RDONLY, &txn), 0);
    assert_int_equal(mdb_stat(txn, e->dbi[tree], &st), 0);
    mdb_txn_abort(txn);
    return st.ms_entries;
}

static bool is_in_proportion(struct fixture *f)
{
    const size_t n_attempts = rows_of(&f->store->journal, TREE_AT);
    return rows_of(&f->store->index.env, TREE_EA) < n_attempts + n_attempts / 2 + 1000 &&
           atomic_load(&f->store->gauges.index.used) < MIB + n_attempts * 200;
}

static bool has_purged(struct fixture *f)
{
    return store_get_stats(f->store)->purged_attempts > 50000;
}

/* An old event stays pending while attempts at it are made and deleted, thousands of them. */
static void test_index_rows_go_beside_a_pending_event(void **state)
{
    struct fixture *f = *state;
    uint64_t pending;
    uint64_t first;
    uint64_t last = 0;

    f->cfg.max_size = (int64_t)(16 * MIB);
    fx_open(f);
    pending = fx_put_event(f, &(struct fx_event){.n_data = 100});
    store_put_retry(f->store, &(struct retry_record){.event_seq = pending, .dest_num = 1});
    first = fx_put_attempt(f, pending, "t1", "first", ATTEMPT_SUCCESS);
    store_set_low(f->store, store_next_seq(f->store));
    for (size_t i = 0; i < 150000; i++) {
        const char *dest = i >= 150000 - N_LATE ? "late" : i % 2 == 0 ? "a" : "b";
        last = fx_put_attempt(f, pending, "t1", dest, ATTEMPT_FAILED);
        if (i % 500 == 0) {
            fx_commit(f);
        }
    }
    fx_commit(f);
    fx_until(f, has_purged); /* a fast machine is ahead of the deleting */
    assert_true(first < last);
    fx_until(f, is_in_proportion);
    /* What the journal has is still found. */
    fx_indexed(f);
    assert_int_equal(fx_count(f, STORE_ATTEMPTS, "t1", "late"), N_LATE);
    assert_int_equal(fx_count(f, STORE_ATTEMPTS, "t1", "a"), 5000); /* as many as were asked for */
    assert_true(fx_count(f, STORE_EVENTS, "t1", NULL) >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, fx_setup, fx_teardown)
        T(test_blocks_are_there_at_the_next_start),
        T(test_a_store_takes_blocks_ahead),
        T(test_a_commit_waits_for_room),
        T(test_journal_unlinked),
        T(test_journal_replaced),
        T(test_directory_moved_away),
        T(test_index_unlinked),
        T(test_index_rows_go_beside_a_pending_event),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
