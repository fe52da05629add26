/* SPDX-License-Identifier: Apache-2.0 */
/* Who may be looked up next, and what the resolver makes of it when names are stalled. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "dns_server.h"
#include "longline/check.h"
#include "longline/dial.h"
#include "longline/dns.h"
#include "net/dns_slots.h"
#include "test_wait.h"

#define WAIT_MS    30000
#define TIMEOUT_MS 20000 /* never comes by itself */
#define SUSPECT_MS 30000

/* ---- the slots alone ---- */

#define N_TURNS    32

struct queue {
    struct dns_slots s;
    struct dns_turn turns[N_TURNS];
};

static void enter(struct queue *q, size_t i, const char *name, int64_t now)
{
    dns_slots_wait(&q->s, &q->turns[i], str_c(name), now);
}

static void expect_next(struct queue *q, size_t i, int64_t now)
{
    assert_ptr_equal(dns_slots_next(&q->s, now), &q->turns[i]);
}

static void leave(struct queue *q, size_t i, bool timed_out, int64_t now)
{
    dns_slots_leave(&q->s, &q->turns[i], timed_out, now);
}

static void domains_take_turns(void **state)
{
    (void)state;
    struct queue q = {.turns = {{.group = NULL}}};
    dns_slots_init(&q.s, 12);
    enter(&q, 0, "a.flood.test", 0);
    enter(&q, 1, "b.flood.test", 0);
    enter(&q, 2, "x.c.flood.test", 0);
    enter(&q, 3, "d.flood.test", 0);
    enter(&q, 4, "other.test", 0);
    enter(&q, 5, "single", 0);
    expect_next(&q, 0, 0);
    expect_next(&q, 4, 0);
    expect_next(&q, 5, 0);
    expect_next(&q, 1, 0);
    expect_next(&q, 2, 0); /* and that is a quarter of the slots */
    assert_null(dns_slots_next(&q.s, 0));
    leave(&q, 4, false, 0);
    assert_null(dns_slots_next(&q.s, 0));
    leave(&q, 1, false, 0);
    expect_next(&q, 3, 0);
    for (size_t i = 0; i < 6; i++) {
        leave(&q, i, false, 0); /* also those that have left */
    }
    dns_slots_fini(&q.s);
}

static void stalled_domains_come_last_and_have_half(void **state)
{
    (void)state;
    struct queue q = {.turns = {{.group = NULL}}};
    char name[32];
    dns_slots_init(&q.s, 8);
    for (size_t i = 0; i < 8; i++) {
        (void)snprintf(name, sizeof(name), "x%zu.test", i);
        enter(&q, i, name, 0);
        expect_next(&q, i, 0);
    }
    assert_null(dns_slots_next(&q.s, 0));
    for (size_t i = 0; i < 8; i++) {
        leave(&q, i, true, 0);
    }
    for (size_t i = 0; i < 8; i++) {
        (void)snprintf(name, sizeof(name), "y.x%zu.test", i);
        enter(&q, 8 + i, name, 1);
    }
    enter(&q, 16, "clean.test", 1);
    expect_next(&q, 16, 1);
    for (size_t i = 0; i < 4; i++) {
        expect_next(&q, 8 + i, 1);
    }
    assert_null(dns_slots_next(&q.s, 1));
    enter(&q, 17, "late.test", 1);
    expect_next(&q, 17, 1);
    leave(&q, 8, true, 1);
    expect_next(&q, 12, 1);
    for (size_t i = 8; i < 18; i++) {
        leave(&q, i, false, 2);
    }
    assert_int_equal(q.s.n_used, 0);
    assert_int_equal(q.s.n_suspect, 0);
    /* Half a minute later nothing is held against them. */
    enter(&q, 0, "x2.test", 2 + SUSPECT_MS);
    enter(&q, 1, "clean.test", 2 + SUSPECT_MS);
    expect_next(&q, 0, 2 + SUSPECT_MS);
    leave(&q, 0, false, 2 + SUSPECT_MS);
    leave(&q, 1, false, 2 + SUSPECT_MS);
    dns_slots_fini(&q.s);
}

static void remembers_a_bounded_number_of_domains(void **state)
{
    (void)state;
    struct queue q = {.turns = {{.group = NULL}}};
    char name[32];
    dns_slots_init(&q.s, 2);
    for (unsigned i = 0; i < 3000; i++) {
        (void)snprintf(name, sizeof(name), "x%u.test", i);
        enter(&q, 0, name, 0);
        expect_next(&q, 0, 0);
        leave(&q, 0, true, 0);
    }
    assert_true(q.s.n_idle <= 1000);
    dns_slots_fini(&q.s);
}

/* ---- the resolver ---- */

static const struct dns_row rows[] = {
    {.name = "good.test", .addrs = {"192.0.2.1"}, .ttl = 5},
    {.name = "brief.test", .addrs = {"192.0.2.1"}, .ttl = 5},
    {.name = "a.stall.test", .silent = true},
    {.name = "b.stall.test", .silent = true},
    {.name = "c.stall.test", .silent = true},
    {.name = "d.stall.test", .silent = true},
    {.name = "silent1.test", .silent = true},
    {.name = "silent2.test", .silent = true},
    {.name = "silent3.test", .silent = true},
    {.name = "silent4.test", .silent = true},
    {.name = NULL},
};

static int64_t shift_ns;

static int64_t shifted_ns(void *ctx)
{
    (void)ctx;
    return clock_mono_ns(clock_system()) + shift_ns;
}

static const struct clock shifted = {.wall_ns = shifted_ns, .mono_ns = shifted_ns};

struct fixture {
    struct loop *l;
    struct dns_server server;
    struct dns *d;
    bool dns_gone;
};

struct answer {
    bool done;
    int err;
    size_t n;
};

static void on_answer(void *ctx, const struct dns_result *r)
{
    struct answer *a = ctx;
    LL_ASSERT(!a->done);
    *a = (struct answer){.done = true, .err = r->err, .n = r->n};
}

static void open_fixture(struct fixture *f, size_t max_active)
{
    memset(f, 0, sizeof(*f));
    shift_ns = 0;
    assert_int_equal(loop_open(&f->l, &shifted), 0);
    dns_server_open(&f->server, f->l, rows);
    const struct dns_options o = {
        .servers = f->server.addr, .timeout_ms = TIMEOUT_MS, .max_active = max_active};
    struct err_detail err;
    assert_int_equal(dns_open(&f->d, f->l, &o, &err), 0);
}

static void on_dns_gone(void *ctx)
{
    struct fixture *f = ctx;
    f->dns_gone = true;
}

static void close_fixture(struct fixture *f)
{
    dns_close(f->d, on_dns_gone, f);
    assert_true(wait_flag(f->l, &f->dns_gone, WAIT_MS));
    dns_server_close(&f->server);
    assert_true(wait_flag(f->l, &f->server.closed, WAIT_MS));
    loop_free(f->l);
}

static void advance_ms(struct fixture *f, int64_t ms)
{
    shift_ns += ms * 1000000;
    loop_refresh(f->l);
}

static struct dns_query *ask(struct fixture *f, const char *name, struct answer *a)
{
    *a = (struct answer){.done = false};
    return dns_lookup(f->d, str_c(name), on_answer, a);
}

static void wait_answer(struct fixture *f, struct answer *a, int err)
{
    assert_true(wait_flag(f->l, &a->done, WAIT_MS));
    assert_int_equal(a->err, err);
}

static void a_stalled_domain_does_not_block_others(void **state)
{
    (void)state;
    struct fixture f;
    struct answer stalled[4];
    struct answer good;
    open_fixture(&f, 4);
    (void)ask(&f, "a.stall.test", &stalled[0]);
    struct dns_query *b = ask(&f, "b.stall.test", &stalled[1]);
    struct dns_query *c = ask(&f, "c.stall.test", &stalled[2]);
    (void)ask(&f, "d.stall.test", &stalled[3]);
    assert_true(dns_is_queued(b)); /* one has its quarter of the slots */
    assert_true(dns_is_queued(c));
    (void)ask(&f, "good.test", &good);
    wait_answer(&f, &good, 0);
    dns_cancel(c);
    close_fixture(&f);
    assert_int_equal(stalled[0].err, ERR_CANCELED);
    assert_int_equal(stalled[1].err, ERR_CANCELED); /* queued ones are told too */
    assert_false(stalled[2].done);
    assert_int_equal(stalled[3].err, ERR_CANCELED);
}

static void slots_come_back_at_the_deadline(void **state)
{
    (void)state;
    struct fixture f;
    struct answer stalled[2];
    struct answer good;
    open_fixture(&f, 2);
    (void)ask(&f, "silent1.test", &stalled[0]);
    (void)ask(&f, "silent2.test", &stalled[1]);
    advance_ms(&f, TIMEOUT_MS / 2);
    struct dns_query *q = ask(&f, "good.test", &good);
    assert_true(dns_is_queued(q));
    advance_ms(&f, TIMEOUT_MS / 2 + 1);
    wait_answer(&f, &stalled[0], ERR_TIMEOUT);
    wait_answer(&f, &stalled[1], ERR_TIMEOUT);
    wait_answer(&f, &good, 0);
    /* For a moment the answer is known, and nobody is asked. */
    const unsigned asked = f.server.n_queries;
    (void)ask(&f, "silent1.test", &stalled[0]);
    wait_answer(&f, &stalled[0], ERR_TIMEOUT);
    assert_int_equal(f.server.n_queries, asked);
    close_fixture(&f);
}

static void waiting_ends_as_busy(void **state)
{
    (void)state;
    struct fixture f;
    struct answer first;
    struct answer second;
    struct answer third;
    open_fixture(&f, 1);
    (void)ask(&f, "silent1.test", &first);
    (void)ask(&f, "silent2.test", &second);
    (void)ask(&f, "silent3.test", &third);
    advance_ms(&f, TIMEOUT_MS - 1);
    wait_ms(f.l, 5);
    advance_ms(&f, 100);
    wait_answer(&f, &first, ERR_TIMEOUT);
    wait_answer(&f, &third, ERR_BUSY); /* nobody was asked, so nothing is known */
    assert_false(second.done);
    advance_ms(&f, TIMEOUT_MS + 1);
    wait_answer(&f, &second, ERR_TIMEOUT);
    close_fixture(&f);
}

static void old_answers_serve_while_slots_are_taken(void **state)
{
    (void)state;
    struct fixture f;
    struct answer stalled;
    struct answer good;
    open_fixture(&f, 1);
    (void)ask(&f, "good.test", &good);
    wait_answer(&f, &good, 0);
    advance_ms(&f, 6000);
    (void)ask(&f, "silent1.test", &stalled);
    (void)ask(&f, "good.test", &good);
    wait_answer(&f, &good, 0);
    assert_int_equal(good.n, 1);
    close_fixture(&f);
}

/* Twice as many lookups as slots run into their deadline while the library still waits for them. */
static void late_lookups_do_not_add_up(void **state)
{
    (void)state;
    static const char *const names[] = {"silent1.test", "silent2.test", "silent3.test",
                                        "silent4.test"};
    struct fixture f;
    struct answer a;
    struct answer good;
    open_fixture(&f, 2);
    for (size_t i = 0; i < LL_COUNT(names); i++) {
        (void)ask(&f, names[i], &a);
        (void)ask(&f, "good.test", &good);
        wait_answer(&f, &good, 0);
        advance_ms(&f, TIMEOUT_MS + 1);
        wait_answer(&f, &a, ERR_TIMEOUT);
    }
    close_fixture(&f);
}

static void timeout_can_be_changed(void **state)
{
    (void)state;
    struct fixture f;
    struct answer old;
    struct answer a;
    open_fixture(&f, 0);
    (void)ask(&f, "silent1.test", &old);
    wait_ms(f.l, 5);
    dns_set_timeout(f.d, 60 * TIMEOUT_MS);
    (void)ask(&f, "silent2.test", &a);
    advance_ms(&f, TIMEOUT_MS + 1);
    wait_answer(&f, &old, ERR_TIMEOUT); /* what was under way keeps its time */
    wait_ms(f.l, 5);
    assert_false(a.done);
    advance_ms(&f, 59 * TIMEOUT_MS);
    wait_answer(&f, &a, ERR_TIMEOUT);
    dns_set_timeout(f.d, 40);
    const int64_t start_ms = clock_mono_ns(clock_system()) / 1000000;
    (void)ask(&f, "silent3.test", &a);
    wait_answer(&f, &a, ERR_TIMEOUT);
    assert_true(clock_mono_ns(clock_system()) / 1000000 - start_ms >= 39);
    close_fixture(&f);
}

static void on_dial(void *ctx, const struct dial_result *r)
{
    struct answer *a = ctx;
    *a = (struct answer){.done = true, .err = r->err.code};
}

/* The dialer's timeout is the resolver's, also after a change. */
static void the_dialer_sets_the_timeout(void **state)
{
    (void)state;
    struct fixture f;
    struct answer a = {.done = false};
    open_fixture(&f, 0);
    const struct egress_policy policy = {.allow_http = true};
    const struct dialer_options o = {.dns = f.d, .policy = &policy, .dns_timeout_ms = TIMEOUT_MS};
    struct dialer *d = NULL;
    dialer_open(&d, f.l, &o);
    dialer_set_timeouts(d, 9 * TIMEOUT_MS, 0, 0);
    (void)dial_start(d, STR("silent1.test"), 80, false, on_dial, &a);
    advance_ms(&f, 8 * TIMEOUT_MS);
    wait_ms(f.l, 5);
    assert_false(a.done);
    advance_ms(&f, TIMEOUT_MS + 1);
    wait_answer(&f, &a, ERR_TIMEOUT);
    dialer_free(d);
    close_fixture(&f);
}

static void a_new_channel_asks_again(void **state)
{
    (void)state;
    struct fixture f;
    struct answer a;
    open_fixture(&f, 0);
    (void)ask(&f, "good.test", &a);
    dns_set_timeout(f.d, TIMEOUT_MS / 2); /* before the question has left */
    wait_answer(&f, &a, 0);
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(domains_take_turns),
        cmocka_unit_test(stalled_domains_come_last_and_have_half),
        cmocka_unit_test(remembers_a_bounded_number_of_domains),
        cmocka_unit_test(a_stalled_domain_does_not_block_others),
        cmocka_unit_test(slots_come_back_at_the_deadline),
        cmocka_unit_test(waiting_ends_as_busy),
        cmocka_unit_test(old_answers_serve_while_slots_are_taken),
        cmocka_unit_test(late_lookups_do_not_add_up),
        cmocka_unit_test(timeout_can_be_changed),
        cmocka_unit_test(the_dialer_sets_the_timeout),
        cmocka_unit_test(a_new_channel_asks_again),
    };
    return cmocka_run_group_tests_name("net_dns_slots", tests, NULL, NULL);
}
