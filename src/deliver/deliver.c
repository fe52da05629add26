/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The delivery engine: the edge around the pure scheduler. At the end of each turn it starts
 * what may start, within a budget; a timer wakes the loop when the scheduler's next work is due.
 */
#include "deliver_internal.h"

#include "longline/log.h"
#include "longline/mem.h"
#include "longline/turn.h"

#define STARTS_PER_TURN 256
#define SPILL_AFTER_MS  10000
#define SPILL_EVERY_MS  100
#define SPILL_PER_TICK  5000
#define WINDOW_MAX      200000
#define SWEEP_PER_TICK  65536

static void on_dest_gone(void *ctx, struct sched_dest *sd)
{
    (void)ctx;
    deliver_endpoint_drop(sd);
}

/* What an attempt says has to be recorded: none starts while there is no room for that beside the
 * records of all that are under way, or while the disk stands still and records pile up in memory.
 * A commit wakes the loop. */
static bool may_start(const struct deliver *d)
{
    struct sched_stats st;
    if (d->draining || store_is_behind(d->store)) {
        return false;
    }
    sched_stats(d->sched, &st);
    store_set_owed(d->store, d->window.n_outstanding, st.n_inflight * d->attempt_room);
    return store_has_room_for_attempt(d->store, d->attempt_room);
}

static void advance_low(struct deliver *d)
{
    const uint64_t low = window_low(&d->window);
    if (low != d->stored_low) {
        d->stored_low = low;
        store_set_low(d->store, low);
    }
}

static void on_turn_end(void *ctx)
{
    struct deliver *d = ctx;
    const int64_t now = loop_mono_ms(d->loop);
    unsigned started = 0;
    struct work *w = NULL;
    while (may_start(d) && started < STARTS_PER_TURN && (w = sched_next(d->sched, now)) != NULL) {
        deliver_start(d, w);
        started++;
    }
    advance_low(d);
    if (started == STARTS_PER_TURN) {
        loop_again(d->loop);
        return;
    }
    const int64_t due = sched_next_due(d->sched);
    if (due == TIME_NEVER || !may_start(d)) {
        timer_stop(&d->wake);
    } else if (due <= now) {
        loop_again(d->loop);
    } else if (!timer_armed(&d->wake) || d->wake.node.key != due) {
        timer_at(&d->wake, due);
    }
}

static void on_wake(void *ctx)
{
    (void)ctx; /* the end of this turn does the work */
}

void deliver_release_fresh(struct deliver *d, struct work *w)
{
    if (w->fresh != NULL) {
        window_release(&d->window, w->fresh);
        w->fresh = NULL;
    }
}

static void spill_event(struct deliver *d, struct fresh_event *e)
{
    const uint64_t seq = e->seq;
    /* Releasing the last delivery frees e: work on a hold. */
    window_hold(&d->window, e);
    for (uint32_t i = 0; i < e->n_dests; i++) {
        struct work *w = sched_find(d->sched, seq, e->dests[i]);
        if (w == NULL || w->fresh != e) {
            continue;
        }
        const struct retry_record rt = {
            .event_seq = seq, .dest_num = e->dests[i], .number = w->number, .manual = w->manual};
        store_put_retry(d->store, &rt);
        w->stored = true;
        deliver_release_fresh(d, w);
    }
    window_release(&d->window, e);
}

void deliver_spill(struct deliver *d)
{
    const int64_t now = loop_mono_ms(d->loop);
    for (unsigned n = 0; n < SPILL_PER_TICK; n++) {
        struct fresh_event *e = window_oldest(&d->window);
        if (e == NULL || (now - e->added_mono_ms < SPILL_AFTER_MS && d->window.n <= WINDOW_MAX)) {
            return;
        }
        spill_event(d, e);
    }
}

static void on_spill(void *ctx)
{
    struct deliver *d = ctx;
    deliver_spill(d);
    deliver_expire(d);
    if (d->is_sweeping) {
        d->is_sweeping = !sched_hasten_gone(d->sched, &d->sweep_at, SWEEP_PER_TICK);
    }
    timer_in(&d->spill, SPILL_EVERY_MS);
}

static void apply_cfg(struct deliver *d, const struct deliver_cfg *cfg)
{
    d->cfg = *cfg;
    d->cfg.retry_schedule = (struct cfg_list){0}; /* belongs to the configuration, which may go */
    deliver_policy_from_cfg(&d->retry, cfg);
}

void deliver_open(struct deliver **out, const struct deliver_options *o)
{
    struct deliver *d = mem_zalloc(sizeof(*d));
    d->loop = o->loop;
    d->store = o->store;
    d->env = o->env;
    d->source = o->source;
    d->rng = o->rng;
    apply_cfg(d, o->cfg);
    struct sched_cfg sc;
    deliver_sched_cfg(&sc, o->cfg);
    const struct sched_hooks hooks = {.dest_gone = on_dest_gone, .ctx = d};
    d->sched = sched_new(&sc, &hooks, o->rng);
    d->stored_low = store_low(o->store);
    window_init(&d->window, d->stored_low, (size_t)o->cfg->fresh_memory);
    list_init(&d->attempts);
    list_init(&d->spare);
    d->hook = (struct loop_hook){.fn = on_turn_end, .ctx = d, .order = TURN_DELIVER};
    loop_hook_add(o->loop, &d->hook);
    timer_init(&d->wake, o->loop, on_wake, d);
    timer_init(&d->spill, o->loop, on_spill, d);
    timer_in(&d->spill, SPILL_EVERY_MS);
    deliver_metrics_init(d);
    *out = d;
}

void deliver_reload(struct deliver *d, const struct deliver_cfg *cfg)
{
    apply_cfg(d, cfg);
    struct sched_cfg sc;
    deliver_sched_cfg(&sc, cfg);
    sched_set_cfg(d->sched, &sc);
    d->window.max_blob_bytes = (size_t)cfg->fresh_memory;
}

void deliver_set_max_record(struct deliver *d, size_t n)
{
    d->attempt_room = store_attempt_room(n);
}

int deliver_admit(const struct deliver *d, size_t n)
{
    struct sched_stats st;
    sched_stats(d->sched, &st);
    return st.n_works + n > (size_t)d->cfg.max_pending ? ERR_BUSY : 0;
}

uint16_t deliver_cost(size_t bytes)
{
    const size_t kib = (bytes + 1023) / 1024;
    return kib == 0 ? 1 : (uint16_t)(kib < UINT16_MAX ? kib : UINT16_MAX);
}

void deliver_event(struct deliver *d, const struct event_record *e, struct blob *encoded)
{
    uint32_t nums[RECORD_MAX_DESTS];
    LL_ASSERT(e->n_dests <= RECORD_MAX_DESTS);
    for (size_t i = 0; i < e->n_dests; i++) {
        nums[i] = e->dests[i].num;
    }
    const int64_t now = loop_mono_ms(d->loop);
    struct fresh_event *fresh = window_add(&d->window, e->seq, encoded, nums, e->n_dests, now);
    for (size_t i = 0; i < e->n_dests; i++) {
        struct sched_dest *sd = sched_dest_find(d->sched, nums[i]);
        if (sd == NULL) {
            sd = deliver_dest_state(d, nums[i], d->source.find(d->source.ctx, nums[i]));
        }
        if (sched_find(d->sched, e->seq, nums[i]) != NULL) {
            /* It has a retry record: recovered, or a manual retry was asked for when the event was
             * durable but this thread had not been told. */
            window_release(&d->window, fresh);
            continue;
        }
        struct work *w = sched_add(d->sched, sd, e->seq, 1, now, now);
        w->fresh = fresh;
        w->cost = deliver_cost(e->data.n);
    }
}

void deliver_retry(struct deliver *d, uint64_t event_seq, uint32_t dest_num, uint32_t number)
{
    struct work *w = sched_find(d->sched, event_seq, dest_num);
    if (w != NULL && w->state == WORK_INFLIGHT) {
        w->again = true;
        return;
    }
    const int64_t now = loop_mono_ms(d->loop);
    if (w == NULL) {
        struct sched_dest *sd =
            deliver_dest_state(d, dest_num, d->source.find(d->source.ctx, dest_num));
        w = sched_add(d->sched, sd, event_seq, number, TIME_NEVER, now);
    }
    w->manual = true;
    const struct retry_record rt = {
        .event_seq = event_seq, .dest_num = dest_num, .number = w->number, .manual = true};
    store_put_retry(d->store, &rt);
    w->stored = true;
    deliver_release_fresh(d, w);
    sched_hasten(d->sched, w);
}

void deliver_drain(struct deliver *d)
{
    d->draining = true;
}

size_t deliver_n_inflight(const struct deliver *d)
{
    struct sched_stats st;
    sched_stats(d->sched, &st);
    return st.n_inflight;
}

void deliver_free(struct deliver *d)
{
    if (d == NULL) {
        return;
    }
    d->draining = true;
    LIST_FOREACH_SAFE (it, tmp, &d->attempts) {
        deliver_cancel(LIST_ENTRY(it, struct attempt, node));
    }
    loop_hook_remove(d->loop, &d->hook);
    timer_stop(&d->wake);
    timer_stop(&d->spill);
    sched_free(d->sched);
    window_fini(&d->window);
    deliver_free_spare(d);
    mem_free(d);
}
