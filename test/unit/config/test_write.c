/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "config/config_internal.h"
#include "longline/check.h"
#include "schema.h"

static const char reference_head[] =
    "# The configuration of Longline. Every key is here, commented out, with its default.\n";

static const char reference_tail[] =
    "# The HTTP server.\n"
    "[server]\n"
    "\n"
    "# Address to listen on.\n"
    "#listen = 127.0.0.1\n"
    "\n"
    "# Port to listen on. From 1 to 65535.\n"
    "#port = 8080\n"
    "\n"
    "# Largest request body; a longer sentence is here to see the line broken at a space before "
    "the\n"
    "# hundredth column. From 1KiB to 64MiB. Can change on reload.\n"
    "#max_body = 1MiB\n"
    "\n"
    "# Longest wait. From 0 up. Can change on reload.\n"
    "#timeout = 30s\n"
    "\n"
    "# Whether to compress.\n"
    "#compress = no\n"
    "\n"
    "# Name to show.\n"
    "#name =\n"
    "\n"
    "# How to go about it. One of: fast safe slow.\n"
    "#mode = safe\n"
    "\n"
    "# Who may call.\n"
    "[auth]\n"
    "\n"
    "# Key of the administrator. Secret.\n"
    "#root_key =\n"
    "\n"
    "# Further keys. Secret.\n"
    "#keys =\n"
    "\n"
    "# Networks. Can change on reload.\n"
    "#allow = 10.0.0.0/8, ::1\n";

static void *load_stream(const char *text)
{
    struct err_detail err = {0};
    void *cfg = NULL;
    FILE *f;
    assert_int_equal(cfg_load(&test_schema, &(struct cfg_source){0}, &cfg, &err), 0);
    f = fmemopen(NULL, strlen(text) + 1, "w+");
    assert_non_null(f);
    assert_int_equal(fwrite(text, 1, strlen(text), f), strlen(text));
    (void)fseek(f, 0, SEEK_SET);
    if (cfg_read_stream(&test_schema, cfg, f, "text", &err) != 0) {
        fail_msg("%s", err.msg);
    }
    (void)fclose(f);
    return cfg;
}

static void on_change(void *ctx, const struct cfg_section *sec, const struct cfg_key *key)
{
    (void)ctx;
    fail_msg("%s.%s differs", sec->name, key->name);
}

static void test_reference(void **state)
{
    struct buf out;
    void *defaults;
    void *cfg;
    (void)state;

    buf_init(&out, 1 << 16);
    assert_int_equal(cfg_write_reference(&test_schema, &out), 0);
    assert_true(str_starts(buf_str(&out), STR(reference_head)));
    if (!str_ends(buf_str(&out), STR(reference_tail))) {
        fail_msg(STR_FMT, STR_ARG(buf_str(&out)));
    }
    /* As it stands it changes nothing, and so with the comment signs of the keys taken away. */
    assert_int_equal(buf_add_c(&out, '\0'), 0);
    defaults = load_stream("");
    cfg = load_stream(out.p);
    cfg_diff(&test_schema, defaults, cfg, on_change, NULL);
    cfg_free(&test_schema, cfg);
    for (char *p = out.p; *p != '\0'; p++) {
        if (p[0] == '\n' && p[1] == '#' && p[2] != ' ') {
            p[1] = '\n';
        }
    }
    cfg = load_stream(out.p);
    cfg_diff(&test_schema, defaults, cfg, on_change, NULL);
    cfg_free(&test_schema, cfg);
    cfg_free(&test_schema, defaults);
    buf_fini(&out);

    buf_init(&out, 100);
    assert_int_equal(cfg_write_reference(&test_schema, &out), ERR_TOO_BIG);
    buf_fini(&out);
}

static void test_values(void **state)
{
    static const char text[] = "[server]\n"
                               "listen = ::\n"
                               "port = 9\n"
                               "max_body = 1025B\n"
                               "timeout = 90s\n"
                               "compress = true\n"
                               "name = none\n"
                               "mode = slow\n"
                               "\n"
                               "[auth]\n"
                               "root_key =\n"
                               "keys =\n"
                               "allow = a, b c\n";
    struct buf out;
    void *cfg = load_stream(text);
    (void)state;
    buf_init(&out, 1 << 16);
    assert_int_equal(cfg_write_values(&test_schema, cfg, &out), 0);
    assert_true(str_eq(buf_str(&out), STR(text)));
    cfg_free(&test_schema, cfg);
    buf_fini(&out);
}

static void test_secrets_stay(void **state)
{
    struct buf out;
    void *cfg = load_stream("[auth]\nroot_key = hunter2\nkeys = hunter3, hunter4\n");
    (void)state;
    buf_init(&out, 1 << 16);
    assert_int_equal(cfg_write_values(&test_schema, cfg, &out), 0);
    assert_int_equal(buf_add_c(&out, '\0'), 0);
    assert_null(strstr(out.p, "hunter"));
    assert_non_null(strstr(out.p, "root_key = ***\nkeys = ***\n"));
    cfg_free(&test_schema, cfg);
    buf_fini(&out);
}

static void test_numbers(void **state)
{
    static const struct {
        enum cfg_kind kind;
        int64_t v;
        const char *text;
    } rows[] = {
        {CFG_INT, -5, "-5"},
        {CFG_SIZE, 0, "0"},
        {CFG_SIZE, 1, "1B"},
        {CFG_SIZE, 1536, "1536B"},
        {CFG_SIZE, 3 << 20, "3MiB"},
        {CFG_SIZE, INT64_C(1) << 40, "1TiB"},
        {CFG_DURATION, 0, "0"},
        {CFG_DURATION, 1500, "1500ms"},
        {CFG_DURATION, 90000, "90s"},
        {CFG_DURATION, 5400000, "90m"},
        {CFG_DURATION, 172800000, "2d"},
    };
    (void)state;
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        struct buf b;
        buf_init(&b, 100);
        assert_int_equal(cfg_format_number(&b, rows[i].kind, rows[i].v), 0);
        assert_true(str_eq(buf_str(&b), str_c(rows[i].text)));
        buf_fini(&b);
    }
}

static void test_nearest(void **state)
{
    static const struct {
        const char *wanted;
        const char *offered;
        bool is_near;
    } rows[] = {
        {"port", "port", true},
        {"prot", "port", true},
        {"pot", "port", true},
        {"portt", "port", true},
        {"p", "port", false},
        {"abcd", "port", false},
        {"", "port", false},
        {"", "a", false},
        {"x", "a", false},
        {"max_retires", "max_retries", true},
        {"maxretries", "max_retries", true},
    };
    (void)state;
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        struct nearest n;
        nearest_init(&n, str_c(rows[i].wanted));
        assert_true(nearest_offer(&n, str_c(rows[i].offered)));
        if (n.is_close != rows[i].is_near) {
            fail_msg("%s, %s: %zu", rows[i].wanted, rows[i].offered, n.distance);
        }
    }
}

/* Slips come first, then words in common, then letters in common. */
static void test_best_of_several(void **state)
{
    static const char *const offered[] = {"LOG_LEVEL", "AUTH_ADMIN_KEY", "SECRETS_KEY",
                                          "STORE_DATA_DIR", "SERVER_LISTEN"};
    static const struct {
        const char *wanted, *best;
        bool is_close;
    } rows[] = {
        {"ADMIN_KEY", "AUTH_ADMIN_KEY", false}, {"SECRET_KEY", "SECRETS_KEY", true},
        {"DATA_DIR", "STORE_DATA_DIR", false},  {"LISTEN", "SERVER_LISTEN", false},
        {"LOGLEVEL", "LOG_LEVEL", true},
    };
    (void)state;
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        struct nearest n;
        nearest_init(&n, str_c(rows[i].wanted));
        assert_null(n.best.p);
        for (size_t k = 0; k < LL_COUNT(offered); k++) {
            (void)nearest_offer(&n, str_c(offered[k]));
        }
        assert_true(str_eq(n.best, str_c(rows[i].best)));
        assert_int_equal(n.is_close, rows[i].is_close);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference),    cmocka_unit_test(test_values),
        cmocka_unit_test(test_secrets_stay), cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_nearest),      cmocka_unit_test(test_best_of_several),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
