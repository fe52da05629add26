/* SPDX-License-Identifier: Apache-2.0 */
/* String maps: coercion to text, merging, bounds; and what an id may be. */
#include "fixture.h"

#include <stdio.h>

#include "longline/check.h"
#include "model/model_internal.h"

static yyjson_val *parse(const char *text)
{
    yyjson_doc *doc = json_parse(&arena, str_c(text), NULL);
    assert_non_null(doc);
    return yyjson_doc_get_root(doc);
}

/* "k=v;k=v" */
static void show(const struct kv_map *m, char *out, size_t cap)
{
    size_t n = 0;
    out[0] = '\0';
    for (size_t i = 0; i < m->n; i++) {
        n += (size_t)snprintf(out + n, cap - n, "%s" STR_FMT "=" STR_FMT, i > 0 ? ";" : "",
                              STR_ARG(m->v[i].key), STR_ARG(m->v[i].value));
        assert_true(n < cap);
    }
}

static void test_numbers(void **state)
{
    (void)state;
    static const struct {
        double v;
        const char *text;
    } cases[] = {
        {0, "0"},
        {-0.0, "-0"},
        {1, "1"},
        {-1, "-1"},
        {30, "30"},
        {100000, "100000"},
        {123456, "123456"},
        {999999, "999999"},
        {1000000, "1e+06"},
        {1234567, "1.234567e+06"},
        {-1000000, "-1e+06"},
        {123456789, "1.23456789e+08"},
        {999999.5, "999999.5"},
        {1e20, "1e+20"},
        {1e21, "1e+21"},
        {1e100, "1e+100"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        {5e-324, "5e-324"},
        {0.5, "0.5"},
        {0.1, "0.1"},
        {0.30000000000000004, "0.30000000000000004"},
        {3.14, "3.14"},
        {100.25, "100.25"},
        {0.001, "0.001"},
        {0.0001, "0.0001"},
        {0.000123, "0.000123"},
        {0.00001, "1e-05"},
        {-0.0000125, "-1.25e-05"},
        {12345.678, "12345.678"},
        {9007199254740993.0, "9.007199254740992e+15"},
    };
    for (size_t i = 0; i < LL_COUNT(cases); i++) {
        char text[NUMBER_MAX];
        const size_t n = number_text(text, cases[i].v);
        assert_int_equal(n, strlen(text));
        assert_string_equal(text, cases[i].text);
    }
}

static void test_parse(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        const char *map;
    } cases[] = {
        {"{}", ""},
        {"{\"a\":\"b\"}", "a=b"},
        {"{\"b\":\"1\",\"a\":\"2\"}", "b=1;a=2"},
        {"{\"a\":true,\"b\":false}", "a=true;b=false"},
        {"{\"a\":null,\"b\":\"x\"}", "a=;b=x"},
        {"{\"a\":30,\"b\":1000000,\"c\":0.5,\"d\":-7}", "a=30;b=1e+06;c=0.5;d=-7"},
        {"{\"a\":18446744073709551615}", "a=1.8446744073709552e+19"},
        {"{\"a\":[1, \"x\", null],\"b\":{\"c\" : 1}}", "a=[1,\"x\",null];b={\"c\":1}"},
        {"{\"a\":\"1\",\"b\":\"2\",\"a\":\"3\"}", "a=3;b=2"},
        {"{\"\":\"x\"}", "=x"},
        {"{\"a\":\"\"}", "a="},
    };
    for (size_t i = 0; i < LL_COUNT(cases); i++) {
        struct kv_map m;
        char text[256];
        assert_int_equal(kv_map_parse(&m, parse(cases[i].json), &arena), 0);
        show(&m, text, sizeof(text));
        assert_string_equal(text, cases[i].map);
    }
    static const char *const bad[] = {"[]", "\"x\"", "1", "null", "true"};
    for (size_t i = 0; i < LL_COUNT(bad); i++) {
        struct kv_map m;
        assert_int_equal(kv_map_parse(&m, parse(bad[i]), &arena), ERR_INVALID);
        assert_int_equal(m.n, 0);
    }
    struct kv_map m;
    assert_int_equal(kv_map_parse(&m, NULL, &arena), ERR_INVALID);
}

static void test_get(void **state)
{
    (void)state;
    struct kv_map m;
    assert_int_equal(kv_map_parse(&m, parse("{\"a\":\"1\",\"bb\":\"\"}"), &arena), 0);
    assert_true(str_eq(kv_get(&m, STR("a")), STR("1")));
    assert_non_null(kv_get(&m, STR("bb")).p);
    assert_int_equal(kv_get(&m, STR("bb")).n, 0);
    assert_null(kv_get(&m, STR("b")).p);
    const struct kv_map empty = {0};
    assert_null(kv_get(&empty, STR("a")).p);
}

static void test_merge(void **state)
{
    (void)state;
    static const struct {
        const char *old;
        const char *patch;
        const char *map;
    } cases[] = {
        {"{\"a\":\"1\"}", "{}", "a=1"},
        {"{\"a\":\"1\"}", "{\"a\":\"2\"}", "a=2"},
        {"{\"a\":\"1\"}", "{\"b\":\"2\"}", "a=1;b=2"},
        {"{\"a\":\"1\",\"b\":\"2\",\"c\":\"3\"}", "{\"b\":null}", "a=1;c=3"},
        {"{\"a\":\"1\"}", "{\"a\":null}", ""},
        {"{\"a\":\"1\"}", "{\"x\":null}", "a=1"},
        {"{}", "{\"a\":5}", "a=5"},
        {"{\"a\":\"1\"}", "{\"a\":{\"b\":null}}", "a={\"b\":null}"},
        {"{\"a\":\"1\"}", "{\"a\":null,\"a\":\"2\"}", "a=2"},
        {"{\"a\":\"1\"}", "{\"a\":\"2\",\"a\":null}", ""},
    };
    for (size_t i = 0; i < LL_COUNT(cases); i++) {
        struct kv_map old;
        struct kv_map merged;
        char before[256];
        char text[256];
        assert_int_equal(kv_map_parse(&old, parse(cases[i].old), &arena), 0);
        show(&old, before, sizeof(before));
        assert_int_equal(kv_map_merge(&merged, &old, parse(cases[i].patch), &arena), 0);
        show(&merged, text, sizeof(text));
        assert_string_equal(text, cases[i].map);
        show(&old, text, sizeof(text));
        assert_string_equal(text, before); /* untouched */
    }
}

static yyjson_val *many(const char *prefix, int n)
{
    struct buf b;
    buf_init(&b, 65536);
    buf_add_c(&b, '{');
    for (int i = 0; i < n; i++) {
        buf_printf(&b, "%s\"%s%d\":\"v\"", i > 0 ? "," : "", prefix, i);
    }
    buf_add(&b, "}", 2);
    assert_false(b.failed);
    yyjson_val *v = parse(b.p);
    buf_fini(&b);
    return v;
}

static void test_limits(void **state)
{
    (void)state;
    struct kv_map m;
    struct kv_map merged;
    assert_int_equal(kv_map_parse(&m, many("a", MODEL_MAX_KV), &arena), 0);
    assert_int_equal(m.n, MODEL_MAX_KV);
    assert_int_equal(kv_map_merge(&merged, &m, parse("{\"a7\":\"w\"}"), &arena), 0);
    assert_int_equal(kv_map_merge(&merged, &m, parse("{\"b\":\"w\"}"), &arena), ERR_LIMIT);
    assert_int_equal(kv_map_merge(&merged, &m, parse("{\"a0\":null,\"b\":\"w\"}"), &arena), 0);
    assert_int_equal(kv_map_parse(&m, many("a", MODEL_MAX_KV + 1), &arena), ERR_LIMIT);

    struct arena small;
    arena_init(&small, 0);
    assert_int_equal(kv_map_parse(&m, parse("{\"a\":\"b\"}"), &small), ERR_TOO_BIG);
    arena_fini(&small);
}

static void test_ids(void **state)
{
    (void)state;
    char long_id[256];
    memset(long_id, 'x', sizeof(long_id));
    assert_true(model_id_valid(str_of(long_id, 255)));
    assert_false(model_id_valid(str_of(long_id, 256)));
    static const char *const good[] = {"a",        "acme",  "a b", "a/b", "...",
                                       "\xc3\xa9", "{\"}:", "~",   "%41", "\xc2\xa0"};
    static const char *const bad[] = {"",     ".",    "..",           "a\n",
                                      "\r",   "a\tb", "\x7f",         "\xc2\x85",
                                      "\xff", "\xc3", "\xed\xa0\x80", "\xc0\x80"};
    for (size_t i = 0; i < LL_COUNT(good); i++) {
        assert_true(model_id_valid(str_c(good[i])));
    }
    for (size_t i = 0; i < LL_COUNT(bad); i++) {
        assert_false(model_id_valid(str_c(bad[i])));
    }
    assert_false(model_id_valid(str_of("a\0b", 3)));
    assert_false(model_id_valid(STR_NULL));
}

static void test_problems(void **state)
{
    (void)state;
    struct problem p = {0};
    problem_add(&p, &arena, "%s is required", "config.url");
    assert_int_equal(p.status, 422);
    assert_string_equal(p.message, "validation error");
    assert_int_equal(p.n_items, 1);
    assert_true(str_eq(p.items[0], STR("config.url is required")));
    for (int i = 0; i < 2 * PROBLEM_MAX_ITEMS; i++) {
        problem_add(&p, &arena, "item %d", i);
    }
    assert_int_equal(p.n_items, PROBLEM_MAX_ITEMS);
    problem_set(&p, 403, "no");
    problem_set(&p, 422, "later");
    problem_add(&p, &arena, "later");
    assert_int_equal(p.status, 403);
    assert_string_equal(p.message, "no");
    assert_int_equal(p.n_items, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_numbers, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(test_parse, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(test_get, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(test_merge, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(test_limits, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(test_ids, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(test_problems, fx_setup, fx_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
