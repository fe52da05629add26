/* SPDX-License-Identifier: Apache-2.0 */
/* Which refusals a restart may cure. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "app/exit_status.h"
#include "longline/check.h"
#include "longline/err.h"

static void test_of_errors(void **state)
{
    (void)state;
    static const struct {
        int code, status;
    } rows[] = {
        {0, 0},
        {ERR_CORRUPT, 65},
        {ERR_VERSION, 65},
        {ERR_INVALID, 78},
        {ERR_NOT_FOUND, 78},
        /* These pass: another process ends, a disk gets room, a network comes up. */
        {ERR_BUSY, 1},
        {ERR_EXISTS, 1},
        {ERR_FULL, 1},
        {ERR_IO, 1},
        {ERR_NOMEM, 1},
        {ERR_NO_FILES, 1},
        {ERR_UNREACHABLE, 1},
        {ERR_UNKNOWN, 1},
    };
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        assert_int_equal(exit_status_of(rows[i].code), rows[i].status);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_of_errors)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
