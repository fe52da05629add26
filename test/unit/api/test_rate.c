/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/rate.h"

static struct rate_table table;

static int setup(void **state)
{
    (void)state;
    table = (struct rate_table){.slots = {{.caller = 0}}};
    return 0;
}

static int count(uint64_t caller, int64_t now_ms, int64_t rate, int tries)
{
    int allowed = 0;
    for (int i = 0; i < tries; i++) {
        allowed += rate_allow(&table, caller, now_ms, rate) ? 1 : 0;
    }
    return allowed;
}

static void test_burst_then_rate(void **state)
{
    (void)state;
    assert_int_equal(count(7, 1000, 10, 50), 10);
    assert_int_equal(count(7, 1000, 10, 50), 0);
    assert_int_equal(count(7, 1100, 10, 50), 1);
    assert_int_equal(count(7, 1450, 10, 50), 3);
    assert_int_equal(count(7, 60000, 10, 50), 10);
}

static void test_callers_are_apart(void **state)
{
    (void)state;
    assert_int_equal(count(7, 1000, 5, 50), 5);
    assert_int_equal(count(8, 1000, 5, 50), 5);
    assert_int_equal(count(7, 1000, 5, 50), 0);
}

static void test_very_high_rate(void **state)
{
    (void)state;
    assert_int_equal(count(7, 1000, INT64_MAX, 5000), 5000);
}

/* Whoever keeps asking is not forgotten because others share its slots. */
static void test_busy_caller_stays(void **state)
{
    (void)state;
    assert_int_equal(count(7, 1000, 5, 50), 5);
    for (uint64_t i = 1; i <= 1000; i++) {
        (void)rate_allow(&table, 7 + i * (uint64_t)RATE_SLOTS, 1000, 5);
        assert_int_equal(count(7, 1000, 5, 1), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_burst_then_rate, setup),
        cmocka_unit_test_setup(test_callers_are_apart, setup),
        cmocka_unit_test_setup(test_very_high_rate, setup),
        cmocka_unit_test_setup(test_busy_caller_stays, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
