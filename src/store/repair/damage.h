/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The events and attempts whose records are known to be damaged, by seq. Whoever meets one notes
 * it: the check at the start, the one in the background, the index, a list. Lists name them, so
 * that nothing is missing without a word. Any thread.
 */
#ifndef LL_STORE_DAMAGE_H
#define LL_STORE_DAMAGE_H

#include <pthread.h>

#include "longline/store.h"

#define DAMAGE_MAX 4096U /* of each kind; more are counted and logged, but not named in lists */

struct damage {
    pthread_mutex_t mu;
    uint64_t *seqs[2]; /* ascending; by enum store_kind */
    size_t n[2];
    size_t n_beyond;
};

void damage_init(struct damage *d);
void damage_fini(struct damage *d);
/* Logs the first time; rc is why it cannot be read. */
void damage_note(struct damage *d, enum store_kind kind, uint64_t seq, int rc);
size_t damage_count(struct damage *d);
/* Those with lo <= seq <= hi into out[cap], ascending from the lowest, or descending from the
 * highest; the number of them. */
size_t damage_range(struct damage *d, enum store_kind kind, uint64_t lo, uint64_t hi,
                    bool ascending, uint64_t *out, size_t cap);

#endif
