/* SPDX-License-Identifier: Apache-2.0 */
/*
 * llhttp runs over the head buffer, never over the caller's bytes, so that each of its spans lies
 * in one piece of our memory however the bytes were cut on the way; only offsets are kept, since
 * the buffer may move while it grows. It pauses after the head. A body with a length is counted
 * here; llhttp goes on only for chunked framing, straight from the caller's bytes.
 */
#include "parser.h"

#include "head_rules.h"
#include "longline/check.h"

#define BODY_FIRST    ((size_t)64 * 1024) /* reserved at once for an announced body */
#define TRAILER_MAX   4096
#define HEADERS_FIRST 16

static void on_bytes(struct parser *p, struct parser_span *span, const char *at, size_t n)
{
    if (span->n == 0) {
        span->at = (uint32_t)(at - p->head.p);
    }
    span->n += (uint32_t)n;
}

static struct str span_str(const struct parser *p, struct parser_span span)
{
    return str_of(p->head.p + span.at, span.n);
}

static int refuse(struct parser *p, int status)
{
    p->status = status;
    return HPE_USER;
}

static int on_method(llhttp_t *ll, const char *at, size_t n)
{
    struct parser *p = ll->data;
    on_bytes(p, &p->method, at, n);
    return 0;
}

static int on_url(llhttp_t *ll, const char *at, size_t n)
{
    struct parser *p = ll->data;
    on_bytes(p, &p->target, at, n);
    return 0;
}

/* The request line is METHOD SP target SP "HTTP/" version. llhttp also takes further blanks, other
 * protocol names and the line without version of HTTP/0.9. */
static int on_url_complete(llhttp_t *ll)
{
    struct parser *p = ll->data;
    const size_t end = (size_t)p->target.at + p->target.n;
    if (end > PARSER_LINE_MAX) {
        return refuse(p, 414);
    }
    if (p->target.at != p->method.at + p->method.n + 1 || p->head.p[end] != ' ') {
        return refuse(p, 400);
    }
    p->target_done = true;
    return 0;
}

static int on_version(llhttp_t *ll, const char *at, size_t n)
{
    struct parser *p = ll->data;
    const size_t end = (size_t)p->target.at + p->target.n;
    const size_t off = (size_t)(at - p->head.p);
    (void)n;
    /* Called for each piece of the number when it came in pieces; the later ones pass as well. */
    if (off < end + 6 || memcmp(p->head.p + end, " HTTP/", 6) != 0) {
        return refuse(p, 400);
    }
    return 0;
}

static int add_header(struct parser *p)
{
    if (p->n_headers == p->limits.max_headers) {
        return refuse(p, 431);
    }
    if (p->n_headers == p->cap_headers) {
        const size_t cap = p->cap_headers != 0 ? p->cap_headers * 2 : HEADERS_FIRST;
        struct parser_header *h =
            arena_realloc(p->rq->arena, p->headers, p->cap_headers * sizeof(*h), cap * sizeof(*h));
        if (h == NULL) {
            return refuse(p, 503);
        }
        p->headers = h;
        p->cap_headers = cap;
    }
    p->headers[p->n_headers++] = (struct parser_header){.name = {.n = 0}};
    return 0;
}

/* Trailer fields are read and dropped. */
static int on_trailer(struct parser *p, size_t n)
{
    p->n_trailer += n;
    return p->n_trailer <= TRAILER_MAX ? 0 : refuse(p, 431);
}

static int on_header_field(llhttp_t *ll, const char *at, size_t n)
{
    struct parser *p = ll->data;
    if (p->phase != PARSER_IN_HEAD) {
        return on_trailer(p, n);
    }
    if (!p->name_open) {
        const int rc = add_header(p);
        if (rc != 0) {
            return rc;
        }
        p->name_open = true;
    }
    on_bytes(p, &p->headers[p->n_headers - 1].name, at, n);
    return 0;
}

static int on_header_field_complete(llhttp_t *ll)
{
    struct parser *p = ll->data;
    p->name_open = false;
    return 0;
}

static int on_header_value(llhttp_t *ll, const char *at, size_t n)
{
    struct parser *p = ll->data;
    if (p->phase != PARSER_IN_HEAD) {
        return on_trailer(p, n);
    }
    LL_ASSERT(p->n_headers != 0);
    on_bytes(p, &p->headers[p->n_headers - 1].value, at, n);
    return 0;
}

static int on_headers_complete(llhttp_t *ll)
{
    struct parser *p = ll->data;
    p->keep_alive = llhttp_should_keep_alive(ll) != 0;
    /* An offer to switch protocols is not taken up: the request is an ordinary one. */
    ll->upgrade = 0;
    return HPE_PAUSED;
}

static int on_body(llhttp_t *ll, const char *at, size_t n)
{
    struct parser *p = ll->data;
    p->body_seen += n;
    if (p->body_seen > p->max_body) {
        return refuse(p, 413);
    }
    if (!p->discard && buf_add(&p->body, at, n) != 0) {
        return refuse(p, 503);
    }
    return 0;
}

/* A chunk that cannot fit is refused by its announcement, like a Content-Length. */
static int on_chunk_header(llhttp_t *ll)
{
    struct parser *p = ll->data;
    return ll->content_length <= p->max_body - p->body_seen ? 0 : refuse(p, 413);
}

static int on_extension(llhttp_t *ll, const char *at, size_t n)
{
    struct parser *p = ll->data;
    (void)at;
    p->n_ext += n;
    return p->n_ext <= PARSER_EXT_MAX ? 0 : refuse(p, 400);
}

static int on_message_complete(llhttp_t *ll)
{
    (void)ll;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_method = on_method,
    .on_url = on_url,
    .on_url_complete = on_url_complete,
    .on_version = on_version,
    .on_header_field = on_header_field,
    .on_header_field_complete = on_header_field_complete,
    .on_header_value = on_header_value,
    .on_headers_complete = on_headers_complete,
    .on_body = on_body,
    .on_chunk_header = on_chunk_header,
    .on_chunk_extension_name = on_extension,
    .on_chunk_extension_value = on_extension,
    .on_message_complete = on_message_complete,
};

void parser_init(struct parser *p, struct http_request *rq, size_t max_bytes)
{
    *p = (struct parser){.rq = rq};
    buf_init(&p->head, max_bytes);
    buf_init(&p->body, max_bytes);
}

void parser_fini(struct parser *p)
{
    buf_fini(&p->head);
    buf_fini(&p->body);
}

void parser_start(struct parser *p, const struct parser_limits *limits)
{
    struct http_request *rq = p->rq;

    llhttp_init(&p->ll, HTTP_REQUEST, &settings);
    p->ll.data = p;
    p->limits = *limits;
    p->phase = PARSER_IN_HEAD;
    p->status = 0;
    p->is_http11 = false;
    p->keep_alive = false;
    p->expects_continue = false;
    p->has_body = false;
    p->is_chunked = false;
    p->discard = false;
    p->name_open = false;
    p->target_done = false;
    buf_reset(&p->head);
    buf_reset(&p->body);
    p->max_body = 0;
    p->body_left = 0;
    p->body_seen = 0;
    p->n_ext = 0;
    p->n_trailer = 0;
    p->method = (struct parser_span){.n = 0};
    p->target = (struct parser_span){.n = 0};
    p->headers = NULL;
    p->n_headers = 0;
    p->cap_headers = 0;
    *rq = (struct http_request){.method = HTTP_METHOD_OTHER, .peer = rq->peer, .arena = rq->arena};
}

void parser_shrink(struct parser *p, size_t keep)
{
    buf_shrink(&p->head, keep);
    buf_shrink(&p->body, keep);
}

bool parser_is_started(const struct parser *p)
{
    return p->phase != PARSER_IN_HEAD || p->head.n != 0;
}

static enum parser_event fail(struct parser *p, int status)
{
    p->phase = PARSER_ENDED;
    p->status = status;
    p->keep_alive = false;
    return PARSER_ERROR;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

/* A version that has the right form but is not ours gets its own status. */
static bool has_foreign_version(const struct parser *p)
{
    const size_t end = (size_t)p->target.at + p->target.n;
    const char *v = p->head.p + end;
    return p->target_done && p->head.n - end >= sizeof(" HTTP/d.d") - 1 &&
           memcmp(v, " HTTP/", 6) == 0 && is_digit(v[6]) && v[7] == '.' && is_digit(v[8]) &&
           !(v[6] == '1' && v[8] <= '1');
}

static bool has_length_header(const struct parser *p)
{
    for (size_t i = 0; i < p->n_headers; i++) {
        if (str_eq_ci(span_str(p, p->headers[i].name), STR("content-length"))) {
            return true;
        }
    }
    return false;
}

/* The status for an error of llhttp. */
static int status_of(const struct parser *p, llhttp_errno_t rc)
{
    if (p->status != 0) {
        return p->status; /* one of our callbacks refused */
    }
    if (rc == HPE_PAUSED_H2_UPGRADE) {
        return 505;
    }
    if (rc == HPE_INVALID_VERSION) {
        return has_foreign_version(p) ? 505 : 400;
    }
    if (rc == HPE_INVALID_TRANSFER_ENCODING && p->phase == PARSER_IN_HEAD) {
        /* Beside a Content-Length it is an attempt at smuggling, alone it is an unknown coding. */
        return has_length_header(p) ? 400 : 501;
    }
    return 400;
}

static enum http_method method_of(uint8_t m)
{
    switch (m) {
    case HTTP_GET:
        return HTTP_METHOD_GET;
    case HTTP_HEAD:
        return HTTP_METHOD_HEAD;
    case HTTP_POST:
        return HTTP_METHOD_POST;
    case HTTP_PUT:
        return HTTP_METHOD_PUT;
    case HTTP_PATCH:
        return HTTP_METHOD_PATCH;
    case HTTP_DELETE:
        return HTTP_METHOD_DELETE;
    case HTTP_OPTIONS:
        return HTTP_METHOD_OPTIONS;
    default:
        return HTTP_METHOD_OTHER;
    }
}

/* The head is complete: offsets become pointers, and the rules are applied. */
static enum parser_event finish_head(struct parser *p)
{
    struct http_request *rq = p->rq;
    struct head_facts facts = {.is_http11 = p->ll.http_minor == 1};
    struct http_header *h;
    int status;

    rq->method = method_of(p->ll.method);
    rq->method_text = span_str(p, p->method);
    rq->target = span_str(p, p->target);
    p->is_http11 = facts.is_http11;
    if (p->ll.http_major != 1 || p->ll.http_minor > 1) {
        return fail(p, p->ll.http_major == 0 ? 400 : 505);
    }
    if (p->ll.method == HTTP_CONNECT) {
        return fail(p, 501);
    }
    h = arena_alloc(rq->arena, (p->n_headers + 1) * sizeof(*h));
    if (h == NULL) {
        return fail(p, 503);
    }
    for (size_t i = 0; i < p->n_headers; i++) {
        h[i].name = span_str(p, p->headers[i].name);
        h[i].value = str_trim(span_str(p, p->headers[i].value));
    }
    rq->headers = h;
    rq->n_headers = p->n_headers;

    status = head_rules_check(rq, &facts);
    if (status != 0) {
        return fail(p, status);
    }
    p->expects_continue = facts.expects_continue;
    p->is_chunked = facts.is_chunked;
    p->has_body = facts.is_chunked || rq->content_length > 0;
    p->phase = PARSER_AT_BODY;
    return PARSER_HEAD;
}

/* Bytes up to and with the empty line, if it is in sight: the rest belongs to the body, and would
 * only be copied in vain. */
static size_t head_piece(const char *data, size_t n)
{
    size_t at = 0;
    while (n - at >= 4) {
        const char *cr = memchr(data + at, '\r', n - at - 3);
        if (cr == NULL) {
            break;
        }
        at = (size_t)(cr - data);
        if (memcmp(cr, "\r\n\r\n", 4) == 0) {
            return at + 4;
        }
        at++;
    }
    return n;
}

static enum parser_event feed_head(struct parser *p, const char *data, size_t n, size_t *used)
{
    const size_t start = p->head.n;
    const size_t room = p->limits.max_head - start;
    size_t take = head_piece(data, n);
    llhttp_errno_t rc;

    if (take > room) {
        take = room;
    }
    *used = take;
    if (buf_add(&p->head, data, take) != 0) {
        return fail(p, 503);
    }
    rc = llhttp_execute(&p->ll, p->head.p + start, take);
    if (rc == HPE_PAUSED) {
        const size_t pos = (size_t)(llhttp_get_error_pos(&p->ll) - p->head.p);
        LL_ASSERT(pos >= start && pos <= p->head.n);
        *used = pos - start;
        p->head.n = pos;
        return finish_head(p);
    }
    if (rc != HPE_OK) {
        return fail(p, status_of(p, rc));
    }
    if (!p->target_done && p->head.n > PARSER_LINE_MAX) {
        return fail(p, 414);
    }
    if (p->head.n >= p->limits.max_head) {
        return fail(p, p->target_done ? 431 : 414);
    }
    return PARSER_MORE;
}

static enum parser_event finish(struct parser *p)
{
    p->phase = PARSER_ENDED;
    p->rq->body = buf_str(&p->body);
    if (p->rq->body.p == NULL) {
        p->rq->body = STR("");
    }
    return PARSER_DONE;
}

static enum parser_event feed_chunked(struct parser *p, const char *data, size_t n, size_t *used)
{
    const llhttp_errno_t rc = llhttp_execute(&p->ll, data, n);
    *used = n;
    if (rc == HPE_OK) {
        return PARSER_MORE;
    }
    if (rc != HPE_PAUSED) {
        return fail(p, status_of(p, rc));
    }
    *used = (size_t)(llhttp_get_error_pos(&p->ll) - data);
    LL_ASSERT(*used <= n);
    return finish(p);
}

static enum parser_event feed_plain(struct parser *p, const char *data, size_t n, size_t *used)
{
    const size_t take = n < p->body_left ? n : (size_t)p->body_left;
    *used = take;
    if (!p->discard && buf_add(&p->body, data, take) != 0) {
        return fail(p, 503);
    }
    p->body_seen += take;
    p->body_left -= take;
    return p->body_left == 0 ? finish(p) : PARSER_MORE;
}

enum parser_event parser_feed(struct parser *p, const char *data, size_t n, size_t *used)
{
    size_t skip = 0;
    enum parser_event ev;

    LL_ASSERT(p->phase == PARSER_IN_HEAD || p->phase == PARSER_IN_BODY);
    switch (p->phase) {
    case PARSER_IN_HEAD:
        /* RFC 9112 2.2: empty lines before a request are passed over. */
        while (p->head.n == 0 && skip < n && (data[skip] == '\r' || data[skip] == '\n')) {
            skip++;
        }
        *used = 0;
        ev = skip < n ? feed_head(p, data + skip, n - skip, used) : PARSER_MORE;
        *used += skip;
        return ev;
    case PARSER_IN_BODY:
        return p->is_chunked ? feed_chunked(p, data, n, used) : feed_plain(p, data, n, used);
    case PARSER_AT_BODY:
    case PARSER_ENDED:
    default:
        return PARSER_ERROR;
    }
}

enum parser_event parser_begin_body(struct parser *p, size_t max_body, bool discard)
{
    const struct http_request *rq = p->rq;
    const uint64_t length = (uint64_t)rq->content_length;

    LL_ASSERT(p->phase == PARSER_AT_BODY);
    p->max_body = max_body;
    p->discard = discard;
    p->phase = PARSER_IN_BODY;
    if (!p->has_body) {
        return finish(p);
    }
    if (p->is_chunked) {
        p->body.max = max_body;
        llhttp_resume(&p->ll);
        return PARSER_MORE;
    }
    if (length > max_body) {
        return fail(p, 413);
    }
    p->body.max = (size_t)length; /* the buffer need not grow beyond it */
    p->body_left = length;
    /* A length is only a promise: memory for a large body comes as its bytes do. */
    if (!discard && buf_reserve(&p->body, length < BODY_FIRST ? (size_t)length : BODY_FIRST) != 0) {
        return fail(p, 503);
    }
    return PARSER_MORE;
}
