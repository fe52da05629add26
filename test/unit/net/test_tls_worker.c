/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Whose handshake step is next, when there is none, and what the wait for it counts as. The one
 * worker is held inside a step while the queue is made, and the loop's clock moves by hand, so the
 * machine's speed decides nothing.
 */
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <mbedtls/ssl.h>

#include "longline/check.h"
#include "longline/dial.h"
#include "longline/log.h"
#include "longline/mem.h"
#include "net/tls_impl.h"
#include "test_certs.h"
#include "test_wait.h"

#define WAIT_MS 60000
#define N_CROWD 60
#define MS      INT64_C(1000000)
#define HOUR_MS INT64_C(3600000)

static int64_t now_ns;

static int64_t by_hand(void *ctx)
{
    (void)ctx;
    return now_ns;
}

static const struct clock still = {.wall_ns = by_hand, .mono_ns = by_hand};

/* A step that lasts until it is let go: it waits for its random bytes. */
struct held_step {
    mbedtls_ssl_config conf;
    sem_t begun;
    sem_t go;
};

/* A listener that takes connections and says nothing. */
struct fixture {
    struct loop *l;
    struct test_certs certs;
    struct tls_client *client;
    struct held_step held;
    int deaf;
    int near; /* a connection that it took */
    uint16_t port;
    bool flag;
};

static int wait_for_random(void *ctx, unsigned char *out, size_t n)
{
    struct held_step *h = ctx;
    memset(out, 0, n);
    (void)sem_post(&h->begun);
    while (sem_wait(&h->go) != 0) {
    }
    return MBEDTLS_ERR_SSL_INTERNAL_ERROR; /* which ends its handshake */
}

static void open_fixture(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    now_ns = HOUR_MS * MS;
    assert_int_equal(loop_open(&f->l, &still), 0);
    test_certs_make(&f->certs);
    const struct tls_client_options o = {.ca_file = f->certs.ca, .ca_only = true, .n_workers = 1};
    struct err_detail err;
    assert_int_equal(tls_client_open(&f->client, f->l, &o, &err), 0);
    mbedtls_ssl_config_init(&f->held.conf);
    assert_int_equal(mbedtls_ssl_config_defaults(&f->held.conf, MBEDTLS_SSL_IS_CLIENT,
                                                 MBEDTLS_SSL_TRANSPORT_STREAM,
                                                 MBEDTLS_SSL_PRESET_DEFAULT),
                     0);
    mbedtls_ssl_conf_rng(&f->held.conf, wait_for_random, &f->held);
    assert_int_equal(sem_init(&f->held.begun, 0, 0), 0);
    assert_int_equal(sem_init(&f->held.go, 0, 0), 0);
    union addr a;
    assert_int_equal(addr_parse(&a, STR("127.0.0.1:0")), 0);
    f->near = -1;
    f->deaf = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    socklen_t n = sizeof(a.v4);
    assert_int_equal(bind(f->deaf, &a.sa, n), 0);
    assert_int_equal(listen(f->deaf, 128), 0);
    assert_int_equal(getsockname(f->deaf, &a.sa, &n), 0);
    f->port = addr_port(&a);
}

static void close_fixture(struct fixture *f)
{
    (void)close(f->deaf);
    if (f->near >= 0) {
        (void)close(f->near);
    }
    tls_client_free(f->client);
    loop_free(f->l);
    test_certs_remove(&f->certs);
    mbedtls_ssl_config_free(&f->held.conf);
    (void)sem_destroy(&f->held.begun);
    (void)sem_destroy(&f->held.go);
}

/* A step that nobody waits for: the making of a client hello. */
static struct tls_conn *post_step(struct fixture *f, const char *host, bool hold)
{
    const struct tls_target to = {.host = str_c(host), .port = 443};
    struct tls_conn *c = tls_client_conn(f->client, &to);
    c->conf = hold ? &f->held.conf : c->conf;
    tls_workers_step(tls_client_workers(f->client), c);
    return c;
}

static void hold_worker(struct fixture *f)
{
    (void)post_step(f, "held.test", true);
    while (sem_wait(&f->held.begun) != 0) {
    }
}

static void let_worker_go(struct fixture *f)
{
    (void)sem_post(&f->held.go);
}

static void hosts_take_turns(void **state)
{
    (void)state;
    struct fixture f;
    struct tls_conn *crowd[N_CROWD];
    size_t n_before = 0;
    open_fixture(&f);
    hold_worker(&f);
    for (size_t i = 0; i < N_CROWD; i++) {
        crowd[i] = post_step(&f, "crowd.test", false);
    }
    struct tls_conn *other = post_step(&f, "other.test", false);
    let_worker_go(&f);
    while (atomic_load(&other->taken_ns) == 0) {
        (void)usleep(50);
    }
    for (size_t i = 0; i < N_CROWD; i++) {
        const int64_t taken_ns = atomic_load(&crowd[i]->taken_ns);
        n_before += taken_ns != 0 && taken_ns < other->taken_ns ? 1 : 0;
    }
    assert_int_equal(n_before, 1); /* the crowd's turn, and then the other's */
    close_fixture(&f);
}

/* ---- giving way ---- */

#define STEP_NS  (11 * MS)
#define BUSY_NS  (350 * MS)
#define SAVED_NS (250 * MS)

/* Each look finds one more. */
static int64_t preempted_again(void)
{
    static _Thread_local int64_t n;
    return n++;
}

/* A step that takes so much of the processor. */
static int burn(void *ctx, unsigned char *out, size_t n)
{
    (void)ctx;
    memset(out, 0, n);
    const int64_t end_ns = clock_thread_cpu_ns() + BUSY_NS;
    while (clock_thread_cpu_ns() < end_ns) {
    }
    return MBEDTLS_ERR_SSL_INTERNAL_ERROR;
}

static void nobody_wants_the_processor(void **state)
{
    (void)state;
    struct tls_pace p = {.saved_ns = 0};
    for (int64_t now = 0; now < HOUR_MS * MS; now += STEP_NS) {
        assert_int_equal(tls_pace_rest_ns(&p, now, STEP_NS, 0), 0);
    }
}

/* One after the other without end: what was saved up at once, and then a fifth of the time. */
static void others_want_the_processor(void **state)
{
    (void)state;
    struct tls_pace p = {.saved_ns = SAVED_NS};
    int64_t now = 0;
    int64_t busy = 0;
    int64_t before_rest = 0;
    while (now < 100 * SAVED_NS) {
        busy += STEP_NS;
        now += STEP_NS;
        const int64_t rest = tls_pace_rest_ns(&p, now, STEP_NS, 1);
        assert_in_range(rest, 0, 5 * STEP_NS);
        before_rest = before_rest == 0 && rest != 0 ? busy : before_rest;
        now += rest;
    }
    assert_in_range(before_rest, SAVED_NS, SAVED_NS * 5 / 4 + STEP_NS);
    assert_in_range(busy, now / 5, now / 5 + SAVED_NS + STEP_NS);
}

/* Less than a share of the time never rests, and idle time saves up no more than so much. */
static void clients_that_come_now_and_then(void **state)
{
    (void)state;
    struct tls_pace p = {.saved_ns = SAVED_NS};
    int64_t now = 0;
    for (int i = 0; i < 10000; i++) {
        now += 60 * MS;
        assert_int_equal(tls_pace_rest_ns(&p, now, STEP_NS, 1), 0);
    }
    now += HOUR_MS * MS;
    assert_int_equal(tls_pace_rest_ns(&p, now, SAVED_NS, 1), 0);
    assert_int_equal(tls_pace_rest_ns(&p, now, STEP_NS, 1), 5 * STEP_NS);
}

static void a_thread_that_gives_way_rests(void **state)
{
    (void)state;
    struct fixture f;
    struct tls_workers *w = NULL;
    struct tls_conn *steps[2];
    open_fixture(&f);
    mbedtls_ssl_conf_rng(&f.held.conf, burn, NULL);
    const struct tls_workers_options o = {
        .n_threads = 1, .gives_way = true, .n_preempted = preempted_again};
    assert_int_equal(tls_workers_open(&w, f.l, &o), 0);
    for (size_t i = 0; i < LL_COUNT(steps); i++) {
        const struct tls_target to = {.host = STR("busy.test"), .port = 443};
        steps[i] = tls_client_conn(f.client, &to);
        steps[i]->conf = &f.held.conf;
        tls_workers_step(w, steps[i]);
    }
    while (atomic_load(&steps[1]->taken_ns) == 0) {
        (void)usleep(1000);
    }
    const int64_t gap_ns = atomic_load(&steps[1]->taken_ns) - atomic_load(&steps[0]->taken_ns);
    assert_true(gap_ns >= BUSY_NS + 5 * (BUSY_NS - SAVED_NS));
    tls_workers_close(w);
    close_fixture(&f);
}

static void on_dial(void *ctx, const struct dial_result *r)
{
    struct fixture *f = ctx;
    assert_null(r->stream);
    assert_int_equal(r->err.code, ERR_BUSY);
    f->flag = true;
}

static void on_slow(void *ctx, const struct dial_result *r)
{
    struct fixture *f = ctx;
    assert_null(r->stream);
    assert_int_equal(r->err.code, ERR_TIMEOUT);
    f->flag = true;
}

static void on_dns_gone(void *ctx)
{
    *(bool *)ctx = true;
}

static bool is_queued(void *ctx)
{
    const struct fixture *f = ctx;
    struct tls_client_stats stats;
    tls_client_stats(f->client, &stats);
    return stats.queued == 1;
}

/* The connection that comes next has brought something. */
static bool has_hello(void *ctx)
{
    struct fixture *f = ctx;
    char c;
    if (f->near < 0) {
        f->near = accept(f->deaf, NULL, NULL);
    }
    return f->near >= 0 && recv(f->near, &c, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
}

/* The clock goes on by so much in each turn until the dial has ended. */
static void pass_time(struct fixture *f, int64_t ms_a_turn)
{
    while (!f->flag) {
        now_ns += ms_a_turn * MS;
        (void)loop_turn(f->l, false);
    }
}

static void check_held_up(struct fixture *f, struct dialer *d)
{
    f->flag = false;
    hold_worker(f);
    (void)dial_start(d, STR("127.0.0.1"), f->port, true, on_dial, f);
    assert_true(wait_until(f->l, is_queued, f, WAIT_MS));
    wait_ms(f->l, 50); /* more of the wait than the 20 ms that the server is given */
    pass_time(f, 1);
    let_worker_go(f);
}

static void check_slow_server(struct fixture *f, struct dialer *d)
{
    f->flag = false;
    (void)close(accept(f->deaf, NULL, NULL)); /* which was held up */
    (void)dial_start(d, STR("127.0.0.1"), f->port, true, on_slow, f);
    assert_true(wait_until(f->l, has_hello, f, WAIT_MS));
    pass_time(f, HOUR_MS); /* no wait for the worker was as long */
}

static void waiting_for_a_worker_is_not_the_servers_fault(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);
    struct dns *dns = NULL;
    struct err_detail err;
    const struct dns_options dns_o = {.timeout_ms = 1000};
    assert_int_equal(dns_open(&dns, f.l, &dns_o, &err), 0);
    const struct egress_policy policy = {.allow_loopback = true};
    const struct dialer_options o = {.dns = dns,
                                     .tls = f.client,
                                     .policy = &policy,
                                     .dns_timeout_ms = 1000,
                                     .connect_timeout_ms = WAIT_MS,
                                     .tls_timeout_ms = 20};
    struct dialer *d = NULL;
    dialer_open(&d, f.l, &o);
    check_held_up(&f, d);
    check_slow_server(&f, d);
    dialer_free(d);
    bool gone = false;
    dns_close(dns, on_dns_gone, &gone);
    assert_true(wait_flag(f.l, &gone, WAIT_MS));
    wait_ms(f.l, 20);
    close_fixture(&f);
}

int main(void)
{
    log_setup(LOG_ERROR, false);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hosts_take_turns),
        cmocka_unit_test(nobody_wants_the_processor),
        cmocka_unit_test(others_want_the_processor),
        cmocka_unit_test(clients_that_come_now_and_then),
        cmocka_unit_test(a_thread_that_gives_way_rests),
        cmocka_unit_test(waiting_for_a_worker_is_not_the_servers_fault),
    };
    return cmocka_run_group_tests_name("net_tls_worker", tests, NULL, NULL);
}
