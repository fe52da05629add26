/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Timers: a heap of nodes and one libuv timer, the alarm.
 *
 * Due timers run when the alarm goes off and at the end of every turn; the alarm is set anew once
 * per turn, just before the poll (timers_rearm). So arming and stopping a timer costs a heap
 * operation and no more. A timer set from a timer's callback runs in a later turn,
 * whatever its delay, so a callback that re-arms itself cannot hold the loop.
 */
#include "loop_impl.h"

#include "longline/check.h"

static void on_alarm(uv_timer_t *h)
{
    struct loop *l = h->data;
    l->alarm_due = TIME_NEVER;
    (void)timers_run(l);
}

static void set_alarm(struct loop *l, int64_t due)
{
    const int64_t delay = due - loop_mono_ms(l);
    l->alarm_due = due;
    const int rc = uv_timer_start(&l->alarm, on_alarm, delay > 0 ? (uint64_t)delay : 0, 0);
    LL_ASSERT(rc == 0);
}

void timers_open(struct loop *l)
{
    heap_init(&l->timers);
    l->alarm_due = TIME_NEVER;
    const int rc = uv_timer_init(&l->uv, &l->alarm);
    LL_ASSERT(rc == 0);
    l->alarm.data = l;
}

bool timers_run(struct loop *l)
{
    bool any = false;
    if (l->timers.n == 0) {
        return false;
    }
    const int64_t now = loop_mono_ms(l);
    l->firing = true;
    struct heap_node *node = heap_min(&l->timers);
    while (node != NULL && node->key <= now) {
        heap_remove(&l->timers, node);
        struct timer *t = LL_CONTAINER(node, struct timer, node);
        t->fn(t->ctx);
        any = true;
        node = heap_min(&l->timers);
    }
    l->firing = false;
    return any;
}

void timers_rearm(struct loop *l)
{
    const struct heap_node *min = heap_min(&l->timers);
    if (min == NULL) {
        if (l->alarm_due != TIME_NEVER) {
            l->alarm_due = TIME_NEVER;
            (void)uv_timer_stop(&l->alarm);
        }
    } else if (min->key != l->alarm_due) {
        set_alarm(l, min->key);
    }
}

void timer_init(struct timer *t, struct loop *l, void (*fn)(void *ctx), void *ctx)
{
    *t = (struct timer){.fn = fn, .ctx = ctx, .loop = l};
}

void timer_at(struct timer *t, int64_t due_mono_ms)
{
    struct loop *l = t->loop;
    LL_DCHECK(loop_is_own_thread(l));
    LL_ASSERT(!l->handles_closed);
    int64_t due = due_mono_ms;
    if (l->firing) {
        const int64_t earliest = loop_mono_ms(l) + 1;
        due = due > earliest ? due : earliest;
    }
    if (heap_has(&t->node)) {
        heap_update(&l->timers, &t->node, due);
    } else {
        heap_insert(&l->timers, &t->node, due);
    }
    /* The alarm keeps the loop alive; its exact time is set before the poll. */
    if (l->alarm_due == TIME_NEVER) {
        set_alarm(l, due);
    }
}

void timer_in(struct timer *t, int64_t delay_ms)
{
    timer_at(t, time_add(loop_mono_ms(t->loop), delay_ms > 0 ? delay_ms : 0));
}

void timer_stop(struct timer *t)
{
    if (heap_has(&t->node)) {
        heap_remove(&t->loop->timers, &t->node);
    }
}

bool timer_armed(const struct timer *t)
{
    return heap_has(&t->node);
}
