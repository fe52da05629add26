/* SPDX-License-Identifier: Apache-2.0 */
/* What clients, known or not, can make a server's handshakes do. */
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
#include "longline/log.h"
#include "longline/mem.h"
#include "net/tls_impl.h"
#include "test_wait.h"
#include "tls_fixture.h"

#define N_CROWD 60u

static const struct test_leaf_options good = {
    .file = "good", .dns = "hook.test", .ip = "127.0.0.1"};
static const char *const versions[] = {"TLSv1.2", "TLSv1.3"};

/* ---- clients by hand ---- */

static int raw_connect(const struct tls_fixture *f, const char *from)
{
    union addr to;
    union addr local;
    listener_addr(f->echo.ls, &to);
    assert_int_equal(addr_parse_ip(&local, str_c(from), 0), 0);
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(bind(fd, &local.sa, sizeof(local.v4)), 0);
    assert_int_equal(connect(fd, &to.sa, sizeof(to.v4)), 0);
    return fd;
}

static void raw_send(int fd, struct str s)
{
    assert_int_equal(send(fd, s.p, s.n, MSG_NOSIGNAL), (ssize_t)s.n);
}

struct ending {
    int fd;
};

static bool has_ended(void *ctx)
{
    char c = 0;
    const struct ending *e = ctx;
    return recv(e->fd, &c, 1, MSG_DONTWAIT) == 0;
}

static void expect_closed(struct tls_fixture *f, int fd)
{
    struct ending e = {fd};
    assert_true(wait_until(f->l, has_ended, &e, WAIT_MS));
}

static struct tls_server_stats stats_of(const struct tls_fixture *f)
{
    struct tls_server_stats st;
    tls_server_stats(f->server, &st);
    return st;
}

struct wanted {
    const struct tls_fixture *f;
    size_t in_progress;
    uint64_t refused;
    uint64_t failed;
};

static bool is_as_wanted(void *ctx)
{
    const struct wanted *w = ctx;
    const struct tls_server_stats st = stats_of(w->f);
    return st.in_progress == w->in_progress && st.refused == w->refused && st.failed == w->failed;
}

static void expect(struct tls_fixture *f, size_t in_progress, uint64_t refused, uint64_t failed)
{
    struct wanted w = {f, in_progress, refused, failed};
    assert_true(wait_until(f->l, is_as_wanted, &w, WAIT_MS));
}

/* The bytes of a ClientHello. */
static struct tls_conn *make_hello(struct tls_fixture *f)
{
    const struct tls_target to = {.host = STR("hook.test"), .port = 443};
    struct tls_conn *c = tls_client_conn(f->client, &to);
    tls_conn_step(c);
    assert_int_equal(c->err.code, 0);
    return c;
}

/* First steps of a handshake that nobody waits for. */
static struct tls_conn *crowd(struct tls_fixture *f, struct str hello, unsigned n, const char *ip)
{
    struct tls_conn *last = NULL;
    union addr a;
    assert_int_equal(addr_parse_ip(&a, str_c(ip), 1), 0);
    for (unsigned i = 0; i < n; i++) {
        last = tls_server_conn(f->server, &a);
        assert_int_equal(buf_add(&last->hs_in, hello.p, hello.n), 0);
        tls_workers_step(tls_server_workers(f->server), last);
    }
    return last;
}

static void open_fixture(struct tls_fixture *f, size_t max_handshakes, unsigned n_workers)
{
    tls_fixture_open(f, true);
    f->max_handshakes = max_handshakes;
    f->n_workers = n_workers;
    tls_fixture_serve(f, &good, NULL);
}

/* ---- the cases ---- */

/* A server's steps are counted where workers take them from their queue. */
static void workers_do_the_steps(void **state)
{
    (void)state;
    for (size_t i = 0; i < LL_COUNT(versions); i++) {
        struct tls_fixture f;
        tls_fixture_open(&f, true);
        tls_fixture_serve(&f, &good, versions[i]);
        assert_int_equal(tls_fixture_connect(&f, "hook.test", 0), 0);
        struct peer p;
        peer_init(&p, f.l);
        peer_take(&p, f.s);
        assert_int_equal(peer_send(&p, "hello"), 0);
        assert_true(peer_wait_bytes(&p, 5, WAIT_MS));
        const struct tls_server_stats st = stats_of(&f);
        assert_true(st.steps >= 2); /* the hello, and what follows our answer */
        assert_int_equal(st.handshakes, 1);
        assert_int_equal(st.in_progress, 0);
        peer_fini(&p);
        tls_fixture_close(&f);
    }
}

static void too_many_are_refused_before_any_work(void **state)
{
    (void)state;
    struct tls_fixture f;
    int fd[9];
    open_fixture(&f, 8, 1); /* 2 of an address */
    fd[0] = raw_connect(&f, "127.0.0.1");
    fd[1] = raw_connect(&f, "127.0.0.1");
    expect(&f, 2, 0, 0);
    const int over = raw_connect(&f, "127.0.0.1");
    expect_closed(&f, over);
    (void)close(over);
    expect(&f, 2, 1, 0);
    for (int i = 2; i < 8; i++) {
        char ip[32];
        (void)snprintf(ip, sizeof(ip), "127.0.0.%d", 1 + i / 2);
        fd[i] = raw_connect(&f, ip);
        expect(&f, (size_t)i + 1, 1, 0);
    }
    /* All places are taken: the one that has been silent longest goes. */
    fd[8] = raw_connect(&f, "127.0.0.9");
    expect_closed(&f, fd[0]);
    expect(&f, 8, 2, 1);
    assert_int_equal(stats_of(&f).steps, 0);
    for (int i = 0; i < 9; i++) {
        (void)close(fd[i]);
    }
    expect(&f, 0, 2, 9);
    assert_int_equal(tls_fixture_connect(&f, "hook.test", 0), 0);
    stream_close(f.s);
    tls_fixture_close(&f);
}

/* Silent clients cannot keep an honest one out. */
static void silence_does_not_keep_places(void **state)
{
    (void)state;
    struct tls_fixture f;
    int fd[8];
    open_fixture(&f, 4, 1);
    for (int i = 0; i < 8; i++) {
        char ip[32];
        (void)snprintf(ip, sizeof(ip), "127.0.1.%d", i);
        fd[i] = raw_connect(&f, ip);
    }
    expect(&f, 4, 4, 4);
    assert_int_equal(tls_fixture_connect(&f, "hook.test", 0), 0);
    stream_close(f.s);
    expect(&f, 3, 5, 5);
    for (int i = 0; i < 8; i++) {
        (void)close(fd[i]);
    }
    expect(&f, 0, 5, 8);
    tls_fixture_close(&f);
}

/* Neither what is no TLS nor a part of a record costs a step. */
static void only_whole_records_make_work(void **state)
{
    (void)state;
    struct tls_fixture f;
    open_fixture(&f, 0, 1);
    const int garbage = raw_connect(&f, "127.0.0.1");
    raw_send(garbage, STR("GET / HTTP/1.1\r\n\r\n"));
    expect(&f, 0, 0, 1);
    expect_closed(&f, garbage);
    (void)close(garbage);
    struct tls_conn *hello = make_hello(&f);
    const struct str bytes = buf_str(&hello->hs_out);
    const int slow = raw_connect(&f, "127.0.0.1");
    for (size_t i = 0; i + 1 < bytes.n; i++) {
        raw_send(slow, str_of(bytes.p + i, 1));
        (void)loop_turn(f.l, false);
    }
    expect(&f, 1, 0, 1);
    assert_int_equal(stats_of(&f).steps, 0);
    raw_send(slow, str_of(bytes.p + bytes.n - 1, 1));
    while (stats_of(&f).steps == 0) {
        (void)loop_turn(f.l, false);
    }
    (void)close(slow);
    expect(&f, 0, 0, 2);
    assert_int_equal(stats_of(&f).steps, 1);
    tls_conn_free(hello);
    tls_fixture_close(&f);
}

static void addresses_take_turns(void **state)
{
    (void)state;
    struct tls_fixture f;
    open_fixture(&f, 0, 1);
    struct tls_conn *hello = make_hello(&f);
    const struct str bytes = buf_str(&hello->hs_out);
    (void)crowd(&f, bytes, N_CROWD, "192.0.2.1");
    const struct tls_conn *other = crowd(&f, bytes, 1, "192.0.2.2");
    while (atomic_load(&other->taken_ns) == 0) {
        (void)usleep(50);
    }
    assert_true(stats_of(&f).queued > N_CROWD / 4); /* most of the crowd is still waiting */
    tls_conn_free(hello);
    tls_fixture_close(&f);
}

struct steps {
    const struct tls_fixture *f;
    uint64_t n;
};

static bool steps_done(void *ctx)
{
    const struct steps *s = ctx;
    return stats_of(s->f).steps >= s->n;
}

/* Who says hello and goes, over and over, makes no more work than accepting it. */
static void who_has_gone_is_not_answered(void **state)
{
    (void)state;
    struct tls_fixture f;
    open_fixture(&f, 0, 1);
    struct tls_conn *hello = make_hello(&f);
    const struct str bytes = buf_str(&hello->hs_out);
    (void)crowd(&f, bytes, 200, "127.0.0.1"); /* in front of them, on the same lane */
    for (int i = 0; i < 20; i++) {
        const int fd = raw_connect(&f, "127.0.0.1");
        raw_send(fd, bytes);
        (void)close(fd);
    }
    expect(&f, 0, 0, 20);
    struct steps s = {&f, 200};
    assert_true(wait_until(f.l, steps_done, &s, WAIT_MS));
    assert_int_equal(stats_of(&f).queued, 0);
    assert_int_equal(stats_of(&f).steps, 200);
    tls_conn_free(hello);
    tls_fixture_close(&f);
}

static void on_listener_gone(void *ctx)
{
    *(bool *)ctx = true;
}

static bool is_connected(void *ctx)
{
    const struct tls_fixture *f = ctx;
    struct stream_info info = {.is_tls = false};
    if (f->s != NULL) {
        stream_get_info(f->s, &info);
    }
    return info.is_tls || f->over;
}

/* The server goes after n turns, with steps waiting, under way and on their way back. */
static void server_goes_at_every_step(void **state)
{
    (void)state;
    for (int turns = 0; turns < 25; turns++) {
        struct tls_fixture f;
        open_fixture(&f, 0, 1 + (unsigned)turns % 2);
        struct tls_conn *hello = make_hello(&f);
        int fd[3];
        for (int i = 0; i < 3; i++) {
            fd[i] = raw_connect(&f, "127.0.0.1");
            raw_send(fd[i], buf_str(&hello->hs_out));
        }
        tls_fixture_start(&f, "hook.test", 0);
        assert_true(wait_until(f.l, is_connected, &f, WAIT_MS));
        for (int i = 0; i < turns; i++) {
            (void)loop_turn(f.l, false);
        }
        bool gone = false;
        listener_close(f.echo.ls, on_listener_gone, &gone);
        tls_server_free(f.server); /* connections may be open; handshakes have ended */
        f.server = NULL;
        assert_true(wait_flag(f.l, &gone, WAIT_MS));
        f.echo.ls = NULL;
        if (f.s != NULL) {
            stream_close(f.s);
        }
        for (int i = 0; i < 3; i++) {
            (void)close(fd[i]);
        }
        wait_ms(f.l, 5);
        tls_conn_free(hello);
        tls_fixture_close(&f);
    }
}

/* What began with the old certificate ends with it. */
static void certificate_is_renewed_under_way(void **state)
{
    (void)state;
    struct tls_fixture f;
    open_fixture(&f, 0, 2);
    struct test_leaf fresh;
    const struct test_leaf_options other = {.file = "other", .dns = "other.test"};
    test_certs_leaf(&f.certs, &other, &fresh);
    struct tls_conn *hello = make_hello(&f);
    (void)crowd(&f, buf_str(&hello->hs_out), N_CROWD, "192.0.2.1");
    struct tls_identity *id = NULL;
    assert_int_equal(tls_identity_open(&id, fresh.cert, fresh.key, &f.err), 0);
    assert_true(tls_server_renew(f.server, id));
    assert_int_equal(tls_identity_open(&id, fresh.cert, fresh.key, &f.err), 0);
    assert_false(tls_server_renew(f.server, id)); /* the same again */
    (void)crowd(&f, buf_str(&hello->hs_out), N_CROWD, "192.0.2.2");
    assert_int_equal(tls_fixture_connect(&f, "other.test", 0), 0);
    stream_close(f.s);
    struct steps s = {&f, 2 * N_CROWD};
    assert_true(wait_until(f.l, steps_done, &s, WAIT_MS));
    tls_conn_free(hello);
    tls_fixture_close(&f);
}

int main(void)
{
    log_setup(LOG_ERROR, false);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workers_do_the_steps),
        cmocka_unit_test(too_many_are_refused_before_any_work),
        cmocka_unit_test(silence_does_not_keep_places),
        cmocka_unit_test(only_whole_records_make_work),
        cmocka_unit_test(addresses_take_turns),
        cmocka_unit_test(who_has_gone_is_not_answered),
        cmocka_unit_test(server_goes_at_every_step),
        cmocka_unit_test(certificate_is_renewed_under_way),
    };
    return cmocka_run_group_tests_name("net_tls_server", tests, NULL, NULL);
}
