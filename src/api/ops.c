/* SPDX-License-Identifier: Apache-2.0 */
/*
 * /metrics, and the figures that no other module registers: requests by route, and what the store,
 * the loop and the registry say of themselves. Those are copied into gauges when asked for.
 */
#include "api_internal.h"
#include "longline/check.h"
#include "longline/loop.h"
#include "longline/mem.h"
#include "native/native.h"

#define METRICS_MAX ((size_t)1 << 20)
#define LABEL_MAX   96

enum { CLASS_OK, CLASS_CLIENT, CLASS_SERVER, N_CLASSES };

enum gauge {
    GAUGE_USED,
    GAUGE_QUOTA,
    GAUGE_FREE_DISK,
    GAUGE_PENDING_BYTES,
    GAUGE_INDEX_LAG,
    GAUGE_DAMAGED,
    GAUGE_EVENTS,
    GAUGE_ATTEMPTS,
    GAUGE_RETRIES,
    GAUGE_COMMITS,
    GAUGE_PURGED_EVENTS,
    GAUGE_PURGED_ATTEMPTS,
    GAUGE_LOOP_MAX_TURN,
    GAUGE_LOOP_MAX_TURN_CPU,
    GAUGE_LOOP_BUSY,
    GAUGE_LOOP_TURNS,
    GAUGE_TENANTS,
    GAUGE_DESTINATIONS,
    GAUGE_READY,
    N_GAUGES
};

static const struct {
    enum metric_kind kind;
    const char *name;
    const char *help;
} gauges[N_GAUGES] = {
    [GAUGE_USED] = {METRIC_GAUGE, "longline_store_used_bytes",
                    "Bytes in use in the data directory."},
    [GAUGE_QUOTA] = {METRIC_GAUGE, "longline_store_quota_bytes", "Bytes that may be in use."},
    [GAUGE_FREE_DISK] = {METRIC_GAUGE, "longline_store_free_disk_bytes",
                         "Bytes free on the file system of the data directory."},
    [GAUGE_PENDING_BYTES] = {METRIC_GAUGE, "longline_store_pending_bytes",
                             "Bytes handed to the writer and not committed yet."},
    [GAUGE_INDEX_LAG] = {METRIC_GAUGE, "longline_store_index_lag_rows",
                         "Journal rows that are not indexed yet."},
    [GAUGE_DAMAGED] = {METRIC_GAUGE, "longline_store_damaged_records",
                       "Events and attempts that cannot be read."},
    [GAUGE_EVENTS] = {METRIC_COUNTER, "longline_store_events_total",
                      "Events committed since the start."},
    [GAUGE_ATTEMPTS] = {METRIC_COUNTER, "longline_store_attempts_total",
                        "Attempts committed since the start."},
    [GAUGE_RETRIES] = {METRIC_GAUGE, "longline_store_retries", "Retry records in the store."},
    [GAUGE_COMMITS] = {METRIC_COUNTER, "longline_store_commits_total", "Commits of the journal."},
    [GAUGE_PURGED_EVENTS] = {METRIC_COUNTER, "longline_store_purged_events_total",
                             "Events removed by retention."},
    [GAUGE_PURGED_ATTEMPTS] = {METRIC_COUNTER, "longline_store_purged_attempts_total",
                               "Attempts removed by retention."},
    [GAUGE_LOOP_MAX_TURN_CPU] = {METRIC_GAUGE, "longline_loop_max_turn_cpu_microseconds",
                                 "Most processor time of a loop turn since the last scrape."},
    [GAUGE_LOOP_MAX_TURN] = {METRIC_GAUGE, "longline_loop_max_turn_microseconds",
                             "Longest turn of the event loop since the last scrape: its lag."},
    [GAUGE_LOOP_BUSY] = {METRIC_COUNTER, "longline_loop_busy_microseconds_total",
                         "Time the event loop spent working."},
    [GAUGE_LOOP_TURNS] = {METRIC_COUNTER, "longline_loop_turns_total", "Turns of the event loop."},
    [GAUGE_TENANTS] = {METRIC_GAUGE, "longline_tenants", "Tenants."},
    [GAUGE_DESTINATIONS] = {METRIC_GAUGE, "longline_destinations", "Destinations."},
    [GAUGE_READY] = {METRIC_GAUGE, "longline_ready", "1 while events are taken on."},
};

struct request_counter {
    struct metric metric;
    char labels[LABEL_MAX];
};

struct ops {
    struct api *api;
    struct metric gauges[N_GAUGES];
    struct metric commit_latency;
    size_t n_routes;
    struct request_counter *requests; /* (n_routes + 1) * N_CLASSES; the last row: no route */
};

static void open_requests(struct ops *o, struct metrics *m)
{
    static const char *const classes[N_CLASSES] = {"2xx", "4xx", "5xx"};

    o->n_routes = native_n_routes;
    o->requests = mem_array((o->n_routes + 1) * N_CLASSES, sizeof(*o->requests));
    for (size_t i = 0; i < (o->n_routes + 1) * N_CLASSES; i++) {
        struct request_counter *rc = &o->requests[i];
        const size_t row = i / N_CLASSES;
        const char *route = row < o->n_routes ? native_routes[row].name : "none";
        struct buf b;

        buf_init(&b, LABEL_MAX - 1);
        (void)buf_printf(&b, "route=\"%s\",code=\"%s\"", route, classes[i % N_CLASSES]);
        LL_ASSERT(!b.failed);
        memcpy(rc->labels, b.p, b.n);
        buf_fini(&b);
        rc->metric = (struct metric){.kind = METRIC_COUNTER,
                                     .name = "longline_http_requests_total",
                                     .labels = rc->labels,
                                     .help = "Answered requests by route and class of status."};
        metrics_add(m, &rc->metric);
    }
}

void ops_open(struct ops **out, struct api *a)
{
    struct ops *o = mem_zalloc(sizeof(*o));
    struct metrics *m = a->sv.metrics;

    o->api = a;
    for (size_t i = 0; i < N_GAUGES; i++) {
        o->gauges[i] =
            (struct metric){.kind = gauges[i].kind, .name = gauges[i].name, .help = gauges[i].help};
        metrics_add(m, &o->gauges[i]);
    }
    o->commit_latency = (struct metric){.kind = METRIC_HISTOGRAM,
                                        .name = "longline_store_commit_seconds",
                                        .help = "Duration of the journal's commits."};
    metrics_add(m, &o->commit_latency);
    open_requests(o, m);
    *out = o;
}

/* The registry of metrics is not told: it is read no more, and its other members may be gone. */
void ops_free(struct ops *o)
{
    mem_free(o->requests);
    mem_free(o);
}

void ops_count(struct ops *o, const struct route *route, int status)
{
    const size_t row = route != NULL ? (size_t)(route - native_routes) : o->n_routes;
    const size_t class = status < 400 ? CLASS_OK : status < 500 ? CLASS_CLIENT : CLASS_SERVER;
    metric_inc(&o->requests[row * N_CLASSES + class].metric, 1);
}

static void refresh(struct ops *o)
{
    const struct api_services *sv = &o->api->sv;
    const struct store_stats *st = store_get_stats(sv->store);
    struct loop_stats loop;

    loop_stats_take(sv->loop, &loop);
    metric_set(&o->gauges[GAUGE_USED], (int64_t)st->used_bytes);
    metric_set(&o->gauges[GAUGE_QUOTA], (int64_t)st->quota_bytes);
    metric_set(&o->gauges[GAUGE_FREE_DISK], (int64_t)st->free_disk_bytes);
    metric_set(&o->gauges[GAUGE_PENDING_BYTES], (int64_t)store_pending_bytes(sv->store));
    metric_set(&o->gauges[GAUGE_INDEX_LAG], (int64_t)st->index_lag);
    metric_set(&o->gauges[GAUGE_DAMAGED], (int64_t)st->n_damaged);
    metric_set(&o->gauges[GAUGE_EVENTS], (int64_t)st->events);
    metric_set(&o->gauges[GAUGE_ATTEMPTS], (int64_t)st->attempts);
    metric_set(&o->gauges[GAUGE_RETRIES], (int64_t)st->n_retries);
    metric_set(&o->gauges[GAUGE_COMMITS], (int64_t)st->commits);
    metric_set(&o->gauges[GAUGE_PURGED_EVENTS], (int64_t)st->purged_events);
    metric_set(&o->gauges[GAUGE_PURGED_ATTEMPTS], (int64_t)st->purged_attempts);
    metric_set(&o->gauges[GAUGE_LOOP_MAX_TURN], loop.max_turn_us);
    metric_set(&o->gauges[GAUGE_LOOP_MAX_TURN_CPU], loop.max_turn_cpu_us);
    metric_inc(&o->gauges[GAUGE_LOOP_BUSY], loop.busy_us);
    metric_inc(&o->gauges[GAUGE_LOOP_TURNS], (int64_t)loop.turns);
    metric_set(&o->gauges[GAUGE_TENANTS], (int64_t)registry_n_tenants(sv->registry));
    metric_set(&o->gauges[GAUGE_DESTINATIONS], (int64_t)registry_n_destinations(sv->registry));
    metric_set(&o->gauges[GAUGE_READY], o->api->is_ready ? 1 : 0);
    memcpy(o->commit_latency.buckets, st->commit_latency.buckets,
           sizeof(o->commit_latency.buckets));
    o->commit_latency.sum_us = st->commit_latency.sum_us;
}

void metrics_get(struct call *c)
{
    struct buf out;
    int rc;

    refresh(c->api->ops);
    buf_init(&out, METRICS_MAX);
    rc = metrics_write(c->api->sv.metrics, &out);
    if (rc != 0) {
        reply_failure(c, rc);
    } else {
        reply_text(c, "text/plain; version=0.0.4; charset=utf-8", buf_str(&out));
    }
    buf_fini(&out);
}
