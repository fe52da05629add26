/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "longline/check.h"
#include "longline/json.h"

static void test_accepted(void **state)
{
    /* Each is written back compactly. */
    static const struct {
        const char *text;
        const char *compact;
    } rows[] = {
        {"null", "null"},
        {" [ 1 , -2 , 3.5 , true , false ] ", "[1,-2,3.5,true,false]"},
        {"{\"a\": {\"b\": [ ]} , \"c\" : { } }", "{\"a\":{\"b\":[]},\"c\":{}}"},
        {"18446744073709551615", "18446744073709551615"},
        {"-9223372036854775808", "-9223372036854775808"},
        {"0.1", "0.1"},
        {"1e3", "1000.0"},
        {"\"\\u00e4\\n\\u0001\\/\"", "\"\xc3\xa4\\n\\u0001/\""},
        {"\"\\ud83d\\ude00\"", "\"\xf0\x9f\x98\x80\""},
        {"{\"a\":1,\"a\":2}", "{\"a\":1,\"a\":2}"},
        {"\"\"", "\"\""},
    };
    (void)state;
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        struct arena a;
        struct buf b;
        yyjson_doc *doc;
        arena_init(&a, 1 << 20);
        buf_init(&b, 1000);
        doc = json_parse(&a, str_c(rows[i].text), NULL);
        assert_non_null(doc);
        assert_int_equal(json_write_val(&b, yyjson_doc_get_root(doc)), 0);
        if (!str_eq(buf_str(&b), str_c(rows[i].compact))) {
            fail_msg("%s gave " STR_FMT, rows[i].text, STR_ARG(buf_str(&b)));
        }
        buf_fini(&b);
        arena_fini(&a);
    }
}

static void test_refused(void **state)
{
    static const struct str rows[] = {
        {"", 0},
        {NULL, 0},
        {" ", 1},
        {"{", 1},
        {"[1,]", 4},
        {"{\"a\":1,}", 8},
        {"{a:1}", 5},
        {"'a'", 3},
        {"[1] x", 5},
        {"1 2", 3},
        {"NaN", 3},
        {"Infinity", 8},
        {"01", 2},
        {"1.", 2},
        {".5", 2},
        {"+1", 2},
        {"/* c */ 1", 9},
        {"\"\t\"", 3},
        {"\"\\x\"", 4},
        {"\"\\ud800\"", 8},
        {"\"\xff\"", 3},
        {"\"\xed\xa0\x80\"", 5},
        {"\xef\xbb\xbf{}", 5},
        {"1\0", 2},
        {"true1", 5},
    };
    (void)state;
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        struct arena a;
        struct err_detail err = {0};
        arena_init(&a, 1 << 20);
        if (json_parse(&a, rows[i], &err) != NULL || err.code != ERR_SYNTAX) {
            fail_msg("row %zu", i);
        }
        assert_true(strlen(err.msg) > 0);
        arena_fini(&a);
    }
}

static void nest(char *out, size_t depth)
{
    memset(out, '[', depth);
    memset(out + depth, ']', depth);
}

static void test_depth(void **state)
{
    static char text[200000];
    struct arena a;
    struct err_detail err;
    struct buf b;
    yyjson_doc *doc;
    (void)state;

    arena_init(&a, 16 << 20);
    nest(text, JSON_MAX_DEPTH);
    doc = json_parse(&a, str_of(text, (size_t)2 * JSON_MAX_DEPTH), &err);
    assert_non_null(doc);
    buf_init(&b, 1000);
    assert_int_equal(json_write_val(&b, yyjson_doc_get_root(doc)), 0);
    assert_true(str_eq(buf_str(&b), str_of(text, (size_t)2 * JSON_MAX_DEPTH)));
    buf_fini(&b);

    nest(text, JSON_MAX_DEPTH + 1);
    assert_null(json_parse(&a, str_of(text, (size_t)2 * JSON_MAX_DEPTH + 2), &err));
    assert_int_equal(err.code, ERR_SYNTAX);
    nest(text, sizeof(text) / 2);
    assert_null(json_parse(&a, str_of(text, sizeof(text)), &err));
    assert_int_equal(err.code, ERR_SYNTAX);
    arena_reset(&a);

    /* Wide is not deep. */
    text[0] = '[';
    for (size_t i = 0; i < 30000; i++) {
        memcpy(text + 1 + 4 * i, "[0],", 4);
    }
    text[4 * 30000] = ']';
    assert_non_null(json_parse(&a, str_of(text, 4 * 30000 + 1), &err));
    arena_fini(&a);
}

static void test_memory_limit(void **state)
{
    static const char text[] = "{\"key\":[1,2,3,4,5,6,7,8,9,10,11,12],\"other\":\"text\"}";
    struct err_detail err;
    bool parsed = false;
    (void)state;
    for (size_t max = 0; max < 4096; max += 16) {
        struct arena a;
        arena_init(&a, max);
        if (json_parse(&a, STR(text), &err) != NULL) {
            parsed = true;
        } else {
            assert_false(parsed);
            assert_int_equal(err.code, ERR_TOO_BIG);
        }
        arena_fini(&a);
    }
    assert_true(parsed);
}

static void test_getters(void **state)
{
    struct arena a;
    yyjson_doc *doc;
    yyjson_val *root;
    (void)state;
    arena_init(&a, 1 << 20);
    doc = json_parse(&a, STR("{\"s\":\"x\\u0000y\",\"n\":1}"), NULL);
    root = yyjson_doc_get_root(doc);
    assert_true(str_eq(json_str(yyjson_obj_get(root, "s")), str_of("x\0y", 3)));
    assert_null(json_str(yyjson_obj_get(root, "n")).p);
    assert_null(json_str(NULL).p);
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_depth),    cmocka_unit_test(test_memory_limit),
        cmocka_unit_test(test_getters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
