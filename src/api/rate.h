/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests per second of many callers in a table of fixed size (generic cell rate algorithm, one
 * second's worth as burst). When two callers meet in a slot the one that was quiet for longer is
 * forgotten: an error on the generous side, and only for whoever uses little. Pure.
 */
#ifndef LL_API_RATE_H
#define LL_API_RATE_H

#include <stdbool.h>
#include <stdint.h>

#define RATE_SLOTS 4096U /* a power of two */

struct rate_slot {
    uint64_t caller; /* hash; 0: free */
    int64_t due_us;  /* when everything used so far is paid for */
};
struct rate_table {
    struct rate_slot slots[RATE_SLOTS];
};

/* per_second > 0. */
bool rate_allow(struct rate_table *t, uint64_t caller, int64_t now_mono_ms, int64_t per_second);

#endif
