/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "longline/arena.h"
#include "longline/check.h"

static void test_alignment_and_content(void **state)
{
    struct arena a;
    unsigned char *p[200];
    (void)state;

    arena_init(&a, 1 << 20);
    for (size_t i = 0; i < LL_COUNT(p); i++) {
        p[i] = arena_alloc(&a, i);
        assert_non_null(p[i]);
        assert_int_equal((uintptr_t)p[i] % 16, 0);
        memset(p[i], (int)i, i);
    }
    for (size_t i = 0; i < LL_COUNT(p); i++) {
        for (size_t j = 0; j < i; j++) {
            assert_int_equal(p[i][j], (unsigned char)i);
        }
    }
    arena_fini(&a);
}

static void test_maximum(void **state)
{
    static const size_t maxima[] = {0, 1, 16, 100, 4096, 5000, 100000};
    (void)state;

    for (size_t i = 0; i < LL_COUNT(maxima); i++) {
        struct arena a;
        size_t total = 0;
        arena_init(&a, maxima[i]);
        assert_null(arena_alloc(&a, maxima[i] + 1));
        assert_null(arena_alloc(&a, SIZE_MAX));
        assert_null(arena_alloc(&a, SIZE_MAX - 15));
        while (arena_alloc(&a, 48) != NULL) {
            total += 48;
        }
        assert_true(total <= maxima[i]);
        assert_true(a.used <= maxima[i]);
        /* No more than the ends of the chunks are lost. */
        assert_true(maxima[i] < 4096 || total >= maxima[i] / 2);
        arena_fini(&a);
    }
}

static void test_reset_keeps_one_chunk(void **state)
{
    struct arena a;
    (void)state;

    arena_init(&a, 1 << 20);
    assert_non_null(arena_alloc(&a, 300000));
    for (int i = 0; i < 1000; i++) {
        assert_non_null(arena_alloc(&a, 100));
    }
    arena_reset(&a);
    assert_non_null(a.head);
    assert_true(a.used <= 65536);
    /* The whole maximum is there again, except for the kept chunk's own size. */
    assert_non_null(arena_alloc(&a, 900000));
    arena_reset(&a);
    arena_fini(&a);
    arena_reset(&a);
    arena_fini(&a);
}

static void test_resize(void **state)
{
    struct arena a;
    char *p;
    char *q;
    (void)state;

    arena_init(&a, 1 << 20);
    p = arena_realloc(&a, NULL, 0, 10);
    memcpy(p, "0123456789", 10);
    q = arena_realloc(&a, p, 10, 1000);
    assert_ptr_equal(p, q); /* it was the last */
    assert_non_null(arena_alloc(&a, 1));
    q = arena_realloc(&a, p, 1000, 2000);
    assert_ptr_not_equal(p, q);
    assert_memory_equal(q, "0123456789", 10);
    assert_ptr_equal(arena_realloc(&a, q, 2000, 16), q);
    assert_ptr_equal(arena_alloc(&a, 1), q + 16); /* what shrank is free again */
    assert_ptr_equal(arena_realloc(&a, p, 1000, 5), p);
    assert_null(arena_realloc(&a, p, 1000, SIZE_MAX));
    assert_null(arena_realloc(&a, p, 1000, 1 << 20));
    assert_memory_equal(p, "0123456789", 10);
    arena_fini(&a);
}

static void test_text(void **state)
{
    struct arena a;
    struct str s;
    char *p;
    (void)state;

    arena_init(&a, 8192);
    s = arena_str(&a, STR("hello"));
    assert_true(str_eq(s, STR("hello")));
    assert_int_equal(s.p[5], '\0');
    s = arena_str(&a, STR_NULL);
    assert_non_null(s.p);
    assert_int_equal(s.n, 0);
    p = arena_printf(&a, "%d-%s", 42, "x");
    assert_string_equal(p, "42-x");
    assert_null(arena_printf(&a, "%9000d", 1));
    assert_null(arena_str(&a, str_of("", SIZE_MAX)).p);
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_alignment_and_content),
        cmocka_unit_test(test_maximum),
        cmocka_unit_test(test_reset_keeps_one_chunk),
        cmocka_unit_test(test_resize),
        cmocka_unit_test(test_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
