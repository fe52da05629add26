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

#define COPY_BLOCK 65536U

static int is_empty_dir(const char *path, struct err_detail *err)
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

static int copy_files(const char *from, const char *to, struct err_detail *err)
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
    rc = dir_create(to);
    if (rc != 0) {
        return err_set(err, rc, 0, "cannot create %.100s: %s", to, err_text(rc));
    }
    rc = is_empty_dir(to, err);
    if (rc == 0) {
        rc = dir_create(to_journal);
        if (rc != 0) {
            return err_set(err, rc, 0, "cannot create %.100s: %s", to_journal, err_text(rc));
        }
        rc = copy_journal(from_journal, to_journal, err);
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
