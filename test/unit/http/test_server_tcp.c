/* SPDX-License-Identifier: Apache-2.0 */
/* The server on real sockets: what an in-memory stream cannot show. */
#include "server_fixture.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#define DEADLINE_MS 60000

struct net {
    struct fx f; /* for its handler */
    struct loop *loop;
    struct http_server *server;
    union addr addr;
    int done;
};

static void net_open(struct net *n)
{
    struct err_detail err;
    memset(n, 0, sizeof(*n));
    n->f.big = test_malloc(FX_BIG);
    memset(n->f.big, 'x', FX_BIG);
    fx_cfg_defaults(&n->f.cfg);
    fx_handler(&n->f, &n->f.handler);
    assert_int_equal(loop_open(&n->loop, NULL), 0);
    assert_int_equal(http_server_open(&n->server, n->loop, &n->f.cfg, &n->f.handler, &err), 0);
    http_server_addr(n->server, &n->addr);
    assert_int_not_equal(addr_port(&n->addr), 0);
}

static void on_done(void *ctx)
{
    struct net *n = ctx;
    n->done++;
}

static void net_close(struct net *n)
{
    http_server_close(n->server, on_done, n);
    while (n->f.n_held != 0) {
        fx_answer(&n->f, "too late");
    }
    (void)loop_run(n->loop);
    assert_int_equal(n->done, 1);
    loop_free(n->loop);
    test_free(n->f.big);
}

static int net_connect(struct net *n)
{
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, &n->addr.sa, sizeof(n->addr.v4)), 0);
    return fd;
}

/* Turns of the loop until *counter reaches want. */
static void wait_count(struct net *n, const size_t *counter, size_t want)
{
    const int64_t end = clock_mono_ms(clock_system()) + DEADLINE_MS;
    while (*counter < want && clock_mono_ms(clock_system()) < end) {
        (void)loop_turn(n->loop, false);
    }
    assert_int_equal(*counter, want);
}

/* Sends everything while the server runs. */
static void send_all(struct net *n, int fd, const char *p, size_t len)
{
    const int64_t end = clock_mono_ms(clock_system()) + DEADLINE_MS;
    size_t at = 0;
    while (at < len) {
        const ssize_t rc = send(fd, p + at, len - at, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (rc >= 0) {
            at += (size_t)rc;
        } else {
            assert_true(errno == EAGAIN);
        }
        assert_true(clock_mono_ms(clock_system()) < end);
        (void)loop_turn(n->loop, false);
    }
}

static void send_text(struct net *n, int fd, const char *text)
{
    send_all(n, fd, text, strlen(text));
}

/* Reads until the server closes, or until `until` has come. */
static void recv_until(struct net *n, int fd, struct buf *got, const char *until)
{
    const int64_t end = clock_mono_ms(clock_system()) + DEADLINE_MS;
    struct fx_client view;
    for (;;) {
        char piece[4096];
        const ssize_t rc = recv(fd, piece, sizeof(piece), MSG_DONTWAIT);
        if (rc == 0) {
            assert_null(until);
            return;
        }
        if (rc > 0) {
            assert_int_equal(buf_add(got, piece, (size_t)rc), 0);
            view.got = *got;
            if (until != NULL && fx_has(&view, until)) {
                return;
            }
            continue;
        }
        assert_int_equal(errno, EAGAIN);
        assert_true(clock_mono_ms(clock_system()) < end);
        (void)loop_turn(n->loop, false);
    }
}

static void test_request(void **state)
{
    struct net n;
    struct buf got;
    int fd;
    (void)state;
    buf_init(&got, 1 << 20);
    net_open(&n);
    fd = net_connect(&n);
    send_text(&n, fd, "GET /sync HTTP/1.1\r\n" FX_H "\r\n");
    recv_until(&n, fd, &got, "GET /sync []");
    send_text(&n, fd, "GET /big HTTP/1.1\r\n" FX_H "Connection: close\r\n\r\n");
    recv_until(&n, fd, &got, NULL);
    assert_true(got.n > FX_BIG);
    assert_int_equal(close(fd), 0);
    net_close(&n);
    buf_fini(&got);
}

/* A client that shuts down its side after the request still gets the answer. */
static void test_half_close(void **state)
{
    struct net n;
    struct buf got;
    struct fx_client view;
    int fd;
    (void)state;
    buf_init(&got, 1 << 20);
    net_open(&n);
    fd = net_connect(&n);
    send_text(&n, fd, "GET /later HTTP/1.1\r\n" FX_H "\r\nGET /sync HTTP/1.1\r\n" FX_H "\r\n");
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    wait_count(&n, &n.f.n_held, 1);
    for (int i = 0; i < 20; i++) {
        (void)loop_turn(n.loop, false);
    }
    fx_answer(&n.f, "half");
    recv_until(&n, fd, &got, NULL);
    view.got = got;
    assert_int_equal(fx_n_responses(&view), 2);
    assert_true(fx_has(&view, "GET /sync []"));
    assert_int_equal(close(fd), 0);
    net_close(&n);
    buf_fini(&got);
}

/* The connection is reset while the handler works. */
static void test_reset(void **state)
{
    const struct linger hard = {.l_onoff = 1, .l_linger = 0};
    struct net n;
    int fd;
    (void)state;
    net_open(&n);
    fd = net_connect(&n);
    send_text(&n, fd, "GET /later HTTP/1.1\r\n" FX_H "\r\n");
    wait_count(&n, &n.f.n_held, 1);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard)), 0);
    assert_int_equal(close(fd), 0);
    for (int i = 0; i < 20; i++) {
        (void)loop_turn(n.loop, false);
    }
    assert_int_equal(http_server_n_active(n.server), 1);
    fx_answer(&n.f, "nobody");
    assert_int_equal(http_server_n_active(n.server), 0);
    net_close(&n);
}

/* A refusal reaches a client that is still sending: no reset comes in between. */
static void test_refusal_is_readable(void **state)
{
    static char body[4 << 20];
    struct net n;
    struct buf got;
    struct fx_client view;
    int fd;
    (void)state;
    buf_init(&got, 1 << 20);
    net_open(&n);
    fd = net_connect(&n);
    send_text(&n, fd, "POST /sync HTTP/1.1\r\n" FX_H "Content-Length: 4194304\r\n\r\n");
    send_all(&n, fd, body, sizeof(body));
    recv_until(&n, fd, &got, NULL);
    view.got = got;
    assert_int_equal(fx_status(&view), 413);
    assert_true(fx_has(&view, "error 413"));
    assert_int_equal(close(fd), 0);
    net_close(&n);
    buf_fini(&got);
}

/* Timeouts run on the real clock too. */
static void test_real_timeout(void **state)
{
    struct net n;
    struct buf got;
    struct fx_client view;
    int fd;
    (void)state;
    buf_init(&got, 1 << 20);
    net_open(&n);
    n.f.cfg.head_timeout_ms = 30;
    http_server_reload(n.server, &n.f.cfg);
    fd = net_connect(&n);
    send_text(&n, fd, "GET /sync HTTP/1.1\r\n");
    recv_until(&n, fd, &got, NULL);
    view.got = got;
    assert_int_equal(fx_status(&view), 408);
    assert_int_equal(close(fd), 0);

    buf_reset(&got);
    n.f.cfg.head_timeout_ms = 10000;
    http_server_reload(n.server, &n.f.cfg);
    fd = net_connect(&n);
    send_text(&n, fd, "GET /sync HTTP/1.1\r\n" FX_H "\r\n");
    recv_until(&n, fd, &got, "GET /sync []");
    n.f.cfg.idle_timeout_ms = 30;
    http_server_reload(n.server, &n.f.cfg);
    recv_until(&n, fd, &got, NULL);
    view.got = got;
    assert_int_equal(fx_n_responses(&view), 1);
    assert_int_equal(close(fd), 0);
    net_close(&n);
    buf_fini(&got);
}

static void test_drain(void **state)
{
    struct net n;
    struct buf got;
    int idle;
    int fd;
    (void)state;
    buf_init(&got, 1 << 20);
    net_open(&n);
    idle = net_connect(&n);
    send_text(&n, idle, "GET /sync HTTP/1.1\r\n" FX_H "\r\n");
    recv_until(&n, idle, &got, "GET /sync []");
    fd = net_connect(&n);
    send_text(&n, fd, "GET /later HTTP/1.1\r\n" FX_H "\r\n");
    wait_count(&n, &n.f.n_held, 1);
    http_server_drain(n.server);
    recv_until(&n, idle, &got, NULL);
    fx_answer(&n.f, "drained");
    recv_until(&n, fd, &got, NULL);
    assert_int_equal(close(idle), 0);
    assert_int_equal(close(fd), 0);
    fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_not_equal(connect(fd, &n.addr.sa, sizeof(n.addr.v4)), 0);
    assert_int_equal(close(fd), 0);
    net_close(&n);
    buf_fini(&got);
}

static void test_open_errors(void **state)
{
    static char not_an_address[] = "localhost:80";
    static char missing[] = "/nonexistent/cert.pem";
    static char taken[ADDR_TEXT_MAX];
    struct net n;
    struct http_server *s = NULL;
    struct err_detail err;
    struct http_server_cfg cfg;
    (void)state;
    net_open(&n);
    cfg = n.f.cfg;
    cfg.listen = not_an_address;
    assert_int_not_equal(http_server_open(&s, n.loop, &cfg, &n.f.handler, &err), 0);
    assert_non_null(strstr(err.msg, "server.listen"));
    cfg.listen = taken;
    (void)addr_format(taken, &n.addr);
    assert_int_not_equal(http_server_open(&s, n.loop, &cfg, &n.f.handler, &err), 0);
    assert_non_null(strstr(err.msg, taken));
    cfg = n.f.cfg;
    cfg.tls_cert = missing;
    assert_int_equal(http_server_open(&s, n.loop, &cfg, &n.f.handler, &err), ERR_INVALID);
    cfg.tls_key = missing;
    assert_int_not_equal(http_server_open(&s, n.loop, &cfg, &n.f.handler, &err), 0);
    assert_null(s);
    net_close(&n);
}

/* The table is complete, and its defaults are what the tests above assume. */
static void test_config_table(void **state)
{
    (void)state;
    assert_int_equal(http_server_cfg_n_keys, 16);
    for (size_t i = 0; i < http_server_cfg_n_keys; i++) {
        const struct cfg_key *k = &http_server_cfg_keys[i];
        assert_non_null(k->name);
        assert_non_null(k->def);
        assert_true(strlen(k->help) > 10);
        assert_null(strstr(k->name, "_ms"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_request),      cmocka_unit_test(test_half_close),
        cmocka_unit_test(test_reset),        cmocka_unit_test(test_refusal_is_readable),
        cmocka_unit_test(test_real_timeout), cmocka_unit_test(test_drain),
        cmocka_unit_test(test_open_errors),  cmocka_unit_test(test_config_table),
    };
    return cmocka_run_group_tests_name("http_server_tcp", tests, NULL, NULL);
}
