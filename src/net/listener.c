/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The listening socket: watched with uv_poll and accepted from by hand.
 *
 * libuv's own listening stream accepts in a loop of its own and, out of descriptors, drops
 * connections or spins; here the backlog simply keeps them until there is room again:
 *   budget used up      the descriptor is still readable, the next turn goes on
 *   max_streams open    a handshake that waits for its client makes room; without one, watching
 *                       stops, and starts again when a stream has gone
 *   out of descriptors  watching stops for RETRY_MS
 * The listener's memory lives until its handle is closed and its last stream has gone.
 */
#define _GNU_SOURCE /* accept4 */
#include "longline/listener.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "longline/list.h"
#include "longline/log.h"
#include "longline/mem.h"
#include "loop_impl.h"
#include "tcp.h"
#include "tls_impl.h"

#define LISTENER_MAGIC   0x4c53544eu
#define ACCEPTS_PER_TURN 64
#define RETRY_MS         100
#define HANDSHAKE_MS     10000

struct listener {
    unsigned magic;
    bool closing;
    bool watching;
    int fd;
    unsigned holds; /* the handle, each stream, each handshake */
    size_t n_streams;
    size_t max_streams;
    struct loop *loop;
    struct tls_server *tls;
    void (*on_stream)(void *ctx, struct stream *s);
    void *ctx;
    void (*done)(void *ctx);
    void *done_ctx;
    union addr addr;
    uv_poll_t poll;
    struct timer retry;
    struct list handshakes;
};

/* A TLS handshake of an accepted stream. */
struct pending_tls {
    struct listener *ls;
    struct stream *s;
    struct timer deadline;
    struct list node;
};

static void release(struct listener *ls)
{
    LL_ASSERT(ls->holds > 0);
    if (--ls->holds == 0) {
        ls->magic = 0;
        mem_free(ls);
    }
}

static void on_readable(uv_poll_t *h, int status, int events);

static bool is_full(const struct listener *ls)
{
    return ls->n_streams >= ls->max_streams;
}

/* Clients that say nothing in their handshake must not keep all others waiting. */
static bool may_accept(const struct listener *ls)
{
    return !is_full(ls) || (ls->tls != NULL && tls_server_may_evict(ls->tls));
}

static void watch(struct listener *ls)
{
    if (!ls->closing && ls->tls != NULL && !may_accept(ls) && !timer_armed(&ls->retry)) {
        timer_in(&ls->retry, RETRY_MS); /* a handshake that is with a worker will wait again */
    }
    const bool want = !ls->closing && may_accept(ls) && !timer_armed(&ls->retry);
    if (want && !ls->watching) {
        ls->watching = uv_poll_start(&ls->poll, UV_READABLE, on_readable) == 0;
    } else if (!want && ls->watching) {
        ls->watching = false;
        (void)uv_poll_stop(&ls->poll);
    }
}

static void on_retry(void *ctx)
{
    struct listener *ls = ctx;
    LL_MAGIC_CHECK(ls, LISTENER_MAGIC);
    watch(ls);
}

static void on_stream_gone(void *ctx)
{
    struct listener *ls = ctx;
    LL_MAGIC_CHECK(ls, LISTENER_MAGIC);
    ls->n_streams--;
    watch(ls);
    release(ls);
}

/* ---- TLS ---- */

static void handshake_over(struct pending_tls *p)
{
    timer_stop(&p->deadline);
    list_del(&p->node);
    mem_free(p);
}

static void on_handshake(void *ctx, const struct err_detail *err)
{
    struct pending_tls *p = ctx;
    struct listener *ls = p->ls;
    struct stream *s = p->s;
    handshake_over(p);
    if (err->code != 0) {
        log_debug("tls.handshake_failed", LOG_CSTR("detail", err->msg));
        stream_close(s);
        return;
    }
    ls->on_stream(ls->ctx, s);
}

static void on_handshake_late(void *ctx)
{
    struct pending_tls *p = ctx;
    struct stream *s = p->s;
    handshake_over(p);
    stream_close(s);
}

static void start_handshake(struct listener *ls, struct stream *lower)
{
    struct pending_tls *p = mem_zalloc(sizeof(*p));
    p->ls = ls;
    timer_init(&p->deadline, ls->loop, on_handshake_late, p);
    timer_in(&p->deadline, HANDSHAKE_MS);
    list_push_tail(&ls->handshakes, &p->node);
    p->s = tls_server_wrap(ls->tls, lower, on_handshake, p);
}

/* ---- accepting ---- */

static void take_fd(struct listener *ls, int fd, const union addr *peer)
{
    struct stream *s = NULL;
    if (ls->tls != NULL && !tls_server_admit(ls->tls, peer, is_full(ls))) {
        (void)close(fd);
        return;
    }
    const int rc = tcp_from_fd(&s, ls->loop, fd, peer);
    if (rc != 0) {
        (void)close(fd);
        log_warn("listener.accept", LOG_ERR(rc));
        return;
    }
    ls->n_streams++;
    ls->holds++;
    tcp_on_gone(s, on_stream_gone, ls);
    if (ls->tls != NULL) {
        start_handshake(ls, s);
    } else {
        ls->on_stream(ls->ctx, s);
    }
}

/* True when accepting may go on in this turn. */
static bool accept_failed(struct listener *ls, int e)
{
    if (e == EINTR || e == ECONNABORTED) {
        return true;
    }
    if (e == EAGAIN) {
        return false;
    }
    log_warn("listener.accept", LOG_CSTR("detail", uv_strerror(-e)),
             LOG_INT("streams", ls->n_streams));
    timer_in(&ls->retry, RETRY_MS);
    return false;
}

static void on_readable(uv_poll_t *h, int status, int events)
{
    struct listener *ls = h->data;
    LL_MAGIC_CHECK(ls, LISTENER_MAGIC);
    (void)events;
    if (status != 0) {
        timer_in(&ls->retry, RETRY_MS);
    }
    bool go_on = status == 0;
    for (int i = 0; go_on && i < ACCEPTS_PER_TURN; i++) {
        union addr peer;
        memset(&peer, 0, sizeof(peer));
        socklen_t len = sizeof(peer);
        const int fd = accept4(ls->fd, &peer.sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            take_fd(ls, fd, &peer);
            go_on = !ls->closing && may_accept(ls);
        } else {
            go_on = accept_failed(ls, errno);
        }
    }
    watch(ls);
}

/* ---- opening and closing ---- */

static int fail_errno(struct err_detail *err, const char *what, const union addr *a)
{
    const int e = errno;
    char text[ADDR_TEXT_MAX];
    (void)addr_format(text, a);
    return err_set(err, err_from_errno(e), e, "%s %s: %s", what, text, uv_strerror(-e));
}

static int bind_and_listen(int fd, const struct listener_options *o, struct err_detail *err)
{
    const int on = 1;
    const bool v6 = o->addr.sa.sa_family == AF_INET6;
    const socklen_t len = v6 ? sizeof(o->addr.v6) : sizeof(o->addr.v4);
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    /* Accepted sockets inherit it. */
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (v6) {
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
    }
    if (bind(fd, &o->addr.sa, len) != 0) {
        return fail_errno(err, "bind to", &o->addr);
    }
    if (listen(fd, o->backlog > 0 ? o->backlog : 1024) != 0) {
        return fail_errno(err, "listen on", &o->addr);
    }
    return 0;
}

static int open_socket(const struct listener_options *o, int *out, struct err_detail *err)
{
    const int fd = socket(o->addr.sa.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return fail_errno(err, "socket for", &o->addr);
    }
    const int rc = bind_and_listen(fd, o, err);
    if (rc != 0) {
        (void)close(fd);
        return rc;
    }
    *out = fd;
    return 0;
}

int listener_open(struct listener **out, struct loop *l, const struct listener_options *o,
                  struct err_detail *err)
{
    if (o->addr.sa.sa_family != AF_INET && o->addr.sa.sa_family != AF_INET6) {
        return err_set(err, ERR_INVALID, 0, "not an IP address");
    }
    int fd = -1;
    int rc = open_socket(o, &fd, err);
    if (rc != 0) {
        return rc;
    }
    struct listener *ls = mem_zalloc(sizeof(*ls));
    rc = uv_poll_init(&l->uv, &ls->poll, fd);
    if (rc != 0) {
        (void)close(fd);
        mem_free(ls);
        return err_set(err, err_from_uv(rc), rc, "listening socket: %s", uv_strerror(rc));
    }
    ls->magic = LISTENER_MAGIC;
    ls->fd = fd;
    ls->holds = 1;
    ls->loop = l;
    ls->max_streams = o->max_streams != 0 ? o->max_streams : 10000;
    ls->tls = o->tls;
    ls->on_stream = o->on_stream;
    ls->ctx = o->ctx;
    ls->poll.data = ls;
    timer_init(&ls->retry, l, on_retry, ls);
    list_init(&ls->handshakes);
    socklen_t len = sizeof(ls->addr);
    (void)getsockname(fd, &ls->addr.sa, &len);
    watch(ls);
    *out = ls;
    return 0;
}

void listener_addr(const struct listener *ls, union addr *out)
{
    *out = ls->addr;
}

size_t listener_n_streams(const struct listener *ls)
{
    return ls->n_streams;
}

static void on_poll_closed(uv_handle_t *h)
{
    struct listener *ls = h->data;
    LL_MAGIC_CHECK(ls, LISTENER_MAGIC);
    void (*const done)(void *) = ls->done;
    void *const ctx = ls->done_ctx;
    release(ls);
    if (done != NULL) {
        done(ctx);
    }
}

void listener_close(struct listener *ls, void (*done)(void *ctx), void *ctx)
{
    LL_MAGIC_CHECK(ls, LISTENER_MAGIC);
    LL_ASSERT(!ls->closing);
    ls->closing = true;
    ls->done = done;
    ls->done_ctx = ctx;
    timer_stop(&ls->retry);
    LIST_FOREACH_SAFE (it, tmp, &ls->handshakes) {
        on_handshake_late(LIST_ENTRY(it, struct pending_tls, node));
    }
    watch(ls);
    uv_close((uv_handle_t *)&ls->poll, on_poll_closed);
    (void)close(ls->fd);
}
