/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers. JSON is built in one buffer of the API, which is free again when http_reply returns:
 * replying costs no allocation.
 */
#include "api_internal.h"
#include "longline/check.h"
#include "longline/log.h"

#define JSON_TYPE "application/json"
#define KEEP_OUT  ((size_t)256 << 10)

/* Jitter, so that clients do not come back all at once. */
static const struct http_header retry_after[] = {
    HTTP_HEADER("Retry-After", "1"), HTTP_HEADER("Retry-After", "2"),
    HTTP_HEADER("Retry-After", "3"), HTTP_HEADER("Retry-After", "4"),
    HTTP_HEADER("Retry-After", "5"),
};

static const struct http_header *pick_retry_after(const struct api *a)
{
    return &retry_after[rng_below(a->sv.dest_env->rng, LL_COUNT(retry_after))];
}

static void send_reply(struct call *c, const struct http_reply *rp)
{
    ops_count(c->api->ops, c->route, rp->status);
    c->magic = 0;
    http_reply(c->rq, rp); /* c is gone with the request's arena */
}

static void send_json(struct call *c, int status, struct str body)
{
    const bool is_busy = status == 503;
    const struct http_reply rp = {
        .status = status,
        .content_type = JSON_TYPE,
        .body = body,
        .headers = is_busy ? pick_retry_after(c->api) : NULL,
        .n_headers = is_busy ? 1 : 0,
    };
    send_reply(c, &rp);
}

static void release_out(struct api *a)
{
    if (a->out.cap > KEEP_OUT) {
        buf_reset(&a->out);
        buf_shrink(&a->out, KEEP_OUT);
    }
}

void reply_begin(struct call *c, struct jw *w)
{
    buf_reset(&c->api->out);
    jw_init(w, &c->api->out);
}

void reply_send(struct call *c, int status)
{
    struct api *a = c->api;
    if (a->out.failed) {
        log_error("api.reply_too_big", LOG_CSTR("route", c->route->name));
        buf_reset(&a->out);
        (void)buf_add_lit(&a->out, "{\"status\":500,\"message\":\"internal server error\"}");
        status = 500;
    }
    send_json(c, status, buf_str(&a->out));
    release_out(a);
}

static void on_durable(void *ctx)
{
    struct call *c = ctx;
    LL_MAGIC_CHECK(c, CALL_MAGIC);
    send_json(c, c->pending_status, c->pending_body);
}

void reply_send_durable(struct call *c, int status)
{
    c->pending_status = status;
    call_arena(c)->max += c->api->out.n; /* beside what the request took */
    c->pending_body = arena_str(call_arena(c), buf_str(&c->api->out));
    if (c->api->out.failed || c->pending_body.p == NULL) {
        reply_failure(c, ERR_TOO_BIG); /* what was written stays written; only its echo is lost */
        return;
    }
    c->waiter.fn = on_durable;
    c->waiter.ctx = c;
    list_init(&c->waiter.node);
    store_wait(c->api->sv.store, &c->waiter);
}

void reply_success_durable(struct call *c, int status)
{
    struct jw w;
    reply_begin(c, &w);
    jw_obj(&w);
    JW_BOOL(&w, "success", true);
    jw_obj_end(&w);
    reply_send_durable(c, status);
}

void reply_text(struct call *c, const char *content_type, struct str body)
{
    const struct http_reply rp = {.status = 200, .content_type = content_type, .body = body};
    send_reply(c, &rp);
}

/* {"status":…,"message":… and no end yet */
static void begin_error(struct call *c, struct jw *w, int status, const char *message)
{
    reply_begin(c, w);
    jw_obj(w);
    JW_INT(w, "status", status);
    JW_STR(w, "message", str_c(message));
}

void reply_error(struct call *c, int status, const char *message)
{
    struct jw w;
    begin_error(c, &w, status, message);
    jw_obj_end(&w);
    reply_send(c, status);
}

void reply_field_error(struct call *c, int status, const char *message, const char *field,
                       const char *detail)
{
    struct jw w;
    begin_error(c, &w, status, message);
    jw_key(&w, STR("data"));
    jw_obj(&w);
    jw_key(&w, str_c(field));
    jw_str(&w, str_c(detail));
    jw_obj_end(&w);
    jw_obj_end(&w);
    reply_send(c, status);
}

void reply_problem(struct call *c, const struct problem *p)
{
    struct jw w;
    begin_error(c, &w, p->status, p->message);
    if (p->n_items != 0) {
        jw_key(&w, STR("data"));
        jw_arr(&w);
        for (size_t i = 0; i < p->n_items; i++) {
            jw_str(&w, p->items[i]);
        }
        jw_arr_end(&w);
    }
    jw_obj_end(&w);
    reply_send(c, p->status);
}

void reply_failure(struct call *c, int rc)
{
    static const struct {
        int rc;
        int status;
        const char *message;
    } known[] = {
        {ERR_FULL, 503, "the store is full"},
        {ERR_BUSY, 503, "busy, try again"},
    };
    for (size_t i = 0; i < LL_COUNT(known); i++) {
        if (known[i].rc == rc) {
            reply_error(c, known[i].status, known[i].message);
            return;
        }
    }
    log_error("api.failed", LOG_CSTR("route", c->route->name), LOG_ERR(rc));
    reply_error(c, 500, "internal server error");
}

void refusal_error(struct arena *a, int status, const char *message, struct http_reply *out)
{
    const char *text =
        a != NULL ? arena_printf(a, "{\"status\":%d,\"message\":\"%s\"}", status, message) : NULL;
    out->status = status;
    if (text != NULL) {
        out->content_type = JSON_TYPE;
        out->body = str_c(text);
    }
}

void refusal_busy(const struct api *api, struct arena *a, const char *message,
                  struct http_reply *out)
{
    refusal_error(a, 503, message, out);
    out->headers = pick_retry_after(api);
    out->n_headers = 1;
}
