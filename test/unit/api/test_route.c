/* SPDX-License-Identifier: Apache-2.0 */
/* Looking up routes, with a table of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "api/route.h"
#include "longline/check.h"

static const struct route routes[] = {
    {HTTP_METHOD_GET, "/things", SCOPE_ANY, 0, NULL, "list"},
    {HTTP_METHOD_POST, "/things", SCOPE_ANY, 0, NULL, "create"},
    {HTTP_METHOD_GET, "/things/:id", SCOPE_ANY, 0, NULL, "get"},
    {HTTP_METHOD_PUT, "/things/:id", SCOPE_ANY, 0, NULL, "put"},
    {HTTP_METHOD_GET, "/things/:id/parts/:part", SCOPE_ANY, 0, NULL, "part"},
};
#define NONE   LL_COUNT(routes)
#define BIT(m) (1U << HTTP_METHOD_##m)

static void test_lookups(void **state)
{
    static const struct {
        enum http_method method;
        const char *path;
        size_t index;
        unsigned allowed; /* when there is none */
    } cases[] = {
        {HTTP_METHOD_GET, "/things", 0, 0},
        {HTTP_METHOD_HEAD, "/things", 0, 0},
        {HTTP_METHOD_POST, "/things", 1, 0},
        {HTTP_METHOD_GET, "/things/x", 2, 0},
        {HTTP_METHOD_GET, "/things/%2F", 2, 0},
        {HTTP_METHOD_PUT, "/things/x", 3, 0},
        {HTTP_METHOD_GET, "/things/x/parts/y", 4, 0},
        {HTTP_METHOD_DELETE, "/things", NONE, BIT(GET) | BIT(HEAD) | BIT(POST)},
        {HTTP_METHOD_OTHER, "/things/x", NONE, BIT(GET) | BIT(HEAD) | BIT(PUT)},
        {HTTP_METHOD_OPTIONS, "/things/x/parts/y", NONE, BIT(GET) | BIT(HEAD)},
        {HTTP_METHOD_GET, "", NONE, 0},
        {HTTP_METHOD_GET, "/", NONE, 0},
        {HTTP_METHOD_GET, "*", NONE, 0},
        {HTTP_METHOD_GET, "things", NONE, 0},
        {HTTP_METHOD_GET, "/things/", NONE, 0},
        {HTTP_METHOD_GET, "//things", NONE, 0},
        {HTTP_METHOD_GET, "/Things", NONE, 0},
        {HTTP_METHOD_GET, "/things/x/", NONE, 0},
        {HTTP_METHOD_GET, "/things/x/parts", NONE, 0},
        {HTTP_METHOD_GET, "/things//parts/y", NONE, 0},
        {HTTP_METHOD_GET, "/things/x/parts/y/z", NONE, 0},
    };
    (void)state;
    for (size_t i = 0; i < LL_COUNT(cases); i++) {
        struct route_match m;
        route_find(routes, LL_COUNT(routes), cases[i].method, str_c(cases[i].path), &m);
        if (m.index != cases[i].index || (m.index == NONE && m.allowed != cases[i].allowed)) {
            fail_msg("%s %s: row %zu, allowed %x", http_method_name(cases[i].method), cases[i].path,
                     m.index, m.allowed);
        }
    }
}

static void test_params(void **state)
{
    struct route_match m;
    (void)state;
    route_find(routes, LL_COUNT(routes), HTTP_METHOD_GET, STR("/things/a%20b/parts/:part"), &m);
    assert_int_equal(m.n_params, 2);
    assert_true(str_eq(m.params[0], STR("a%20b")));
    assert_true(str_eq(m.params[1], STR(":part")));
}

static void test_allow(void **state)
{
    char text[ROUTE_ALLOW_MAX];
    size_t n;
    (void)state;
    n = route_allow(BIT(GET) | BIT(HEAD) | BIT(PUT), text);
    assert_true(str_eq(str_of(text, n), STR("GET, HEAD, PUT")));
    n = route_allow((1U << HTTP_METHOD_OTHER) - 1, text);
    assert_true(str_eq(str_of(text, n), STR("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lookups),
        cmocka_unit_test(test_params),
        cmocka_unit_test(test_allow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
