/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Backup: a compacted copy of the journal, made by LMDB in one read transaction, and the small
 * files beside it (keys). The copy gets an identity of its own, so that no index of the original
 * is ever taken for one of it. The index is not copied: it is rebuilt.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "longline/rng.h"
#include "longline/store.h"

#include "journal/env.h"
#include "record/schema.h"
#include "repair/check.h"
#include "upkeep/copy.h"

#define COPY_BLOCK     65536U
#define SNAPSHOT_TRIES 100U

int copy_is_empty_dir(const char *path, struct err_detail *err)
{
    const struct dirent *e;
    int rc = 0;
    DIR *d = opendir(path);

    if (d == NULL) {
        return err_set(err, err_from_errno(errno), errno, "cannot read %.100s", path);
    }
    while ((e = readdir(d)) != NULL) { /* NOLINT(concurrency-mt-unsafe): own stream */
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
            rc = err_set(err, ERR_EXISTS, 0, "%.100s is not empty", path);
        }
    }
    (void)closedir(d);
    return rc;
}

/* Only environment and tree names are needed: the copy is opened once to change its identity. */
static int change_identity(const char *dir, struct err_detail *err)
{
    unsigned char identity[16];
    MDB_env *env;
    MDB_txn *txn = NULL;
    MDB_dbi mt;
    int rc = mdb_env_create(&env);

    if (rc != 0) {
        return err_set(err, err_from_mdb(rc), rc, "%s", mdb_strerror(rc));
    }
    if ((rc = mdb_env_set_maxdbs(env, ENV_TREES_MAX)) == 0 &&
        (rc = mdb_env_open(env, dir, 0, 0600)) == 0 &&
        (rc = mdb_txn_begin(env, NULL, 0, &txn)) == 0 &&
        (rc = mdb_dbi_open(txn, "mt", 0, &mt)) == 0) {
        rng_fill(rng_system(), identity, sizeof(identity));
        if (meta_put(txn, mt, META_IDENTITY, identity, sizeof(identity)) == 0) {
            rc = mdb_txn_commit(txn);
            txn = NULL;
        } else {
            rc = EIO;
        }
    }
    if (txn != NULL) {
        mdb_txn_abort(txn);
    }
    mdb_env_close(env);
    return rc == 0 ? 0 : err_set(err, err_from_mdb(rc), rc, "the copy: %s", mdb_strerror(rc));
}

static void on_problem(void *ctx, const struct pg_problem *p)
{
    (void)err_set(ctx, ERR_CORRUPT, 0, "%s is damaged (tree %s, page %llu: %s): keep older backups",
                  check_name(false), p->tree, (unsigned long long)p->page, p->what);
}

/* One look at the snapshot of the transaction. ERR_BUSY: a gateway committed meanwhile. */
static int check_snapshot(const char *path, uint64_t txn, struct err_detail *err)
{
    struct pg_walk_spec spec = {.rules = journal_rules,
                                .n_rules = N_JOURNAL_TREES,
                                .stop_at_first = true,
                                .on_problem = on_problem,
                                .ctx = err};
    struct pg_walk_result result;
    struct pg_file f;
    int rc = pg_file_open(&f, path, err);

    if (rc != 0) {
        return rc;
    }
    spec.file = &f;
    for (unsigned i = 0; i < 2; i++) {
        if (f.bad[i] == NULL && f.meta[i].txn == txn) {
            spec.meta = &f.meta[i];
        }
    }
    rc = ERR_BUSY;
    if (spec.meta != NULL) {
        rc = pg_walk(&spec, &result);
        rc = rc == 0 && result.n_problems != 0 ? ERR_CORRUPT : rc;
        pg_walk_result_fini(&result);
    }
    pg_file_close(&f);
    return rc;
}

/* LMDB would crash on a damaged page, or copy it without a word. */
static int check_source(MDB_env *env, const char *dir, struct err_detail *err)
{
    char path[ENV_PATH_MAX];
    int rc = path_join(path, dir, "data.mdb");

    for (unsigned i = 0; rc == 0 && i < SNAPSHOT_TRIES; i++) {
        MDB_txn *txn;
        rc = err_from_mdb(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn));
        if (rc != 0) {
            break;
        }
        rc = check_snapshot(path, mdb_txn_id(txn), err);
        mdb_txn_abort(txn);
        if (rc != ERR_BUSY) {
            return rc;
        }
        rc = 0;
    }
    return rc == 0 ? err_set(err, ERR_BUSY, 0, "no meta page of the journal can be read") : rc;
}

static int copy_journal(const char *from, const char *to, struct err_detail *err)
{
    char path[ENV_PATH_MAX];
    MDB_env *env;
    int fd = -1;
    int rc = mdb_env_create(&env);

    if (rc != 0) {
        return err_set(err, err_from_mdb(rc), rc, "%s", mdb_strerror(rc));
    }
    rc = mdb_env_open(env, from, MDB_RDONLY | MDB_NOTLS, 0600);
    if (rc != 0) {
        rc = err_set(err, err_from_mdb(rc), rc, "%.80s: %s", from, mdb_strerror(rc));
        goto out;
    }
    rc = check_source(env, from, err);
    if (rc != 0) {
        goto out;
    }
    rc = path_join(path, to, "data.mdb");
    fd = rc == 0 ? open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600) : -1;
    if (fd < 0) {
        rc =
            err_set(err, rc != 0 ? rc : err_from_errno(errno), errno, "cannot create %.100s", path);
        goto out;
    }
    rc = mdb_env_copyfd2(env, fd, MDB_CP_COMPACT);
    if (rc != 0) {
        rc = err_set(err, err_from_mdb(rc), rc, "copying: %s", mdb_strerror(rc));
    } else if (fsync(fd) != 0) {
        rc = err_set(err, err_from_errno(errno), errno, "cannot sync the copy");
    }
out:
    if (fd >= 0) {
        (void)close(fd);
    }
    mdb_env_close(env);
    return rc;
}

struct copy_check {
    size_t n_bad;
    uint64_t first;
};

static void on_bad_row(void *ctx, const struct check_bad_row *row)
{
    struct copy_check *c = ctx;
    c->first = c->n_bad++ == 0 ? row->seq : c->first;
}

/* A backup that cannot be restored is none: what the copy took over from a damaged journal is said
 * now, while an older backup is still there. */
static int check_copy(const char *dir, struct err_detail *err)
{
    struct copy_check c = {0};
    char path[ENV_PATH_MAX];
    struct check_job job = {.path = path, .with_rows = true, .on_bad_row = on_bad_row, .ctx = &c};
    int rc = path_join(path, dir, "data.mdb");

    rc = rc == 0 ? check_file_at_start(&job, err) : rc;
    if (rc == ERR_CORRUPT) {
        return err_set(err, rc, 0,
                       "the journal is damaged, and so is this copy: keep older "
                       "backups; longline check says what is damaged");
    }
    if (rc == 0 && c.n_bad != 0) {
        rc = err_set(err, ERR_CORRUPT, 0,
                     "%zu records of the copy are damaged (seq %llu): keep older backups; "
                     "longline check names them",
                     c.n_bad, (unsigned long long)c.first);
    }
    return rc;
}

static int copy_bytes(int in, int out)
{
    char block[COPY_BLOCK / 16];
    for (;;) {
        const ssize_t n = read(in, block, sizeof(block));
        if (n == 0) {
            return fsync(out) == 0 ? 0 : err_from_errno(errno);
        }
        if (n < 0) {
            return err_from_errno(errno);
        }
        for (ssize_t done = 0; done < n;) {
            const ssize_t put = write(out, block + done, (size_t)(n - done));
            if (put < 0) {
                return err_from_errno(errno);
            }
            done += put;
        }
    }
}

static int copy_file(const char *from_dir, const char *to_dir, const char *name,
                     struct err_detail *err)
{
    char from[ENV_PATH_MAX];
    char to[ENV_PATH_MAX];
    struct stat st;
    int in;
    int out = -1;
    int rc;

    if (path_join(from, from_dir, name) != 0 || path_join(to, to_dir, name) != 0) {
        return err_set(err, ERR_TOO_BIG, 0, "the path is too long");
    }
    in = open(from, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK); /* a FIFO does not wait */
    if (in < 0) {
        return errno == ELOOP ? 0
                              : err_set(err, err_from_errno(errno), errno, "cannot read %s", name);
    }
    if (fstat(in, &st) != 0 || !S_ISREG(st.st_mode)) {
        (void)close(in);
        return 0;
    }
    out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, st.st_mode & 0777);
    rc = out < 0 ? err_from_errno(errno) : copy_bytes(in, out);
    if (rc == 0 && fchmod(out, st.st_mode & 0777) != 0) {
        rc = err_from_errno(errno);
    }
    if (out >= 0) {
        (void)close(out);
    }
    (void)close(in);
    return rc == 0 ? 0 : err_set(err, rc, 0, "cannot copy %.100s: %s", name, err_text(rc));
}

int copy_files(const char *from, const char *to, struct err_detail *err)
{
    const struct dirent *e;
    int rc = 0;
    DIR *d = opendir(from);

    if (d == NULL) {
        return err_set(err, err_from_errno(errno), errno, "cannot read %.100s", from);
    }
    while (rc == 0 && (e = readdir(d)) != NULL) { /* NOLINT(concurrency-mt-unsafe): own stream */
        if (strcmp(e->d_name, "lock") != 0 && e->d_name[0] != '.') {
            rc = copy_file(from, to, e->d_name, err);
        }
    }
    (void)closedir(d);
    return rc;
}

/* LMDB divides by what stands in the meta pages. A gateway may be at work, so once is no proof. */
static int check_metas(const char *path, struct err_detail *err)
{
    int rc = 0;
    for (unsigned i = 0; i < SNAPSHOT_TRIES; i++) {
        struct pg_file f;
        const char *doubt;
        rc = pg_file_open(&f, path, err);
        if (rc != 0) {
            return rc;
        }
        doubt = f.bad[0] != NULL ? f.bad[0] : f.bad[1] != NULL ? f.bad[1] : f.doubt;
        pg_file_close(&f);
        if (doubt == NULL) {
            return 0;
        }
        rc = err_set(err, ERR_CORRUPT, 0, "%s is damaged (meta pages: %s): keep older backups",
                     check_name(false), doubt);
    }
    return rc;
}

int store_backup(const char *data_dir, const char *to, struct err_detail *err)
{
    char from_journal[ENV_PATH_MAX];
    char to_journal[ENV_PATH_MAX];
    char data[ENV_PATH_MAX];
    struct stat st;
    int rc;

    if (path_join(from_journal, data_dir, "journal") != 0 ||
        path_join(to_journal, to, "journal") != 0 ||
        path_join(data, from_journal, "data.mdb") != 0) {
        return err_set(err, ERR_TOO_BIG, 0, "the path is too long");
    }
    if (stat(data, &st) != 0) {
        return err_set(err, ERR_NOT_FOUND, errno, "%.100s holds no journal", data_dir);
    }
    rc = check_metas(data, err);
    if (rc != 0) {
        return rc;
    }
    rc = dir_create(to);
    if (rc != 0) {
        return err_set(err, rc, 0, "cannot create %.100s: %s", to, err_text(rc));
    }
    rc = copy_is_empty_dir(to, err);
    if (rc == 0) {
        rc = dir_create(to_journal);
        if (rc != 0) {
            return err_set(err, rc, 0, "cannot create %.100s: %s", to_journal, err_text(rc));
        }
        rc = copy_journal(from_journal, to_journal, err);
    }
    if (rc == 0) {
        rc = check_copy(to_journal, err);
    }
    if (rc == 0) {
        rc = change_identity(to_journal, err);
    }
    if (rc == 0) {
        rc = copy_files(data_dir, to, err);
    }
    if (rc == 0 && (rc = dir_sync(to_journal)) == 0) {
        rc = dir_sync(to);
    }
    return rc;
}
