/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cross-origin access (the CORS protocol of the Fetch standard). Off while no origin is configured:
 * then OPTIONS is a request like any other. No credentials mode: keys travel in Authorization,
 * which scripts set themselves.
 */
#include "longline/mem.h"
#include "server.h"

void cors_copy(struct cfg_list *to, const struct cfg_list *from)
{
    *to = (struct cfg_list){.n = from->n};
    if (from->n == 0) {
        return;
    }
    to->v = mem_array(from->n, sizeof(*to->v));
    for (size_t i = 0; i < from->n; i++) {
        to->v[i] = mem_strndup(from->v[i], strlen(from->v[i]));
    }
}

void cors_free(struct cfg_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        mem_free(l->v[i]);
    }
    mem_free(l->v);
    *l = (struct cfg_list){.n = 0};
}

bool cors_is_preflight(const struct http_server *s, const struct http_request *rq)
{
    return s->cfg.cors_origins.n != 0 && rq->method == HTTP_METHOD_OPTIONS &&
           http_find(rq->headers, rq->n_headers, STR("origin")).p != NULL &&
           http_find(rq->headers, rq->n_headers, STR("access-control-request-method")).p != NULL;
}

/* The value for Access-Control-Allow-Origin, or STR_NULL. */
static struct str allowed_origin(const struct cfg_list *list, struct str origin)
{
    for (size_t i = 0; i < list->n; i++) {
        const struct str item = str_c(list->v[i]);
        if (str_eq(item, STR("*"))) {
            return item;
        }
        if (str_eq_ci(item, origin)) {
            return origin;
        }
    }
    return STR_NULL;
}

void cors_add_headers(const struct http_server *s, const struct http_request *rq, bool preflight,
                      struct buf *out)
{
    struct str origin;
    struct str allowed;
    struct str asked;

    if (s->cfg.cors_origins.n == 0) {
        return;
    }
    origin = http_find(rq->headers, rq->n_headers, STR("origin"));
    allowed = origin.p != NULL ? allowed_origin(&s->cfg.cors_origins, origin) : STR_NULL;
    if (!str_eq(allowed, STR("*"))) {
        buf_add_lit(out, "Vary: Origin\r\n");
    }
    if (allowed.p == NULL) {
        return;
    }
    buf_add_lit(out, "Access-Control-Allow-Origin: ");
    buf_add_str(out, allowed);
    buf_add_lit(out, "\r\n");
    if (!preflight) {
        buf_add_lit(out, "Access-Control-Expose-Headers: Retry-After, Location\r\n");
        return;
    }
    buf_add_lit(out, "Access-Control-Allow-Methods: GET, HEAD, POST, PUT, PATCH, DELETE\r\n");
    asked = http_find(rq->headers, rq->n_headers, STR("access-control-request-headers"));
    if (asked.n != 0) {
        buf_add_lit(out, "Access-Control-Allow-Headers: ");
        buf_add_str(out, asked);
        buf_add_lit(out, "\r\n");
    }
    buf_add_lit(out, "Access-Control-Max-Age: 600\r\n");
}
