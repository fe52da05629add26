/* SPDX-License-Identifier: Apache-2.0 */
/* Dialing: names from the test's own name server, peers on loopback addresses. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "dns_server.h"
#include "echo_server.h"
#include "longline/check.h"
#include "longline/dial.h"
#include "longline/log.h"
#include "test_certs.h"
#include "test_wait.h"

#define WAIT_MS 60000
#define LONG_MS 30000 /* for what must not run out */
#define N_FILL  8

static const struct dns_row rows[] = {
    {.name = "hook.test", .addrs = {"127.0.0.1"}, .ttl = 60},
    {.name = "private.test", .addrs = {"10.0.0.1", "192.168.1.1"}, .ttl = 60},
    {.name = "meta.test", .addrs = {"169.254.169.254"}, .ttl = 60},
    {.name = "mixed.test", .addrs = {"10.0.0.1", "127.0.0.1"}, .ttl = 60},
    {.name = "deaf-first.test", .addrs = {"127.0.0.2", "127.0.0.1"}, .ttl = 60},
    {.name = "closed-first.test", .addrs = {"127.0.0.3", "127.0.0.4", "127.0.0.1"}, .ttl = 60},
    {.name = "deaf.test", .addrs = {"127.0.0.2"}, .ttl = 60},
    {.name = "closed.test", .addrs = {"127.0.0.3"}, .ttl = 60},
    {.name = "silent.test", .silent = true},
    {.name = NULL},
};

/* Not 0: the loop's clock stands here. */
static int64_t frozen_ns;

static int64_t dial_ns(void *ctx)
{
    (void)ctx;
    return frozen_ns != 0 ? frozen_ns : clock_mono_ns(clock_system());
}

static const struct clock dial_clock = {.wall_ns = dial_ns, .mono_ns = dial_ns};

struct fixture {
    struct loop *l;
    struct dns_server server;
    struct dns *dns;
    bool dns_gone;
    struct test_certs certs;
    struct tls_client *tls;
    struct tls_server *tls_server;
    struct egress_policy policy;
    struct dialer *d;
    struct echo_server echo;
    uint16_t port;
    /* a listener on 127.0.0.2 that never accepts, its queue full */
    int deaf;
    int fill[N_FILL];

    struct dial *dial;
    struct dial_result r;
    unsigned n_done;
    bool done;
};

static void open_deaf(struct fixture *f)
{
    union addr a;
    assert_int_equal(addr_parse_ip(&a, STR("127.0.0.2"), f->port), 0);
    f->deaf = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(f->deaf, &a.sa, sizeof(a.v4)), 0);
    assert_int_equal(listen(f->deaf, 0), 0);
    for (int i = 0; i < N_FILL; i++) {
        f->fill[i] = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(fcntl(f->fill[i], F_SETFL, O_NONBLOCK), 0);
        (void)connect(f->fill[i], &a.sa, sizeof(a.v4));
    }
}

static void open_fixture(struct fixture *f, bool tls)
{
    memset(f, 0, sizeof(*f));
    struct err_detail err;
    assert_int_equal(loop_open(&f->l, &dial_clock), 0);
    echo_server_init(&f->echo, f->l);
    dns_server_open(&f->server, f->l, rows);
    const struct dns_options dns_o = {.servers = f->server.addr, .timeout_ms = LONG_MS};
    assert_int_equal(dns_open(&f->dns, f->l, &dns_o, &err), 0);
    test_certs_make(&f->certs);
    if (tls) {
        const struct test_leaf_options leaf = {.file = "leaf", .dns = "hook.test"};
        struct test_leaf files;
        test_certs_leaf(&f->certs, &leaf, &files);
        const struct tls_server_options so = {.cert_file = files.cert, .key_file = files.key};
        assert_int_equal(tls_server_open(&f->tls_server, f->l, &so, &err), 0);
        const struct tls_client_options co = {
            .ca_file = f->certs.ca, .ca_only = true, .n_workers = 1};
        assert_int_equal(tls_client_open(&f->tls, f->l, &co, &err), 0);
    }
    union addr a;
    assert_int_equal(addr_parse(&a, STR("127.0.0.1:0")), 0);
    echo_server_listen(&f->echo, &a, f->tls_server);
    listener_addr(f->echo.ls, &a);
    f->port = addr_port(&a);
    open_deaf(f);
    f->policy = (struct egress_policy){.allow_loopback = true, .allow_http = true};
    const struct dialer_options o = {
        .dns = f->dns,
        .tls = f->tls,
        .policy = &f->policy,
        .dns_timeout_ms = LONG_MS,
        .connect_timeout_ms = LONG_MS,
        .tls_timeout_ms = LONG_MS,
    };
    dialer_open(&f->d, f->l, &o);
    assert_ptr_equal(dialer_policy(f->d), &f->policy);
}

static void on_dns_gone(void *ctx)
{
    struct fixture *f = ctx;
    f->dns_gone = true;
}

static void close_fixture(struct fixture *f)
{
    dialer_free(f->d);
    echo_server_fini(&f->echo);
    dns_close(f->dns, on_dns_gone, f);
    dns_server_close(&f->server);
    assert_true(wait_flag(f->l, &f->dns_gone, WAIT_MS));
    assert_true(wait_flag(f->l, &f->server.closed, WAIT_MS));
    tls_client_free(f->tls);
    tls_server_free(f->tls_server);
    loop_free(f->l);
    test_certs_remove(&f->certs);
    (void)close(f->deaf);
    for (int i = 0; i < N_FILL; i++) {
        (void)close(f->fill[i]);
    }
}

static void on_dial(void *ctx, const struct dial_result *r)
{
    struct fixture *f = ctx;
    f->r = *r;
    f->n_done++;
    f->done = true;
    f->dial = NULL;
}

static void start(struct fixture *f, const char *host, uint16_t port, bool use_tls)
{
    f->done = false;
    memset(&f->r, 0, sizeof(f->r));
    f->dial = dial_start(f->d, str_c(host), port, use_tls, on_dial, f);
    assert_false(f->done);
}

static int dial(struct fixture *f, const char *host, uint16_t port, bool use_tls)
{
    start(f, host, port, use_tls);
    assert_true(wait_flag(f->l, &f->done, WAIT_MS));
    assert_int_equal(f->r.stream != NULL, f->r.err.code == 0);
    return f->r.err.code;
}

/* Uses and closes the stream of the last dial. */
static void use_stream(struct fixture *f)
{
    struct peer p;
    peer_init(&p, f->l);
    peer_take(&p, f->r.stream);
    assert_int_equal(peer_send(&p, "hello"), 0);
    assert_true(peer_wait_bytes(&p, 5, WAIT_MS));
    peer_fini(&p);
    f->r.stream = NULL;
}

/* ---- tests ---- */

static void connects_by_name_and_by_address(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f, false);
    assert_int_equal(dial(&f, "hook.test", f.port, false), 0);
    assert_true(f.r.dns_us > 0);
    assert_true(f.r.connect_us > 0);
    assert_int_equal(f.r.tls_us, 0);
    use_stream(&f);
    assert_int_equal(dial(&f, "127.0.0.1", f.port, false), 0);
    assert_int_equal(f.r.dns_us, 0);
    use_stream(&f);
    assert_int_equal(dial(&f, "localhost", f.port, false), 0); /* ::1 does not answer */
    use_stream(&f);
    close_fixture(&f);
}

static void speaks_tls(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f, true);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(dial(&f, "hook.test", f.port, true), 0);
        assert_true(f.r.tls_us > 0);
        struct stream_info info;
        stream_get_info(f.r.stream, &info);
        assert_true(info.is_tls);
        assert_int_equal(info.resumed, round == 1);
        assert_int_equal(addr_port(&info.peer), f.port);
        use_stream(&f);
    }
    assert_int_equal(dial(&f, "localhost", f.port, true), ERR_TLS);
    assert_string_equal(f.r.err.msg, "certificate is for another name");
    close_fixture(&f);
}

static void policy_is_applied_to_addresses(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f, false);
    assert_int_equal(dial(&f, "private.test", f.port, false), ERR_BLOCKED);
    assert_non_null(strstr(f.r.err.msg, "private"));
    assert_int_equal(dial(&f, "meta.test", f.port, false), ERR_BLOCKED);
    assert_non_null(strstr(f.r.err.msg, "metadata"));
    assert_int_equal(dial(&f, "10.0.0.1", f.port, false), ERR_BLOCKED);
    /* The address that is allowed is used. */
    assert_int_equal(dial(&f, "mixed.test", f.port, false), 0);
    use_stream(&f);
    /* A new policy holds for names that are in the cache. */
    struct egress_policy strict = {.allow_http = true};
    dialer_set_policy(f.d, &strict);
    assert_int_equal(dial(&f, "hook.test", f.port, false), ERR_BLOCKED);
    assert_non_null(strstr(f.r.err.msg, "loopback"));
    assert_int_equal(dial(&f, "localhost", f.port, false), ERR_BLOCKED);
    strict.allow_http = false;
    assert_int_equal(dial(&f, "hook.test", f.port, false), ERR_BLOCKED);
    assert_non_null(strstr(f.r.err.msg, "plain http"));
    close_fixture(&f);
}

static void own_listener_is_not_called(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f, false);
    union addr own;
    listener_addr(f.echo.ls, &own);
    f.policy.own = &own;
    f.policy.n_own = 1;
    assert_int_equal(dial(&f, "hook.test", f.port, false), ERR_BLOCKED);
    assert_non_null(strstr(f.r.err.msg, "own address"));
    close_fixture(&f);
}

static void next_address_after_a_failure_or_a_while(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f, false);
    frozen_ns = dial_ns(NULL); /* a failure needs no time */
    assert_int_equal(dial(&f, "closed-first.test", f.port, false), 0);
    use_stream(&f);
    frozen_ns = 0;
    assert_int_equal(dial(&f, "deaf-first.test", f.port, false), 0);
    assert_true(f.r.connect_us >= 200000);
    use_stream(&f);
    close_fixture(&f);
}

static void failures_are_told_apart(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f, false);
    assert_int_equal(dial(&f, "closed.test", f.port, false), ERR_REFUSED);
    assert_non_null(strstr(f.r.err.msg, "127.0.0.3"));
    assert_int_equal(dial(&f, "nx.test", f.port, false), ERR_DNS);
    assert_non_null(strstr(f.r.err.msg, "does not exist"));
    dialer_set_timeouts(f.d, 300, LONG_MS, LONG_MS);
    assert_int_equal(dial(&f, "silent.test", f.port, false), ERR_TIMEOUT);
    assert_non_null(strstr(f.r.err.msg, "lookup")); /* ours or the resolver library's */
    assert_true(f.r.dns_us >= 250000);
    dialer_set_timeouts(f.d, LONG_MS, 300, LONG_MS);
    assert_int_equal(dial(&f, "deaf.test", f.port, false), ERR_TIMEOUT);
    assert_non_null(strstr(f.r.err.msg, "connecting"));
    assert_int_equal(dial(&f, "hook.test", f.port, true), ERR_UNSUPPORTED);
    assert_int_equal(dial(&f, "", f.port, false), ERR_INVALID);
    close_fixture(&f);
}

/* The peer accepts and says nothing. */
static void tls_handshake_has_a_deadline(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f, true);
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    union addr a;
    socklen_t len = sizeof(a);
    assert_int_equal(addr_parse(&a, STR("127.0.0.1:0")), 0);
    assert_int_equal(bind(fd, &a.sa, sizeof(a.v4)), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, &a.sa, &len), 0);
    dialer_set_timeouts(f.d, LONG_MS, LONG_MS, 300);
    assert_int_equal(dial(&f, "hook.test", addr_port(&a), true), ERR_TIMEOUT);
    assert_non_null(strstr(f.r.err.msg, "TLS handshake"));
    (void)close(fd);
    close_fixture(&f);
}

static void cancel_at_every_step(void **state)
{
    (void)state;
    static const char *const hosts[] = {"hook.test", "127.0.0.1", "closed-first.test", "deaf.test",
                                        "private.test"};
    for (int tls = 0; tls < 2; tls++) {
        struct fixture f;
        open_fixture(&f, tls != 0);
        for (size_t i = 0; i < LL_COUNT(hosts); i++) {
            for (int turns = 0; turns < 14; turns++) {
                const unsigned before = f.n_done;
                start(&f, hosts[i], f.port, tls != 0);
                for (int k = 0; k < turns && !f.done; k++) {
                    /* Wait for the events of those that get any. */
                    (void)loop_turn(f.l, i < 2);
                }
                if (f.done) {
                    if (f.r.stream != NULL) {
                        stream_close(f.r.stream);
                    }
                    assert_int_equal(f.n_done, before + 1);
                } else {
                    dial_cancel(f.dial);
                    for (int k = 0; k < 3; k++) {
                        (void)loop_turn(f.l, false);
                    }
                    assert_int_equal(f.n_done, before);
                }
            }
        }
        close_fixture(&f);
    }
}

int main(void)
{
    log_setup(LOG_ERROR, false);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connects_by_name_and_by_address),
        cmocka_unit_test(speaks_tls),
        cmocka_unit_test(policy_is_applied_to_addresses),
        cmocka_unit_test(own_listener_is_not_called),
        cmocka_unit_test(next_address_after_a_failure_or_a_while),
        cmocka_unit_test(failures_are_told_apart),
        cmocka_unit_test(tls_handshake_has_a_deadline),
        cmocka_unit_test(cancel_at_every_step),
    };
    return cmocka_run_group_tests_name("net_dial", tests, NULL, NULL);
}
