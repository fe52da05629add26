/* SPDX-License-Identifier: Apache-2.0 */
#include "test_wait.h"

#define WAKE_MS 50

static void on_wake(void *ctx)
{
    (void)ctx;
}

/* The time is the system's whatever clock the loop has, and the loop is woken now and then: a
 * condition may have become true in a turn that then went on to sleep. */
bool wait_until(struct loop *l, bool (*cond)(void *ctx), void *ctx, int64_t ms)
{
    const int64_t end = clock_mono_ms(clock_system()) + ms;
    struct timer wake;
    timer_init(&wake, l, on_wake, NULL);
    int64_t left = ms;
    while (!cond(ctx) && left > 0) {
        loop_refresh(l);
        timer_in(&wake, left < WAKE_MS ? left : WAKE_MS);
        (void)loop_turn(l, true);
        left = end - clock_mono_ms(clock_system());
    }
    timer_stop(&wake);
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
