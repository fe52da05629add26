/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection: read, parse, find the mark, answer (now, later or never), keep alive.
 * Ends when the sender closes, on a parse error, or after an answer when the mode says so. Its
 * memory goes when both handles are closed.
 */

#include "sink.h"

#include <mbedtls/md.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define URL_MAX    256u
#define HEAD_MAX   1024u /* of a body that arrives in pieces: enough to hold the mark */
#define NAME_CAP   64u
#define SIG_MAX    256u
#define HEX_SHA256 64u

struct peer {
    uv_tcp_t tcp;
    uv_timer_t delay;
    llhttp_t parser;
    struct sink *sink;
    struct tls_session *tls; /* NULL: plain */
    int n_handles;           /* still open */
    bool is_closing;
    bool closes_after;
    unsigned delayed_status;
    struct arrival arrival;
    bool is_verifying;
    bool is_signature; /* the header being read */
    mbedtls_md_context_t md;
    size_t url_len;
    size_t name_len;
    size_t sig_len;
    size_t head_len;
    char url[URL_MAX];
    char name[NAME_CAP];
    char sig[SIG_MAX];
    char head[HEAD_MAX];
};

struct raw_write {
    uv_write_t req;
    char bytes[];
};

static void on_handle_closed(uv_handle_t *handle)
{
    struct peer *p = handle->data;
    if (--p->n_handles > 0) {
        return;
    }
    p->sink->open--;
    tls_session_free(p->tls);
    mbedtls_md_free(&p->md);
    free(p);
}

void peer_close(struct peer *p)
{
    if (p->is_closing) {
        return;
    }
    p->is_closing = true;
    uv_close((uv_handle_t *)&p->delay, on_handle_closed);
    uv_close((uv_handle_t *)&p->tcp, on_handle_closed);
}

static void on_raw_written(uv_write_t *req, int status)
{
    struct peer *p = req->data;
    free(req);
    if (status != 0) {
        peer_close(p);
    }
}

void peer_send_raw(struct peer *p, const char *bytes, size_t n)
{
    if (p->is_closing) {
        return;
    }
    struct raw_write *w = bench_alloc(sizeof *w + n);
    memcpy(w->bytes, bytes, n);
    uv_buf_t buf = uv_buf_init(w->bytes, (unsigned)n);
    const int sent = uv_try_write((uv_stream_t *)&p->tcp, &buf, 1);
    if (sent == (int)n || (sent < 0 && sent != UV_EAGAIN)) {
        free(w);
        if (sent < 0) {
            peer_close(p);
        }
        return;
    }
    if (sent > 0) {
        buf = uv_buf_init(w->bytes + sent, (unsigned)n - (unsigned)sent);
    }
    w->req.data = p;
    if (uv_write(&w->req, (uv_stream_t *)&p->tcp, &buf, 1, on_raw_written) != 0) {
        free(w);
        peer_close(p);
    }
}

/* --- answering -------------------------------------------------------------------------------- */

static void answer(struct peer *p, unsigned status)
{
    static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    char other[128];
    const char *text = ok;
    size_t len = sizeof ok - 1;
    if (status != 200 || p->closes_after) {
        const int n =
            snprintf(other, sizeof other, "HTTP/1.1 %u %s\r\nContent-Length: 0\r\n%s\r\n", status,
                     status < 300 ? "OK" : "No", p->closes_after ? "Connection: close\r\n" : "");
        text = other;
        len = (size_t)n;
    }
    if (p->tls != NULL) {
        tls_output(p->tls, text, len);
    } else {
        peer_send_raw(p, text, len);
    }
    if (p->closes_after && !p->is_closing) {
        if (p->tls != NULL) {
            tls_notify_close(p->tls);
        }
        peer_close(p);
    }
}

static void on_delay_over(uv_timer_t *timer)
{
    struct peer *p = timer->data;
    ledger_add(&p->sink->ledger, &p->arrival, bench_now_ns());
    answer(p, p->delayed_status);
}

struct behaviour {
    unsigned status; /* 0: never */
    uint32_t delay_ms;
    bool follows_mode;
};

static bool has_prefix(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* The digits at text; a path that has none means 0. */
static uint32_t digits(const char *text)
{
    uint32_t v = 0;
    for (const char *at = text; *at >= '0' && *at <= '9' && v < 100000000; at++) {
        v = v * 10 + (uint32_t)(*at - '0');
    }
    return v;
}

static struct behaviour behaviour_of(const struct peer *p)
{
    if (has_prefix(p->url, "/dead/")) {
        return (struct behaviour){.status = 0};
    }
    if (has_prefix(p->url, "/slow/")) {
        return (struct behaviour){.status = 200, .delay_ms = digits(p->url + 6)};
    }
    if (has_prefix(p->url, "/status/")) {
        return (struct behaviour){.status = digits(p->url + 8)};
    }
    return (struct behaviour){
        .status = p->sink->mode.status, .delay_ms = p->sink->mode.delay_ms, .follows_mode = true};
}

/* --- signatures ------------------------------------------------------------------------------- */

/* v0=<hex>[,<hex>]: one of them must be ours. */
static void check_signature(struct peer *p)
{
    unsigned char mac[32];
    char hex[HEX_SHA256 + 1];
    if (mbedtls_md_hmac_finish(&p->md, mac) != 0) {
        bench_die("hmac", "failed");
    }
    for (size_t i = 0; i < sizeof mac; i++) {
        (void)snprintf(hex + 2 * i, 3, "%02x", mac[i]);
    }
    p->sig[p->sig_len] = '\0';
    p->sink->ledger.verified++;
    if (!has_prefix(p->sig, "v0=") || strstr(p->sig + 3, hex) == NULL) {
        p->sink->ledger.bad_signatures++;
    }
}

static int on_header_name(llhttp_t *parser, const char *at, size_t n)
{
    struct peer *p = parser->data;
    const size_t room = sizeof p->name - p->name_len;
    const size_t take = n < room ? n : room;
    memcpy(p->name + p->name_len, at, take);
    p->name_len += take;
    return 0;
}

static int on_header_name_complete(llhttp_t *parser)
{
    struct peer *p = parser->data;
    const char *wanted = p->sink->signature_header;
    p->is_signature = p->is_verifying && p->name_len == strlen(wanted) &&
                      strncasecmp(p->name, wanted, p->name_len) == 0;
    p->name_len = 0;
    return 0;
}

static int on_header_value(llhttp_t *parser, const char *at, size_t n)
{
    struct peer *p = parser->data;
    if (p->is_signature) {
        const size_t room = sizeof p->sig - 1 - p->sig_len;
        const size_t take = n < room ? n : room;
        memcpy(p->sig + p->sig_len, at, take);
        p->sig_len += take;
    }
    return 0;
}

/* --- parsing ---------------------------------------------------------------------------------- */

static int on_begin(llhttp_t *parser)
{
    struct peer *p = parser->data;
    struct sink *s = p->sink;
    p->url_len = p->name_len = p->sig_len = p->head_len = 0;
    p->arrival = (struct arrival){0};
    p->is_signature = false;
    p->is_verifying = s->secret != NULL && s->ledger.posts % s->verify_every == 0;
    if (p->is_verifying) {
        const mbedtls_md_info_t *sha256 = mbedtls_md_info_from_type(MBEDTLS_MD_SHA256);
        mbedtls_md_free(&p->md);
        mbedtls_md_init(&p->md);
        if (mbedtls_md_setup(&p->md, sha256, 1) != 0 ||
            mbedtls_md_hmac_starts(&p->md, (const unsigned char *)s->secret, strlen(s->secret)) !=
                0) {
            bench_die("hmac", "failed");
        }
    }
    return 0;
}

static int on_url(llhttp_t *parser, const char *at, size_t n)
{
    struct peer *p = parser->data;
    const size_t room = sizeof p->url - 1 - p->url_len;
    const size_t take = n < room ? n : room;
    memcpy(p->url + p->url_len, at, take);
    p->url_len += take;
    return 0;
}

static int on_body(llhttp_t *parser, const char *at, size_t n)
{
    struct peer *p = parser->data;
    if (p->is_verifying && mbedtls_md_hmac_update(&p->md, (const unsigned char *)at, n) != 0) {
        bench_die("hmac", "failed");
    }
    if (p->arrival.is_marked) {
        return 0;
    }
    if (p->head_len == 0 && mark_find(at, n, &p->arrival.mark)) {
        p->arrival.is_marked = true;
        return 0;
    }
    const size_t room = sizeof p->head - p->head_len;
    const size_t take = n < room ? n : room;
    memcpy(p->head + p->head_len, at, take);
    p->head_len += take;
    return 0;
}

static int on_complete(llhttp_t *parser)
{
    struct peer *p = parser->data;
    p->url[p->url_len] = '\0';
    if (!p->arrival.is_marked) {
        p->arrival.is_marked = mark_find(p->head, p->head_len, &p->arrival.mark);
    }
    if (p->is_verifying) {
        check_signature(p);
    }
    const struct behaviour b = behaviour_of(p);
    p->arrival.status = b.status;
    p->arrival.follows_mode = b.follows_mode;
    p->closes_after =
        llhttp_should_keep_alive(parser) == 0 || (b.follows_mode && p->sink->mode.closes);
    if (b.delay_ms != 0 && b.status != 0) {
        p->delayed_status = b.status;
        return uv_timer_start(&p->delay, on_delay_over, b.delay_ms, 0);
    }
    ledger_add(&p->sink->ledger, &p->arrival, bench_now_ns());
    if (b.status != 0) {
        answer(p, b.status);
    }
    return 0;
}

void peer_input(struct peer *p, const char *bytes, size_t n)
{
    if (!p->is_closing && llhttp_execute(&p->parser, bytes, n) != HPE_OK) {
        peer_close(p);
    }
}

static void on_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *buf)
{
    (void)wanted;
    struct peer *p = handle->data;
    *buf = uv_buf_init(p->sink->read_buffer, SINK_READ_SIZE);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct peer *p = stream->data;
    if (n < 0) {
        peer_close(p);
    } else if (n > 0 && p->tls != NULL) {
        tls_input(p->tls, buf->base, (size_t)n);
    } else if (n > 0) {
        peer_input(p, buf->base, (size_t)n);
    }
}

static void settings_once(llhttp_settings_t *settings)
{
    if (settings->on_body != NULL) {
        return;
    }
    llhttp_settings_init(settings);
    settings->on_message_begin = on_begin;
    settings->on_url = on_url;
    settings->on_header_field = on_header_name;
    settings->on_header_field_complete = on_header_name_complete;
    settings->on_header_value = on_header_value;
    settings->on_body = on_body;
    settings->on_message_complete = on_complete;
}

void peer_accept(struct sink *s, uv_stream_t *listener, bool is_tls)
{
    settings_once(&s->settings);
    struct peer *p = bench_alloc(sizeof *p);
    memset(p, 0, sizeof *p);
    p->sink = s;
    p->n_handles = 2;
    mbedtls_md_init(&p->md);
    if (uv_tcp_init(&s->loop, &p->tcp) != 0 || uv_timer_init(&s->loop, &p->delay) != 0) {
        bench_die("accept", "no handle");
    }
    p->tcp.data = p;
    p->delay.data = p;
    s->open++;
    s->connections++;
    llhttp_init(&p->parser, HTTP_REQUEST, &s->settings);
    p->parser.data = p;
    if (uv_accept(listener, (uv_stream_t *)&p->tcp) != 0) {
        peer_close(p);
        return;
    }
    (void)uv_tcp_nodelay(&p->tcp, 1);
    if (is_tls) {
        p->tls = tls_session_new(s, p);
    }
    if (uv_read_start((uv_stream_t *)&p->tcp, on_alloc, on_read) != 0) {
        peer_close(p);
    }
}
