/* SPDX-License-Identifier: Apache-2.0 */
/* Runs test/data/filter/cases.json; what a case looks like is in the README beside it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "longline/arena.h"
#include "longline/match.h"

#define MIN_CASES 150

static struct str read_file(struct arena *a, const char *path)
{
    FILE *f = fopen(path, "rb");
    assert_non_null(f);
    const size_t cap = (size_t)1024 * 1024;
    char *text = arena_alloc(a, cap);
    assert_non_null(text);
    const size_t n = fread(text, 1, cap, f);
    assert_true(n > 0 && n < cap);
    fclose(f);
    return str_of(text, n);
}

static struct str text_or(yyjson_val *event, const char *name, struct str otherwise)
{
    yyjson_val *v = yyjson_obj_get(event, name);
    return yyjson_is_str(v) ? json_str(v) : otherwise;
}

static bool run(struct str filter_text, const struct match_doc *doc)
{
    struct filter *f = NULL;
    assert_int_equal(filter_compile(&f, filter_text), 0);
    const bool result = filter_match(f, doc);
    filter_free(f);
    return result;
}

static int check(const char *name, const char *form, bool got, bool want)
{
    if (got != want) {
        fprintf(stderr, "%s (%s): got %d\n", name, form, got);
        return 1;
    }
    return 0;
}

/* Puts `text` between the two and matches it. */
static bool run_inside(const char *before, struct str text, const char *after,
                       const struct match_doc *doc)
{
    struct buf b;
    buf_init(&b, 1024 * 1024);
    buf_printf(&b, "%s" STR_FMT "%s", before, STR_ARG(text), after);
    assert_false(b.failed);
    const bool result = run(buf_str(&b), doc);
    buf_fini(&b);
    return result;
}

static struct str json_of(struct buf *b, yyjson_val *v)
{
    buf_init(b, 1024 * 1024);
    assert_int_equal(json_write_val(b, v), 0);
    return buf_str(b);
}

static int run_pattern(struct arena *a, yyjson_val *c, const char *name, bool want)
{
    struct buf pattern;
    struct buf value;
    const struct str p = json_of(&pattern, yyjson_obj_get(c, "pattern"));
    yyjson_val *v = yyjson_obj_get(c, "value");
    const char *data_text = "{}";
    buf_init(&value, 0);
    if (v != NULL) {
        const struct str text = json_of(&value, v);
        data_text = arena_printf(a, "{\"x\":" STR_FMT "}", STR_ARG(text));
    }
    yyjson_doc *data = json_parse(a, str_c(data_text), NULL);
    assert_non_null(data);
    const struct match_doc doc = {.id = STR("evt_1"),
                                  .topic = STR("order.created"),
                                  .time = STR("2026-01-01T00:00:00Z"),
                                  .data = yyjson_doc_get_root(data)};
    int failures = 0;
    failures += check(name, "plain", run_inside("{\"data\":{\"x\":", p, "}}", &doc), want);
    failures += check(name, "inverted at the root",
                      run_inside("{\"$not\":{\"data\":{\"x\":", p, "}}}", &doc), !want);
    failures += check(name, "inverted under the field",
                      run_inside("{\"data\":{\"x\":{\"$not\":", p, "}}}", &doc), !want);
    failures += check(name, "inverted twice",
                      run_inside("{\"$not\":{\"$not\":{\"data\":{\"x\":", p, "}}}}", &doc), want);
    buf_fini(&pattern);
    buf_fini(&value);
    return failures;
}

static int run_event(struct arena *a, yyjson_val *c, const char *name, bool want)
{
    struct buf filter;
    const struct str f = json_of(&filter, yyjson_obj_get(c, "filter"));
    yyjson_val *event = yyjson_obj_get(c, "event");
    yyjson_doc *empty = json_parse(a, STR("{}"), NULL);
    yyjson_val *data = yyjson_obj_get(event, "data");
    yyjson_val *metadata = yyjson_obj_get(event, "metadata");
    const struct match_doc doc = {
        .id = text_or(event, "id", STR("evt_1")),
        .topic = text_or(event, "topic", STR("order.created")),
        .time = text_or(event, "time", STR("2026-01-01T00:00:00Z")),
        .metadata = yyjson_is_obj(metadata) ? metadata : NULL, /* as publish takes it */
        .data = data != NULL ? data : yyjson_doc_get_root(empty),
    };
    int failures = check(name, "plain", run(f, &doc), want);
    failures += check(name, "inverted", run_inside("{\"$not\":", f, "}", &doc), !want);
    buf_fini(&filter);
    return failures;
}

static void test_cases(void **state)
{
    (void)state;
    struct arena file;
    arena_init(&file, (size_t)16 * 1024 * 1024);
    yyjson_doc *doc = json_parse(&file, read_file(&file, "test/data/filter/cases.json"), NULL);
    assert_non_null(doc);
    yyjson_val *list = yyjson_doc_get_root(doc);
    assert_true(yyjson_arr_size(list) >= MIN_CASES);
    int failures = 0;
    yyjson_arr_iter it = yyjson_arr_iter_with(list);
    yyjson_val *c;
    while ((c = yyjson_arr_iter_next(&it)) != NULL) {
        struct arena a;
        arena_init(&a, 1024 * 1024);
        const char *name = yyjson_get_str(yyjson_obj_get(c, "name"));
        assert_non_null(name);
        assert_true(yyjson_is_bool(yyjson_obj_get(c, "match")));
        const bool want = yyjson_get_bool(yyjson_obj_get(c, "match"));
        failures += yyjson_obj_get(c, "pattern") != NULL ? run_pattern(&a, c, name, want)
                                                         : run_event(&a, c, name, want);
        arena_fini(&a);
    }
    arena_fini(&file);
    assert_int_equal(failures, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
