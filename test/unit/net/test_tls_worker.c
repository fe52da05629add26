/* SPDX-License-Identifier: Apache-2.0 */
/* Whose handshake step is next, and what the wait for it counts as. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "longline/check.h"
#include "longline/dial.h"
#include "longline/log.h"
#include "longline/mem.h"
#include "net/tls_impl.h"
#include "test_certs.h"
#include "test_wait.h"

#define WAIT_MS 60000
#define N_CROWD 60

/* A listener that takes connections and says nothing. */
struct fixture {
    struct loop *l;
    struct test_certs certs;
    struct tls_client *client;
    int deaf;
    uint16_t port;
    bool flag;
};

static void open_fixture(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    assert_int_equal(loop_open(&f->l, NULL), 0);
    test_certs_make(&f->certs);
    const struct tls_client_options o = {.ca_file = f->certs.ca, .ca_only = true, .n_workers = 1};
    struct err_detail err;
    assert_int_equal(tls_client_open(&f->client, f->l, &o, &err), 0);
    union addr a;
    assert_int_equal(addr_parse(&a, STR("127.0.0.1:0")), 0);
    f->deaf = socket(AF_INET, SOCK_STREAM, 0);
    socklen_t n = sizeof(a.v4);
    assert_int_equal(bind(f->deaf, &a.sa, n), 0);
    assert_int_equal(listen(f->deaf, 128), 0);
    assert_int_equal(getsockname(f->deaf, &a.sa, &n), 0);
    f->port = addr_port(&a);
}

static void close_fixture(struct fixture *f)
{
    (void)close(f->deaf);
    tls_client_free(f->client);
    loop_free(f->l);
    test_certs_remove(&f->certs);
}

/* Steps that nobody waits for: the making of a client hello each. */
static void crowd(struct fixture *f, unsigned n, unsigned n_hosts)
{
    for (unsigned i = 0; i < n; i++) {
        char host[64];
        (void)snprintf(host, sizeof(host), "h%u.test", i % n_hosts);
        const struct tls_target to = {.host = str_c(host), .port = 443};
        tls_workers_step(tls_client_workers(f->client), tls_client_conn(f->client, &to));
    }
}

static size_t queued(const struct fixture *f)
{
    struct tls_client_stats stats;
    tls_client_stats(f->client, &stats);
    return stats.queued;
}

static void hosts_take_turns(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);
    crowd(&f, N_CROWD, 1);
    const struct tls_target to = {.host = STR("other.test"), .port = 443};
    struct tls_conn *other = tls_client_conn(f.client, &to);
    tls_workers_step(tls_client_workers(f.client), other);
    while (atomic_load(&other->taken_ns) == 0) {
        (void)usleep(50);
    }
    assert_true(queued(&f) > N_CROWD / 4); /* most of the crowd is still waiting */
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

/* So many hosts wait that their turns take several times the timeout. */
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
    crowd(&f, 1000, 1000);
    (void)dial_start(d, STR("127.0.0.1"), f.port, true, on_dial, &f);
    assert_true(wait_flag(f.l, &f.flag, WAIT_MS));
    while (queued(&f) != 0) {
        wait_ms(f.l, 5);
    }
    f.flag = false;
    (void)dial_start(d, STR("127.0.0.1"), f.port, true, on_slow, &f);
    assert_true(wait_flag(f.l, &f.flag, WAIT_MS));
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
        cmocka_unit_test(waiting_for_a_worker_is_not_the_servers_fault),
    };
    return cmocka_run_group_tests_name("net_tls_worker", tests, NULL, NULL);
}
