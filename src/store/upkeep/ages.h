/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The age of rows whose seq does not tell it. After the clock was wrong for long and was put right,
 * seqs go on from where they were, ahead of the time. Then marks are kept, a few per retention:
 * every row up to this seq was there at that time.
 */
#ifndef LL_STORE_AGES_H
#define LL_STORE_AGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AGES_MAX   6U
#define AGES_BYTES ((size_t)AGES_MAX * 16)

struct age_mark {
    uint64_t seq;
    int64_t ms;
};
struct ages {
    struct age_mark v[AGES_MAX]; /* oldest first */
    size_t n;
};

/* Takes a mark when one is due; true when something has changed. last: the last seq in use. */
bool ages_note(struct ages *a, uint64_t last, int64_t now_ms, int64_t retention_ms);
/* Rows below are too old, whatever their seq says; 0: none. */
uint64_t ages_cutoff(const struct ages *a, int64_t now_ms, int64_t retention_ms);
void ages_write(const struct ages *a, unsigned char out[AGES_BYTES]);
void ages_read(struct ages *a, const unsigned char bytes[AGES_BYTES]);

#endif
