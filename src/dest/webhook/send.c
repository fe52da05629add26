/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One attempt over HTTP: headers in order of precedence, signature, exchange.
 *
 *   Content-Type, custom, metadata (system < delivery_metadata < event), signature, User-Agent;
 *   a later one replaces an earlier one of the same name.
 *
 * Where Standard Webhooks signatures are sent, the event's metadata goes out a second time, under
 * its names without prefix, as Outpost sends it. These names come last, replace nothing that is
 * reserved (webhook_is_forbidden, signatures), and are left out before anything else is.
 *
 * The body is the publisher's `data`, byte for byte, and the signature is over exactly it. Metadata
 * that is no legal header field is left out rather than made into something else.
 */
#include "webhook.h"

#include "longline/date.h"
#include "longline/mem.h"

#define SEND_MAGIC  0x5e4d0001u
#define MAX_HEADERS 96
#define HEAD_MAX    ((size_t)48 * 1024) /* of headers; few receivers take more, our client 64 KiB */
#define TEXT_MAX    ((size_t)32 * 1024)
#define ARENA_MAX   ((size_t)256 * 1024)

struct dest_send {
    unsigned magic;
    const struct dest_env *env;
    struct http_exchange *x;
    dest_done_fn done;
    void *ctx;
};

/* The headers while they are put together. Text is in the arena or lives as long as the call. */
struct draft {
    struct http_header h[MAX_HEADERS];
    size_t n;
    size_t n_fixed; /* the first ones cannot be replaced by metadata */
    struct arena arena;
};

/* Adds or replaces; what does not fit any more is left out. */
static void put(struct draft *dr, struct str name, struct str value)
{
    for (size_t i = 0; i < dr->n; i++) {
        if (str_eq_ci(dr->h[i].name, name)) {
            if (i >= dr->n_fixed) {
                dr->h[i].value = value;
            }
            return;
        }
    }
    if (dr->n < MAX_HEADERS) {
        dr->h[dr->n++] = (struct http_header){name, value};
    }
}

/* What an event brings along: its topic, for one, may hold anything. */
static void put_fit(struct draft *dr, struct str name, struct str value)
{
    if (name.p != NULL && value.p != NULL && http_is_token(name) && http_is_field_value(value) &&
        !webhook_is_forbidden(name)) {
        put(dr, name, value);
    }
}

/* For names that cannot be there yet. */
static void append(struct draft *dr, struct str name, struct str value)
{
    if (dr->n < MAX_HEADERS) {
        dr->h[dr->n++] = (struct http_header){name, value};
    }
}

static struct str join(struct arena *a, struct str x, struct str y)
{
    char *p = arena_alloc(a, x.n + y.n);
    if (p == NULL) {
        return STR_NULL;
    }
    memcpy(p, x.p, x.n);
    memcpy(p + x.n, y.p, y.n);
    return str_of(p, x.n + y.n);
}

static size_t header_size(const struct http_header *h)
{
    return h->name.n + h->value.n + 4; /* ": " and the end of the line */
}

static size_t draft_size(const struct draft *dr)
{
    size_t n = 0;
    for (size_t i = 0; i < dr->n; i++) {
        n += header_size(&dr->h[i]);
    }
    return n;
}

static void put_prefixed(struct draft *dr, struct str prefix, yyjson_val *metadata)
{
    yyjson_obj_iter it = yyjson_obj_iter_with(metadata);
    yyjson_val *key;
    while ((key = yyjson_obj_iter_next(&it)) != NULL) {
        const struct str name = join(&dr->arena, prefix, json_str(key));
        put_fit(dr, name, json_str(yyjson_obj_iter_get_val(key)));
    }
}

/* As many as there is room for: metadata that fits once must not make an event unfit. */
static void put_bare(struct draft *dr, yyjson_val *metadata)
{
    size_t size = draft_size(dr);
    yyjson_obj_iter it = yyjson_obj_iter_with(metadata);
    yyjson_val *key;
    while ((key = yyjson_obj_iter_next(&it)) != NULL) {
        const struct http_header h = {json_str(key), json_str(yyjson_obj_iter_get_val(key))};
        if (size + header_size(&h) <= HEAD_MAX) {
            put_fit(dr, h.name, h.value);
            size += header_size(&h);
        }
    }
}

/* It was valid JSON when it was published, so only its size can be wrong. */
static int put_event_metadata(struct draft *dr, struct str prefix, bool with_bare, struct str json)
{
    if (json.n == 0) {
        return 0;
    }
    yyjson_doc *doc = json_parse(&dr->arena, json, NULL);
    if (doc == NULL) {
        return ERR_TOO_BIG;
    }
    put_prefixed(dr, prefix, yyjson_doc_get_root(doc));
    if (with_bare && prefix.n != 0) {
        put_bare(dr, yyjson_doc_get_root(doc));
    }
    return 0;
}

static void put_system(struct draft *dr, struct str prefix, const struct event_record *e,
                       int64_t now_ms)
{
    char time[DATE_MAX];
    const size_t n = date_rfc3339_s(time, now_ms);
    const struct str when = arena_str(&dr->arena, str_of(time, n));
    if (str_eq(prefix, STR("x-outpost-"))) { /* the common case needs no joining */
        put_fit(dr, STR("x-outpost-event-id"), e->id);
        put_fit(dr, STR("x-outpost-timestamp"), when);
        put_fit(dr, STR("x-outpost-topic"), e->topic);
        return;
    }
    put_fit(dr, join(&dr->arena, prefix, STR("event-id")), e->id);
    put_fit(dr, join(&dr->arena, prefix, STR("timestamp")), when);
    put_fit(dr, join(&dr->arena, prefix, STR("topic")), e->topic);
}

static size_t active_keys(const struct webhook_endpoint *e, int64_t now_ms, bool v1,
                          struct sign_key out[2])
{
    size_t n = 0;
    for (size_t i = 0; i < e->n_keys; i++) {
        if (e->keys[i].until_ms > now_ms) {
            out[n++] = v1 ? e->keys[i].v1 : e->keys[i].v0;
        }
    }
    return n;
}

static int put_standard(struct draft *dr, const struct webhook_endpoint *e,
                        const struct dest_attempt *at, struct buf *text)
{
    struct sign_key keys[2];
    const size_t n = active_keys(e, at->now_wall_ms, true, keys);
    const struct sign_message m = {
        .id = at->event->id, .timestamp_s = at->now_wall_ms / 1000, .body = at->event->data};
    const size_t sig_at = text->n;
    int rc = sign_standard(text, keys, n, &m);
    mem_wipe(keys, sizeof(keys));
    if (rc != 0) {
        return rc;
    }
    const size_t time_at = text->n;
    rc = buf_add_i64(text, m.timestamp_s);
    if (rc != 0) {
        return rc;
    }
    const struct str sig = arena_str(&dr->arena, str_of(text->p + sig_at, time_at - sig_at));
    const struct str when = arena_str(&dr->arena, str_of(text->p + time_at, text->n - time_at));
    append(dr, STR("webhook-id"), m.id);
    append(dr, STR("webhook-timestamp"), when);
    append(dr, STR("webhook-signature"), sig);
    return sig.p != NULL && when.p != NULL ? 0 : ERR_TOO_BIG;
}

static int put_default(struct draft *dr, const struct webhook_endpoint *e, struct str prefix,
                       const struct dest_attempt *at, struct buf *text)
{
    struct sign_key keys[2];
    const size_t n = active_keys(e, at->now_wall_ms, false, keys);
    const size_t sig_at = text->n;
    const int rc = sign_default(text, keys, n, at->event->data);
    mem_wipe(keys, sizeof(keys));
    if (rc != 0) {
        return rc;
    }
    const struct str sig = arena_str(&dr->arena, str_of(text->p + sig_at, text->n - sig_at));
    append(dr, join(&dr->arena, prefix, STR("signature")), sig);
    return sig.p != NULL ? 0 : ERR_TOO_BIG;
}

/* What metadata may not replace comes first: framing, identity and signatures. */
static int draft_headers(struct draft *dr, const struct dest_env *env,
                         const struct webhook_endpoint *e, const struct dest_attempt *at)
{
    const struct webhook_cfg *cfg = env->webhook;
    const struct str prefix = webhook_prefix(cfg);
    struct buf text;
    buf_init(&text, TEXT_MAX);
    append(dr, STR("content-type"), STR("application/json"));
    append(dr, STR("user-agent"), str_c(cfg->user_agent));
    int rc = 0;
    if (cfg->mode != WEBHOOK_MODE_STANDARD) {
        rc = put_default(dr, e, prefix, at, &text);
    }
    if (rc == 0 && cfg->mode != WEBHOOK_MODE_DEFAULT) {
        rc = put_standard(dr, e, at, &text);
    }
    buf_fini(&text);
    dr->n_fixed = dr->n;
    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; i < e->n_headers; i++) {
        put(dr, e->headers[i].name, e->headers[i].value);
    }
    if (cfg->mode == WEBHOOK_MODE_STANDARD) {
        put_fit(dr, join(&dr->arena, prefix, STR("topic")), at->event->topic);
    } else {
        put_system(dr, prefix, at->event, at->now_wall_ms);
    }
    for (size_t i = 0; i < e->n_metadata; i++) {
        put(dr, e->metadata[i].name, e->metadata[i].value);
    }
    rc = put_event_metadata(dr, prefix, cfg->mode != WEBHOOK_MODE_DEFAULT, at->event->metadata);
    return rc == 0 && draft_size(dr) > HEAD_MAX ? ERR_TOO_BIG : rc;
}

static void on_exchanged(void *ctx, const struct http_client_result *r)
{
    struct dest_send *s = ctx;
    LL_MAGIC_CHECK(s, SEND_MAGIC);
    char code[16];
    struct dest_outcome o;
    webhook_outcome(s->env->webhook, r, loop_wall_ms(s->env->loop), code, &o);
    const dest_done_fn done = s->done;
    void *done_ctx = s->ctx;
    s->magic = 0;
    mem_free(s);
    done(done_ctx, &o);
}

struct dest_send *webhook_send(const struct dest_env *env, struct dest_endpoint *ep,
                               const struct dest_attempt *at, dest_done_fn done, void *ctx,
                               struct err_detail *err)
{
    const struct webhook_endpoint *e = LL_CONTAINER(ep, struct webhook_endpoint, base);
    struct draft dr;
    dr.n = 0;
    dr.n_fixed = 0;
    arena_init(&dr.arena, ARENA_MAX);
    struct dest_send *s = NULL;
    const int rc = draft_headers(&dr, env, e, at);
    if (rc == 0) {
        s = mem_alloc(sizeof(*s));
        *s = (struct dest_send){.magic = SEND_MAGIC, .env = env, .done = done, .ctx = ctx};
        const struct http_client_request rq = {.method = HTTP_METHOD_POST,
                                               .url = &e->url,
                                               .headers = dr.h,
                                               .n_headers = dr.n,
                                               .body = at->event->data};
        s->x = http_exchange_start(env->http, &rq, on_exchanged, s);
    } else {
        (void)err_set(err, rc, 0,
                      rc == ERR_INVALID ? "an event id with a dot cannot be signed in mode standard"
                                        : "the event's headers are too long");
    }
    arena_fini(&dr.arena);
    return s;
}

void webhook_cancel(struct dest_send *s)
{
    LL_MAGIC_CHECK(s, SEND_MAGIC);
    http_exchange_cancel(s->x);
    s->magic = 0;
    mem_free(s);
}
