/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "longline/check.h"
#include "json/json_internal.h"

static void expect(struct buf *b, const char *text)
{
    if (b->failed || !str_eq(buf_str(b), str_c(text))) {
        fail_msg("got  " STR_FMT "\nwant %s", STR_ARG(buf_str(b)), text);
    }
    buf_fini(b);
}

static void test_structure(void **state)
{
    struct buf b;
    struct jw w;
    (void)state;
    buf_init(&b, 10000);
    jw_init(&w, &b);
    jw_obj(&w);
    JW_STR(&w, "s", STR("x"));
    JW_INT(&w, "i", INT64_MIN);
    jw_key(&w, STR("a"));
    jw_arr(&w);
    jw_int(&w, 1);
    jw_obj(&w);
    jw_obj_end(&w);
    jw_obj(&w);
    JW_BOOL(&w, "b", true);
    jw_obj_end(&w);
    jw_arr(&w);
    jw_arr_end(&w);
    jw_null(&w);
    jw_arr_end(&w);
    JW_BOOL(&w, "f", false);
    JW_NULL(&w, "n");
    JW_RAW(&w, "r", STR("{\"x\": 1}"));
    JW_RAW(&w, "e", STR_NULL);
    JW_TIME(&w, "t", 1767225600250);
    jw_key(&w, STR("u"));
    jw_uint(&w, UINT64_MAX);
    jw_obj_end(&w);
    assert_int_equal(w.depth, 0);
    expect(&b, "{\"s\":\"x\",\"i\":-9223372036854775808,\"a\":[1,{},{\"b\":true},[],null],"
               "\"f\":false,\"n\":null,\"r\":{\"x\": 1},\"e\":null,"
               "\"t\":\"2026-01-01T00:00:00.25Z\",\"u\":18446744073709551615}");
}

static void test_strings(void **state)
{
    static const struct {
        struct str in;
        const char *out;
    } rows[] = {
        {{NULL, 0}, "\"\""},
        {{"abc", 3}, "\"abc\""},
        {{"a\"b\\c/", 6}, "\"a\\\"b\\\\c/\""},
        {{"\b\f\n\r\t", 5}, "\"\\b\\f\\n\\r\\t\""},
        {{"\0\x01\x1f\x7f", 4}, "\"\\u0000\\u0001\\u001f\x7f\""},
        {{"\xc3\xa4\xe4\xbd\xa0\xf0\x9f\x98\x80", 9}, "\"\xc3\xa4\xe4\xbd\xa0\xf0\x9f\x98\x80\""},
        {{"a\xff z", 4}, "\"a\xef\xbf\xbd z\""},
        {{"\xe4\xbd", 2}, "\"\xef\xbf\xbd\xef\xbf\xbd\""},
        {{"\xed\xa0\x80", 3}, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {{"12345678\n12345678\"12345678", 26}, "\"12345678\\n12345678\\\"12345678\""},
    };
    (void)state;
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        struct buf b;
        struct jw w;
        buf_init(&b, 1000);
        jw_init(&w, &b);
        jw_str(&w, rows[i].in);
        expect(&b, rows[i].out);
    }
}

/* Every byte at every distance from the eight-byte steps comes back the same through the parser. */
static void test_every_byte(void **state)
{
    (void)state;
    for (unsigned c = 0; c < 0x80; c++) {
        for (size_t before = 0; before < 18; before++) {
            char text[40];
            struct arena a;
            struct buf b;
            struct jw w;
            yyjson_doc *doc;
            const size_t n = before + 1 + (before * 7 + c) % 20;
            memset(text, 'x', sizeof(text));
            text[before] = (char)c;
            arena_init(&a, 1 << 16);
            buf_init(&b, 1000);
            jw_init(&w, &b);
            jw_str(&w, str_of(text, n));
            doc = json_parse(&a, buf_str(&b), NULL);
            assert_non_null(doc);
            assert_true(str_eq(json_str(yyjson_doc_get_root(doc)), str_of(text, n)));
            buf_fini(&b);
            arena_fini(&a);
        }
    }
}

static void test_doubles(void **state)
{
    static const struct {
        double v;
        const char *text;
    } rows[] = {
        {0.0, "0.0"},
        {-0.0, "-0.0"},
        {0.1, "0.1"},
        {1.5, "1.5"},
        {1e21, "1e21"},
        {-2.5e-7, "-2.5e-7"},
        {1.0 / 3.0, "0.3333333333333333"},
        {1.7976931348623157e308, "1.7976931348623157e308"},
        {5e-324, "5e-324"},
        {(double)NAN, "null"},
        {-(double)INFINITY, "null"},
    };
    (void)state;
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        struct buf b;
        buf_init(&b, 1000);
        json_put_double(&b, rows[i].v);
        expect(&b, rows[i].text);
    }
}

static void write_sample(struct buf *b)
{
    struct jw w;
    jw_init(&w, b);
    jw_obj(&w);
    JW_STR(&w, "plain", STR("value"));
    JW_STR(&w, "esc\"", STR("a\nb\xff"));
    jw_key(&w, STR("list"));
    jw_arr(&w);
    jw_raw(&w, STR("1.25"));
    JW_INT(&w, "", 12345);
    jw_arr_end(&w);
    JW_TIME(&w, "t", 0);
    jw_obj_end(&w);
}

/* With any maximum the result is complete or marked as failed, and always a prefix of the whole. */
static void test_maximum(void **state)
{
    struct buf whole;
    (void)state;
    buf_init(&whole, 1000);
    write_sample(&whole);
    assert_false(whole.failed);
    for (size_t max = 0; max <= whole.n + 8; max++) {
        struct buf b;
        buf_init(&b, max);
        write_sample(&b);
        assert_int_equal(b.failed, max < whole.n);
        assert_true(b.n <= max);
        assert_true(str_starts(buf_str(&whole), buf_str(&b)));
        buf_fini(&b);
    }
    buf_fini(&whole);
}

static void test_deep(void **state)
{
    struct buf b;
    struct jw w;
    (void)state;
    buf_init(&b, 1000);
    jw_init(&w, &b);
    for (int i = 0; i < 32; i++) {
        jw_arr(&w);
    }
    jw_int(&w, 1);
    jw_int(&w, 2);
    for (int i = 0; i < 32; i++) {
        jw_arr_end(&w);
    }
    expect(&b, "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1,2]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]");
}

static void test_values(void **state)
{
    struct arena a;
    struct buf b;
    yyjson_doc *doc;
    (void)state;
    arena_init(&a, 1 << 16);
    buf_init(&b, 1000);
    doc = json_parse(&a, STR("{\"k\":[1,{\"x\":\"\\n\"},2.50]}"), NULL);
    assert_int_equal(json_write_val(&b, yyjson_doc_get_root(doc)), 0);
    assert_int_equal(json_write_val(&b, NULL), 0);
    expect(&b, "{\"k\":[1,{\"x\":\"\\n\"},2.5]}null");
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_structure),  cmocka_unit_test(test_strings),
        cmocka_unit_test(test_every_byte), cmocka_unit_test(test_doubles),
        cmocka_unit_test(test_maximum),    cmocka_unit_test(test_deep),
        cmocka_unit_test(test_values),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
