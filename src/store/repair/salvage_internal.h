/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of salvage: see salvage.c. */
#ifndef LL_STORE_SALVAGE_INTERNAL_H
#define LL_STORE_SALVAGE_INTERNAL_H

#include "repair/check.h"
#include "repair/offline.h"
#include "repair/salvage_root.h"
#include "store_internal.h"

#define SALVAGE_DOUBTFUL_MAX 1024U

struct salvage_pair {
    uint64_t seq;
    uint32_t dest;
};

struct salvage_suspect {
    uint64_t page;
    enum journal_tree tree; /* N_JOURNAL_TREES: one of LMDB's own */
};

struct salvage {
    struct offline o;
    struct pg_file file;
    struct salvage_root root;
    struct pg_walk_result walk;
    struct env env; /* the new journal */
    MDB_txn *txn;
    size_t n_put;   /* in this transaction */
    int rc;         /* the first error of the new journal; LMDB's code */
    bool is_orphan; /* rows come from leaves that no page names */
    struct buf run;
    struct salvage_suspect *suspects; /* pages that the walk found damaged */
    size_t n_suspects, cap_suspects;
    uint64_t copied[N_JOURNAL_TREES], damaged[N_JOURNAL_TREES], found[N_JOURNAL_TREES];
    bool had_meta_low, had_meta_num, had_id_key;
    uint32_t dest_num;            /* the greatest that was seen */
    struct salvage_pair *retries; /* from orphans */
    size_t n_retries, cap_retries;
    struct salvage_pair doubtful[SALVAGE_DOUBTFUL_MAX]; /* retries whose checksum was wrong */
    size_t n_doubtful;
    size_t n_lines;
};

static inline void salvage_note_num(struct salvage *s, uint32_t num)
{
    s->dest_num = num > s->dest_num ? num : s->dest_num;
}

/* salvage.c: the new journal. A commit begins the next transaction when it is to go on. */
void salvage_commit(struct salvage *s, bool go_on);
/* False when the row is there already, or on an error, which s->rc keeps. */
bool salvage_put(struct salvage *s, enum journal_tree tree, struct str key, struct str value);
void salvage_say_lost(struct salvage *s, const char *tree, struct str key, const char *why);

/* salvage_rows.c: steps 1 and 2. */
int salvage_rows(struct salvage *s, struct err_detail *err) LL_MUST_USE;

/* salvage_sift.c: step 3, and the last commit. */
int salvage_sift(struct salvage *s, struct err_detail *err) LL_MUST_USE;

#endif
