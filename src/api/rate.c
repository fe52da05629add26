/* SPDX-License-Identifier: Apache-2.0 */
#include "rate.h"

#define SECOND_US 1000000

static struct rate_slot *slot_of(struct rate_table *t, uint64_t caller)
{
    struct rate_slot *one = &t->slots[caller & (RATE_SLOTS - 1)];
    struct rate_slot *two = &t->slots[caller >> 32 & (RATE_SLOTS - 1)];
    struct rate_slot *slot;

    if (one->caller == caller) {
        return one;
    }
    if (two->caller == caller) {
        return two;
    }
    slot = one->due_us <= two->due_us ? one : two;
    *slot = (struct rate_slot){.caller = caller};
    return slot;
}

bool rate_allow(struct rate_table *t, uint64_t caller, int64_t now_mono_ms, int64_t per_second)
{
    struct rate_slot *slot = slot_of(t, caller);
    const int64_t now_us = now_mono_ms * 1000;
    const int64_t cost_us = per_second < SECOND_US ? SECOND_US / per_second : 1;

    if (slot->due_us < now_us) {
        slot->due_us = now_us;
    }
    if (slot->due_us + cost_us > now_us + SECOND_US) {
        return false;
    }
    slot->due_us += cost_us;
    return true;
}
