/* SPDX-License-Identifier: Apache-2.0 */
/* One LMDB environment: opening, closing, how much it holds, and giving mapped memory back. */
#ifndef LL_STORE_ENV_H
#define LL_STORE_ENV_H

#include <lmdb.h>
#include <stdbool.h>
#include <stdint.h>

#include "longline/err.h"

#define ENV_TREES_MAX 8
#define ENV_PATH_MAX  4096U

struct env;
struct env_spec {
    const char *dir; /* created when missing */
    size_t map_size;
    const char *const *trees;
    size_t n_trees;
    /* Called before anything is read from the pages; may be NULL. */
    int (*check)(struct env *e);
};

struct env {
    MDB_env *mdb; /* NULL: not open */
    MDB_dbi dbi[ENV_TREES_MAX];
    size_t page;
    void *map; /* where the file is mapped, NULL when that could not be found out */
    size_t map_bytes;
};

/* Default sync mode: a commit is on disk when it returns. A file that is shorter than its own
 * header says, or that is no LMDB file, is ERR_CORRUPT. */
int env_open(struct env *e, const struct env_spec *spec, struct err_detail *err) LL_MUST_USE;
void env_close(struct env *e); /* all transactions must have ended */

struct env_usage {
    uint64_t used;   /* bytes in pages that are not free */
    uint64_t pinned; /* in free pages that another process still reads: a backup */
    uint64_t file;   /* bytes in all pages that were ever used: the size of the file */
};
/* Any thread. Counts the free list, so it is not for every commit. */
int env_usage(struct env *e, struct env_usage *out) LL_MUST_USE;
uint64_t env_file_bytes(const struct env *e); /* the same `file`, for every commit */

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
