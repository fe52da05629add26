/* SPDX-License-Identifier: Apache-2.0 */
/* What compiles, what is refused, and that no filter can hold the loop up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "longline/arena.h"
#include "longline/check.h"
#include "longline/match.h"

static void test_compile(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int rc;
        bool matches_all;
    } cases[] = {
        {"{}", 0, true},
        {" { } ", 0, true},
        {"null", 0, true},
        {"{\"data\":{}}", 0, false},
        {"{\"$nonsense\":[]}", 0, false},
        {"{\"$or\":1}", 0, false},
        {"", ERR_SYNTAX, false},
        {"{", ERR_SYNTAX, false},
        {"{}x", ERR_SYNTAX, false},
        {"[]", ERR_SYNTAX, false},
        {"\"x\"", ERR_SYNTAX, false},
        {"true", ERR_SYNTAX, false},
        {"{\"a\":NaN}", ERR_SYNTAX, false},
        {"{\"a\":1,}", ERR_SYNTAX, false},
        {"{\"a\":\"\xff\"}", ERR_SYNTAX, false},
    };
    for (size_t i = 0; i < LL_COUNT(cases); i++) {
        struct filter *f = NULL;
        const int rc = filter_compile(&f, str_c(cases[i].text));
        if (rc != cases[i].rc || (f == NULL) != (rc != 0 || cases[i].matches_all)) {
            fail_msg("%s: rc %d", cases[i].text, rc);
        }
        filter_free(f);
    }
}

static int compile_repeated(const char *head, const char *part, size_t n, const char *tail_part,
                            const char *tail)
{
    struct buf b;
    buf_init(&b, (size_t)4 * 1024 * 1024);
    buf_add_str(&b, str_c(head));
    for (size_t i = 0; i < n; i++) {
        buf_add_str(&b, str_c(part));
    }
    buf_add_str(&b, str_c(tail));
    for (size_t i = 0; i < n; i++) {
        buf_add_str(&b, str_c(tail_part));
    }
    assert_false(b.failed);
    struct filter *f = NULL;
    const int rc = filter_compile(&f, buf_str(&b));
    filter_free(f);
    buf_fini(&b);
    return rc;
}

static void test_limits(void **state)
{
    (void)state;
    /* The innermost value counts as a level too. */
    assert_int_equal(compile_repeated("", "{\"$not\":", 31, "}", "1"), 0);
    assert_int_equal(compile_repeated("", "{\"$not\":", 32, "}", "1"), ERR_TOO_BIG);
    /* An object, a list and n items are n + 2 nodes. */
    assert_int_equal(compile_repeated("{\"$in\":[0", ",0", 4093, "", "]}"), 0);
    assert_int_equal(compile_repeated("{\"$in\":[0", ",0", 4094, "", "]}"), ERR_TOO_BIG);
    assert_int_equal(compile_repeated("{\"a\":\"", "x", (size_t)300 * 1024, "", "\"}"),
                     ERR_TOO_BIG);
}

static struct str repeat(struct buf *b, const char *head, const char *part, size_t n,
                         const char *tail)
{
    buf_reset(b);
    buf_add_str(b, str_c(head));
    for (size_t i = 0; i < n; i++) {
        buf_add_str(b, str_c(part));
    }
    buf_add_str(b, str_c(tail));
    assert_false(b->failed);
    return buf_str(b);
}

/* 4,000 patterns, each of which has to look through 100,000 items: stopped by the number of steps,
 * and an unfinished evaluation is no match, also below $not. */
static void test_steps(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, (size_t)4 * 1024 * 1024);
    struct arena a;
    arena_init(&a, (size_t)64 * 1024 * 1024);
    yyjson_doc *data = json_parse(&a, repeat(&b, "{\"x\":[0", ",0", 100000, ",1]}"), NULL);
    assert_non_null(data);
    const struct match_doc doc = {.data = yyjson_doc_get_root(data)};
    static const struct {
        const char *head;
        const char *part;
        const char *tail;
    } cases[] = {
        {"{\"data\":{\"x\":[1", ",1", "]}}"},
        {"{\"$not\":{\"data\":{\"x\":[1", ",1", "]}}}"},
        {"{\"data\":{\"x\":{\"$or\":[2", ",2", "]}}}"},
        {"{\"data\":{\"x\":{\"$not\":{\"$or\":[2", ",2", "]}}}}"},
        {"{\"data\":{\"x\":{\"$and\":[1", ",1", "]}}}"},
        {"{\"$not\":{\"data\":{\"x\":{\"$and\":[1", ",1", "]}}}}"},
        {"{\"data\":{\"x\":{\"$and\":[1", ",{\"$nin\":2}", "]}}}"},
    };
    for (size_t i = 0; i < LL_COUNT(cases); i++) {
        struct filter *f = NULL;
        const size_t n = strlen(cases[i].part) > 2 ? 2000 : 4000;
        const struct str text = repeat(&b, cases[i].head, cases[i].part, n, cases[i].tail);
        assert_int_equal(filter_compile(&f, text), 0);
        if (filter_match(f, &doc)) {
            fail_msg("%s", cases[i].head);
        }
        filter_free(f);
    }
    arena_fini(&a);
    buf_fini(&b);
}

/* A large list is no reason to give up. */
static void test_large_list(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, (size_t)4 * 1024 * 1024);
    struct arena a;
    arena_init(&a, (size_t)64 * 1024 * 1024);
    yyjson_doc *data = json_parse(&a, repeat(&b, "{\"x\":[0", ",0", 50000, ",\"needle\"]}"), NULL);
    assert_non_null(data);
    const struct match_doc doc = {.data = yyjson_doc_get_root(data)};
    struct filter *f = NULL;
    assert_int_equal(filter_compile(&f, STR("{\"data\":{\"x\":{\"$in\":\"needle\"}}}")), 0);
    assert_true(filter_match(f, &doc));
    filter_free(f);
    arena_fini(&a);
    buf_fini(&b);
}

/* Lists of 60 levels: the recursion follows the document, which the parser has limited. */
static void test_nested_document(void **state)
{
    (void)state;
    char text[256];
    size_t n = 0;
    n += (size_t)snprintf(text, sizeof(text), "{\"x\":");
    for (int i = 0; i < 60; i++) {
        text[n++] = '[';
    }
    text[n++] = '7';
    for (int i = 0; i < 60; i++) {
        text[n++] = ']';
    }
    text[n++] = '}';
    struct arena a;
    arena_init(&a, 1024 * 1024);
    yyjson_doc *data = json_parse(&a, str_of(text, n), NULL);
    assert_non_null(data);
    const struct match_doc doc = {.data = yyjson_doc_get_root(data)};
    struct filter *f = NULL;
    assert_int_equal(filter_compile(&f, STR("{\"data\":{\"x\":7}}")), 0);
    assert_true(filter_match(f, &doc));
    filter_free(f);
    arena_fini(&a);
}

static void test_null_filter(void **state)
{
    (void)state;
    const struct match_doc doc = {.topic = STR("t")};
    assert_true(filter_match(NULL, &doc));
    filter_free(NULL);
    /* Without data there is no member of that name. */
    struct filter *f = NULL;
    assert_int_equal(filter_compile(&f, STR("{\"data\":{\"$exist\":true}}")), 0);
    assert_false(filter_match(f, &doc));
    filter_free(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_compile),         cmocka_unit_test(test_limits),
        cmocka_unit_test(test_steps),           cmocka_unit_test(test_large_list),
        cmocka_unit_test(test_nested_document), cmocka_unit_test(test_null_filter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
