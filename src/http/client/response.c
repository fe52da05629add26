/* SPDX-License-Identifier: Apache-2.0 */
#include "response.h"

#include "longline/check.h"
#include "longline/mem.h"

#define FIRST_FIELDS      16
/* A byte of body may come in a chunk of its own ("1\r\nx\r\n"); framing beyond that is abuse. */
#define RAW_PER_BODY_BYTE 8
#define RAW_SLACK         16384
/* ": " and CRLF, so that many tiny headers count too. */
#define FIELD_OVERHEAD    4

static int fail(struct client_resp *r)
{
    r->state = RESP_FAILED;
    return HPE_USER;
}

static int head_too_big(struct client_resp *r)
{
    err_set(&r->err, ERR_TOO_BIG, 0, "the head of the response is larger than %zu bytes",
            r->limits.max_head);
    return fail(r);
}

static int count_head(struct client_resp *r, size_t n)
{
    r->head_seen += n;
    return r->head_seen > r->limits.max_head ? head_too_big(r) : 0;
}

static int add_text(struct client_resp *r, const char *p, size_t n)
{
    const int rc = count_head(r, n);
    if (rc != 0) {
        return rc;
    }
    return buf_add(&r->text, p, n) == 0 ? 0 : head_too_big(r);
}

static int on_message_begin(llhttp_t *p)
{
    struct client_resp *r = p->data;
    buf_reset(&r->text);
    r->n_fields = 0;
    r->in_field = false;
    r->state = RESP_HEAD;
    return 0;
}

static int on_status(llhttp_t *p, const char *at, size_t n)
{
    (void)at;
    return count_head(p->data, n);
}

static int begin_field(struct client_resp *r)
{
    if (r->n_fields == RESP_MAX_HEADERS) {
        err_set(&r->err, ERR_TOO_BIG, 0, "the response has more than %d headers", RESP_MAX_HEADERS);
        return fail(r);
    }
    if (r->n_fields == r->cap_fields) {
        r->cap_fields = r->cap_fields != 0 ? r->cap_fields * 2 : FIRST_FIELDS;
        r->fields = mem_realloc_array(r->fields, r->cap_fields, sizeof(r->fields[0]));
        r->headers = mem_realloc_array(r->headers, r->cap_fields, sizeof(r->headers[0]));
    }
    r->fields[r->n_fields] = (struct resp_field){.name_at = (uint32_t)r->text.n};
    r->in_field = true;
    return count_head(r, FIELD_OVERHEAD);
}

static int on_header_field(llhttp_t *p, const char *at, size_t n)
{
    struct client_resp *r = p->data;
    if (r->state == RESP_BODY) { /* a trailer: counted, not kept */
        return count_head(r, n + FIELD_OVERHEAD);
    }
    if (!r->in_field) {
        const int rc = begin_field(r);
        if (rc != 0) {
            return rc;
        }
    }
    r->fields[r->n_fields].name_n += (uint32_t)n;
    return add_text(r, at, n);
}

static int on_header_value(llhttp_t *p, const char *at, size_t n)
{
    struct client_resp *r = p->data;
    if (r->state == RESP_BODY) {
        return count_head(r, n);
    }
    r->fields[r->n_fields].value_n += (uint32_t)n;
    return add_text(r, at, n);
}

static int on_header_value_complete(llhttp_t *p)
{
    struct client_resp *r = p->data;
    if (r->state == RESP_BODY || !r->in_field) {
        return 0;
    }
    struct resp_field *f = &r->fields[r->n_fields];
    f->value_at = f->name_at + f->name_n;
    r->n_fields++;
    r->in_field = false;
    return 0;
}

static bool is_interim(int status)
{
    return status < 200;
}

static int on_headers_complete(llhttp_t *p)
{
    struct client_resp *r = p->data;
    const int status = p->status_code;

    if (p->http_major != 1 || p->http_minor > 1) {
        err_set(&r->err, ERR_PROTO, 0, "the response has HTTP version %d.%d", p->http_major,
                p->http_minor);
        return fail(r);
    }
    if (status == 101 || status < 100) {
        err_set(&r->err, ERR_PROTO, 0, "the server answered with status %d", status);
        return fail(r);
    }
    r->status = status;
    if (is_interim(status)) {
        return 1;
    }
    r->state = RESP_BODY;
    return r->head_request || status == 204 || status == 304 ? 1 : 0;
}

static int on_body(llhttp_t *p, const char *at, size_t n)
{
    struct client_resp *r = p->data;
    const size_t room = r->limits.keep_body - r->body.n;
    const size_t keep = n < room ? n : room;

    if (buf_add(&r->body, at, keep) != 0 || keep < n) {
        r->body_truncated = true;
    }
    r->body_seen += n;
    if (r->body_seen > r->limits.max_body) {
        r->body_truncated = true;
        r->state = RESP_DONE; /* and keep_alive stays false: the rest is never read */
        return HPE_USER;
    }
    return 0;
}

static void resolve_headers(struct client_resp *r)
{
    for (size_t i = 0; i < r->n_fields; i++) {
        const struct resp_field *f = &r->fields[i];
        r->headers[i].name = str_of(r->text.p + f->name_at, f->name_n);
        r->headers[i].value = str_trim(str_of(r->text.p + f->value_at, f->value_n));
    }
}

static int on_message_complete(llhttp_t *p)
{
    struct client_resp *r = p->data;
    if (is_interim(p->status_code)) {
        /* After one that ends the connection the parser would take nothing more. */
        r->single_use = r->single_use || llhttp_should_keep_alive(p) == 0;
        r->after_interim = true;
        return HPE_PAUSED;
    }
    /* A transfer coding on HTTP/1.0 is suspect framing (RFC 9112 6.1). */
    const bool odd_framing = p->http_minor == 0 && (p->flags & F_TRANSFER_ENCODING) != 0;
    r->keep_alive = llhttp_should_keep_alive(p) != 0 && !odd_framing && !r->single_use;
    r->state = RESP_DONE;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_message_begin = on_message_begin,
    .on_status = on_status,
    .on_header_field = on_header_field,
    .on_header_value = on_header_value,
    .on_header_value_complete = on_header_value_complete,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

void client_resp_init(struct client_resp *r)
{
    *r = (struct client_resp){.state = RESP_HEAD};
}

void client_resp_fini(struct client_resp *r)
{
    buf_fini(&r->text);
    buf_fini(&r->body);
    mem_free(r->fields);
    mem_free(r->headers);
    *r = (struct client_resp){.state = RESP_HEAD};
}

void client_resp_reset(struct client_resp *r, const struct resp_limits *limits, bool head_request)
{
    r->state = RESP_HEAD;
    r->started = false;
    r->keep_alive = false;
    r->body_truncated = false;
    r->status = 0;
    r->err.code = 0;
    r->limits = *limits;
    r->head_request = head_request;
    r->single_use = false;
    r->after_interim = false;
    r->in_field = false;
    r->n_fields = 0;
    r->head_seen = 0;
    r->body_seen = 0;
    r->body_raw = 0;
    buf_reset(&r->text);
    r->text.max = limits->max_head;
    buf_reset(&r->body);
    r->body.max = limits->keep_body;
    llhttp_init(&r->parser, HTTP_RESPONSE, &settings);
    r->parser.data = r;
}

void client_resp_shrink(struct client_resp *r, size_t keep)
{
    r->state = RESP_HEAD;
    r->started = false;
    buf_reset(&r->text);
    buf_shrink(&r->text, keep);
    buf_reset(&r->body);
    buf_shrink(&r->body, keep);
}

static void set_syntax_error(struct client_resp *r, enum llhttp_errno e)
{
    const char *reason = llhttp_get_error_reason(&r->parser);
    const bool has_reason = reason != NULL && reason[0] != '\0';
    r->state = RESP_FAILED;
    if (r->err.code == 0) {
        err_set(&r->err, ERR_PROTO, (int)e, "the response is not valid HTTP/1.1: %s",
                has_reason ? reason : llhttp_errno_name(e));
    }
}

/* llhttp consumes some bytes without telling: blanks before a value, chunk sizes and extensions.
 * The spans counted by the callbacks are therefore not enough. */
static void check_raw(struct client_resp *r, enum resp_state before, size_t seen, size_t n)
{
    if (before == RESP_HEAD && r->state == RESP_HEAD) {
        r->head_seen = seen + n;
        if (r->head_seen > r->limits.max_head) {
            (void)head_too_big(r);
        }
    } else if (before == RESP_BODY && r->state == RESP_BODY) {
        r->body_raw += n;
        if (r->body_raw / RAW_PER_BODY_BYTE > r->limits.max_body + RAW_SLACK) {
            err_set(&r->err, ERR_TOO_BIG, 0, "the chunk framing of the response body is too large");
            (void)fail(r);
        }
    }
}

/* llhttp_execute, over the interim responses. *end: where a pause came. */
static enum llhttp_errno parse(struct client_resp *r, const char *p, size_t n, const char **end)
{
    enum llhttp_errno e = HPE_OK;
    *end = p;
    while (n != 0) {
        e = llhttp_execute(&r->parser, p, n);
        *end = llhttp_get_error_pos(&r->parser);
        if (e != HPE_PAUSED || !r->after_interim) {
            return e;
        }
        n -= (size_t)(*end - p);
        p = *end;
        r->after_interim = false;
        llhttp_reset(&r->parser);
        e = HPE_OK;
    }
    return e;
}

enum resp_state client_resp_feed(struct client_resp *r, const char *p, size_t n)
{
    const enum resp_state before = r->state;
    const size_t seen = r->head_seen;

    if (before == RESP_DONE || before == RESP_FAILED || n == 0) {
        return before;
    }
    r->started = true;
    const char *end = NULL;
    const enum llhttp_errno e = parse(r, p, n, &end);
    if (r->state == RESP_DONE) {
        /* Bytes after the response: nobody asked for them, so the connection is not trusted. */
        if (e == HPE_PAUSED && end != p + n) {
            r->keep_alive = false;
        }
        resolve_headers(r);
        return r->state;
    }
    if (e != HPE_OK) {
        set_syntax_error(r, e);
        return r->state;
    }
    check_raw(r, before, seen, n);
    return r->state;
}

void client_resp_cut(struct client_resp *r)
{
    LL_ASSERT(r->state == RESP_BODY);
    r->state = RESP_DONE;
    r->body_truncated = true;
    r->keep_alive = false;
    resolve_headers(r);
}

enum resp_state client_resp_eof(struct client_resp *r)
{
    if (r->state == RESP_DONE || r->state == RESP_FAILED) {
        return r->state;
    }
    if (r->state == RESP_BODY && llhttp_message_needs_eof(&r->parser) != 0) {
        const enum llhttp_errno e = llhttp_finish(&r->parser);
        if (r->state != RESP_DONE) {
            set_syntax_error(r, e);
            return r->state;
        }
        r->keep_alive = false;
        resolve_headers(r);
        return r->state;
    }
    if (!r->started) {
        err_set(&r->err, ERR_CLOSED, 0, "the server closed the connection without answering");
    } else if (r->state == RESP_HEAD) {
        err_set(&r->err, ERR_CLOSED, 0,
                "the server closed the connection within the response head");
    } else {
        err_set(&r->err, ERR_CLOSED, 0,
                "the server closed the connection within the body of its answer (status %d)",
                r->status);
    }
    r->state = RESP_FAILED;
    return r->state;
}
