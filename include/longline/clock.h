/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The seam for time. Wall time is for records and people, monotonic time for every deadline; both
 * are int64_t, the unit is in the name. Pure modules take `now` as an argument instead.
 */
#ifndef LL_CLOCK_H
#define LL_CLOCK_H

#include <stdint.h>

#define TIME_NEVER INT64_MAX

struct clock {
    int64_t (*wall_ns)(void *ctx);
    int64_t (*mono_ns)(void *ctx);
    void *ctx;
};

const struct clock *clock_system(void);

static inline int64_t clock_wall_ns(const struct clock *c)
{
    return c->wall_ns(c->ctx);
}
static inline int64_t clock_wall_ms(const struct clock *c)
{
    return c->wall_ns(c->ctx) / 1000000;
}
static inline int64_t clock_mono_ns(const struct clock *c)
{
    return c->mono_ns(c->ctx);
}
static inline int64_t clock_mono_ms(const struct clock *c)
{
    return c->mono_ns(c->ctx) / 1000000;
}

/* Processor time of the calling thread: unlike elapsed time it does not grow while other processes
 * have the processor. For statistics. */
int64_t clock_thread_cpu_ns(void);

/* now + delta without overflow; delta >= 0; TIME_NEVER stays TIME_NEVER. */
int64_t time_add(int64_t now, int64_t delta);

#endif
