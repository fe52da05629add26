/* SPDX-License-Identifier: Apache-2.0 */
/* Writing a webhook destination: every rule of config and credentials, and the life of secrets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "longline/addr.h"
#include "longline/check.h"
#include "longline/dest.h"

#include "dest/webhook/webhook.h"

#define NOW_MS    INT64_C(1767225600000) /* 2026-01-01T00:00:00Z */
#define HOUR_MS   (INT64_C(3600) * 1000)
#define GOOD_URL  "\"url\":\"https://example.com/hook\""
#define TEXT_ROOM 4096

struct fx {
    struct arena arena;
    struct rng_seeded rng;
    struct webhook_cfg cfg;
    struct egress_policy policy;
    struct dest_env env;
    char prefix[8];
};

static int setup(void **state)
{
    static struct fx f;
    memset(&f, 0, sizeof(f));
    arena_init(&f.arena, 8u << 20);
    rng_seeded_init(&f.rng, 1);
    f.cfg = (struct webhook_cfg){
        .header_prefix = f.prefix, .secret_overlap_ms = 24 * HOUR_MS, .max_custom_headers = 3};
    f.env = (struct dest_env){.rng = &f.rng.rng, .webhook = &f.cfg, .policy = &f.policy};
    *state = &f;
    return 0;
}

static int teardown(void **state)
{
    struct fx *f = *state;
    arena_fini(&f->arena);
    return 0;
}

static yyjson_val *json(struct fx *f, const char *text)
{
    yyjson_doc *doc = json_parse(&f->arena, arena_str(&f->arena, str_c(text)), NULL);
    if (doc == NULL) {
        fail_msg("not JSON: %s", text);
    }
    return yyjson_doc_get_root(doc);
}

/* POST with these members of config and credentials. */
static void create(struct fx *f, struct destination *d, const char *config, const char *credentials,
                   bool is_admin, struct problem *p)
{
    char body[TEXT_ROOM];
    const struct model_caller caller = {.is_admin = is_admin, .now_ms = NOW_MS};
    (void)snprintf(body, sizeof(body),
                   "{\"type\":\"webhook\",\"topics\":\"*\",\"config\":{%s},\"credentials\":{%s}}",
                   config, credentials);
    *p = (struct problem){0};
    destination_parse_create(d, json(f, body), &caller, &f->arena, p);
    assert_int_equal(p->status, 0);
    struct dest_write w = {
        .dest = d, .is_admin = is_admin, .check = true, .now_ms = NOW_MS, .arena = &f->arena};
    dest_find(d->type)->prepare(&f->env, &w, p);
}

static void patch(struct fx *f, struct destination *d, const struct destination *old,
                  const char *body, bool is_admin, int64_t now_ms, struct problem *p)
{
    const struct model_caller caller = {.is_admin = is_admin, .now_ms = now_ms};
    bool touched = false;
    *p = (struct problem){0};
    destination_parse_patch(d, old, json(f, body), &caller, &touched, &f->arena, p);
    assert_int_equal(p->status, 0);
    struct dest_write w = {.dest = d,
                           .old = old,
                           .is_admin = is_admin,
                           .check = touched,
                           .now_ms = now_ms,
                           .arena = &f->arena};
    dest_find(d->type)->prepare(&f->env, &w, p);
}

/* The items, joined by '|'; "" when there is no problem. */
static void assert_items(const struct problem *p, const char *row, const char *expected)
{
    char got[TEXT_ROOM] = "";
    size_t n = 0;
    for (size_t i = 0; i < p->n_items; i++) {
        n += (size_t)snprintf(got + n, sizeof(got) - n, "%s" STR_FMT, i > 0 ? "|" : "",
                              STR_ARG(p->items[i]));
    }
    if (strcmp(got, expected) != 0) {
        fail_msg("%s: got \"%s\", expected \"%s\"", row, got, expected);
    }
    if ((p->status != 0) != (expected[0] != '\0')) {
        fail_msg("%s: status %d", row, p->status);
    }
}

static const char *cred(const struct destination *d, const char *key)
{
    static char text[4][2048];
    static unsigned turn;
    const struct str s = kv_get(&d->credentials, str_c(key));
    char *out = text[turn++ % 4];
    if (s.p == NULL) {
        return NULL;
    }
    (void)snprintf(out, sizeof(text[0]), STR_FMT, STR_ARG(s));
    return out;
}

static void test_create_rules(void **state)
{
    struct fx *f = *state;
    static const char long_secret[] = "\"secret\":\"%01025d\"";
    char too_long[1100];
    (void)snprintf(too_long, sizeof(too_long), long_secret, 7);
    const struct {
        const char *name, *config, *credentials;
        bool tenant;
        const char *items;
    } rows[] = {
        {"plain", GOOD_URL, "", false, ""},
        {"unknown config is kept", GOOD_URL ",\"x\":\"y\"", "", false, ""},
        {"no url", "", "", false, "config.url is required"},
        {"empty url", "\"url\":\"\"", "", false, "config.url is required"},
        {"secret", GOOD_URL, "\"secret\":\"abc\"", false, ""},
        {"secret by tenant", GOOD_URL, "\"secret\":\"abc\"", true,
         "credentials.secret is forbidden"},
        {"empty secret by tenant", GOOD_URL, "\"secret\":\"\"", true, ""},
        {"previous by tenant", GOOD_URL,
         "\"previous_secret\":\"a\",\"previous_secret_invalid_at\":\"2026-02-01T00:00:00Z\"", true,
         "credentials.previous_secret is forbidden|"
         "credentials.previous_secret_invalid_at is forbidden|credentials.secret is required"},
        {"all three", GOOD_URL,
         "\"secret\":\"s\",\"previous_secret\":\"a\","
         "\"previous_secret_invalid_at\":\"2026-02-01T00:00:00Z\"",
         false, ""},
        {"previous without end", GOOD_URL, "\"secret\":\"s\",\"previous_secret\":\"a\"", false,
         "credentials.previous_secret_invalid_at is required"},
        {"end without previous", GOOD_URL,
         "\"secret\":\"s\",\"previous_secret_invalid_at\":\"2026-02-01T00:00:00Z\"", false,
         "credentials.previous_secret is required"},
        {"previous without secret", GOOD_URL,
         "\"previous_secret\":\"a\",\"previous_secret_invalid_at\":\"2026-02-01T00:00:00Z\"", false,
         "credentials.secret is required"},
        {"end is no date", GOOD_URL,
         "\"secret\":\"s\",\"previous_secret\":\"a\",\"previous_secret_invalid_at\":\"soon\"",
         false, "credentials.previous_secret_invalid_at failed pattern validation"},
        {"rotate on create", GOOD_URL, "\"rotate_secret\":true", false,
         "credentials.rotate_secret failed invalid validation"},
        {"rotate on create by tenant", GOOD_URL, "\"rotate_secret\":\"true\"", true,
         "credentials.rotate_secret failed invalid validation"},
        {"do not rotate on create", GOOD_URL, "\"rotate_secret\":false", false, ""},
        {"do not rotate on create by tenant", GOOD_URL, "\"rotate_secret\":\"no\"", true, ""},
        {"null rotates nothing", GOOD_URL, "\"rotate_secret\":null", false, ""},
        {"secret too long", GOOD_URL, too_long, false,
         "credentials.secret must be at most 1024 characters"},
    };
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        struct destination d;
        struct problem p;
        create(f, &d, rows[i].config, rows[i].credentials, !rows[i].tenant, &p);
        assert_items(&p, rows[i].name, rows[i].items);
    }
}

static void test_url_rules(void **state)
{
    struct fx *f = *state;
    static const struct {
        const char *url;
        bool loopback, private_net, http;
        const char *starts; /* of the first item; NULL: accepted */
    } rows[] = {
        {"https://example.com/", false, false, false, NULL},
        {"https://example.com:8443/a?b=c", false, false, false, NULL},
        {"HTTPS://b\303\274cher.example/\303\251", false, false, false, NULL},
        {"https://example.com?b=c", false, false, false, NULL},
        {"https://\342\204\200.example/", true, true, true, "config.url failed pattern validation"},
        {"https://\357\274\221\357\274\222\357\274\227.0.0.1/", false, true, true,
         "config.url points to an address that is not allowed"},
        {"https://\357\274\221\357\274\222\357\274\227.0.0.1/", true, false, false, NULL},
        {"http://example.com/", false, false, true, NULL},
        {"http://example.com/", true, true, false, "config.url must use https"},
        {"ftp://example.com/", true, true, true, "config.url failed pattern validation"},
        {"https://exam ple.com/", true, true, true, "config.url failed pattern validation"},
        {"https://a:b@example.com/", true, true, true, "config.url failed pattern validation"},
        {"https://example.com/#x", true, true, true, "config.url failed pattern validation"},
        {"https:///x", true, true, true, "config.url failed pattern validation"},
        {"https://127.0.0.1/", false, true, true,
         "config.url points to an address that is not allowed"},
        {"https://127.0.0.1/", true, false, false, NULL},
        {"https://localhost/", false, true, true,
         "config.url points to an address that is not allowed"},
        {"https://[::1]/", false, true, true,
         "config.url points to an address that is not allowed"},
        {"https://10.1.2.3/", true, false, true,
         "config.url points to an address that is not allowed"},
        {"https://10.1.2.3/", false, true, false, NULL},
        {"https://169.254.169.254/", true, true, true,
         "config.url points to an address that is not allowed"},
        {"https://2130706433/", true, true, true,
         "config.url points to an address that is not allowed"},
        {"https://0x7f.1/", true, true, true,
         "config.url points to an address that is not allowed"},
    };
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        char config[256];
        struct destination d;
        struct problem p;
        f->policy = (struct egress_policy){.allow_loopback = rows[i].loopback,
                                           .allow_private = rows[i].private_net,
                                           .allow_http = rows[i].http};
        (void)snprintf(config, sizeof(config), "\"url\":\"%s\"", rows[i].url);
        create(f, &d, config, "", true, &p);
        if (rows[i].starts == NULL) {
            assert_items(&p, rows[i].url, "");
        } else if (p.n_items == 0 || !str_starts(p.items[0], str_c(rows[i].starts))) {
            fail_msg("%s: %zu items, first \"%.*s\"", rows[i].url, p.n_items,
                     p.n_items != 0 ? (int)p.items[0].n : 0, p.n_items != 0 ? p.items[0].p : "");
        }
    }
}

static void test_custom_headers(void **state)
{
    struct fx *f = *state;
    static const struct {
        const char *json, *items;
    } rows[] = {
        {"\"{}\"", ""},
        {"\"\"", ""},
        {"null", ""},
        {"\"{\\\"X-A\\\":\\\"1\\\",\\\"x_b\\\":\\\"2\\\"}\"", ""},
        {"{\"X-A\":\"1\",\"9\":\"2\"}", ""}, /* an object is taken as its text */
        {"\"{\"", "config.custom_headers failed invalid validation"},
        {"\"[]\"", "config.custom_headers failed invalid validation"},
        {"\"null\"", "config.custom_headers failed invalid validation"},
        {"{\"-a\":\"1\"}", "config.custom_headers failed pattern validation"},
        {"{\"\":\"1\"}", "config.custom_headers failed pattern validation"},
        {"{\"a b\":\"1\"}", "config.custom_headers failed pattern validation"},
        {"{\"a:b\":\"1\"}", "config.custom_headers failed pattern validation"},
        {"{\"A\":\"\"}", "config.custom_headers.A is required"},
        {"{\"A\":1}", "config.custom_headers.A failed type validation"},
        {"{\"A\":\"x\\r\\nB: 1\"}", "config.custom_headers.A failed pattern validation"},
        {"{\"Content-Type\":\"1\"}", "config.custom_headers.Content-Type is forbidden"},
        {"{\"content-length\":\"1\"}", "config.custom_headers.content-length is forbidden"},
        {"{\"HOST\":\"1\"}", "config.custom_headers.HOST is forbidden"},
        {"{\"connection\":\"1\"}", "config.custom_headers.connection is forbidden"},
        {"{\"user-agent\":\"1\"}", "config.custom_headers.user-agent is forbidden"},
        {"{\"transfer-encoding\":\"1\"}", "config.custom_headers.transfer-encoding is forbidden"},
        {"{\"proxy-connection\":\"1\"}", "config.custom_headers.proxy-connection is forbidden"},
        {"{\"te\":\"1\",\"A\":\"\"}",
         "config.custom_headers.te is forbidden|config.custom_headers.A is required"},
        {"{\"A\":\"1\",\"B\":\"1\",\"C\":\"1\"}", ""},
        {"{\"A\":\"1\",\"B\":\"1\",\"C\":\"1\",\"D\":\"1\"}",
         "config.custom_headers must be at most 3 headers"},
    };
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        char config[512];
        struct destination d;
        struct problem p;
        (void)snprintf(config, sizeof(config), GOOD_URL ",\"custom_headers\":%s", rows[i].json);
        create(f, &d, config, "", true, &p);
        assert_items(&p, rows[i].json, rows[i].items);
    }
}

static void test_secret_is_made(void **state)
{
    struct fx *f = *state;
    struct destination d;
    struct destination other;
    struct problem p;
    create(f, &d, GOOD_URL, "\"junk\":\"x\"", false, &p);
    assert_int_equal(p.status, 0);
    assert_int_equal(d.credentials.n, 1); /* unknown ones are dropped */
    const struct str secret = kv_get(&d.credentials, STR("secret"));
    assert_int_equal(secret.n, 6 + 64);
    assert_true(str_starts(secret, STR("whsec_")));
    create(f, &other, GOOD_URL, "", true, &p);
    assert_false(str_eq(secret, kv_get(&other.credentials, STR("secret"))));
    f->cfg.mode = WEBHOOK_MODE_STANDARD;
    create(f, &other, GOOD_URL, "", true, &p);
    assert_int_equal(kv_get(&other.credentials, STR("secret")).n, 6 + 44);
}

/* PATCHes of a destination that has only a secret, and of one in the middle of a rotation. */
static const char plain_old[] = "\"secret\":\"s1\"";
static const char rotating_old[] = "\"secret\":\"s2\",\"previous_secret\":\"s1\","
                                   "\"previous_secret_invalid_at\":\"2026-01-01T12:00:00Z\"";

struct patch_row {
    const char *name, *old, *credentials;
    bool tenant;
    const char *items;
    const char *secret, *previous, *until; /* afterwards; "*": any new text; NULL: absent */
};

static const struct patch_row patch_rows[] = {
    {"nothing", plain_old, "{}", true, "", "s1", NULL, NULL},
    {"echo", rotating_old,
     "{\"secret\":\"s2\",\"previous_secret\":\"s1\","
     "\"previous_secret_invalid_at\":\"2026-01-01T12:00:00Z\"}",
     true, "", "s2", "s1", "2026-01-01T12:00:00Z"},
    {"admin sets", plain_old, "{\"secret\":\"s9\"}", false, "", "s9", NULL, NULL},
    {"tenant sets", plain_old, "{\"secret\":\"s9\"}", true, "credentials.secret is forbidden", NULL,
     NULL, NULL},
    {"tenant empties", plain_old, "{\"secret\":\"\"}", true, "", "s1", NULL, NULL},
    {"tenant empties all", rotating_old,
     "{\"secret\":\"\",\"previous_secret\":\"\",\"previous_secret_invalid_at\":\"\"}", true, "",
     "s2", "s1", "2026-01-01T12:00:00Z"},
    {"admin empties", plain_old, "{\"secret\":\"\"}", false, "", "*", NULL, NULL},
    {"admin drops the secret", plain_old, "{\"secret\":null}", false, "", "*", NULL, NULL},
    {"admin empties with a previous one", rotating_old, "{\"secret\":\"\"}", false,
     "credentials.secret is required", NULL, NULL, NULL},
    {"admin drops the secret with a previous one", rotating_old, "{\"secret\":null}", false,
     "credentials.secret is required", NULL, NULL, NULL},
    {"tenant sets previous", plain_old, "{\"previous_secret\":\"x\"}", true,
     "credentials.previous_secret is forbidden", NULL, NULL, NULL},
    {"tenant moves the end", rotating_old,
     "{\"previous_secret_invalid_at\":\"2027-01-01T00:00:00Z\"}", true,
     "credentials.previous_secret_invalid_at is forbidden", NULL, NULL, NULL},
    {"admin moves the end", rotating_old,
     "{\"previous_secret_invalid_at\":\"2027-01-01T00:00:00Z\"}", false, "", "s2", "s1",
     "2027-01-01T00:00:00Z"},
    {"admin sets previous", plain_old, "{\"previous_secret\":\"s0\"}", false, "", "s1", "s0",
     "2026-01-02T00:00:00Z"},
    {"end without previous", plain_old, "{\"previous_secret_invalid_at\":\"2027-01-01T00:00:00Z\"}",
     false, "credentials.previous_secret is required", NULL, NULL, NULL},
    {"admin drops previous, not its end", rotating_old, "{\"previous_secret\":null}", false,
     "credentials.previous_secret is required", NULL, NULL, NULL},
    {"admin empties previous, not its end", rotating_old, "{\"previous_secret\":\"\"}", false,
     "credentials.previous_secret is required", NULL, NULL, NULL},
    {"admin drops previous and its end", rotating_old,
     "{\"previous_secret\":null,\"previous_secret_invalid_at\":null}", false, "", "s2", NULL, NULL},
    {"tenant drops previous", rotating_old, "{\"previous_secret\":null}", true, "", "s2", "s1",
     "2026-01-01T12:00:00Z"},
    {"admin drops all", rotating_old, "null", false, "", "*", NULL, NULL},
    {"tenant drops all", rotating_old, "null", true, "", "s2", "s1", "2026-01-01T12:00:00Z"},
    {"tenant drops the secret", plain_old, "{\"secret\":null}", true, "", "s1", NULL, NULL},
    {"rotate", plain_old, "{\"rotate_secret\":true}", false, "", "*", "s1", "2026-01-02T00:00:00Z"},
    {"rotate by tenant", plain_old, "{\"rotate_secret\":\"yes\"}", true, "", "*", "s1",
     "2026-01-02T00:00:00Z"},
    {"rotate with 1", plain_old, "{\"rotate_secret\":1}", true, "", "*", "s1",
     "2026-01-02T00:00:00Z"},
    {"rotate with on", plain_old, "{\"rotate_secret\":\"on\"}", true, "", "*", "s1",
     "2026-01-02T00:00:00Z"},
    {"do not rotate", plain_old, "{\"rotate_secret\":false}", true, "", "s1", NULL, NULL},
    {"rotate with an end", plain_old,
     "{\"rotate_secret\":true,\"previous_secret_invalid_at\":\"2026-03-01T00:00:00Z\"}", true, "",
     "*", "s1", "2026-03-01T00:00:00Z"},
    {"rotate with a bad end", plain_old,
     "{\"rotate_secret\":true,\"previous_secret_invalid_at\":\"x\"}", true,
     "credentials.previous_secret_invalid_at failed pattern validation", NULL, NULL, NULL},
    {"rotate again: a new overlap", rotating_old, "{\"rotate_secret\":true}", true, "", "*", "s2",
     "2026-01-02T00:00:00Z"},
    {"rotate again with an end", rotating_old,
     "{\"rotate_secret\":true,\"previous_secret_invalid_at\":\"2026-03-01T00:00:00Z\"}", false, "",
     "*", "s2", "2026-03-01T00:00:00Z"},
    {"rotate and set by tenant", plain_old, "{\"rotate_secret\":true,\"secret\":\"mine\"}", true,
     "credentials.secret is forbidden", NULL, NULL, NULL},
};

static void assert_cred(const struct patch_row *row, const struct destination *d, const char *key,
                        const char *expected)
{
    const char *got = cred(d, key);
    const bool same = expected == NULL || got == NULL ? expected == got
                      : expected[0] == '*' ? strncmp(got, "whsec_", 6) == 0 && strlen(got) == 70
                                           : strcmp(expected, got) == 0;
    if (!same) {
        fail_msg("%s: %s is \"%s\", expected \"%s\"", row->name, key, got != NULL ? got : "(none)",
                 expected != NULL ? expected : "(none)");
    }
}

static void test_patch_rules(void **state)
{
    struct fx *f = *state;
    for (size_t i = 0; i < LL_COUNT(patch_rows); i++) {
        const struct patch_row *row = &patch_rows[i];
        char body[512];
        struct destination old;
        struct destination d;
        struct problem p;
        create(f, &old, GOOD_URL, row->old, true, &p);
        assert_int_equal(p.status, 0);
        (void)snprintf(body, sizeof(body), "{\"credentials\":%s}", row->credentials);
        patch(f, &d, &old, body, !row->tenant, NOW_MS, &p);
        assert_items(&p, row->name, row->items);
        if (p.status != 0) {
            continue;
        }
        assert_cred(row, &d, "secret", row->secret);
        assert_cred(row, &d, "previous_secret", row->previous);
        assert_cred(row, &d, "previous_secret_invalid_at", row->until);
        assert_cred(row, &d, "rotate_secret", NULL);
    }
}

/* In the modes with Standard Webhooks signatures a new secret has its form; what is stored already
 * goes on working, and may be rotated away or be named as the previous one. */
static void test_standard_secrets(void **state)
{
    struct fx *f = *state;
#define GOOD_SECRET "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define BAD         "credentials.secret failed pattern validation"
    static const struct {
        const char *secret, *items;
    } rows[] = {
        {GOOD_SECRET, ""},   {"whsec_T2xkU2VjcmV0", ""}, {"whsec_AA==", ""},  {"abc", BAD},
        {"whsec_", BAD},     {"whsec_====", BAD},        {"whsec_AA=", BAD},  {"whsec_AAA", BAD},
        {"WHSEC_AAAA", BAD}, {"whsec_not base64!", BAD}, {"whsec_AB==", BAD}, {"AAAA", BAD},
        {"whsec_AA-_", BAD}, {" whsec_AAAA", BAD},
    };
    static const int modes[] = {WEBHOOK_MODE_STANDARD, WEBHOOK_MODE_BOTH};
    struct destination old;
    struct destination d;
    struct problem p;
    char text[256];
    for (size_t m = 0; m < LL_COUNT(modes); m++) {
        f->cfg.mode = WEBHOOK_MODE_DEFAULT;
        create(f, &old, GOOD_URL, plain_old, true, &p);
        f->cfg.mode = modes[m];
        for (size_t i = 0; i < LL_COUNT(rows); i++) {
            (void)snprintf(text, sizeof(text), "\"secret\":\"%s\"", rows[i].secret);
            create(f, &d, GOOD_URL, text, true, &p);
            assert_items(&p, rows[i].secret, rows[i].items);
            (void)snprintf(text, sizeof(text), "{\"credentials\":{\"secret\":\"%s\"}}",
                           rows[i].secret);
            patch(f, &d, &old, text, true, NOW_MS, &p);
            assert_items(&p, rows[i].secret, rows[i].items);
        }
        create(f, &d, GOOD_URL, "\"secret\":\"abc\"", false, &p);
        assert_items(&p, "a tenant's", "credentials.secret is forbidden");
        patch(f, &d, &old, "{\"credentials\":{\"previous_secret\":\"abc\"}}", true, NOW_MS, &p);
        assert_items(&p, "previous", "credentials.previous_secret failed pattern validation");
        patch(f, &d, &old, "{\"config\":{\"x\":\"y\"},\"credentials\":{\"secret\":\"s1\"}}", true,
              NOW_MS, &p);
        assert_items(&p, "stored", "");
        assert_string_equal(cred(&d, "secret"), "s1");
        patch(f, &d, &old,
              "{\"credentials\":{\"secret\":\"" GOOD_SECRET "\",\"previous_secret\":\"s1\"}}", true,
              NOW_MS, &p);
        assert_items(&p, "stored as the previous one", "");
        patch(f, &d, &old, "{\"credentials\":{\"rotate_secret\":true}}", true, NOW_MS, &p);
        assert_items(&p, "rotation", "");
        assert_string_equal(cred(&d, "previous_secret"), "s1");
        assert_true(sign_secret_is_standard(kv_get(&d.credentials, STR("secret"))));
    }
}

/* A change of something else neither checks the URL again nor touches the secrets. */
static void test_patch_of_other_fields(void **state)
{
    struct fx *f = *state;
    struct destination old;
    struct destination d;
    struct problem p;
    create(f, &old, GOOD_URL, rotating_old, true, &p);
    assert_int_equal(p.status, 0);
    f->policy.deny = &(struct cidr){.bits = 0};
    old.config.v[0].value = STR("http://10.0.0.1/"); /* accepted under an earlier policy */
    patch(f, &d, &old, "{\"topics\":[\"a\"]}", false, NOW_MS, &p);
    assert_items(&p, "topics", "");
    assert_string_equal(cred(&d, "secret"), "s2");
    assert_string_equal(cred(&d, "previous_secret"), "s1");
    patch(f, &d, &old, "{\"config\":{\"x\":\"y\"}}", false, NOW_MS, &p);
    assert_items(&p, "config", "config.url must use https (egress.allow_http permits http)");
}

static void test_overlap_is_configured(void **state)
{
    struct fx *f = *state;
    struct destination old;
    struct destination d;
    struct problem p;
    create(f, &old, GOOD_URL, plain_old, true, &p);
    f->cfg.secret_overlap_ms = HOUR_MS;
    patch(f, &d, &old, "{\"credentials\":{\"rotate_secret\":true}}", false, NOW_MS, &p);
    assert_string_equal(cred(&d, "previous_secret_invalid_at"), "2026-01-01T01:00:00Z");
}

static void test_show(void **state)
{
    struct fx *f = *state;
    const struct dest_driver *webhook = dest_find(STR("webhook"));
    struct destination d;
    struct problem p;
    struct kv_map shown;
    create(f, &d, GOOD_URL, rotating_old, true, &p);
    assert_int_equal(p.status, 0);
    webhook->show(&d, NOW_MS, &f->arena, &shown);
    assert_int_equal(shown.n, 3);
    assert_true(str_eq(kv_get(&shown, STR("secret")), STR("s2"))); /* never masked */
    webhook->show(&d, NOW_MS + 12 * HOUR_MS - 1, &f->arena, &shown);
    assert_int_equal(shown.n, 3);
    webhook->show(&d, NOW_MS + 12 * HOUR_MS, &f->arena, &shown);
    assert_int_equal(shown.n, 1);
    assert_true(str_eq(shown.v[0].key, STR("secret")));
    assert_int_equal(d.credentials.n, 3); /* hidden, still stored */
    create(f, &d, GOOD_URL, "", true, &p);
    webhook->show(&d, NOW_MS, &f->arena, &shown);
    assert_int_equal(shown.n, 1);
}

static void test_table(void **state)
{
    struct fx *f = *state;
    size_t n = 0;
    const struct dest_driver *const *all = dest_all(&n);
    assert_true(n >= 1);
    for (size_t i = 0; i < n; i++) {
        assert_ptr_equal(dest_find(str_c(all[i]->type)), all[i]);
        assert_true(yyjson_is_obj(json(f, all[i]->describe_json)));
    }
    assert_null(dest_find(STR("webhook2")));
    assert_null(dest_find(STR("")));
    struct str target;
    struct str url;
    struct destination d;
    struct problem p;
    create(f, &d, GOOD_URL, "", true, &p);
    all[0]->target(&d, &target, &url);
    assert_true(str_eq(target, STR("https://example.com/hook")));
    assert_null(url.p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_create_rules, setup, teardown),
        cmocka_unit_test_setup_teardown(test_url_rules, setup, teardown),
        cmocka_unit_test_setup_teardown(test_custom_headers, setup, teardown),
        cmocka_unit_test_setup_teardown(test_secret_is_made, setup, teardown),
        cmocka_unit_test_setup_teardown(test_patch_rules, setup, teardown),
        cmocka_unit_test_setup_teardown(test_standard_secrets, setup, teardown),
        cmocka_unit_test_setup_teardown(test_patch_of_other_fields, setup, teardown),
        cmocka_unit_test_setup_teardown(test_overlap_is_configured, setup, teardown),
        cmocka_unit_test_setup_teardown(test_show, setup, teardown),
        cmocka_unit_test_setup_teardown(test_table, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
