/* SPDX-License-Identifier: Apache-2.0 */
/* The table of native routes: every row can be reached, is named once, and has the right scope. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/native/native.h"
#include "longline/check.h"

static struct str path_of(const struct route *r, char *out)
{
    size_t n = 0;
    for (const char *p = r->pattern; *p != '\0'; p++) {
        if (*p != ':') {
            out[n++] = *p;
            continue;
        }
        out[n++] = 'x';
        while (p[1] != '\0' && p[1] != '/') {
            p++;
        }
    }
    return str_of(out, n);
}

static void test_every_row_is_found(void **state)
{
    char text[200];
    (void)state;
    for (size_t i = 0; i < native_n_routes; i++) {
        const struct route *r = &native_routes[i];
        struct route_match m;
        assert_true(strlen(r->pattern) < sizeof(text));
        route_find(native_routes, native_n_routes, r->method, path_of(r, text), &m);
        if (m.index != i) {
            fail_msg("%s: found row %zu", r->name, m.index);
        }
        assert_non_null(r->handle);
        route_find(native_routes, native_n_routes, HTTP_METHOD_OTHER, path_of(r, text), &m);
        assert_int_equal(m.index, native_n_routes);
        assert_true((m.allowed & 1U << r->method) != 0);
    }
}

static void test_names_are_unique(void **state)
{
    (void)state;
    for (size_t i = 0; i < native_n_routes; i++) {
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(native_routes[i].name, native_routes[j].name);
        }
    }
}

static void test_scopes(void **state)
{
    static const char *const public[] = {"healthz", "healthz_v1", "readyz"};
    static const char *const admin[] = {"publish", "tenants_token"};
    (void)state;
    for (size_t i = 0; i < native_n_routes; i++) {
        const struct route *r = &native_routes[i];
        enum route_scope want = SCOPE_ANY;
        for (size_t j = 0; j < LL_COUNT(public); j++) {
            want = strcmp(r->name, public[j]) == 0 ? SCOPE_PUBLIC : want;
        }
        for (size_t j = 0; j < LL_COUNT(admin); j++) {
            want = strcmp(r->name, admin[j]) == 0 ? SCOPE_ADMIN : want;
        }
        want = strcmp(r->name, "metrics") == 0 ? SCOPE_METRICS : want;
        assert_int_equal(r->scope, want);
        /* Whatever lies below a tenant is checked against the token's tenant. */
        if (str_starts(str_c(r->pattern), STR("/api/v1/tenants/:"))) {
            assert_true((r->flags & ROUTE_OF_TENANT) != 0);
        } else {
            assert_true((r->flags & (ROUTE_OF_TENANT | ROUTE_NEEDS_TENANT)) == 0);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_row_is_found),
        cmocka_unit_test(test_names_are_unique),
        cmocka_unit_test(test_scopes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
