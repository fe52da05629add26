/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "longline/check.h"
#include "longline/http.h"

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(http_method_name(HTTP_METHOD_PATCH), "PATCH");
    assert_string_equal(http_method_name(HTTP_METHOD_OTHER), "OTHER");
    assert_string_equal(http_method_name((enum http_method)99), "OTHER");
    assert_string_equal(http_status_text(100), "Continue");
    assert_string_equal(http_status_text(200), "OK");
    assert_string_equal(http_status_text(431), "Request Header Fields Too Large");
    assert_string_equal(http_status_text(511), "Network Authentication Required");
    assert_string_equal(http_status_text(0), "Unknown");
    assert_string_equal(http_status_text(299), "Unknown");
    assert_string_equal(http_status_text(999), "Unknown");
}

static void test_fields(void **state)
{
    (void)state;
    assert_true(http_is_token(STR("X-Custom_1!#$%&'*+-.^`|~")));
    assert_false(http_is_token(STR("")));
    assert_false(http_is_token(STR("a b")));
    assert_false(http_is_token(STR("a:b")));
    assert_false(http_is_token(STR("a\0b")));
    assert_false(http_is_token(STR("\xc3\xa9")));
    assert_true(http_is_field_value(STR("")));
    assert_true(http_is_field_value(STR("a\tb \xc3\xa9\xff")));
    assert_false(http_is_field_value(STR("a\r\nb: c")));
    assert_false(http_is_field_value(STR("a\nb")));
    assert_false(http_is_field_value(STR("a\0b")));
    assert_false(http_is_field_value(STR("a\x7f")));
}

static void test_find(void **state)
{
    const struct http_header h[] = {
        {STR("Host"), STR("a")},
        {STR("x-a"), STR("")},
        {STR("HOST"), STR("b")},
    };
    (void)state;
    assert_true(str_eq(http_find(h, 3, STR("host")), STR("a")));
    assert_non_null(http_find(h, 3, STR("X-A")).p);
    assert_int_equal(http_find(h, 3, STR("X-A")).n, 0);
    assert_null(http_find(h, 3, STR("X-B")).p);
    assert_null(http_find(NULL, 0, STR("X-B")).p);
}

struct pairs {
    char text[256];
    size_t n;
    int stop_at; /* return 7 at this pair, counted from 1 */
    int n_pairs;
};

static int on_pair(void *ctx, struct str name, struct str value)
{
    struct pairs *p = ctx;
    p->n_pairs++;
    if (p->n_pairs == p->stop_at) {
        return 7;
    }
    memcpy(p->text + p->n, name.p, name.n);
    p->n += name.n;
    p->text[p->n++] = '=';
    if (value.n != 0) {
        memcpy(p->text + p->n, value.p, value.n);
    }
    p->n += value.n;
    p->text[p->n++] = ';';
    return 0;
}

static void test_query(void **state)
{
    static const struct {
        const char *query;
        int rc;
        const char *pairs;
    } rows[] = {
        {"", 0, ""},
        {"a=1", 0, "a=1;"},
        {"a=1&b=2&a=3", 0, "a=1;b=2;a=3;"},
        {"&&a&", 0, "a=;"},
        {"a==b", 0, "a==b;"},
        {"=v", 0, "=v;"},
        {"tenant%5Fid=x%20y+z", 0, "tenant_id=x y z;"},
        {"a%26b=%3D", 0, "a&b==;"},
        {"topics[]=x&topics[]=y", 0, "topics[]=x;topics[]=y;"},
        {"a=%C3%A9", 0, "a=\xc3\xa9;"},
        {"a=1&b=%", ERR_SYNTAX, "a=1;"},
        {"a=%4", ERR_SYNTAX, ""},
        {"a=%zz", ERR_SYNTAX, ""},
        {"%g1=x", ERR_SYNTAX, ""},
        {"a=%00", ERR_SYNTAX, ""},
    };
    (void)state;
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        struct pairs p = {.n = 0};
        const int rc = http_query_each(str_c(rows[i].query), on_pair, &p);
        p.text[p.n] = '\0';
        if (rc != rows[i].rc) {
            fail_msg("\"%s\" gave %d", rows[i].query, rc);
        }
        assert_string_equal(p.text, rows[i].pairs);
    }
}

static void test_query_stop(void **state)
{
    struct pairs p = {.stop_at = 2};
    (void)state;
    assert_int_equal(http_query_each(STR("a=1&b=2&c=3"), on_pair, &p), 7);
    assert_int_equal(p.n_pairs, 2);
    assert_int_equal(http_query_each(STR_NULL, on_pair, &p), 0);
}

static void test_retry_after(void **state)
{
    /* Sun, 06 Nov 1994 08:49:37 GMT */
    const int64_t then_ms = INT64_C(784111777000);
    static const struct {
        const char *text;
        int rc;
        int64_t delay_ms;
    } rows[] = {
        {"0", 0, 0},
        {"120", 0, 120000},
        {" 5 ", 0, 5000},
        {"-3", 0, 0},
        {"86400", 0, 86400000},
        {"86401", 0, 86400000},
        {"99999999999999999999999", 0, 86400000},
        {"-99999999999999999999999", 0, 0},
        {"Sun, 06 Nov 1994 08:49:37 GMT", 0, 10000},
        {"Sunday, 06-Nov-94 08:49:37 GMT", 0, 10000},
        {"Sun Nov  6 08:49:37 1994", 0, 10000},
        {"Sun, 06 Nov 1994 08:49:26 GMT", 0, 0},
        {"Tue, 08 Nov 1994 08:49:37 GMT", 0, 86400000},
        {"", ERR_SYNTAX, 0},
        {"-", ERR_SYNTAX, 0},
        {"1.5", ERR_SYNTAX, 0},
        {"+5", ERR_SYNTAX, 0},
        {"5s", ERR_SYNTAX, 0},
        {"soon", ERR_SYNTAX, 0},
        {"Sun, 06 Nov 1994", ERR_SYNTAX, 0},
    };
    (void)state;
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        int64_t delay = -1;
        const int rc = http_parse_retry_after(str_c(rows[i].text), then_ms - 10000, &delay);
        if (rc != rows[i].rc) {
            fail_msg("\"%s\" gave %d", rows[i].text, rc);
        }
        if (rc == 0) {
            assert_int_equal(delay, rows[i].delay_ms);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),      cmocka_unit_test(test_fields),
        cmocka_unit_test(test_find),       cmocka_unit_test(test_query),
        cmocka_unit_test(test_query_stop), cmocka_unit_test(test_retry_after),
    };
    return cmocka_run_group_tests_name("http", tests, NULL, NULL);
}
