/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How old rows are. A seq does not tell it, because it follows a wall clock that may be wrong. What
 * tells it are marks: every row up to this seq was there when the age clock (age_clock.h) said this
 * much. A row is too old when a mark at or above its seq is older than the retention.
 *
 * A mark says less than is true of most rows below it, never more, so a row goes late, by at most
 * AGES_PARTS-th of the retention, and never early, also after the retention was changed.
 */
#ifndef LL_STORE_AGES_H
#define LL_STORE_AGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AGES_PARTS 32
/* Two neighbours of a mark are more than a part apart, so 2 * 32 + 2 younger than the retention can
 * be there at most, and one that is older. */
#define AGES_MAX   70U
#define AGES_BYTES (8 + (size_t)AGES_MAX * 16)

struct age_mark {
    uint64_t seq;
    int64_t ms; /* of the age clock */
};
struct ages {
    struct age_mark v[AGES_MAX]; /* oldest first, both fields ascending */
    size_t n;
    int64_t saved_ms; /* the age clock as it is on disk */
};

/* Takes a mark when one is due. last: the last seq in use, 0 when there is no row; now_ms: of the
 * age clock, read after that row was put. True when something has changed. */
bool ages_note(struct ages *a, uint64_t last, int64_t now_ms, int64_t retention_ms);
/* Rows below are too old; 0: none. */
uint64_t ages_cutoff(const struct ages *a, int64_t now_ms, int64_t retention_ms);
/* The age clock has gone on far enough to be written again. */
bool ages_are_unsaved(const struct ages *a, int64_t now_ms);
/* Seqs up to this one have an age: new ones must be above it. */
uint64_t ages_last(const struct ages *a);

/* May an event be deleted for its age? Not while somebody is still to get it: from low on that is
 * not known, below it there is a retry record then. */
static inline uint64_t ages_ended_below(uint64_t cutoff, uint64_t low)
{
    return cutoff < low ? cutoff : low;
}

void ages_write(struct ages *a, int64_t now_ms, unsigned char out[AGES_BYTES]);
void ages_read(struct ages *a, const unsigned char bytes[AGES_BYTES]);

#endif
