/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may go in: authentication, the tenant's rate, and room for what a publish brings. Runs on the
 * head alone, so that a wrong key or an overload never costs reading a body.
 *
 * 401 and 403 have no body, as clients expect.
 */
#include "api_internal.h"
#include "longline/hash.h"
#include "longline/loop.h"

static int refuse_empty(int status, struct http_reply *out)
{
    static const struct http_header challenge = HTTP_HEADER("WWW-Authenticate", "Bearer");
    out->status = status;
    if (status == 401) {
        out->headers = &challenge;
        out->n_headers = 1;
    }
    return ERR_DENIED;
}

static int check_rate(struct call *c, struct http_reply *out)
{
    static const struct http_header retry_after = HTTP_HEADER("Retry-After", "1");
    struct api *a = c->api;
    if (a->tenant_rate == 0 || (c->route->flags & ROUTE_NOT_LIMITED) != 0 ||
        rate_allow(&a->rates, hash_random(c->token_tenant), loop_mono_ms(a->sv.loop),
                   a->tenant_rate)) {
        return 0;
    }
    refusal_error(call_arena(c), 429, "too many requests", out);
    out->headers = &retry_after;
    out->n_headers = 1;
    return ERR_BUSY;
}

static int check_token(struct call *c, const struct auth_result *who, struct http_reply *out)
{
    const struct tenant *t;

    c->token_tenant = who->tenant_id;
    if (c->route->scope != SCOPE_ANY) {
        return refuse_empty(403, out);
    }
    if ((c->route->flags & ROUTE_OF_TENANT) != 0 && !str_eq(c->params[0], c->token_tenant)) {
        return refuse_empty(403, out);
    }
    t = registry_tenant(c->api->sv.registry, c->token_tenant);
    if (t == NULL || !auth_is_for(who, t->generation, t->tokens_after_s)) {
        return refuse_empty(401, out);
    }
    c->generation = t->generation;
    return check_rate(c, out);
}

int gate_check_again(const struct call *c, struct http_reply *refusal)
{
    const struct tenant *t;

    if (c->token_tenant.p == NULL) {
        return 0;
    }
    t = registry_tenant(c->api->sv.registry, c->token_tenant);
    return t != NULL && t->generation == c->generation ? 0 : refuse_empty(401, refusal);
}

static int check_admin(struct call *c, struct http_reply *out)
{
    if ((c->route->flags & ROUTE_NEEDS_TENANT) != 0 &&
        registry_tenant(c->api->sv.registry, c->params[0]) == NULL) {
        refusal_error(call_arena(c), 404, "tenant not found", out);
        return ERR_NOT_FOUND;
    }
    return 0;
}

/* STR_NULL also when it stands there twice: what is in front of us may have looked at the other. */
static struct str authorization(const struct http_request *rq)
{
    struct str found = STR_NULL;
    for (size_t i = 0; i < rq->n_headers; i++) {
        if (!str_eq_ci(rq->headers[i].name, STR("authorization"))) {
            continue;
        }
        if (found.p != NULL) {
            return STR_NULL;
        }
        found = rq->headers[i].value;
    }
    return found;
}

static int check_caller(struct call *c, struct http_reply *out)
{
    const struct http_request *rq = c->rq;
    struct auth_result who;

    auth_check(c->api->sv.auth, authorization(rq), call_now_ms(c), rq->arena, &who);
    switch (who.role) {
    case AUTH_ADMIN:
        c->is_admin = true;
        return check_admin(c, out);
    case AUTH_TENANT:
        return check_token(c, &who, out);
    case AUTH_NONE:
    default:
        return refuse_empty(401, out);
    }
}

static int check_room(struct call *c, struct http_reply *out)
{
    const struct api *a = c->api;
    const size_t n = c->rq->has_length ? (size_t)c->rq->content_length : 0;
    const char *why = "not ready";
    int rc = ERR_BUSY;

    if (a->is_ready) {
        rc = store_admit(a->sv.store, n, 0);
        why = rc == ERR_FULL ? "the store is full" : "busy, try again";
    }
    if (rc == 0) {
        rc = deliver_admit(a->sv.deliver, 1);
        why = "too many deliveries are pending";
    }
    if (rc != 0) {
        refusal_busy(a, call_arena(c), why, out);
    }
    return rc;
}

/* Without a length there is no body (RFC 9112 6.3), which is hardly what the client meant. */
static int check_length(struct call *c, struct http_reply *out)
{
    const struct http_request *rq = c->rq;
    if (rq->has_length ||
        http_find(rq->headers, rq->n_headers, STR("transfer-encoding")).p != NULL) {
        return 0;
    }
    refusal_error(call_arena(c), 411, "the request needs a Content-Length or a chunked body", out);
    return ERR_INVALID;
}

/* The server answers that with 413 as soon as the head was let in. */
static bool is_too_long(const struct call *c)
{
    return c->rq->has_length && c->rq->content_length > c->api->max_publish_body;
}

int gate_check(struct call *c, struct http_reply *refusal)
{
    int rc = 0;
    if (c->route->scope != SCOPE_PUBLIC &&
        !(c->route->scope == SCOPE_METRICS && c->api->metrics_public)) {
        rc = check_caller(c, refusal);
    }
    if (rc != 0) {
        return rc; /* whoever may not publish has no event to lose */
    }
    if ((c->route->flags & ROUTE_NEEDS_BODY) != 0) {
        rc = check_length(c, refusal);
    }
    if (rc == 0 && (c->route->flags & ROUTE_PUBLISHES) != 0) {
        rc = check_room(c, refusal);
    }
    if ((c->route->flags & ROUTE_PUBLISHES) != 0 && (rc != 0 || is_too_long(c))) {
        publish_count_refused(c->api->sv.publish);
    }
    return rc;
}
