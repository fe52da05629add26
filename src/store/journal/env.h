/* SPDX-License-Identifier: Apache-2.0 */
/* One LMDB environment: opening, closing, how much it holds, and giving mapped memory back. */
#ifndef LL_STORE_ENV_H
#define LL_STORE_ENV_H

#include <lmdb.h>
#include <stdbool.h>
#include <stdint.h>

#include "longline/err.h"

#include "repair/crash_mark.h"

#define ENV_TREES_MAX 8
#define ENV_PATH_MAX  4096U

struct env_spec {
    const char *dir; /* created when missing */
    enum crash_file file;
    int assert_status; /* of the exit after LMDB has found that it cannot go on */
    size_t map_size;
    const char *const *trees;
    size_t n_trees;
};

struct env {
    MDB_env *mdb; /* NULL: not open */
    MDB_dbi dbi[ENV_TREES_MAX];
    size_t page;
    enum crash_file file;
    int assert_status;
    void *map; /* where the file is mapped, NULL when that could not be found out */
    size_t map_bytes;
    size_t n_trees;
    MDB_txn *usage_txn; /* reset between two uses */
    /* ahead.c, the writing thread's */
    uint64_t blocks; /* bytes from the beginning of the file that have blocks */
    bool is_filled;  /* no holes among them */
    bool no_ahead;   /* the file system cannot take blocks ahead */
};

/* Default sync mode: a commit is on disk when it returns. A file that is shorter than its own
 * header says, or that is no LMDB file, is ERR_CORRUPT. The pages are trusted: see check.h. *e must
 * stay where it is until env_close. When LMDB finds its pages impossible later on, it says so in
 * the log, leaves the file's mark (crash_mark.h) and ends the process with assert_status. */
int env_open(struct env *e, const struct env_spec *spec, struct err_detail *err) LL_MUST_USE;
void env_close(struct env *e); /* all transactions must have ended */

struct env_usage {
    uint64_t used;  /* bytes in pages that are not free */
    uint64_t churn; /* in those that the last two commits freed: they cannot be used yet */
    uint64_t file;  /* bytes in all pages that were ever used: the size of the file */
    uint64_t tree[ENV_TREES_MAX]; /* bytes of each tree */
    uint64_t rows[ENV_TREES_MAX];
};
/* A few look-ups, for every commit. The writing thread only. */
int env_usage(struct env *e, struct env_usage *out) LL_MUST_USE;
/* Bytes in free pages that another process still reads: a backup. Counts the free list from the
 * oldest reader on. */
uint64_t env_pinned(struct env *e);
/* Can a commit take `bytes` in blocks that the file has, up to `blocks`? Asks for every reader. */
bool env_fits(struct env *e, uint64_t bytes, uint64_t blocks);
uint64_t env_file_bytes(const struct env *e); /* the same `file` */

/* Lets the kernel unmap the pages that were read: they count as our resident memory. The map is
 * read-only (LMDB writes through the file, and into the map only in a mode we do not use), so
 * nothing is lost: a page that is needed again comes from the page cache. Any thread, any time. */
void env_drop_cache(const struct env *e);

/* ---- files ---- */
/* Joins into out[ENV_PATH_MAX]; ERR_TOO_BIG. */
int path_join(char *out, const char *dir, const char *name) LL_MUST_USE;
int dir_create(const char *path) LL_MUST_USE; /* mode 0700, parent synced; fine when it exists */
int dir_sync(const char *path) LL_MUST_USE;

#endif
