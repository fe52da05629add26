/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The candidates of a query, in order, each once: from the index, or a list of seqs, for what is
 * indexed; row by row from the journal for the rest (everything, when no filter has a term).
 */
#ifndef LL_STORE_WALK_H
#define LL_STORE_WALK_H

#include "index/postings.h"
#include "query/read.h"

#define WALK_GROUPS 2 /* filters that are intersected */

struct walk_group { /* the union of its terms */
    struct posting_iter *it;
    size_t n;
    uint64_t seq;
    bool is_end;
};

enum walk_source { WALK_NOTHING, WALK_JOURNAL, WALK_INDEX, WALK_LIST };

struct walk_part {
    enum walk_source source;
    uint64_t lo, hi; /* inclusive */
};

struct walk {
    struct store *s;
    enum store_kind kind;
    bool ascending;
    struct walk_part parts[2]; /* in walking order */
    size_t part;
    bool has_begun; /* with this part */
    bool has_last;
    uint64_t last; /* all up to here, in walking order, was looked at */
    MDB_cursor *cur;
    struct walk_group groups[WALK_GROUPS];
    size_t n_groups;
    struct seqs list; /* sorted in walking order */
    size_t list_at;
    size_t steps_left; /* candidates that may still be looked at */
    struct arena mem;
};

/* Chooses sources and bounds. 0, ERR_NOT_FOUND (nothing can match), ERR_CORRUPT (the index; it has
 * been reported), ERR_TOO_BIG. walk_close follows in any case. */
int walk_open(struct walk *w, struct store *s, const struct store_query *q) LL_MUST_USE;
void walk_close(struct walk *w);
/* 0, ERR_NOT_FOUND at the end, ERR_LIMIT when no steps are left, ERR_CORRUPT as above. */
int walk_next(struct walk *w, uint64_t *seq, struct str *row) LL_MUST_USE;
/* Does the index name the row that walk_next gave for the filters of the query? Else it came from
 * the journal or from a list of ids, and only its record would tell. */
bool walk_is_attributed(const struct walk *w);
/* The seqs that the walk covers as a whole; false for a list of seqs. */
bool walk_bounds(const struct walk *w, uint64_t *lo, uint64_t *hi);

#endif
