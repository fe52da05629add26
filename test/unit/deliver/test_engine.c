/* SPDX-License-Identifier: Apache-2.0 */
/* The engine with the webhook driver and a real receiver: what is sent, recorded and planned. */
#include "gateway.h"

#include <stdio.h>

#include "longline/mem.h"

#include "test_wait.h"

static const struct ob_reply hold_all[] = {{.status = 0}};
static const struct ob_reply fail_all[] = {{.status = 500, .body = "broken"}};

static size_t ended(struct gateway *g, uint64_t seq, struct gw_attempt at[GW_MAX_ATTEMPTS])
{
    gw_wait_pending(g, 0);
    const size_t n = gw_attempts(g, seq, at);
    assert_int_equal(gw_retries(g), 0); /* nothing pending leaves no retry record */
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(at[i].final, i == n - 1);
        assert_int_equal(at[i].number, i + 1);
        assert_int_equal(at[i].next_at_ms != 0, i < n - 1);
    }
    return n;
}

static bool is_inflight(void *ctx)
{
    struct gateway *g = ctx;
    return deliver_n_inflight(g->deliver) != 0;
}

static bool none_inflight(void *ctx)
{
    return !is_inflight(ctx);
}

static void test_retry_then_success(void **state)
{
    struct gateway *g = *state;
    static const struct ob_reply script[] = {
        {.status = 500, .body = "broken"}, {.status = 404}, {.status = 200}};
    struct gw_attempt at[GW_MAX_ATTEMPTS];
    ob_script(&g->out, script, LL_COUNT(script));
    (void)gw_dest(g, "d1", "*", "");
    const uint64_t seq = gw_event(g, "e1");
    assert_int_equal(ended(g, seq, at), 3);
    assert_string_equal(at[0].code, "500");
    assert_string_equal(at[0].response, "broken");
    assert_string_equal(at[1].code, "404");
    assert_string_equal(at[2].code, "200");
    assert_false(at[0].success || at[1].success);
    assert_true(at[2].success);
    assert_false(at[0].manual || at[1].manual || at[2].manual);
    assert_true(at[0].seq > seq && at[1].seq > at[0].seq);
    assert_int_equal(at[0].next_at_ms - at[0].time_ms, 5);
    assert_int_equal(at[1].next_at_ms - at[1].time_ms, 10); /* doubled */
    assert_true(at[1].time_ms >= at[0].next_at_ms - 1);
    for (size_t i = 0; i < 3; i++) {
        assert_str(hit_header(&g->out.hits[i], "x-outpost-event-id"), "e1");
        assert_str(g->out.hits[i].body, "{\"n\":1}");
    }
    const struct deliver_metrics *m = deliver_get_metrics(g->deliver);
    assert_int_equal(m->success.value, 1);
    assert_int_equal(m->failed.value, 0);
    assert_int_equal(m->attempts_success.value, 1);
    assert_int_equal(m->attempts_failed.value, 2);
}

static void test_exhausted(void **state)
{
    struct gateway *g = *state;
    struct gw_attempt at[GW_MAX_ATTEMPTS];
    ob_script(&g->out, fail_all, 1);
    (void)gw_dest(g, "d1", "*", "");
    assert_int_equal(ended(g, gw_event(g, "e1"), at), 4); /* the first and three retries */
    assert_int_equal(deliver_get_metrics(g->deliver)->failed.value, 1);
    assert_int_equal(at[2].next_at_ms - at[2].time_ms, 20); /* the cap */
}

static void test_schedule(void **state)
{
    struct gateway *g = *state;
    char *delays[] = {(char[]){"1ms"}, (char[]){"30ms"}};
    struct gw_attempt at[GW_MAX_ATTEMPTS];
    ob_script(&g->out, fail_all, 1);
    g->cfg.retry_schedule = (struct cfg_list){delays, 2};
    deliver_reload(g->deliver, &g->cfg);
    g->cfg.retry_schedule = (struct cfg_list){0};
    (void)gw_dest(g, "d1", "*", "");
    assert_int_equal(ended(g, gw_event(g, "e1"), at), 3);
    assert_int_equal(at[0].next_at_ms - at[0].time_ms, 1);
    assert_int_equal(at[1].next_at_ms - at[1].time_ms, 30);
}

static void test_not_eligible(void **state)
{
    struct gateway *g = *state;
    struct gw_result r;
    ob_script(&g->out, fail_all, 1);
    (void)gw_dest(g, "d1", "*", "");
    gw_publish(g, &r, "{\"tenant_id\":\"acme\",\"eligible_for_retry\":false,\"data\":{\"n\":1}}");
    gw_wait_done(g, &r);
    gw_forget(&r);
    gw_wait_pending(g, 0);
    wait_ms(g->fx->loop, 30);
    assert_int_equal(g->out.n_hits, 1);
}

static void test_gone(void **state)
{
    struct gateway *g = *state;
    static const struct ob_reply gone[] = {{.status = 410}};
    struct gw_attempt at[GW_MAX_ATTEMPTS];
    ob_script(&g->out, gone, 1);
    (void)gw_dest(g, "d1", "*", "");
    assert_int_equal(ended(g, gw_event(g, "e1"), at), 1);
    assert_string_equal(at[0].code, "410");
    g->cfg.retry_gone = true;
    deliver_reload(g->deliver, &g->cfg);
    assert_int_equal(ended(g, gw_event(g, "e2"), at), 4);
}

static bool one_retry(void *ctx)
{
    struct gateway *g = ctx;
    return deliver_get_metrics(g->deliver)->attempts_failed.value == 1;
}

/* It can only delay further. */
static void test_retry_after(void **state)
{
    struct gateway *g = *state;
    static const struct ob_reply script[] = {
        {.status = 503, .retry_after = "60"}, {.status = 503, .retry_after = "0"}, {.status = 200}};
    struct gw_attempt at[GW_MAX_ATTEMPTS];
    ob_script(&g->out, script, LL_COUNT(script));
    const uint32_t num = gw_dest(g, "d1", "*", "");
    const uint64_t seq = gw_event(g, "e1");
    gw_wait(g, one_retry, g, "the first attempt");
    assert_int_equal(gw_attempts(g, seq, at), 1);
    assert_int_equal(at[0].next_at_ms - at[0].time_ms, 60000);
    assert_int_equal(gw_retries(g), 1);
    wait_ms(g->fx->loop, 30);
    assert_int_equal(g->out.n_hits, 1);
    deliver_retry(g->deliver, seq, num, 2); /* by hand it need not wait */
    assert_int_equal(ended(g, seq, at), 3);
    assert_true(at[1].manual);
    assert_false(at[2].manual);
    assert_int_equal(at[1].next_at_ms - at[1].time_ms, 10);
}

/* What waits for a disabled destination waits until it is enabled, and loses no attempt. */
static void test_disabled(void **state)
{
    struct gateway *g = *state;
    static const struct ob_reply script[] = {{.status = 500}, {.status = 200}};
    struct gw_attempt at[GW_MAX_ATTEMPTS];
    ob_script(&g->out, script, 2);
    (void)gw_dest(g, "d1", "*", "");
    const uint64_t seq = gw_event(g, "e1");
    gw_wait(g, one_retry, g, "the first attempt");
    gw_set_disabled(g, "d1", true);
    wait_ms(g->fx->loop, 40);
    assert_int_equal(g->out.n_hits, 1);
    assert_int_equal(gw_pending(g), 1);
    gw_set_disabled(g, "d1", false);
    assert_int_equal(ended(g, seq, at), 2);
    assert_true(at[1].success);
}

static void test_deleted(void **state)
{
    struct gateway *g = *state;
    struct gw_attempt at[GW_MAX_ATTEMPTS];
    ob_script(&g->out, fail_all, 1);
    (void)gw_dest(g, "d1", "*", "");
    const uint64_t seq = gw_event(g, "e1");
    gw_wait(g, one_retry, g, "the first attempt");
    assert_int_equal(registry_del_dest(g->registry, STR("acme"), STR("d1")), 0);
    assert_int_equal(ended(g, seq, at), 2);
    assert_string_equal(at[1].code, "destination_deleted");
    assert_string_equal(at[1].error, "the destination was deleted");
    assert_string_equal(at[1].dest_id, "d1");
    assert_int_equal(at[1].http_status, 0);
    assert_int_equal(g->out.n_hits, 1);
}

/* It goes while it is disabled, and while an attempt is in flight. */
static void test_deleted_in_other_states(void **state)
{
    struct gateway *g = *state;
    struct gw_attempt at[GW_MAX_ATTEMPTS];
    static const struct ob_reply script[] = {{.status = 500}, {.status = 0}};
    ob_script(&g->out, script, 2);
    (void)gw_dest(g, "d1", "*", "");
    uint64_t seq = gw_event(g, "e1");
    gw_wait(g, one_retry, g, "the first attempt");
    gw_set_disabled(g, "d1", true);
    wait_ms(g->fx->loop, 10);
    assert_int_equal(registry_del_dest(g->registry, STR("acme"), STR("d1")), 0);
    assert_int_equal(ended(g, seq, at), 2);
    assert_string_equal(at[1].code, "destination_deleted");
    (void)gw_dest(g, "d2", "*", "");
    seq = gw_event(g, "e2");
    ob_wait_hits(&g->out, 2);
    assert_int_equal(registry_del_dest(g->registry, STR("acme"), STR("d2")), 0);
    ob_answer(&g->out, 1, 500);
    assert_int_equal(ended(g, seq, at), 2);
    assert_string_equal(at[0].code, "500");
    assert_string_equal(at[1].code, "destination_deleted");
}

static void test_manual_retry(void **state)
{
    struct gateway *g = *state;
    struct gw_attempt at[GW_MAX_ATTEMPTS];
    const uint32_t num = gw_dest(g, "d1", "*", "");
    const uint64_t seq = gw_event(g, "e1");
    gw_wait_pending(g, 0);
    deliver_retry(g->deliver, seq, num, 2);
    assert_int_equal(gw_pending(g), 1);
    gw_wait_pending(g, 0);
    assert_int_equal(gw_attempts(g, seq, at), 2);
    assert_true(at[0].final && at[0].success && !at[0].manual);
    assert_true(at[1].final && at[1].success && at[1].manual);
    assert_int_equal(at[1].number, 2);
    assert_int_equal(gw_retries(g), 0);
    assert_str(hit_header(&g->out.hits[1], "x-outpost-event-id"), "e1");
    assert_str(g->out.hits[1].body, "{\"n\":1}"); /* read back from the store */
}

/* Asked for twice while an attempt is in flight: one more follows, also after a success. */
static void test_manual_retry_in_flight(void **state)
{
    struct gateway *g = *state;
    struct gw_attempt at[GW_MAX_ATTEMPTS];
    static const struct ob_reply script[] = {{.status = 0}, {.status = 200}};
    ob_script(&g->out, script, 2);
    const uint32_t num = gw_dest(g, "d1", "*", "");
    const uint64_t seq = gw_event(g, "e1");
    ob_wait_hits(&g->out, 1);
    deliver_retry(g->deliver, seq, num, 2);
    deliver_retry(g->deliver, seq, num, 2);
    ob_answer(&g->out, 0, 200);
    assert_int_equal(ended(g, seq, at), 2);
    assert_true(at[0].success && !at[0].manual);
    assert_true(at[1].success && at[1].manual);
    assert_int_equal(g->out.n_hits, 2);
}

struct told {
    struct gateway *g;
    uint64_t seq;
};

static bool two_attempts(void *ctx)
{
    const struct told *t = ctx;
    struct gw_attempt at[GW_MAX_ATTEMPTS];
    return gw_attempts(t->g, t->seq, at) == 2;
}

static void test_breaker(void **state)
{
    struct gateway *g = *state;
    struct gw_attempt at[GW_MAX_ATTEMPTS];
    char url[96];
    g->cfg.breaker_failures = 2;
    g->cfg.breaker_open_ms = 60000;
    g->cfg.breaker_max_ms = 60000;
    deliver_reload(g->deliver, &g->cfg);
    (void)gw_dest(g, "d1", "*", "");
    gw_set_url(g, "d1", "http://127.0.0.1:1/");
    const uint64_t seq = gw_event(g, "e1");
    const struct metric *open = &deliver_get_metrics(g->deliver)->open_breakers;
    struct told t = {g, seq};
    gw_wait(g, two_attempts, &t, "two attempts");
    assert_int_equal(open->read(open->ctx), 1);
    wait_ms(g->fx->loop, 40);
    assert_int_equal(gw_attempts(g, seq, at), 2); /* no attempt is used up while it is open */
    assert_string_equal(at[0].code, "connection_refused");
    ob_url(&g->out, url, "/new");
    gw_set_url(g, "d1", url); /* another host: another chance */
    assert_int_equal(ended(g, seq, at), 3);
    assert_true(at[2].success);
    assert_int_equal(open->read(open->ctx), 0);
    assert_str(g->out.hits[0].target, "/new");
}

static bool is_disabled(void *ctx)
{
    const struct gateway *g = ctx;
    return registry_dest(g->registry, STR("acme"), STR("d1"))->disabled_ms != 0;
}

static void test_disabled_when_hopeless(void **state)
{
    struct gateway *g = *state;
    struct gw_attempt at[GW_MAX_ATTEMPTS];
    static const struct ob_reply script[] = {{.status = 500}, {.status = 500}, {.status = 200}};
    ob_script(&g->out, script, 3);
    g->cfg.disable_after_failures = 2;
    deliver_reload(g->deliver, &g->cfg);
    (void)gw_dest(g, "d1", "*", "");
    const uint64_t seq = gw_event(g, "e1");
    gw_wait(g, is_disabled, g, "disabled");
    wait_ms(g->fx->loop, 50);
    assert_int_equal(g->out.n_hits, 2);
    const struct destination *d = registry_dest(g->registry, STR("acme"), STR("d1"));
    assert_true(d->disabled_ms != 0);
    gw_reopen(g); /* that is durable */
    d = registry_dest(g->registry, STR("acme"), STR("d1"));
    assert_true(d->disabled_ms != 0);
    assert_int_equal(gw_pending(g), 1);
    char url[96];
    ob_url(&g->out, url, "/");
    gw_set_url(g, "d1", url);
    gw_set_disabled(g, "d1", false);
    assert_int_equal(ended(g, seq, at), 3);
    assert_true(at[2].success);
}

/* A stored destination that cannot be compiled: an attempt that was not sent, and a further one. */
static void test_invalid_destination(void **state)
{
    struct gateway *g = *state;
    struct gw_attempt at[GW_MAX_ATTEMPTS];
    (void)gw_dest(g, "d1", "*", "");
    gw_set_url(g, "d1", "nonsense");
    const size_t n = ended(g, gw_event(g, "e1"), at);
    assert_int_equal(n, 4);
    assert_string_equal(at[0].code, "destination_invalid");
    assert_true(strlen(at[0].error) > 12 && strncmp(at[0].error, "config.url: ", 12) == 0);
    assert_int_equal(g->out.n_hits, 0);
}

static void test_unfit_event(void **state)
{
    struct gateway *g = *state;
    const size_t room = 60000;
    char *body = mem_alloc(room);
    struct gw_result r;
    struct gw_attempt at[GW_MAX_ATTEMPTS];
    (void)gw_dest(g, "d1", "*", "");
    (void)snprintf(
        body, room,
        "{\"id\":\"e1\",\"tenant_id\":\"acme\",\"data\":{},\"metadata\":{\"a\":\"%050000d\"}}", 1);
    gw_publish(g, &r, body);
    mem_free(body);
    assert_int_equal(r.rc, 0);
    gw_wait_done(g, &r);
    gw_forget(&r);
    const uint64_t seq = fx_find_idempotency(g->fx->store, STR("acme"), STR("e1"));
    assert_int_equal(ended(g, seq, at), 1);
    assert_string_equal(at[0].code, "event_unfit");
    assert_string_equal(at[0].error, "the event's headers are too long");
}

/* Without memory for fresh events they are read back from the store. */
static void test_no_fresh_memory(void **state)
{
    struct gateway *g = *state;
    struct gw_attempt at[GW_MAX_ATTEMPTS];
    g->cfg.fresh_memory = 0;
    deliver_reload(g->deliver, &g->cfg);
    (void)gw_dest(g, "d1", "*", "");
    (void)gw_dest(g, "d2", "*", "");
    gw_wait_pending(g, 0);
    const uint64_t seq = gw_event(g, "e1");
    gw_wait_pending(g, 0);
    assert_int_equal(gw_attempts(g, seq, at), 2);
    assert_true(at[0].success && at[1].success);
    assert_str(g->out.hits[0].body, "{\"n\":1}");
    assert_str(g->out.hits[1].body, "{\"n\":1}");
}

static void test_caps(void **state)
{
    struct gateway *g = *state;
    ob_script(&g->out, hold_all, 1);
    g->cfg.initial_inflight = 3;
    deliver_reload(g->deliver, &g->cfg);
    (void)gw_dest(g, "d1", "*", "");
    for (int i = 0; i < 8; i++) {
        char id[16];
        (void)snprintf(id, sizeof(id), "e%d", i);
        (void)gw_event(g, id);
    }
    ob_wait_hits(&g->out, 3);
    wait_ms(g->fx->loop, 20);
    assert_int_equal(g->out.n_hits, 3);
    assert_int_equal(deliver_n_inflight(g->deliver), 3);
    for (size_t i = 0; i < 8; i++) {
        ob_wait_hits(&g->out, i + 1);
        ob_answer(&g->out, i, 200);
    }
    gw_wait_pending(g, 0);
}

static void test_drain(void **state)
{
    struct gateway *g = *state;
    ob_script(&g->out, hold_all, 1);
    (void)gw_dest(g, "d1", "*", "");
    (void)gw_event(g, "e1");
    gw_wait(g, is_inflight, g, "in flight");
    ob_wait_hits(&g->out, 1);
    deliver_drain(g->deliver);
    (void)gw_event(g, "e2");
    wait_ms(g->fx->loop, 20);
    assert_int_equal(g->out.n_hits, 1);
    assert_int_equal(gw_pending(g), 2);
    ob_answer(&g->out, 0, 200);
    gw_wait(g, none_inflight, g, "drained");
    assert_int_equal(gw_pending(g), 1);
}

#define WITH_GW(test) cmocka_unit_test_setup_teardown(test, gw_setup, gw_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_GW(test_retry_then_success),
        WITH_GW(test_exhausted),
        WITH_GW(test_schedule),
        WITH_GW(test_not_eligible),
        WITH_GW(test_gone),
        WITH_GW(test_retry_after),
        WITH_GW(test_disabled),
        WITH_GW(test_deleted),
        WITH_GW(test_deleted_in_other_states),
        WITH_GW(test_manual_retry),
        WITH_GW(test_manual_retry_in_flight),
        WITH_GW(test_breaker),
        WITH_GW(test_disabled_when_hopeless),
        WITH_GW(test_invalid_destination),
        WITH_GW(test_unfit_event),
        WITH_GW(test_no_fresh_memory),
        WITH_GW(test_caps),
        WITH_GW(test_drain),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
