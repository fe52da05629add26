/* SPDX-License-Identifier: Apache-2.0 */
/* Query parameters and the three spellings of lists. */
#include "fixture.h"

#include <stdio.h>

#include "api/query.h"
#include "longline/check.h"

/* The values of list f, joined by '|'; NULL: there is no such parameter. */
static void check_list(struct arena *a, const char *query, const char *want)
{
    struct query q;
    struct store_strs list;
    char got[200] = "";
    size_t at = 0;

    assert_int_equal(query_parse(&q, str_c(query), a), 0);
    assert_int_equal(query_list(&q, STR("f"), a, &list), 0);
    for (size_t i = 0; i < list.n; i++) {
        at += (size_t)snprintf(got + at, sizeof(got) - at, "%s" STR_FMT, i != 0 ? "|" : "",
                               STR_ARG(list.v[i]));
    }
    if ((list.n != 0) != (want != NULL) || (want != NULL && strcmp(got, want) != 0)) {
        fail_msg("%s: got %zu: %s, want %s", query, list.n, got, want != NULL ? want : "none");
    }
}

static void test_lists(void **state)
{
    static const struct {
        const char *query;
        const char *want;
    } cases[] = {
        {"", NULL},
        {"&&", NULL},
        {"f=a", "a"},
        {"f=a&f=b", "a|b"},
        {"f[]=a&f[]=b", "a|b"},
        {"f%5B%5D=a&f%5B%5D=b", "a|b"},
        {"f[0]=a&f[1]=b", "a|b"},
        {"f[10]=c&f[1]=a&f[2]=b", "a|b|c"},
        {"f%5B1%5D=b&f%5B0%5D=a", "a|b"},
        {"f[1]=x&f[1]=y", "x|y"},
        {"f=p&f[]=u&f[0]=i", "i"},
        {"f=p&f[]=u", "u"},
        {"f[x]=no&f=a", "a"},
        {"f[-1]=no&f=a", "a"},
        {"f[0=no&f0]=no&ff=no&f[]x=no&f=a", "a"},
        {"f=&f=a", "|a"},
        /* The empty value is one, in every spelling: not "no filter". */
        {"f=", ""},
        {"f", ""},
        {"f[]=", ""},
        {"f[0]=", ""},
        {"f%5B0%5D=", ""},
        {"f[0]=&f=a", ""},
        {"f[]=&f=a", ""},
        {"f=two+words&f=a%26b", "two words|a&b"},
        {"g=a", NULL},
        {"=a", NULL},
    };
    for (size_t i = 0; i < LL_COUNT(cases); i++) {
        check_list(*state, cases[i].query, cases[i].want);
    }
}

static void test_get(void **state)
{
    struct query q;
    struct str v;

    assert_int_equal(query_parse(&q, STR("a=1&a=2&e=&e=3&time%5Bgte%5D=x&&="), *state), 0);
    v = query_get(&q, STR("e"));
    assert_non_null(v.p);
    assert_int_equal(v.n, 0);
    v = query_get(&q, STR("a"));
    assert_true(str_eq(v, STR("1")));
    v = query_get(&q, STR("time[gte]"));
    assert_true(str_eq(v, STR("x")));
    v = query_get(&q, STR("b"));
    assert_null(v.p);
}

static void test_refused(void **state)
{
    struct query q;
    char many[3 * QUERY_MAX_PARAMS + 8];
    size_t n = 0;

    assert_int_equal(query_parse(&q, STR("a=%"), *state), ERR_SYNTAX);
    assert_int_equal(query_parse(&q, STR("a=%zz"), *state), ERR_SYNTAX);
    assert_int_equal(query_parse(&q, STR("a=%00"), *state), ERR_SYNTAX);
    assert_int_equal(query_parse(&q, STR("a=%ff"), *state), ERR_SYNTAX);
    assert_int_equal(query_parse(&q, STR("%ff=a"), *state), ERR_SYNTAX);

    for (size_t i = 0; i < QUERY_MAX_PARAMS; i++) {
        memcpy(many + n, "=a&", 3);
        n += 3;
    }
    assert_int_equal(query_parse(&q, str_of(many, n), *state), 0);
    assert_int_equal(q.n, QUERY_MAX_PARAMS);
    memcpy(many + n, "=a", 2);
    assert_int_equal(query_parse(&q, str_of(many, n + 2), *state), ERR_LIMIT);
}

static void test_small_arena(void **state)
{
    struct arena tiny;
    struct query q;
    char big[20000];

    (void)state;
    memset(big, 'x', sizeof(big));
    big[1] = '=';
    arena_init(&tiny, 8192);
    assert_int_equal(query_parse(&q, str_of(big, sizeof(big)), &tiny), ERR_TOO_BIG);
    arena_fini(&tiny);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_lists, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(test_get, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(test_refused, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(test_small_arena, fx_setup, fx_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
