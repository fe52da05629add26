/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How full the store is, as a pure function of measured numbers.
 *
 * A file of LMDB never shrinks, and a page that is freed is used again. So room is what a file can
 * hold in blocks that it has (see ahead.h), and in those that the disk can still give without going
 * below the reserve. Three budgets are looked at, and the worst of them counts: the quota for both
 * files together, and for each file what it can hold.
 *
 * Free pages that a backup still reads cannot be used before it ends. They count as used where it
 * is about room, so that publishes are refused in time; not where it is about how much to delete,
 * for deleting more would not bring them back.
 */
#ifndef LL_STORE_ROOM_H
#define LL_STORE_ROOM_H

#include <stdbool.h>
#include <stdint.h>

#include "longline/store.h"

struct room_file {
    uint64_t used;   /* bytes in pages that are not free */
    uint64_t pinned; /* in free pages that a backup still reads */
    uint64_t blocks; /* it can grow to this without taking anything from the disk */
    uint64_t churn;  /* what a commit may take for a moment: changed pages are written anew */
};

struct room {
    struct room_file journal, index;
    uint64_t index_owed;  /* what committed rows will take there that it does not hold yet */
    int64_t spare;        /* free on the disk above the reserve; negative: below it */
    uint64_t max_size;    /* quota for both, 0: none */
    uint64_t map_size;    /* of each file */
    bool is_ahead;        /* blocks can be taken ahead of time; else a file has what it wrote */
    bool is_index_behind; /* rows of what was purged are still to be deleted from it */
};

enum room_level_mark { ROOM_HIGH, ROOM_FULL, ROOM_STOP, N_ROOM_MARKS };

struct room_budget {
    uint64_t used, quota;
    uint64_t marks[N_ROOM_MARKS]; /* the level is reached at this use */
};

/* The most that the journal, the index may come to hold. */
uint64_t room_journal_most(const struct room *r);
uint64_t room_index_most(const struct room *r);

/* extra: bytes that are to be put into the journal on top. */
enum store_level room_level(const struct room *r, uint64_t extra);
/* Bytes of the journal that are to be deleted so that the level falls below HIGH. */
uint64_t room_excess(const struct room *r);
/* For the operator: what both may hold. */
uint64_t room_quota(const struct room *r);

/* At most what a record of n bytes takes in the journal's pages. */
uint64_t room_of_record(uint64_t n);

#endif
