/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One request and its response.
 *
 * Happy path: start -> pool_get -> exchange_send (one write) -> on_data ... -> complete: the
 * connection goes back to the pool first, then `done` is called, so that a request made there may
 * use it at once.
 *
 * Ends: complete (called from the stream's event, or by the timer when a body is too slow); or
 * exchange_end for every failure, which only queues, so that nothing that can fail has to fear a
 * callback; or cancel.
 */
#include "internal.h"

#include <stdio.h>

#include "longline/log.h"
#include "longline/mem.h"

#define TEXT_MAX 32
/* A deadline noticed this late means that the process stood still, not the server: its answer may
 * lie in the socket already, and gets the time to be read. */
#define STALL_MS 1000
#define GRACE_MS 500
/* The head is the verdict: the body is read for the record and to keep the connection. */
#define BODY_MS  5000

static void on_timer(void *ctx);

int64_t client_now_us(void)
{
    return clock_mono_ns(clock_system()) / 1000;
}

static int32_t us_since(int64_t from_us)
{
    const int64_t d = client_now_us() - from_us;
    return d < 0 ? 0 : d > INT32_MAX ? INT32_MAX : (int32_t)d;
}

/* Objects. */

static struct http_exchange *exchange_new(struct http_client *c)
{
    struct list *node = list_pop_head(&c->spare);
    struct http_exchange *x;

    if (node != NULL) {
        c->n_spare--;
        return LIST_ENTRY(node, struct http_exchange, node);
    }
    x = mem_zalloc(sizeof(*x));
    x->magic = EXCHANGE_MAGIC;
    x->client = c;
    list_init(&x->node);
    list_init(&x->wait_node);
    buf_init(&x->head, CLIENT_MAX_HEAD);
    client_resp_init(&x->resp);
    timer_init(&x->timer, c->loop, on_timer, x);
    return x;
}

void exchange_free(struct http_exchange *x)
{
    timer_stop(&x->timer);
    buf_fini(&x->head);
    client_resp_fini(&x->resp);
    x->magic = 0;
    mem_free(x);
}

/* x is in no list. */
static void recycle(struct http_exchange *x)
{
    struct http_client *c = x->client;

    c->n_exchanges--;
    x->done = NULL;
    x->ctx = NULL;
    x->state = EXCHANGE_SPARE;
    if (c->is_closing || c->n_spare >= CLIENT_MAX_SPARE) {
        exchange_free(x);
        return;
    }
    buf_reset(&x->head);
    buf_shrink(&x->head, CLIENT_KEEP_BUF);
    client_resp_shrink(&x->resp, CLIENT_KEEP_BUF);
    list_push_head(&c->spare, &x->node);
    c->n_spare++;
}

/* Ends. */

static void call_done(struct http_exchange *x)
{
    const http_client_fn done = x->done;
    void *const ctx = x->ctx;

    x->res.total_us = us_since(x->start_us);
    x->done = NULL;
    done(ctx, &x->res);
}

void exchange_end(struct http_exchange *x)
{
    struct http_client *c = x->client;

    LL_ASSERT(x->conn == NULL && !list_linked(&x->wait_node) && x->res.err.code != 0);
    x->state = EXCHANGE_ENDED;
    x->origin = NULL;
    x->res.status = 0;
    list_del(&x->node);
    list_push_tail(&c->ended, &x->node);
    if (!timer_armed(&c->end_timer)) {
        timer_in(&c->end_timer, 0);
    }
}

void exchange_run_ended(void *client)
{
    struct http_client *c = client;
    LL_MAGIC_CHECK(c, CLIENT_MAGIC);
    /* Only those of now: a callback that starts a failing request must not keep the loop here. */
    size_t budget = 0;
    LIST_FOREACH (it, &c->ended) {
        budget++;
    }
    while (budget-- > 0 && !list_empty(&c->ended)) {
        struct http_exchange *x = LIST_ENTRY(c->ended.next, struct http_exchange, node);
        list_del(&x->node);
        call_done(x);
        recycle(x);
    }
    if (!list_empty(&c->ended) && !timer_armed(&c->end_timer)) {
        timer_in(&c->end_timer, 0);
    }
    client_maybe_closed(c);
}

/* Takes x off its connection or out of its queue. */
static void detach(struct http_exchange *x)
{
    struct client_conn *conn = x->conn;

    if (x->state == EXCHANGE_WAITING) {
        pool_unwait(x);
    } else if (conn != NULL) {
        x->conn = NULL;
        conn->x = NULL;
        if (x->res.peer[0] == '\0') {
            memcpy(x->res.peer, conn->peer, sizeof(x->res.peer));
        }
        client_conn_close(conn, false);
    }
    x->origin = NULL;
}

void exchange_fail(struct http_exchange *x, const struct err_detail *err)
{
    x->res.err = *err;
    detach(x);
    exchange_end(x);
}

static void complete(struct http_exchange *x)
{
    struct client_conn *conn = x->conn;
    struct http_client_result *res = &x->res;
    const bool reusable =
        x->resp.keep_alive && !conn->is_ended && stream_pending(conn->stream) == 0;

    res->status = x->resp.status;
    res->headers = x->resp.headers;
    res->n_headers = x->resp.n_fields;
    res->body = buf_str(&x->resp.body);
    res->body_truncated = x->resp.body_truncated;
    memcpy(res->peer, conn->peer, sizeof(res->peer));
    x->conn = NULL;
    conn->x = NULL;
    x->origin = NULL;
    x->state = EXCHANGE_ENDED;
    list_del(&x->node);
    if (!reusable && x->resp.body_truncated) {
        client_conn_close(conn, false); /* a polite end would read what it is still sending */
    } else {
        pool_release(conn, reusable);
    }
    call_done(x);
    recycle(x);
}

/* Deadlines. */

static int64_t due_ms(const struct http_exchange *x)
{
    return x->phase_due_ms < x->total_due_ms ? x->phase_due_ms : x->total_due_ms;
}

/* Called when a deadline moved. Only an earlier one needs the heap now. */
static void arm(struct http_exchange *x)
{
    const int64_t due = due_ms(x);
    if (!timer_armed(&x->timer) || x->timer.node.key > due) {
        timer_at(&x->timer, due);
    }
}

static const char *span_text(char out[TEXT_MAX], int64_t ms)
{
    if (ms % 1000 == 0) {
        (void)snprintf(out, TEXT_MAX, "%lld s", (long long)(ms / 1000));
    } else {
        (void)snprintf(out, TEXT_MAX, "%lld ms", (long long)ms);
    }
    return out;
}

static void time_out(struct http_exchange *x, bool is_total)
{
    struct http_client *c = x->client;
    struct err_detail err;
    char span[TEXT_MAX];
    const char *what = "";

    switch (x->state) {
    case EXCHANGE_WAITING:
        what = "all connections were busy";
        break;
    case EXCHANGE_DIALING:
        what = "the connection was not established";
        break;
    case EXCHANGE_WRITING:
        what = "the server did not take the request";
        break;
    case EXCHANGE_SENT:
        what = "the server did not answer";
        break;
    case EXCHANGE_READING:
        what = "the response head was not complete";
        break;
    case EXCHANGE_ENDED:
    case EXCHANGE_SPARE:
        return;
    }
    const bool is_held_up = x->state == EXCHANGE_DIALING && dial_is_held_up(x->conn->dial);
    if (is_held_up) {
        what = "too many name lookups or TLS handshakes were under way";
    }
    const int64_t ms = is_total                       ? x->total_ms
                       : x->state == EXCHANGE_WRITING ? c->cfg.write_timeout_ms
                                                      : c->cfg.first_byte_timeout_ms;
    const bool is_ours = x->state == EXCHANGE_WAITING || is_held_up;
    err_set(&err, is_ours ? ERR_BUSY : ERR_TIMEOUT, 0, "timed out after %s: %s",
            span_text(span, ms), what);
    exchange_fail(x, &err);
}

static void on_timer(void *ctx)
{
    struct http_exchange *x = ctx;
    LL_MAGIC_CHECK(x, EXCHANGE_MAGIC);
    const int64_t now = loop_mono_ms(x->client->loop);

    if (x->state == EXCHANGE_ENDED || x->state == EXCHANGE_SPARE) {
        return;
    }
    if (x->state == EXCHANGE_WRITING && x->phase_due_ms <= now) {
        const size_t pending = stream_pending(x->conn->stream);
        if (pending < x->pending_seen) {
            x->pending_seen = pending;
            x->phase_due_ms = time_add(now, x->client->cfg.write_timeout_ms);
        }
    }
    if (now < due_ms(x)) {
        timer_at(&x->timer, due_ms(x));
        return;
    }
    if (now - due_ms(x) >= STALL_MS && !x->had_grace) {
        x->had_grace = true;
        x->phase_due_ms = x->phase_due_ms <= now ? time_add(now, GRACE_MS) : x->phase_due_ms;
        x->total_due_ms = x->total_due_ms <= now ? time_add(now, GRACE_MS) : x->total_due_ms;
        timer_at(&x->timer, due_ms(x));
        return;
    }
    if (x->state == EXCHANGE_READING && x->resp.state == RESP_BODY) {
        client_resp_cut(&x->resp);
        complete(x);
        return;
    }
    time_out(x, x->total_due_ms <= now);
}

/* On a connection. */

static void set_phase(struct http_exchange *x, enum exchange_state state, int64_t timeout_ms)
{
    x->state = state;
    x->phase_due_ms = time_add(loop_mono_ms(x->client->loop), timeout_ms);
    arm(x);
}

static void on_sent(struct http_exchange *x)
{
    x->sent_us = client_now_us();
    set_phase(x, EXCHANGE_SENT, x->client->cfg.first_byte_timeout_ms);
}

static const char *stage_text(const struct http_exchange *x)
{
    if (!x->resp.started) {
        return "before the server answered";
    }
    return x->resp.state == RESP_HEAD ? "within the response head" : "within the response body";
}

/* A server may close an idle connection at the moment a request is put on it. When no byte came
 * back, the request is repeated on a connection of its own, once. */
static bool may_retry(const struct http_exchange *x)
{
    return x->res.reused && !x->fresh_only && !x->resp.started && !x->client->is_closing &&
           loop_mono_ms(x->client->loop) < x->total_due_ms;
}

static void retry(struct http_exchange *x, int code)
{
    struct client_conn *conn = x->conn;

    log_debug("client.retry", LOG_CSTR("peer", conn->peer), LOG_ERR(code));
    x->conn = NULL;
    conn->x = NULL;
    x->fresh_only = true;
    x->res.reused = false;
    x->phase_due_ms = TIME_NEVER;
    pool_retry(x);
    client_conn_close(conn, false);
}

static void broken(struct http_exchange *x, const struct err_detail *err)
{
    if (may_retry(x)) {
        retry(x, err->code);
    } else {
        exchange_fail(x, err);
    }
}

void exchange_send(struct http_exchange *x)
{
    const struct http_client_cfg *cfg = &x->client->cfg;
    const struct resp_limits limits = {.max_head = (size_t)cfg->max_response_head,
                                       .max_body = (size_t)cfg->max_response_body,
                                       .keep_body = (size_t)cfg->keep_response_body};
    const struct str parts[2] = {buf_str(&x->head), x->body};
    struct err_detail err;

    client_resp_reset(&x->resp, &limits, x->is_head);
    set_phase(x, EXCHANGE_WRITING, cfg->write_timeout_ms); /* a failure is of this connection */
    const int rc = stream_write(x->conn->stream, parts, x->body.n != 0 ? 2 : 1);
    if (rc == ERR_TOO_BIG) {
        err_set(&err, rc, 0, "the request is too large to send");
        exchange_fail(x, &err);
        return;
    }
    if (rc != 0) {
        err_set(&err, rc, 0, "%s while the request was sent", err_text(rc));
        broken(x, &err);
        return;
    }
    const size_t pending = stream_pending(x->conn->stream);
    if (pending == 0) {
        on_sent(x);
        return;
    }
    x->pending_seen = pending;
}

void exchange_on_drain(struct http_exchange *x)
{
    if (x->state == EXCHANGE_WRITING) {
        on_sent(x);
    }
}

void exchange_on_data(struct http_exchange *x, const char *p, size_t n)
{
    if (x->state != EXCHANGE_READING) {
        /* An answer may come before the request was sent completely: 0 then. */
        x->res.first_byte_us = x->state == EXCHANGE_SENT ? us_since(x->sent_us) : 0;
        x->state = EXCHANGE_READING;
        x->phase_due_ms = TIME_NEVER;
    }
    const bool was_body = x->resp.state == RESP_BODY;
    switch (client_resp_feed(&x->resp, p, n)) {
    case RESP_DONE:
        complete(x);
        return;
    case RESP_FAILED:
        exchange_fail(x, &x->resp.err);
        return;
    case RESP_BODY:
        if (!was_body) {
            set_phase(x, EXCHANGE_READING, BODY_MS);
        }
        return;
    case RESP_HEAD:
        return;
    }
}

void exchange_on_end(struct http_exchange *x, int err)
{
    struct err_detail d;

    if (err == 0) {
        if (client_resp_eof(&x->resp) == RESP_DONE) {
            complete(x);
            return;
        }
        d = x->resp.err;
    } else {
        err_set(&d, err, 0, "%s %s", err_text(err), stage_text(x));
    }
    broken(x, &d);
}

/* The contract's calls. */

struct http_exchange *http_exchange_start(struct http_client *c,
                                          const struct http_client_request *rq, http_client_fn done,
                                          void *ctx)
{
    struct http_exchange *x = exchange_new(c);
    const int64_t now = loop_mono_ms(c->loop);

    x->state = EXCHANGE_WAITING;
    x->origin = NULL;
    x->conn = NULL;
    x->done = done;
    x->ctx = ctx;
    x->fresh_only = false;
    x->had_grace = false;
    x->start_us = client_now_us();
    x->sent_us = x->start_us;
    x->total_ms = rq->total_timeout_ms > 0 ? rq->total_timeout_ms : c->cfg.total_timeout_ms;
    x->total_due_ms = time_add(now, x->total_ms);
    x->phase_due_ms = TIME_NEVER;
    x->res = (struct http_client_result){.status = 0};
    c->n_exchanges++;
    list_push_tail(&c->exchanges, &x->node);
    if (c->is_closing) {
        err_set(&x->res.err, ERR_CANCELED, 0, "the gateway is shutting down");
        exchange_end(x);
        return x;
    }
    if (request_build(x, rq) != 0) {
        exchange_end(x);
        return x;
    }
    x->origin = pool_origin(c, rq->url);
    pool_get(x);
    if (x->state == EXCHANGE_WAITING || x->state == EXCHANGE_DIALING) {
        arm(x);
    }
    return x;
}

void http_exchange_cancel(struct http_exchange *x)
{
    LL_MAGIC_CHECK(x, EXCHANGE_MAGIC);
    LL_ASSERT(x->done != NULL); /* it must not have ended yet */
    detach(x);
    list_del(&x->node);
    recycle(x);
}
