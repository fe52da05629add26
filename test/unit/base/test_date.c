/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "longline/check.h"
#include "longline/date.h"

#define S INT64_C(1000)

static void test_format(void **state)
{
    static const struct {
        int64_t ms;
        const char *with_ms;
        const char *whole;
        const char *http;
    } rows[] = {
        {0, "1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z", "Thu, 01 Jan 1970 00:00:00 GMT"},
        {784111777000, "1994-11-06T08:49:37Z", "1994-11-06T08:49:37Z",
         "Sun, 06 Nov 1994 08:49:37 GMT"},
        {951782400250, "2000-02-29T00:00:00.25Z", "2000-02-29T00:00:00Z",
         "Tue, 29 Feb 2000 00:00:00 GMT"},
        {1767225599999, "2025-12-31T23:59:59.999Z", "2025-12-31T23:59:59Z",
         "Wed, 31 Dec 2025 23:59:59 GMT"},
        {1767225600100, "2026-01-01T00:00:00.1Z", "2026-01-01T00:00:00Z",
         "Thu, 01 Jan 2026 00:00:00 GMT"},
        {1767225600007, "2026-01-01T00:00:00.007Z", "2026-01-01T00:00:00Z",
         "Thu, 01 Jan 2026 00:00:00 GMT"},
        {-1, "1969-12-31T23:59:59.999Z", "1969-12-31T23:59:59Z", "Wed, 31 Dec 1969 23:59:59 GMT"},
        {4107542400000, "2100-03-01T00:00:00Z", "2100-03-01T00:00:00Z",
         "Mon, 01 Mar 2100 00:00:00 GMT"},
        {INT64_MAX, "9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59Z",
         "Fri, 31 Dec 9999 23:59:59 GMT"},
        {INT64_MIN, "0000-01-01T00:00:00Z", "0000-01-01T00:00:00Z",
         "Sat, 01 Jan 0000 00:00:00 GMT"},
    };
    (void)state;
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        char out[DATE_MAX];
        assert_int_equal(date_rfc3339_ms(out, rows[i].ms), strlen(rows[i].with_ms));
        assert_string_equal(out, rows[i].with_ms);
        assert_int_equal(date_rfc3339_s(out, rows[i].ms), strlen(rows[i].whole));
        assert_string_equal(out, rows[i].whole);
        assert_int_equal(date_http(out, rows[i].ms), strlen(rows[i].http));
        assert_string_equal(out, rows[i].http);
    }
}

static void test_parse_rfc3339(void **state)
{
    static const struct {
        const char *text;
        int rc;
        int64_t ms;
    } rows[] = {
        {"1970-01-01T00:00:00Z", 0, 0},
        {"1970-01-01t00:00:00Z", ERR_SYNTAX, 0},
        {"1970-01-01T00:00:00z", ERR_SYNTAX, 0},
        {"1970-01-01T00:00:01.5Z", 0, S + S / 2},
        {"1970-01-01T00:00:00.001Z", 0, 1},
        {"1970-01-01T00:00:00.0019999999Z", 0, 1},
        {"1969-12-31T23:59:59.9999Z", 0, -1},
        {"1970-01-01T01:30:00+01:30", 0, 0},
        {"1969-12-31T23:00:00-01:00", 0, 0},
        {"1970-01-01T00:00:00-00:00", 0, 0},
        {"1969-12-31T23:59:59.25Z", 0, -S * 3 / 4},
        {"2000-02-29T00:00:00Z", 0, 951782400 * S},
        {"1998-12-31T23:59:59Z", 0, 915148799 * S},
        {"1998-12-31T23:59:60Z", ERR_SYNTAX, 0},
        {"2262-04-11T23:47:17Z", 0, 9223372037 * S},
        {"9999-12-31T23:59:59.999Z", 0, 253402300800 * S - 1},
        {"9999-12-31T23:59:59-00:01", ERR_RANGE, 0},
        {"0001-01-01T00:00:00Z", 0, -62135596800 * S},
        {"0000-01-01T00:00:00Z", 0, -62167219200 * S},
        {"0000-01-01T00:00:00+00:01", ERR_RANGE, 0},
        {"1900-02-29T00:00:00Z", ERR_SYNTAX, 0},
        {"2001-02-29T00:00:00Z", ERR_SYNTAX, 0},
        {"2001-04-31T00:00:00Z", ERR_SYNTAX, 0},
        {"2001-13-01T00:00:00Z", ERR_SYNTAX, 0},
        {"2001-00-01T00:00:00Z", ERR_SYNTAX, 0},
        {"2001-01-00T00:00:00Z", ERR_SYNTAX, 0},
        {"2001-01-01T24:00:00Z", ERR_SYNTAX, 0},
        {"2001-01-01T00:60:00Z", ERR_SYNTAX, 0},
        {"2001-01-01T00:00:61Z", ERR_SYNTAX, 0},
        {"2001-01-01T00:00:00+24:00", ERR_SYNTAX, 0},
        {"2001-01-01T00:00:00+0100", ERR_SYNTAX, 0},
        {"2001-01-01T00:00:00", ERR_SYNTAX, 0},
        {"2001-01-01T00:00:00.Z", ERR_SYNTAX, 0},
        {"2001-01-01T00:00:00,5Z", ERR_SYNTAX, 0},
        {"2001-01-01T00:00:00ZZ", ERR_SYNTAX, 0},
        {"2001-01-01 00:00:00Z", ERR_SYNTAX, 0},
        {"2001-1-01T00:00:00Z", ERR_SYNTAX, 0},
        {"2001-01-01T00:00Z", ERR_SYNTAX, 0},
        {"2001-01-01", ERR_SYNTAX, 0},
        {"", ERR_SYNTAX, 0},
    };
    (void)state;
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        int64_t ms = 0;
        const int rc = date_parse_rfc3339(str_c(rows[i].text), &ms);
        if (rc != rows[i].rc || (rc == 0 && ms != rows[i].ms)) {
            fail_msg("%s: %d, %lld", rows[i].text, rc, (long long)ms);
        }
    }
}

static void test_parse_filter(void **state)
{
    static const struct {
        const char *text;
        int rc;
        int64_t ms;
        bool is_whole;
    } rows[] = {
        {"1970-01-02", 0, 86400 * S, true},
        {"1970-01-01T00:00:01Z", 0, S, true},
        {"1970-01-01T00:00:00.0015Z", 0, 1, false},
        {"1969-12-31T23:59:59.9995Z", 0, -1, false},
        {"9999-12-31", 0, 253402214400 * S, true},
        {"9999-12-31T23:59:59-23:59", 0, 253402300799 * S + 86340 * S, true},
        {"0000-01-01", 0, -62167219200 * S, true},
        {"1970-02-30", ERR_SYNTAX, 0, false},
        {"1970-01-02T", ERR_SYNTAX, 0, false},
        {"1970-01-02t00:00:00Z", ERR_SYNTAX, 0, false},
        {"yesterday", ERR_SYNTAX, 0, false},
        {"", ERR_SYNTAX, 0, false},
    };
    (void)state;
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        int64_t ms = 0;
        bool is_whole = false;
        const int rc = date_parse_filter(str_c(rows[i].text), &ms, &is_whole);
        if (rc != rows[i].rc || ms != rows[i].ms || is_whole != rows[i].is_whole) {
            fail_msg("%s: %d, %lld", rows[i].text, rc, (long long)ms);
        }
    }
}

static void test_parse_http(void **state)
{
    static const struct {
        const char *text;
        int rc;
        int64_t ms;
    } rows[] = {
        {"Sun, 06 Nov 1994 08:49:37 GMT", 0, 784111777000},
        {"Sunday, 06-Nov-94 08:49:37 GMT", 0, 784111777000},
        {"Sun Nov  6 08:49:37 1994", 0, 784111777000},
        {"Tue Nov 16 08:49:37 1999", 0, 942742177000},
        {"Monday, 06-Nov-28 08:49:37 GMT", 0, 1857113377000},
        {"Sun, 06 Nov 1994 08:49:37 UTC", ERR_SYNTAX, 0},
        {"Sun, 6 Nov 1994 08:49:37 GMT", ERR_SYNTAX, 0},
        {"Sun, 06 nov 1994 08:49:37 GMT", ERR_SYNTAX, 0},
        {"Son, 06 Nov 1994 08:49:37 GMT", ERR_SYNTAX, 0},
        {"Sun, 31 Nov 1994 08:49:37 GMT", ERR_SYNTAX, 0},
        {"Sun, 06 Nov 1994 08:49:37 GMT ", ERR_SYNTAX, 0},
        {"Sun, 06 Nov 1994", ERR_SYNTAX, 0},
        {"Sunday", ERR_SYNTAX, 0},
        {"Sun", ERR_SYNTAX, 0},
        {"120", ERR_SYNTAX, 0},
        {"", ERR_SYNTAX, 0},
    };
    (void)state;
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        int64_t ms = 0;
        const int rc = date_parse_http(str_c(rows[i].text), &ms);
        if (rc != rows[i].rc || (rc == 0 && ms != rows[i].ms)) {
            fail_msg("%s: %d, %lld", rows[i].text, rc, (long long)ms);
        }
    }
}

static void test_every_day_round_trips(void **state)
{
    (void)state;
    for (int64_t day = -106000; day < 106000; day++) {
        const int64_t ms = day * 86400000 + 12345678;
        char out[DATE_MAX];
        int64_t parsed;
        int64_t back;
        assert_int_equal(date_parse_rfc3339(str_of(out, date_rfc3339_ms(out, ms)), &parsed), 0);
        assert_true(parsed == ms);
        assert_int_equal(date_parse_http(str_of(out, date_http(out, ms)), &back), 0);
        assert_true(back == day * 86400000 + 12345000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_format),
        cmocka_unit_test(test_parse_rfc3339),
        cmocka_unit_test(test_parse_filter),
        cmocka_unit_test(test_parse_http),
        cmocka_unit_test(test_every_day_round_trips),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
