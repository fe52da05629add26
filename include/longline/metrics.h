/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Counters, gauges and histograms in Prometheus text format 0.0.4. Loop thread only; other threads
 * hand their figures over in messages. Metrics are plain structs embedded in their module and
 * registered once by pointer; the registry does not own them.
 */
#ifndef LL_METRICS_H
#define LL_METRICS_H

#include <stdint.h>

#include "longline/buf.h"
#include "longline/list.h"

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

#define METRIC_BUCKETS 20 /* upper bounds 0.1 ms … 52 s, doubling, then +Inf */

struct metric {
    enum metric_kind kind;
    const char *name;   /* longline_… with unit suffix: _total, _seconds, _bytes */
    const char *labels; /* e.g. status="success"; NULL for none; same-name metrics stand together */
    const char *help;
    int64_t value;              /* counter, gauge */
    int64_t (*read)(void *ctx); /* when set, the value is asked for at scrape time */
    void *ctx;
    uint64_t buckets[METRIC_BUCKETS + 1]; /* histogram: counts per bucket */
    int64_t sum_us;
    struct list node; /* private */
};

struct metrics {
    struct list all; /* in registration order */
};

void metrics_init(struct metrics *m);
void metrics_add(struct metrics *m, struct metric *metric);
static inline void metric_inc(struct metric *m, int64_t by)
{
    m->value += by;
}
static inline void metric_set(struct metric *m, int64_t v)
{
    m->value = v;
}
void metric_observe_us(struct metric *m, int64_t us); /* histogram */
/* q in (0,1): an upper estimate in microseconds from the buckets; 0 without observations, the last
 * finite bound when the estimate lies beyond it. */
int64_t metric_quantile_us(const struct metric *m, double q);
int metrics_write(const struct metrics *m, struct buf *out);

#endif
