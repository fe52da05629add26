/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "longline/check.h"
#include "schema.h"

static char path[] = "/tmp/longline-test-config-XXXXXX";

static int make_file(void **state)
{
    const int fd = mkstemp(path);
    (void)state;
    return fd >= 0 ? close(fd) : -1;
}

static int remove_file(void **state)
{
    (void)state;
    return unlink(path);
}

/* The configuration, or NULL with err filled; the path is cut off err.msg. */
static struct test_cfg *load_text(struct str text, struct err_detail *err)
{
    const struct cfg_source src = {.file = path};
    void *cfg = NULL;
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(text.p, 1, text.n, f), text.n);
    assert_int_equal(fclose(f), 0);
    *err = (struct err_detail){0};
    if (cfg_load(&test_schema, &src, &cfg, err) != 0) {
        if (strncmp(err->msg, path, strlen(path)) == 0) {
            memmove(err->msg, err->msg + strlen(path), strlen(err->msg + strlen(path)) + 1);
        }
        return NULL;
    }
    return cfg;
}

static void test_values(void **state)
{
    struct err_detail err;
    struct test_cfg *cfg = load_text(STR("\xef\xbb\xbf# comment\n"
                                         "; comment\n"
                                         "[server]\n"
                                         "port = 81\r\n"
                                         "listen: 0.0.0.0  ; all\n"
                                         "\n"
                                         "[auth]\n"
                                         "root_key=a;b#c \n"
                                         "keys =\n"
                                         "    one\n"
                                         "\ttwo, three,\n"
                                         "# between\n"
                                         "    four\n"
                                         "[server]\n"
                                         "mode = slow"),
                                     &err);
    (void)state;
    if (cfg == NULL) {
        fail_msg("%s", err.msg);
        return;
    }
    assert_int_equal(cfg->server.port, 81);
    assert_string_equal(cfg->server.listen, "0.0.0.0");
    assert_int_equal(cfg->server.mode, 2);
    assert_string_equal(cfg->auth.root_key, "a;b#c");
    assert_int_equal(cfg->auth.keys.n, 4);
    assert_string_equal(cfg->auth.keys.v[0], "one");
    assert_string_equal(cfg->auth.keys.v[1], "two");
    assert_string_equal(cfg->auth.keys.v[3], "four");
    cfg_free(&test_schema, cfg);

    cfg = load_text(STR(""), &err);
    assert_non_null(cfg);
    cfg_free(&test_schema, cfg);
}

static void test_errors(void **state)
{
    static const struct {
        const char *text;
        const char *error;
    } rows[] = {
        {"[server]\nprot = 1\n", ":2: unknown key \"prot\" in [server]; did you mean \"port\"?"},
        {"port = 1\n", ":1: a key stands before the first [section]"},
        {"\n\n[servr]\nport = 1\n", ":4: unknown section [servr]; did you mean [server]?"},
        {"[server]\nport = many\n", ":2: server.port: \"many\" is not a whole number"},
        {"[server]\n\n\nport = 0\nprot = 1\n", ":4: server.port: \"0\" is not between 1 and 65535"},
        {"[server]\nport = 1\nport = 2\n", ":3: server.port is set twice"},
        {"[server]\nport = 1\n[server]\nport = 1\n", ":4: server.port is set twice"},
        {"[server]\nport = 1\n  mode = fast\n", ":3: an indented line cannot continue server.port"},
        {"[auth]\nallow = a\n  b,,c\n", ":3: auth.allow: \"b,,c\" has an empty item"},
        {"[server]\nport\n", ":2: neither [section] nor key = value"},
        {"[server\nport = 1\n", ":1: neither [section] nor key = value"},
        {"[server]\n= 1\n", ":2: unknown key \"\" in [server]"},
        {"[server]\nport = 666\n", "server.port 666 needs server.compress"},
        {"[auth]\nkeys = secret,,\n", ":2: auth.keys: the value has an empty item"},
    };
    (void)state;
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        struct err_detail err;
        if (load_text(str_c(rows[i].text), &err) != NULL) {
            fail_msg("row %zu was accepted", i);
        }
        assert_string_equal(err.msg, rows[i].error);
    }
}

static void test_nul_byte(void **state)
{
    struct err_detail err;
    (void)state;
    assert_null(load_text(str_of("[server]\nport = 1\0002\n", 20), &err));
    assert_string_equal(err.msg, ":2: the line holds a NUL byte");
    assert_null(load_text(str_of("[server]\n\0", 10), &err));
    assert_string_equal(err.msg, ":2: the line holds a NUL byte");
}

/* A line of any length is either read whole or refused: never cut. */
static void test_long_lines(void **state)
{
    size_t longest = 0;
    bool refused = false;
    (void)state;
    for (size_t n = 1; n < 600; n++) {
        char text[700] = "[server]\nlisten=";
        const size_t head = strlen(text);
        struct err_detail err;
        struct test_cfg *cfg;
        memset(text + head, 'x', n);
        memcpy(text + head + n, "\nport=5\n", 9);
        cfg = load_text(str_c(text), &err);
        if (cfg == NULL) {
            refused = true;
            assert_int_equal(err.code, ERR_TOO_BIG);
            assert_memory_equal(err.msg, ":2: the line is longer than ", 28);
            continue;
        }
        assert_false(refused);
        longest = n;
        assert_int_equal(strlen(cfg->server.listen), n);
        assert_int_equal(cfg->server.port, 5);
        cfg_free(&test_schema, cfg);
    }
    assert_true(longest >= 150);
}

static void test_long_comments(void **state)
{
    (void)state;
    for (size_t n = 1; n < 600; n++) {
        char text[700] = "[server]\n  # ";
        const size_t head = strlen(text);
        struct err_detail err;
        struct test_cfg *cfg;
        memset(text + head, n % 2 == 0 ? 'x' : '=', n);
        memcpy(text + head + n, "\nport=5\n", 9);
        cfg = load_text(str_c(text), &err);
        if (cfg == NULL) {
            fail_msg("%zu: %s", n, err.msg);
            return;
        }
        assert_int_equal(cfg->server.port, 5);
        cfg_free(&test_schema, cfg);
    }
}

static void test_missing_file(void **state)
{
    struct err_detail err = {0};
    void *cfg = NULL;
    (void)state;
    assert_int_equal(
        cfg_load(&test_schema, &(struct cfg_source){.file = "/nonexistent/x.conf"}, &cfg, &err),
        ERR_NOT_FOUND);
    assert_string_equal(err.msg, "/nonexistent/x.conf: not found");
    assert_int_equal(cfg_load(&test_schema, &(struct cfg_source){.file = "/"}, &cfg, &err),
                     ERR_INVALID);
    assert_string_equal(err.msg, "/ is not a regular file");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values),        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_nul_byte),      cmocka_unit_test(test_long_lines),
        cmocka_unit_test(test_long_comments), cmocka_unit_test(test_missing_file),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
