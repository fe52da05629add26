/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is pending, rebuilt from the journal:
 *
 *   retry records                      pending, with number and time
 *   events from the low mark on        pending for each matched destination, unless it has a retry
 *   attempts from the low mark on      those that were final end the fresh deliveries they
 *   belong to
 *
 *   events that cannot be read         a failed delivery is recorded: damaged.c
 *
 * Attempts and events share one sequence, so an attempt of an event at or above the low mark is
 * itself above it.
 */
#include "deliver_internal.h"

#include "longline/log.h"

struct recovery {
    struct deliver *d;
    struct damaged_events damaged;
};

static int on_retry(void *ctx, const struct retry_record *rt)
{
    struct deliver *d = ctx;
    const struct destination *dest = d->source.find(d->source.ctx, rt->dest_num);
    struct sched_dest *sd = deliver_dest_state(d, rt->dest_num, dest);
    const int64_t now = loop_mono_ms(d->loop);
    const int64_t delay =
        dest == NULL ? 0 : retry_left(&d->retry, rt, loop_wall_ms(d->loop), store_age_ms(d->store));
    struct work *w = sched_add(d->sched, sd, rt->event_seq, rt->number, time_add(now, delay), now);
    w->stored = true;
    w->manual = rt->manual;
    return 0;
}

static int on_event(void *ctx, const struct event_record *e)
{
    const struct recovery *r = ctx;
    deliver_event(r->d, e, NULL);
    return 0;
}

static int on_damaged(void *ctx, uint64_t seq)
{
    struct recovery *r = ctx;
    damaged_add(&r->damaged, seq);
    return 0;
}

static int on_attempt(void *ctx, const struct attempt_record *at)
{
    struct recovery *r = ctx;
    struct deliver *d = r->d;
    struct work *w = sched_find(d->sched, at->event_seq, at->dest_num);
    damaged_note_attempt(&r->damaged, at);
    if (w == NULL || w->fresh == NULL) {
        return 0;
    }
    if (at->final) {
        deliver_release_fresh(d, w);
        sched_drop(d->sched, w);
    } else {
        w->number = at->number + 1;
    }
    return 0;
}

int deliver_recover(struct deliver *d)
{
    struct recovery r = {.d = d};
    loop_refresh(d->loop);
    int rc = store_each_retry(d->store, 0, 0, on_retry, d);
    if (rc == 0) {
        rc = store_each_event(d->store, d->stored_low, on_event, on_damaged, &r);
    }
    if (rc == 0) {
        rc = store_each_attempt(d->store, d->stored_low, on_attempt, &r);
    }
    if (rc == 0) {
        damaged_record(d, &r.damaged);
    }
    damaged_fini(&r.damaged);
    struct sched_stats st;
    sched_stats(d->sched, &st);
    log_info("deliver.recovered", LOG_INT("pending", st.n_works), LOG_INT("fresh", d->window.n));
    return rc;
}
