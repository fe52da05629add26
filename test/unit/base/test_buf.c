/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "longline/buf.h"
#include "longline/check.h"

static void expect(const struct buf *b, const char *text)
{
    assert_int_equal(b->n, strlen(text));
    assert_memory_equal(b->p, text, b->n);
}

static void test_append(void **state)
{
    struct buf b;
    (void)state;
    buf_init(&b, 1000);
    assert_int_equal(buf_add_lit(&b, "ab"), 0);
    assert_int_equal(buf_add_c(&b, 'c'), 0);
    assert_int_equal(buf_add_str(&b, STR("de")), 0);
    assert_int_equal(buf_add_str(&b, STR_NULL), 0);
    assert_int_equal(buf_printf(&b, "%d", 7), 0);
    expect(&b, "abcde7");
    assert_true(str_eq(buf_str(&b), STR("abcde7")));
    buf_consume(&b, 2);
    expect(&b, "cde7");
    buf_consume(&b, 4);
    expect(&b, "");
    buf_fini(&b);
    buf_fini(&b);
}

static void test_numbers(void **state)
{
    static const uint64_t unsigned_values[] = {0, 9, 10, 99, 12345678901, UINT64_MAX};
    static const int64_t signed_values[] = {0, -1, 1, 10, -10, INT64_MIN, INT64_MAX};
    struct buf b;
    (void)state;
    buf_init(&b, 100);
    for (size_t i = 0; i < LL_COUNT(unsigned_values); i++) {
        buf_reset(&b);
        assert_int_equal(buf_add_u64(&b, unsigned_values[i]), 0);
        assert_int_equal(buf_add_c(&b, '\0'), 0);
        assert_true(strtoull(b.p, NULL, 10) == unsigned_values[i]);
    }
    for (size_t i = 0; i < LL_COUNT(signed_values); i++) {
        buf_reset(&b);
        assert_int_equal(buf_add_i64(&b, signed_values[i]), 0);
        assert_int_equal(buf_add_c(&b, '\0'), 0);
        assert_true(strtoll(b.p, NULL, 10) == signed_values[i]);
    }
    buf_fini(&b);
}

static void test_maximum(void **state)
{
    struct buf b;
    (void)state;
    buf_init(&b, 10);
    assert_int_equal(buf_add_lit(&b, "12345678"), 0);
    assert_int_equal(buf_add_lit(&b, "abc"), ERR_TOO_BIG);
    assert_true(b.failed);
    expect(&b, "12345678");
    /* What follows a failure is not added, or the text would have a hole. */
    assert_int_equal(buf_add_c(&b, 'x'), ERR_TOO_BIG);
    assert_int_equal(buf_printf(&b, "y"), ERR_TOO_BIG);
    expect(&b, "12345678");
    buf_reset(&b);
    assert_false(b.failed);
    assert_int_equal(buf_add_lit(&b, "1234567890"), 0);
    assert_int_equal(buf_reserve(&b, 1), ERR_TOO_BIG);
    assert_int_equal(buf_reserve(&b, SIZE_MAX), ERR_TOO_BIG);
    assert_false(b.failed); /* a reservation is no append */
    assert_int_equal(buf_add_str(&b, STR("")), 0);
    assert_true(b.cap <= 10);
    buf_fini(&b);

    buf_init(&b, 0);
    assert_int_equal(buf_add_c(&b, 'x'), ERR_TOO_BIG);
    buf_fini(&b);
}

static void test_printf_fills_exactly(void **state)
{
    (void)state;
    for (size_t max = 0; max < 20; max++) {
        struct buf b;
        buf_init(&b, max);
        if (max >= 10) {
            assert_int_equal(buf_printf(&b, "%s", "0123456789"), 0);
            expect(&b, "0123456789");
        } else {
            assert_int_equal(buf_printf(&b, "%s", "0123456789"), ERR_TOO_BIG);
            assert_int_equal(b.n, 0);
            assert_true(b.failed);
        }
        buf_fini(&b);
    }
}

static void test_growth_and_shrink(void **state)
{
    struct buf b;
    (void)state;
    buf_init(&b, 1 << 20);
    for (int i = 0; i < 100000; i++) {
        assert_int_equal(buf_add_c(&b, (char)i), 0);
    }
    for (int i = 0; i < 100000; i++) {
        assert_int_equal(b.p[i], (char)i);
    }
    assert_true(b.cap <= 1 << 18);
    buf_reset(&b);
    buf_shrink(&b, 1 << 19);
    assert_true(b.cap >= 100000);
    buf_shrink(&b, 4096);
    assert_int_equal(b.cap, 4096);
    assert_int_equal(buf_add_lit(&b, "x"), 0);
    buf_reset(&b);
    buf_shrink(&b, 0);
    assert_null(b.p);
    assert_int_equal(buf_add_lit(&b, "x"), 0);
    buf_fini(&b);
}

/* What a large buffer reserves is little more than what it holds, and a reservation is exact. */
static void test_large_ones_waste_little(void **state)
{
    struct buf b;
    size_t grown = 0;
    (void)state;
    buf_init(&b, (size_t)64 << 20);
    assert_int_equal(buf_reserve(&b, 50000), 0);
    assert_int_equal(b.cap, 50000);
    static const char piece[4096];
    for (int i = 0; i < 2048; i++) {
        const size_t before = b.cap;
        assert_int_equal(buf_add(&b, piece, sizeof(piece)), 0);
        grown += b.cap != before ? 1 : 0;
        if (b.n > 200000) {
            assert_true(b.cap - b.n <= b.n / 4);
        }
    }
    assert_true(grown < 40); /* and still few steps */
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_append),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_maximum),
        cmocka_unit_test(test_printf_fills_exactly),
        cmocka_unit_test(test_growth_and_shrink),
        cmocka_unit_test(test_large_ones_waste_little),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
