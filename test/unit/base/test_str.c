/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "longline/check.h"
#include "longline/err.h"
#include "longline/str.h"

static void test_compare(void **state)
{
    (void)state;
    assert_true(str_eq(STR("a"), str_c("a")));
    assert_true(str_eq(STR_NULL, STR("")));
    assert_true(str_eq(str_c(NULL), STR("")));
    assert_false(str_eq(STR("a"), STR("b")));
    assert_true(str_eq_ci(STR("Content-TYPE"), STR("content-type")));
    assert_false(str_eq_ci(STR("a"), STR("ab")));
    assert_false(str_eq_ci(STR("@"), STR("`"))); /* 0x20 apart, but no letters */
    assert_false(str_eq_ci(STR("\xc4"), STR("\xe4")));
    assert_true(str_cmp(STR("a"), STR("b")) < 0);
    assert_true(str_cmp(STR("a"), STR("aa")) < 0);
    assert_true(str_cmp(STR("b"), STR("aa")) > 0);
    assert_true(str_cmp(STR("\xff"), STR("a")) > 0);
    assert_int_equal(str_cmp(STR_NULL, STR("")), 0);
    assert_int_equal(str_cmp(STR("x"), STR("x")), 0);
}

static void test_affixes(void **state)
{
    (void)state;
    assert_true(str_starts(STR("whsec_abc"), STR("whsec_")));
    assert_true(str_starts(STR("a"), STR_NULL));
    assert_false(str_starts(STR("a"), STR("ab")));
    assert_true(str_ends(STR("x.json"), STR(".json")));
    assert_true(str_ends(STR_NULL, STR("")));
    assert_false(str_ends(STR("json"), STR(".json")));
    assert_true(str_eq(str_trim(STR(" \t\r\n a b \n")), STR("a b")));
    assert_int_equal(str_trim(STR("  ")).n, 0);
    assert_int_equal(str_find(STR("abc"), 'c'), 2);
    assert_int_equal(str_find(STR("abc"), 'x'), 3);
    assert_int_equal(str_find(STR_NULL, 'x'), 0);
}

static void test_split(void **state)
{
    static const struct {
        const char *text;
        const char *pieces[4];
    } rows[] = {
        {"a,b,c", {"a", "b", "c"}}, {"a", {"a"}},      {"", {""}}, {",", {"", ""}},
        {"a,,b", {"a", "", "b"}},   {"a,", {"a", ""}},
    };
    (void)state;
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        struct str rest = str_c(rows[i].text);
        struct str piece;
        size_t n = 0;
        while (str_split(&rest, ',', &piece)) {
            assert_non_null(rows[i].pieces[n]);
            assert_true(str_eq(piece, str_c(rows[i].pieces[n])));
            n++;
        }
        assert_null(rows[i].pieces[n]);
        assert_null(rest.p);
    }
}

static void test_numbers(void **state)
{
    static const struct {
        const char *text;
        int rc_u;
        uint64_t u;
        int rc_i;
        int64_t i;
    } rows[] = {
        {"0", 0, 0, 0, 0},
        {"00012", 0, 12, 0, 12},
        {"18446744073709551615", 0, UINT64_MAX, ERR_RANGE, 0},
        {"18446744073709551616", ERR_RANGE, 0, ERR_RANGE, 0},
        {"99999999999999999999999", ERR_RANGE, 0, ERR_RANGE, 0},
        {"99999999999999999999999x", ERR_SYNTAX, 0, ERR_SYNTAX, 0},
        {"9223372036854775807", 0, INT64_MAX, 0, INT64_MAX},
        {"9223372036854775808", 0, UINT64_C(9223372036854775808), ERR_RANGE, 0},
        {"-9223372036854775808", ERR_SYNTAX, 0, 0, INT64_MIN},
        {"-9223372036854775809", ERR_SYNTAX, 0, ERR_RANGE, 0},
        {"-0", ERR_SYNTAX, 0, 0, 0},
        {"-1", ERR_SYNTAX, 0, 0, -1},
        {"", ERR_SYNTAX, 0, ERR_SYNTAX, 0},
        {"-", ERR_SYNTAX, 0, ERR_SYNTAX, 0},
        {"--1", ERR_SYNTAX, 0, ERR_SYNTAX, 0},
        {"+1", ERR_SYNTAX, 0, ERR_SYNTAX, 0},
        {" 1", ERR_SYNTAX, 0, ERR_SYNTAX, 0},
        {"1 ", ERR_SYNTAX, 0, ERR_SYNTAX, 0},
        {"0x1", ERR_SYNTAX, 0, ERR_SYNTAX, 0},
        {"1.0", ERR_SYNTAX, 0, ERR_SYNTAX, 0},
    };
    (void)state;
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        uint64_t u = 0;
        int64_t v = 0;
        if (str_to_u64(str_c(rows[i].text), &u) != rows[i].rc_u || u != rows[i].u) {
            fail_msg("unsigned \"%s\"", rows[i].text);
        }
        if (str_to_i64(str_c(rows[i].text), &v) != rows[i].rc_i || v != rows[i].i) {
            fail_msg("signed \"%s\"", rows[i].text);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compare),
        cmocka_unit_test(test_affixes),
        cmocka_unit_test(test_split),
        cmocka_unit_test(test_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
