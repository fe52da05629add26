/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of PATCH: merge for the maps, replacement for the rest. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "longline/check.h"
#include "longline/model.h"

#define NOW_MS      INT64_C(1767225600000) /* 2026-01-01T00:00:00Z */
#define OLD_MS      INT64_C(1735689600000)
#define DISABLED    "2025-06-01T00:00:00Z"
#define DISABLED_MS INT64_C(1748736000000)

static struct arena arena;
static struct destination old;

static yyjson_val *parse(const char *text)
{
    yyjson_doc *doc = json_parse(&arena, str_c(text), NULL);
    assert_non_null(doc);
    return yyjson_doc_get_root(doc);
}

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, (size_t)4 * 1024 * 1024);
    const struct model_caller admin = {.is_admin = true, .now_ms = OLD_MS};
    struct problem p = {0};
    destination_parse_create(&old,
                             parse("{\"id\":\"d1\",\"type\":\"webhook\",\"topics\":[\"a\",\"b\"],"
                                   "\"filter\":{\"data\":{\"n\":1}},"
                                   "\"config\":{\"url\":\"u\",\"x\":\"1\"},"
                                   "\"credentials\":{\"secret\":\"s\"},"
                                   "\"delivery_metadata\":{\"k\":\"v\"},"
                                   "\"metadata\":{\"m\":\"1\",\"n\":\"2\"}}"),
                             &admin, &arena, &p);
    old.num = 7;
    old.tenant_id = STR("acme");
    return p.status;
}

static int teardown(void **state)
{
    (void)state;
    arena_fini(&arena);
    return 0;
}

/* The stored form and the secrets: everything there is to compare. */
static void dump(const struct destination *d, struct buf *out)
{
    struct jw w;
    buf_init(out, 65536);
    jw_init(&w, out);
    destination_write_stored(&w, d, STR(""));
    jw_init(&w, out);
    destination_write_secrets(&w, d);
    assert_false(out->failed);
}

static int patch(const struct destination *from, struct destination *to, const char *body,
                 bool *touched, struct problem *p)
{
    const struct model_caller caller = {.now_ms = NOW_MS};
    *p = (struct problem){0};
    destination_parse_patch(to, from, parse(body), &caller, touched, &arena, p);
    return p->status;
}

#define HEAD     "{\"v\":2,\"num\":7,\"id\":\"d1\",\"tenant_id\":\"acme\",\"type\":\"webhook\","
#define TOPICS   "\"topics\":[\"a\",\"b\"],"
#define FILTER   "\"filter\":{\"data\":{\"n\":1}},"
#define CONFIG   "\"config\":{\"url\":\"u\",\"x\":\"1\"},"
#define METADATA "\"metadata\":{\"m\":\"1\",\"n\":\"2\"},"
#define TIMES    "\"created_at\":1735689600000,\"updated_at\":1767225600000,"
#define ENABLED  "\"disabled_at\":0," SEALED
#define SEALED   "\"sealed\":\"\"}{"
#define SECRETS  "\"credentials\":{\"secret\":\"s\"},\"delivery_metadata\":{\"k\":\"v\"}}"

static void test_patch(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        bool touched;
        const char *result;
    } cases[] = {
        {"{}", false, HEAD TOPICS FILTER METADATA TIMES ENABLED CONFIG SECRETS},
        {"null", false, HEAD TOPICS FILTER METADATA TIMES ENABLED CONFIG SECRETS},
        {"{\"id\":\"other\",\"created_at\":\"x\",\"what\":1}", false,
         HEAD TOPICS FILTER METADATA TIMES ENABLED CONFIG SECRETS},
        {"{\"type\":\"webhook\"}", false, HEAD TOPICS FILTER METADATA TIMES ENABLED CONFIG SECRETS},
        {"{\"type\":\"\",\"topics\":null}", false,
         HEAD TOPICS FILTER METADATA TIMES ENABLED CONFIG SECRETS},
        {"{\"topics\":[\"c\",\"c\"]}", false,
         HEAD "\"topics\":[\"c\"]," FILTER METADATA TIMES ENABLED CONFIG SECRETS},
        {"{\"topics\":\"*\"}", false,
         HEAD "\"topics\":[\"*\"]," FILTER METADATA TIMES ENABLED CONFIG SECRETS},
        {"{\"filter\":null}", false, HEAD TOPICS METADATA TIMES ENABLED CONFIG SECRETS},
        {"{\"filter\":{}}", false, HEAD TOPICS METADATA TIMES ENABLED CONFIG SECRETS},
        {"{\"filter\":{\"topic\":\"a\"}}", false,
         HEAD TOPICS "\"filter\":{\"topic\":\"a\"}," METADATA TIMES ENABLED CONFIG SECRETS},
        {"{\"config\":{}}", true, HEAD TOPICS FILTER METADATA TIMES ENABLED CONFIG SECRETS},
        {"{\"config\":null}", true,
         HEAD TOPICS FILTER METADATA TIMES ENABLED "\"config\":{}," SECRETS},
        {"{\"config\":{\"x\":null,\"y\":5}}", true,
         HEAD TOPICS FILTER METADATA TIMES ENABLED
         "\"config\":{\"url\":\"u\",\"y\":\"5\"}," SECRETS},
        {"{\"metadata\":{\"m\":null}}", false,
         HEAD TOPICS FILTER "\"metadata\":{\"n\":\"2\"}," TIMES ENABLED CONFIG SECRETS},
        {"{\"metadata\":null}", false,
         HEAD TOPICS FILTER "\"metadata\":{}," TIMES ENABLED CONFIG SECRETS},
        {"{\"credentials\":{\"secret\":\"t\"}}", true,
         HEAD TOPICS FILTER METADATA TIMES ENABLED CONFIG
         "\"credentials\":{\"secret\":\"t\"},\"delivery_metadata\":{\"k\":\"v\"}}"},
        {"{\"credentials\":null,\"delivery_metadata\":{\"k\":\"w\",\"l\":true}}", true,
         HEAD TOPICS FILTER METADATA TIMES ENABLED CONFIG
         "\"credentials\":{},\"delivery_metadata\":{\"k\":\"w\",\"l\":\"true\"}}"},
        {"{\"disabled_at\":\"" DISABLED "\"}", false,
         HEAD TOPICS FILTER METADATA TIMES "\"disabled_at\":1748736000000," SEALED CONFIG SECRETS},
        {"{\"disabled_at\":null}", false, HEAD TOPICS FILTER METADATA TIMES ENABLED CONFIG SECRETS},
    };
    struct buf before;
    dump(&old, &before);
    for (size_t i = 0; i < LL_COUNT(cases); i++) {
        struct destination d;
        struct problem p;
        struct buf b;
        bool touched = !cases[i].touched;
        assert_int_equal(patch(&old, &d, cases[i].body, &touched, &p), 0);
        assert_int_equal(touched, cases[i].touched);
        dump(&d, &b);
        if (!str_eq(buf_str(&b), str_c(cases[i].result))) {
            fail_msg("%s: " STR_FMT, cases[i].body, STR_ARG(buf_str(&b)));
        }
        buf_fini(&b);
    }
    struct buf after;
    dump(&old, &after);
    assert_true(str_eq(buf_str(&before), buf_str(&after)));
    buf_fini(&before);
    buf_fini(&after);
}

static void test_problems(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        const char *message;
    } cases[] = {
        {"[]", "invalid JSON"},
        {"{\"type\":1}", "invalid JSON"},
        {"{\"config\":[]}", "invalid JSON"},
        {"{\"config\":\"x\"}", "invalid JSON"},
        {"{\"filter\":1}", "invalid JSON"},
        {"{\"disabled_at\":\"soon\"}",
         "disabled_at must be an RFC 3339 date, such as 2026-01-02T15:04:05Z"},
        {"{\"disabled_at\":true}", "invalid JSON"},
        {"{\"type\":\"kafka\"}", "type cannot be updated"},
        {"{\"topics\":\"x\"}", "validation failed: invalid topics format"},
        {"{\"topics\":[2]}", "validation failed: invalid topics format"},
        {"{\"topics\":[]}", "validation failed: invalid topics"},
        {"{\"topics\":[\"a*\"]}", "validation failed: invalid topics"},
        {"{\"topics\":[],\"type\":\"kafka\"}", "validation failed: invalid topics"},
        {"{\"disabled_at\":\"2026-01-01T00:00:00.001Z\"}", "disabled_at cannot be in the future"},
    };
    for (size_t i = 0; i < LL_COUNT(cases); i++) {
        struct destination d;
        struct problem p;
        bool touched = false;
        assert_int_equal(patch(&old, &d, cases[i].body, &touched, &p), 422);
        assert_string_equal(p.message, cases[i].message);
        assert_int_equal(p.n_items, 0);
    }
}

static void test_enable(void **state)
{
    (void)state;
    struct destination disabled = old;
    struct destination d;
    struct problem p;
    bool touched = false;
    disabled.disabled_ms = DISABLED_MS;
    assert_int_equal(patch(&disabled, &d, "{\"metadata\":{\"a\":\"b\"}}", &touched, &p), 0);
    assert_int_equal(d.disabled_ms, DISABLED_MS);
    assert_int_equal(patch(&disabled, &d, "{\"disabled_at\":null}", &touched, &p), 0);
    assert_int_equal(d.disabled_ms, 0);
    /* A stored time that lies in the future (a clock that stepped back) does not block a patch. */
    disabled.disabled_ms = NOW_MS + 5000;
    assert_int_equal(patch(&disabled, &d, "{\"metadata\":{}}", &touched, &p), 0);
    assert_int_equal(d.disabled_ms, NOW_MS + 5000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_patch, setup, teardown),
        cmocka_unit_test_setup_teardown(test_problems, setup, teardown),
        cmocka_unit_test_setup_teardown(test_enable, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
