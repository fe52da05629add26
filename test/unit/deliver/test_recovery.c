/* SPDX-License-Identifier: Apache-2.0 */
/* What is pending after a restart, whichever way the process ended. */
#include "gateway.h"

#include <stdio.h>

#include "test_wait.h"

static const struct ob_reply hold_all[] = {{.status = 0}};
static const struct ob_reply fail_all[] = {{.status = 500}};

/* The receiver has another port after gw_reopen. */
static void follow(struct gateway *g, const char *id)
{
    char url[96];
    ob_url(&g->out, url, "/");
    gw_set_url(g, id, url);
}

static bool one_failed(void *ctx)
{
    struct gateway *g = ctx;
    return deliver_get_metrics(g->deliver)->attempts_failed.value == 1;
}

static void test_fresh(void **state)
{
    struct gateway *g = *state;
    struct gw_attempt at[GW_MAX_ATTEMPTS];
    ob_script(&g->out, hold_all, 1);
    (void)gw_dest(g, "d1", "*", "");
    const uint64_t one = gw_event(g, "e1");
    ob_wait_hits(&g->out, 1);
    deliver_drain(g->deliver);
    const uint64_t two = gw_event(g, "e2"); /* never started */
    gw_reopen(g);
    assert_int_equal(gw_pending(g), 2);
    follow(g, "d1");
    gw_wait_pending(g, 0);
    assert_int_equal(g->out.n_hits, 2);
    assert_int_equal(gw_attempts(g, one, at), 1); /* the canceled one left no trace */
    assert_int_equal(at[0].number, 1);
    assert_true(at[0].success && at[0].final);
    assert_int_equal(gw_attempts(g, two, at), 1);
    assert_str(hit_header(&g->out.hits[0], "x-outpost-event-id"), "e1"); /* in their order */
    assert_str(g->out.hits[0].body, "{\"n\":1}");
    gw_reopen(g);
    assert_int_equal(gw_pending(g), 0);
}

/* Two destinations, one of which has it. */
static void test_half_resolved(void **state)
{
    struct gateway *g = *state;
    struct gw_attempt at[GW_MAX_ATTEMPTS];
    static const struct ob_reply script[] = {{.status = 200}, {.status = 0}};
    ob_script(&g->out, script, 2);
    (void)gw_dest(g, "d1", "*", "");
    (void)gw_dest(g, "d2", "*", "");
    const uint64_t seq = gw_event(g, "e1");
    ob_wait_hits(&g->out, 2);
    gw_wait_pending(g, 1);
    gw_reopen(g);
    assert_int_equal(gw_pending(g), 1);
    follow(g, "d1");
    follow(g, "d2");
    gw_wait_pending(g, 0);
    assert_int_equal(g->out.n_hits, 1);
    assert_int_equal(gw_attempts(g, seq, at), 2);
    assert_string_not_equal(at[0].dest_id, at[1].dest_id);
}

/* A planned retry keeps its number and its time. */
static void test_retry(void **state)
{
    struct gateway *g = *state;
    struct gw_attempt at[GW_MAX_ATTEMPTS];
    g->cfg.retry_interval_ms = 700;
    g->cfg.retry_max_delay_ms = 700;
    deliver_reload(g->deliver, &g->cfg);
    ob_script(&g->out, fail_all, 1);
    (void)gw_dest(g, "d1", "*", "");
    const uint64_t seq = gw_event(g, "e1");
    gw_wait(g, one_failed, g, "the first attempt");
    assert_int_equal(gw_attempts(g, seq, at), 1);
    const int64_t due_ms = at[0].next_at_ms;
    gw_reopen(g);
    follow(g, "d1");
    assert_int_equal(gw_pending(g), 1);
    gw_wait_pending(g, 0);
    assert_int_equal(gw_attempts(g, seq, at), 2);
    assert_int_equal(at[1].number, 2);
    assert_true(at[1].success && at[1].final);
    assert_true(at[1].time_ms >= due_ms - 2); /* two clocks, rounded */
    assert_int_equal(gw_retries(g), 0);
}

/* A wall clock that is set back while nothing runs does not make the retry late. */
static void test_retry_clock_back(void **state)
{
    struct gateway *g = *state;
    struct gw_attempt at[GW_MAX_ATTEMPTS];
    g->cfg.retry_interval_ms = 700;
    g->cfg.retry_max_delay_ms = 700;
    deliver_reload(g->deliver, &g->cfg);
    ob_script(&g->out, fail_all, 1);
    (void)gw_dest(g, "d1", "*", "");
    const uint64_t seq = gw_event(g, "e1");
    gw_wait(g, one_failed, g, "the first attempt");
    gw_close(g);
    g->fx->step_ms = -INT64_C(10) * 24 * 3600 * 1000;
    gw_open(g);
    follow(g, "d1");
    assert_int_equal(gw_pending(g), 1);
    gw_wait_pending(g, 0);
    assert_int_equal(gw_attempts(g, seq, at), 2);
    assert_true(at[1].success);
}

static void test_resolved(void **state)
{
    struct gateway *g = *state;
    static const struct ob_reply script[] = {{.status = 500}, {.status = 200}};
    ob_script(&g->out, script, 2);
    (void)gw_dest(g, "d1", "*", "");
    (void)gw_event(g, "e1");
    gw_wait_pending(g, 0);
    gw_reopen(g);
    assert_int_equal(gw_pending(g), 0);
    wait_ms(g->fx->loop, 20);
    assert_int_equal(g->out.n_hits, 0);
}

static void test_manual(void **state)
{
    struct gateway *g = *state;
    struct gw_attempt at[GW_MAX_ATTEMPTS];
    const uint32_t num = gw_dest(g, "d1", "*", "");
    const uint64_t seq = gw_event(g, "e1");
    gw_wait_pending(g, 0);
    deliver_drain(g->deliver);
    deliver_retry(g->deliver, seq, num, 2);
    gw_reopen(g);
    assert_int_equal(gw_pending(g), 1);
    follow(g, "d1");
    gw_wait_pending(g, 0);
    assert_int_equal(gw_attempts(g, seq, at), 2);
    assert_true(at[1].manual && at[1].final);
    assert_int_equal(at[1].number, 2);
}

static void test_deleted_destination(void **state)
{
    struct gateway *g = *state;
    struct gw_attempt at[GW_MAX_ATTEMPTS];
    (void)gw_dest(g, "d1", "*", "");
    deliver_drain(g->deliver);
    const uint64_t seq = gw_event(g, "e1");
    assert_int_equal(registry_del_dest(g->registry, STR("acme"), STR("d1")), 0);
    gw_reopen(g);
    gw_wait_pending(g, 0);
    assert_int_equal(gw_attempts(g, seq, at), 1);
    assert_string_equal(at[0].code, "destination_deleted");
    assert_string_equal(at[0].dest_id, "d1");
    assert_true(at[0].final);
}

static void test_disabled_destination(void **state)
{
    struct gateway *g = *state;
    (void)gw_dest(g, "d1", "*", "");
    deliver_drain(g->deliver);
    (void)gw_event(g, "e1");
    gw_set_disabled(g, "d1", true);
    gw_reopen(g);
    follow(g, "d1");
    wait_ms(g->fx->loop, 30);
    assert_int_equal(g->out.n_hits, 0);
    assert_int_equal(gw_pending(g), 1);
    gw_set_disabled(g, "d1", false);
    gw_wait_pending(g, 0);
    assert_int_equal(g->out.n_hits, 1);
}

/* ---- spill ---- */

static int64_t jump_ns;

static int64_t jumping_mono_ns(void *ctx)
{
    (void)ctx;
    return clock_mono_ns(clock_system()) + jump_ns;
}

static bool two_retries(void *ctx)
{
    return gw_retries(ctx) == 2;
}

/* Events that stay fresh for long get retry records, so that a restart need not scan back to them;
 * their deliveries go on as before. */
static void test_spill(void **state)
{
    struct gateway *g = *state;
    struct gw_attempt at[GW_MAX_ATTEMPTS];
    gw_close(g);
    jump_ns = 0;
    g->fx->clock.mono_ns = jumping_mono_ns;
    gw_open(g);
    (void)gw_dest(g, "d1", "*", "");
    deliver_drain(g->deliver);
    const uint64_t one = gw_event(g, "e1");
    const uint64_t two = gw_event(g, "e2");
    assert_int_equal(gw_retries(g), 0);
    assert_true(store_low(g->fx->store) <= one);
    jump_ns = INT64_C(11000000000);
    loop_refresh(g->fx->loop);
    gw_wait(g, two_retries, g, "the spill");
    assert_true(store_low(g->fx->store) > two);
    assert_int_equal(gw_pending(g), 2);
    gw_reopen(g);
    assert_int_equal(gw_pending(g), 2);
    follow(g, "d1");
    gw_wait_pending(g, 0);
    assert_int_equal(gw_attempts(g, one, at), 1);
    assert_int_equal(at[0].number, 1);
    assert_true(at[0].final);
    assert_int_equal(gw_attempts(g, two, at), 1);
    assert_int_equal(gw_retries(g), 0);
}

/* Closed at any turn: one delivery or more, and the end of it on record. */
static void test_close_at_every_turn(void **state)
{
    struct gateway *g = *state;
    static const struct ob_reply script[] = {{.status = 500}, {.status = 200}};
    ob_script(&g->out, script, 2);
    (void)gw_dest(g, "d1", "*", "");
    for (int turns = 0; turns < 25; turns++) {
        char id[16];
        struct gw_attempt at[GW_MAX_ATTEMPTS];
        (void)snprintf(id, sizeof(id), "e%d", turns);
        const uint64_t seq = gw_event(g, id);
        for (int i = 0; i < turns; i++) {
            (void)loop_turn(g->fx->loop, false);
        }
        gw_reopen(g);
        follow(g, "d1");
        gw_wait_pending(g, 0);
        const size_t n = gw_attempts(g, seq, at);
        assert_true(n >= 1 && n <= 2);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(at[i].number, i + 1);
            assert_int_equal(at[i].final, i == n - 1);
        }
        assert_true(at[n - 1].success);
        gw_reopen(g);
        ob_script(&g->out, script, 2);
        follow(g, "d1");
        assert_int_equal(gw_pending(g), 0);
    }
}

#define WITH_GW(test) cmocka_unit_test_setup_teardown(test, gw_setup, gw_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_GW(test_fresh),
        WITH_GW(test_half_resolved),
        WITH_GW(test_retry),
        WITH_GW(test_retry_clock_back),
        WITH_GW(test_resolved),
        WITH_GW(test_manual),
        WITH_GW(test_deleted_destination),
        WITH_GW(test_disabled_destination),
        WITH_GW(test_spill),
        WITH_GW(test_close_at_every_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
