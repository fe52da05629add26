/* SPDX-License-Identifier: Apache-2.0 */
#include "longline/metrics.h"

#include <string.h>

#include "longline/check.h"

#define FIRST_BOUND_US 100

static int64_t bound_us(size_t bucket)
{
    return (int64_t)FIRST_BOUND_US << bucket;
}

void metrics_init(struct metrics *m)
{
    list_init(&m->all);
}

/* Behind the last metric of the same name, because the format wants a family in one piece. */
void metrics_add(struct metrics *m, struct metric *metric)
{
    struct list *after = m->all.prev;
    LIST_FOREACH (it, &m->all) {
        const struct metric *other = LIST_ENTRY(it, struct metric, node);
        if (strcmp(other->name, metric->name) == 0) {
            LL_ASSERT(other->kind == metric->kind);
            after = it;
        }
    }
    list_insert(after, &metric->node);
}

void metric_observe_us(struct metric *m, int64_t us)
{
    size_t bucket = 0;
    if (us < 0) {
        us = 0; /* a clock that stepped back */
    }
    if (us > FIRST_BOUND_US) {
        /* The number of doublings that reach us. */
        bucket = 64 - (size_t)__builtin_clzll((unsigned long long)(us - 1) / FIRST_BOUND_US);
    }
    m->buckets[bucket < METRIC_BUCKETS ? bucket : METRIC_BUCKETS]++;
    m->sum_us += us;
}

static uint64_t count_of(const struct metric *m)
{
    uint64_t n = 0;
    for (size_t i = 0; i <= METRIC_BUCKETS; i++) {
        n += m->buckets[i];
    }
    return n;
}

int64_t metric_quantile_us(const struct metric *m, double q)
{
    const uint64_t n = count_of(m);
    const double rank = q * (double)n;
    uint64_t below = 0;

    if (n == 0) {
        return 0;
    }
    for (size_t i = 0; i < METRIC_BUCKETS; i++) {
        below += m->buckets[i];
        if (below != 0 && (double)below >= rank) {
            return bound_us(i);
        }
    }
    return bound_us(METRIC_BUCKETS - 1);
}

/* Microseconds as seconds, without trailing zeros. */
static void put_seconds(struct buf *out, int64_t us)
{
    int64_t fraction = us % 1000000;
    (void)buf_add_i64(out, us / 1000000);
    if (fraction != 0) {
        char digits[7] = {'.'};
        size_t n = sizeof(digits);
        for (size_t i = n - 1; i >= 1; i--) {
            digits[i] = (char)('0' + fraction % 10);
            fraction /= 10;
        }
        while (digits[n - 1] == '0') {
            n--;
        }
        (void)buf_add(out, digits, n);
    }
}

static void put_head(struct buf *out, const struct metric *m)
{
    static const char *const types[] = {
        [METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge", [METRIC_HISTOGRAM] = "histogram"};

    if (m->help != NULL) {
        (void)buf_printf(out, "# HELP %s ", m->name);
        for (const char *p = m->help; *p != '\0'; p++) {
            if (*p == '\\' || *p == '\n') {
                (void)buf_add_c(out, '\\');
            }
            (void)buf_add(out, *p == '\n' ? "n" : p, 1);
        }
        (void)buf_add_c(out, '\n');
    }
    (void)buf_printf(out, "# TYPE %s %s\n", m->name, types[m->kind]);
}

/* name<suffix>{labels} and a space */
static void put_name(struct buf *out, const struct metric *m, const char *suffix)
{
    (void)buf_add_str(out, str_c(m->name));
    (void)buf_add_str(out, str_c(suffix));
    if (m->labels != NULL) {
        (void)buf_add_c(out, '{');
        (void)buf_add_str(out, str_c(m->labels));
        (void)buf_add_c(out, '}');
    }
    (void)buf_add_c(out, ' ');
}

static void put_histogram(struct buf *out, const struct metric *m)
{
    uint64_t below = 0;
    for (size_t i = 0; i <= METRIC_BUCKETS; i++) {
        below += m->buckets[i];
        (void)buf_printf(out, "%s_bucket{%s%sle=\"", m->name, m->labels != NULL ? m->labels : "",
                         m->labels != NULL ? "," : "");
        if (i < METRIC_BUCKETS) {
            put_seconds(out, bound_us(i));
        } else {
            (void)buf_add_lit(out, "+Inf");
        }
        (void)buf_add_lit(out, "\"} ");
        (void)buf_add_u64(out, below);
        (void)buf_add_c(out, '\n');
    }
    put_name(out, m, "_sum");
    put_seconds(out, m->sum_us);
    (void)buf_add_c(out, '\n');
    put_name(out, m, "_count");
    (void)buf_add_u64(out, below);
    (void)buf_add_c(out, '\n');
}

int metrics_write(const struct metrics *m, struct buf *out)
{
    const char *family = "";
    LIST_FOREACH (it, &m->all) {
        const struct metric *metric = LIST_ENTRY(it, struct metric, node);
        if (strcmp(metric->name, family) != 0) {
            family = metric->name;
            put_head(out, metric);
        }
        if (metric->kind == METRIC_HISTOGRAM) {
            put_histogram(out, metric);
        } else {
            put_name(out, metric, "");
            (void)buf_add_i64(out,
                              metric->read != NULL ? metric->read(metric->ctx) : metric->value);
            (void)buf_add_c(out, '\n');
        }
    }
    return out->failed ? ERR_TOO_BIG : 0;
}
