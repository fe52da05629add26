/* SPDX-License-Identifier: Apache-2.0 */
#include "upkeep/steady.h"

#include "longline/log.h"

void steady_init(struct steady *t, int64_t wall_ms, int64_t mono_ms, int64_t newest_ms)
{
    const bool is_far = newest_ms > 0 && wall_ms > newest_ms && wall_ms - newest_ms > STEADY_GAP_MS;
    *t = (struct steady){.now_ms = is_far ? newest_ms : wall_ms, .mono_ms = mono_ms};
}

static int64_t clamp(int64_t v, int64_t most)
{
    return v > most ? most : v < -most ? -most : v;
}

/* The wall clock is far away: is that to be believed? */
static void judge_step(struct steady *t, int64_t step_ms)
{
    const int64_t change = step_ms - t->step_ms;

    if (t->step_ms == 0 || change > STEADY_NEAR_MS || change < -STEADY_NEAR_MS) {
        t->step_ms = step_ms;
        t->since_ms = t->mono_ms;
        log_warn("store.clock", LOG_INT("step_ms", step_ms),
                 LOG_CSTR("detail",
                          "the wall clock stepped, or rows are much older than it: events are "
                          "numbered without the step until it has held for an hour"));
        return;
    }
    if (t->mono_ms - t->since_ms >= STEADY_BELIEVE_MS) {
        t->now_ms += step_ms;
        t->step_ms = 0;
        log_warn("store.clock", LOG_INT("step_ms", step_ms),
                 LOG_CSTR("detail", "the step has held: events are numbered with it"));
    }
}

int64_t steady_now(struct steady *t, int64_t wall_ms, int64_t mono_ms)
{
    const int64_t elapsed = mono_ms > t->mono_ms ? mono_ms - t->mono_ms : 0;
    int64_t ahead;

    t->now_ms += elapsed;
    t->mono_ms += elapsed;
    ahead = wall_ms - t->now_ms;
    if (ahead > STEADY_NEAR_MS || ahead < -STEADY_NEAR_MS) {
        judge_step(t, ahead);
    } else {
        t->step_ms = 0;
        t->now_ms += clamp(ahead, elapsed);
    }
    return t->now_ms;
}
