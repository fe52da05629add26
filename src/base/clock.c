/* SPDX-License-Identifier: Apache-2.0 */
#include "longline/clock.h"

#include <stddef.h>
#include <time.h>

#include "longline/check.h"

static int64_t read_clock(clockid_t which)
{
    struct timespec ts = {0};
    const int rc = clock_gettime(which, &ts);
    LL_ASSERT(rc == 0);
    return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static int64_t system_wall_ns(void *ctx)
{
    (void)ctx;
    return read_clock(CLOCK_REALTIME);
}

static int64_t system_mono_ns(void *ctx)
{
    (void)ctx;
    return read_clock(CLOCK_MONOTONIC);
}

const struct clock *clock_system(void)
{
    static const struct clock system_clock = {
        .wall_ns = system_wall_ns,
        .mono_ns = system_mono_ns,
    };
    return &system_clock;
}

int64_t clock_thread_cpu_ns(void)
{
    return read_clock(CLOCK_THREAD_CPUTIME_ID);
}

int64_t time_add(int64_t now, int64_t delta)
{
    int64_t sum;
    LL_ASSERT(delta >= 0);
    if (now == TIME_NEVER || __builtin_add_overflow(now, delta, &sum)) {
        return TIME_NEVER;
    }
    return sum;
}
