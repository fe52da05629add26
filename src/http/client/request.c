/* SPDX-License-Identifier: Apache-2.0 */
/* The request head. Header text comes from publishers and tenants, so every name and value is
 * checked, and those that frame the message or steer the connection are refused. */
#include "internal.h"

static const char *const refused[] = {
    "host",       "content-length", "transfer-encoding", "connection",
    "keep-alive", "upgrade",        "proxy-connection",  "expect",
    "te",         "trailer",
};

static bool is_refused(struct str name)
{
    for (size_t i = 0; i < LL_COUNT(refused); i++) {
        if (str_eq_ci(name, str_c(refused[i]))) {
            return true;
        }
    }
    return false;
}

/* Names are shown to people: only what is safe in a line of text. */
static int bad_header(struct http_exchange *x, struct str name, const char *what)
{
    const int shown = http_is_token(name) ? (int)(name.n < 64 ? name.n : 64) : 0;
    return err_set(&x->res.err, ERR_INVALID, 0, "request header \"%.*s\" %s", shown,
                   shown != 0 ? name.p : "", what);
}

static int add_header(struct http_exchange *x, const struct http_header *h)
{
    if (!http_is_token(h->name)) {
        return bad_header(x, h->name, "has a name that HTTP does not allow");
    }
    if (is_refused(h->name)) {
        return bad_header(x, h->name, "is not allowed: the gateway sets it");
    }
    if (!http_is_field_value(h->value)) {
        return bad_header(x, h->name, "has a value with control characters");
    }
    buf_add_str(&x->head, h->name);
    buf_add_lit(&x->head, ": ");
    buf_add_str(&x->head, h->value);
    buf_add_lit(&x->head, "\r\n");
    return 0;
}

static bool implies_body(enum http_method m)
{
    return m == HTTP_METHOD_POST || m == HTTP_METHOD_PUT || m == HTTP_METHOD_PATCH;
}

int request_build(struct http_exchange *x, const struct http_client_request *rq)
{
    struct buf *b = &x->head;

    x->is_head = rq->method == HTTP_METHOD_HEAD;
    x->body = rq->body;
    buf_reset(b);
    buf_add_str(b, str_c(http_method_name(rq->method)));
    buf_add_c(b, ' ');
    buf_add_str(b, rq->url->path);
    buf_add_lit(b, " HTTP/1.1\r\nHost: ");
    buf_add_str(b, rq->url->authority);
    buf_add_lit(b, "\r\n");
    for (size_t i = 0; i < rq->n_headers; i++) {
        const int rc = add_header(x, &rq->headers[i]);
        if (rc != 0) {
            return rc;
        }
    }
    if (rq->body.n != 0 || implies_body(rq->method)) {
        buf_add_lit(b, "Content-Length: ");
        buf_add_u64(b, rq->body.n);
        buf_add_lit(b, "\r\n");
    }
    buf_add_lit(b, "\r\n");
    if (b->failed) {
        return err_set(&x->res.err, ERR_TOO_BIG, 0, "the headers of the request exceed %u bytes",
                       CLIENT_MAX_HEAD);
    }
    return 0;
}
