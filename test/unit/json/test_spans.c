/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "longline/check.h"
#include "longline/json.h"
#include "longline/mem.h"

static void test_members(void **state)
{
    static const struct {
        const char *name;
        const char *text;
        int rc;
        const char *data; /* NULL: absent */
        const char *id;
    } rows[] = {
        {"empty object", "{}", 0, NULL, NULL},
        {"spaced empty object", " \n{ \t} ", 0, NULL, NULL},
        {"object", "{\"data\":{\"a\":[1,\"}\"]},\"id\":\"x\"}", 0, "{\"a\":[1,\"}\"]}", "\"x\""},
        {"white space", "{ \"data\" : { \"a\" : 1 } , \"id\" : 7 }", 0, "{ \"a\" : 1 }", "7"},
        {"number at end", "{\"id\":-1.5e3}", 0, NULL, "-1.5e3"},
        {"literals", "{\"data\":true,\"id\":null}", 0, "true", "null"},
        {"array", "{\"data\":[[],[[]]]}", 0, "[[],[[]]]", NULL},
        {"escaped quotes", "{\"data\":\"a\\\"b\\\\\",\"id\":\"\\\\\\\"\"}", 0, "\"a\\\"b\\\\\"",
         "\"\\\\\\\"\""},
        {"brackets in strings", "{\"x\":\"}]{[\",\"data\":\"]\",\"id\":\"{\"}", 0, "\"]\"",
         "\"{\""},
        {"nested namesakes", "{\"x\":{\"data\":1,\"id\":2},\"data\":3}", 0, "3", NULL},
        {"name as value", "{\"x\":\"data\",\"id\":\"data\"}", 0, NULL, "\"data\""},
        {"escaped key", "{\"d\\u0061t\\u0061\":1,\"\\u0069\\u0064\":2}", 0, "1", "2"},
        {"escaped key, upper-case hex", "{\"\\u006a\":0,\"\\u0064\\u0061ta\":1}", 0, "1", NULL},
        {"longer key", "{\"data2\":1,\"dat\":2,\"ids\":3,\"\\u0064atas\":4}", 0, NULL, NULL},
        {"escapes that are not it", "{\"da\\ta\":1,\"\\u0164ata\":2,\"\\ud83dd\":3}", 0, NULL,
         NULL},
        {"empty key", "{\"\":1}", 0, NULL, NULL},
        {"long strings", "{\"data\":\"0123456789abcdefghijklmnopqrstuvwxyz\\\"0123456789\"}", 0,
         "\"0123456789abcdefghijklmnopqrstuvwxyz\\\"0123456789\"", NULL},
        {"twice", "{\"data\":1,\"data\":2}", ERR_EXISTS, NULL, NULL},
        {"twice, once escaped", "{\"data\":1,\"d\\u0061ta\":2}", ERR_EXISTS, NULL, NULL},
        {"others twice", "{\"x\":1,\"x\":2}", 0, NULL, NULL},
        {"array at top", "[]", ERR_INVALID, NULL, NULL},
        {"string at top", "\"data\"", ERR_INVALID, NULL, NULL},
        {"nothing", "", ERR_INVALID, NULL, NULL},
        {"space", "  ", ERR_INVALID, NULL, NULL},
        {"cut in key", "{\"da", ERR_INVALID, NULL, NULL},
        {"cut behind key", "{\"data\"", ERR_INVALID, NULL, NULL},
        {"cut behind colon", "{\"data\":", ERR_INVALID, NULL, NULL},
        {"cut in string", "{\"data\":\"x\\", ERR_INVALID, NULL, NULL},
        {"cut in escape", "{\"data\":\"x\\\"", ERR_INVALID, NULL, NULL},
        {"cut in container", "{\"data\":[1", ERR_INVALID, NULL, NULL},
        {"cut behind value", "{\"data\":1", ERR_INVALID, NULL, NULL},
    };
    static const struct str names[2] = {{"data", 4}, {"id", 2}};
    (void)state;

    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        /* A heap copy of exactly the size lets the sanitizer see a read past the end. */
        const size_t n = strlen(rows[i].text);
        char *copy = mem_alloc(n);
        struct str out[2];
        int rc;
        memcpy(copy, rows[i].text, n);
        rc = json_spans(str_of(copy, n), names, out, 2);
        if (rc != rows[i].rc) {
            fail_msg("%s: %d", rows[i].name, rc);
        }
        if (rc == 0 &&
            (!str_eq(out[0], str_c(rows[i].data)) || !str_eq(out[1], str_c(rows[i].id)) ||
             (out[0].p == NULL) != (rows[i].data == NULL) ||
             (out[1].p == NULL) != (rows[i].id == NULL))) {
            fail_msg("%s: \"" STR_FMT "\", \"" STR_FMT "\"", rows[i].name, STR_ARG(out[0]),
                     STR_ARG(out[1]));
        }
        mem_free(copy);
    }
}

/* Quotes and backslashes at every distance from the eight-byte steps. */
static void test_string_positions(void **state)
{
    static const struct str names[1] = {{"d", 1}};
    (void)state;
    for (size_t before = 0; before < 20; before++) {
        for (size_t after = 0; after < 20; after++) {
            struct buf b;
            struct str out;
            buf_init(&b, 200);
            (void)buf_add_lit(&b, "{\"d\":\"");
            (void)buf_printf(&b, "%.*s", (int)before, "xxxxxxxxxxxxxxxxxxxx");
            (void)buf_add_lit(&b, "\\\\\\\"");
            (void)buf_printf(&b, "%.*s", (int)after, "yyyyyyyyyyyyyyyyyyyy");
            (void)buf_add_lit(&b, "\",\"e\":0}");
            assert_int_equal(json_spans(buf_str(&b), names, &out, 1), 0);
            assert_ptr_equal(out.p, b.p + 5);
            assert_int_equal(out.n, before + after + 6);
            buf_fini(&b);
        }
    }
}

static void test_no_names(void **state)
{
    (void)state;
    assert_int_equal(json_spans(STR("{\"a\":1}"), NULL, NULL, 0), 0);
    assert_int_equal(json_spans(STR("[]"), NULL, NULL, 0), ERR_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_members),
        cmocka_unit_test(test_string_positions),
        cmocka_unit_test(test_no_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
