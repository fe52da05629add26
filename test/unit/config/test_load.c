/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "longline/check.h"
#include "schema.h"

static struct test_cfg *load(const struct cfg_source *src)
{
    void *cfg = NULL;
    struct err_detail err = {0};
    if (cfg_load(&test_schema, src, &cfg, &err) != 0) {
        fail_msg("%s", err.msg);
    }
    return cfg;
}

static void test_defaults(void **state)
{
    struct test_cfg *cfg = load(&(struct cfg_source){0});
    (void)state;
    assert_string_equal(cfg->server.listen, "127.0.0.1");
    assert_int_equal(cfg->server.port, 8080);
    assert_int_equal(cfg->server.max_body, 1 << 20);
    assert_int_equal(cfg->server.timeout, 30000);
    assert_false(cfg->server.compress);
    assert_int_equal(cfg->server.mode, 1);
    assert_string_equal(cfg->auth.root_key, "");
    assert_int_equal(cfg->auth.keys.n, 0);
    assert_int_equal(cfg->auth.allow.n, 2);
    assert_string_equal(cfg->auth.allow.v[0], "10.0.0.0/8");
    assert_string_equal(cfg->auth.allow.v[1], "::1");
    cfg_free(&test_schema, cfg);
    cfg_free(&test_schema, NULL);
}

struct row {
    const char *set;
    const char *error; /* NULL: accepted */
    int64_t value;
};

static void run_rows(const struct row *rows, size_t n, size_t offset)
{
    for (size_t i = 0; i < n; i++) {
        const struct cfg_source src = {.sets = &rows[i].set, .n_sets = 1};
        struct err_detail err = {0};
        void *cfg = NULL;
        const int rc = cfg_load(&test_schema, &src, &cfg, &err);
        if (rows[i].error != NULL) {
            if (rc >= 0 || cfg != NULL) {
                fail_msg("%s was accepted", rows[i].set);
            }
            assert_int_equal(err.code, rc);
            assert_string_equal(err.msg, rows[i].error);
            continue;
        }
        if (rc != 0) {
            fail_msg("%s: %s", rows[i].set, err.msg);
        }
        {
            const void *field = (const char *)cfg + offset;
            assert_int_equal(*(const int64_t *)field, rows[i].value);
        }
        cfg_free(&test_schema, cfg);
    }
}

static void test_numbers(void **state)
{
    static const struct row rows[] = {
        {"server.port=1", NULL, 1},
        {"server.port= 65535 ", NULL, 65535},
        {"server.port=0", "--set: server.port: \"0\" is not between 1 and 65535", 0},
        {"server.port=65536", "--set: server.port: \"65536\" is not between 1 and 65535", 0},
        {"server.port=-1", "--set: server.port: \"-1\" is not between 1 and 65535", 0},
        {"server.port=http", "--set: server.port: \"http\" is not a whole number", 0},
        {"server.port=1.5", "--set: server.port: \"1.5\" is not a whole number", 0},
        {"server.port=", "--set: server.port: \"\" is not a whole number", 0},
        {"server.port=99999999999999999999",
         "--set: server.port: \"99999999999999999999\" is out of range", 0},
        {"server.port=666", "server.port 666 needs server.compress", 0},
    };
    (void)state;
    run_rows(rows, LL_COUNT(rows), offsetof(struct test_cfg, server.port));
}

static void test_sizes(void **state)
{
    static const struct row rows[] = {
        {"server.max_body=1024", NULL, 1024},
        {"server.max_body=2048B", NULL, 2048},
        {"server.max_body=2KiB", NULL, 2048},
        {"server.max_body=2 kib", NULL, 2048},
        {"server.max_body=64MiB", NULL, 64 << 20},
        {"server.max_body=64MB",
         "--set: server.max_body: \"64MB\" is no size; did you mean MiB, a power of 1024?", 0},
        {"server.max_body=2 kb",
         "--set: server.max_body: \"2 kb\" is no size; did you mean KiB, a power of 1024?", 0},
        {"server.max_body=1GiB", "--set: server.max_body: \"1GiB\" is not between 1KiB and 64MiB",
         0},
        {"server.max_body=1TiB", "--set: server.max_body: \"1TiB\" is not between 1KiB and 64MiB",
         0},
        {"server.max_body=9999999999TiB",
         "--set: server.max_body: \"9999999999TiB\" is out of range", 0},
        {"server.max_body=10M",
         "--set: server.max_body: \"10M\" is not a size such as 64KiB or 10MiB", 0},
        {"server.max_body=MiB",
         "--set: server.max_body: \"MiB\" is not a size such as 64KiB or 10MiB", 0},
        {"server.max_body=10 Mi B",
         "--set: server.max_body: \"10 Mi B\" is not a size such as 64KiB or 10MiB", 0},
    };
    (void)state;
    run_rows(rows, LL_COUNT(rows), offsetof(struct test_cfg, server.max_body));
}

static void test_durations(void **state)
{
    static const struct row rows[] = {
        {"server.timeout=0", NULL, 0},
        {"server.timeout=250ms", NULL, 250},
        {"server.timeout=10s", NULL, 10000},
        {"server.timeout=2 m", NULL, 120000},
        {"server.timeout=1h", NULL, 3600000},
        {"server.timeout=7d", NULL, 604800000},
        {"server.timeout=30",
         "--set: server.timeout: \"30\" is not a duration such as 500ms, 10s or 7d", 0},
        {"server.timeout=1.5s",
         "--set: server.timeout: \"1.5s\" is not a duration such as 500ms, 10s or 7d", 0},
        {"server.timeout=1w",
         "--set: server.timeout: \"1w\" is not a duration such as 500ms, 10s or 7d", 0},
        {"server.timeout=999999999999999d",
         "--set: server.timeout: \"999999999999999d\" is out of range", 0},
    };
    (void)state;
    run_rows(rows, LL_COUNT(rows), offsetof(struct test_cfg, server.timeout));
}

static void test_words(void **state)
{
    static const struct {
        const char *sets[2];
        bool compress;
        int mode;
    } rows[] = {
        {{"server.compress=true", "server.mode=fast"}, true, 0},
        {{"server.compress=YES", "server.mode=slow"}, true, 2},
        {{"server.compress=on", "server.mode=safe"}, true, 1},
        {{"server.compress=1", "server.mode=safe"}, true, 1},
        {{"server.compress=Off", "server.mode=safe"}, false, 1},
    };
    static const struct row bad[] = {
        {"server.compress=maybe", "--set: server.compress: \"maybe\" is neither true nor false", 0},
        {"server.compress=", "--set: server.compress: \"\" is neither true nor false", 0},
        {"server.mode=quick", "--set: server.mode: \"quick\" is none of: fast safe slow", 0},
        {"server.mode=", "--set: server.mode: \"\" is none of: fast safe slow", 0},
        {"auth.allow=a,,b", "--set: auth.allow: \"a,,b\" has an empty item", 0},
        {"auth.allow=a,b,", "--set: auth.allow: \"a,b,\" has an empty item", 0},
        {"auth.keys=top-secret,", "--set: auth.keys: the value has an empty item", 0},
    };
    (void)state;
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        struct test_cfg *cfg = load(&(struct cfg_source){.sets = rows[i].sets, .n_sets = 2});
        assert_int_equal(cfg->server.compress, rows[i].compress);
        assert_int_equal(cfg->server.mode, rows[i].mode);
        cfg_free(&test_schema, cfg);
    }
    run_rows(bad, LL_COUNT(bad), 0);
}

static void test_names(void **state)
{
    static const struct row rows[] = {
        {"server.prot=1", "--set: unknown key \"prot\" in [server]; did you mean \"port\"?", 0},
        {"server.timeouts=1",
         "--set: unknown key \"timeouts\" in [server]; did you mean \"timeout\"?", 0},
        {"server.root_key=x", "--set: unknown key \"root_key\" in [server]; there is one in [auth]",
         0},
        {"server.something=1", "--set: unknown key \"something\" in [server]", 0},
        {"sever.port=1", "--set: unknown section [sever]; did you mean [server]?", 0},
        {"elsewhere.port=1", "--set: unknown section [elsewhere]", 0},
        {".port=1", "--set: a key stands before the first [section]", 0},
        {"server.=1", "--set: unknown key \"\" in [server]", 0},
        {"port=1", "--set: wants section.key=value", 0},
        {"server.port", "--set: wants section.key=value", 0},
        {"", "--set: wants section.key=value", 0},
    };
    (void)state;
    run_rows(rows, LL_COUNT(rows), 0);
}

static void test_environment(void **state)
{
    static char set[] = "LONGLINE_SERVER_MAX_BODY=2MiB";
    static char other[] = "PATH=/bin";
    static char list[] = "LONGLINE_AUTH_ALLOW= a , b ";
    static char odd[] = "LONGLINE_WITHOUT_VALUE";
    static char secret[] = "LONGLINE_AUTH_ROOT_KEY=a=b;c";
    static char *const env[] = {other, set, list, odd, secret, NULL};
    struct test_cfg *cfg = load(&(struct cfg_source){.env = env});
    (void)state;
    assert_int_equal(cfg->server.max_body, 2 << 20);
    assert_int_equal(cfg->auth.allow.n, 2);
    assert_string_equal(cfg->auth.allow.v[1], "b");
    assert_string_equal(cfg->auth.root_key, "a=b;c");
    cfg_free(&test_schema, cfg);
}

static void test_environment_errors(void **state)
{
    static const struct {
        const char *entry;
        const char *error;
    } rows[] = {
        {"LONGLINE_SERVER_PROT=1",
         "unknown environment variable LONGLINE_SERVER_PROT; did you mean LONGLINE_SERVER_PORT?"},
        {"LONGLINE_=1",
         "unknown environment variable LONGLINE_; the names are LONGLINE_<SECTION>_<KEY>"},
        {"LONGLINE_QUITE_ANOTHER_THING=1",
         "unknown environment variable LONGLINE_QUITE_ANOTHER_THING; the names are "
         "LONGLINE_<SECTION>_<KEY>"},
        {"LONGLINE_PORT_OF_IT=1",
         "unknown environment variable LONGLINE_PORT_OF_IT; the nearest is LONGLINE_SERVER_PORT"},
        {"LONGLINE_server_port=1",
         "unknown environment variable LONGLINE_server_port; did you mean LONGLINE_SERVER_PORT?"},
        {"LONGLINE_SERVER_PORT=x",
         "LONGLINE_SERVER_PORT: server.port: \"x\" is not a whole number"},
    };
    (void)state;
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        char entry[100];
        char *const env[] = {entry, NULL};
        struct err_detail err = {0};
        void *cfg = NULL;
        memcpy(entry, rows[i].entry, strlen(rows[i].entry) + 1);
        assert_true(cfg_load(&test_schema, &(struct cfg_source){.env = env}, &cfg, &err) < 0);
        assert_string_equal(err.msg, rows[i].error);
    }
}

/* What Kubernetes and Docker say about a service called longline. */
static void test_environment_of_services(void **state)
{
    static const char *const theirs[] = {
        "LONGLINE_SERVICE_HOST=10.0.0.1",
        "LONGLINE_SERVICE_PORT=3333",
        "LONGLINE_SERVICE_PORT_HTTP_API=3333",
        "LONGLINE_PORT=tcp://10.0.0.1:3333",
        "LONGLINE_PORT_3333_TCP=tcp://10.0.0.1:3333",
        "LONGLINE_PORT_3333_TCP_ADDR=10.0.0.1",
        "LONGLINE_PORT_3333_TCP_PORT=3333",
        "LONGLINE_PORT_3333_TCP_PROTO=tcp",
        "LONGLINE_PORT_53_UDP_ADDR=10.0.0.1",
        "LONGLINE_PORT_9_SCTP=sctp://10.0.0.1:9",
    };
    static const char *const unknown[] = {
        "LONGLINE_SERVICE=x",        "LONGLINE_SERVICE_HOSTS=x",  "LONGLINE_SERVICE_PORTS=x",
        "LONGLINE_PORTS=x",          "LONGLINE_PORT_=x",          "LONGLINE_PORT_TCP=x",
        "LONGLINE_PORT_3333=x",      "LONGLINE_PORT_3333_TCPX=x", "LONGLINE_PORT_33A_TCP=x",
        "LONGLINE_SERVICE_HOST_A=x",
    };
    (void)state;
    for (size_t i = 0; i < LL_COUNT(theirs) + LL_COUNT(unknown); i++) {
        const bool known = i < LL_COUNT(theirs);
        char entry[100];
        char *const env[] = {entry, NULL};
        struct err_detail err = {0};
        void *cfg = NULL;
        (void)snprintf(entry, sizeof(entry), "%s",
                       known ? theirs[i] : unknown[i - LL_COUNT(theirs)]);
        const int rc = cfg_load(&test_schema, &(struct cfg_source){.env = env}, &cfg, &err);
        if ((rc == 0) != known) {
            fail_msg("%s: %s", entry, rc == 0 ? "was accepted" : err.msg);
        }
        cfg_free(&test_schema, cfg);
    }
}

/* CFG_NONE: three values that are not the same. */
static void test_none(void **state)
{
    static const struct {
        const char *set;
        const char *value;
    } rows[] = {{"server.name=none", " "},   {"server.name= none ", " "}, {"server.name=  ", " "},
                {"server.name=", ""},        {"server.name= x ", "x"},    {"server.listen= ", ""},
                {"server.name=None", "None"}};
    (void)state;
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        struct test_cfg *cfg = load(&(struct cfg_source){.sets = &rows[i].set, .n_sets = 1});
        const bool is_listen = strncmp(rows[i].set, "server.listen", 13) == 0;
        assert_string_equal(is_listen ? cfg->server.listen : cfg->server.name, rows[i].value);
        cfg_free(&test_schema, cfg);
    }
}

static void test_order(void **state)
{
    static char env_port[] = "LONGLINE_SERVER_PORT=2000";
    static char *const env[] = {env_port, NULL};
    static const char *const sets[] = {"server.listen=a", "server.listen=b", "server.port=3000"};
    struct cfg_source src = {.env = env, .sets = sets, .n_sets = 2};
    struct test_cfg *cfg = load(&src);
    (void)state;
    assert_int_equal(cfg->server.port, 2000);
    assert_string_equal(cfg->server.listen, "b");
    cfg_free(&test_schema, cfg);
    src.n_sets = 3;
    cfg = load(&src);
    assert_int_equal(cfg->server.port, 3000);
    cfg_free(&test_schema, cfg);
}

/* The defaults take the same road as input. */
static void test_bad_default(void **state)
{
    const struct cfg_key key = {.name = "k", .kind = CFG_INT, .def = "x"};
    const struct cfg_section section = {.name = "s", .keys = &key, .n_keys = 1};
    const struct cfg_schema schema = {.sections = &section, .n_sections = 1, .size = 8};
    struct err_detail err = {0};
    void *cfg = NULL;
    (void)state;
    assert_true(cfg_load(&schema, &(struct cfg_source){0}, &cfg, &err) < 0);
    assert_string_equal(err.msg, "built-in default: s.k: \"x\" is not a whole number");
    assert_true(cfg_load(&schema, &(struct cfg_source){0}, &cfg, NULL) < 0);
}

struct changes {
    struct buf names;
    unsigned flags;
};

static void on_change(void *ctx, const struct cfg_section *sec, const struct cfg_key *key)
{
    struct changes *c = ctx;
    assert_int_equal(buf_printf(&c->names, "%s.%s ", sec->name, key->name), 0);
    c->flags |= key->flags;
}

static void test_diff(void **state)
{
    static const char *const sets[] = {
        "server.listen=::", "server.port=1",   "server.max_body=1MiB", "server.compress=1",
        "server.mode=fast", "auth.root_key=x", "auth.allow=::1"};
    struct test_cfg *a = load(&(struct cfg_source){0});
    struct test_cfg *b = load(&(struct cfg_source){.sets = sets, .n_sets = LL_COUNT(sets)});
    struct changes c = {.flags = 0};
    (void)state;
    buf_init(&c.names, 1000);
    cfg_diff(&test_schema, a, a, on_change, &c);
    assert_int_equal(c.names.n, 0);
    cfg_diff(&test_schema, a, b, on_change, &c);
    assert_true(str_eq(buf_str(&c.names), STR("server.listen server.port server.compress "
                                              "server.mode auth.root_key auth.allow ")));
    buf_fini(&c.names);
    assert_int_equal(c.flags, CFG_RELOAD | CFG_SECRET);
    cfg_free(&test_schema, a);
    cfg_free(&test_schema, b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_words),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_environment_errors),
        cmocka_unit_test(test_environment_of_services),
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_bad_default),
        cmocka_unit_test(test_diff),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
