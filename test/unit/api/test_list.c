/* SPDX-License-Identifier: Apache-2.0 */
/* The parameters that lists share: order, limit, dates, cursors, and their refusals. */
#include "fixture.h"

#include <stdio.h>

#include "api/cursor.h"
#include "api/list.h"
#include "longline/check.h"

#define EVT    STR("evt")
#define TNT    STR("tnt")
#define DAY_MS INT64_C(1767225600000) /* 2026-01-01 */

static int parse(struct arena *a, struct str resource, const char *query, struct list_params *out,
                 struct list_problem *problem)
{
    struct query q;
    *problem = (struct list_problem){.status = 0};
    assert_int_equal(query_parse(&q, str_c(query), a), 0);
    return list_parse(out, &q, resource, a, problem);
}

static void test_defaults(void **state)
{
    struct list_params p;
    struct list_problem no;

    assert_int_equal(parse(*state, EVT, "", &p, &no), 0);
    assert_false(p.ascending);
    assert_int_equal(p.limit, 100);
    assert_true(p.from_ms == INT64_MIN && p.to_ms == INT64_MAX);
    assert_false(p.has_cursor);
    assert_int_equal(parse(*state, TNT, "", &p, &no), 0);
    assert_int_equal(p.limit, 20);
    /* What the official clients always send. */
    assert_int_equal(parse(*state, STR("att"), "dir=desc&limit=100&order_by=time", &p, &no), 0);
    assert_int_equal(p.limit, 100);
}

static void test_limits(void **state)
{
    static const struct {
        const char *text;
        size_t rows;
        const char *tenants; /* refusal, NULL: the same limit */
    } cases[] = {
        {"limit=1", 1, NULL},
        {"limit=100", 100, NULL},
        {"limit=101", 101, "invalid limit: must be between 1 and 100"},
        {"limit=1000", 1000, "invalid limit: must be between 1 and 100"},
        {"limit=1001", 1000, "invalid limit: must be between 1 and 100"},
        {"limit=99999999999999999999999", 100, "invalid limit: must be between 1 and 100"},
        {"limit=0", 100, "invalid limit: must be between 1 and 100"},
        {"limit=-5", 100, "invalid limit: must be between 1 and 100"},
        {"limit=ten", 100, "invalid limit: must be an integer"},
        {"limit=1.5", 100, "invalid limit: must be an integer"},
    };
    struct list_params p;
    struct list_problem no;

    for (size_t i = 0; i < LL_COUNT(cases); i++) {
        assert_int_equal(parse(*state, EVT, cases[i].text, &p, &no), 0);
        assert_int_equal(p.limit, cases[i].rows);
        if (cases[i].tenants == NULL) {
            assert_int_equal(parse(*state, TNT, cases[i].text, &p, &no), 0);
            assert_int_equal(p.limit, cases[i].rows);
        } else {
            assert_int_equal(parse(*state, TNT, cases[i].text, &p, &no), ERR_INVALID);
            assert_int_equal(no.status, 400);
            assert_string_equal(no.message, cases[i].tenants);
        }
    }
}

static void test_order(void **state)
{
    struct list_params p;
    struct list_problem no;

    assert_int_equal(parse(*state, EVT, "dir=asc", &p, &no), 0);
    assert_true(p.ascending);
    assert_int_equal(parse(*state, EVT, "dir=up", &p, &no), ERR_INVALID);
    assert_int_equal(no.status, 422);
    assert_string_equal(no.message, "validation error");
    assert_string_equal(no.field, "query.dir");
    assert_string_equal(no.detail, "must be 'asc' or 'desc'");
    assert_int_equal(parse(*state, EVT, "order_by=topic", &p, &no), ERR_INVALID);
    assert_string_equal(no.field, "query.order_by");
    assert_string_equal(no.detail, "must be one of: [time]");
    /* Tenants have one order; what is said of it is ignored. */
    assert_int_equal(parse(*state, TNT, "order_by=x&dir=asc", &p, &no), 0);
    assert_true(p.ascending);
}

static void test_dates(void **state)
{
    static const struct {
        const char *query;
        int64_t from, to;
    } cases[] = {
        {"time[gte]=2026-01-01", DAY_MS, INT64_MAX},
        {"time[gt]=2026-01-01", DAY_MS + 1, INT64_MAX},
        {"time[lte]=2026-01-01T00:00:00Z", INT64_MIN, DAY_MS},
        {"time[lt]=2026-01-01T00:00:00Z", INT64_MIN, DAY_MS - 1},
        {"time%5Bgte%5D=2026-01-01T01:00:00%2B01:00", DAY_MS, INT64_MAX},
        /* Between two milliseconds. */
        {"time[gte]=2026-01-01T00:00:00.0005Z", DAY_MS + 1, INT64_MAX},
        {"time[gt]=2026-01-01T00:00:00.0005Z", DAY_MS + 1, INT64_MAX},
        {"time[lte]=2026-01-01T00:00:00.0005Z", INT64_MIN, DAY_MS},
        {"time[lt]=2026-01-01T00:00:00.0005Z", INT64_MIN, DAY_MS},
        {"time[lt]=1969-12-31T23:59:59.9995Z", INT64_MIN, -1},
        {"time[gte]=1969-12-31T23:59:59.9995Z", 0, INT64_MAX},
        /* Beyond what nanoseconds could express. */
        {"time[gte]=0226-01-01", -55035331200000, INT64_MAX},
        {"time[lt]=9999-01-01", INT64_MIN, 253370764799999},
        /* The narrower one counts. */
        {"time[gte]=2026-01-01&time[gt]=2026-01-01", DAY_MS + 1, INT64_MAX},
        {"time[gte]=2026-01-01&time[lt]=2026-01-02", DAY_MS, DAY_MS + 86400000 - 1},
    };
    static const char *const bad[] = {"time[gte]", "time[lte]", "time[gt]", "time[lt]"};
    struct list_params p;
    struct list_problem no;
    char text[80];

    for (size_t i = 0; i < LL_COUNT(cases); i++) {
        assert_int_equal(parse(*state, EVT, cases[i].query, &p, &no), 0);
        if (p.from_ms != cases[i].from || p.to_ms != cases[i].to) {
            fail_msg("%s: %lld to %lld", cases[i].query, (long long)p.from_ms, (long long)p.to_ms);
        }
    }
    for (size_t i = 0; i < LL_COUNT(bad); i++) {
        (void)snprintf(text, sizeof(text), "%s=yesterday", bad[i]);
        assert_int_equal(parse(*state, EVT, text, &p, &no), ERR_INVALID);
        assert_int_equal(no.status, 422);
        (void)snprintf(text, sizeof(text), "query.%s", bad[i]);
        assert_string_equal(no.field, text);
        assert_string_equal(no.detail,
                            "invalid format, expected RFC3339 (e.g. 2024-01-15T09:30:00Z or "
                            "2024-01-15T09:30:00.123Z) or YYYY-MM-DD");
        (void)snprintf(text, sizeof(text), "%s=2026-01-01t00:00:00Z", bad[i]);
        assert_int_equal(parse(*state, EVT, text, &p, &no), ERR_INVALID);
    }
    assert_int_equal(parse(*state, EVT, "time[any]=2026-01-01", &p, &no), ERR_INVALID);
    assert_int_equal(no.status, 400);
    assert_string_equal(no.message,
                        "operator 'any' is not supported, use 'gte', 'lte', 'gt', or 'lt'");
}

static void test_cursors(void **state)
{
    const struct str cursor = cursor_encode_seq(*state, EVT, 42);
    struct list_params p;
    struct list_problem no;
    char text[200];

    (void)snprintf(text, sizeof(text), "next=" STR_FMT, STR_ARG(cursor));
    assert_int_equal(parse(*state, EVT, text, &p, &no), 0);
    assert_true(p.has_cursor && !p.backward);
    assert_true(str_eq(p.position, STR("42")));
    (void)snprintf(text, sizeof(text), "prev=" STR_FMT, STR_ARG(cursor));
    assert_int_equal(parse(*state, EVT, text, &p, &no), 0);
    assert_true(p.has_cursor && p.backward);
    assert_int_equal(parse(*state, TNT, text, &p, &no), ERR_INVALID);
    assert_string_equal(no.message, "invalid cursor");
    assert_int_equal(parse(*state, EVT, "next=a&prev=b", &p, &no), ERR_INVALID);
    assert_int_equal(no.status, 400);
    assert_string_equal(no.message, "cannot specify both 'next' and 'prev' cursors");
    assert_int_equal(parse(*state, EVT, "next=garbage", &p, &no), ERR_INVALID);
    assert_int_equal(no.status, 400);
    assert_string_equal(no.message, "invalid cursor");
    assert_int_equal(parse(*state, EVT, "next=&prev=", &p, &no), 0);
    assert_false(p.has_cursor);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_defaults, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(test_limits, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(test_order, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(test_dates, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(test_cursors, fx_setup, fx_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
