/* SPDX-License-Identifier: Apache-2.0 */
#include "test_wait.h"

static void on_deadline(void *ctx)
{
    bool *late = ctx;
    *late = true;
}

bool wait_until(struct loop *l, bool (*cond)(void *ctx), void *ctx, int64_t ms)
{
    bool late = false;
    struct timer deadline;
    timer_init(&deadline, l, on_deadline, &late);
    loop_refresh(l);
    timer_in(&deadline, ms);
    while (!cond(ctx) && !late) {
        (void)loop_turn(l, true);
    }
    timer_stop(&deadline);
    return cond(ctx);
}

static bool flag_set(void *ctx)
{
    const bool *const *flag = ctx;
    return **flag;
}

bool wait_flag(struct loop *l, const bool *flag, int64_t ms)
{
    return wait_until(l, flag_set, &flag, ms);
}

static bool never(void *ctx)
{
    (void)ctx;
    return false;
}

void wait_ms(struct loop *l, int64_t ms)
{
    (void)wait_until(l, never, NULL, ms);
}
