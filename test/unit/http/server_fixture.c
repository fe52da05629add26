/* SPDX-License-Identifier: Apache-2.0 */
#include "server_fixture.h"

#include <stdio.h>

static int64_t mono_ns(void *ctx)
{
    const struct fx *f = ctx;
    return f->mono_ms * 1000000;
}

static int64_t wall_ns(void *ctx)
{
    const struct fx *f = ctx;
    return f->wall_ms * 1000000;
}

/* ---- the handler ---- */

static int on_head(void *ctx, struct http_request *rq, int64_t *max_body,
                   struct http_reply *refusal)
{
    struct fx *f = ctx;
    f->n_heads++;
    assert_int_equal(rq->body.n, 0);
    assert_non_null(rq->arena);
    rq->user = arena_printf(rq->arena, "user %zu", f->n_heads);
    if (str_starts(rq->path, STR("/refuse")) || str_starts(rq->path, STR("/gone"))) {
        refusal->status = 401;
        refusal->content_type = "text/plain";
        refusal->body = arena_str(rq->arena, STR("no"));
        refusal->close = str_starts(rq->path, STR("/gone"));
        return ERR_DENIED;
    }
    if (str_starts(rq->path, STR("/small"))) {
        *max_body = 10;
    }
    return 0;
}

static void answer(struct fx *f, struct http_request *rq)
{
    static const struct http_header evil[] = {
        {{"X-Evil", 6}, {"a\r\nSet-Cookie: x", 16}},
        {{"X-Fine", 6}, {"b", 1}},
    };
    struct http_reply rp = {.status = 200, .content_type = "text/plain"};
    char *text = arena_printf(rq->arena, STR_FMT " " STR_FMT " [" STR_FMT "]",
                              STR_ARG(rq->method_text), STR_ARG(rq->target), STR_ARG(rq->body));
    rp.body = str_c(text);
    if (str_eq(rq->path, STR("/big"))) {
        rp.body = str_of(f->big, FX_BIG);
    }
    if (str_eq(rq->path, STR("/evil"))) {
        rp.headers = evil;
        rp.n_headers = 2;
    }
    rp.close = str_eq(rq->path, STR("/end"));
    http_reply(rq, &rp);
}

static void on_request(void *ctx, struct http_request *rq)
{
    struct fx *f = ctx;
    f->n_requests++;
    assert_non_null(rq->user);
    if (str_eq(rq->path, STR("/later"))) {
        assert_true(f->n_held < FX_MAX_HELD);
        f->held[f->n_held++] = rq;
        return;
    }
    if (str_eq(rq->path, STR("/long"))) {
        f->mono_ms += FX_LONG_MS;
    }
    answer(f, rq);
}

static void on_protocol_error(void *ctx, int status, struct arena *a, struct http_reply *out)
{
    struct fx *f = ctx;
    f->n_errors++;
    out->content_type = "text/plain";
    out->body = str_c(arena_printf(a, "error %d", status));
}

void fx_handler(struct fx *f, struct http_handler *h)
{
    *h = (struct http_handler){
        .on_head = on_head,
        .on_request = on_request,
        .on_protocol_error = on_protocol_error,
        .ctx = f,
    };
}

void fx_answer(struct fx *f, const char *text)
{
    struct http_request *rq;
    struct http_reply rp = {.status = 200, .content_type = "text/plain", .body = str_c(text)};
    assert_true(f->n_held != 0);
    rq = f->held[0];
    f->n_held--;
    memmove(f->held, f->held + 1, f->n_held * sizeof(f->held[0]));
    /* What the request points to is still there. */
    assert_true(str_eq(rq->path, STR("/later")));
    assert_true(strncmp(rq->user, "user ", 5) == 0);
    http_reply(rq, &rp);
}

/* ---- the server ---- */

void fx_cfg_defaults(struct http_server_cfg *cfg)
{
    static char listen[] = "127.0.0.1:0";
    *cfg = (struct http_server_cfg){
        .listen = listen,
        .max_body = 1 << 20,
        .max_publish_body = 1 << 20,
        .max_head = 16384,
        .max_headers = 64,
        .max_connections = 10000,
        .head_timeout_ms = 10000,
        .body_timeout_ms = 30000,
        .idle_timeout_ms = 60000,
        .write_timeout_ms = 10000,
    };
}

void fx_open(struct fx *f, void (*tweak)(struct http_server_cfg *cfg))
{
    memset(f, 0, sizeof(*f));
    f->mono_ms = 1000000;
    f->wall_ms = INT64_C(784111777000); /* Sun, 06 Nov 1994 08:49:37 GMT */
    f->clock = (struct clock){.wall_ns = wall_ns, .mono_ns = mono_ns, .ctx = f};
    f->big = test_malloc(FX_BIG);
    memset(f->big, 'x', FX_BIG);
    assert_int_equal(loop_open(&f->loop, &f->clock), 0);
    fx_cfg_defaults(&f->cfg);
    if (tweak != NULL) {
        tweak(&f->cfg);
    }
    fx_handler(f, &f->handler);
    f->server = server_new(f->loop, &f->cfg, &f->handler);
}

static void on_server_done(void *ctx)
{
    struct fx *f = ctx;
    f->server_done++;
    f->server = NULL;
}

void fx_turns(struct fx *f, int n)
{
    for (int i = 0; i < n; i++) {
        (void)loop_turn(f->loop, false);
    }
}

void fx_close(struct fx *f)
{
    if (f->server != NULL && !f->server->is_closing) {
        http_server_close(f->server, on_server_done, f);
        assert_non_null(f->server); /* never from inside the call */
    }
    while (f->n_held != 0) {
        fx_answer(f, "too late");
    }
    for (int i = 0; i < 100 && f->server != NULL; i++) {
        f->mono_ms += 1;
        fx_turns(f, 1);
    }
    assert_null(f->server);
    loop_free(f->loop);
    test_free(f->big);
}

void fx_advance(struct fx *f, int64_t ms)
{
    /* In steps, as time would pass: a sweep may arm the next one. */
    const int64_t end = f->mono_ms + ms;
    while (f->mono_ms < end) {
        const int64_t step = end - f->mono_ms < 250 ? end - f->mono_ms : 250;
        f->mono_ms += step;
        f->wall_ms += step;
        fx_turns(f, 2);
    }
    fx_turns(f, 6);
}

/* ---- clients ---- */

static void on_data(void *ctx, const char *p, size_t n)
{
    struct fx_client *c = ctx;
    assert_int_equal(buf_add(&c->got, p, n), 0);
}

static void on_end(void *ctx, int err)
{
    struct fx_client *c = ctx;
    assert_false(c->ended);
    c->ended = true;
    c->end_err = err;
}

static void on_drain(void *ctx)
{
    (void)ctx;
}

static void on_closed(void *ctx)
{
    struct fx_client *c = ctx;
    c->closed = true;
    c->stream = NULL;
}

static const struct stream_events client_events = {
    .on_data = on_data,
    .on_end = on_end,
    .on_drain = on_drain,
    .on_closed = on_closed,
};

void fx_connect(struct fx *f, struct fx_client *c)
{
    struct stream *server_end;
    memset(c, 0, sizeof(*c));
    buf_init(&c->got, 8 << 20);
    stream_pair(f->loop, &c->stream, &server_end);
    c->stream->ev = &client_events;
    c->stream->ctx = c;
    assert_int_equal(stream_read_start(c->stream), 0);
    server_adopt(f->server, server_end);
}

void fx_send_n(struct fx *f, struct fx_client *c, const char *p, size_t n)
{
    const struct str part = str_of(p, n);
    if (c->stream != NULL) {
        (void)stream_write(c->stream, &part, 1);
    }
    fx_turns(f, 6);
}

void fx_send(struct fx *f, struct fx_client *c, const char *text)
{
    fx_send_n(f, c, text, strlen(text));
}

void fx_disconnect(struct fx *f, struct fx_client *c)
{
    if (c->stream != NULL) {
        stream_close(c->stream);
    }
    fx_turns(f, 6);
    assert_true(c->closed);
    buf_fini(&c->got);
}

void fx_forget(struct fx_client *c)
{
    buf_reset(&c->got);
}

static const char *find(const struct buf *b, size_t from, const char *text)
{
    const size_t n = strlen(text);
    if (n == 0) {
        return text;
    }
    for (size_t at = from; at + n <= b->n; at++) {
        if (memcmp(b->p + at, text, n) == 0) {
            return b->p + at;
        }
    }
    return NULL;
}

bool fx_has(const struct fx_client *c, const char *text)
{
    return find(&c->got, 0, text) != NULL;
}

int fx_status(const struct fx_client *c)
{
    uint64_t status;
    if (c->got.n < 12 || str_to_u64(str_of(c->got.p + 9, 3), &status) != 0) {
        return 0;
    }
    return (int)status;
}

size_t fx_n_responses(const struct fx_client *c)
{
    size_t n = 0;
    const char *p = find(&c->got, 0, "HTTP/1.1 ");
    while (p != NULL) {
        n += p[9] != '1' ? 1 : 0;
        p = find(&c->got, (size_t)(p - c->got.p) + 1, "HTTP/1.1 ");
    }
    return n;
}
