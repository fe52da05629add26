/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "longline/check.h"
#include "longline/metrics.h"

static int64_t read_seven(void *ctx)
{
    return *(const int64_t *)ctx;
}

static void test_text(void **state)
{
    int64_t seven = 7;
    struct metric ok = {.kind = METRIC_COUNTER,
                        .name = "longline_attempts_total",
                        .labels = "status=\"success\"",
                        .help = "Attempts\nby \\ status"};
    struct metric depth = {.kind = METRIC_GAUGE,
                           .name = "longline_queue_depth",
                           .help = "Depth",
                           .read = read_seven,
                           .ctx = &seven};
    struct metric failed = {.kind = METRIC_COUNTER,
                            .name = "longline_attempts_total",
                            .labels = "status=\"failed\"",
                            .help = "not shown"};
    struct metric bare = {.kind = METRIC_GAUGE, .name = "longline_bare"};
    struct metrics m;
    struct buf b;
    (void)state;

    metrics_init(&m);
    metrics_add(&m, &ok);
    metrics_add(&m, &depth);
    metrics_add(&m, &failed);
    metrics_add(&m, &bare);
    metric_inc(&ok, 2);
    metric_inc(&ok, 3);
    metric_set(&bare, -4);
    buf_init(&b, 10000);
    assert_int_equal(metrics_write(&m, &b), 0);
    assert_int_equal(buf_add_c(&b, '\0'), 0);
    assert_string_equal(b.p, "# HELP longline_attempts_total Attempts\\nby \\\\ status\n"
                             "# TYPE longline_attempts_total counter\n"
                             "longline_attempts_total{status=\"success\"} 5\n"
                             "longline_attempts_total{status=\"failed\"} 0\n"
                             "# HELP longline_queue_depth Depth\n"
                             "# TYPE longline_queue_depth gauge\n"
                             "longline_queue_depth 7\n"
                             "# TYPE longline_bare gauge\n"
                             "longline_bare -4\n");
    buf_fini(&b);
    buf_init(&b, 30);
    assert_int_equal(metrics_write(&m, &b), ERR_TOO_BIG);
    buf_fini(&b);
}

static void test_buckets(void **state)
{
    static const struct {
        int64_t us;
        size_t bucket;
    } rows[] = {
        {-5, 0},        {0, 0},
        {1, 0},         {100, 0},
        {101, 1},       {200, 1},
        {201, 2},       {400, 2},
        {401, 3},       {26214400, 18},
        {26214401, 19}, {52428800, 19},
        {52428801, 20}, {INT64_MAX / 2, 20},
    };
    (void)state;
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        struct metric h = {.kind = METRIC_HISTOGRAM, .name = "h"};
        metric_observe_us(&h, rows[i].us);
        for (size_t j = 0; j <= METRIC_BUCKETS; j++) {
            assert_int_equal(h.buckets[j], j == rows[i].bucket);
        }
    }
}

static void test_histogram_text(void **state)
{
    struct metric h = {.kind = METRIC_HISTOGRAM,
                       .name = "longline_delivery_seconds",
                       .labels = "type=\"webhook\"",
                       .help = "Time"};
    struct metrics m;
    struct buf b;
    (void)state;

    metrics_init(&m);
    metrics_add(&m, &h);
    metric_observe_us(&h, 150);
    metric_observe_us(&h, 2500000);
    metric_observe_us(&h, 99000000);
    buf_init(&b, 10000);
    assert_int_equal(metrics_write(&m, &b), 0);
    assert_int_equal(buf_add_c(&b, '\0'), 0);
    assert_non_null(strstr(b.p,
                           "# TYPE longline_delivery_seconds histogram\n"
                           "longline_delivery_seconds_bucket{type=\"webhook\",le=\"0.0001\"} 0\n"
                           "longline_delivery_seconds_bucket{type=\"webhook\",le=\"0.0002\"} 1\n"));
    assert_non_null(strstr(b.p,
                           "{type=\"webhook\",le=\"1.6384\"} 1\n"
                           "longline_delivery_seconds_bucket{type=\"webhook\",le=\"3.2768\"} 2\n"));
    assert_non_null(strstr(b.p, ",le=\"52.4288\"} 2\n"
                                "longline_delivery_seconds_bucket{type=\"webhook\",le=\"+Inf\"} 3\n"
                                "longline_delivery_seconds_sum{type=\"webhook\"} 101.50015\n"
                                "longline_delivery_seconds_count{type=\"webhook\"} 3\n"));
    buf_reset(&b);
    h.labels = NULL;
    assert_int_equal(metrics_write(&m, &b), 0);
    assert_int_equal(buf_add_c(&b, '\0'), 0);
    assert_non_null(strstr(b.p, "longline_delivery_seconds_bucket{le=\"0.0001\"} 0\n"));
    assert_non_null(strstr(b.p, "\nlongline_delivery_seconds_count 3\n"));
    buf_fini(&b);
}

static void test_quantiles(void **state)
{
    struct metric h = {.kind = METRIC_HISTOGRAM, .name = "h"};
    (void)state;
    assert_int_equal(metric_quantile_us(&h, 0.5), 0);
    for (int i = 0; i < 90; i++) {
        metric_observe_us(&h, 150);
    }
    for (int i = 0; i < 9; i++) {
        metric_observe_us(&h, 1000);
    }
    assert_int_equal(metric_quantile_us(&h, 0.001), 200);
    assert_int_equal(metric_quantile_us(&h, 0.5), 200);
    assert_int_equal(metric_quantile_us(&h, 0.95), 1600);
    metric_observe_us(&h, INT32_MAX);
    assert_int_equal(metric_quantile_us(&h, 0.9), 200);
    assert_int_equal(metric_quantile_us(&h, 0.99), 1600);
    assert_int_equal(metric_quantile_us(&h, 0.999), 52428800);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text),
        cmocka_unit_test(test_buckets),
        cmocka_unit_test(test_histogram_text),
        cmocka_unit_test(test_quantiles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
