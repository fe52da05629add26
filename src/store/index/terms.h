/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the index can be asked for. A term is a 64-bit hash of its kind and texts; a collision only
 * costs time, because every record that is found is compared with the filter again.
 */
#ifndef LL_STORE_TERMS_H
#define LL_STORE_TERMS_H

#include <stddef.h>
#include <stdint.h>

#include "longline/str.h"

enum term_kind {
    TERM_EVENT_TENANT = 1,
    TERM_EVENT_TENANT_TOPIC,
    TERM_EVENT_TOPIC,
    TERM_EVENT_DEST,
    TERM_ATTEMPT_TENANT,
    TERM_ATTEMPT_DEST,
    TERM_ATTEMPT_FAILED,
    TERM_ATTEMPT_TENANT_FAILED
};

uint64_t term_hash(enum term_kind kind, struct str a, struct str b);
uint64_t term_of_id(struct str id); /* for the tree of ids */

/* Collects the seqs of each term, in the order they were added. */
struct term_list {
    uint64_t term;
    uint32_t first, last; /* into pairs */
    uint32_t n;
};
struct term_pair {
    uint64_t seq;
    uint32_t next; /* index + 1; 0: end */
};
struct terms {
    struct term_list *lists;
    size_t n_lists, cap_lists;
    struct term_pair *pairs;
    size_t n_pairs, cap_pairs;
    uint32_t *slots; /* hash table: index into lists + 1 */
    size_t n_slots;
};

void terms_init(struct terms *t);
void terms_fini(struct terms *t);
void terms_reset(struct terms *t);
void terms_add(struct terms *t, uint64_t term, uint64_t seq);
/* By term, the order in which the tree is written fastest. Nothing may be added afterwards. */
void terms_sort(struct terms *t);

#endif
