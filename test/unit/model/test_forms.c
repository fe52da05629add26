/* SPDX-License-Identifier: Apache-2.0 */
/* The API's form, the stored form and the registry's copies. */
#include "fixture.h"

#include "longline/check.h"
#include "longline/mem.h"
#include "longline/model.h"

#define CREATED_MS INT64_C(1767225600000) /* 2026-01-01T00:00:00Z */

static struct kv some[] = {{{"url", 3}, {"https://example.com/hook", 24}}};
static struct kv secret[] = {{{"secret", 6}, {"whsec_x", 7}}};
static struct kv extra[] = {{{"a", 1}, {"", 0}}, {{"\"", 1}, {"\n", 1}}};
static struct str all[] = {{"*", 1}};
static struct str two[] = {{"order.created", 13}, {"user.*", 6}};

static struct destination small(void)
{
    return (struct destination){
        .num = 1,
        .id = STR("d1"),
        .tenant_id = STR("acme"),
        .type = STR("webhook"),
        .n_topics = 1,
        .topics = all,
        .config = {1, some},
        .credentials = {1, secret},
        .created_ms = CREATED_MS,
        .updated_ms = CREATED_MS,
    };
}

static struct destination full(void)
{
    struct destination d = small();
    d.num = UINT32_MAX;
    d.n_topics = 2;
    d.topics = two;
    d.filter = STR("{\"data\":{\"n\":1.50}}");
    d.delivery_metadata = (struct kv_map){1, some};
    d.metadata = (struct kv_map){2, extra};
    d.updated_ms = CREATED_MS + 250;
    d.disabled_ms = CREATED_MS + 1000;
    return d;
}

static void assert_text(struct buf *b, const char *expected)
{
    assert_false(b->failed);
    if (!str_eq(buf_str(b), str_c(expected))) {
        fail_msg(STR_FMT, STR_ARG(buf_str(b)));
    }
    buf_fini(b);
}

static void start(struct jw *w, struct buf *b)
{
    buf_init(b, 65536);
    jw_init(w, b);
}

static void test_write_destination(void **state)
{
    (void)state;
    struct buf b;
    struct jw w;
    struct destination d = small();
    start(&w, &b);
    destination_write(&w, &d, &d.credentials, STR("https://example.com/hook"), STR_NULL);
    assert_text(&b, "{\"id\":\"d1\",\"tenant_id\":\"acme\",\"type\":\"webhook\",\"topics\":[\"*\"],"
                    "\"config\":{\"url\":\"https://example.com/hook\"},"
                    "\"credentials\":{\"secret\":\"whsec_x\"},"
                    "\"created_at\":\"2026-01-01T00:00:00Z\","
                    "\"updated_at\":\"2026-01-01T00:00:00Z\",\"disabled_at\":null,"
                    "\"target\":\"https://example.com/hook\"}");
    const struct kv_map masked = {0};
    d = full();
    start(&w, &b);
    destination_write(&w, &d, &masked, STR("t"), STR("https://x"));
    assert_text(&b, "{\"id\":\"d1\",\"tenant_id\":\"acme\",\"type\":\"webhook\","
                    "\"topics\":[\"order.created\",\"user.*\"],"
                    "\"filter\":{\"data\":{\"n\":1.50}},"
                    "\"config\":{\"url\":\"https://example.com/hook\"},\"credentials\":{},"
                    "\"delivery_metadata\":{\"url\":\"https://example.com/hook\"},"
                    "\"metadata\":{\"a\":\"\",\"\\\"\":\"\\n\"},"
                    "\"created_at\":\"2026-01-01T00:00:00Z\","
                    "\"updated_at\":\"2026-01-01T00:00:00.25Z\","
                    "\"disabled_at\":\"2026-01-01T00:00:01Z\",\"target\":\"t\","
                    "\"target_url\":\"https://x\"}");
}

static void test_write_tenant(void **state)
{
    (void)state;
    struct buf b;
    struct jw w;
    struct tenant t = {
        .id = STR("acme"), .created_ms = CREATED_MS, .updated_ms = CREATED_MS + 1000};
    start(&w, &b);
    tenant_write(&w, &t, 0, NULL, 0);
    assert_text(&b, "{\"id\":\"acme\",\"destinations_count\":0,\"topics\":[],"
                    "\"created_at\":\"2026-01-01T00:00:00Z\","
                    "\"updated_at\":\"2026-01-01T00:00:01Z\"}");
    t.metadata = (struct kv_map){1, some};
    start(&w, &b);
    tenant_write(&w, &t, 2, two, 2);
    assert_text(&b, "{\"id\":\"acme\",\"destinations_count\":2,"
                    "\"topics\":[\"order.created\",\"user.*\"],"
                    "\"metadata\":{\"url\":\"https://example.com/hook\"},"
                    "\"created_at\":\"2026-01-01T00:00:00Z\","
                    "\"updated_at\":\"2026-01-01T00:00:01Z\"}");
}

static bool maps_equal(const struct kv_map *a, const struct kv_map *b)
{
    for (size_t i = 0; i < a->n && a->n == b->n; i++) {
        if (!str_eq(a->v[i].key, b->v[i].key) || !str_eq(a->v[i].value, b->v[i].value)) {
            return false;
        }
    }
    return a->n == b->n;
}

static void assert_same(const struct destination *a, const struct destination *b)
{
    assert_int_equal(a->num, b->num);
    assert_true(str_eq(a->id, b->id));
    assert_true(str_eq(a->tenant_id, b->tenant_id));
    assert_true(str_eq(a->type, b->type));
    assert_true(str_eq(a->filter, b->filter));
    assert_int_equal(a->n_topics, b->n_topics);
    for (size_t i = 0; i < a->n_topics; i++) {
        assert_true(str_eq(a->topics[i], b->topics[i]));
    }
    assert_true(maps_equal(&a->config, &b->config));
    assert_true(maps_equal(&a->credentials, &b->credentials));
    assert_true(maps_equal(&a->delivery_metadata, &b->delivery_metadata));
    assert_true(maps_equal(&a->metadata, &b->metadata));
    assert_int_equal(a->created_ms, b->created_ms);
    assert_int_equal(a->updated_ms, b->updated_ms);
    assert_int_equal(a->disabled_ms, b->disabled_ms);
}

static void round_trip(const struct destination *d, struct str sealed)
{
    struct buf stored;
    struct buf secrets;
    struct jw w;
    struct destination back;
    struct stored_secrets rest;
    start(&w, &stored);
    destination_write_stored(&w, d, sealed);
    start(&w, &secrets);
    destination_write_secrets(&w, d);
    assert_int_equal(destination_parse_stored(&back, &rest, buf_str(&stored), &arena), 0);
    assert_int_equal(back.credentials.n + back.delivery_metadata.n + back.config.n, 0);
    assert_true(rest.with_config);
    assert_true(str_eq(rest.sealed, sealed));
    assert_int_equal(destination_parse_secrets(&back, true, buf_str(&secrets), &arena), 0);
    buf_fini(&stored); /* nothing read points into it */
    buf_fini(&secrets);
    assert_same(d, &back);
}

static void test_stored_destination(void **state)
{
    (void)state;
    const struct destination a = small();
    const struct destination b = full();
    round_trip(&a, STR("c2VhbGVk"));
    round_trip(&b, STR("c2VhbGVk"));
}

static void test_stored_tenant(void **state)
{
    (void)state;
    struct buf b;
    struct jw w;
    struct tenant t = {.id = STR("acme"),
                       .metadata = {2, extra},
                       .created_ms = CREATED_MS,
                       .updated_ms = -1,
                       .generation = TENANT_MAX_GENERATION,
                       .tokens_after_s = 42};
    struct tenant back;
    start(&w, &b);
    tenant_write_stored(&w, &t);
    assert_int_equal(tenant_parse_stored(&back, buf_str(&b), &arena), 0);
    buf_fini(&b);
    assert_true(str_eq(back.id, t.id));
    assert_true(maps_equal(&back.metadata, &t.metadata));
    assert_int_equal(back.created_ms, t.created_ms);
    assert_int_equal(back.updated_ms, t.updated_ms);
    assert_true(back.generation == t.generation);
    assert_int_equal(back.tokens_after_s, 42);
    /* As an earlier version wrote it. */
    assert_int_equal(tenant_parse_stored(&back,
                                         STR("{\"v\":1,\"id\":\"acme\",\"metadata\":{},"
                                             "\"created_at\":1767225600123,\"updated_at\":5}"),
                                         &arena),
                     0);
    assert_int_equal(back.generation, INT64_C(1767225600123));
    assert_int_equal(back.tokens_after_s, 0);
    assert_int_equal(
        tenant_parse_stored(&back,
                            STR("{\"v\":1,\"id\":\"a\",\"metadata\":{},\"created_at\":1,"
                                "\"updated_at\":5,\"generation\":1}"),
                            &arena),
        ERR_CORRUPT);
}

static void test_stored_tombstone(void **state)
{
    (void)state;
    struct buf b;
    struct jw w;
    int64_t after_s = 0;
    start(&w, &b);
    tombstone_write_stored(&w, 1767225600);
    assert_int_equal(tombstone_parse_stored(&after_s, buf_str(&b), &arena), 0);
    assert_int_equal(after_s, 1767225600);
    buf_fini(&b);
    assert_int_equal(tombstone_parse_stored(&after_s, STR("{\"v\":1}"), &arena), ERR_CORRUPT);
    assert_int_equal(tombstone_parse_stored(&after_s, STR("{\"v\":2,\"tokens_after\":1}"), &arena),
                     ERR_VERSION);
    assert_int_equal(tombstone_parse_stored(&after_s, STR("{"), &arena), ERR_CORRUPT);
}

#define STORED(v, num, topics, filter, times)                                                      \
    "{\"v\":" v ",\"num\":" num ",\"id\":\"d\",\"tenant_id\":\"t\",\"type\":\"webhook\","          \
    "\"topics\":" topics filter ",\"config\":{\"url\":\"u\"},\"metadata\":{}" times "}"
#define STORED_2                                                                                   \
    "{\"v\":2,\"num\":1,\"id\":\"d\",\"tenant_id\":\"t\",\"type\":\"webhook\","                    \
    "\"topics\":[\"*\"],\"metadata\":{}" TIMES
#define TIMES ",\"created_at\":1,\"updated_at\":2,\"disabled_at\":0"

static void test_damaged_records(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        int rc;
    } cases[] = {
        {STORED("1", "1", "[\"*\"]", "", TIMES), 0},
        {STORED("1", "1", "[\"*\"]", "", TIMES ",\"later\":{}"), 0},
        {STORED("0", "1", "[\"*\"]", "", TIMES), ERR_VERSION},
        {STORED("3", "1", "[\"*\"]", "", TIMES), ERR_VERSION},
        {STORED_2 ",\"sealed\":\"c2VhbGVk\"}", 0},
        {STORED_2 "}", ERR_CORRUPT}, /* nothing sealed, so there is no config */
        {STORED("\"1\"", "1", "[\"*\"]", "", TIMES), ERR_CORRUPT},
        {STORED("1", "-1", "[\"*\"]", "", TIMES), ERR_CORRUPT},
        {STORED("1", "4294967296", "[\"*\"]", "", TIMES), ERR_CORRUPT},
        {STORED("1", "1.5", "[\"*\"]", "", TIMES), ERR_CORRUPT},
        {STORED("1", "1", "[]", "", TIMES), ERR_CORRUPT},
        {STORED("1", "1", "\"*\"", "", TIMES), ERR_CORRUPT},
        {STORED("1", "1", "[1]", "", TIMES), ERR_CORRUPT},
        {STORED("1", "1", "[\"*\"]", ",\"filter\":1", TIMES), ERR_CORRUPT},
        {STORED("1", "1", "[\"*\"]", "", ""), ERR_CORRUPT},
        {STORED("1", "1", "[\"*\"]", "", TIMES ",\"sealed\":1"), ERR_CORRUPT},
        {"{}", ERR_CORRUPT},
        {"[]", ERR_CORRUPT},
        {"", ERR_CORRUPT},
        {"{\"v\":1", ERR_CORRUPT},
    };
    for (size_t i = 0; i < LL_COUNT(cases); i++) {
        struct destination d;
        struct stored_secrets rest;
        const int rc = destination_parse_stored(&d, &rest, str_c(cases[i].json), &arena);
        if (rc != cases[i].rc) {
            fail_msg("%s: %d", cases[i].json, rc);
        }
        if (rc == 0) {
            assert_int_equal(d.config.n, rest.with_config ? 0 : 1);
        }
    }
    struct destination d = {0};
    struct tenant t;
    static const char no_config[] = "{\"credentials\":{},\"delivery_metadata\":{}}";
    assert_int_equal(destination_parse_secrets(&d, false, STR("{\"credentials\":{}}"), &arena),
                     ERR_CORRUPT);
    assert_int_equal(destination_parse_secrets(&d, false, STR("x"), &arena), ERR_CORRUPT);
    assert_int_equal(destination_parse_secrets(&d, false, str_c(no_config), &arena), 0);
    assert_int_equal(destination_parse_secrets(&d, true, str_c(no_config), &arena), ERR_CORRUPT);
    assert_int_equal(tenant_parse_stored(&t, STR("{\"v\":1}"), &arena), ERR_CORRUPT);
    assert_int_equal(tenant_parse_stored(&t, STR("{\"v\":9,\"id\":\"a\"}"), &arena), ERR_VERSION);
}

static void test_copies(void **state)
{
    (void)state;
    const struct destination examples[] = {small(), full(), {.id = STR("bare")}};
    for (size_t i = 0; i < LL_COUNT(examples); i++) {
        struct destination *one = destination_copy(&examples[i]);
        assert_same(one, &examples[i]);
        struct destination *two_copies = destination_copy(one);
        destination_free(one);
        assert_same(two_copies, &examples[i]);
        destination_free(two_copies);
    }
    destination_free(NULL);

    const struct tenant t = {.id = STR("acme"), .metadata = {2, extra}, .created_ms = 5};
    struct tenant *copy = tenant_copy(&t);
    assert_true(str_eq(copy->id, t.id));
    assert_true(copy->id.p != t.id.p);
    assert_true(maps_equal(&copy->metadata, &t.metadata));
    assert_int_equal(copy->created_ms, 5);
    mem_free(copy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_write_destination, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(test_write_tenant, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(test_stored_destination, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(test_stored_tenant, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(test_stored_tombstone, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(test_damaged_records, fx_setup, fx_teardown),
        cmocka_unit_test_setup_teardown(test_copies, fx_setup, fx_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
