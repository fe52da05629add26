/* SPDX-License-Identifier: Apache-2.0 */
#include "upkeep/age_clock.h"

void age_clock_init(struct age_clock *c, int64_t from_ms, int64_t mono_ms)
{
    *c = (struct age_clock){.now_ms = from_ms, .mono_ms = mono_ms};
}

int64_t age_clock_now(struct age_clock *c, int64_t mono_ms)
{
    const int64_t elapsed = mono_ms > c->mono_ms ? mono_ms - c->mono_ms : 0;

    c->now_ms += elapsed < AGE_STEP_MAX_MS ? elapsed : AGE_STEP_MAX_MS;
    c->mono_ms = mono_ms;
    return c->now_ms;
}
