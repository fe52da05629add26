/* SPDX-License-Identifier: Apache-2.0 */
/* When the next attempt of a failed delivery is due. Pure. */
#ifndef LL_RETRY_H
#define LL_RETRY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "longline/record.h"
#include "longline/rng.h"

#define RETRY_MAX_SCHEDULE 32
#define RETRY_AFTER_CAP_MS (INT64_C(24) * 3600 * 1000)

struct retry_policy {
    int64_t interval_ms;  /* delay after the first failure; doubles after each further one */
    int64_t max_delay_ms; /* cap of the doubling */
    uint32_t limit;       /* automatic retries after the first attempt */
    unsigned jitter_pct;  /* up to this much is added, never taken away */
    size_t n_schedule;    /* not 0: explicit delays; their count is the limit */
    int64_t schedule_ms[RETRY_MAX_SCHEDULE];
};

/* How many retries may follow the first attempt. */
uint32_t retry_limit(const struct retry_policy *p);

/*
 * Delay after attempt `number` (1-based) failed, or -1 when no automatic retry is left.
 * retry_after_ms (-1: none) can only delay further, up to RETRY_AFTER_CAP_MS.
 */
int64_t retry_delay(const struct retry_policy *p, uint32_t number, int64_t retry_after_ms,
                    const struct rng *rng);

/* No delay is longer: what a record says beyond it comes from a clock that was wrong. */
int64_t retry_longest(const struct retry_policy *p);
/* What is left of the delay at a start, from 0 to retry_longest. The wall clock may have been set
 * back since, and the age clock stood still while nothing ran: the sooner of the two decides. */
int64_t retry_left(const struct retry_policy *p, const struct retry_record *rt, int64_t wall_ms,
                   int64_t age_ms);

#endif
