/* SPDX-License-Identifier: Apache-2.0 */
#include "peer.h"

#include "longline/check.h"
#include "test_wait.h"

static uint32_t add_sum(uint32_t sum, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        sum = sum * 31u + (unsigned char)p[i];
    }
    return sum;
}

void pattern_fill(char *p, size_t n, size_t from)
{
    for (size_t i = 0; i < n; i++) {
        const size_t at = from + i;
        p[i] = (char)((at * 7 + at / 251) & 0x7f);
    }
}

uint32_t pattern_sum(size_t n)
{
    uint32_t sum = 0;
    for (size_t at = 0; at < n; at++) {
        char c;
        pattern_fill(&c, 1, at);
        sum = add_sum(sum, &c, 1);
    }
    return sum;
}

static void on_resume(void *ctx)
{
    struct peer *p = ctx;
    if (p->s != NULL) {
        (void)stream_read_start(p->s);
    }
}

static void on_data(void *ctx, const char *data, size_t n)
{
    struct peer *p = ctx;
    LL_ASSERT(n > 0 && p->n_end == 0 && p->n_closed == 0);
    p->n_data++;
    p->n_got += n;
    p->sum = add_sum(p->sum, data, n);
    if (p->keep) {
        (void)buf_add(&p->got, data, n);
    }
    if (p->echo) {
        const struct str part = str_of(data, n);
        (void)stream_write(p->s, &part, 1); /* the other end may have gone */
    }
    if (p->close_on_data) {
        stream_close(p->s);
    } else if (p->stop_every != 0 && p->n_got >= p->stop_at) {
        p->stop_at = p->n_got + p->stop_every;
        stream_read_stop(p->s);
        loop_defer(p->loop, &p->resume);
    }
}

static void on_end(void *ctx, int err)
{
    struct peer *p = ctx;
    LL_ASSERT(p->n_end == 0 && p->n_closed == 0);
    p->n_end++;
    p->end_err = err;
    if (p->close_on_end) {
        stream_close(p->s);
    }
}

static void on_drain(void *ctx)
{
    struct peer *p = ctx;
    LL_ASSERT(p->n_closed == 0);
    p->n_drain++;
}

static void on_closed(void *ctx)
{
    struct peer *p = ctx;
    LL_ASSERT(p->n_closed == 0);
    p->n_closed++;
    p->s = NULL;
}

static const struct stream_events events = {
    .on_data = on_data,
    .on_end = on_end,
    .on_drain = on_drain,
    .on_closed = on_closed,
};

void peer_init(struct peer *p, struct loop *l)
{
    *p = (struct peer){.loop = l, .keep = true};
    buf_init(&p->got, 64u << 20);
    loop_task_init(&p->resume, on_resume, p);
}

void peer_own(struct peer *p, struct stream *s)
{
    p->s = s;
    s->ev = &events;
    s->ctx = p;
}

void peer_take(struct peer *p, struct stream *s)
{
    peer_own(p, s);
    LL_ASSERT(stream_read_start(s) == 0);
}

int peer_send(struct peer *p, const char *text)
{
    const struct str part = str_c(text);
    return stream_write(p->s, &part, 1);
}

void peer_close(struct peer *p)
{
    if (p->s != NULL) {
        stream_close(p->s);
    }
}

void peer_fini(struct peer *p)
{
    if (p->s != NULL) {
        stream_close(p->s);
        LL_ASSERT(peer_wait_closed(p, 30000));
    }
    loop_task_cancel(&p->resume);
    buf_fini(&p->got);
}

struct want {
    const struct peer *p;
    size_t n;
};

static bool has_bytes(void *ctx)
{
    const struct want *w = ctx;
    return w->p->n_got >= w->n || w->p->n_end != 0 || w->p->n_closed != 0;
}

bool peer_wait_bytes(struct peer *p, size_t n, int64_t ms)
{
    struct want w = {.p = p, .n = n};
    (void)wait_until(p->loop, has_bytes, &w, ms);
    return p->n_got >= n;
}

static bool has_ended(void *ctx)
{
    return ((const struct peer *)ctx)->n_end != 0;
}

bool peer_wait_end(struct peer *p, int64_t ms)
{
    return wait_until(p->loop, has_ended, p, ms);
}

static bool has_closed(void *ctx)
{
    return ((const struct peer *)ctx)->n_closed != 0;
}

bool peer_wait_closed(struct peer *p, int64_t ms)
{
    return wait_until(p->loop, has_closed, p, ms);
}
