/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/env.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "longline/check.h"
#include "longline/log.h"

#include "journal/ahead.h"
#include "record/schema.h"

#define ENV_MODE    0600
#define MIN_MAP     ((size_t)1024 * 1024)
#define MISSING_MAX 256U /* pages */
#define META_PAGES  2U
#define OWN_TREES   2U /* LMDB's: the free list and the names of the trees */
#define FREE_TREE   0U
#define LOCK_BYTES  8192 /* of LMDB's table of readers */

int path_join(char *out, const char *dir, const char *name)
{
    const int n = snprintf(out, ENV_PATH_MAX, "%s/%s", dir, name);
    return n > 0 && (size_t)n < ENV_PATH_MAX ? 0 : ERR_TOO_BIG;
}

int dir_sync(const char *path)
{
    const int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = 0;
    if (fd < 0) {
        return err_from_errno(errno);
    }
    if (fsync(fd) != 0) {
        rc = err_from_errno(errno);
    }
    (void)close(fd);
    return rc;
}

int dir_create(const char *path)
{
    char parent[ENV_PATH_MAX];
    if (mkdir(path, 0700) != 0) {
        struct stat st;
        const int e = errno;
        if (e == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
            return 0;
        }
        return err_from_errno(e);
    }
    if (path_join(parent, path, "..") != 0) {
        return ERR_TOO_BIG;
    }
    return dir_sync(parent);
}

/* LMDB maps this file and writes to it there: without blocks that would be a SIGBUS. */
static int make_lock_file(const char *dir)
{
    char path[ENV_PATH_MAX];
    int fd;
    int rc;

    if (path_join(path, dir, "lock.mdb") != 0) {
        return ENAMETOOLONG;
    }
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, ENV_MODE);
    if (fd < 0) {
        return errno;
    }
    rc = posix_fallocate(fd, 0, LOCK_BYTES);
    (void)close(fd);
    return rc == ENOSPC ? rc : 0;
}

/* Hexadecimal number at *p, which is moved behind it and behind one following character. */
static uintptr_t take_hex(const char **p)
{
    uintptr_t v = 0;
    for (;; (*p)++) {
        const char c = **p;
        if (c >= '0' && c <= '9') {
            v = v << 4 | (uintptr_t)(c - '0');
        } else if (c >= 'a' && c <= 'f') {
            v = v << 4 | (uintptr_t)(c - 'a' + 10);
        } else {
            break;
        }
    }
    if (**p != '\0') {
        (*p)++;
    }
    return v;
}

/* LMDB does not tell where it mapped the file, so the kernel is asked: the longest mapping of the
 * file. When there is none (no /proc), memory is simply not given back early. */
static void find_map(struct env *e, const char *path)
{
    char line[ENV_PATH_MAX + 128];
    char real[ENV_PATH_MAX];
    FILE *f = fopen("/proc/self/maps", "re");

    e->map = NULL;
    e->map_bytes = 0;
    if (f == NULL) {
        return;
    }
    if (realpath(path, real) != NULL) {
        const size_t n = strlen(real);
        while (fgets(line, (int)sizeof(line), f) != NULL) {
            const char *p = line;
            const size_t len = strcspn(line, "\n");
            const uintptr_t start = take_hex(&p);
            const uintptr_t end = take_hex(&p);
            if (len > n && memcmp(line + len - n, real, n) == 0 && line[len - n - 1] == ' ' &&
                end - start > e->map_bytes) {
                memcpy(&e->map, &start, sizeof(start));
                e->map_bytes = end - start;
            }
        }
    }
    (void)fclose(f);
}

/* A file that is shorter than its newest header says would raise SIGBUS where it is read. A few
 * pages may be missing in good order: LMDB does not write pages that a transaction took at the end
 * of the file and gave back. They are filled with a hole; were they in use after all, LMDB finds
 * pages of zeros and reports them. */
static int check_file(struct env *e, struct err_detail *err)
{
    MDB_envinfo info;
    MDB_stat pages;
    struct stat st;
    int fd = -1;
    off_t want;

    if (mdb_env_get_fd(e->mdb, &fd) != 0 || mdb_env_info(e->mdb, &info) != 0 ||
        mdb_env_stat(e->mdb, &pages) != 0 || fstat(fd, &st) != 0) {
        return err_set(err, ERR_IO, errno, "cannot examine the file");
    }
    e->page = pages.ms_psize;
    want = (off_t)(info.me_last_pgno + 1) * (off_t)e->page;
    if (st.st_size >= want) {
        return 0;
    }
    if (want - st.st_size > (off_t)(MISSING_MAX * e->page)) {
        return err_set(err, ERR_CORRUPT, 0, "the file is shorter than its header says");
    }
    if (ftruncate(fd, want) != 0) {
        return err_set(err, err_from_errno(errno), errno, "cannot extend the file");
    }
    return 0;
}

/* LMDB would abort, at every start again. Any thread; other threads may hold locks, so nothing is
 * closed: what was acknowledged is on disk. */
static void on_assert(MDB_env *mdb, const char *text)
{
    static const char *const files[N_CRASH_FILES] = {
        [CRASH_JOURNAL] = "journal/data.mdb", [CRASH_INDEX] = "index/data.mdb"};
    static const char *const remedies[N_CRASH_FILES] = {
        [CRASH_JOURNAL] = "restore the backup, or try: longline salvage OLD NEW",
        [CRASH_INDEX] = "start again: the index is rebuilt"};
    const struct env *e = mdb_env_get_userctx(mdb);

    crash_mark_set(e->file);
    log_error("store.damaged", LOG_CSTR("file", files[e->file]), LOG_CSTR("detail", text),
              LOG_CSTR("remedy", remedies[e->file]));
    _exit(e->assert_status);
}

static int open_trees(struct env *e, const struct env_spec *spec)
{
    MDB_txn *txn;
    int rc = mdb_txn_begin(e->mdb, NULL, 0, &txn);
    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; i < spec->n_trees; i++) {
        rc = mdb_dbi_open(txn, spec->trees[i], MDB_CREATE, &e->dbi[i]);
        if (rc != 0) {
            mdb_txn_abort(txn);
            return rc;
        }
    }
    return mdb_txn_commit(txn);
}

static int sync_new_file(const struct env *e, const char *dir)
{
    int fd = -1;
    if (mdb_env_get_fd(e->mdb, &fd) != 0 || fsync(fd) != 0) {
        return ERR_IO;
    }
    return dir_sync(dir);
}

int env_open(struct env *e, const struct env_spec *spec, struct err_detail *err)
{
    char path[ENV_PATH_MAX];
    int dead = 0;
    int rc;

    LL_ASSERT(spec->n_trees <= ENV_TREES_MAX);
    *e = (struct env){.file = spec->file, .assert_status = spec->assert_status};
    if (path_join(path, spec->dir, "data.mdb") != 0) {
        return err_set(err, ERR_TOO_BIG, 0, "the path is too long");
    }
    rc = dir_create(spec->dir);
    if (rc != 0) {
        return err_set(err, rc, 0, "cannot create %.100s: %s", spec->dir, err_text(rc));
    }
    rc = mdb_env_create(&e->mdb);
    if (rc != 0) {
        e->mdb = NULL;
        return err_set(err, err_from_mdb(rc), rc, "%s", mdb_strerror(rc));
    }
    if ((rc = make_lock_file(spec->dir)) != 0 || (rc = mdb_env_set_userctx(e->mdb, e)) != 0 ||
        (rc = mdb_env_set_assert(e->mdb, on_assert)) != 0 ||
        (rc = mdb_env_set_maxdbs(e->mdb, ENV_TREES_MAX)) != 0 ||
        (rc = mdb_env_set_mapsize(e->mdb, (spec->map_size < MIN_MAP ? MIN_MAP : spec->map_size) &
                                              ~(size_t)0xffff)) != 0 ||
        (rc = mdb_env_open(e->mdb, spec->dir, MDB_NOTLS | MDB_NORDAHEAD, ENV_MODE)) != 0) {
        goto err_mdb;
    }
    find_map(e, path);
    crash_mark_map(e->file, e->map, e->map_bytes);
    rc = check_file(e, err);
    if (rc != 0) {
        env_close(e);
        return rc;
    }
    rc = open_trees(e, spec);
    if (rc != 0) {
        goto err_mdb;
    }
    rc = sync_new_file(e, spec->dir);
    if (rc != 0) {
        env_close(e);
        return err_set(err, rc, 0, "cannot sync %.100s", spec->dir);
    }
    (void)mdb_reader_check(e->mdb, &dead);
    e->n_trees = spec->n_trees;
    ahead_init(e);
    return 0;

err_mdb:
    env_close(e);
    return err_set(err, err_from_mdb(rc), rc, "%.60s: %s", spec->dir, mdb_strerror(rc));
}

void env_close(struct env *e)
{
    if (e->usage_txn != NULL) {
        mdb_txn_abort(e->usage_txn);
    }
    if (e->mdb != NULL) {
        crash_mark_map(e->file, NULL, 0);
        mdb_env_close(e->mdb);
    }
    *e = (struct env){0};
}

struct readers {
    bool with_own;
    uint64_t oldest;
};

/* Lines of "pid thread txnid", below a heading; "-" for a reader that reads nothing. */
static int on_reader(const char *line, void *ctx)
{
    struct readers *r = ctx;
    struct str rest = str_of(line, strcspn(line, "\n"));
    struct str word = STR_NULL;
    struct str last = STR_NULL;
    uint64_t pid = 0;
    uint64_t txn = 0;

    while (str_split(&rest, ' ', &word)) {
        if (word.n != 0 && pid == 0 && str_to_u64(word, &pid) != 0) {
            return 0;
        }
        last = word;
    }
    if ((r->with_own || pid != (uint64_t)getpid()) && str_to_u64(last, &txn) == 0 &&
        txn < r->oldest) {
        r->oldest = txn;
    }
    return 0;
}

/* What transactions from this one on have freed cannot be used again yet; UINT64_MAX: all can. Our
 * own readers live for moments and count only with_own. */
static uint64_t oldest_reader(MDB_env *env, bool with_own)
{
    struct readers r = {.with_own = with_own, .oldest = UINT64_MAX};
    (void)mdb_reader_list(env, on_reader, &r);
    return r.oldest;
}

uint64_t env_file_bytes(const struct env *e)
{
    MDB_envinfo info;
    return mdb_env_info(e->mdb, &info) == 0 ? ((uint64_t)info.me_last_pgno + 1) * e->page : 0;
}

static int begin_usage(struct env *e)
{
    return e->usage_txn == NULL ? mdb_txn_begin(e->mdb, NULL, MDB_RDONLY, &e->usage_txn)
                                : mdb_txn_renew(e->usage_txn);
}

/* A row of the free list: the transaction that freed, a count, page numbers. */
static bool free_row(const MDB_val *key, const MDB_val *value, size_t *freed_by, size_t *count)
{
    if (value->mv_size < sizeof(*count) || key->mv_size != sizeof(*freed_by)) {
        return false;
    }
    memcpy(count, value->mv_data, sizeof(*count));
    memcpy(freed_by, key->mv_data, sizeof(*freed_by));
    return true;
}

/* Pages freed from transaction `since` on, the newest first. */
static uint64_t freed_since(MDB_txn *txn, uint64_t since)
{
    MDB_cursor *cur;
    MDB_val key;
    MDB_val value;
    uint64_t n = 0;

    if (mdb_cursor_open(txn, FREE_TREE, &cur) != 0) {
        return 0;
    }
    for (int rc = mdb_cursor_get(cur, &key, &value, MDB_LAST); rc == 0;
         rc = mdb_cursor_get(cur, &key, &value, MDB_PREV)) {
        size_t freed_by = 0;
        size_t count = 0;
        if (!free_row(&key, &value, &freed_by, &count) || freed_by < since) {
            break;
        }
        n += count;
    }
    mdb_cursor_close(cur);
    return n;
}

static uint64_t pages_of(const MDB_stat *st)
{
    return st->ms_branch_pages + st->ms_leaf_pages + st->ms_overflow_pages;
}

int env_usage(struct env *e, struct env_usage *out)
{
    MDB_envinfo info;
    MDB_stat st;
    uint64_t n = META_PAGES;
    int rc = begin_usage(e);

    for (MDB_dbi dbi = 0; rc == 0 && dbi < OWN_TREES; dbi++) {
        rc = mdb_stat(e->usage_txn, dbi, &st);
        n += rc == 0 ? pages_of(&st) : 0;
    }
    for (size_t i = 0; rc == 0 && i < e->n_trees; i++) {
        rc = mdb_stat(e->usage_txn, e->dbi[i], &st);
        out->tree[i] = rc == 0 ? pages_of(&st) * e->page : 0;
        out->rows[i] = rc == 0 ? st.ms_entries : 0;
        n += out->tree[i] / e->page;
    }
    if (rc == 0 && (rc = mdb_env_info(e->mdb, &info)) == 0) {
        out->used = n * e->page;
        out->file = ((uint64_t)info.me_last_pgno + 1) * e->page;
        out->churn =
            freed_since(e->usage_txn, info.me_last_txnid > 0 ? info.me_last_txnid - 1 : 0) *
            e->page;
    }
    if (e->usage_txn != NULL) {
        mdb_txn_reset(e->usage_txn);
    }
    return rc == 0 ? 0 : err_from_mdb(rc);
}

uint64_t env_pinned(struct env *e)
{
    const uint64_t oldest = oldest_reader(e->mdb, false);
    uint64_t n = 0;
    if (oldest != UINT64_MAX && begin_usage(e) == 0) {
        n = freed_since(e->usage_txn, oldest) * e->page;
        mdb_txn_reset(e->usage_txn);
    }
    return n;
}

bool env_fits(struct env *e, uint64_t bytes, uint64_t blocks)
{
    const uint64_t file = env_file_bytes(e);
    uint64_t room = blocks > file ? blocks - file : 0;
    MDB_envinfo info;
    MDB_cursor *cur;
    MDB_val key;
    MDB_val value;
    uint64_t oldest;

    if (bytes <= room) {
        return true;
    }
    if (mdb_env_info(e->mdb, &info) != 0) {
        return false;
    }
    oldest = oldest_reader(e->mdb, true);
    oldest = oldest < info.me_last_txnid ? oldest : info.me_last_txnid;
    if (begin_usage(e) != 0) {
        return false;
    }
    if (mdb_cursor_open(e->usage_txn, FREE_TREE, &cur) == 0) {
        for (int rc = mdb_cursor_get(cur, &key, &value, MDB_FIRST); rc == 0 && bytes > room;
             rc = mdb_cursor_get(cur, &key, &value, MDB_NEXT)) {
            size_t freed_by = 0;
            size_t count = 0;
            if (!free_row(&key, &value, &freed_by, &count) || freed_by >= oldest) {
                break;
            }
            room += (uint64_t)count * e->page;
        }
        mdb_cursor_close(cur);
    }
    mdb_txn_reset(e->usage_txn);
    return bytes <= room;
}

void env_drop_cache(const struct env *e)
{
    MDB_envinfo info;
    size_t n;
    if (e->map == NULL || mdb_env_info(e->mdb, &info) != 0) {
        return;
    }
    n = (info.me_last_pgno + 1) * (size_t)e->page;
    (void)madvise(e->map, n < e->map_bytes ? n : e->map_bytes, MADV_DONTNEED);
}
