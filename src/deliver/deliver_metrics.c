/* SPDX-License-Identifier: Apache-2.0 */
/* The metrics of deliveries. Gauges are computed when they are read. */
#include "deliver_internal.h"

#include "longline/id.h"

static int64_t read_pending(void *ctx)
{
    const struct deliver *d = ctx;
    struct sched_stats st;
    sched_stats(d->sched, &st);
    return (int64_t)st.n_works;
}

static int64_t read_inflight(void *ctx)
{
    return (int64_t)deliver_n_inflight(ctx);
}

static int64_t read_open_breakers(void *ctx)
{
    const struct deliver *d = ctx;
    struct sched_stats st;
    sched_stats(d->sched, &st);
    return (int64_t)st.n_open_breakers;
}

static int on_first_retry(void *ctx, const struct retry_record *rt)
{
    uint64_t *oldest = ctx;
    *oldest = rt->event_seq;
    return 1; /* they come in the order of events */
}

static int64_t read_oldest_s(void *ctx)
{
    const struct deliver *d = ctx;
    uint64_t oldest = UINT64_MAX;
    (void)store_each_retry(d->store, 0, 0, on_first_retry, &oldest);
    const struct fresh_event *fresh = window_oldest(&d->window);
    if (fresh != NULL && fresh->seq < oldest) {
        oldest = fresh->seq;
    }
    if (oldest == UINT64_MAX) {
        return 0;
    }
    return store_seq_age_ms(d->store, oldest) / 1000;
}

void deliver_metrics_init(struct deliver *d)
{
    d->metrics = (struct deliver_metrics){
        .success = {.kind = METRIC_COUNTER,
                    .name = "longline_deliveries_total",
                    .labels = "status=\"success\"",
                    .help = "Deliveries that ended, by status."},
        .failed = {.kind = METRIC_COUNTER,
                   .name = "longline_deliveries_total",
                   .labels = "status=\"failed\"",
                   .help = "Deliveries that ended, by status."},
        .attempts_success = {.kind = METRIC_COUNTER,
                             .name = "longline_attempts_total",
                             .labels = "status=\"success\"",
                             .help = "Attempts, by status."},
        .attempts_failed = {.kind = METRIC_COUNTER,
                            .name = "longline_attempts_total",
                            .labels = "status=\"failed\"",
                            .help = "Attempts, by status."},
        .pending = {.kind = METRIC_GAUGE,
                    .name = "longline_pending",
                    .help = "Deliveries that have not ended.",
                    .read = read_pending,
                    .ctx = d},
        .inflight = {.kind = METRIC_GAUGE,
                     .name = "longline_inflight",
                     .help = "Attempts under way.",
                     .read = read_inflight,
                     .ctx = d},
        .open_breakers = {.kind = METRIC_GAUGE,
                          .name = "longline_paused_destinations",
                          .help = "Destinations paused because they do not answer.",
                          .read = read_open_breakers,
                          .ctx = d},
        .oldest_pending_s = {.kind = METRIC_GAUGE,
                             .name = "longline_oldest_pending_seconds",
                             .help = "Age of the oldest event with a pending delivery.",
                             .read = read_oldest_s,
                             .ctx = d},
        .duration = {.kind = METRIC_HISTOGRAM,
                     .name = "longline_attempt_duration_seconds",
                     .help = "Time from the start of an attempt to its end."},
    };
}

struct deliver_metrics *deliver_get_metrics(struct deliver *d)
{
    return &d->metrics;
}
