/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The event loop: one libuv loop, its turn, its clock and its timers.
 *
 * A turn: libuv polls and calls back; then the end-of-turn hooks run in their order (before the
 * next poll). The clock is read once per turn; loop_refresh after long work inside one.
 * Everything here is for the loop's own thread unless it says otherwise.
 */
#ifndef LL_LOOP_H
#define LL_LOOP_H

#include <stdbool.h>
#include <stdint.h>

#include "longline/clock.h"
#include "longline/err.h"
#include "longline/heap.h"
#include "longline/list.h"

struct loop;

/* clock may be NULL for the system's. */
int loop_open(struct loop **out, const struct clock *clock) LL_MUST_USE;
/* Runs until nothing is left that could call back. */
int loop_run(struct loop *l);
/* One turn; waits for events when `wait`. The hooks run before the poll and after it. For tests and
 * shutdown. True while handles are alive. */
bool loop_turn(struct loop *l, bool wait);
/* Everything that uses the loop must be closed before. Asserts that uv_loop_close succeeds. */
void loop_free(struct loop *l);

int64_t loop_mono_ms(const struct loop *l); /* of this turn */
int64_t loop_wall_ms(const struct loop *l);
/* A fresh reading, in microseconds; for measuring what spans turns. */
int64_t loop_mono_us(const struct loop *l);
void loop_refresh(struct loop *l);
bool loop_is_own_thread(const struct loop *l);

/* End-of-turn hooks, lowest order first. The struct is the caller's and lives until removed. */
struct loop_hook {
    void (*fn)(void *ctx);
    void *ctx;
    int order;
    struct list node; /* private */
};
void loop_hook_add(struct loop *l, struct loop_hook *h);
void loop_hook_remove(struct loop *l, struct loop_hook *h);
/* Makes sure that a turn follows at once (work was left over by a budget). */
void loop_again(struct loop *l);

/* A call in the next turn, before its hooks: how objects keep the promise not to call back before
 * the call that caused it has returned. The struct is the caller's. Deferring twice runs it once.
 */
struct loop_task {
    void (*fn)(void *ctx);
    void *ctx;
    struct list node; /* private */
};
void loop_task_init(struct loop_task *t, void (*fn)(void *ctx), void *ctx);
void loop_defer(struct loop *l, struct loop_task *t);
void loop_task_cancel(struct loop_task *t); /* harmless when not deferred */

/* Longest and accumulated turn time since the last call, in microseconds; work, not waiting. */
struct loop_stats {
    int64_t max_turn_us;     /* wall time */
    int64_t max_turn_cpu_us; /* processor time of the loop's thread */
    int64_t busy_us;
    uint64_t turns;
};
void loop_stats_take(struct loop *l, struct loop_stats *out);

/*
 * Timers: nodes in the loop's heap, driven by one libuv timer. Value objects; stopping is
 * synchronous; nothing to close. The callback runs with the timer stopped and may restart it.
 */
struct timer {
    struct heap_node node;
    void (*fn)(void *ctx);
    void *ctx;
    struct loop *loop;
};
void timer_init(struct timer *t, struct loop *l, void (*fn)(void *ctx), void *ctx);
void timer_at(struct timer *t, int64_t due_mono_ms); /* (re)arms */
void timer_in(struct timer *t, int64_t delay_ms);
void timer_stop(struct timer *t); /* harmless when not armed */
bool timer_armed(const struct timer *t);

/* Signals: fn runs on the loop. At most 8 watched. */
int loop_on_signal(struct loop *l, int signum, void (*fn)(void *ctx, int signum), void *ctx);
/* Closes the loop's own handles (signals, timer, hooks) so that loop_run can end: signals at once,
 * the others when no task and no timer is left. */
void loop_close_handles(struct loop *l);

#endif
