/* SPDX-License-Identifier: Apache-2.0 */
/* Limits of the listener. The clients are plain blocking sockets. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "longline/check.h"
#include "longline/listener.h"
#include "longline/log.h"
#include "peer.h"
#include "test_wait.h"

#define WAIT_MS   60000
#define N_CLIENTS 100

struct fixture {
    struct loop *l;
    struct listener *ls;
    union addr addr;
    struct peer peers[N_CLIENTS];
    size_t n;
    size_t n_max; /* open at the same time */
    size_t want;
    bool gone;
    bool close_in_callback;
};

static void on_gone(void *ctx)
{
    struct fixture *f = ctx;
    f->gone = true;
}

static void on_stream(void *ctx, struct stream *s)
{
    struct fixture *f = ctx;
    LL_ASSERT(f->n < N_CLIENTS);
    struct peer *p = &f->peers[f->n++];
    peer_init(p, f->l);
    peer_take(p, s);
    const size_t open = listener_n_streams(f->ls);
    f->n_max = open > f->n_max ? open : f->n_max;
    if (f->close_in_callback) {
        f->close_in_callback = false;
        listener_close(f->ls, on_gone, f);
    }
}

static void open_fixture(struct fixture *f, size_t max_streams)
{
    memset(f, 0, sizeof(*f));
    assert_int_equal(loop_open(&f->l, NULL), 0);
    struct listener_options o = {.on_stream = on_stream, .ctx = f, .max_streams = max_streams};
    assert_int_equal(addr_parse(&o.addr, STR("127.0.0.1:0")), 0);
    struct err_detail err;
    assert_int_equal(listener_open(&f->ls, f->l, &o, &err), 0);
    listener_addr(f->ls, &f->addr);
}

static int client(const struct fixture *f)
{
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, &f->addr.sa, sizeof(f->addr.v4)), 0);
    return fd;
}

static bool enough(void *ctx)
{
    const struct fixture *f = ctx;
    return f->n >= f->want;
}

static bool wait_streams(struct fixture *f, size_t n, int64_t ms)
{
    f->want = n;
    return wait_until(f->l, enough, f, ms);
}

static void close_peers(struct fixture *f)
{
    for (size_t i = 0; i < f->n; i++) {
        peer_fini(&f->peers[i]);
    }
}

static void accepts_in_a_budget_per_turn(void **state)
{
    (void)state;
    static struct fixture f;
    open_fixture(&f, 0);
    int fds[N_CLIENTS];
    for (int i = 0; i < N_CLIENTS; i++) {
        fds[i] = client(&f);
    }
    (void)loop_turn(f.l, true);
    assert_in_range(f.n, 1, N_CLIENTS - 1);
    assert_true(wait_streams(&f, N_CLIENTS, WAIT_MS));
    assert_int_equal(listener_n_streams(f.ls), N_CLIENTS);
    for (int i = 0; i < N_CLIENTS; i++) {
        (void)close(fds[i]);
    }
    close_peers(&f);
    listener_close(f.ls, on_gone, &f);
    assert_true(wait_flag(f.l, &f.gone, WAIT_MS));
    loop_free(f.l);
}

static void stops_at_max_streams_and_goes_on(void **state)
{
    (void)state;
    static struct fixture f;
    open_fixture(&f, 3);
    int fds[6];
    for (int i = 0; i < 6; i++) {
        fds[i] = client(&f);
    }
    assert_true(wait_streams(&f, 3, WAIT_MS));
    wait_ms(f.l, 30);
    assert_int_equal(f.n, 3);
    peer_close(&f.peers[1]);
    assert_true(wait_streams(&f, 4, WAIT_MS));
    wait_ms(f.l, 30);
    assert_int_equal(f.n, 4);
    peer_close(&f.peers[0]);
    peer_close(&f.peers[2]);
    assert_true(wait_streams(&f, 6, WAIT_MS));
    assert_int_equal(f.n_max, 3);
    for (int i = 0; i < 6; i++) {
        (void)close(fds[i]);
    }
    /* The listener goes before its streams. */
    listener_close(f.ls, on_gone, &f);
    assert_true(wait_flag(f.l, &f.gone, WAIT_MS));
    close_peers(&f);
    loop_free(f.l);
}

static void out_of_descriptors_does_not_spin(void **state)
{
    (void)state;
    static struct fixture f;
    open_fixture(&f, 0);
    const int a = client(&f);
    const int b = client(&f);
    struct rlimit old;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
    const int next = dup(0); /* the lowest free number */
    (void)close(next);
    const struct rlimit low = {.rlim_cur = (rlim_t)next, .rlim_max = old.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    struct loop_stats s;
    loop_stats_take(f.l, &s);
    wait_ms(f.l, 350);
    loop_stats_take(f.l, &s);
    assert_int_equal(f.n, 0);
    assert_in_range(s.turns, 1, 500); /* spinning makes many thousands */
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
    assert_true(wait_streams(&f, 2, WAIT_MS)); /* the backlog kept them */
    (void)close(a);
    (void)close(b);
    close_peers(&f);
    listener_close(f.ls, on_gone, &f);
    assert_true(wait_flag(f.l, &f.gone, WAIT_MS));
    loop_free(f.l);
}

static void may_be_closed_while_accepting(void **state)
{
    (void)state;
    static struct fixture f;
    open_fixture(&f, 0);
    f.close_in_callback = true;
    const int a = client(&f);
    const int b = client(&f);
    assert_true(wait_flag(f.l, &f.gone, WAIT_MS));
    assert_int_equal(f.n, 1);
    (void)close(a);
    (void)close(b);
    close_peers(&f);
    loop_free(f.l);
}

static void failure_to_bind_says_why(void **state)
{
    (void)state;
    static struct fixture f;
    open_fixture(&f, 0);
    struct listener_options o = {.on_stream = on_stream, .ctx = &f, .addr = f.addr};
    struct listener *second = NULL;
    struct err_detail err;
    assert_int_not_equal(listener_open(&second, f.l, &o, &err), 0);
    assert_non_null(strstr(err.msg, "127.0.0.1"));
    o.addr.sa.sa_family = AF_UNSPEC;
    assert_int_equal(listener_open(&second, f.l, &o, &err), ERR_INVALID);
    listener_close(f.ls, NULL, NULL);
    loop_free(f.l);
}

int main(void)
{
    log_setup(LOG_ERROR, false);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_in_a_budget_per_turn),
        cmocka_unit_test(stops_at_max_streams_and_goes_on),
        cmocka_unit_test(out_of_descriptors_does_not_spin),
        cmocka_unit_test(may_be_closed_while_accepting),
        cmocka_unit_test(failure_to_bind_says_why),
    };
    return cmocka_run_group_tests_name("net_listener", tests, NULL, NULL);
}
