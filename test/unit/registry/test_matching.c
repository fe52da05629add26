/* SPDX-License-Identifier: Apache-2.0 */
/* Which destinations an event goes to, and the bound on compiled filters. */
#include "registry_fixture.h"

#include <stdio.h>

#include "registry/registry_internal.h"

static void match(struct rx *r, const char *tenant, const char *only, const char *topic,
                  const char *data, char out[128])
{
    yyjson_doc *doc = json_parse(&r->fx->arena, str_c(data), NULL);
    assert_non_null(doc);
    const struct match_doc md = {.id = STR("e"),
                                 .topic = str_c(topic),
                                 .time = STR("2026-01-01T00:00:00Z"),
                                 .data = yyjson_doc_get_root(doc)};
    const struct registry_match m = {
        .tenant_id = str_c(tenant), .dest_id = str_c(only), .doc = &md};
    struct record_dest *v = NULL;
    size_t n = 7;
    size_t len = 0;
    out[0] = '\0';
    assert_int_equal(registry_match(r->registry, &m, &r->fx->arena, &v, &n), 0);
    for (size_t i = 0; i < n; i++) {
        len += (size_t)snprintf(out + len, 128 - len, "%s" STR_FMT, i > 0 ? " " : "",
                                STR_ARG(v[i].id));
        assert_int_equal(registry_dest(r->registry, str_c(tenant), v[i].id)->num, v[i].num);
    }
}

static void fill(struct rx *r)
{
    rx_tenant(r, "acme", 1);
    rx_tenant(r, "other", 1);
    (void)rx_dest(r, "acme", "all", "*", "");
    (void)rx_dest(r, "acme", "orders", "order.*", "");
    (void)rx_dest(r, "acme", "big", "*", "{\"data\":{\"amount\":{\"$gt\":100}}}");
    (void)rx_dest(r, "acme", "off", "*", "");
    (void)rx_dest(r, "acme", "exact", "order.created", "{}");
    (void)rx_dest(r, "other", "theirs", "*", "");
    struct destination off = *registry_dest(r->registry, STR("acme"), STR("off"));
    off.disabled_ms = 1;
    assert_int_equal(registry_put_dest(r->registry, &off), 0);
}

static void test_matching(void **state)
{
    struct rx *r = *state;
    static const struct {
        const char *tenant, *only, *topic, *data, *ids;
    } rows[] = {
        {"acme", NULL, "order.created", "{\"amount\":500}", "all orders big exact"},
        {"acme", NULL, "order.created", "{\"amount\":5}", "all orders exact"},
        {"acme", NULL, "user.created", "{}", "all"},
        {"acme", NULL, "", "{\"amount\":500}", "all orders big exact"},
        {"acme", NULL, "*", "{}", "all orders exact"},
        {"other", NULL, "x", "{}", "theirs"},
        {"nobody", NULL, "x", "{}", ""},
        {"acme", "orders", "order.x", "{}", "orders"},
        {"acme", "orders", "user.x", "{}", ""},
        {"acme", "big", "x", "{\"amount\":5}", ""},
        {"acme", "big", "x", "{\"amount\":101}", "big"},
        {"acme", "off", "x", "{}", ""},
        {"acme", "theirs", "x", "{}", ""},
        {"acme", "", "x", "{}", ""},
        {"nobody", "all", "x", "{}", ""},
    };
    fill(r);
    for (int again = 0; again < 2; again++) {
        for (size_t i = 0; i < LL_COUNT(rows); i++) {
            char ids[128];
            match(r, rows[i].tenant, rows[i].only, rows[i].topic, rows[i].data, ids);
            if (strcmp(ids, rows[i].ids) != 0) {
                fail_msg("row %zu: %s", i, ids);
            }
        }
        rx_reopen(r);
    }
}

static void test_changes_take_effect(void **state)
{
    struct rx *r = *state;
    char ids[128];
    fill(r);
    match(r, "acme", "big", "x", "{\"amount\":50}", ids);
    assert_string_equal(ids, "");
    struct destination d = *registry_dest(r->registry, STR("acme"), STR("big"));
    d.filter = STR("{\"data\":{\"amount\":{\"$gt\":10}}}");
    assert_int_equal(registry_put_dest(r->registry, &d), 0);
    match(r, "acme", "big", "x", "{\"amount\":50}", ids);
    assert_string_equal(ids, "big");
    assert_int_equal(registry_del_dest(r->registry, STR("acme"), STR("big")), 0);
    match(r, "acme", "big", "x", "{\"amount\":50}", ids);
    assert_string_equal(ids, "");
}

/* For manual retries, disabled or not. */
static void test_wants(void **state)
{
    struct rx *r = *state;
    fill(r);
    yyjson_doc *doc = json_parse(&r->fx->arena, STR("{\"amount\":5}"), NULL);
    const struct match_doc md = {.topic = STR("order.x"), .data = yyjson_doc_get_root(doc)};
    static const struct {
        const char *id;
        bool wants;
    } rows[] = {{"all", true}, {"orders", true}, {"big", false}, {"off", true}, {"exact", false}};
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        const struct destination *d = registry_dest(r->registry, STR("acme"), str_c(rows[i].id));
        assert_int_equal(registry_wants(r->registry, d, &md), rows[i].wants);
    }
}

/* A filter that does not compile is damage: it matches nothing, not everything. */
static void test_unusable_filter(void **state)
{
    struct rx *r = *state;
    char ids[128];
    rx_tenant(r, "acme", 1);
    (void)rx_dest(r, "acme", "bad", "*", "[1]");
    (void)rx_dest(r, "acme", "good", "*", "");
    match(r, "acme", NULL, "x", "{}", ids);
    assert_string_equal(ids, "good");
    assert_int_equal(r->registry->n_filters, 0);
}

static bool is_cached(struct rx *r, const char *id)
{
    return dest_entry_find(r->registry, STR("acme"), str_c(id))->filter_ready;
}

static void test_filters_are_bounded(void **state)
{
    struct rx *r = *state;
    char id[16];
    char ids[128];
    rx_close(r);
    r->max_filters = 3;
    rx_open(r);
    rx_tenant(r, "acme", 1);
    for (int i = 0; i < 6; i++) {
        (void)snprintf(id, sizeof(id), "d%d", i);
        (void)rx_dest(r, "acme", id, "*", "{\"data\":{\"a\":1}}");
    }
    for (int round = 0; round < 3; round++) {
        match(r, "acme", NULL, "x", "{\"a\":1}", ids);
        assert_string_equal(ids, "d0 d1 d2 d3 d4 d5");
        assert_int_equal(r->registry->n_filters, 3);
        assert_true(is_cached(r, "d3") && is_cached(r, "d4") && is_cached(r, "d5"));
    }
    match(r, "acme", "d3", "x", "{\"a\":1}", ids); /* used: the oldest is d4 now */
    match(r, "acme", "d0", "x", "{\"a\":1}", ids);
    assert_true(is_cached(r, "d3") && is_cached(r, "d0") && !is_cached(r, "d4"));
    struct destination d = *registry_dest(r->registry, STR("acme"), STR("d3"));
    assert_int_equal(registry_put_dest(r->registry, &d), 0); /* compiled again when needed */
    assert_int_equal(r->registry->n_filters, 2);
    assert_int_equal(registry_del_tenant(r->registry, STR("acme"), 0), 0);
    assert_int_equal(r->registry->n_filters, 0);
    assert_true(list_empty(&r->registry->filters));
}

#define WITH_RX(test) cmocka_unit_test_setup_teardown(test, rx_setup, rx_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_RX(test_matching),        WITH_RX(test_changes_take_effect), WITH_RX(test_wants),
        WITH_RX(test_unusable_filter), WITH_RX(test_filters_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
