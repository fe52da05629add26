/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a checked request to a durable event.
 *
 * Happy path: parse -> not seen before -> match -> encode -> open batch -> (commit) -> queue for
 * delivery -> done.
 * Ends: refused with a problem (nothing was put); duplicate (nothing new is put, done follows when
 * the first one is durable); commit failure: the process stops, no done.
 *
 * The decision takes place in one go on the loop thread, so two requests with one id cannot both
 * pass: the second one finds the first in the store's open batch.
 */
#include "longline/publish.h"

#include "longline/clock.h"
#include "longline/date.h"
#include "longline/id.h"
#include "longline/mem.h"
#include "parse.h"

struct publish {
    struct publish_options o;
    struct publish_metrics metrics;
};

/* One publish under way; lives in the request's arena. */
struct publish_job {
    struct publish *p;
    struct store_waiter waiter;
    struct event_record event;
    struct blob *blob; /* NULL for a duplicate */
    int64_t start_ns;
    publish_done_fn done;
    void *ctx;
};

void publish_open(struct publish **out, const struct publish_options *o)
{
    struct publish *p = mem_zalloc(sizeof(*p));
    p->o = *o;
    p->metrics = (struct publish_metrics){
        .accepted = {.kind = METRIC_COUNTER,
                     .name = "longline_events_accepted_total",
                     .help = "Events that were made durable and acknowledged."},
        .duplicates = {.kind = METRIC_COUNTER,
                       .name = "longline_events_duplicate_total",
                       .help = "Publishes with an id that was accepted before."},
        .refused = {.kind = METRIC_COUNTER,
                    .name = "longline_events_refused_total",
                    .help = "Publishes refused: invalid, too big, store full, busy or not ready; "
                            "chunked bodies that outgrow the limit are not counted."},
        .latency = {.kind = METRIC_HISTOGRAM,
                    .name = "longline_publish_seconds",
                    .help = "From the complete request to the durable event."},
    };
    *out = p;
}

struct publish_metrics *publish_get_metrics(struct publish *p)
{
    return &p->metrics;
}

void publish_count_refused(struct publish *p)
{
    metric_inc(&p->metrics.refused, 1);
}

void publish_set_max_event(struct publish *p, size_t max_event)
{
    p->o.max_event = max_event;
}

void publish_free(struct publish *p)
{
    mem_free(p);
}

static void on_durable(void *ctx)
{
    struct publish_job *job = ctx;
    struct publish *p = job->p;
    const struct publish_result r = {.id = job->event.id,
                                     .duplicate = job->blob == NULL,
                                     .n_dests = job->event.n_dests,
                                     .dests = job->event.dests};
    if (job->blob != NULL) {
        deliver_event(p->o.deliver, &job->event, job->blob);
        blob_unref(job->blob);
        metric_inc(&p->metrics.accepted, 1);
    } else {
        metric_inc(&p->metrics.duplicates, 1);
    }
    metric_observe_us(&p->metrics.latency, (clock_mono_ns(clock_system()) - job->start_ns) / 1000);
    job->done(job->ctx, &r);
}

static int match(struct publish *p, const struct publish_request *rq, struct event_record *e,
                 struct arena *a)
{
    char time[DATE_MAX];
    const size_t time_n = date_rfc3339_s(time, e->time_ms);
    const struct match_doc doc = {.id = e->id,
                                  .topic = e->topic,
                                  .time = str_of(time, time_n),
                                  .metadata = rq->metadata_val,
                                  .data = rq->data_val};
    const struct registry_match m = {
        .tenant_id = rq->tenant_id, .dest_id = rq->destination_id, .doc = &doc};
    struct record_dest *dests = NULL;
    const int rc = registry_match(p->o.registry, &m, a, &dests, &e->n_dests);
    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; i < e->n_dests; i++) { /* the destination may go before the answer does */
        dests[i].id = arena_str(a, dests[i].id);
        if (dests[i].id.p == NULL) {
            return ERR_TOO_BIG;
        }
    }
    e->dests = dests;
    return 0;
}

static int give_id(struct publish *p, struct event_record *e, struct arena *a)
{
    char *id = arena_alloc(a, ID_LEN);
    if (id == NULL) {
        return ERR_TOO_BIG;
    }
    id_from_seq(id, e->seq, p->o.rng);
    e->id = str_of(id, ID_LEN);
    return 0;
}

static int put(struct publish *p, struct publish_job *job)
{
    struct event_record *e = &job->event;
    job->blob = event_encode(e, p->o.max_event);
    if (job->blob == NULL) {
        return ERR_TOO_BIG;
    }
    int rc = store_admit(p->o.store, job->blob->n, e->n_dests);
    if (rc == 0) {
        rc = deliver_admit(p->o.deliver, e->n_dests);
    }
    if (rc != 0) {
        blob_unref(job->blob);
        return rc;
    }
    store_put_event(p->o.store, e->seq, job->blob);
    if (e->custom_id) {
        store_put_idempotency(p->o.store, e->tenant_id, e->id, e->seq);
    }
    return 0;
}

static int decide(struct publish *p, const struct publish_request *rq, struct publish_job *job,
                  struct arena *a)
{
    struct event_record *e = &job->event;
    const int64_t now = loop_wall_ms(p->o.loop);
    *e = (struct event_record){.seq = store_next_seq(p->o.store),
                               .id = rq->id,
                               .tenant_id = rq->tenant_id,
                               .topic = rq->topic,
                               .time_ms = rq->has_time ? rq->time_ms : now,
                               .custom_id = rq->id.p != NULL,
                               .eligible_for_retry = rq->eligible_for_retry,
                               .metadata = rq->metadata,
                               .data = rq->data};
    int rc = e->custom_id ? 0 : give_id(p, e, a);
    if (rc == 0) {
        rc = match(p, rq, e, a);
    }
    if (rc != 0) {
        return rc;
    }
    if (e->custom_id) {
        uint64_t seq;
        rc = store_find_idempotency(p->o.store, e->tenant_id, e->id, &seq);
        if (rc != ERR_NOT_FOUND) {
            return rc; /* 0: a duplicate; the waiter sees to it that the first one is durable */
        }
    }
    return put(p, job);
}

static void explain(struct problem *problem, int rc)
{
    switch (rc) {
    case ERR_TOO_BIG:
        problem_set(problem, 413, "the event is too big");
        break;
    case ERR_FULL:
        problem_set(problem, 503, "the store is full, try again later");
        break;
    case ERR_BUSY:
        problem_set(problem, 503, "too much work is pending, try again later");
        break;
    default:
        problem_set(problem, 500, "internal server error");
        break;
    }
}

int publish_start(struct publish *p, struct str body, struct arena *a, struct problem *problem,
                  publish_done_fn done, void *ctx)
{
    const int64_t start_ns = clock_mono_ns(clock_system());
    struct publish_request rq;
    publish_parse(&rq, body, p->o.topics, a, problem);
    if (problem->status == 0 && p->o.ids_without_dots && str_find(rq.id, '.') < rq.id.n) {
        problem_add(problem, a, "id must not contain a dot (webhook.mode)");
    }
    if (problem->status != 0) {
        metric_inc(&p->metrics.refused, 1);
        return ERR_INVALID;
    }
    struct publish_job *job = arena_zalloc(a, sizeof(*job));
    int rc = job != NULL ? 0 : ERR_TOO_BIG;
    if (rc == 0) {
        job->p = p;
        job->start_ns = start_ns;
        job->done = done;
        job->ctx = ctx;
        rc = decide(p, &rq, job, a);
    }
    if (rc != 0) {
        metric_inc(&p->metrics.refused, 1);
        explain(problem, rc);
        return rc;
    }
    job->waiter = (struct store_waiter){.fn = on_durable, .ctx = job};
    list_init(&job->waiter.node);
    store_wait(p->o.store, &job->waiter);
    return 0;
}
