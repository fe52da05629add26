/* SPDX-License-Identifier: Apache-2.0 */
/* The API's contract: opening, reloading, and what the HTTP server calls. */
#include "api_internal.h"
#include "longline/check.h"
#include "longline/enc.h"
#include "longline/loop.h"
#include "longline/mem.h"
#include "native/native.h"

/* ---- configuration ---- */

static void free_topics(struct api *a)
{
    for (size_t i = 0; i < a->topics.n_topics; i++) {
        char *text;
        memcpy(&text, &a->topic_names[i].p, sizeof(text));
        mem_free(text);
    }
    mem_free(a->topic_names);
    a->topic_names = NULL;
    a->topics = (struct topic_rules){.n_topics = 0};
}

void api_reload(struct api *a, const struct api_cfg *cfg)
{
    LL_MAGIC_CHECK(a, API_MAGIC);
    free_topics(a);
    if (cfg->topics.n != 0) {
        a->topic_names = mem_array(cfg->topics.n, sizeof(*a->topic_names));
    }
    for (size_t i = 0; i < cfg->topics.n; i++) {
        const size_t n = strlen(cfg->topics.v[i]);
        a->topic_names[i] = str_of(mem_strndup(cfg->topics.v[i], n), n);
    }
    a->topics.topics = a->topic_names;
    a->topics.n_topics = cfg->topics.n;
    a->topics.allow_wildcards = cfg->topics_allow_wildcards;
    a->token_ttl_ms = cfg->token_ttl_ms;
    a->tenant_rate = cfg->tenant_rate;
    a->metrics_public = cfg->metrics_public;
}

/* ---- requests ---- */

int64_t call_now_ms(const struct call *c)
{
    return loop_wall_ms(c->api->sv.loop);
}

yyjson_val *call_json(struct call *c)
{
    yyjson_doc *doc = json_parse(call_arena(c), c->rq->body, NULL);
    if (doc == NULL) {
        reply_error(c, 422, "invalid JSON");
        return NULL;
    }
    return yyjson_doc_get_root(doc);
}

bool call_query(struct call *c, struct query *q)
{
    switch (query_parse(q, c->rq->query, call_arena(c))) {
    case 0:
        return true;
    case ERR_SYNTAX:
        reply_error(c, 400, "invalid query string");
        return false;
    default:
        reply_error(c, 400, "too many query parameters");
        return false;
    }
}

/* A path that would be a route's without its last slash: 301 for what only reads, and 307 for the
 * rest, which is to be sent again as it was, body and all. */
static bool redirect(const struct http_request *rq, struct http_reply *out)
{
    const struct str path = str_of(rq->path.p, rq->path.n - (rq->path.n != 0 ? 1 : 0));
    const bool only_reads = rq->method == HTTP_METHOD_GET || rq->method == HTTP_METHOD_HEAD;
    struct http_header *location;
    struct route_match m;
    const char *text;

    if (path.n == 0 || rq->path.p[path.n] != '/') {
        return false;
    }
    route_find(native_routes, native_n_routes, rq->method, path, &m);
    if (m.index == native_n_routes) {
        return false;
    }
    location = arena_alloc(rq->arena, sizeof(*location));
    text = arena_printf(rq->arena, STR_FMT "%s" STR_FMT, STR_ARG(path), rq->query.n != 0 ? "?" : "",
                        STR_ARG(rq->query));
    if (location == NULL || text == NULL) {
        return false;
    }
    *location = (struct http_header){.name = STR("Location"), .value = str_c(text)};
    out->status = only_reads ? 301 : 307;
    out->headers = location;
    out->n_headers = 1;
    return true;
}

static int refuse_unrouted(struct api *a, struct http_request *rq, unsigned allowed,
                           struct http_reply *out)
{
    struct http_header *allow;
    char *text;

    if (allowed == 0 && redirect(rq, out)) {
        ops_count(a->ops, NULL, out->status);
        return ERR_UNSUPPORTED;
    }
    if (allowed == 0) {
        refusal_error(rq->arena, 404, "not found", out);
        ops_count(a->ops, NULL, 404);
        return ERR_NOT_FOUND;
    }
    allowed |= 1U << HTTP_METHOD_OPTIONS;
    if (rq->method == HTTP_METHOD_OPTIONS) {
        out->status = 204;
    } else {
        refusal_error(rq->arena, 405, "method not allowed", out);
    }
    allow = arena_alloc(rq->arena, sizeof(*allow));
    text = arena_alloc(rq->arena, ROUTE_ALLOW_MAX);
    if (allow != NULL && text != NULL) {
        *allow = (struct http_header){.name = STR("Allow"),
                                      .value = str_of(text, route_allow(allowed, text))};
        out->headers = allow;
        out->n_headers = 1;
    }
    ops_count(a->ops, NULL, out->status);
    return ERR_UNSUPPORTED;
}

/* Any text is fine as an id, as long as it is text. */
static int decode_params(struct call *c, const struct route_match *m)
{
    for (size_t i = 0; i < m->n_params; i++) {
        struct buf b;
        int rc = 0;
        if (str_find(m->params[i], '%') == m->params[i].n) {
            c->params[i] = m->params[i];
        } else {
            buf_init(&b, m->params[i].n);
            rc = dec_percent(&b, m->params[i], 0);
            if (rc == 0) {
                c->params[i] = arena_str(call_arena(c), buf_str(&b));
            }
            buf_fini(&b);
        }
        if (rc != 0 || c->params[i].p == NULL || !utf8_valid(c->params[i])) {
            return ERR_SYNTAX;
        }
    }
    return 0;
}

static int on_head(void *ctx, struct http_request *rq, int64_t *max_body,
                   struct http_reply *refusal)
{
    struct api *a = ctx;
    struct route_match m;
    struct call *c;
    int rc;

    LL_MAGIC_CHECK(a, API_MAGIC);
    route_find(native_routes, native_n_routes, rq->method, rq->path, &m);
    if (m.index == native_n_routes) {
        return refuse_unrouted(a, rq, m.allowed, refusal);
    }
    c = arena_zalloc(rq->arena, sizeof(*c));
    if (c == NULL) {
        refusal_busy(a, NULL, "", refusal);
        ops_count(a->ops, &native_routes[m.index], refusal->status);
        return ERR_NOMEM;
    }
    *c = (struct call){.magic = CALL_MAGIC, .api = a, .rq = rq, .route = &native_routes[m.index]};
    rq->user = c;
    rc = decode_params(c, &m);
    if (rc != 0) {
        refusal_error(rq->arena, 400, "invalid path", refusal);
    } else {
        rc = gate_check(c, refusal);
    }
    if (rc != 0) {
        ops_count(a->ops, c->route, refusal->status);
        return rc;
    }
    *max_body = (c->route->flags & ROUTE_PUBLISHES) != 0 ? a->max_publish_body : 0;
    return 0;
}

static void on_request(void *ctx, struct http_request *rq)
{
    struct call *c = rq->user;
    struct http_reply refusal = {.status = 0};
    struct api *a = ctx;
    LL_MAGIC_CHECK(c, CALL_MAGIC);
    if (gate_check_again(c, &refusal) != 0) {
        ops_count(a->ops, c->route, refusal.status);
        http_reply(rq, &refusal);
        return;
    }
    c->route->handle(c);
}

static void on_protocol_error(void *ctx, int status, struct arena *a, struct http_reply *out)
{
    const struct api *api = ctx;
    const char *phrase = http_status_text(status);
    char text[64];
    size_t n = 0;

    LL_MAGIC_CHECK(api, API_MAGIC);
    ops_count(api->ops, NULL, status);
    /* Messages of this API are in lower case. */
    while (n < sizeof(text) - 1 && phrase[n] != '\0') {
        text[n] = phrase[n];
        if (text[n] >= 'A' && text[n] <= 'Z') {
            text[n] = (char)(text[n] - 'A' + 'a');
        }
        n++;
    }
    text[n] = '\0';
    refusal_error(a, status, text, out);
}

/* ---- contract ---- */

void api_open(struct api **out, const struct api_services *sv, const struct api_cfg *cfg)
{
    struct api *a = mem_zalloc(sizeof(*a));

    a->magic = API_MAGIC;
    a->sv = *sv;
    a->sv.http = NULL; /* it may be gone after a reload */
    api_set_http(a, sv->http);
    a->handler = (struct http_handler){.on_head = on_head,
                                       .on_request = on_request,
                                       .on_protocol_error = on_protocol_error,
                                       .ctx = a};
    buf_init(&a->out, REPLY_MAX);
    api_reload(a, cfg);
    ops_open(&a->ops, a);
    *out = a;
}

void api_set_auth(struct api *a, struct auth *auth)
{
    a->sv.auth = auth;
}

void api_set_http(struct api *a, const struct http_server_cfg *http)
{
    a->max_publish_body = http->max_publish_body;
}

const struct topic_rules *api_topic_rules(const struct api *a)
{
    return &a->topics;
}

const struct http_handler *api_handler(struct api *a)
{
    return &a->handler;
}

void api_set_ready(struct api *a, bool ready)
{
    a->is_ready = ready;
}

void api_free(struct api *a)
{
    if (a == NULL) {
        return;
    }
    LL_MAGIC_CHECK(a, API_MAGIC);
    ops_free(a->ops);
    free_topics(a);
    buf_fini(&a->out);
    a->magic = 0;
    mem_free(a);
}
