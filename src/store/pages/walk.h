/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The walk over all pages of one snapshot of a file: every tree from its root, the free list, and
 * each page at most once. It goes on behind a damaged page, passing over what lies below it.
 *
 * Two passes: first the branches of all trees and the free list, which are small and tell every
 * page's use; then the leaves, which is nearly all of the file: small trees first, and each tree
 * from its newest keys down, so that a walk that is bounded in time has looked at what is read
 * first.
 */
#ifndef LL_STORE_PAGE_WALK_H
#define LL_STORE_PAGE_WALK_H

#include "pages/file.h"

#define PG_WALK_TREES 8

struct pg_rule { /* a named tree that the file has to have */
    const char *name;
    size_t n_key; /* length of its keys; 0: any */
};

struct pg_walk;

struct pg_problem {
    const char *tree; /* "free" and "main" for LMDB's own */
    uint64_t page;    /* PG_NONE: not a page's */
    const char *what;
    struct str lo, hi; /* keys that belong there, lo <= key < hi; p NULL: no bound */
};

struct pg_row {
    int tree; /* index into the rules */
    uint64_t page;
    struct str key;
    struct str value;
};

struct pg_walk_spec {
    const struct pg_file *file;
    const struct pg_meta *meta; /* the snapshot */
    const struct pg_rule *rules;
    size_t n_rules;
    int64_t deadline_ns; /* monotonic; 0: none */
    bool stop_at_first;
    /* A slice of one tree instead of the whole file: its rows below the key, newest first, until
     * the deadline. Claims nothing. */
    bool is_slice;
    int tree;
    struct str below; /* p NULL: from the end */
    void (*on_problem)(void *ctx, const struct pg_problem *p);
    void (*on_row)(void *ctx, const struct pg_row *row); /* may be NULL */
    void *ctx;
};

struct pg_walk_result {
    size_t n_problems;
    bool complete; /* the deadline did not end it */
    bool free_is_good;
    uint64_t n_pages, n_rows; /* looked at */
    struct pg_tree trees[PG_WALK_TREES];
    bool has_tree[PG_WALK_TREES];
    unsigned char *used; /* a bit per page that was reached or is free; the caller's to free */
    uint64_t n_used;     /* bits */
    unsigned char resume[512]; /* of a slice that is not complete: go on below this key */
    size_t n_resume;
};

/* 0, also when there are problems; else the file cannot be read. */
int pg_walk(const struct pg_walk_spec *spec, struct pg_walk_result *out) LL_MUST_USE;
void pg_walk_result_fini(struct pg_walk_result *r);

static inline bool pg_used(const struct pg_walk_result *r, uint64_t page)
{
    return page < r->n_used && (r->used[page / 8] & 1U << page % 8) != 0;
}

#endif
