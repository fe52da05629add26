/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two streams connected in memory. Bytes written at one end wait in the inbox of the other and are
 * delivered on the next turn, if it reads; until then they count as pending at the writer.
 *
 * Closing an end ends the other one after the bytes under way: with 0, or with ERR_RESET when the
 * closed end had not read all of its own inbox, as a kernel would.
 */
#include "longline/buf.h"
#include "longline/check.h"
#include "longline/loop.h"
#include "longline/mem.h"
#include "longline/stream.h"

#define PAIR_MAGIC 0x50414952u
#define PAIR_PIECE 65536u

struct pair_stream {
    struct stream s; /* first */
    unsigned magic;
    struct loop *loop;
    struct pair_stream *peer; /* NULL once it has closed */
    struct loop_task task;
    struct buf inbox;
    bool reading;
    bool closing;
    bool peer_gone;
    bool ended; /* on_end was called */
    bool want_drain;
    int end_err;
};

static struct pair_stream *pair_of(struct stream *s)
{
    struct pair_stream *p = (struct pair_stream *)s;
    LL_MAGIC_CHECK(p, PAIR_MAGIC);
    return p;
}

static void gone(struct pair_stream *p)
{
    const struct stream_events *ev = p->s.ev;
    void *const ctx = p->s.ctx;
    buf_fini(&p->inbox);
    p->magic = 0;
    mem_free(p);
    if (ev != NULL && ev->on_closed != NULL) {
        ev->on_closed(ctx);
    }
}

static void deliver_data(struct pair_stream *p)
{
    struct buf got = p->inbox;
    buf_init(&p->inbox, STREAM_MAX_PENDING);
    size_t at = 0;
    while (at < got.n && p->reading && !p->closing) {
        const size_t n = got.n - at < PAIR_PIECE ? got.n - at : PAIR_PIECE;
        p->s.ev->on_data(p->s.ctx, got.p + at, n);
        at += n;
    }
    if (at < got.n) { /* stopped half-way: the rest goes in front of what came meanwhile */
        buf_consume(&got, at);
        LL_ASSERT(buf_add(&got, p->inbox.p, p->inbox.n) == 0);
        buf_fini(&p->inbox);
        p->inbox = got;
    } else {
        buf_fini(&got);
    }
}

static void run(void *ctx)
{
    struct pair_stream *p = ctx;
    LL_MAGIC_CHECK(p, PAIR_MAGIC);
    if (p->closing) {
        gone(p);
        return;
    }
    if (p->inbox.n != 0 && p->reading) {
        deliver_data(p);
        if (p->inbox.n == 0 && p->peer != NULL && p->peer->want_drain) {
            loop_defer(p->loop, &p->peer->task);
        }
    }
    if (!p->closing && p->inbox.n == 0 && p->reading && p->peer_gone && !p->ended) {
        p->ended = true;
        p->reading = false;
        p->s.ev->on_end(p->s.ctx, p->end_err);
    }
    if (!p->closing && p->want_drain && (p->peer == NULL || p->peer->inbox.n == 0)) {
        p->want_drain = false;
        if (p->s.ev != NULL && p->s.ev->on_drain != NULL) {
            p->s.ev->on_drain(p->s.ctx);
        }
    }
}

static int pair_write(struct stream *s, const struct str *parts, size_t n_parts)
{
    struct pair_stream *p = pair_of(s);
    if (p->closing) {
        return ERR_CLOSED;
    }
    if (p->peer == NULL) {
        return ERR_RESET;
    }
    int rc = 0;
    for (size_t i = 0; i < n_parts && rc == 0; i++) {
        rc = buf_add(&p->peer->inbox, parts[i].p, parts[i].n);
    }
    if (p->peer->inbox.n != 0) {
        p->want_drain = true;
        loop_defer(p->loop, &p->peer->task);
    }
    return rc;
}

static size_t pair_pending(const struct stream *s)
{
    const struct pair_stream *p = (const struct pair_stream *)s;
    LL_MAGIC_CHECK(p, PAIR_MAGIC);
    return p->peer != NULL ? p->peer->inbox.n : 0;
}

static int pair_read_start(struct stream *s)
{
    struct pair_stream *p = pair_of(s);
    if (p->closing) {
        return ERR_CLOSED;
    }
    LL_ASSERT(s->ev != NULL);
    if (!p->ended) {
        p->reading = true;
        loop_defer(p->loop, &p->task);
    }
    return 0;
}

static void pair_read_stop(struct stream *s)
{
    pair_of(s)->reading = false;
}

static void pair_close(struct stream *s, bool graceful)
{
    (void)graceful;
    struct pair_stream *p = pair_of(s);
    if (p->closing) {
        return;
    }
    p->closing = true;
    p->reading = false;
    struct pair_stream *peer = p->peer;
    if (peer != NULL) {
        p->peer = NULL;
        peer->peer = NULL;
        peer->peer_gone = true;
        peer->end_err = p->inbox.n != 0 ? ERR_RESET : 0;
        loop_defer(p->loop, &peer->task);
    }
    loop_defer(p->loop, &p->task);
}

static void pair_info(const struct stream *s, struct stream_info *out)
{
    LL_MAGIC_CHECK((const struct pair_stream *)s, PAIR_MAGIC);
    *out = (struct stream_info){.is_tls = false};
    out->peer.v4.sin_family = AF_INET;
    out->peer.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
}

static const struct stream_ops pair_ops = {
    .write = pair_write,
    .pending = pair_pending,
    .read_start = pair_read_start,
    .read_stop = pair_read_stop,
    .close = pair_close,
    .info = pair_info,
};

static struct pair_stream *pair_new(struct loop *l)
{
    struct pair_stream *p = mem_zalloc(sizeof(*p));
    p->s.ops = &pair_ops;
    p->magic = PAIR_MAGIC;
    p->loop = l;
    loop_task_init(&p->task, run, p);
    buf_init(&p->inbox, STREAM_MAX_PENDING);
    return p;
}

void stream_pair(struct loop *l, struct stream **a, struct stream **b)
{
    struct pair_stream *x = pair_new(l);
    struct pair_stream *y = pair_new(l);
    x->peer = y;
    y->peer = x;
    *a = &x->s;
    *b = &y->s;
}
