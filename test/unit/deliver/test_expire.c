/* SPDX-License-Identifier: Apache-2.0 */
/* What is owed and older than the retention ends with a record, whatever holds it back. */
#include "gateway.h"

#include <string.h>

#include "test_wait.h"

#define HOUR_MS  ((int64_t)3600 * 1000)
#define DAY_MS   (24 * HOUR_MS)
#define MANY     650 /* more than three slices */
#define GONE_SEQ 5

static const struct ob_reply fail_all[] = {{.status = 500}};

/* The marks stand a 32nd of the retention apart: first one is taken above all rows. */
static void grow_old(struct gateway *g, int64_t ms)
{
    fx_pass(g->fx, DAY_MS / 4);
    fx_turns(g->fx, 1200);
    fx_pass(g->fx, ms - DAY_MS / 4);
}

static bool all_failed_once(void *ctx)
{
    const struct gateway *g = ctx;
    return deliver_get_metrics(g->deliver)->attempts_failed.value == 2;
}

struct goal {
    struct gateway *g;
    uint64_t seq;
};

static bool is_gone(void *ctx)
{
    const struct goal *goal = ctx;
    struct fixture *fx = goal->g->fx;
    struct event_record e;
    assert_int_equal(store_read_begin(fx->store), 0);
    const int rc = store_get_event(fx->store, goal->seq, &fx->arena, &e);
    store_read_end(fx->store);
    arena_reset(&fx->arena);
    return rc == ERR_NOT_FOUND;
}

static size_t expired(struct gateway *g, uint64_t seq)
{
    struct gw_attempt at[GW_MAX_ATTEMPTS];
    const size_t n = gw_attempts(g, seq, at);
    size_t n_expired = 0;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(at[i].code, "expired") == 0) {
            n_expired++;
            assert_true(at[i].final && !at[i].success);
            assert_int_equal(at[i].number, 2);
            assert_int_equal(at[i].http_status, 0);
            assert_int_equal(at[i].next_at_ms, 0);
            assert_non_null(strstr(at[i].error, "store.retention"));
            assert_true(strcmp(at[i].dest_id, "waits") == 0 || strcmp(at[i].dest_id, "held") == 0);
        }
    }
    return n_expired;
}

/* One destination waits for its next attempt, another is disabled; a young event is left alone. */
static void test_waiting_and_held(void **state)
{
    struct gateway *g = *state;
    g->cfg.retry_interval_ms = 60 * DAY_MS;
    g->cfg.retry_max_delay_ms = 60 * DAY_MS;
    deliver_reload(g->deliver, &g->cfg);
    ob_script(&g->out, fail_all, 1);
    (void)gw_dest(g, "waits", "*", "");
    (void)gw_dest(g, "held", "*", "");
    const uint64_t old = gw_event(g, "old");
    gw_wait(g, all_failed_once, g, "the first attempts");
    gw_set_disabled(g, "held", true);
    grow_old(g, 6 * DAY_MS);
    const uint64_t young = gw_event(g, "young"); /* for the one that is enabled */
    fx_turns(g->fx, 1200);
    assert_int_equal(gw_pending(g), 3);
    assert_int_equal(expired(g, old), 0);
    fx_pass(g->fx, 2 * DAY_MS);
    gw_wait_pending(g, 1);
    assert_int_equal(expired(g, old), 2);
    assert_int_equal(gw_retries(g), 1);
    assert_int_equal(deliver_get_metrics(g->deliver)->failed.value, 2);
    struct goal goal = {g, old};
    gw_wait(g, is_gone, &goal, "the purge of the event");
    assert_int_equal(expired(g, old), 2); /* the records have a retention of their own */
    goal.seq = young;
    assert_false(is_gone(&goal));
}

/* More than a slice, found again after a restart; what is owed of an event that is not there is
 * recorded as well. */
static void test_many(void **state)
{
    struct gateway *g = *state;
    uint64_t seqs[MANY];
    const uint32_t num = gw_dest(g, "held", "*", "");
    gw_set_disabled(g, "held", true);
    for (size_t i = 0; i < MANY; i++) {
        seqs[i] = fx_put_event(g->fx, &(struct fx_event){.tenant = "acme", .n_data = 10});
        store_put_retry(g->fx->store,
                        &(struct retry_record){.event_seq = seqs[i], .dest_num = num, .number = 2});
    }
    store_put_retry(g->fx->store,
                    &(struct retry_record){.event_seq = GONE_SEQ, .dest_num = num, .number = 2});
    fx_commit(g->fx);
    gw_reopen(g);
    assert_int_equal(gw_pending(g), MANY + 1);
    fx_turns(g->fx, 1200);
    grow_old(g, 8 * DAY_MS);
    gw_wait_pending(g, 0);
    assert_int_equal(gw_retries(g), 0);
    for (size_t i = 0; i < MANY; i += 50) {
        assert_int_equal(expired(g, seqs[i]), 1);
    }
    assert_int_equal(expired(g, GONE_SEQ), 1);
    assert_int_equal(deliver_get_metrics(g->deliver)->attempts_failed.value, MANY + 1);
    assert_int_equal(deliver_get_metrics(g->deliver)->failed.value, MANY + 1);
}

/* In flight whenever the walk looks at it: it ends when the attempt does. */
static void test_in_flight(void **state)
{
    static const struct ob_reply keep[] = {{.status = 0}};
    struct gateway *g = *state;
    g->cfg.retry_interval_ms = 1;
    g->cfg.retry_max_delay_ms = 1;
    g->cfg.retry_limit = 1000;
    deliver_reload(g->deliver, &g->cfg);
    ob_script(&g->out, keep, 1);
    (void)gw_dest(g, "waits", "*", "");
    const uint64_t seq = gw_event(g, "old");
    ob_wait_hits(&g->out, 1);
    g->fx->cfg.retention_ms = 20000; /* less than the time for an attempt */
    store_reload(g->fx->store, &g->fx->cfg);
    fx_turns(g->fx, 1200); /* for a mark */
    fx_pass(g->fx, 30000);
    fx_turns(g->fx, 1200);
    assert_int_equal(g->out.n_hits, 1);
    assert_int_equal(gw_pending(g), 1);
    ob_answer(&g->out, 0, 500);
    gw_wait_pending(g, 0);
    assert_int_equal(g->out.n_hits, 1);
    assert_int_equal(expired(g, seq), 1);
    assert_int_equal(gw_retries(g), 0);
}

#define WITH_GW(test) cmocka_unit_test_setup_teardown(test, gw_setup, gw_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {WITH_GW(test_waiting_and_held), WITH_GW(test_many),
                                       WITH_GW(test_in_flight)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
