/* SPDX-License-Identifier: Apache-2.0 */
#include "client_peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "longline/mem.h"
#include "test_sockets.h"

#define SETTLE_MS 10000

/* The peer. */

static void set_nonblocking(int fd)
{
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
}

static void peer_listen(struct peer *p)
{
    struct sockaddr_in sa = {.sin_family = AF_INET};
    socklen_t len = sizeof(sa);

    p->listen_fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(p->listen_fd >= 0);
    assert_int_equal(bind(p->listen_fd, (struct sockaddr *)&sa, sizeof(sa)), 0);
    assert_int_equal(listen(p->listen_fd, 256), 0);
    assert_int_equal(getsockname(p->listen_fd, (struct sockaddr *)&sa, &len), 0);
    set_nonblocking(p->listen_fd);
    p->port = ntohs(sa.sin_port);
    test_sockets_bound(p->port);
}

void peer_send(struct peer_conn *pc, const char *text)
{
    const size_t n = strlen(text);
    if (pc->fd >= 0) {
        (void)send(pc->fd, text, n, MSG_NOSIGNAL);
    }
}

void peer_close(struct peer_conn *pc)
{
    if (pc->fd >= 0) {
        (void)close(pc->fd);
        pc->fd = -1;
    }
}

void peer_reset(struct peer_conn *pc)
{
    const struct linger hard = {.l_onoff = 1, .l_linger = 0};
    if (pc->fd >= 0) {
        (void)setsockopt(pc->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
        peer_close(pc);
    }
}

size_t peer_n_open(const struct peer *p)
{
    size_t n = 0;
    for (size_t i = 0; i < p->n_conns; i++) {
        n += p->conns[i].fd >= 0 ? 1 : 0;
    }
    return n;
}

static void peer_accept(struct peer *p)
{
    int fd;
    while (!p->no_accept && (fd = accept(p->listen_fd, NULL, NULL)) >= 0) {
        assert_true(p->n_conns < PEER_MAX_CONNS);
        set_nonblocking(fd);
        p->conns[p->n_conns++] = (struct peer_conn){.fd = fd, .in = mem_alloc(PEER_MAX_IN + 1)};
        const size_t open = peer_n_open(p);
        p->max_open = open > p->max_open ? open : p->max_open;
    }
}

/* Length of the first request in the buffer when it is complete, else 0. */
static size_t request_length(const struct peer_conn *pc)
{
    const char *end = strstr(pc->in, "\r\n\r\n");
    if (end == NULL) {
        return 0;
    }
    const size_t head = (size_t)(end - pc->in) + 4;
    size_t body = 0;
    const char *length = strstr(pc->in, "Content-Length: ");
    if (length != NULL && length < end) {
        (void)sscanf(length, "Content-Length: %zu", &body);
    }
    return pc->n_in >= head + body ? head + body : 0;
}

static void peer_requests(struct peer *p, struct peer_conn *pc)
{
    size_t n;
    while (pc->fd >= 0 && (n = request_length(pc)) != 0) {
        pc->n_requests++;
        p->n_requests++;
        p->last_conn = (int)(pc - p->conns);
        if (p->on_request != NULL) {
            p->on_request(p, pc, str_of(pc->in, n));
        } else {
            peer_send(pc, OK_RESPONSE);
        }
        memmove(pc->in, pc->in + n, pc->n_in - n);
        pc->n_in -= n;
        pc->in[pc->n_in] = '\0';
    }
}

static void peer_read(struct peer *p, struct peer_conn *pc)
{
    const ssize_t n = recv(pc->fd, pc->in + pc->n_in, PEER_MAX_IN - pc->n_in, 0);
    if (n > 0) {
        pc->n_in += (size_t)n;
        pc->in[pc->n_in] = '\0';
        peer_requests(p, pc);
    } else if (n == 0 || errno != EAGAIN) {
        pc->is_eof = true;
        peer_close(pc);
    }
}

static void peer_step(struct peer *p)
{
    peer_accept(p);
    for (size_t i = 0; i < p->n_conns && !p->no_read; i++) {
        if (p->conns[i].fd >= 0 && p->conns[i].n_in < PEER_MAX_IN) {
            peer_read(p, &p->conns[i]);
        }
    }
}

static void peer_fini(struct peer *p)
{
    for (size_t i = 0; i < p->n_conns; i++) {
        peer_close(&p->conns[i]);
        mem_free(p->conns[i].in);
    }
    (void)close(p->listen_fd);
}

/* The world. */

static int64_t world_ns(void *ctx)
{
    const struct world *w = ctx;
    return w->frozen_ns != 0 ? w->frozen_ns : clock_mono_ns(clock_system()) + w->shift_ns;
}

int world_setup(void **state)
{
    struct world *w = mem_zalloc(sizeof(*w));
    peer_listen(&w->peer);
    w->cfg = (struct http_client_cfg){
        .total_timeout_ms = 50000,
        .dns_timeout_ms = 30000,
        .connect_timeout_ms = 30000,
        .tls_timeout_ms = 30000,
        .first_byte_timeout_ms = 40000,
        .write_timeout_ms = 40000,
        .max_response_head = 4096,
        .max_response_body = 8192,
        .keep_response_body = 64,
        .max_connections = 100,
        .max_connections_per_origin = 50,
        .max_idle = 100,
        .idle_timeout_ms = 60000,
        .max_uses = 1000,
        .max_age_ms = 600000,
    };
    w->policy = (struct egress_policy){
        .allow_private = true, .allow_loopback = true, .allow_http = true, .version = 1};
    w->clock = (struct clock){.wall_ns = world_ns, .mono_ns = world_ns, .ctx = w};
    assert_int_equal(loop_open(&w->loop, &w->clock), 0);
    assert_int_equal(
        dns_open(&w->dns, w->loop, &(struct dns_options){.servers = "127.0.0.1:1"}, NULL), 0);
    const struct dialer_options options = {.dns = w->dns,
                                           .policy = &w->policy,
                                           .dns_timeout_ms = w->cfg.dns_timeout_ms,
                                           .connect_timeout_ms = w->cfg.connect_timeout_ms,
                                           .tls_timeout_ms = w->cfg.tls_timeout_ms};
    dialer_open(&w->dialer, w->loop, &options);
    assert_int_equal(http_client_open(&w->client, w->loop, w->dialer, &w->cfg), 0);
    *state = w;
    return 0;
}

static void on_closed(void *ctx)
{
    int *n = ctx;
    (*n)++;
}

static void wait_count(struct world *w, const int *n)
{
    world_wait_n(w, n, 1);
    assert_int_equal(*n, 1);
}

int world_teardown(void **state)
{
    struct world *w = *state;
    int n_dns_closed = 0;
    if (w->frozen_ns != 0) {
        world_thaw(w);
    }

    if (w->client != NULL) {
        http_client_close(w->client, on_closed, &w->n_closed);
        w->client = NULL;
    }
    wait_count(w, &w->n_closed);
    dns_close(w->dns, on_closed, &n_dns_closed);
    wait_count(w, &n_dns_closed);
    world_settle(w, 20); /* canceled dials go on later turns */
    dialer_free(w->dialer);
    loop_close_handles(w->loop);
    (void)loop_run(w->loop);
    loop_free(w->loop);
    peer_fini(&w->peer);
    mem_free(w);
    return 0;
}

void world_reload(struct world *w)
{
    http_client_reload(w->client, &w->cfg);
}

void world_freeze(struct world *w)
{
    w->frozen_ns = world_ns(w);
}

void world_thaw(struct world *w)
{
    w->shift_ns = w->frozen_ns - clock_mono_ns(clock_system());
    w->frozen_ns = 0;
}

void world_advance(struct world *w, int64_t ms)
{
    w->frozen_ns += ms * 1000000;
    (void)loop_turn(w->loop, false);
}

/* The kernel may take its time to hand over what was sent, even within one machine. */
static void let_it_come(const struct world *w)
{
    for (int i = 0; i < SETTLE_MS && !w->is_large; i++) {
        if (test_sockets_unacked(w->peer.port) == 0) {
            return;
        }
        (void)poll(NULL, 0, 1);
    }
}

void world_step(struct world *w)
{
    let_it_come(w);
    peer_step(&w->peer);
    let_it_come(w);
    (void)loop_turn(w->loop, false);
}

void world_settle(struct world *w, int steps)
{
    for (int i = 0; i < steps; i++) {
        world_step(w);
        (void)poll(NULL, 0, 1);
    }
}

void world_until(struct world *w, bool (*pred)(void *ctx), void *ctx)
{
    const int64_t deadline = clock_mono_ms(clock_system()) + DEADLINE_MS;
    for (int i = 0; !pred(ctx); i++) {
        world_step(w);
        if (i > 100) {
            (void)poll(NULL, 0, 1);
        }
        if (clock_mono_ms(clock_system()) > deadline) {
            fail_msg("waited for too long");
        }
    }
}

static bool is_read(void *ctx)
{
    const struct world *w = ctx;
    return test_sockets_unacked(w->peer.port) == 0 && test_sockets_unread(w->peer.port) == 0;
}

void world_wait_read(struct world *w)
{
    world_until(w, is_read, w);
}

static bool is_done(void *ctx)
{
    const struct outcome *const *o = ctx;
    return (*o)->n_done != 0;
}

void world_wait(struct world *w, const struct outcome *o)
{
    world_until(w, is_done, &o);
}

struct count_wanted {
    const int *counter;
    int n;
};

static bool count_reached(void *ctx)
{
    const struct count_wanted *c = ctx;
    return *c->counter >= c->n;
}

void world_wait_n(struct world *w, const int *counter, int n)
{
    struct count_wanted c = {counter, n};
    world_until(w, count_reached, &c);
}

struct stats_wanted {
    const struct http_client *client;
    size_t n_open;
    size_t n_idle;
};

static bool stats_reached(void *ctx)
{
    const struct stats_wanted *s = ctx;
    struct http_client_stats now;
    http_client_stats(s->client, &now);
    return now.n_open == s->n_open && now.n_idle == s->n_idle;
}

void world_wait_stats(struct world *w, size_t n_open, size_t n_idle)
{
    struct stats_wanted s = {w->client, n_open, n_idle};
    world_until(w, stats_reached, &s);
}

void take_outcome(void *ctx, const struct http_client_result *r)
{
    struct outcome *o = ctx;
    o->n_done++;
    o->status = r->status;
    o->err = r->err;
    o->truncated = r->body_truncated;
    o->reused = r->reused;
    o->n_headers = r->n_headers;
    o->raw = *r;
    (void)snprintf(o->body, sizeof(o->body), "%.*s", STR_ARG(r->body));
    if (o->counter != NULL) {
        o->order = ++*o->counter;
    }
}

struct http_exchange *send_request(struct world *w, struct outcome *o,
                                   const struct http_client_request *rq)
{
    struct http_exchange *x = http_exchange_start(w->client, rq, take_outcome, o);
    assert_int_equal(o->n_done, 0); /* never before the call returned */
    return x;
}

struct http_exchange *post_to(struct world *w, struct outcome *o, const char *host,
                              const char *body)
{
    char text[128];
    struct url url;
    (void)snprintf(text, sizeof(text), "http://%s:%u/hook?a=b", host, (unsigned)w->peer.port);
    assert_int_equal(url_parse(&url, str_c(text), NULL), 0);
    const struct http_header headers[] = {{STR("Content-Type"), STR("application/json")},
                                          {STR("X-Event"), STR("evt_1")}};
    return send_request(w, o,
                        &(struct http_client_request){.method = HTTP_METHOD_POST,
                                                      .url = &url,
                                                      .headers = headers,
                                                      .n_headers = 2,
                                                      .body = str_c(body)});
}

struct http_exchange *post(struct world *w, struct outcome *o, const char *body)
{
    return post_to(w, o, "127.0.0.1", body);
}

void assert_ok(const struct outcome *o)
{
    if (o->n_done != 1 || o->status != 200 || o->err.code != 0) {
        fail_msg("done %d times, status %d, %s: %s", o->n_done, o->status, err_name(o->err.code),
                 o->err.msg);
    }
}

void assert_error(const struct outcome *o, int code)
{
    if (o->n_done != 1 || o->status != 0 || o->err.code != code || o->err.msg[0] == '\0') {
        fail_msg("done %d times, status %d, %s instead of %s: %s", o->n_done, o->status,
                 err_name(o->err.code), err_name(code), o->err.msg);
    }
}
