/* SPDX-License-Identifier: Apache-2.0 */
/* From a struct http_reply to bytes: one buffer for the head, the body beside it, one write. */
#include "longline/check.h"
#include "longline/log.h"
#include "server.h"

static void add_date(struct http_server *s)
{
    const int64_t now_ms = loop_wall_ms(s->loop);
    const int64_t now_s = now_ms / 1000;
    if (now_s != s->date_s) {
        size_t n = sizeof("Date: ") - 1;
        memcpy(s->date_line, "Date: ", n);
        n += date_http(s->date_line + n, now_ms);
        s->date_line[n++] = '\r';
        s->date_line[n++] = '\n';
        s->date_n = n;
        s->date_s = now_s;
    }
    buf_add(&s->out, s->date_line, s->date_n);
}

static void add_header(struct buf *out, struct str name, struct str value)
{
    buf_add_str(out, name);
    buf_add_lit(out, ": ");
    buf_add_str(out, value);
    buf_add_lit(out, "\r\n");
}

/* Text from elsewhere must not be able to end the line. */
static void add_handler_headers(struct buf *out, const struct http_reply *rp)
{
    for (size_t i = 0; i < rp->n_headers; i++) {
        const struct http_header *h = &rp->headers[i];
        if (!http_is_token(h->name) || !http_is_field_value(h->value)) {
            log_error("http.reply.header", LOG_STR("name", h->name));
            continue;
        }
        add_header(out, h->name, h->value);
    }
}

static void add_connection(struct buf *out, const struct conn *c, bool close)
{
    if (close) {
        buf_add_lit(out, "Connection: close\r\n");
    } else if (!c->parser.is_http11) {
        buf_add_lit(out, "Connection: keep-alive\r\n");
    }
}

static void add_status_line(struct buf *out, int status)
{
    if (status == 200) {
        buf_add_lit(out, "HTTP/1.1 200 OK\r\n");
        return;
    }
    if (status == 202) {
        buf_add_lit(out, "HTTP/1.1 202 Accepted\r\n");
        return;
    }
    buf_add_lit(out, "HTTP/1.1 ");
    buf_add_u64(out, (uint64_t)status);
    buf_add_c(out, ' ');
    buf_add_str(out, str_c(http_status_text(status)));
    buf_add_lit(out, "\r\n");
}

bool conn_write_reply(struct conn *c, const struct http_reply *rp, bool close)
{
    struct http_server *s = c->server;
    struct buf *out = &s->out;
    const bool may_have_body = rp->status != 204 && rp->status != 304;
    struct str parts[2];

    LL_ASSERT(rp->status >= 200 && rp->status <= 999);
    buf_reset(out);
    add_status_line(out, rp->status);
    add_date(s);
    if (rp->content_type != NULL && may_have_body) {
        add_header(out, STR("Content-Type"), str_c(rp->content_type));
    }
    if (may_have_body) {
        buf_add_lit(out, "Content-Length: ");
        buf_add_u64(out, rp->body.n);
        buf_add_lit(out, "\r\n");
    }
    add_handler_headers(out, rp);
    cors_add_headers(s, &c->rq, c->is_preflight, out);
    add_connection(out, c, close);
    buf_add_lit(out, "\r\n");
    if (out->failed) {
        log_error("http.reply.too_big", LOG_INT("status", rp->status));
        return false;
    }
    parts[0] = buf_str(out);
    parts[1] = rp->body;
    return conn_write(c, parts,
                      may_have_body && rp->body.n != 0 && c->rq.method != HTTP_METHOD_HEAD ? 2 : 1);
}
