/* SPDX-License-Identifier: Apache-2.0 */
/* From a body to a durable event: matching, duplicates, refusals, the hand-over to deliveries. */
#include "gateway.h"

#include <stdio.h>

#include "longline/mem.h"

#include "test_wait.h"

static int64_t accepted(struct gateway *g)
{
    return publish_get_metrics(g->publish)->accepted.value;
}

static void get_event(struct gateway *g, const char *id, struct event_record *e)
{
    fx_commit(g->fx);
    assert_int_equal(store_read_begin(g->fx->store), 0);
    assert_int_equal(store_find_event(g->fx->store, STR("acme"), str_c(id), &g->fx->arena, e), 0);
    e->data = arena_str(&g->fx->arena, e->data);
    e->metadata = arena_str(&g->fx->arena, e->metadata);
    e->topic = arena_str(&g->fx->arena, e->topic);
    store_read_end(g->fx->store);
}

static void test_published_and_delivered(void **state)
{
    struct gateway *g = *state;
    struct gw_result r;
    struct event_record e;
    (void)gw_dest(g, "d1", "order.*", "");
    (void)gw_dest(g, "d2", "user.*", "");
    (void)gw_dest(g, "d3", "*", "{\"metadata\":{\"a\":\"b\"}}");
    gw_publish(g, &r,
               "{\"tenant_id\":\"acme\",\"topic\":\"order.created\",\"metadata\":{\"a\":\"b\"},"
               "\"time\":\"2026-01-01T00:00:00Z\",\"data\":{ \"x\" : 1 }}");
    assert_int_equal(r.rc, 0);
    gw_wait_done(g, &r);
    assert_false(r.duplicate);
    assert_string_equal(r.dests, "d1 d3");
    assert_int_equal(strlen(r.id), 36);
    ob_wait_hits(&g->out, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_str(g->out.hits[i].body, "{ \"x\" : 1 }");
        assert_str(hit_header(&g->out.hits[i], "x-outpost-event-id"), r.id);
        assert_str(hit_header(&g->out.hits[i], "x-outpost-a"), "b");
    }
    gw_wait_pending(g, 0);
    get_event(g, r.id, &e);
    assert_str(e.topic, "order.created");
    assert_str(e.data, "{ \"x\" : 1 }");
    assert_str(e.metadata, "{\"a\":\"b\"}");
    assert_int_equal(e.time_ms, INT64_C(1767225600000));
    assert_int_equal(e.n_dests, 2);
    assert_false(e.custom_id);
    assert_true(e.eligible_for_retry);
    assert_int_equal(accepted(g), 1);
    gw_forget(&r);
}

/* Stored and found again, though nobody wants it. */
static void test_unmatched(void **state)
{
    struct gateway *g = *state;
    static const struct {
        const char *body;
    } rows[] = {
        {"{\"id\":\"e0\",\"tenant_id\":\"acme\",\"topic\":\"x\",\"data\":{}}"},
        {"{\"id\":\"e1\",\"tenant_id\":\"acme\",\"destination_id\":\"none\",\"data\":{}}"},
        {"{\"id\":\"e2\",\"tenant_id\":\"acme\",\"destination_id\":\"off\",\"data\":{}}"},
        {"{\"id\":\"e3\",\"tenant_id\":\"nobody\",\"data\":{}}"},
    };
    (void)gw_dest(g, "off", "*", "");
    gw_set_disabled(g, "off", true);
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        struct gw_result r;
        gw_publish(g, &r, rows[i].body);
        assert_int_equal(r.rc, 0);
        gw_wait_done(g, &r);
        assert_string_equal(r.dests, "");
        assert_false(r.duplicate);
        gw_forget(&r);
    }
    struct event_record e;
    get_event(g, "e0", &e);
    assert_int_equal(e.n_dests, 0);
    assert_true(e.custom_id);
    assert_int_equal(gw_pending(g), 0);
    gw_reopen(g);
    assert_int_equal(gw_pending(g), 0);
}

static void test_one_destination(void **state)
{
    struct gateway *g = *state;
    struct gw_result r;
    (void)gw_dest(g, "d1", "*", "");
    (void)gw_dest(g, "d2", "*", "");
    gw_publish(g, &r, "{\"tenant_id\":\"acme\",\"destination_id\":\"d2\",\"data\":{}}");
    gw_wait_done(g, &r);
    assert_string_equal(r.dests, "d2");
    gw_wait_pending(g, 0);
    assert_int_equal(g->out.n_hits, 1);
    gw_forget(&r);
}

#define SAME "{\"id\":\"same\",\"tenant_id\":\"acme\",\"data\":{\"n\":%d}}"

/* Three with one id in one turn, so in one batch; and more after the commit. */
static void test_duplicates(void **state)
{
    struct gateway *g = *state;
    struct gw_result r[5];
    char body[96];
    (void)gw_dest(g, "d1", "*", "");
    fx_commit(g->fx);
    for (int i = 0; i < 3; i++) {
        (void)snprintf(body, sizeof(body), SAME, i);
        gw_publish(g, &r[i], body);
        assert_int_equal(r[i].rc, 0);
    }
    gw_wait_done(g, &r[2]);
    assert_int_equal(r[0].order, 1); /* the first is told first */
    gw_publish(g, &r[3], "{\"id\":\"same\",\"tenant_id\":\"acme\",\"data\":{}}");
    gw_wait_done(g, &r[3]);
    gw_publish(g, &r[4], "{\"id\":\"same\",\"tenant_id\":\"other\",\"data\":{}}");
    gw_wait_done(g, &r[4]);
    for (int i = 0; i < 5; i++) {
        assert_true(r[i].is_done);
        assert_int_equal(r[i].duplicate, i > 0 && i < 4); /* ids belong to a tenant */
        assert_string_equal(r[i].id, "same");
        assert_string_equal(r[i].dests, i < 4 ? "d1" : "");
        gw_forget(&r[i]);
    }
    gw_wait_pending(g, 0);
    assert_int_equal(g->out.n_hits, 1);
    assert_str(g->out.hits[0].body, "{\"n\":0}");
    assert_int_equal(accepted(g), 2);
    assert_int_equal(publish_get_metrics(g->publish)->duplicates.value, 3);
    gw_reopen(g);
    gw_publish(g, &r[0], "{\"id\":\"same\",\"tenant_id\":\"acme\",\"data\":{}}");
    gw_wait_done(g, &r[0]);
    assert_true(r[0].duplicate); /* also after a restart */
    gw_forget(&r[0]);
    wait_ms(g->fx->loop, 5);
    assert_int_equal(g->out.n_hits, 0);
}

static void assert_refused(struct gateway *g, const char *body, int rc, int status,
                           const char *message)
{
    struct gw_result r;
    gw_publish(g, &r, body);
    if (r.rc != rc || r.problem.status != status || strcmp(r.problem.message, message) != 0) {
        fail_msg("%s: %d %d %s", body, r.rc, r.problem.status,
                 r.problem.message != NULL ? r.problem.message : "");
    }
    wait_ms(g->fx->loop, 3);
    assert_false(r.is_done);
    gw_forget(&r);
}

static void test_refusals(void **state)
{
    struct gateway *g = *state;
    static const char good[] = "{\"id\":\"r\",\"tenant_id\":\"acme\",\"data\":{}}";
    (void)gw_dest(g, "d1", "*", "");
    assert_refused(g, "{}", ERR_INVALID, 422, "validation error");
    assert_refused(g, "{", ERR_INVALID, 422, "invalid JSON");
    publish_set_max_event(g->publish, 20);
    assert_refused(g, good, ERR_TOO_BIG, 413, "the event is too big");
    publish_set_max_event(g->publish, 1u << 20);
    g->cfg.max_pending = 0;
    deliver_reload(g->deliver, &g->cfg);
    assert_refused(g, good, ERR_BUSY, 503, "too much work is pending, try again later");
    g->cfg.max_pending = 1000;
    deliver_reload(g->deliver, &g->cfg);
    struct store_cfg tiny = g->fx->cfg;
    tiny.max_size = 4096;
    store_reload(g->fx->store, &tiny);
    fx_commit(g->fx);
    assert_refused(g, good, ERR_FULL, 503, "the store is full, try again later");
    store_reload(g->fx->store, &g->fx->cfg);
    assert_int_equal(publish_get_metrics(g->publish)->refused.value, 5);
    assert_int_equal(accepted(g), 0);
    assert_int_equal(fx_find_idempotency(g->fx->store, STR("acme"), STR("r")), 0);
    struct gw_result r; /* a refusal leaves nothing behind: the same id passes now */
    gw_publish(g, &r, good);
    assert_int_equal(r.rc, 0);
    gw_wait_done(g, &r);
    assert_false(r.duplicate);
    gw_forget(&r);
    gw_wait_pending(g, 0);
    assert_int_equal(g->out.n_hits, 1);
}

static void test_dots(void **state)
{
    struct gateway *g = *state;
    struct gw_result r;
    static const char body[] = "{\"id\":\"a.b\",\"tenant_id\":\"acme\",\"data\":{}}";
    gw_publish(g, &r, body);
    assert_int_equal(r.rc, 0);
    gw_wait_done(g, &r);
    gw_forget(&r);
    g->options.ids_without_dots = true;
    gw_reopen(g);
    gw_publish(g, &r, body);
    assert_int_equal(r.rc, ERR_INVALID);
    assert_int_equal(r.problem.n_items, 1);
    assert_str(r.problem.items[0], "id must not contain a dot (webhook.mode)");
    gw_forget(&r);
    gw_publish(g, &r, "{\"tenant_id\":\"acme\",\"data\":{}}"); /* generated ones have none */
    assert_int_equal(r.rc, 0);
    gw_wait_done(g, &r);
    gw_forget(&r);
}

/* The destination goes while the event's commit is under way: the answer still names it. */
static void test_destination_goes_meanwhile(void **state)
{
    struct gateway *g = *state;
    struct gw_result r;
    struct gw_attempt at[GW_MAX_ATTEMPTS];
    (void)gw_dest(g, "d1", "*", "");
    gw_publish(g, &r, "{\"id\":\"e\",\"tenant_id\":\"acme\",\"data\":{}}");
    assert_int_equal(registry_del_dest(g->registry, STR("acme"), STR("d1")), 0);
    gw_wait_done(g, &r);
    assert_string_equal(r.dests, "d1");
    gw_forget(&r);
    gw_wait_pending(g, 0);
    const uint64_t seq = fx_find_idempotency(g->fx->store, STR("acme"), STR("e"));
    assert_int_equal(gw_attempts(g, seq, at), 1);
    assert_string_equal(at[0].code, "destination_deleted");
    assert_string_equal(at[0].dest_id, "d1");
    assert_int_equal(g->out.n_hits, 0);
}

/* A hundred at once: all durable in order, all delivered once. */
static void test_many(void **state)
{
    struct gateway *g = *state;
    static struct gw_result r[100];
    (void)gw_dest(g, "d1", "*", "");
    for (int i = 0; i < 100; i++) {
        char body[96];
        (void)snprintf(body, sizeof(body), "{\"tenant_id\":\"acme\",\"data\":{\"n\":%d}}", i);
        gw_publish(g, &r[i], body);
        assert_int_equal(r[i].rc, 0);
    }
    gw_wait_done(g, &r[99]);
    for (int i = 0; i < 100; i++) {
        assert_true(r[i].is_done);
        assert_int_equal(r[i].order, i + 1);
        gw_forget(&r[i]);
    }
    gw_wait_pending(g, 0);
    assert_int_equal(g->out.n_hits, 100);
    bool seen[100] = {false};
    for (size_t i = 0; i < 100; i++) {
        const struct str body = g->out.hits[i].body;
        uint64_t n = 1000;
        assert_int_equal(str_to_u64(str_of(body.p + 5, body.n - 6), &n), 0);
        assert_true(n < 100 && !seen[n]);
        seen[n] = true;
    }
    gw_reopen(g);
    assert_int_equal(gw_pending(g), 0);
}

#define WITH_GW(test) cmocka_unit_test_setup_teardown(test, gw_setup, gw_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_GW(test_published_and_delivered),
        WITH_GW(test_unmatched),
        WITH_GW(test_one_destination),
        WITH_GW(test_duplicates),
        WITH_GW(test_refusals),
        WITH_GW(test_dots),
        WITH_GW(test_destination_goes_meanwhile),
        WITH_GW(test_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
