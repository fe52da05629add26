/* SPDX-License-Identifier: Apache-2.0 */
/* The resolver against a name server of the test's own; time is moved by hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "dns_server.h"
#include "longline/check.h"
#include "longline/dns.h"
#include "test_wait.h"

#define WAIT_MS    30000
#define TIMEOUT_MS 20000 /* never comes by itself */

static const struct dns_row rows[] = {
    {.name = "one.test", .addrs = {"192.0.2.1"}, .ttl = 60},
    {.name = "two.test",
     .addrs = {"192.0.2.1", "192.0.2.2", "2001:db8::1", "192.0.2.3"},
     .ttl = 60},
    {.name = "many.test",
     .addrs = {"192.0.2.1", "192.0.2.2", "192.0.2.3", "192.0.2.4", "192.0.2.5", "192.0.2.6",
               "192.0.2.7", "192.0.2.8", "192.0.2.9", "192.0.2.10"},
     .ttl = 60},
    {.name = "brief.test", .addrs = {"192.0.2.1"}, .ttl = 0},
    {.name = "long.test", .addrs = {"192.0.2.1"}, .ttl = 86400},
    {.name = "empty.test"},
    {.name = "fail.test", .rcode = 2},
    {.name = "silent.test", .silent = true},
    {.name = "silent2.test", .silent = true},
    {.name = NULL},
};

static const struct dns_row broken_rows[] = {
    {.name = "one.test", .rcode = 2},
    {.name = "long.test", .silent = true},
    {.name = NULL},
};

/* The real clock plus what the test added. */
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
    struct dns_result r;
    unsigned n_answers;
    bool answered;
    bool close_in_answer;
};

static void advance_s(struct fixture *f, int64_t s)
{
    shift_ns += s * 1000000000;
    loop_refresh(f->l);
}

static void on_dns_gone(void *ctx)
{
    struct fixture *f = ctx;
    f->dns_gone = true;
}

static void on_answer(void *ctx, const struct dns_result *r)
{
    struct fixture *f = ctx;
    LL_ASSERT(!f->dns_gone);
    f->r = *r;
    f->n_answers++;
    f->answered = true;
    if (f->close_in_answer) {
        f->close_in_answer = false;
        dns_close(f->d, on_dns_gone, f);
    }
}

static void open_fixture(struct fixture *f, const struct dns_options *given)
{
    memset(f, 0, sizeof(*f));
    shift_ns = 0;
    assert_int_equal(loop_open(&f->l, &shifted), 0);
    dns_server_open(&f->server, f->l, rows);
    struct dns_options o = {.timeout_ms = TIMEOUT_MS};
    if (given != NULL) {
        o = *given;
    }
    o.servers = f->server.addr;
    struct err_detail err;
    assert_int_equal(dns_open(&f->d, f->l, &o, &err), 0);
}

static void close_fixture(struct fixture *f, bool close_dns)
{
    if (close_dns) {
        dns_close(f->d, on_dns_gone, f);
        assert_false(f->dns_gone);
    }
    assert_true(wait_flag(f->l, &f->dns_gone, WAIT_MS));
    dns_server_close(&f->server);
    assert_true(wait_flag(f->l, &f->server.closed, WAIT_MS));
    loop_free(f->l);
}

/* Looks up and waits; the error of the answer. */
static int lookup(struct fixture *f, const char *name)
{
    f->answered = false;
    assert_non_null(dns_lookup(f->d, str_c(name), on_answer, f));
    assert_false(f->answered);
    assert_true(wait_flag(f->l, &f->answered, WAIT_MS));
    return f->r.err;
}

/* One that nobody answers: until its time is over. */
static int lookup_silent(struct fixture *f, const char *name)
{
    f->answered = false;
    assert_non_null(dns_lookup(f->d, str_c(name), on_answer, f));
    advance_s(f, TIMEOUT_MS / 1000 - 1);
    wait_ms(f->l, 5);
    assert_false(f->answered);
    advance_s(f, 2);
    assert_true(wait_flag(f->l, &f->answered, WAIT_MS));
    return f->r.err;
}

static const char *nth(struct fixture *f, size_t i)
{
    static char text[ADDR_TEXT_MAX];
    assert_true(i < f->r.n);
    (void)addr_format_ip(text, &f->r.addrs[i]);
    return text;
}

static void answers_both_families_interleaved(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f, NULL);
    assert_int_equal(lookup(&f, "two.test"), 0);
    assert_int_equal(f.r.n, 4);
    assert_string_equal(nth(&f, 0), "2001:db8::1");
    assert_string_equal(nth(&f, 1), "192.0.2.1");
    assert_string_equal(nth(&f, 3), "192.0.2.3");
    assert_int_equal(addr_port(&f.r.addrs[0]), 0);
    assert_int_equal(lookup(&f, "many.test"), 0);
    assert_int_equal(f.r.n, DNS_MAX_ADDRS);
    close_fixture(&f, true);
}

static void literals_and_localhost_ask_nobody(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f, NULL);
    assert_int_equal(lookup(&f, "192.0.2.7"), 0);
    assert_string_equal(nth(&f, 0), "192.0.2.7");
    assert_int_equal(lookup(&f, "[2001:db8::7]"), 0);
    assert_string_equal(nth(&f, 0), "2001:db8::7");
    assert_int_equal(lookup(&f, "LocalHost."), 0);
    assert_string_equal(nth(&f, 0), "::1");
    assert_string_equal(nth(&f, 1), "127.0.0.1");
    assert_int_equal(lookup(&f, "x.localhost"), 0);
    assert_int_equal(f.server.n_queries, 0);
    close_fixture(&f, true);
}

static void failures_are_told_apart(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f, NULL);
    assert_int_equal(lookup(&f, "nx.test"), ERR_DNS);
    assert_string_equal(f.r.msg, "host name does not exist");
    assert_int_equal(lookup(&f, "empty.test"), ERR_DNS);
    assert_int_equal(lookup(&f, "fail.test"), ERR_DNS);
    assert_non_null(strstr(f.r.msg, "name servers failed"));
    assert_int_equal(lookup_silent(&f, "silent.test"), ERR_TIMEOUT);
    assert_int_equal(f.r.n, 0);
    char name[300];
    memset(name, 'a', sizeof(name));
    name[299] = '\0';
    assert_int_equal(lookup(&f, name), ERR_DNS);
    assert_int_equal(lookup(&f, ""), ERR_DNS);
    assert_int_equal(lookup(&f, ".."), ERR_DNS);
    close_fixture(&f, true);
}

static void answers_are_cached_for_their_ttl(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f, NULL);
    assert_int_equal(lookup(&f, "one.test"), 0);
    const unsigned first = f.server.n_queries;
    assert_true(first > 0);
    assert_int_equal(lookup(&f, "ONE.test."), 0); /* the same name */
    advance_s(&f, 59);
    assert_int_equal(lookup(&f, "one.test"), 0);
    assert_int_equal(f.server.n_queries, first);
    advance_s(&f, 2);
    assert_int_equal(lookup(&f, "one.test"), 0);
    assert_int_equal(f.server.n_queries, 2 * first);
    close_fixture(&f, true);
}

static void ttl_has_bounds(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f, NULL);
    assert_int_equal(lookup(&f, "brief.test"), 0);
    assert_int_equal(lookup(&f, "long.test"), 0);
    const unsigned before = f.server.n_queries;
    advance_s(&f, 4);
    assert_int_equal(lookup(&f, "brief.test"), 0);
    assert_int_equal(f.server.n_queries, before);
    advance_s(&f, 290);
    assert_int_equal(lookup(&f, "long.test"), 0);
    assert_int_equal(f.server.n_queries, before);
    advance_s(&f, 10);
    assert_int_equal(lookup(&f, "long.test"), 0);
    assert_true(f.server.n_queries > before);
    close_fixture(&f, true);
}

static void failures_are_cached_for_a_moment(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f, NULL);
    assert_int_equal(lookup(&f, "nx.test"), ERR_DNS);
    const unsigned before = f.server.n_queries;
    assert_int_equal(lookup(&f, "nx.test"), ERR_DNS);
    assert_int_equal(f.server.n_queries, before);
    advance_s(&f, 6);
    assert_int_equal(lookup(&f, "nx.test"), ERR_DNS);
    assert_true(f.server.n_queries > before);
    close_fixture(&f, true);
}

static void old_answers_serve_while_servers_fail(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f, NULL);
    assert_int_equal(lookup(&f, "one.test"), 0);
    assert_int_equal(lookup(&f, "long.test"), 0);
    f.server.rows = broken_rows;
    advance_s(&f, 301);
    assert_int_equal(lookup(&f, "one.test"), 0); /* SERVFAIL */
    assert_string_equal(nth(&f, 0), "192.0.2.1");
    const unsigned before = f.server.n_queries;
    assert_int_equal(lookup(&f, "one.test"), 0);
    assert_int_equal(f.server.n_queries, before); /* not asked again at once */
    assert_int_equal(lookup_silent(&f, "long.test"), 0);
    advance_s(&f, 700);
    assert_int_equal(lookup(&f, "one.test"), ERR_DNS);
    f.server.rows = rows;
    advance_s(&f, 6);
    assert_int_equal(lookup(&f, "one.test"), 0);
    close_fixture(&f, true);
}

struct counter {
    unsigned n;
    int err;
};

static void count(void *ctx, const struct dns_result *r)
{
    struct counter *c = ctx;
    c->n++;
    c->err = r->err;
}

static bool three(void *ctx)
{
    return ((const struct counter *)ctx)->n == 3;
}

static void waiters_share_one_query(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f, NULL);
    struct counter c = {.n = 0};
    struct dns_query *q[4];
    for (int i = 0; i < 4; i++) {
        q[i] = dns_lookup(f.d, STR("one.test"), count, &c);
    }
    dns_cancel(q[1]);
    assert_true(wait_until(f.l, three, &c, WAIT_MS));
    assert_int_equal(f.server.n_queries, 2); /* A and AAAA */
    close_fixture(&f, true);
}

static void lookups_wait_for_a_slot(void **state)
{
    (void)state;
    struct fixture f;
    const struct dns_options o = {.timeout_ms = TIMEOUT_MS, .max_active = 1};
    open_fixture(&f, &o);
    struct counter c = {.n = 0};
    struct dns_query *q = dns_lookup(f.d, STR("silent.test"), count, &c);
    struct dns_query *one = dns_lookup(f.d, STR("one.test"), on_answer, &f);
    assert_false(dns_is_queued(q));
    assert_true(dns_is_queued(one));
    assert_int_equal(lookup(&f, "127.0.0.1"), 0);
    f.answered = false;
    advance_s(&f, TIMEOUT_MS / 1000 + 1);
    assert_true(wait_flag(f.l, &f.answered, WAIT_MS));
    assert_int_equal(f.r.err, 0);
    assert_int_equal(c.n, 1);
    assert_int_equal(c.err, ERR_TIMEOUT);
    close_fixture(&f, true);
}

static void cache_is_bounded(void **state)
{
    (void)state;
    struct fixture f;
    const struct dns_options o = {.timeout_ms = TIMEOUT_MS, .max_cache = 2};
    open_fixture(&f, &o);
    assert_int_equal(lookup(&f, "one.test"), 0);
    assert_int_equal(lookup(&f, "two.test"), 0);
    assert_int_equal(lookup(&f, "many.test"), 0);
    const unsigned before = f.server.n_queries;
    assert_int_equal(lookup(&f, "two.test"), 0);
    assert_int_equal(f.server.n_queries, before);
    assert_int_equal(lookup(&f, "one.test"), 0);
    assert_true(f.server.n_queries > before);
    close_fixture(&f, true);
}

static void may_be_closed_from_an_answer(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f, NULL);
    struct counter c = {.n = 0};
    (void)dns_lookup(f.d, STR("silent.test"), count, &c);
    f.close_in_answer = true;
    (void)dns_lookup(f.d, STR("one.test"), on_answer, &f);
    (void)dns_lookup(f.d, STR("one.test"), count, &c);
    assert_true(wait_flag(f.l, &f.answered, WAIT_MS));
    assert_int_equal(c.n, 2);
    assert_int_equal(c.err, ERR_CANCELED);
    close_fixture(&f, false);
}

static void close_and_cancel_at_every_step(void **state)
{
    (void)state;
    static const char *const names[] = {"one.test", "127.0.0.1", "silent.test", "nx.test"};
    for (size_t i = 0; i < LL_COUNT(names); i++) {
        for (int turns = 0; turns < 8; turns++) {
            struct fixture f;
            open_fixture(&f, NULL);
            struct counter c = {.n = 0};
            struct counter never = {.n = 0};
            (void)dns_lookup(f.d, str_c(names[i]), count, &c);
            struct dns_query *q = dns_lookup(f.d, STR("silent2.test"), count, &never);
            for (int k = 0; k < turns; k++) {
                (void)loop_turn(f.l, false);
            }
            dns_cancel(q);
            close_fixture(&f, true);
            assert_int_equal(c.n, 1);
            assert_int_equal(never.n, 0);
        }
    }
}

static void unusable_servers_are_refused(void **state)
{
    (void)state;
    struct loop *l = NULL;
    assert_int_equal(loop_open(&l, NULL), 0);
    struct dns *d = NULL;
    struct err_detail err;
    const struct dns_options o = {.servers = "not an address"};
    assert_int_equal(dns_open(&d, l, &o, &err), ERR_SYNTAX);
    assert_non_null(strstr(err.msg, "not an address"));
    loop_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_both_families_interleaved),
        cmocka_unit_test(literals_and_localhost_ask_nobody),
        cmocka_unit_test(failures_are_told_apart),
        cmocka_unit_test(answers_are_cached_for_their_ttl),
        cmocka_unit_test(ttl_has_bounds),
        cmocka_unit_test(failures_are_cached_for_a_moment),
        cmocka_unit_test(old_answers_serve_while_servers_fail),
        cmocka_unit_test(waiters_share_one_query),
        cmocka_unit_test(lookups_wait_for_a_slot),
        cmocka_unit_test(cache_is_bounded),
        cmocka_unit_test(may_be_closed_from_an_answer),
        cmocka_unit_test(close_and_cancel_at_every_step),
        cmocka_unit_test(unusable_servers_are_refused),
    };
    return cmocka_run_group_tests_name("net_dns", tests, NULL, NULL);
}
