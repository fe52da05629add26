/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes to the server over in-memory streams: once whole and once in pieces. The answers must be
 * the same bytes. The first two bytes of the input choose the pieces.
 */
#include "http/server/server.h"
#include "longline/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MAX_INPUT 20000

struct rig {
    struct loop *loop;
    struct http_server *server;
};

struct client {
    struct stream *stream; /* NULL once closed */
    struct buf got;
    bool ended;
};

static int64_t fixed_ns(void *ctx)
{
    (void)ctx;
    return INT64_C(784111777000000000);
}

static int on_head(void *ctx, struct http_request *rq, int64_t *max_body,
                   struct http_reply *refusal)
{
    (void)ctx;
    LL_ASSERT(rq->path.n != 0 && (rq->path.p[0] == '/' || str_eq(rq->path, STR("*"))));
    LL_ASSERT(rq->n_headers <= 16);
    *max_body = 100;
    refusal->status = 401;
    return str_starts(rq->path, STR("/r")) ? ERR_DENIED : 0;
}

/* The reply holds what the request says, so that a difference shows. */
static void on_request(void *ctx, struct http_request *rq)
{
    struct http_reply rp = {.status = 200, .content_type = "text/plain"};
    struct buf b;
    (void)ctx;
    LL_ASSERT(rq->body.n <= 100);
    LL_ASSERT(!rq->has_length || (int64_t)rq->body.n == rq->content_length);
    buf_init(&b, 1 << 20);
    buf_add_str(&b, rq->method_text);
    buf_add_str(&b, rq->path);
    buf_add_str(&b, rq->query);
    for (size_t i = 0; i < rq->n_headers; i++) {
        LL_ASSERT(http_is_token(rq->headers[i].name));
        LL_ASSERT(http_is_field_value(rq->headers[i].value));
        buf_add_str(&b, rq->headers[i].name);
        buf_add_str(&b, rq->headers[i].value);
    }
    buf_add_str(&b, rq->body);
    LL_ASSERT(!b.failed);
    rp.body = buf_str(&b);
    http_reply(rq, &rp);
    buf_fini(&b);
}

static void on_data(void *ctx, const char *p, size_t n)
{
    struct client *c = ctx;
    LL_ASSERT(buf_add(&c->got, p, n) == 0);
}

static void on_end(void *ctx, int err)
{
    struct client *c = ctx;
    (void)err;
    c->ended = true;
}

static void on_drain(void *ctx)
{
    (void)ctx;
}

static void on_closed(void *ctx)
{
    struct client *c = ctx;
    c->stream = NULL;
}

static const struct stream_events events = {
    .on_data = on_data,
    .on_end = on_end,
    .on_drain = on_drain,
    .on_closed = on_closed,
};

static void rig_open(struct rig *r)
{
    static const struct clock clock = {.wall_ns = fixed_ns, .mono_ns = fixed_ns};
    static const struct http_handler handler = {.on_head = on_head, .on_request = on_request};
    static char origin[] = "http://o";
    static char *origins[] = {origin};
    const struct http_server_cfg cfg = {
        .max_body = 1000,
        .max_publish_body = 1000,
        .max_head = 2000,
        .max_headers = 16,
        .max_connections = 10,
        .head_timeout_ms = 1000,
        .body_timeout_ms = 1000,
        .idle_timeout_ms = 1000,
        .write_timeout_ms = 1000,
        .cors_origins = {.v = origins, .n = 1},
    };
    LL_ASSERT(loop_open(&r->loop, &clock) == 0);
    r->server = server_new(r->loop, &cfg, &handler);
}

static void turns(struct rig *r, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        (void)loop_turn(r->loop, false);
    }
}

/* seed 0: in one piece. */
static void run(struct rig *r, struct client *c, struct str text, uint32_t seed)
{
    struct stream *server_end;
    uint32_t state = seed;

    *c = (struct client){.ended = false};
    buf_init(&c->got, 16 << 20);
    stream_pair(r->loop, &c->stream, &server_end);
    c->stream->ev = &events;
    c->stream->ctx = c;
    LL_ASSERT(stream_read_start(c->stream) == 0);
    server_adopt(r->server, server_end);
    while (text.n != 0 && !c->ended) {
        struct str piece = text;
        if (seed != 0) {
            state = state * 1664525U + 1013904223U;
            piece.n = 1 + (state >> 16) % ((state >> 8) % 4 == 0 ? 400 : 12);
            piece.n = piece.n < text.n ? piece.n : text.n;
        }
        (void)stream_write(c->stream, &piece, 1);
        turns(r, 3);
        text = str_of(text.p + piece.n, text.n - piece.n);
    }
}

static void finish(struct rig *r, struct client *c, size_t n)
{
    turns(r, 8 + n / 100);
    LL_ASSERT(http_server_n_active(r->server) <= 1);
    if (c->stream != NULL) {
        stream_close(c->stream);
    }
    turns(r, 8);
    LL_ASSERT(c->stream == NULL);
    LL_ASSERT(r->server->n_conns == 0 && http_server_n_active(r->server) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct rig rig;
    struct client whole;
    struct client cut;
    struct str text;

    if (rig.loop == NULL) {
        rig_open(&rig);
    }
    if (size < 2 || size > MAX_INPUT) {
        return 0;
    }
    text = str_of((const char *)data + 2, size - 2);
    run(&rig, &whole, text, 0);
    finish(&rig, &whole, size);
    run(&rig, &cut, text, 1U + data[0] + 256U * data[1]);
    finish(&rig, &cut, size);
    LL_ASSERT(str_eq(buf_str(&whole.got), buf_str(&cut.got)));
    buf_fini(&whole.got);
    buf_fini(&cut.got);
    return 0;
}
