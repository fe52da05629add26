/* SPDX-License-Identifier: Apache-2.0 */
/* Caps, queues, expiry, cancel and close. */
#include "client_peer.h"

#include <stdio.h>
#include <string.h>

#include "longline/check.h"

#define MANY 24

/* Holds requests back until the test lets them go. */
static void hold(struct peer *p, struct peer_conn *pc, struct str request)
{
    (void)p;
    (void)pc;
    (void)request;
}

/* Answers the oldest `n` connections that hold a request. */
static void answer_all(struct world *w)
{
    for (size_t i = 0; i < w->peer.n_conns; i++) {
        struct peer_conn *pc = &w->peer.conns[i];
        if (pc->fd >= 0 && pc->n_requests > 0) {
            pc->n_requests = 0;
            peer_send(pc, OK_RESPONSE);
        }
    }
}

static struct http_client_stats stats_of(const struct world *w)
{
    struct http_client_stats s;
    http_client_stats(w->client, &s);
    return s;
}

static void test_cap_per_origin_and_order(void **state)
{
    struct world *w = *state;
    struct outcome o[MANY] = {{0}};
    int n_done = 0;

    w->cfg.max_connections_per_origin = 3;
    world_reload(w);
    for (size_t i = 0; i < MANY; i++) {
        o[i].counter = &n_done;
        post(w, &o[i], "x");
    }
    assert_int_equal(stats_of(w).n_waiting, MANY - 3);
    world_wait_n(w, &n_done, MANY);
    assert_int_equal(w->peer.n_conns, 3);
    for (size_t i = 0; i < MANY; i++) {
        assert_ok(&o[i]);
        /* Connections overtake one another by less than their number. */
        assert_true(o[i].order + 3 > (int)i && o[i].order < (int)i + 1 + 3);
    }
    assert_int_equal(stats_of(w).n_waiting, 0);
    world_wait_stats(w, 3, 3);
}

static void test_strict_order_on_one_connection(void **state)
{
    struct world *w = *state;
    struct outcome o[MANY] = {{0}};
    int n_done = 0;
    w->cfg.max_connections_per_origin = 1;
    world_reload(w);
    for (size_t i = 0; i < MANY; i++) {
        o[i].counter = &n_done;
        post(w, &o[i], "x");
    }
    world_wait_n(w, &n_done, MANY);
    for (size_t i = 0; i < MANY; i++) {
        assert_ok(&o[i]);
        assert_int_equal(o[i].order, i + 1);
    }
    assert_int_equal(w->peer.n_conns, 1);
}

static void test_global_cap(void **state)
{
    struct world *w = *state;
    struct outcome o[MANY] = {{0}};
    char host[16];
    int n_done = 0;
    w->cfg.max_connections = 4;
    world_reload(w);
    for (size_t i = 0; i < MANY; i++) { /* more origins than connections */
        (void)snprintf(host, sizeof(host), "127.0.0.%u", (unsigned)(1 + i % 8));
        o[i].counter = &n_done;
        post_to(w, &o[i], host, "x");
    }
    world_wait_n(w, &n_done, MANY);
    for (size_t i = 0; i < MANY; i++) {
        assert_ok(&o[i]);
    }
    assert_true(w->peer.max_open <= 4 + 1); /* the peer sees an end a little later */
    assert_true(stats_of(w).n_open <= 4);
}

/* A busy origin that owns all connections must give one to a newcomer at its next chance. */
static void test_flood_does_not_starve_newcomer(void **state)
{
    struct world *w = *state;
    struct outcome flood[MANY] = {{0}};
    struct outcome other = {0};
    int n_done = 0;
    w->cfg.max_connections = 2;
    world_reload(w);
    for (size_t i = 0; i < MANY; i++) {
        flood[i].counter = &n_done;
        post_to(w, &flood[i], "127.0.0.1", "x");
    }
    other.counter = &n_done;
    post_to(w, &other, "127.0.0.2", "x");
    world_wait_n(w, &n_done, MANY + 1);
    assert_ok(&other);
    assert_true(other.order <= 8);
    for (size_t i = 0; i < MANY; i++) {
        assert_ok(&flood[i]);
    }
}

static void test_idle_connection_makes_room(void **state)
{
    struct world *w = *state;
    struct outcome o[2] = {{0}, {0}};
    w->cfg.max_connections = 1;
    world_reload(w);
    post_to(w, &o[0], "127.0.0.1", "x");
    world_wait(w, &o[0]);
    world_wait_stats(w, 1, 1);
    post_to(w, &o[1], "127.0.0.2", "x");
    world_wait(w, &o[1]);
    assert_ok(&o[1]);
    world_wait_stats(w, 1, 1);
}

static void test_host_case_is_one_origin(void **state)
{
    struct world *w = *state;
    struct outcome o[2] = {{0}, {0}};
    post_to(w, &o[0], "localhost", "x");
    world_wait(w, &o[0]);
    post_to(w, &o[1], "LocalHost", "x");
    world_wait(w, &o[1]);
    assert_ok(&o[1]);
    assert_true(o[1].reused);
}

static void test_last_used_first(void **state)
{
    struct world *w = *state;
    struct outcome o[3] = {{0}};
    w->peer.on_request = hold;
    post(w, &o[0], "x");
    post(w, &o[1], "x");
    world_wait_n(w, &w->peer.n_requests, 2);
    const int second = w->peer.last_conn;
    peer_send(&w->peer.conns[1 - second], OK_RESPONSE);
    world_wait_stats(w, 2, 1);
    peer_send(&w->peer.conns[second], OK_RESPONSE);
    world_wait_stats(w, 2, 2);
    w->peer.on_request = NULL;
    post(w, &o[2], "x");
    world_wait(w, &o[2]);
    assert_int_equal(w->peer.last_conn, second);
}

static void test_idle_expiry(void **state)
{
    struct world *w = *state;
    struct outcome o = {0};
    w->cfg.idle_timeout_ms = 40;
    world_reload(w);
    world_freeze(w);
    post(w, &o, "x");
    world_wait(w, &o);
    world_advance(w, 39);
    world_settle(w, 3);
    world_wait_stats(w, 1, 1);
    world_thaw(w);
    world_wait_stats(w, 0, 0);
}

static void test_reload_shortens_idle(void **state)
{
    struct world *w = *state;
    struct outcome o[2] = {{0}, {0}};
    w->peer.on_request = hold;
    post(w, &o[0], "x");
    post(w, &o[1], "x");
    world_wait_n(w, &w->peer.n_requests, 2);
    answer_all(w);
    world_wait_stats(w, 2, 2);
    w->cfg.max_idle = 1;
    world_reload(w);
    world_wait_stats(w, 1, 1);
    w->cfg.idle_timeout_ms = 10;
    world_reload(w);
    world_wait_stats(w, 0, 0);
}

static void test_max_idle(void **state)
{
    struct world *w = *state;
    struct outcome o[4] = {{0}};
    int n_done = 0;
    w->cfg.max_idle = 2;
    world_reload(w);
    w->peer.on_request = hold;
    for (size_t i = 0; i < 4; i++) {
        o[i].counter = &n_done;
        post(w, &o[i], "x");
    }
    world_wait_n(w, &w->peer.n_requests, 4);
    answer_all(w);
    world_wait_n(w, &n_done, 4);
    world_wait_stats(w, 2, 2);
    w->cfg.max_idle = 0;
    world_reload(w);
    world_wait_stats(w, 0, 0);
}

static void test_max_uses_and_age(void **state)
{
    struct world *w = *state;
    w->cfg.max_uses = 3;
    world_reload(w);
    for (int i = 0; i < 6; i++) {
        struct outcome o = {0};
        post(w, &o, "x");
        world_wait(w, &o);
        assert_ok(&o);
        assert_int_equal(o.reused, i % 3 != 0);
    }
    assert_int_equal(w->peer.n_conns, 2);
    w->cfg.max_age_ms = 0;
    world_reload(w);
    for (int i = 0; i < 2; i++) {
        struct outcome o = {0};
        post(w, &o, "x");
        world_wait(w, &o);
        assert_false(o.reused);
    }
}

static void test_new_policy_drops_connections(void **state)
{
    struct world *w = *state;
    struct outcome o[3] = {{0}};
    struct egress_policy stricter = w->policy;

    post(w, &o[0], "x");
    world_wait(w, &o[0]);
    w->peer.on_request = hold;
    post(w, &o[1], "x");
    world_wait_n(w, &w->peer.n_requests, 2);
    stricter.version++;
    dialer_set_policy(w->dialer, &stricter);
    answer_all(w); /* busy during the change: finished, but not kept */
    world_wait(w, &o[1]);
    assert_ok(&o[1]);
    world_wait_stats(w, 0, 0);
    stricter.version++;
    stricter.allow_loopback = false;
    post(w, &o[2], "x");
    world_wait(w, &o[2]);
    assert_error(&o[2], ERR_BLOCKED);
    dialer_set_policy(w->dialer, &w->policy);
}

static void test_timeout_in_queue(void **state)
{
    struct world *w = *state;
    struct outcome o[2] = {{0}, {0}};
    w->cfg.max_connections_per_origin = 1;
    world_reload(w);
    w->peer.on_request = hold;
    post(w, &o[0], "x");
    w->cfg.total_timeout_ms = 50;
    world_reload(w);
    post(w, &o[1], "x");
    world_wait(w, &o[1]);
    assert_error(&o[1], ERR_BUSY);
    assert_non_null(strstr(o[1].err.msg, "busy"));
    assert_int_equal(o[0].n_done, 0);
    answer_all(w);
    world_wait(w, &o[0]);
    assert_ok(&o[0]);
}

/* One exchange on a warm connection, one that dials, one that waits; after n steps each in turn is
 * canceled. The others must end well. */
static void run_cancel(struct world *w, size_t victim, int n_steps)
{
    struct outcome warm = {0};
    struct outcome o[3] = {{0}};
    struct http_exchange *x[3];

    post(w, &warm, "x");
    world_wait(w, &warm);
    for (size_t i = 0; i < 3; i++) {
        x[i] = post(w, &o[i], "x");
    }
    for (int i = 0; i < n_steps && o[victim].n_done == 0; i++) {
        world_step(w);
    }
    const bool canceled = o[victim].n_done == 0;
    if (canceled) {
        http_exchange_cancel(x[victim]);
    }
    for (size_t i = 0; i < 3; i++) {
        if (i != victim || !canceled) {
            world_wait(w, &o[i]);
            assert_ok(&o[i]);
        }
    }
    world_settle(w, 2);
    assert_int_equal(o[victim].n_done, canceled ? 0 : 1);
    assert_int_equal(stats_of(w).n_waiting, 0);
    assert_int_equal(stats_of(w).n_open, stats_of(w).n_idle);
}

static void test_cancel_at_every_step(void **state)
{
    for (size_t victim = 0; victim < 3; victim++) {
        for (int n = 0; n <= 12; n++) {
            void *inner = NULL;
            assert_int_equal(world_setup(&inner), 0);
            struct world *w = inner;
            w->cfg.max_connections_per_origin = 2;
            world_reload(w);
            run_cancel(w, victim, n);
            assert_int_equal(world_teardown(&inner), 0);
        }
    }
    (void)state;
}

static void test_cancel_within_response(void **state)
{
    struct world *w = *state;
    struct outcome o = {0};
    w->peer.on_request = hold;
    struct http_exchange *x = post(w, &o, "x");
    world_wait_n(w, &w->peer.n_requests, 1);
    peer_send(&w->peer.conns[0], "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
    world_settle(w, 5);
    http_exchange_cancel(x);
    world_wait_stats(w, 0, 0);
    assert_int_equal(o.n_done, 0);
}

/* A failure is queued for the next turn; canceling in between must still silence it. */
static void test_cancel_of_failed_exchange(void **state)
{
    struct world *w = *state;
    struct outcome o = {0};
    struct url url;
    const struct http_header bad = {STR("a b"), STR("c")};
    assert_int_equal(url_parse(&url, STR("http://127.0.0.1:9/"), NULL), 0);
    struct http_exchange *x =
        send_request(w, &o,
                     &(struct http_client_request){
                         .method = HTTP_METHOD_GET, .url = &url, .headers = &bad, .n_headers = 1});
    http_exchange_cancel(x);
    world_settle(w, 5);
    assert_int_equal(o.n_done, 0);
}

struct canceler {
    struct http_exchange *other;
    int n_done;
};

static void cancel_other(void *ctx, const struct http_client_result *r)
{
    struct canceler *c = ctx;
    assert_int_equal(r->status, 200);
    c->n_done++;
    http_exchange_cancel(c->other);
}

static void test_cancel_from_other_callback(void **state)
{
    struct world *w = *state;
    struct outcome o = {0};
    struct canceler c = {0};
    char text[64];
    struct url url;
    w->cfg.max_connections_per_origin = 1;
    world_reload(w);
    (void)snprintf(text, sizeof(text), "http://127.0.0.1:%u/", (unsigned)w->peer.port);
    assert_int_equal(url_parse(&url, str_c(text), NULL), 0);
    http_exchange_start(w->client,
                        &(struct http_client_request){.method = HTTP_METHOD_POST, .url = &url},
                        cancel_other, &c);
    /* It gets the connection just before the callback that cancels it. */
    c.other = post(w, &o, "x");
    world_wait_n(w, &c.n_done, 1);
    world_wait_stats(w, 0, 0);
    assert_int_equal(o.n_done, 0);
}

static void on_closed(void *ctx)
{
    int *n = ctx;
    (*n)++;
}

static void test_close_at_every_step(void **state)
{
    for (int n = 0; n <= 14; n++) {
        void *inner = NULL;
        struct outcome o[6] = {{0}};
        assert_int_equal(world_setup(&inner), 0);
        struct world *w = inner;
        w->cfg.max_connections_per_origin = 2;
        w->cfg.max_connections = 3;
        world_reload(w);
        for (size_t i = 0; i < 6; i++) {
            post_to(w, &o[i], i < 4 ? "127.0.0.1" : "127.0.0.2", "x");
        }
        for (int i = 0; i < n; i++) {
            world_step(w);
        }
        http_client_close(w->client, on_closed, &w->n_closed);
        assert_int_equal(w->n_closed, 0);
        w->client = NULL;
        world_wait_n(w, &w->n_closed, 1);
        for (size_t i = 0; i < 6; i++) {
            assert_int_equal(o[i].n_done, 1);
            assert_true(o[i].status == 200 || o[i].err.code == ERR_CANCELED);
            assert_true(n > 0 || o[i].err.code == ERR_CANCELED);
        }
        assert_int_equal(world_teardown(&inner), 0);
    }
    (void)state;
}

struct closer {
    struct world *w;
    int n_done;
};

static void close_in_done(void *ctx, const struct http_client_result *r)
{
    struct closer *c = ctx;
    (void)r;
    c->n_done++;
    if (c->w->client != NULL) {
        struct http_client *client = c->w->client;
        c->w->client = NULL;
        http_client_close(client, on_closed, &c->w->n_closed);
        assert_int_equal(c->w->n_closed, 0);
    }
}

static void run_close_in_done(struct world *w, const char *url_format)
{
    struct closer c = {.w = w};
    char text[64];
    struct url url;
    (void)snprintf(text, sizeof(text), "http://127.0.0.1:%s/", url_format);
    assert_int_equal(url_parse(&url, str_c(text), NULL), 0);
    for (int i = 0; i < 3; i++) {
        http_exchange_start(w->client,
                            &(struct http_client_request){.method = HTTP_METHOD_POST, .url = &url},
                            close_in_done, &c);
    }
    world_wait_n(w, &w->n_closed, 1);
    assert_int_equal(c.n_done, 3);
}

static void test_close_within_done(void **state)
{
    struct world *w = *state;
    char port[8];
    (void)snprintf(port, sizeof(port), "%u", (unsigned)w->peer.port);
    run_close_in_done(w, port);
}

static void test_close_within_failed_done(void **state)
{
    run_close_in_done(*state, "1"); /* refused */
}

static void test_start_while_closing(void **state)
{
    struct world *w = *state;
    struct outcome o[2] = {{0}, {0}};
    struct http_client *c = w->client;
    post(w, &o[0], "x");
    http_client_close(c, on_closed, &w->n_closed);
    post(w, &o[1], "x");
    w->client = NULL;
    world_wait_n(w, &w->n_closed, 1);
    assert_error(&o[0], ERR_CANCELED);
    assert_error(&o[1], ERR_CANCELED);
}

#define WITH_WORLD(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORLD(test_cap_per_origin_and_order),
        WITH_WORLD(test_strict_order_on_one_connection),
        WITH_WORLD(test_global_cap),
        WITH_WORLD(test_flood_does_not_starve_newcomer),
        WITH_WORLD(test_idle_connection_makes_room),
        WITH_WORLD(test_host_case_is_one_origin),
        WITH_WORLD(test_last_used_first),
        WITH_WORLD(test_idle_expiry),
        WITH_WORLD(test_reload_shortens_idle),
        WITH_WORLD(test_max_idle),
        WITH_WORLD(test_max_uses_and_age),
        WITH_WORLD(test_new_policy_drops_connections),
        WITH_WORLD(test_timeout_in_queue),
        cmocka_unit_test(test_cancel_at_every_step),
        WITH_WORLD(test_cancel_within_response),
        WITH_WORLD(test_cancel_of_failed_exchange),
        WITH_WORLD(test_cancel_from_other_callback),
        cmocka_unit_test(test_close_at_every_step),
        WITH_WORLD(test_close_within_done),
        WITH_WORLD(test_close_within_failed_done),
        WITH_WORLD(test_start_while_closing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
