/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "longline/clock.h"
#include "longline/err.h"
#include "longline/mem.h"

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(err_name(ERR_OK), "OK");
    assert_string_equal(err_name(ERR_NOMEM), "NOMEM");
    assert_string_equal(err_name(ERR_TIMEOUT), "TIMEOUT");
    assert_string_equal(err_text(ERR_TIMEOUT), "timed out");
    assert_string_equal(err_name(ERR_UNKNOWN), "UNKNOWN");
    assert_string_equal(err_name(-1000), "UNKNOWN");
    assert_string_equal(err_name(1), "UNKNOWN");
    assert_string_equal(err_name(INT32_MIN), "UNKNOWN");
    for (int code = 0; code >= ERR_UNKNOWN; code--) {
        assert_non_null(err_text(code));
        assert_true(strlen(err_name(code)) > 0);
    }
}

static void test_errno(void **state)
{
    (void)state;
    assert_int_equal(err_from_errno(0), 0);
    assert_int_equal(err_from_errno(ENOENT), ERR_NOT_FOUND);
    assert_int_equal(err_from_errno(ECONNRESET), ERR_RESET);
    assert_int_equal(err_from_errno(EMFILE), ERR_NO_FILES);
    assert_int_equal(err_from_errno(99999), ERR_UNKNOWN);
}

static void test_detail(void **state)
{
    struct err_detail d;
    (void)state;
    assert_int_equal(err_set(&d, ERR_IO, 5, "no %s", "disk"), ERR_IO);
    assert_int_equal(d.code, ERR_IO);
    assert_int_equal(d.foreign, 5);
    assert_string_equal(d.msg, "no disk");
    err_prefix(&d, "%s:%d", "file", 3);
    assert_string_equal(d.msg, "file:3: no disk");
    assert_int_equal(err_set(NULL, ERR_IO, 0, "x"), ERR_IO);
    err_prefix(NULL, "x");

    (void)err_set(&d, ERR_IO, 0, "%500s", "x");
    assert_int_equal(strlen(d.msg), sizeof(d.msg) - 1);
    err_prefix(&d, "p");
    assert_memory_equal(d.msg, "p:  ", 4);
    assert_int_equal(strlen(d.msg), sizeof(d.msg) - 1);
    err_prefix(&d, "%500s", "y");
    assert_int_equal(strlen(d.msg), sizeof(d.msg) - 1);
}

static void test_time_add(void **state)
{
    (void)state;
    assert_int_equal(time_add(5, 6), 11);
    assert_true(time_add(TIME_NEVER, 0) == TIME_NEVER);
    assert_true(time_add(5, TIME_NEVER) == TIME_NEVER);
    assert_true(time_add(-5, TIME_NEVER) == TIME_NEVER - 5);
}

static void test_clock(void **state)
{
    const struct clock *c = clock_system();
    const int64_t mono = clock_mono_ns(c);
    (void)state;
    assert_true(clock_wall_ms(c) > INT64_C(1600000000000));
    assert_true(clock_mono_ns(c) >= mono);
    assert_true(clock_mono_ms(c) <= clock_mono_ns(c) / 1000000);
    assert_true(clock_wall_ns(c) / 1000000 >= clock_wall_ms(c) - 1000);
}

static void test_mem(void **state)
{
    char *p = mem_strndup("abcdef", 3);
    unsigned char *zeros = mem_zalloc(100);
    uint32_t *array = mem_array(10, sizeof(*array));
    (void)state;
    assert_string_equal(p, "abc");
    mem_wipe(p, 3);
    assert_memory_equal(p, "\0\0\0", 3);
    p = mem_realloc(p, 1000);
    p = mem_realloc_array(p, 0, 8);
    assert_non_null(p);
    assert_int_equal(zeros[99], 0);
    assert_int_equal(array[9], 0);
    mem_free(p);
    mem_free(zeros);
    mem_free(array);
    mem_free(NULL);
    mem_free(mem_strndup(NULL, 0));
    mem_free(mem_alloc(0));
    mem_free(mem_array(0, 0));
    p = mem_try_alloc(0);
    assert_non_null(p);
    p = mem_try_realloc(p, 10);
    assert_non_null(p);
    mem_free(p);
    mem_wipe(NULL, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),  cmocka_unit_test(test_errno),
        cmocka_unit_test(test_detail), cmocka_unit_test(test_time_add),
        cmocka_unit_test(test_clock),  cmocka_unit_test(test_mem),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
