/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One attempt: from a work that the scheduler chose to its record in the journal.
 *
 * Happy path: load the event (from memory, else from the store) -> endpoint -> driver->send
 *   -> on_sent -> record -> final.
 * Other ends: the destination is gone, the event cannot be read or the endpoint cannot be compiled:
 *   an attempt that failed without being sent; so is an event that is older than the retention;
 *   canceled at shutdown: the work stays pending and nothing is recorded.
 */
#include "deliver_internal.h"

#include "longline/log.h"
#include "longline/mem.h"

#define ATTEMPT_MAGIC       0xa77e3970u
#define ATTEMPT_ARENA_MAX   ((size_t)256 * 1024)
#define UNREADABLE_PAUSE_MS 1000
#define MAX_SPARE           1024
#define EVENT_MAX           (64u << 20)
#define EXPIRED_TEXT        "the event became older than store.retention before it was delivered"

static struct attempt *attempt_new(struct deliver *d, struct work *w)
{
    struct list *node = list_pop_head(&d->spare);
    struct attempt *a = NULL;
    if (node != NULL) {
        d->n_spare--;
        a = LIST_ENTRY(node, struct attempt, node);
    } else {
        a = mem_zalloc(sizeof(*a));
        arena_init(&a->arena, ATTEMPT_ARENA_MAX);
        list_init(&a->node);
    }
    a->magic = ATTEMPT_MAGIC;
    a->d = d;
    a->work = w;
    a->blob = NULL;
    a->event = (struct event_record){0};
    a->endpoint = NULL;
    a->send = NULL;
    a->number = w->number;
    a->manual = w->manual;
    list_push_tail(&d->attempts, &a->node);
    return a;
}

static void attempt_destroy(struct attempt *a)
{
    a->magic = 0;
    arena_fini(&a->arena);
    mem_free(a);
}

static void attempt_end(struct attempt *a)
{
    struct deliver *d = a->d;
    blob_unref(a->blob);
    a->blob = NULL;
    deliver_endpoint_put(a->endpoint);
    a->endpoint = NULL;
    list_del(&a->node);
    if (d->n_spare >= MAX_SPARE) {
        attempt_destroy(a);
        return;
    }
    a->magic = 0;
    arena_reset(&a->arena);
    list_push_tail(&d->spare, &a->node);
    d->n_spare++;
}

void deliver_free_spare(struct deliver *d)
{
    for (struct list *node = list_pop_head(&d->spare); node != NULL;
         node = list_pop_head(&d->spare)) {
        attempt_destroy(LIST_ENTRY(node, struct attempt, node));
    }
    d->n_spare = 0;
}

/* The event as it stands in the journal, copied into a blob: nothing read may outlive the turn. */
static int read_event(struct attempt *a)
{
    struct store *store = a->d->store;
    int rc = store_read_begin(store);
    if (rc != 0) {
        return rc;
    }
    struct arena scratch;
    arena_init(&scratch, EVENT_MAX);
    struct event_record e;
    rc = store_get_event(store, a->work->event_seq, &scratch, &e);
    if (rc == 0) {
        a->blob = event_encode(&e, EVENT_MAX);
        rc = a->blob != NULL ? 0 : ERR_NOMEM;
    }
    arena_fini(&scratch);
    store_read_end(store);
    return rc;
}

static int load_event(struct attempt *a)
{
    const struct fresh_event *fresh = a->work->fresh;
    if (fresh != NULL && fresh->blob != NULL) {
        a->blob = blob_ref(fresh->blob);
    } else {
        const int rc = read_event(a);
        if (rc != 0) {
            return rc;
        }
    }
    const int rc = event_decode(&a->event, a->work->event_seq,
                                str_of((const char *)a->blob->p, a->blob->n), &a->arena);
    if (rc == 0) { /* that of a recovered work was not known */
        sched_set_cost(a->d->sched, a->work, deliver_cost(a->event.data.n));
    }
    return rc;
}

/* The work is over: no retry record, no place in the window. */
static void end_work(struct deliver *d, struct work *w)
{
    if (w->stored) {
        store_del_retry(d->store, w->event_seq, w->dest->num);
    }
    deliver_release_fresh(d, w);
    sched_done(d->sched, w);
}

static void plan_next(struct deliver *d, struct work *w, uint32_t number, int64_t delay_ms)
{
    const struct retry_record rt = {.event_seq = w->event_seq,
                                    .dest_num = w->dest->num,
                                    .number = number,
                                    .next_at_ms = loop_wall_ms(d->loop) + delay_ms,
                                    .due_age_ms = store_age_ms(d->store) + delay_ms,
                                    .manual = w->manual};
    store_put_retry(d->store, &rt);
    w->stored = true;
    deliver_release_fresh(d, w);
    const int64_t now = loop_mono_ms(d->loop);
    sched_again(d->sched, w, number, time_add(now, delay_ms), now);
}

/* Delay before the next attempt, or -1: this was the last one. */
static int64_t next_delay(const struct attempt *a, const struct dest_outcome *o)
{
    const struct deliver *d = a->d;
    if (a->work->again) {
        return 0;
    }
    if (o->success || !a->event.eligible_for_retry || (o->gone && !d->cfg.retry_gone)) {
        return -1;
    }
    return retry_delay(&d->retry, a->number, o->retry_after_ms, d->rng);
}

/* Empty when the destination was deleted before anything was sent. */
static struct str dest_type(const struct attempt *a, const struct destination *dest)
{
    if (dest != NULL) {
        return dest->type;
    }
    return a->endpoint != NULL ? str_c(a->endpoint->ep->driver->type) : STR("");
}

/* Of a destination that was deleted as the event has it; empty when that says nothing either. */
static struct str dest_id(const struct attempt *a, const struct destination *dest)
{
    const struct event_record *e = &a->event;
    if (dest != NULL) {
        return dest->id;
    }
    for (size_t i = 0; i < e->n_dests; i++) {
        if (e->dests[i].num == a->work->dest->num) {
            return e->dests[i].id;
        }
    }
    return STR_NULL;
}

static void record(struct attempt *a, const struct dest_outcome *o, const struct destination *dest,
                   int64_t delay_ms)
{
    struct deliver *d = a->d;
    const struct event_record *e = &a->event;
    const int64_t now = loop_wall_ms(d->loop);
    const struct attempt_record at = {
        .seq = store_next_seq(d->store),
        .event_seq = a->work->event_seq,
        .dest_num = a->work->dest->num,
        .event_id = e->id,
        .tenant_id = e->tenant_id,
        .dest_id = dest_id(a, dest),
        .dest_type = dest_type(a, dest),
        .topic = e->topic,
        .number = a->number,
        .manual = a->manual,
        .final = delay_ms < 0,
        .status = o->success ? ATTEMPT_SUCCESS : ATTEMPT_FAILED,
        .time_ms = now,
        .next_at_ms = delay_ms < 0 ? 0 : now + delay_ms,
        .duration_us = o->duration_us,
        .http_status = o->http_status,
        .code = o->code,
        .error = o->error,
        .response = o->response,
        .response_truncated = o->response_truncated,
    };
    const int rc = store_put_attempt(d->store, &at);
    if (rc != 0) { /* every part of it is capped, so this does not happen */
        log_error("attempt.record", LOG_STR("event", e->id), LOG_ERR(rc));
    }
    metric_inc(o->success ? &d->metrics.attempts_success : &d->metrics.attempts_failed, 1);
    metric_observe_us(&d->metrics.duration, o->duration_us);
}

/* Nothing but a change of the policy or of the destination helps: said where an operator looks. */
static void warn_blocked(const struct destination *dest, const struct dest_outcome *o)
{
    log_warn("delivery.blocked", LOG_STR("tenant", dest->tenant_id),
             LOG_STR("destination", dest->id), LOG_STR("why", o->error));
}

static void disable_if_hopeless(struct deliver *d, const struct sched_dest *sd,
                                const struct destination *dest)
{
    const struct deliver_cfg *cfg = &d->cfg;
    if (cfg->disable_after_failures == 0 || sd->failures_row < cfg->disable_after_failures ||
        dest->disabled_ms != 0 ||
        loop_mono_ms(d->loop) - sd->failing_since_ms < cfg->disable_after_ms) {
        return;
    }
    if (d->source.disable(d->source.ctx, sd->num) != 0) {
        return;
    }
    dest = d->source.find(d->source.ctx, sd->num); /* the old one is gone */
    log_warn("destination.disabled", LOG_STR("tenant", dest->tenant_id),
             LOG_STR("destination", dest->id), LOG_INT("failures", sd->failures_row));
}

/* Judges, records and plans; the attempt is gone afterwards. */
static void finish(struct attempt *a, const struct dest_outcome *o)
{
    struct deliver *d = a->d;
    struct work *w = a->work;
    const uint32_t num = w->dest->num;
    const struct destination *dest = d->source.find(d->source.ctx, num);
    const struct sched_outcome so = {.success = o->success,
                                     .overload = o->overload,
                                     .unreachable = o->unreachable,
                                     .neutral = dest == NULL || a->send == NULL};
    sched_judge(d->sched, w, &so, loop_mono_ms(d->loop));
    const int64_t delay = next_delay(a, o);
    record(a, o, dest, delay);
    if (delay < 0) {
        metric_inc(o->success ? &d->metrics.success : &d->metrics.failed, 1);
        end_work(d, w);
    } else {
        w->manual = w->again;
        w->again = false;
        plan_next(d, w, a->number + 1, delay);
    }
    struct sched_dest *sd = sched_dest_find(d->sched, num);
    if (dest != NULL && o->blocked) {
        warn_blocked(dest, o);
    }
    if (sd != NULL && dest != NULL && !o->success) {
        disable_if_hopeless(d, sd, dest);
    }
    if (sd != NULL && sd->n_works != 0 && sd->n_inflight == 0 && list_empty(&sd->fresh) &&
        list_empty(&sd->retry)) {
        deliver_endpoint_drop(sd); /* nothing but waiting: the compiled form would only take room */
    }
    attempt_end(a);
    if (delay >= 0) {
        deliver_expire_work(d, w);
    }
}

static void finish_unsent(struct attempt *a, struct str code, const char *why)
{
    const struct dest_outcome o = {.code = code, .error = str_c(why), .retry_after_ms = -1};
    finish(a, &o);
}

void deliver_cancel(struct attempt *a)
{
    struct deliver *d = a->d;
    struct work *w = a->work;
    if (a->send != NULL) {
        a->endpoint->ep->driver->cancel(a->send);
        a->send = NULL;
    }
    const int64_t now = loop_mono_ms(d->loop);
    sched_again(d->sched, w, w->number, now, now);
    attempt_end(a);
}

static void on_sent(void *ctx, const struct dest_outcome *o)
{
    struct attempt *a = ctx;
    LL_MAGIC_CHECK(a, ATTEMPT_MAGIC);
    if (o->canceled) {
        a->send = NULL;
        deliver_cancel(a);
        return;
    }
    finish(a, o);
}

/* The event cannot be read. A passing cause: tried again later. Damaged, or not there although it
 * is owed: that is recorded, with what is known. */
static void event_unreadable(struct attempt *a, int rc)
{
    struct deliver *d = a->d;
    struct work *w = a->work;
    log_warn("event.unreadable", LOG_INT("seq", w->event_seq), LOG_ERR(rc));
    if (rc != ERR_NOT_FOUND && rc != ERR_CORRUPT && rc != ERR_VERSION && rc != ERR_TOO_BIG) {
        const int64_t now = loop_mono_ms(d->loop); /* out of memory and the like: it may pass */
        sched_again(d->sched, w, w->number, now + UNREADABLE_PAUSE_MS, now);
        attempt_end(a);
        return;
    }
    metric_inc(&d->metrics.failed, 1);
    const struct destination *dest = d->source.find(d->source.ctx, w->dest->num);
    const bool is_missing = rc == ERR_NOT_FOUND;
    const struct dest_outcome o = {
        .code = is_missing ? STR(DEST_CODE_MISSING) : STR(DEST_CODE_CORRUPT),
        .error = is_missing ? STR("the stored event is missing and was not sent")
                            : STR("the stored event is damaged and was not sent"),
        .retry_after_ms = -1};
    a->event = (struct event_record){.seq = w->event_seq,
                                     .tenant_id = dest != NULL ? dest->tenant_id : STR_NULL};
    record(a, &o, dest, -1);
    end_work(d, w);
    attempt_end(a);
}

/* What cannot be read of the event leaves the record with less to tell. */
static void record_expired(struct attempt *a, const struct destination *dest)
{
    static const struct dest_outcome o = {
        .code = {.p = DEST_CODE_EXPIRED, .n = sizeof(DEST_CODE_EXPIRED) - 1},
        .error = {.p = EXPIRED_TEXT, .n = sizeof(EXPIRED_TEXT) - 1},
        .retry_after_ms = -1};
    struct deliver *d = a->d;
    struct arena scratch;
    int rc;

    arena_init(&scratch, EVENT_MAX);
    rc = store_get_event_head(d->store, a->work->event_seq, &scratch, &a->event);
    if (rc != 0) {
        a->event = (struct event_record){.tenant_id = dest != NULL ? dest->tenant_id : STR_NULL};
    }
    log_info("delivery.expired", LOG_STR("tenant", a->event.tenant_id),
             LOG_STR("destination", dest_id(a, dest)), LOG_STR("event", a->event.id),
             LOG_INT("seq", a->work->event_seq));
    record(a, &o, dest, -1);
    arena_fini(&scratch);
}

void deliver_end_expired(struct deliver *d, struct work *w)
{
    struct attempt *a;

    if (store_read_begin(d->store) != 0) {
        return; /* it is found again the next time */
    }
    a = attempt_new(d, w);
    record_expired(a, d->source.find(d->source.ctx, w->dest->num));
    store_read_end(d->store);
    metric_inc(&d->metrics.failed, 1);
    d->n_expired++;
    store_del_retry(d->store, w->event_seq, w->dest->num);
    deliver_release_fresh(d, w);
    sched_drop(d->sched, w);
    attempt_end(a);
}

void deliver_start(struct deliver *d, struct work *w)
{
    struct attempt *a = attempt_new(d, w);
    int rc = load_event(a);
    if (rc != 0) {
        event_unreadable(a, rc);
        return;
    }
    const struct destination *dest = d->source.find(d->source.ctx, w->dest->num);
    if (dest == NULL) {
        a->event.eligible_for_retry = false;
        finish_unsent(a, STR(DEST_CODE_DELETED), "the destination was deleted");
        return;
    }
    struct err_detail err = {0};
    a->endpoint = deliver_endpoint_get(d, w->dest, dest, &err);
    if (a->endpoint == NULL) {
        finish_unsent(a, STR(DEST_CODE_INVALID), err.msg);
        return;
    }
    const struct dest_attempt at = {.event = &a->event,
                                    .dest_id = dest->id,
                                    .number = a->number,
                                    .now_wall_ms = loop_wall_ms(d->loop)};
    a->send = a->endpoint->ep->driver->send(d->env, a->endpoint->ep, &at, on_sent, a, &err);
    if (a->send == NULL) {
        a->event.eligible_for_retry = false;
        finish_unsent(a, STR(DEST_CODE_UNFIT), err.msg);
    }
}
