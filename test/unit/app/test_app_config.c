/* SPDX-License-Identifier: Apache-2.0 */
/* The whole configuration: defaults, checks that involve several keys, the egress policy. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/app_config.h"
#include "app/load.h"
#include "longline/check.h"

#define TEXT_MAX (1u << 20)

static int group_setup(void **state)
{
    (void)state;
    app_config_setup();
    app_config_setup(); /* harmless */
    return 0;
}

static int load(struct config **out, const char *const *sets, size_t n, struct err_detail *err)
{
    const struct cfg_source src = {.sets = sets, .n_sets = n};
    void *cfg = NULL;
    *err = (struct err_detail){0};
    const int rc = cfg_load(&app_schema, &src, &cfg, err);
    *out = cfg;
    return rc;
}

static void test_defaults(void **state)
{
    (void)state;
    struct config *c = NULL;
    struct err_detail err;
    if (load(&c, NULL, 0, &err) != 0) {
        fail_msg("%s", err.msg);
    }
    assert_string_equal(c->server.listen, "127.0.0.1:3333"); /* not the world */
    assert_string_equal(c->auth.admin_key, "");
    assert_false(c->egress.allow_loopback || c->egress.allow_private || c->egress.allow_http);
    assert_false(c->webhook.success_below_400);
    assert_int_equal(c->webhook.secret_overlap_ms, INT64_C(24) * 3600 * 1000);
    assert_int_equal(c->delivery.retry_interval_ms, 30000);
    assert_int_equal(c->delivery.retry_limit, 10);
    assert_int_equal(c->api.max_destinations_per_tenant, 20);
    assert_int_equal(c->process.shutdown_timeout_ms, 25000);
    cfg_free(&app_schema, c);
}

static void test_checks(void **state)
{
    (void)state;
    static const struct {
        const char *sets[2];
        const char *msg; /* a part of it; NULL: good */
    } rows[] = {
        {{"server.listen=nonsense"}, "server.listen = nonsense is not an address and port"},
        {{"server.listen=127.0.0.1"}, "is not an address and port"},
        {{"server.listen=[::]:0"}, NULL},
        {{"server.tls_cert=a"}, "server.tls_cert and server.tls_key go together"},
        {{"server.tls_key=a"}, "server.tls_cert and server.tls_key go together"},
        {{"server.tls_key=a", "server.tls_cert=b"}, NULL},
        {{"auth.admin_key=0123456789abcde"}, "auth.admin_key: the admin key must have 16"},
        {{"auth.admin_key=0123456789abcdef"}, NULL},
        {{"auth.jwt_secret=short"}, "auth.jwt_secret: "},
        {{"auth.admin_key=spaces are not allowed"}, "visible ASCII"},
        {{"secrets.key=zz"}, "secrets.key: "},
        {{"delivery.retry_schedule=5s, never"}, "\"never\" is not a duration"},
        {{"delivery.retry_schedule=5s, 0"}, "\"0\" is not a duration"},
        {{"delivery.retry_schedule=5s, 5m"}, NULL},
        {{"delivery.initial_inflight=65"}, "delivery.initial_inflight is above"},
        {{"egress.allow=10.0.0.0/8, x"}, "egress.allow: \"x\" is not a network"},
        {{"egress.deny=10.0.0.1/8"}, "egress.deny: \"10.0.0.1/8\" is not a network"},
        {{"egress.ca_only=true"}, "egress.ca_only needs egress.ca_file"},
        {{"egress.ca_only=true", "egress.ca_file=x"}, NULL},
        {{"egress.dns_servers=127.0.0.1, [::1]:53,::1 , [::2], 10.0.0.1:5353"}, NULL},
        {{"egress.dns_servers=foo"}, "egress.dns_servers: \"foo\" is not an IP address"},
        {{"egress.dns_servers=127.0.0.1:99999"}, "egress.dns_servers: \"127.0.0.1:99999\""},
        {{"egress.dns_servers=127.0.0.1:0"}, "egress.dns_servers"},
        {{"egress.dns_servers=127.0.0.1,"}, "egress.dns_servers: \"\""},
        {{"secrets.old_keys=zz"}, "secrets.old_keys: "},
        {{"store.data_dir="}, "store.data_dir is empty"},
        {{"api.topics=a, order.created"}, NULL},
        {{"api.topics=*"}, "api.topics: \"*\" is not a topic"},
        {{"api.topics=a,*"}, "api.topics: \"*\" is not a topic"},
        {{"api.topics=order.*"}, "api.topics: \"order.*\" is a pattern"},
        {{"webhook.header_prefix=x acme-"}, "webhook.header_prefix holds characters"},
        {{"webhook.header_prefix=x-acme:"}, "webhook.header_prefix holds characters"},
        {{"webhook.header_prefix=X-Acme-"}, NULL},
        {{"webhook.header_prefix= "}, NULL}, /* none */
        {{"webhook.header_prefix=none", "webhook.mode=both"}, NULL},
        {{"webhook.header_prefix=webhook-"}, NULL},
        {{"webhook.header_prefix=webhook-", "webhook.mode=standard"}, NULL},
        {{"webhook.header_prefix=webhook-", "webhook.mode=both"}, "webhook-signature"},
        {{"webhook.header_prefix=WEBHOOK-", "webhook.mode=both"}, "webhook.mode = both"},
        {{"webhook.user_agent=a\x01"}, "webhook.user_agent"},
        {{"webhook.mode=both"}, NULL},
        {{"webhook.mode=neither"}, "webhook.mode"},
        {{"nothing.at_all=1"}, "nothing"},
    };
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        struct config *c = NULL;
        struct err_detail err;
        const size_t n = rows[i].sets[1] != NULL ? 2 : 1;
        const int rc = load(&c, rows[i].sets, n, &err);
        if ((rc == 0) != (rows[i].msg == NULL) ||
            (rc != 0 && strstr(err.msg, rows[i].msg) == NULL)) {
            fail_msg("%s: %d %s", rows[i].sets[0], rc, err.msg);
        }
        cfg_free(&app_schema, c);
    }
}

static void egress(const union addr *own, size_t n_own, const char *const *sets, size_t n_sets,
                   struct egress_policy *out)
{
    struct config *c = NULL;
    struct err_detail err;
    assert_int_equal(load(&c, sets, n_sets, &err), 0);
    assert_int_equal(egress_policy_init(out, &c->egress, own, n_own, &err), 0);
    cfg_free(&app_schema, c); /* the policy stands alone */
}

static int check_ip(const struct egress_policy *p, const char *text)
{
    union addr a;
    assert_int_equal(addr_parse(&a, str_c(text)), 0);
    return egress_check(p, &a, NULL);
}

static void test_egress_policy(void **state)
{
    (void)state;
    static const char *const some[] = {"egress.allow=10.1.0.0/16, fd00::/16",
                                       "egress.deny=93.184.216.0/24", "egress.allow_loopback=true"};
    struct egress_policy p;
    egress(NULL, 0, NULL, 0, &p);
    assert_false(p.allow_http);
    assert_int_equal(check_ip(&p, "127.0.0.1:80"), ERR_BLOCKED);
    assert_int_equal(check_ip(&p, "10.1.2.3:80"), ERR_BLOCKED);
    assert_int_equal(check_ip(&p, "93.184.216.34:443"), 0);
    egress_policy_fini(&p);
    egress_policy_fini(&p); /* as after a failure */
    egress(NULL, 0, some, 3, &p);
    assert_int_equal(check_ip(&p, "10.1.2.3:80"), 0);
    assert_int_equal(check_ip(&p, "10.2.2.3:80"), ERR_BLOCKED);
    assert_int_equal(check_ip(&p, "[fd00::1]:80"), 0);
    assert_int_equal(check_ip(&p, "93.184.216.34:443"), ERR_BLOCKED);
    assert_int_equal(check_ip(&p, "127.0.0.1:80"), 0);
    egress_policy_fini(&p);
    union addr own;
    assert_int_equal(addr_parse(&own, STR("127.0.0.1:3333")), 0);
    egress(&own, 1, some, 3, &p);
    addr_set_port(&own, 1); /* copied */
    assert_int_equal(check_ip(&p, "127.0.0.1:3333"), ERR_BLOCKED);
    assert_int_equal(check_ip(&p, "127.0.0.1:3334"), 0);
    egress_policy_fini(&p);
}

static void on_diff(void *ctx, const struct cfg_section *sec, const struct cfg_key *key)
{
    (void)ctx;
    fail_msg("%s.%s differs", sec->name, key->name);
}

/* Takes the '#' off the lines that hold keys. */
static void uncomment(const char *text, FILE *out)
{
    while (*text != '\0') {
        const size_t n = strcspn(text, "\n");
        const bool is_key = n > 1 && text[0] == '#' && text[1] != ' ' && text[1] != '\0';
        const size_t skip = is_key ? 1 : 0;
        assert_int_equal(fwrite(text + skip, 1, n - skip, out), n - skip);
        assert_int_equal(fputc('\n', out), '\n');
        text += n + (text[n] == '\n' ? 1 : 0);
    }
}

static struct config *load_file(const struct buf *text, bool uncommented)
{
    char path[] = "/tmp/ll-conf-XXXXXX";
    const int fd = mkstemp(path);
    assert_true(fd >= 0);
    FILE *f = fdopen(fd, "w");
    assert_non_null(f);
    if (uncommented) {
        uncomment(text->p, f);
    } else {
        assert_int_equal(fwrite(text->p, 1, text->n, f), text->n);
    }
    assert_int_equal(fclose(f), 0);
    const struct cfg_source src = {.file = path};
    struct err_detail err = {0};
    void *cfg = NULL;
    if (cfg_load(&app_schema, &src, &cfg, &err) != 0) {
        fail_msg("%s", err.msg);
    }
    assert_int_equal(unlink(path), 0);
    return cfg;
}

/* The reference file, as it is and with every key switched on, means the defaults. */
static void test_reference_is_the_defaults(void **state)
{
    (void)state;
    struct config *defaults = NULL;
    struct err_detail err;
    struct buf text;
    assert_int_equal(load(&defaults, NULL, 0, &err), 0);
    buf_init(&text, TEXT_MAX);
    assert_int_equal(cfg_write_reference(&app_schema, &text), 0);
    assert_int_equal(buf_add_c(&text, '\0'), 0);
    text.n--;
    for (int on = 0; on < 2; on++) {
        struct config *c = load_file(&text, on != 0);
        cfg_diff(&app_schema, defaults, c, on_diff, NULL);
        cfg_free(&app_schema, c);
    }
    for (size_t i = 0; i < app_schema.n_sections; i++) {
        const struct cfg_section *sec = &app_schema.sections[i];
        assert_true(sec->n_keys > 0);
        for (size_t k = 0; k < sec->n_keys; k++) {
            char line[128];
            (void)snprintf(line, sizeof(line), "\n#%s =", sec->keys[k].name);
            assert_non_null(strstr(text.p, line));
        }
    }
    buf_fini(&text);
    cfg_free(&app_schema, defaults);
}

/* conf/longline.conf is this text; when it is not, generate it again: check-config --reference. */
static void test_reference_file_is_fresh(void **state)
{
    (void)state;
    FILE *f = fopen("conf/longline.conf", "r");
    if (f == NULL) {
        fail_msg("conf/longline.conf is not in the working directory");
    }
    static char got[TEXT_MAX];
    struct buf text;
    buf_init(&text, TEXT_MAX);
    assert_int_equal(cfg_write_reference(&app_schema, &text), 0);
    const size_t n = fread(got, 1, sizeof(got), f);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(n, text.n);
    assert_memory_equal(got, text.p, n);
    buf_fini(&text);
}

static void test_values_hide_secrets(void **state)
{
    (void)state;
    static const char *const sets[] = {
        "auth.admin_key=very-secret-admin",
        "secrets.key=000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1dface",
        "auth.jwt_secret=very-secret-token", "log.level=debug"};
    struct config *c = NULL;
    struct err_detail err;
    struct buf text;
    assert_int_equal(load(&c, sets, 4, &err), 0);
    buf_init(&text, TEXT_MAX);
    assert_int_equal(cfg_write_values(&app_schema, c, &text), 0);
    assert_int_equal(buf_add_c(&text, '\0'), 0);
    assert_null(strstr(text.p, "very-secret"));
    assert_null(strstr(text.p, "1dface"));
    assert_non_null(strstr(text.p, "level = debug"));
    buf_fini(&text);
    cfg_free(&app_schema, c);
}

/* --dev allows what development needs; an explicit --set takes a part of it back. */
static void test_dev(void **state)
{
    (void)state;
    struct cli cli = {.dev = true};
    struct err_detail err = {0};
    struct config *c = NULL;
    assert_int_equal(load_config(&cli, &c, &err), 0);
    assert_true(c->egress.allow_loopback && c->egress.allow_http && !c->egress.allow_private);
    assert_true(c->auth.allow_short_keys);
    cfg_free(&app_schema, c);
    cli.sets[cli.n_sets++] = "egress.allow_http=false";
    assert_int_equal(load_config(&cli, &c, &err), 0);
    assert_true(c->egress.allow_loopback && !c->egress.allow_http);
    cfg_free(&app_schema, c);
    assert_int_equal(setenv("LONGLINE_EGRESS_ALLOW_PRIVATE", "true", 1), 0);
    assert_int_equal(load_config(&cli, &c, &err), 0);
    assert_true(c->egress.allow_private);
    cfg_free(&app_schema, c);
    assert_int_equal(unsetenv("LONGLINE_EGRESS_ALLOW_PRIVATE"), 0);
    cli.config_file = "/nonexistent/longline.conf";
    assert_int_not_equal(load_config(&cli, &c, &err), 0);
    assert_non_null(strstr(err.msg, "longline.conf"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_checks),
        cmocka_unit_test(test_egress_policy),
        cmocka_unit_test(test_reference_is_the_defaults),
        cmocka_unit_test(test_reference_file_is_fresh),
        cmocka_unit_test(test_values_hide_secrets),
        cmocka_unit_test(test_dev),
    };
    return cmocka_run_group_tests(tests, group_setup, NULL);
}
