/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TCP stream.
 *
 * States: CONNECTING -> OPEN -> FINISHING -> CLOSING, each may be skipped.
 *   FINISHING  graceful close: waiting output, then FIN, then reading to the peer's FIN and
 *              throwing away, so that the kernel does not answer late bytes with a reset that
 *              would destroy what we sent. A peer that is still sending a large request gets
 *              the time to come to its end and to read our answer; one that neither
 *              takes nor sends anything is given up after FINISH_QUIET_MS, every one after
 *              FINISH_MS or FINISH_BYTES.
 *   CLOSING    uv_close was called; its callback frees the stream.
 *
 * Reading: every socket reads into the loop's one buffer. Stopping is lazy: the descriptor stays
 * watched, and only when bytes arrive that nobody wants is watching ended. A server that pauses
 * reading during each request so never pays an epoll_ctl for it.
 *
 * Writing: straight into the socket; what it does not take is copied into an `out` that exists only
 * while something waits. One uv_write is under way at a time; later bytes gather behind it.
 */
#include "tcp.h"

#include "longline/check.h"
#include "longline/mem.h"
#include "loop_impl.h"

#define TCP_MAGIC       0x54435053u
#define FINISH_QUIET_MS 1000
#define FINISH_MS       10000
/* A peer that sends without end must not keep the loop reading for all of FINISH_MS. */
#define FINISH_BYTES    (64u << 20)
#define GATHER          16

enum tcp_state { TS_CONNECTING, TS_OPEN, TS_FINISHING, TS_CLOSING };

/* Output that waits for the socket. */
struct tcp_out {
    uv_write_t req;
    struct buf flying; /* given to uv_write */
    struct buf queued; /* behind it */
};

struct tcp_stream {
    struct stream s; /* first */
    unsigned magic;
    enum tcp_state state;
    bool want_read;
    bool watching; /* uv_read_start is in force */
    bool ended;    /* nothing more will be read; on_end was called if anybody was there */
    bool finish_started;
    size_t finish_bytes;     /* thrown away so far */
    size_t finish_pending;   /* output that waited when this was last looked at */
    int64_t finish_until_ms; /* when FINISHING ends whatever the peer does */
    struct loop *loop;
    struct tcp_out *out;
    void (*connected)(void *ctx, int err);
    void *connected_ctx;
    void (*gone)(void *ctx);
    void *gone_ctx;
    union addr peer;
    struct timer deadline; /* of FINISHING */
    union {                /* never at the same time */
        uv_connect_t connect;
        uv_shutdown_t shutdown;
    } req;
    uv_tcp_t h;
};

static uv_stream_t *handle_of(struct tcp_stream *t)
{
    return (uv_stream_t *)&t->h;
}

static struct tcp_stream *tcp_of(struct stream *s)
{
    struct tcp_stream *t = (struct tcp_stream *)s;
    LL_MAGIC_CHECK(t, TCP_MAGIC);
    return t;
}

/* libuv's buffers are not const, though it only reads those that are written. */
static char *unconst(const char *p)
{
    union {
        const char *c;
        char *m;
    } u = {.c = p};
    return u.m;
}

static size_t tcp_pending(const struct stream *s);

/* ---- closing ---- */

static void on_closed(uv_handle_t *h)
{
    struct tcp_stream *t = h->data;
    LL_MAGIC_CHECK(t, TCP_MAGIC);
    LL_ASSERT(t->out == NULL);
    const struct stream_events *ev = t->s.ev;
    void *const ctx = t->s.ctx;
    void (*const gone)(void *) = t->gone;
    void *const gone_ctx = t->gone_ctx;
    t->magic = 0;
    mem_free(t);
    if (gone != NULL) {
        gone(gone_ctx);
    }
    if (ev != NULL && ev->on_closed != NULL) {
        ev->on_closed(ctx);
    }
}

static void close_now(struct tcp_stream *t)
{
    if (t->state == TS_CLOSING) {
        return;
    }
    t->state = TS_CLOSING;
    timer_stop(&t->deadline);
    uv_close((uv_handle_t *)&t->h, on_closed);
}

/* In FINISHING: the peer has shown that it is there. */
static void wait_on(struct tcp_stream *t)
{
    const int64_t quiet_until = time_add(loop_mono_ms(t->loop), FINISH_QUIET_MS);
    timer_at(&t->deadline, quiet_until < t->finish_until_ms ? quiet_until : t->finish_until_ms);
}

static void on_deadline(void *ctx)
{
    struct tcp_stream *t = ctx;
    LL_MAGIC_CHECK(t, TCP_MAGIC);
    const size_t pending = tcp_pending(&t->s);
    if (pending < t->finish_pending && loop_mono_ms(t->loop) < t->finish_until_ms) {
        t->finish_pending = pending;
        wait_on(t);
        return;
    }
    close_now(t);
}

static void end(struct tcp_stream *t, int err)
{
    if (t->ended) {
        return;
    }
    t->ended = true;
    t->want_read = false;
    if (t->watching) {
        t->watching = false;
        (void)uv_read_stop(handle_of(t));
    }
    if (t->state == TS_OPEN && t->s.ev != NULL) {
        t->s.ev->on_end(t->s.ctx, err);
    }
}

/* ---- reading ---- */

static void on_alloc(uv_handle_t *h, size_t suggested, uv_buf_t *buf)
{
    (void)suggested;
    const struct tcp_stream *t = h->data;
    LL_MAGIC_CHECK(t, TCP_MAGIC);
    if (t->want_read || t->state == TS_FINISHING) {
        buf->base = t->loop->read_buf;
        buf->len = LOOP_READ_BUF;
    } else {
        buf->base = NULL; /* on_read sees ENOBUFS and stops watching */
        buf->len = 0;
    }
}

/* Bytes of a peer that we have said goodbye to. */
static void finish_read(struct tcp_stream *t, ssize_t n)
{
    t->finish_bytes += n > 0 ? (size_t)n : 0;
    if (n < 0 || t->finish_bytes > FINISH_BYTES) {
        close_now(t);
        return;
    }
    wait_on(t);
}

static void on_read(uv_stream_t *h, ssize_t n, const uv_buf_t *buf)
{
    struct tcp_stream *t = h->data;
    LL_MAGIC_CHECK(t, TCP_MAGIC);
    if (n == 0) {
        return;
    }
    if (n == UV_ENOBUFS) {
        t->watching = false;
        (void)uv_read_stop(h);
    } else if (t->state == TS_FINISHING) {
        finish_read(t, n);
    } else if (n > 0) {
        t->s.ev->on_data(t->s.ctx, buf->base, (size_t)n);
    } else {
        end(t, n == UV_EOF ? 0 : err_from_uv((int)n));
    }
}

static int watch(struct tcp_stream *t)
{
    if (t->watching) {
        return 0;
    }
    const int rc = uv_read_start(handle_of(t), on_alloc, on_read);
    t->watching = rc == 0;
    return err_from_uv(rc);
}

static int tcp_read_start(struct stream *s)
{
    struct tcp_stream *t = tcp_of(s);
    if (t->state != TS_OPEN) {
        return ERR_CLOSED;
    }
    if (t->ended) {
        return 0;
    }
    LL_ASSERT(s->ev != NULL);
    t->want_read = true;
    return watch(t);
}

static void tcp_read_stop(struct stream *s)
{
    tcp_of(s)->want_read = false;
}

/* ---- graceful close ---- */

static void on_shutdown(uv_shutdown_t *req, int status)
{
    struct tcp_stream *t = req->handle->data;
    LL_MAGIC_CHECK(t, TCP_MAGIC);
    if (t->state != TS_FINISHING) {
        return;
    }
    if (status != 0 || t->ended || watch(t) != 0) {
        close_now(t);
    }
}

/* Output is empty: sends FIN. */
static void send_fin(struct tcp_stream *t)
{
    if (uv_shutdown(&t->req.shutdown, handle_of(t), on_shutdown) != 0) {
        close_now(t);
    }
}

static void tcp_close(struct stream *s, bool graceful)
{
    struct tcp_stream *t = tcp_of(s);
    if (t->state == TS_CLOSING || (t->state == TS_FINISHING && graceful)) {
        return;
    }
    t->want_read = false;
    if (!graceful || t->state != TS_OPEN) {
        close_now(t);
        return;
    }
    t->state = TS_FINISHING;
    t->finish_until_ms = time_add(loop_mono_ms(t->loop), FINISH_MS);
    t->finish_pending = tcp_pending(s);
    wait_on(t);
    if (t->out == NULL) {
        send_fin(t);
    }
}

/* ---- writing ---- */

static void out_free(struct tcp_stream *t)
{
    buf_fini(&t->out->flying);
    buf_fini(&t->out->queued);
    mem_free(t->out);
    t->out = NULL;
}

static int out_fly(struct tcp_stream *t);

static void out_done(struct tcp_stream *t)
{
    out_free(t);
    if (t->state == TS_FINISHING) {
        wait_on(t);
        send_fin(t);
    } else if (t->state == TS_OPEN && t->s.ev != NULL && t->s.ev->on_drain != NULL) {
        t->s.ev->on_drain(t->s.ctx);
    }
}

static void on_written(uv_write_t *req, int status)
{
    struct tcp_stream *t = req->handle->data;
    LL_MAGIC_CHECK(t, TCP_MAGIC);
    int rc = err_from_uv(status);
    if (rc == 0 && t->out->queued.n != 0 && t->state != TS_CLOSING) {
        rc = out_fly(t);
        if (rc == 0) {
            return;
        }
    }
    if (rc == 0) {
        out_done(t);
        return;
    }
    out_free(t);
    if (t->state == TS_FINISHING) {
        close_now(t);
    } else if (t->state == TS_OPEN) {
        end(t, rc);
    }
}

/* Gives the queued bytes to libuv. */
static int out_fly(struct tcp_stream *t)
{
    struct tcp_out *o = t->out;
    const struct buf tmp = o->flying;
    o->flying = o->queued;
    o->queued = tmp;
    buf_reset(&o->queued);
    const uv_buf_t b = {.base = o->flying.p, .len = o->flying.n};
    return err_from_uv(uv_write(&o->req, handle_of(t), &b, 1, on_written));
}

/* Keeps the parts beyond the first `skip` bytes. */
static int out_add(struct tcp_stream *t, const struct str *parts, size_t n_parts, size_t skip)
{
    const bool first = t->out == NULL;
    if (first) {
        t->out = mem_zalloc(sizeof(*t->out));
        buf_init(&t->out->flying, STREAM_MAX_PENDING);
        buf_init(&t->out->queued, STREAM_MAX_PENDING);
    }
    int rc = 0;
    for (size_t i = 0; i < n_parts && rc == 0; i++) {
        const size_t cut = skip < parts[i].n ? skip : parts[i].n;
        skip -= cut;
        if (cut < parts[i].n) {
            rc = buf_add(&t->out->queued, parts[i].p + cut, parts[i].n - cut);
        }
    }
    if (first) {
        if (rc == 0) {
            rc = out_fly(t);
        }
        if (rc != 0) {
            out_free(t);
        }
    }
    return rc;
}

/* Writes what the socket takes at once. */
static int write_now(struct tcp_stream *t, const struct str *parts, size_t n_parts, size_t *sent)
{
    size_t i = 0;
    while (i < n_parts) {
        uv_buf_t bufs[GATHER];
        unsigned n = 0;
        size_t batch = 0;
        for (; i < n_parts && n < GATHER; i++) {
            if (parts[i].n != 0) {
                bufs[n].base = unconst(parts[i].p);
                bufs[n].len = parts[i].n;
                batch += parts[i].n;
                n++;
            }
        }
        if (n == 0) {
            return 0;
        }
        const int rc = uv_try_write(handle_of(t), bufs, n);
        if (rc == UV_EAGAIN) {
            return 0;
        }
        if (rc < 0) {
            return err_from_uv(rc);
        }
        *sent += (size_t)rc;
        if ((size_t)rc < batch) {
            return 0;
        }
    }
    return 0;
}

static size_t tcp_pending(const struct stream *s)
{
    const struct tcp_stream *t = (const struct tcp_stream *)s;
    LL_MAGIC_CHECK(t, TCP_MAGIC);
    if (t->out == NULL) {
        return 0;
    }
    return uv_stream_get_write_queue_size((const uv_stream_t *)&t->h) + t->out->queued.n;
}

static int tcp_write(struct stream *s, const struct str *parts, size_t n_parts)
{
    struct tcp_stream *t = tcp_of(s);
    if (t->state != TS_OPEN) {
        return ERR_CLOSED;
    }
    size_t total = 0;
    for (size_t i = 0; i < n_parts; i++) {
        total += parts[i].n; /* lengths of memory that exists: cannot overflow */
    }
    size_t sent = 0;
    if (t->out == NULL) {
        const int rc = write_now(t, parts, n_parts, &sent);
        if (rc != 0) {
            return rc;
        }
    }
    if (sent == total) {
        return 0;
    }
    if (total - sent > STREAM_MAX_PENDING || tcp_pending(s) > STREAM_MAX_PENDING - (total - sent)) {
        return ERR_TOO_BIG;
    }
    return out_add(t, parts, n_parts, sent);
}

static void tcp_info(const struct stream *s, struct stream_info *out)
{
    const struct tcp_stream *t = (const struct tcp_stream *)s;
    LL_MAGIC_CHECK(t, TCP_MAGIC);
    *out = (struct stream_info){.peer = t->peer};
}

/* ---- making ---- */

static const struct stream_ops tcp_ops = {
    .write = tcp_write,
    .pending = tcp_pending,
    .read_start = tcp_read_start,
    .read_stop = tcp_read_stop,
    .close = tcp_close,
    .info = tcp_info,
};

static struct tcp_stream *tcp_new(struct loop *l, const union addr *peer)
{
    LL_DCHECK(loop_is_own_thread(l));
    struct tcp_stream *t = mem_zalloc(sizeof(*t));
    LL_ASSERT(uv_tcp_init(&l->uv, &t->h) == 0); /* makes no socket yet, so it cannot fail */
    t->s.ops = &tcp_ops;
    t->magic = TCP_MAGIC;
    t->loop = l;
    t->peer = *peer;
    t->h.data = t;
    timer_init(&t->deadline, l, on_deadline, t);
    return t;
}

static void on_connect(uv_connect_t *req, int status)
{
    struct tcp_stream *t = req->handle->data;
    LL_MAGIC_CHECK(t, TCP_MAGIC);
    if (t->state != TS_CONNECTING) {
        return;
    }
    if (status == 0) {
        t->state = TS_OPEN;
    }
    void (*const done)(void *, int) = t->connected;
    t->connected = NULL;
    done(t->connected_ctx, err_from_uv(status));
}

int tcp_connect(struct stream **out, struct loop *l, const union addr *to,
                void (*done)(void *ctx, int err), void *ctx)
{
    struct tcp_stream *t = tcp_new(l, to);
    t->state = TS_CONNECTING;
    t->connected = done;
    t->connected_ctx = ctx;
    (void)uv_tcp_nodelay(&t->h, 1); /* remembered until there is a socket */
    const int rc = uv_tcp_connect(&t->req.connect, &t->h, &to->sa, on_connect);
    if (rc != 0) {
        close_now(t);
        return err_from_uv(rc);
    }
    *out = &t->s;
    return 0;
}

int tcp_from_fd(struct stream **out, struct loop *l, int fd, const union addr *peer)
{
    struct tcp_stream *t = tcp_new(l, peer);
    t->state = TS_OPEN;
    const int rc = uv_tcp_open(&t->h, fd);
    if (rc != 0) {
        close_now(t);
        return err_from_uv(rc);
    }
    *out = &t->s;
    return 0;
}

void tcp_on_gone(struct stream *s, void (*fn)(void *ctx), void *ctx)
{
    struct tcp_stream *t = tcp_of(s);
    t->gone = fn;
    t->gone_ctx = ctx;
}
