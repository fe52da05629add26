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

#include "record/schema.h"

#define ENV_MODE    0600
#define MIN_MAP     ((size_t)1024 * 1024)
#define MISSING_MAX 256U /* pages */

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
    *e = (struct env){0};
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
    if ((rc = mdb_env_set_maxdbs(e->mdb, ENV_TREES_MAX)) != 0 ||
        (rc = mdb_env_set_mapsize(e->mdb, (spec->map_size < MIN_MAP ? MIN_MAP : spec->map_size) &
                                              ~(size_t)0xffff)) != 0 ||
        (rc = mdb_env_open(e->mdb, spec->dir, MDB_NOTLS | MDB_NORDAHEAD, ENV_MODE)) != 0) {
        goto err_mdb;
    }
    rc = check_file(e, err);
    if (rc != 0) {
        env_close(e);
        return rc;
    }
    if (spec->check != NULL) {
        rc = spec->check(e);
        if (rc != 0) {
            env_close(e);
            return err_set(err, rc, 0, "%.60s: a page is damaged", spec->dir);
        }
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
    find_map(e, path);
    return 0;

err_mdb:
    env_close(e);
    return err_set(err, err_from_mdb(rc), rc, "%.60s: %s", spec->dir, mdb_strerror(rc));
}

void env_close(struct env *e)
{
    if (e->mdb != NULL) {
        mdb_env_close(e->mdb);
    }
    *e = (struct env){0};
}

/* Lines of "pid thread txnid", below a heading; "-" for a reader that reads nothing. Our own
 * readers live for moments and do not count. */
static int on_reader(const char *line, void *ctx)
{
    uint64_t *oldest = ctx;
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
    if (pid != (uint64_t)getpid() && str_to_u64(last, &txn) == 0 && txn < *oldest) {
        *oldest = txn;
    }
    return 0;
}

/* What transactions from this one on have freed cannot be used again yet; UINT64_MAX: all can. */
static uint64_t oldest_reader(MDB_env *env, uint64_t last_txn)
{
    uint64_t oldest = UINT64_MAX;
    (void)mdb_reader_list(env, on_reader, &oldest);
    return oldest < last_txn ? oldest : UINT64_MAX;
}

uint64_t env_file_bytes(const struct env *e)
{
    MDB_envinfo info;
    return mdb_env_info(e->mdb, &info) == 0 ? ((uint64_t)info.me_last_pgno + 1) * e->page : 0;
}

int env_usage(struct env *e, struct env_usage *out)
{
    MDB_txn *txn;
    MDB_cursor *cur;
    MDB_envinfo info;
    MDB_val key;
    MDB_val value;
    uint64_t n_free = 0;
    uint64_t n_pinned = 0;
    uint64_t oldest;
    int rc = mdb_txn_begin(e->mdb, NULL, MDB_RDONLY, &txn);

    if (rc != 0) {
        return err_from_mdb(rc);
    }
    rc = mdb_cursor_open(txn, 0, &cur); /* tree 0 is the free list: txn id -> count, page numbers */
    if (rc != 0) {
        mdb_txn_abort(txn);
        return err_from_mdb(rc);
    }
    (void)mdb_env_info(e->mdb, &info);
    oldest = oldest_reader(e->mdb, info.me_last_txnid);
    while ((rc = mdb_cursor_get(cur, &key, &value, MDB_NEXT)) == 0) {
        size_t count = 0;
        size_t freed_by = 0;
        if (value.mv_size >= sizeof(count) && key.mv_size == sizeof(freed_by)) {
            memcpy(&count, value.mv_data, sizeof(count));
            memcpy(&freed_by, key.mv_data, sizeof(freed_by));
            n_free += count;
            n_pinned += freed_by >= oldest ? count : 0;
        }
    }
    mdb_cursor_close(cur);
    mdb_txn_abort(txn);
    if (rc != MDB_NOTFOUND) {
        return err_from_mdb(rc);
    }
    out->file = ((uint64_t)info.me_last_pgno + 1) * e->page;
    out->pinned = n_pinned * e->page;
    n_free *= e->page;
    out->used = out->file > n_free ? out->file - n_free : 0;
    return 0;
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
