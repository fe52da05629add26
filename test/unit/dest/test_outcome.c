/* SPDX-License-Identifier: Apache-2.0 */
/* What responses and failures mean. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "longline/check.h"

#include "dest/webhook/webhook.h"

#define NOW_MS INT64_C(1767225600000) /* 2026-01-01T00:00:00Z */

static struct dest_outcome judge(const struct http_client_result *r, bool below_400, char code[16])
{
    const struct webhook_cfg cfg = {.success_below_400 = below_400};
    struct dest_outcome o;
    memset(&o, 0xff, sizeof(o)); /* every field must be set */
    webhook_outcome(&cfg, r, NOW_MS, code, &o);
    return o;
}

static void test_statuses(void **state)
{
    (void)state;
    static const struct {
        int status;
        bool success, success_below_400, overload, gone;
    } rows[] = {
        {200, true, true, false, false},   {201, true, true, false, false},
        {204, true, true, false, false},   {299, true, true, false, false},
        {300, false, true, false, false},  {301, false, true, false, false},
        {304, false, true, false, false},  {399, false, true, false, false},
        {400, false, false, false, false}, {401, false, false, false, false},
        {404, false, false, false, false}, {408, false, false, false, false},
        {410, false, false, false, true},  {429, false, false, true, false},
        {500, false, false, false, false}, {501, false, false, false, false},
        {502, false, false, true, false},  {503, false, false, true, false},
        {504, false, false, true, false},  {599, false, false, false, false},
        {999, false, false, false, false},
    };
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        char code[16];
        const struct http_client_result r = {
            .status = rows[i].status, .body = STR("hello"), .body_truncated = true, .total_us = 77};
        struct dest_outcome o = judge(&r, false, code);
        assert_int_equal(o.success, rows[i].success);
        assert_int_equal(o.overload, rows[i].overload);
        assert_int_equal(o.gone, rows[i].gone);
        assert_false(o.unreachable || o.blocked || o.canceled);
        assert_int_equal(o.http_status, rows[i].status);
        assert_int_equal(o.code.n, 3);
        assert_int_equal((o.code.p[0] - '0') * 100 + (o.code.p[1] - '0') * 10 + o.code.p[2] - '0',
                         rows[i].status);
        assert_int_equal(o.error.n == 0, rows[i].success);
        assert_true(str_eq(o.response, STR("hello")));
        assert_true(o.response_truncated);
        assert_int_equal(o.duration_us, 77);
        assert_int_equal(o.retry_after_ms, -1);
        o = judge(&r, true, code);
        assert_int_equal(o.success, rows[i].success_below_400);
        assert_int_equal(o.error.n == 0, rows[i].success_below_400);
    }
}

/* Which address was refused, and why, is not for the tenant to know. */
static void assert_error(const struct dest_outcome *o, const char *text)
{
    const char *expected = o->blocked ? "the address is not allowed" : text;
    if (!str_eq(o->error, str_c(expected))) {
        fail_msg("\"" STR_FMT "\" is not \"%s\"", STR_ARG(o->error), expected);
    }
}

static void test_failures(void **state)
{
    (void)state;
    static const struct {
        int err;
        const char *code;
        bool overload, blocked, canceled, answered;
    } rows[] = {
        {ERR_DNS, "dns_error", false, false, false, false},
        {ERR_REFUSED, "connection_refused", false, false, false, false},
        {ERR_RESET, "connection_reset", false, false, false, false},
        {ERR_CLOSED, "network_error", false, false, false, false},
        {ERR_UNREACHABLE, "network_unreachable", false, false, false, false},
        {ERR_TIMEOUT, "timeout", true, false, false, false},
        {ERR_TLS, "tls_error", false, false, false, false},
        {ERR_PROTO, "protocol_error", false, false, false, true},
        {ERR_TOO_BIG, "protocol_error", false, false, false, true},
        {ERR_BLOCKED, "blocked_address", false, true, false, false},
        {ERR_NO_FILES, "network_error", false, false, false, false},
        {ERR_IO, "network_error", false, false, false, false},
        {ERR_CANCELED, "network_error", false, false, true, false},
        {ERR_BUSY, "network_error", false, false, true, false},
    };
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        char code[16];
        struct http_client_result r = {.total_us = 5};
        r.err.code = rows[i].err;
        struct dest_outcome o = judge(&r, true, code);
        assert_false(o.success || o.gone);
        assert_int_equal(o.unreachable, !rows[i].answered);
        assert_int_equal(o.overload, rows[i].overload);
        assert_int_equal(o.blocked, rows[i].blocked);
        assert_int_equal(o.canceled, rows[i].canceled);
        assert_true(str_eq(o.code, str_c(rows[i].code)));
        assert_error(&o, err_text(rows[i].err));
        assert_int_equal(o.http_status, 0);
        assert_int_equal(o.retry_after_ms, -1);
        (void)err_set(&r.err, rows[i].err, 0, "in detail");
        o = judge(&r, true, code);
        assert_error(&o, "in detail");
    }
}

static void test_retry_after(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *value;
        int64_t delay_ms;
    } rows[] = {
        {503, "120", 120000},
        {500, "1", 1000},
        {429, "0", 0},
        {503, "-5", 0},
        {503, "Thu, 01 Jan 2026 00:00:30 GMT", 30000},
        {503, "Wed, 31 Dec 2025 00:00:00 GMT", 0},
        {503, "1000000000000", INT64_C(24) * 3600 * 1000},
        {503, "1.5", -1},
        {503, "soon", -1},
        {503, "", -1},
        {200, "120", -1},
    };
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        char code[16];
        const struct http_header h[] = {{STR("X"), STR("1")},
                                        {STR("Retry-After"), str_c(rows[i].value)}};
        const struct http_client_result r = {
            .status = rows[i].status, .headers = h, .n_headers = 2};
        const struct dest_outcome o = judge(&r, false, code);
        if (o.retry_after_ms != rows[i].delay_ms) {
            fail_msg("%s: %lld", rows[i].value, (long long)o.retry_after_ms);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_statuses),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_retry_after),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
