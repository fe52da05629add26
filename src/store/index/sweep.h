/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deleting from the index what the journal no longer holds, in slices that fit into a batch.
 *
 * The quick sweep deletes rows that are older than everything in the journal; when rows go by age
 * that is all there is to do. By size they go from the middle: attempts at an event that is still
 * pending, ended events beside it. Then the index gets large for what the journal holds, and a deep
 * sweep asks the journal for every row, once through all trees.
 */
#ifndef LL_STORE_SWEEP_H
#define LL_STORE_SWEEP_H

#include <lmdb.h>
#include <stdbool.h>
#include <stdint.h>

#include "record/schema.h"

struct env;

struct sweep {
    uint64_t pos[N_INDEX_TREES][2]; /* keys where the sweeps stand */
    bool is_deep;
    bool is_done[N_INDEX_TREES]; /* by the deep sweep */
    uint64_t row_bytes;          /* index per row of the journal, after the last deep sweep */
};

void sweep_init(struct sweep *sw);
struct sweep_size {
    uint64_t bytes;                /* of the index, in pages that are not free */
    uint64_t n_indexed;            /* attempts that it has … */
    uint64_t n_attempts, n_events; /* … and what the journal has */
    bool is_short;                 /* of room: less is too much */
};
/* Begins a deep sweep when the index is large for what the journal has: more attempts, which are
 * counted, or more bytes per row than after the last time. True while one goes on. */
bool sweep_judge(struct sweep *sw, const struct sweep_size *size);

struct sweep_job {
    const struct env *index;
    MDB_txn *txn; /* of the index */
    const struct env *journal;
    MDB_txn *journal_txn; /* for a deep sweep, else NULL */
    uint64_t oldest;      /* what the journal begins with */
    size_t max_rows[N_INDEX_TREES];
    size_t max_changes; /* per tree: each may write a page anew */
};
/* LMDB's codes. */
int sweep_slice(struct sweep *sw, const struct sweep_job *job) LL_MUST_USE;

#endif
