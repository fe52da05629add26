/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of POST destinations and PUT tenants: what is accepted, and the exact messages. */
#include "fixture.h"

#include <stdio.h>

#include "longline/check.h"
#include "longline/model.h"

#define NOW_MS      INT64_C(1767225600000) /* 2026-01-01T00:00:00Z */
#define NO_DATE     " must be an RFC 3339 date, such as 2026-01-02T15:04:05Z"
#define ADMIN_DATES "403 created_at and updated_at can only be set with API key authentication"
#define BASE        "\"type\":\"webhook\",\"topics\":\"*\""

static const struct str listed[] = {
    {"order.created", 13}, {"order.updated", 13}, {"user.created", 12}};
static const struct topic_rules any_topic = {0};
static const struct topic_rules any_pattern = {.allow_wildcards = true};
static const struct topic_rules list_exact = {.topics = listed, .n_topics = 3};
static const struct topic_rules list_pattern = {
    .topics = listed, .n_topics = 3, .allow_wildcards = true};

static void create(struct destination *d, const char *body, const struct topic_rules *rules,
                   bool is_admin, struct problem *p)
{
    const struct model_caller caller = {.is_admin = is_admin, .now_ms = NOW_MS, .topics = rules};
    yyjson_doc *doc = json_parse(&arena, str_c(body), NULL);
    assert_non_null(doc);
    *p = (struct problem){0};
    destination_parse_create(d, yyjson_doc_get_root(doc), &caller, &arena, p);
}

/* "422 message: item, item" or "" */
static void show(const struct problem *p, char *out, size_t cap)
{
    out[0] = '\0';
    if (p->status == 0) {
        return;
    }
    size_t n = (size_t)snprintf(out, cap, "%d %s", p->status, p->message);
    for (size_t i = 0; i < p->n_items; i++) {
        n += (size_t)snprintf(out + n, cap - n, "%s" STR_FMT, i == 0 ? ": " : ", ",
                              STR_ARG(p->items[i]));
    }
}

static void test_problems(void **state)
{
    (void)state;
#define JSON    "422 invalid JSON"
#define FORMAT  "422 validation failed: invalid topics format"
#define MISSING "422 validation error: "
    static const struct {
        const char *body;
        const char *tenant; /* what a tenant gets */
        const char *admin;  /* NULL: the same */
    } cases[] = {
        {"{" BASE "}", "", NULL},
        {"{}", MISSING "type is required, topics is required", NULL},
        {"null", MISSING "type is required, topics is required", NULL},
        {"{\"topics\":\"*\"}", MISSING "type is required", NULL},
        {"{\"type\":\"webhook\"}", MISSING "topics is required", NULL},
        {"{\"type\":\"\",\"topics\":\"*\"}", MISSING "type is required", NULL},
        {"{\"type\":null,\"topics\":null}", MISSING "type is required, topics is required", NULL},
        {"[]", JSON, NULL},
        {"\"x\"", JSON, NULL},
        {"1", JSON, NULL},
        {"{\"type\":1,\"topics\":\"*\"}", JSON, NULL},
        {"{\"id\":1," BASE "}", JSON, NULL},
        {"{\"config\":[]," BASE "}", JSON, NULL},
        {"{\"credentials\":\"x\"," BASE "}", JSON, NULL},
        {"{\"metadata\":1," BASE "}", JSON, NULL},
        {"{\"delivery_metadata\":true," BASE "}", JSON, NULL},
        {"{\"filter\":[]," BASE "}", JSON, NULL},
        {"{\"filter\":\"x\"," BASE "}", JSON, NULL},
        {"{\"disabled_at\":1," BASE "}", JSON, NULL},
        {"{\"disabled_at\":\"yesterday\"," BASE "}", "422 disabled_at" NO_DATE, NULL},
        {"{\"created_at\":\"2025-13-01T00:00:00Z\"," BASE "}", "422 created_at" NO_DATE, NULL},
        {"{\"type\":\"webhook\",\"topics\":\"order.created\"}", FORMAT, NULL},
        {"{\"type\":\"webhook\",\"topics\":1}", FORMAT, NULL},
        {"{\"type\":\"webhook\",\"topics\":{}}", FORMAT, NULL},
        {"{\"type\":\"webhook\",\"topics\":[1]}", FORMAT, NULL},
        {"{\"type\":\"webhook\",\"topics\":[null]}", FORMAT, NULL},
        {"{\"topics\":\"x\"}", FORMAT, NULL},
        {"{\"type\":\"webhook\",\"topics\":[]}", "422 validation failed: invalid topics", NULL},
        {"{\"id\":\"a\\n\"," BASE "}", MISSING "id failed pattern validation", NULL},
        {"{\"id\":\"a\\u0000\"}",
         MISSING "id failed pattern validation, type is required, topics is required", NULL},
        {"{\"disabled_at\":\"2026-01-01T00:00:00Z\"," BASE "}", "", NULL},
        {"{\"disabled_at\":\"2026-01-01T00:00:01Z\"," BASE "}",
         "422 disabled_at cannot be in the future", NULL},
        {"{\"created_at\":\"2025-12-31T00:00:00Z\"," BASE "}", ADMIN_DATES, ""},
        {"{\"updated_at\":\"2025-12-31T00:00:00Z\"," BASE "}", ADMIN_DATES, ""},
        {"{\"created_at\":\"2027-01-01T00:00:00Z\"," BASE "}", ADMIN_DATES,
         "422 created_at cannot be in the future"},
        {"{\"updated_at\":\"2027-01-01T00:00:00Z\"," BASE "}", ADMIN_DATES,
         "422 updated_at cannot be in the future"},
        {"{\"created_at\":\"2027-01-01T00:00:00Z\",\"type\":\"webhook\",\"topics\":[]}",
         ADMIN_DATES, "422 created_at cannot be in the future"},
        {"{\"created_at\":\"yesterday\"," BASE "}", "422 created_at" NO_DATE, NULL},
        {"{\"updated_at\":\"2025-12-31t00:00:00Z\"," BASE "}", "422 updated_at" NO_DATE, NULL},
        {"{\"disabled_at\":\"2025-12-31T00:00:60Z\"," BASE "}", "422 disabled_at" NO_DATE, NULL},
        {"{\"disabled_at\":7," BASE "}", "422 invalid JSON", NULL},
        {"{\"created_at\":null,\"updated_at\":null,\"disabled_at\":null,\"id\":null,"
         "\"filter\":null,\"config\":null,\"credentials\":null,\"metadata\":null," BASE "}",
         "", NULL},
        {"{\"unknown\":[1]," BASE "}", "", NULL},
    };
    for (size_t i = 0; i < LL_COUNT(cases); i++) {
        struct destination d;
        struct problem p;
        char text[512];
        create(&d, cases[i].body, &any_topic, false, &p);
        show(&p, text, sizeof(text));
        if (strcmp(text, cases[i].tenant) != 0) {
            fail_msg("%s as tenant: '%s'", cases[i].body, text);
        }
        create(&d, cases[i].body, &any_topic, true, &p);
        show(&p, text, sizeof(text));
        if (strcmp(text, cases[i].admin != NULL ? cases[i].admin : cases[i].tenant) != 0) {
            fail_msg("%s as admin: '%s'", cases[i].body, text);
        }
    }
}

static void test_topics(void **state)
{
    (void)state;
    static const struct {
        const char *topics;
        const struct topic_rules *rules;
        const char *result; /* NULL: invalid topics */
    } cases[] = {
        {"\"*\"", &any_topic, "*"},
        {"[\"*\"]", &any_topic, "*"},
        {"\"*\"", &list_exact, "*"},
        {"[\"*\"]", &list_exact, "*"},
        {"[\"a\"]", &any_topic, "a"},
        {"[\"a,b\"]", &any_topic, "a,b"},
        {"[\"b\",\"a\",\"b\"]", &any_topic, "b a"},
        {"[\"\"]", &any_topic, NULL},
        {"[\"a\\n\"]", &any_topic, NULL},
        {"[\"a*\"]", &any_topic, NULL},
        {"[\"*\",\"a\"]", &any_topic, NULL},
        {"[\"a*\"]", &any_pattern, "a*"},
        {"[\"*\",\"a\"]", &any_pattern, "*"},
        {"[\"user.*\",\"user.created\"]", &any_pattern, "user.*"},
        {"[\"order.created\"]", &list_exact, "order.created"},
        {"[\"order.deleted\"]", &list_exact, NULL},
        {"[\"order.created\",\"x\"]", &list_exact, NULL},
        {"[\"order.*\"]", &list_exact, NULL},
        {"[\"*\",\"order.created\"]", &list_exact, NULL},
        {"[\"order.*\"]", &list_pattern, "order.*"},
        {"[\"order.*\",\"order.created\",\"user.created\"]", &list_pattern, "order.* user.created"},
        {"[\"billing.*\"]", &list_pattern, NULL},
        {"[\"*\",\"order.created\"]", &list_pattern, NULL},
        {"[\"*.created\"]", &list_pattern, "*.created"},
        {"\"*\"", NULL, "*"},
        {"[\"x\"]", NULL, "x"},
    };
    for (size_t i = 0; i < LL_COUNT(cases); i++) {
        struct destination d;
        struct problem p;
        char body[256];
        char text[256] = "";
        size_t n = 0;
        (void)snprintf(body, sizeof(body), "{\"type\":\"webhook\",\"topics\":%s}", cases[i].topics);
        create(&d, body, cases[i].rules, false, &p);
        if (cases[i].result == NULL) {
            assert_int_equal(p.status, 422);
            assert_string_equal(p.message, "validation failed: invalid topics");
            assert_int_equal(p.n_items, 0);
            continue;
        }
        assert_int_equal(p.status, 0);
        for (size_t k = 0; k < d.n_topics; k++) {
            n += (size_t)snprintf(text + n, sizeof(text) - n, "%s" STR_FMT, k > 0 ? " " : "",
                                  STR_ARG(d.topics[k]));
        }
        assert_string_equal(text, cases[i].result);
    }
}

static void test_topic_limits(void **state)
{
    (void)state;
    struct destination d;
    struct problem p;
    struct buf b;
    for (int n = MODEL_MAX_TOPICS; n <= MODEL_MAX_TOPICS + 1; n++) {
        buf_init(&b, 65536);
        buf_add_lit(&b, "{\"type\":\"webhook\",\"topics\":[");
        for (int i = 0; i < n; i++) {
            buf_printf(&b, "%s\"t%d\"", i > 0 ? "," : "", i);
        }
        buf_add(&b, "]}", 3);
        create(&d, b.p, &any_topic, false, &p);
        assert_int_equal(p.status, n > MODEL_MAX_TOPICS ? 422 : 0);
        buf_fini(&b);
    }
    for (int n = MODEL_MAX_TOPIC; n <= MODEL_MAX_TOPIC + 1; n++) {
        buf_init(&b, 65536);
        buf_printf(&b, "{\"type\":\"webhook\",\"topics\":[\"%0*d\"]}", n, 0);
        buf_add_c(&b, '\0');
        create(&d, b.p, &any_topic, false, &p);
        assert_int_equal(p.status, n > MODEL_MAX_TOPIC ? 422 : 0);
        buf_fini(&b);
    }
}

static void test_values(void **state)
{
    (void)state;
    struct destination d;
    struct problem p;
    create(&d,
           "{\"id\":\"d1\",\"type\":\"webhook\",\"topics\":[\"a\",\"b\"],"
           "\"filter\":{\"data\": {\"n\": {\"$gt\": 1.50}}},"
           "\"config\":{\"url\":\"https://example.com\",\"custom_headers\":{\"x\":\"y\"}},"
           "\"credentials\":{\"secret\":\"s\"},\"delivery_metadata\":{\"n\":1000000},"
           "\"metadata\":{\"b\":true},\"created_at\":\"2025-01-01T00:00:00.1239Z\","
           "\"disabled_at\":\"2025-06-01T02:00:00+02:00\"}",
           &any_topic, true, &p);
    assert_int_equal(p.status, 0);
    assert_true(str_eq(d.id, STR("d1")));
    assert_true(str_eq(d.type, STR("webhook")));
    assert_int_equal(d.n_topics, 2);
    assert_true(str_eq(d.filter, STR("{\"data\":{\"n\":{\"$gt\":1.5}}}")));
    assert_true(str_eq(kv_get(&d.config, STR("url")), STR("https://example.com")));
    assert_true(str_eq(kv_get(&d.config, STR("custom_headers")), STR("{\"x\":\"y\"}")));
    assert_true(str_eq(kv_get(&d.credentials, STR("secret")), STR("s")));
    assert_true(str_eq(kv_get(&d.delivery_metadata, STR("n")), STR("1e+06")));
    assert_true(str_eq(kv_get(&d.metadata, STR("b")), STR("true")));
    assert_int_equal(d.created_ms, INT64_C(1735689600123));
    assert_int_equal(d.updated_ms, INT64_C(1735689600123)); /* follows created_at */
    assert_int_equal(d.disabled_ms, INT64_C(1748736000000));

    create(&d, "{" BASE ",\"filter\":{},\"id\":\"\"}", &any_topic, false, &p);
    assert_int_equal(p.status, 0);
    assert_int_equal(d.id.n, 0);
    assert_int_equal(d.filter.n, 0);
    assert_int_equal(d.created_ms, NOW_MS);
    assert_int_equal(d.updated_ms, NOW_MS);
    assert_int_equal(d.disabled_ms, 0);
    assert_int_equal(d.config.n, 0);

    /* Of a member that stands twice the last one counts. */
    create(&d, "{" BASE ",\"type\":\"other\"}", &any_topic, false, &p);
    assert_true(str_eq(d.type, STR("other")));

    /* The epoch itself is still a time. */
    create(&d, "{" BASE ",\"disabled_at\":\"1970-01-01T00:00:00Z\"}", &any_topic, false, &p);
    assert_int_equal(p.status, 0);
    assert_true(d.disabled_ms != 0);
}

/* However small the arena, the answer is a problem or a destination, never a crash. */
static void test_no_memory(void **state)
{
    (void)state;
    yyjson_doc *doc = json_parse(
        &arena,
        STR("{\"id\":\"d1\",\"type\":\"webhook\",\"topics\":[\"a\",\"b\"],\"filter\":{\"a\":1},"
            "\"config\":{\"url\":\"x\"},\"metadata\":{\"a\":{\"b\":1}}}"),
        NULL);
    assert_non_null(doc);
    const struct model_caller caller = {.is_admin = true, .now_ms = NOW_MS, .topics = &any_topic};
    int n_failed = 0;
    for (size_t max = 0; max < 20000; max += 500) {
        struct arena small;
        struct destination d;
        struct problem p = {0};
        arena_init(&small, max);
        destination_parse_create(&d, yyjson_doc_get_root(doc), &caller, &small, &p);
        if (p.status != 0) {
            assert_int_equal(p.status, 413);
            n_failed++;
        }
        arena_fini(&small);
    }
    assert_true(n_failed > 0 && n_failed < 40);
}

static void test_tenant(void **state)
{
    (void)state;
    static const struct {
        const char *body; /* NULL: no body */
        int status;
        size_t n;
    } cases[] = {
        {NULL, 0, 0},
        {"{}", 0, 0},
        {"null", 0, 0},
        {"{\"metadata\":null}", 0, 0},
        {"{\"metadata\":{}}", 0, 0},
        {"{\"metadata\":{\"a\":\"b\",\"c\":1}}", 0, 2},
        {"{\"other\":1}", 0, 0},
        {"[]", 422, 0},
        {"\"x\"", 422, 0},
        {"{\"metadata\":[]}", 422, 0},
        {"{\"metadata\":\"x\"}", 422, 0},
    };
    for (size_t i = 0; i < LL_COUNT(cases); i++) {
        struct tenant t = {.id = STR("acme")};
        struct problem p = {0};
        yyjson_val *v = NULL;
        if (cases[i].body != NULL) {
            v = yyjson_doc_get_root(json_parse(&arena, str_c(cases[i].body), NULL));
            assert_non_null(v);
        }
        tenant_parse(&t, v, &arena, &p);
        assert_int_equal(p.status, cases[i].status);
        assert_int_equal(t.metadata.n, cases[i].n);
        if (p.status != 0) {
            assert_string_equal(p.message, "invalid JSON");
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_problems, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(test_topics, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(test_topic_limits, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(test_values, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(test_no_memory, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(test_tenant, fx_setup, fx_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
