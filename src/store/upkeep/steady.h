/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What seqs are made from; age is measured with another clock, see age_clock.h.
 *
 * Seqs only grow. A wall clock that is wrong for a moment, set by hand or read from a bad source,
 * would carry them into a future that they never come back from, and lists are in their order and
 * filtered by time with their help. So this clock goes with the monotonic one. It follows the wall
 * clock at no more than twice its own speed while they are close, and takes over a greater step
 * only when that has held for STEADY_BELIEVE_MS. An hour: longer than any time service takes to put
 * a clock right. After steps that are real (a suspended machine) seqs are late by that hour.
 *
 * At the start there is nothing to compare the wall clock with but what is stored: when it is
 * further ahead of that than STEADY_GAP_MS, the step has to hold in the same way.
 */
#ifndef LL_STORE_STEADY_H
#define LL_STORE_STEADY_H

#include <stdint.h>

#define STEADY_NEAR_MS    ((int64_t)60 * 1000)
#define STEADY_BELIEVE_MS ((int64_t)3600 * 1000)
#define STEADY_GAP_MS     ((int64_t)24 * 3600 * 1000)

struct steady {
    int64_t now_ms;
    int64_t mono_ms;  /* when now_ms was taken */
    int64_t step_ms;  /* what the wall clock is ahead by; 0: it is near */
    int64_t since_ms; /* monotonic: when that was first seen */
};

/* newest_ms: the newest time that is stored, 0 when there is none. */
void steady_init(struct steady *t, int64_t wall_ms, int64_t mono_ms, int64_t newest_ms);
/* The time now. */
int64_t steady_now(struct steady *t, int64_t wall_ms, int64_t mono_ms);

#endif
