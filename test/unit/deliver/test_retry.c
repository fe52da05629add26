/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "deliver/retry.h"
#include "longline/check.h"

static const struct retry_policy doubling = {
    .interval_ms = 30000, .max_delay_ms = INT64_C(12) * 3600 * 1000, .limit = 10};

static const struct retry_policy schedule = {
    .n_schedule = 3, .schedule_ms = {5000, 60000, 600000}, .limit = 99};

struct row {
    const char *name;
    const struct retry_policy *policy;
    uint32_t number;
    int64_t retry_after_ms;
    int64_t want;
};

static const struct row rows[] = {
    {"first", &doubling, 1, -1, 30000},
    {"doubles", &doubling, 2, -1, 60000},
    {"tenth", &doubling, 10, -1, INT64_C(30000) << 9},
    {"budget is over", &doubling, 11, -1, -1},
    {"far over", &doubling, UINT32_MAX, -1, -1},
    {"no attempt yet", &doubling, 0, -1, -1},
    {"schedule first", &schedule, 1, -1, 5000},
    {"schedule last", &schedule, 3, -1, 600000},
    {"schedule over", &schedule, 4, -1, -1},
    {"retry-after delays", &doubling, 1, 90000, 90000},
    {"retry-after never hastens", &doubling, 1, 1000, 30000},
    {"retry-after is capped", &doubling, 1, INT64_MAX, RETRY_AFTER_CAP_MS},
    {"retry-after revives nothing", &doubling, 11, 90000, -1},
};

static void test_table(void **state)
{
    (void)state;
    struct rng_seeded rng;
    rng_seeded_init(&rng, 1);
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        const struct row *r = &rows[i];
        const int64_t got = retry_delay(r->policy, r->number, r->retry_after_ms, &rng.rng);
        if (got != r->want) {
            fail_msg("%s: %lld instead of %lld", r->name, (long long)got, (long long)r->want);
        }
    }
}

static void test_cap_and_overflow(void **state)
{
    (void)state;
    struct rng_seeded rng;
    rng_seeded_init(&rng, 1);
    const struct retry_policy huge = {
        .interval_ms = INT64_MAX / 3, .max_delay_ms = INT64_MAX, .limit = 1000};
    assert_true(retry_delay(&huge, 1000, -1, &rng.rng) == INT64_MAX);
    const struct retry_policy capped = {.interval_ms = 1000, .max_delay_ms = 5000, .limit = 100};
    assert_true(retry_delay(&capped, 3, -1, &rng.rng) == 4000);
    assert_true(retry_delay(&capped, 4, -1, &rng.rng) == 5000);
    assert_true(retry_delay(&capped, 100, -1, &rng.rng) == 5000);
}

static void test_jitter_only_adds(void **state)
{
    (void)state;
    struct rng_seeded rng;
    rng_seeded_init(&rng, 7);
    const struct retry_policy p = {
        .interval_ms = 1000, .max_delay_ms = 100000, .limit = 5, .jitter_pct = 20};
    int64_t lowest = INT64_MAX;
    int64_t highest = 0;
    for (int i = 0; i < 10000; i++) {
        const int64_t d = retry_delay(&p, 1, -1, &rng.rng);
        lowest = d < lowest ? d : lowest;
        highest = d > highest ? d : highest;
    }
    assert_in_range(lowest, 1000, 1010);
    assert_in_range(highest, 1190, 1200);
}

static void test_longest(void **state)
{
    (void)state;
    const struct retry_policy plain = {
        .interval_ms = 1000, .max_delay_ms = 100000000, .limit = 10, .jitter_pct = 20};
    assert_true(retry_longest(&plain) == 120000000);
    const struct retry_policy listed = {.n_schedule = 2, .schedule_ms = {200000000, 5000}};
    assert_true(retry_longest(&listed) == 200000000);
    const struct retry_policy brief = {.interval_ms = 1, .max_delay_ms = 10, .limit = 1};
    assert_true(retry_longest(&brief) == RETRY_AFTER_CAP_MS);
}

/* The sooner of the two clocks, and never later than any delay is. */
static void test_left(void **state)
{
    (void)state;
    const struct retry_policy p = {.interval_ms = 1000, .max_delay_ms = 10000, .limit = 1};
    struct retry_record rt = {.next_at_ms = 5000, .due_age_ms = 700};
    assert_int_equal(retry_left(&p, &rt, 4000, 100), 600);
    assert_int_equal(retry_left(&p, &rt, 4900, 100), 100);
    assert_int_equal(retry_left(&p, &rt, -1000000000, 100), 600); /* set back */
    assert_int_equal(retry_left(&p, &rt, 9000, 100), 0);
    assert_int_equal(retry_left(&p, &rt, 4000, 800), 0);
    rt.due_age_ms = RETRY_NO_AGE; /* of the first version */
    assert_int_equal(retry_left(&p, &rt, 4000, 100), 1000);
    assert_true(retry_left(&p, &rt, INT64_MIN, 100) == 5000);
    rt.next_at_ms = INT64_MAX;
    assert_true(retry_left(&p, &rt, INT64_MIN, 0) == RETRY_AFTER_CAP_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_cap_and_overflow),
        cmocka_unit_test(test_jitter_only_adds),
        cmocka_unit_test(test_longest),
        cmocka_unit_test(test_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
