/* SPDX-License-Identifier: Apache-2.0 */
#include "conn.h"

#include "longline/check.h"
#include "longline/mem.h"
#include "server.h"

#define TURN_REQUESTS 16                  /* of one connection, before others get their turn */
#define FLUSH_MARK    ((size_t)64 * 1024) /* more output than this waiting: no further request */
#define KEEP_BUFFER   ((size_t)16 * 1024) /* capacity kept between two requests, per buffer */
#define KEEP_BODY_MAX ((size_t)64 * 1024) /* a refused body up to this size is read, not cut */
#define BUFFER_MAX    ((size_t)1 << 30)   /* far above every configurable limit */
#define ARENA_BASE    ((size_t)1 << 20)
#define ARENA_FACTOR  32 /* parsed JSON takes up to 24 times its text */

#define BODY_RATE     1024 /* bytes per second that a body must make after the grace period */

#define BIT(state)    (1U << (state))

/* The states that may follow each one. A connection whose requests come whole goes from IDLE to
 * BUSY and back: HEAD and BODY are only entered when bytes are missing. */
static const struct {
    const char *name;
    unsigned next;
} states[CONN_N_STATES] = {
    [CONN_HEAD] = {"head", BIT(CONN_BODY) | BIT(CONN_WAITING) | BIT(CONN_BUSY) | BIT(CONN_DISCARD) |
                               BIT(CONN_IDLE) | BIT(CONN_FLUSH) | BIT(CONN_ENDING) |
                               BIT(CONN_CLOSING)},
    [CONN_BODY] = {"body",
                   BIT(CONN_WAITING) | BIT(CONN_BUSY) | BIT(CONN_ENDING) | BIT(CONN_CLOSING)},
    [CONN_WAITING] = {"waiting", BIT(CONN_BUSY) | BIT(CONN_CLOSING)},
    [CONN_BUSY] = {"busy", BIT(CONN_IDLE) | BIT(CONN_FLUSH) | BIT(CONN_ENDING) | BIT(CONN_CLOSING)},
    [CONN_FLUSH] = {"flush", BIT(CONN_IDLE) | BIT(CONN_ENDING) | BIT(CONN_CLOSING)},
    [CONN_DISCARD] = {"discard",
                      BIT(CONN_IDLE) | BIT(CONN_FLUSH) | BIT(CONN_ENDING) | BIT(CONN_CLOSING)},
    [CONN_IDLE] = {"idle", BIT(CONN_HEAD) | BIT(CONN_BODY) | BIT(CONN_WAITING) | BIT(CONN_BUSY) |
                               BIT(CONN_DISCARD) | BIT(CONN_IDLE) | BIT(CONN_FLUSH) |
                               BIT(CONN_COLD) | BIT(CONN_ENDING) | BIT(CONN_CLOSING)},
    [CONN_COLD] = {"cold", BIT(CONN_HEAD) | BIT(CONN_BODY) | BIT(CONN_WAITING) | BIT(CONN_BUSY) |
                               BIT(CONN_DISCARD) | BIT(CONN_IDLE) | BIT(CONN_FLUSH) |
                               BIT(CONN_ENDING) | BIT(CONN_CLOSING)},
    [CONN_ENDING] = {"ending", BIT(CONN_CLOSING)},
    [CONN_CLOSING] = {"closing", 0},
};

static void set_state(struct conn *c, enum conn_state state)
{
    struct http_server *s = c->server;
    const int64_t now = loop_mono_ms(s->loop);

    LL_ASSERT((states[c->state].next & BIT(state)) != 0);
    list_del(&c->state_node);
    list_del(&c->check_node);
    c->state = state;
    list_push_tail(&s->by_state[state], &c->state_node);
    if (state != CONN_COLD) {
        c->since_ms = now;
    }
    if (state == CONN_BODY) {
        c->check_ms = now;
        list_push_tail(&s->body_grace, &c->check_node);
        server_arm_sweep(s, time_add(now, SERVER_BODY_GRACE_MS));
    }
    server_arm_sweep(s, time_add(c->since_ms, server_state_timeout(s, state)));
}

static bool wants_input(const struct conn *c)
{
    switch (c->state) {
    case CONN_HEAD:
    case CONN_BODY:
    case CONN_DISCARD:
    case CONN_IDLE:
    case CONN_COLD:
        return true;
    case CONN_WAITING:
    case CONN_BUSY:
    case CONN_FLUSH:
    case CONN_ENDING:
    case CONN_CLOSING:
    case CONN_N_STATES:
    default:
        return false;
    }
}

static void conn_free(struct conn *c)
{
    struct http_server *s = c->server;

    LL_ASSERT(!c->is_handling && c->stream == NULL && !c->in_parse);
    list_del(&c->state_node);
    list_del(&c->check_node);
    list_del(&c->write_node);
    list_del(&c->ready_node);
    peer_table_leave(s, c->peer_count);
    parser_fini(&c->parser);
    arena_fini(&c->arena);
    buf_fini(&c->in);
    s->held -= c->held;
    s->handled -= c->handled;
    c->magic = 0;
    mem_free(c);
    s->n_conns--;
    metric_set(&s->metrics.connections, (int64_t)s->n_conns);
    server_check_done(s);
}

/* Brings the server's sum up to date with what is allocated for this client: a buffer counts with
 * its capacity, and output with the most that waited, since its memory stays until all is out. */
static void count_held(struct conn *c)
{
    const size_t pending = c->state != CONN_CLOSING ? stream_pending(c->stream) : 0;
    c->write_high = pending > c->write_high ? pending : c->write_high;
    if (pending == 0) {
        c->write_high = 0;
    }
    const size_t n =
        c->write_high + c->parser.head.cap + c->parser.body.cap + c->in.cap + c->arena.used;
    const size_t handled = c->is_handling ? n : 0;
    c->server->held += n - c->held;
    c->server->handled += handled - c->handled;
    c->held = n;
    c->handled = handled;
}

/* Gives the memory of requests back; only between two of them, or when no further one comes. */
static void drop_memory(struct conn *c)
{
    arena_fini(&c->arena);
    buf_reset(&c->parser.head);
    buf_reset(&c->parser.body);
    parser_shrink(&c->parser, 0);
    if (c->in.n == 0 || !wants_input(c)) {
        buf_reset(&c->in);
        buf_shrink(&c->in, 0);
    }
    count_held(c);
}

/* After the last reply: the client may take its time to go, and need not cost anything meanwhile.
 * Not while the parser or the handler has the request. */
static void drop_if_over(struct conn *c)
{
    if ((c->state == CONN_CLOSING || c->state == CONN_ENDING) && !c->in_parse && !c->is_handling) {
        drop_memory(c);
    }
}

/* The request that was admitted is answered or given up. */
static void leave_active(struct conn *c)
{
    if (c->is_active) {
        c->is_active = false;
        c->server->n_active--;
    }
}

void conn_close(struct conn *c, bool graceful)
{
    if (c->state == CONN_CLOSING) {
        return;
    }
    if (!c->is_handling) {
        leave_active(c);
    }
    set_state(c, CONN_CLOSING);
    count_held(c);
    drop_if_over(c);
    list_del(&c->write_node);
    list_del(&c->ready_node);
    if (graceful) {
        stream_close_graceful(c->stream);
    } else {
        stream_close(c->stream);
    }
}

bool conn_write(struct conn *c, const struct str *parts, size_t n_parts)
{
    struct http_server *s = c->server;
    size_t pending;

    if (stream_write(c->stream, parts, n_parts) != 0) {
        return false;
    }
    count_held(c);
    pending = stream_pending(c->stream);
    if (pending == 0) {
        return true;
    }
    c->write_pending = pending;
    if (!list_linked(&c->write_node)) {
        c->write_ms = loop_mono_ms(s->loop);
        list_push_tail(&s->writing, &c->write_node);
        server_arm_sweep(s, time_add(c->write_ms, s->cfg.write_timeout_ms));
    }
    return true;
}

/* The last reply has been written: close once it is out. The stream then reads on for a moment and
 * throws away, so that a client that is still sending gets to see the reply. */
static void end(struct conn *c)
{
    if (c->state == CONN_CLOSING) {
        return;
    }
    leave_active(c);
    set_state(c, CONN_ENDING);
    drop_if_over(c);
    if (stream_pending(c->stream) == 0) {
        conn_close(c, true);
    }
}

static void start_request(struct conn *c)
{
    const struct http_server_cfg *cfg = &c->server->cfg;
    const struct parser_limits limits = {
        .max_head = (size_t)cfg->max_head,
        .max_headers = (size_t)cfg->max_headers,
    };
    const int64_t max_body =
        cfg->max_body > cfg->max_publish_body ? cfg->max_body : cfg->max_publish_body;

    arena_reset(&c->arena);
    c->arena.max = ARENA_BASE + ARENA_FACTOR * (size_t)max_body;
    parser_start(&c->parser, &limits);
    c->is_preflight = false;
}

/* Input waits: it is looked at in the end-of-turn hook, so that neither a reply nor a long row of
 * pipelined requests nests or holds the turn. */
static void make_ready(struct conn *c)
{
    struct http_server *s = c->server;
    if (!list_linked(&c->ready_node)) {
        list_push_tail(&s->ready, &c->ready_node);
        loop_again(s->loop);
    }
}

/* The request is over and answered. */
static void next_request(struct conn *c)
{
    if (c->close_after) {
        end(c);
        return;
    }
    start_request(c);
    parser_shrink(&c->parser, KEEP_BUFFER);
    if (stream_pending(c->stream) > FLUSH_MARK) {
        set_state(c, CONN_FLUSH);
        return;
    }
    set_state(c, CONN_IDLE);
    count_held(c);
    if (c->in_parse) {
        return;
    }
    if (c->in.n != 0) {
        make_ready(c);
    } else if (c->peer_ended) {
        end(c);
    }
}

void http_reply(struct http_request *rq, const struct http_reply *rp)
{
    struct conn *c = LL_CONTAINER(rq, struct conn, rq);

    LL_MAGIC_CHECK(c, CONN_MAGIC);
    LL_ASSERT(c->is_handling);
    c->is_handling = false;
    leave_active(c);
    if (c->state == CONN_CLOSING) {
        if (c->stream == NULL) {
            conn_free(c);
        } else {
            drop_if_over(c);
        }
        return;
    }
    c->close_after = rp->close || !c->parser.keep_alive || c->server->is_draining;
    if (!conn_write_reply(c, rp, c->close_after)) {
        conn_close(c, false);
        return;
    }
    next_request(c);
}

/* Answers without the handler having seen the body. A small body is read and dropped, so that the
 * connection can be kept; a larger one, or one that the client may hold back, ends it. */
static void refuse(struct conn *c, const struct http_reply *rp)
{
    const struct parser *p = &c->parser;
    bool keep = p->keep_alive && !rp->close && !c->server->is_draining;

    leave_active(c);
    if (p->has_body &&
        (p->expects_continue || p->is_chunked || c->rq.content_length > (int64_t)KEEP_BODY_MAX)) {
        keep = false;
    }
    c->close_after = !keep;
    if (!conn_write_reply(c, rp, !keep)) {
        conn_close(c, false);
        return;
    }
    if (!p->has_body || !keep) {
        next_request(c);
        return;
    }
    set_state(c, CONN_DISCARD);
    (void)parser_begin_body(&c->parser, KEEP_BODY_MAX, true);
}

static void fail(struct conn *c, int status)
{
    struct http_server *s = c->server;
    static const struct http_header retry_after = HTTP_HEADER("Retry-After", "1");
    struct http_reply rp = {.status = status};

    leave_active(c);
    if (status == 408) {
        metric_inc(&s->metrics.timeouts, 1);
    } else if (status < 500) {
        metric_inc(&s->metrics.protocol_errors, 1);
    }
    if (s->handler.on_protocol_error != NULL) {
        s->handler.on_protocol_error(s->handler.ctx, status, &c->arena, &rp);
    }
    rp.status = status;
    rp.close = true;
    if ((status == 429 || status == 503) && rp.n_headers == 0) {
        rp.headers = &retry_after;
        rp.n_headers = 1;
    }
    if (c->state == CONN_CLOSING) {
        return;
    }
    if (!conn_write_reply(c, &rp, true)) {
        conn_close(c, false);
        return;
    }
    end(c);
}

static struct server_share *share_of(struct conn *c)
{
    const enum http_method m = c->rq.method;
    const bool is_write = m == HTTP_METHOD_POST || m == HTTP_METHOD_PUT || m == HTTP_METHOD_PATCH ||
                          m == HTTP_METHOD_DELETE;
    return &c->server->shares[is_write ? SERVER_WRITES : SERVER_READS];
}

void conn_run(struct conn *c)
{
    struct http_server *s = c->server;
    struct server_share *share = share_of(c); /* the request may be over afterwards */
    const int64_t start_us = loop_mono_us(s->loop);

    set_state(c, CONN_BUSY);
    c->is_handling = true;
    s->handler.on_request(s->handler.ctx, &c->rq);
    if (c->is_handling) {
        count_held(c); /* what it has made of the body stays until it replies */
    }
    share->spent_us += loop_mono_us(s->loop) - start_us;
}

static void on_request_complete(struct conn *c)
{
    struct server_share *share = share_of(c);

    if (c->state == CONN_DISCARD) {
        next_request(c);
    } else if (!server_has_room(c->server)) {
        fail(c, 503);
    } else if (list_empty(&share->waiting) && server_may_run(c->server, share)) {
        conn_run(c);
    } else {
        set_state(c, CONN_WAITING);
        list_push_tail(&share->waiting, &c->ready_node);
        loop_again(c->server->loop);
    }
}

static void on_head_complete(struct conn *c)
{
    struct http_server *s = c->server;
    const struct http_handler *h = &s->handler;
    struct http_reply refusal = {.status = 500};
    int64_t max_body = 0;
    int rc;

    metric_inc(&s->metrics.requests, 1);
    c->rq.start_mono_ms = loop_mono_ms(s->loop);
    if (cors_is_preflight(s, &c->rq)) {
        c->is_preflight = true;
        refusal.status = 204;
        refuse(c, &refusal);
        return;
    }
    c->is_active = true;
    s->n_active++;
    rc = h->on_head != NULL ? h->on_head(h->ctx, &c->rq, &max_body, &refusal) : 0;
    if (c->state == CONN_CLOSING) {
        return;
    }
    if (rc != 0) {
        refuse(c, &refusal);
        return;
    }
    if (max_body <= 0) {
        max_body = s->cfg.max_body;
    }
    if (c->rq.content_length > max_body) {
        fail(c, 413);
        return;
    }
    switch (parser_begin_body(&c->parser, (size_t)max_body, false)) {
    case PARSER_DONE:
        on_request_complete(c);
        break;
    case PARSER_MORE:
        if (c->parser.expects_continue &&
            !conn_write(c, &STR("HTTP/1.1 100 Continue\r\n\r\n"), 1)) {
            conn_close(c, false);
        }
        break;
    case PARSER_HEAD:
    case PARSER_ERROR:
    default:
        fail(c, c->parser.status);
        break;
    }
}

/* Feeds the parser until the bytes are used up, a request is with the handler, or the turn's share
 * is done. Returns the number of bytes used. */
static size_t conn_parse(struct conn *c, const char *data, size_t n)
{
    size_t done = 0;
    unsigned n_requests = 0;

    LL_ASSERT(!c->in_parse);
    c->in_parse = true;
    while (done < n && wants_input(c) && n_requests < TURN_REQUESTS) {
        size_t used = 0;
        switch (parser_feed(&c->parser, data + done, n - done, &used)) {
        case PARSER_HEAD:
            on_head_complete(c);
            n_requests++;
            break;
        case PARSER_DONE:
            on_request_complete(c);
            break;
        case PARSER_ERROR:
            fail(c, c->parser.status);
            break;
        case PARSER_MORE:
        default:
            break;
        }
        done += used;
    }
    c->in_parse = false;
    return done;
}

/* The connection waits for more of a request: the state says so, and its clock runs. */
static void note_partial(struct conn *c)
{
    if (!parser_is_started(&c->parser) || c->parser.phase == PARSER_ENDED) {
        return;
    }
    if (c->parser.phase == PARSER_IN_BODY) {
        if (c->state == CONN_HEAD || c->state == CONN_IDLE || c->state == CONN_COLD) {
            set_state(c, CONN_BODY);
        }
    } else if (c->state == CONN_IDLE || c->state == CONN_COLD) {
        set_state(c, CONN_HEAD);
    }
}

/* After bytes were parsed or buffered: what is the connection waiting for? */
static void settle(struct conn *c)
{
    const size_t limit = (size_t)c->server->cfg.max_head;

    if (c->state == CONN_CLOSING || c->state == CONN_ENDING) {
        drop_if_over(c);
        return;
    }
    note_partial(c);
    count_held(c);
    if (c->in.n >= limit && !c->is_stopped) {
        c->is_stopped = true;
        stream_read_stop(c->stream);
    } else if (c->in.n < limit && c->is_stopped && !c->peer_ended) {
        c->is_stopped = false;
        if (stream_read_start(c->stream) != 0) {
            conn_close(c, false);
            return;
        }
    }
    if (!wants_input(c)) {
        return;
    }
    if (c->in.n != 0) {
        make_ready(c);
    } else if (c->peer_ended) {
        /* Between two requests, or in the middle of one that will never be complete. */
        end(c);
    } else if (c->server->is_draining) {
        conn_drain(c);
    }
}

void conn_resume(struct conn *c)
{
    list_del(&c->ready_node);
    if (wants_input(c)) {
        buf_consume(&c->in, conn_parse(c, c->in.p, c->in.n));
    }
    settle(c);
}

static void on_data(void *ctx, const char *data, size_t n)
{
    struct conn *c = ctx;
    size_t used = 0;

    LL_MAGIC_CHECK(c, CONN_MAGIC);
    if (c->in.n == 0 && wants_input(c)) {
        used = conn_parse(c, data, n);
    }
    if (c->state == CONN_CLOSING || c->state == CONN_ENDING) {
        drop_if_over(c);
        return;
    }
    if (used < n && buf_add(&c->in, data + used, n - used) != 0) {
        conn_close(c, false);
        return;
    }
    settle(c);
}

static void on_end(void *ctx, int err)
{
    struct conn *c = ctx;

    LL_MAGIC_CHECK(c, CONN_MAGIC);
    c->peer_ended = true;
    if (err != 0) {
        conn_close(c, false);
    } else {
        settle(c);
    }
}

static void on_drain(void *ctx)
{
    struct conn *c = ctx;

    LL_MAGIC_CHECK(c, CONN_MAGIC);
    list_del(&c->write_node);
    count_held(c);
    if (c->state == CONN_ENDING) {
        conn_close(c, true);
    } else if (c->state == CONN_FLUSH) {
        set_state(c, CONN_IDLE);
        conn_resume(c);
    }
}

static void on_closed(void *ctx)
{
    struct conn *c = ctx;

    LL_MAGIC_CHECK(c, CONN_MAGIC);
    c->stream = NULL;
    if (!c->is_handling) {
        conn_free(c);
    }
}

static const struct stream_events events = {
    .on_data = on_data,
    .on_end = on_end,
    .on_drain = on_drain,
    .on_closed = on_closed,
};

void conn_open(struct http_server *s, struct stream *st, const union addr *peer,
               struct peer_count *pc, int status)
{
    struct conn *c = mem_zalloc(sizeof(*c));

    c->magic = CONN_MAGIC;
    c->server = s;
    c->stream = st;
    c->peer_count = pc;
    list_init(&c->state_node);
    list_init(&c->check_node);
    list_init(&c->write_node);
    list_init(&c->ready_node);
    buf_init(&c->in, BUFFER_MAX);
    arena_init(&c->arena, ARENA_BASE);
    c->rq.peer = *peer;
    c->rq.arena = &c->arena;
    parser_init(&c->parser, &c->rq, BUFFER_MAX);
    start_request(c);
    st->ev = &events;
    st->ctx = c;
    s->n_conns++;
    metric_set(&s->metrics.connections, (int64_t)s->n_conns);

    c->state = CONN_HEAD;
    c->since_ms = loop_mono_ms(s->loop);
    list_push_tail(&s->by_state[CONN_HEAD], &c->state_node);
    server_arm_sweep(s, time_add(c->since_ms, server_state_timeout(s, CONN_HEAD)));
    if (stream_read_start(st) != 0) {
        conn_close(c, false);
    } else if (status != 0) {
        fail(c, status);
    }
}

void conn_drain(struct conn *c)
{
    if (c->in.n == 0 && wants_input(c) && !parser_is_started(&c->parser)) {
        end(c);
    }
}

void conn_cool(struct conn *c)
{
    set_state(c, CONN_COLD);
    drop_memory(c);
}

void conn_on_state_timeout(struct conn *c)
{
    switch (c->state) {
    case CONN_HEAD:
        if (parser_is_started(&c->parser)) {
            fail(c, 408);
        } else {
            conn_close(c, true);
        }
        break;
    case CONN_BODY:
        fail(c, 408);
        break;
    case CONN_IDLE:
        conn_cool(c);
        break;
    case CONN_WAITING:
    case CONN_BUSY:
    case CONN_FLUSH:
    case CONN_ENDING:
    case CONN_DISCARD:
    case CONN_COLD:
    case CONN_CLOSING:
    case CONN_N_STATES:
    default:
        conn_close(c, true);
        break;
    }
}

void conn_check_body_rate(struct conn *c)
{
    struct http_server *s = c->server;
    const int64_t now = loop_mono_ms(s->loop);
    const int64_t counted_ms = now - c->since_ms - SERVER_BODY_GRACE_MS;

    list_del(&c->check_node);
    if ((int64_t)c->parser.body_seen < counted_ms * BODY_RATE / 1000) {
        fail(c, 408);
        return;
    }
    c->check_ms = now;
    list_push_tail(&s->body_checks, &c->check_node);
}

void conn_check_output(struct conn *c)
{
    struct http_server *s = c->server;
    const size_t pending = stream_pending(c->stream);

    list_del(&c->write_node);
    if (pending >= c->write_pending) {
        metric_inc(&s->metrics.timeouts, 1);
        conn_close(c, false);
        return;
    }
    c->write_pending = pending;
    count_held(c);
    c->write_ms = loop_mono_ms(s->loop);
    list_push_tail(&s->writing, &c->write_node);
}

void conn_evict(struct conn *c)
{
    metric_inc(&c->server->metrics.timeouts, 1);
    if (c->state != CONN_BODY) {
        conn_close(c, false);
        return;
    }
    fail(c, 503);
}
