/* SPDX-License-Identifier: Apache-2.0 */
/* Damaged files: the index is rebuilt, a damaged record is reported and nothing else suffers. */
#include "fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/index/postings.h"
#include "store/store_internal.h"

#define N 500

static const char *const one[] = {"d"};

static void fill(struct fixture *f, uint64_t seqs[N])
{
    for (size_t i = 0; i < N; i++) {
        seqs[i] = fx_put_event(
            f, &(struct fx_event){.n_data = 100 + 20 * i, .dests = one, .n_dests = i % 2});
        (void)fx_put_attempt(f, seqs[i], "t1", "d", i % 3 == 0 ? ATTEMPT_FAILED : ATTEMPT_SUCCESS);
    }
    fx_commit(f);
}

static void check_all(struct fixture *f)
{
    assert_int_equal(fx_count(f, STORE_EVENTS, NULL, "d"), N / 2);
    assert_int_equal(fx_count(f, STORE_ATTEMPTS, NULL, "d"), N);
    assert_int_equal(fx_count(f, STORE_EVENTS, NULL, NULL), N);
}

/* Fills a store, closes it, does the damage, and expects right answers before and after rebuild. */
static void with_index_damage(struct fixture *f,
                              void (*damage)(struct fixture *f, const char *path))
{
    uint64_t seqs[N];
    char path[160];

    fx_path(f, path, "index/data.mdb");
    fx_open(f);
    fill(f, seqs);
    fx_indexed(f);
    check_all(f);
    fx_close(f);
    damage(f, path);
    fx_open(f);
    check_all(f);
    (void)fx_put_event(f, &(struct fx_event){.n_data = 10, .dests = one, .n_dests = 1});
    fx_commit(f);
    fx_turns(f, 300); /* the feed meets the damage, when the query has not */
    fx_indexed(f);
    assert_int_equal(fx_count(f, STORE_EVENTS, NULL, "d"), N / 2 + 1);
    assert_int_equal(f->store->index.upto[STORE_EVENTS] != 0, 1);
}

static void delete_file(struct fixture *f, const char *path)
{
    (void)f;
    assert_int_equal(unlink(path), 0);
}

static void truncate_file(struct fixture *f, const char *path)
{
    struct stat st;
    (void)f;
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(truncate(path, st.st_size / 2 / 4096 * 4096), 0);
}

static void truncate_to_nothing(struct fixture *f, const char *path)
{
    (void)f;
    assert_int_equal(truncate(path, 100), 0);
}

static void overwrite(const char *path, off_t from, int byte)
{
    unsigned char page[4096];
    struct stat st;
    const int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    memset(page, byte, sizeof(page));
    for (off_t at = from; at < st.st_size; at += 4096) {
        assert_int_equal(pwrite(fd, page, sizeof(page), at), sizeof(page));
    }
    (void)close(fd);
}

static void overwrite_head(struct fixture *f, const char *path)
{
    (void)f;
    overwrite(path, 0, 0x5a);
}

static void zero_pages(struct fixture *f, const char *path)
{
    (void)f;
    overwrite(path, 8192, 0);
}

/* Opens one tree of a closed environment for the test to write to. */
struct raw {
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
};
static void raw_open(struct raw *r, const struct fixture *f, const char *dir, const char *tree)
{
    char path[160];
    fx_path(f, path, dir);
    assert_int_equal(mdb_env_create(&r->env), 0);
    assert_int_equal(mdb_env_set_maxdbs(r->env, 8), 0);
    assert_int_equal(mdb_env_open(r->env, path, 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(r->env, NULL, 0, &r->txn), 0);
    assert_int_equal(mdb_dbi_open(r->txn, tree, 0, &r->dbi), 0);
}
static void raw_close(struct raw *r)
{
    assert_int_equal(mdb_txn_commit(r->txn), 0);
    mdb_env_close(r->env);
}
/* Flips a bit in every value at the offset, or of the one under `only`. */
static void raw_flip(struct raw *r, size_t offset, const uint64_t *only)
{
    MDB_cursor *cur;
    MDB_val key;
    MDB_val value;
    assert_int_equal(mdb_cursor_open(r->txn, r->dbi, &cur), 0);
    while (mdb_cursor_get(cur, &key, &value, MDB_NEXT) == 0) {
        unsigned char bytes[8192];
        MDB_val v = {.mv_size = value.mv_size, .mv_data = bytes};
        if (value.mv_size > sizeof(bytes) || offset >= value.mv_size ||
            (only != NULL && get_be64(key.mv_data) != *only)) {
            continue;
        }
        memcpy(bytes, value.mv_data, value.mv_size);
        bytes[offset] ^= 4;
        assert_int_equal(mdb_cursor_put(cur, &key, &v, MDB_CURRENT), 0);
    }
    mdb_cursor_close(cur);
}

static void flip_postings(struct fixture *f, const char *path)
{
    struct raw r;
    (void)path;
    raw_open(&r, f, "index", "po");
    raw_flip(&r, POSTING_HEAD + 3, NULL);
    raw_close(&r);
}

static void other_identity(struct fixture *f, const char *path)
{
    struct raw r;
    (void)path;
    raw_open(&r, f, "index", "mt");
    assert_int_equal(meta_put(r.txn, r.dbi, META_IDENTITY, "0123456789abcdef", 16), 0);
    raw_close(&r);
}

static void other_format(struct fixture *f, const char *path)
{
    struct raw r;
    (void)path;
    raw_open(&r, f, "index", "mt");
    assert_int_equal(meta_put(r.txn, r.dbi, META_FORMAT, "\0\0\0\x63", 4), 0);
    raw_close(&r);
}

#define INDEX_TEST(damage)                                                                         \
    static void test_index_##damage(void **state)                                                  \
    {                                                                                              \
        with_index_damage(*state, damage);                                                         \
    }
INDEX_TEST(delete_file)
INDEX_TEST(truncate_file)
INDEX_TEST(truncate_to_nothing)
INDEX_TEST(overwrite_head)
INDEX_TEST(zero_pages)
INDEX_TEST(flip_postings)
INDEX_TEST(other_identity)
INDEX_TEST(other_format)

/* ---- the journal ---- */

static int count_event(void *ctx, const struct event_record *e)
{
    (void)e;
    (*(size_t *)ctx)++;
    return 0;
}

static void test_damaged_records(void **state)
{
    struct fixture *f = *state;
    uint64_t seqs[N];
    struct raw r;
    struct event_record e;
    size_t n = 0;

    fx_open(f);
    fill(f, seqs);
    fx_indexed(f);
    fx_close(f);
    raw_open(&r, f, "journal", "ev");
    raw_flip(&r, 60, &seqs[10]);    /* in the head */
    raw_flip(&r, 200, &seqs[20]);   /* in the data */
    raw_flip(&r, 4000, &seqs[300]); /* in the data of a record with chunks */
    raw_close(&r);
    fx_open(f);
    assert_int_equal(store_read_begin(f->store), 0);
    for (size_t i = 0; i < N; i++) {
        const bool damaged = i == 10 || i == 20 || i == 300;
        assert_int_equal(store_get_event(f->store, seqs[i], &f->arena, &e),
                         damaged ? ERR_CORRUPT : 0);
    }
    store_read_end(f->store);
    assert_int_equal(fx_count(f, STORE_EVENTS, NULL, NULL), N - 3);
    assert_int_equal(fx_count(f, STORE_ATTEMPTS, NULL, NULL), N);
    assert_int_equal(store_each_event(f->store, 0, count_event, NULL, &n), 0);
    assert_int_equal(n, N - 1); /* heads are read without data */
}

static void test_missing_chunk(void **state)
{
    struct fixture *f = *state;
    struct raw r;
    struct event_record e;
    unsigned char bytes[KEY_CHUNK];
    MDB_val key = val_of(bytes, sizeof(bytes));
    uint64_t seq;

    fx_open(f);
    seq = fx_put_event(f, &(struct fx_event){.n_data = 20000});
    fx_close(f);
    raw_open(&r, f, "journal", "bd");
    key_chunk(bytes, seq, 2);
    assert_int_equal(mdb_del(r.txn, r.dbi, &key, NULL), 0);
    raw_close(&r);
    fx_open(f);
    assert_int_equal(store_read_begin(f->store), 0);
    assert_int_equal(store_get_event(f->store, seq, &f->arena, &e), ERR_CORRUPT);
    store_read_end(f->store);
}

static void test_journal_format(void **state)
{
    struct fixture *f = *state;
    struct err_detail err;
    struct raw r;

    fx_open(f);
    fx_close(f);
    raw_open(&r, f, "journal", "mt");
    assert_int_equal(meta_put(r.txn, r.dbi, META_FORMAT, "\0\0\0\x63", 4), 0);
    raw_close(&r);
    assert_int_equal(fx_try_open(f, &err), ERR_VERSION);
    assert_non_null(strstr(err.msg, "99"));
}

static void test_journal_truncated(void **state)
{
    struct fixture *f = *state;
    struct err_detail err;
    uint64_t seqs[N];
    char path[160];

    fx_open(f);
    fill(f, seqs);
    fx_close(f);
    fx_path(f, path, "journal/data.mdb");
    truncate_file(f, path);
    assert_int_equal(fx_try_open(f, &err), ERR_CORRUPT);
    truncate_to_nothing(f, path);
    assert_int_equal(fx_try_open(f, &err), ERR_CORRUPT);
}

static void test_unusable_directory(void **state)
{
    struct fixture *f = *state;
    struct err_detail err;
    char path[160];
    int fd;

    fx_path(f, path, "file");
    fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    (void)close(fd);
    f->cfg.data_dir = path;
    assert_true(fx_try_open(f, &err) < 0);
    fx_path(f, path, "no/such/parent");
    assert_true(fx_try_open(f, &err) < 0);
    assert_true(err.msg[0] != '\0');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, fx_setup, fx_teardown)
        T(test_index_delete_file),
        T(test_index_truncate_file),
        T(test_index_truncate_to_nothing),
        T(test_index_overwrite_head),
        T(test_index_zero_pages),
        T(test_index_flip_postings),
        T(test_index_other_identity),
        T(test_index_other_format),
        T(test_damaged_records),
        T(test_missing_chunk),
        T(test_journal_format),
        T(test_journal_truncated),
        T(test_unusable_directory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
