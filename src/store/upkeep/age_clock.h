/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The clock that age is measured with. It counts the milliseconds for which a gateway ran on this
 * data directory, and never looks at the wall clock: a wall clock that is wrong, for a moment or
 * over a restart, can therefore delete nothing.
 *
 * It never runs faster than the time passes, which is all that "not deleted before its age" needs:
 * - It goes with the monotonic clock. What that goes on by between two looks counts up to
 *   AGE_STEP_MAX_MS; the store looks four times a second. So neither a monotonic clock that jumps
 *   nor a machine that was suspended makes rows old.
 * - Time in which no gateway runs does not count.
 * - It is written with commits, at least every AGE_SAVE_MS while there are rows, and at an orderly
 *   stop. After a kill it goes on from what was written, which makes rows stay a little longer.
 */
#ifndef LL_STORE_AGE_CLOCK_H
#define LL_STORE_AGE_CLOCK_H

#include <stdint.h>

#define AGE_STEP_MAX_MS ((int64_t)10 * 1000)
#define AGE_SAVE_MS     ((int64_t)60 * 1000)

struct age_clock {
    int64_t now_ms;
    int64_t mono_ms; /* the monotonic clock at that moment */
};

void age_clock_init(struct age_clock *c, int64_t from_ms, int64_t mono_ms);
/* The time now. mono_ms: as read now, not at the beginning of the turn. */
int64_t age_clock_now(struct age_clock *c, int64_t mono_ms);

#endif
