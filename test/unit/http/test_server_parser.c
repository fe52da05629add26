/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Raw bytes against the parser. Every row is fed whole, byte by byte, and cut once at every place:
 * the outcome must be the same, and so must the number of bytes that were taken.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "http/server/parser.h"
#include "longline/check.h"

#define MAX_BODY 20

struct outcome {
    enum parser_event ev; /* PARSER_MORE: incomplete */
    int status;
    char text[512]; /* what the request says */
    size_t used;
};

static void describe(const struct http_request *rq, const struct parser *p, struct outcome *o)
{
    struct buf b;
    buf_init(&b, sizeof(o->text) - 1);
    buf_printf(&b, "%s " STR_FMT " q=" STR_FMT " [" STR_FMT "]", http_method_name(rq->method),
               STR_ARG(rq->path), STR_ARG(rq->query), STR_ARG(rq->body));
    buf_printf(&b, "%s%s", p->keep_alive ? " keep" : "", p->expects_continue ? " continue" : "");
    for (size_t i = 0; i < rq->n_headers; i++) {
        if (!str_eq_ci(rq->headers[i].name, STR("host"))) {
            buf_printf(&b, " " STR_FMT "=" STR_FMT, STR_ARG(rq->headers[i].name),
                       STR_ARG(rq->headers[i].value));
        }
    }
    if (b.n != 0) {
        memcpy(o->text, b.p, b.n);
    }
    o->text[b.n] = '\0';
    buf_fini(&b);
}

struct rig {
    struct arena arena;
    struct http_request rq;
    struct parser p;
    struct outcome o;
    bool over;
};

static void rig_init(struct rig *r)
{
    static const struct parser_limits limits = {.max_head = 600, .max_headers = 8};
    memset(r, 0, sizeof(*r));
    arena_init(&r->arena, 1 << 20);
    r->rq.arena = &r->arena;
    parser_init(&r->p, &r->rq, 1 << 20);
    parser_start(&r->p, &limits);
}

static void rig_fini(struct rig *r)
{
    parser_fini(&r->p);
    arena_fini(&r->arena);
}

static void note(struct rig *r, enum parser_event ev)
{
    r->o.ev = ev;
    if (ev == PARSER_DONE) {
        describe(&r->rq, &r->p, &r->o);
        r->over = true;
    } else if (ev == PARSER_ERROR) {
        r->o.status = r->p.status;
        r->over = true;
    }
}

/* The bytes are copied to a block of their own, so that a read beyond them is seen. */
static void rig_feed(struct rig *r, const char *data, size_t n)
{
    char *copy = test_malloc(n + 1);
    size_t at = 0;
    memcpy(copy, data, n);
    while (at < n && !r->over) {
        size_t used = 0;
        enum parser_event ev = parser_feed(&r->p, copy + at, n - at, &used);
        assert_true(used <= n - at);
        at += used;
        r->o.used += used;
        if (ev == PARSER_HEAD) {
            ev = parser_begin_body(&r->p, MAX_BODY, false);
        }
        note(r, ev);
    }
    test_free(copy);
}

#define H "Host: a\r\n"

static const struct {
    const char *name;
    const char *bytes;
    int status;       /* 0: complete, -1: incomplete */
    const char *text; /* when complete */
} rows[] = {
    {"plain get", "GET / HTTP/1.1\r\n" H "\r\n", 0, "GET / q= [] keep"},
    {"query", "GET /a/b?c=d&e%20 HTTP/1.1\r\n" H "\r\n", 0, "GET /a/b q=c=d&e%20 [] keep"},
    {"empty query", "GET /a? HTTP/1.1\r\n" H "\r\n", 0, "GET /a q= [] keep"},
    {"double question mark", "GET /a?b?c HTTP/1.1\r\n" H "\r\n", 0, "GET /a q=b?c [] keep"},
    {"trailing slash", "GET /a/ HTTP/1.1\r\n" H "\r\n", 0, "GET /a/ q= [] keep"},
    {"leading empty lines", "\r\n\r\n\nGET / HTTP/1.1\r\n" H "\r\n", 0, "GET / q= [] keep"},
    {"connection close", "GET / HTTP/1.1\r\n" H "Connection: close\r\n\r\n", 0,
     "GET / q= [] Connection=close"},
    {"http/1.0", "GET / HTTP/1.0\r\n\r\n", 0, "GET / q= []"},
    {"http/1.0 keep-alive", "GET / HTTP/1.0\r\n" H "Connection: keep-alive\r\n\r\n", 0,
     "GET / q= [] keep Connection=keep-alive"},
    {"other method", "PROPFIND / HTTP/1.1\r\n" H "\r\n", 0, "OTHER / q= [] keep"},
    {"options star", "OPTIONS * HTTP/1.1\r\n" H "\r\n", 0, "OPTIONS * q= [] keep"},
    {"absolute form", "GET http://a/x?y HTTP/1.1\r\n" H "\r\n", 0, "GET /x q=y [] keep"},
    {"absolute form, no path", "GET http://A HTTP/1.1\r\n" H "\r\n", 0, "GET / q= [] keep"},
    {"absolute form, bare query", "GET http://a?y HTTP/1.1\r\n" H "\r\n", 0, "GET / q=y [] keep"},
    {"header values", "GET / HTTP/1.1\r\n" H "A: \t b c \t\r\nE:\r\nF: \xc3\xa9\r\n\r\n", 0,
     "GET / q= [] keep A=b c E= F=\xc3\xa9"},
    {"body", "POST /p HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhello", 0,
     "POST /p q= [hello] keep Content-Length=5"},
    {"body of zero", "POST /p HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n", 0,
     "POST /p q= [] keep Content-Length=0"},
    {"post without length", "POST /p HTTP/1.1\r\n" H "\r\n", 0, "POST /p q= [] keep"},
    {"get with body", "GET /p HTTP/1.1\r\n" H "Content-Length: 1\r\n\r\nx", 0,
     "GET /p q= [x] keep Content-Length=1"},
    {"length with zeros", "POST /p HTTP/1.1\r\n" H "Content-Length: 0005\r\n\r\nhello", 0,
     "POST /p q= [hello] keep Content-Length=0005"},
    {"chunked",
     "PUT /p HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
     "3\r\nabc\r\n0A\r\n0123456789\r\n0\r\n\r\n",
     0, "PUT /p q= [abc0123456789] keep Transfer-Encoding=chunked"},
    {"chunked, odd case", "PUT /p HTTP/1.1\r\n" H "transfer-encoding: Chunked\r\n\r\n0\r\n\r\n", 0,
     "PUT /p q= [] keep transfer-encoding=Chunked"},
    {"chunk extension",
     "PUT /p HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
     "1;a=b;c\r\nx\r\n0;d=\"e\"\r\n\r\n",
     0, "PUT /p q= [x] keep Transfer-Encoding=chunked"},
    {"trailers",
     "PUT /p HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
     "1\r\nx\r\n0\r\nHost: evil\r\nContent-Length: 9\r\n\r\n",
     400, NULL},
    {"harmless trailers",
     "PUT /p HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
     "1\r\nx\r\n0\r\nHost: evil\r\nX-Sum: 9\r\n\r\n",
     0, "PUT /p q= [x] keep Transfer-Encoding=chunked"},
    {"expect", "POST /p HTTP/1.1\r\n" H "Expect: 100-Continue\r\nContent-Length: 1\r\n\r\nx", 0,
     "POST /p q= [x] keep continue Expect=100-Continue Content-Length=1"},
    {"expect in 1.0", "POST /p HTTP/1.0\r\nExpect: wonders\r\nContent-Length: 1\r\n\r\nx", 0,
     "POST /p q= [x] Expect=wonders Content-Length=1"},
    {"upgrade is ignored", "GET / HTTP/1.1\r\n" H "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", 0,
     "GET / q= [] keep Connection=Upgrade Upgrade=h2c"},
    {"upgrade with body",
     "POST / HTTP/1.1\r\n" H "Connection: Upgrade\r\nUpgrade: h2c\r\n"
     "Content-Length: 2\r\n\r\nhi",
     0, "POST / q= [hi] keep Connection=Upgrade Upgrade=h2c Content-Length=2"},
    {"upgrade with chunks",
     "POST / HTTP/1.1\r\n" H "Connection: Upgrade\r\nUpgrade: h2c\r\n"
     "Transfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
     0, "POST / q= [hi] keep Connection=Upgrade Upgrade=h2c Transfer-Encoding=chunked"},
    {"host with port", "GET / HTTP/1.1\r\nHost: a.example:3333\r\n\r\n", 0, "GET / q= [] keep"},
    {"host v6", "GET / HTTP/1.1\r\nHost: [::1]:3333\r\n\r\n", 0, "GET / q= [] keep"},

    {"incomplete line", "GET / HTT", -1, NULL},
    {"incomplete head", "GET / HTTP/1.1\r\n" H, -1, NULL},
    {"incomplete body", "POST / HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nhell", -1, NULL},
    {"incomplete chunks",
     "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n", -1, NULL},

    {"http/0.9", "GET /\r\n\r\n", 400, NULL},
    {"version 0.9", "GET / HTTP/0.9\r\n" H "\r\n", 400, NULL},
    {"version 1.2", "GET / HTTP/1.2\r\n" H "\r\n", 505, NULL},
    {"version 2.0", "GET / HTTP/2.0\r\n" H "\r\n", 505, NULL},
    {"version 3.7", "GET / HTTP/3.7\r\n" H "\r\n", 505, NULL},
    {"http/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, NULL},
    {"version junk", "GET / HTTP/x.y\r\n" H "\r\n", 400, NULL},
    {"version long", "GET / HTTP/1.10\r\n" H "\r\n", 400, NULL},
    {"version short", "GET / HTTP/1\r\n" H "\r\n", 400, NULL},
    {"rtsp", "GET / RTSP/1.0\r\n" H "\r\n", 400, NULL},
    {"ice", "SOURCE / ICE/1.0\r\n" H "\r\n", 400, NULL},
    {"lower case http", "GET / http/1.1\r\n" H "\r\n", 400, NULL},
    {"two spaces", "GET  / HTTP/1.1\r\n" H "\r\n", 400, NULL},
    {"two spaces after target", "GET /  HTTP/1.1\r\n" H "\r\n", 400, NULL},
    {"tab", "GET\t/ HTTP/1.1\r\n" H "\r\n", 400, NULL},
    {"space after version", "GET / HTTP/1.1 \r\n" H "\r\n", 400, NULL},
    {"leading space", " GET / HTTP/1.1\r\n" H "\r\n", 400, NULL},
    {"lower case method", "get / HTTP/1.1\r\n" H "\r\n", 400, NULL},
    {"unknown method", "BREW / HTTP/1.1\r\n" H "\r\n", 400, NULL},
    {"tls hello", "\x16\x03\x01\x02\x05\x01", 400, NULL},
    {"bare lf", "GET / HTTP/1.1\n" H "\n", 400, NULL},
    {"bare lf in headers", "GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", 400, NULL},
    {"bare cr", "GET / HTTP/1.1\rHost: a\r\n\r\n", 400, NULL},
    {"cr in value", "GET / HTTP/1.1\r\n" H "X: a\rb\r\n\r\n", 400, NULL},
    {"fold", "GET / HTTP/1.1\r\n" H "X: a\r\n b\r\n\r\n", 400, NULL},
    {"first line folded", "GET / HTTP/1.1\r\n X: a\r\n" H "\r\n", 400, NULL},
    {"space before colon", "GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400, NULL},
    {"space in name", "GET / HTTP/1.1\r\n" H "X y: a\r\n\r\n", 400, NULL},
    {"no colon", "GET / HTTP/1.1\r\n" H "X\r\n\r\n", 400, NULL},
    {"empty name", "GET / HTTP/1.1\r\n" H ": a\r\n\r\n", 400, NULL},
    {"control in value", "GET / HTTP/1.1\r\n" H "X: a\x01\r\n\r\n", 400, NULL},
    {"del in value", "GET / HTTP/1.1\r\n" H "X: a\x7f\r\n\r\n", 400, NULL},
    {"bytes in name", "GET / HTTP/1.1\r\n" H "X\xc3\xa9: a\r\n\r\n", 400, NULL},

    {"no host", "GET / HTTP/1.1\r\n\r\n", 400, NULL},
    {"two hosts", "GET / HTTP/1.1\r\n" H H "\r\n", 400, NULL},
    {"two hosts in 1.0", "GET / HTTP/1.0\r\n" H H "\r\n", 400, NULL},
    {"empty host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 400, NULL},
    {"host list", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400, NULL},
    {"host with user", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400, NULL},
    {"host with path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, NULL},
    {"host with bad port", "GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n", 400, NULL},

    {"other authority", "GET http://b/ HTTP/1.1\r\n" H "\r\n", 400, NULL},
    {"authority with port", "GET http://a:80/ HTTP/1.1\r\n" H "\r\n", 400, NULL},
    {"other scheme", "GET ftp://a/ HTTP/1.1\r\n" H "\r\n", 400, NULL},
    {"no slash", "GET x HTTP/1.1\r\n" H "\r\n", 400, NULL},
    {"star", "GET * HTTP/1.1\r\n" H "\r\n", 400, NULL},
    {"connect", "CONNECT a:443 HTTP/1.1\r\n" H "\r\n", 501, NULL},
    {"escaped nul", "GET /a%00b HTTP/1.1\r\n" H "\r\n", 400, NULL},
    {"bad escape", "GET /a%4 HTTP/1.1\r\n" H "\r\n", 400, NULL},
    {"bad escape at end", "GET /a%zz HTTP/1.1\r\n" H "\r\n", 400, NULL},
    {"control in path", "GET /a\x01 HTTP/1.1\r\n" H "\r\n", 400, NULL},
    {"bytes in path", "GET /\xc3\xa9 HTTP/1.1\r\n" H "\r\n", 400, NULL},
    {"fragment", "GET /a#b HTTP/1.1\r\n" H "\r\n", 400, NULL},
    {"double slash", "GET //a HTTP/1.1\r\n" H "\r\n", 400, NULL},
    {"inner double slash", "GET /a//b HTTP/1.1\r\n" H "\r\n", 400, NULL},
    {"dot segment", "GET /a/./b HTTP/1.1\r\n" H "\r\n", 400, NULL},
    {"dot-dot segment", "GET /a/../b HTTP/1.1\r\n" H "\r\n", 400, NULL},
    {"escaped dot segment", "GET /a/%2e%2E HTTP/1.1\r\n" H "\r\n", 400, NULL},
    {"half-escaped dot segment", "GET /a/.%2e/b HTTP/1.1\r\n" H "\r\n", 400, NULL},
    {"dots in a name", "GET /a/.../%2ex/..y HTTP/1.1\r\n" H "\r\n", 0,
     "GET /a/.../%2ex/..y q= [] keep"},

    {"length twice", "POST / HTTP/1.1\r\n" H "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", 400,
     NULL},
    {"length list", "POST / HTTP/1.1\r\n" H "Content-Length: 1, 1\r\n\r\nx", 400, NULL},
    {"length negative", "POST / HTTP/1.1\r\n" H "Content-Length: -1\r\n\r\n", 400, NULL},
    {"length plus", "POST / HTTP/1.1\r\n" H "Content-Length: +1\r\n\r\nx", 400, NULL},
    {"length hex", "POST / HTTP/1.1\r\n" H "Content-Length: 0x1\r\n\r\nx", 400, NULL},
    {"length empty", "POST / HTTP/1.1\r\n" H "Content-Length:\r\n\r\n", 400, NULL},
    {"length spaced", "POST / HTTP/1.1\r\n" H "Content-Length: 1 1\r\n\r\n", 400, NULL},
    {"length overflow", "POST / HTTP/1.1\r\n" H "Content-Length: 18446744073709551617\r\n\r\n", 400,
     NULL},
    {"length huge", "POST / HTTP/1.1\r\n" H "Content-Length: 9223372036854775808\r\n\r\n", 400,
     NULL},
    {"length and chunked",
     "POST / HTTP/1.1\r\n" H "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     400, NULL},
    {"chunked and length",
     "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n",
     400, NULL},
    {"chunked in 1.0", "POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400,
     NULL},
    {"gzip", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip\r\n\r\n", 501, NULL},
    {"gzip, chunked", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n", 501,
     NULL},
    {"chunked, gzip", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, gzip\r\n\r\n", 501,
     NULL},
    {"chunked twice",
     "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
     501, NULL},
    {"xchunked", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n", 501, NULL},
    {"identity", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: identity\r\n\r\n", 501, NULL},
    {"empty coding", "POST / HTTP/1.1\r\n" H "Transfer-Encoding:\r\n\r\n", 501, NULL},
    {"chunked with vertical tab",
     "POST / HTTP/1.1\r\n" H "Transfer-Encoding: \x0b"
     "chunked\r\n\r\n",
     400, NULL},
    {"chunk size junk", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\nxyz\r\n", 400,
     NULL},
    {"chunk size negative", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n-1\r\n", 400,
     NULL},
    {"chunk size 0x", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n0x1\r\nx\r\n", 400,
     NULL},
    {"chunk size overflow",
     "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n11111111111111111\r\n", 400, NULL},
    {"chunk with bare lf", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n1\nx\n0\n\n",
     400, NULL},
    {"chunk too long", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n1\r\nxy\r\n", 400,
     NULL},
    {"chunk space", "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n1 \r\nx\r\n", 400,
     NULL},

    {"expect junk", "POST / HTTP/1.1\r\n" H "Expect: wonders\r\n\r\n", 417, NULL},
    {"expect list", "POST / HTTP/1.1\r\n" H "Expect: 100-continue, x\r\n\r\n", 417, NULL},
    {"body over the limit", "POST / HTTP/1.1\r\n" H "Content-Length: 21\r\n\r\n", 413, NULL},
    {"chunks over the limit",
     "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
     "14\r\n01234567890123456789\r\n1\r\nx\r\n0\r\n\r\n",
     413, NULL},
    {"chunk announced over the limit",
     "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", 413, NULL},
    {"second chunk announced over the limit",
     "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n14\r\n", 413, NULL},
    {"chunks up to the limit",
     "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
     "13\r\n0123456789012345678\r\n1\r\nx\r\n0\r\n\r\n",
     0, "POST / q= [0123456789012345678x] keep Transfer-Encoding=chunked"},
    {"nine headers",
     "GET / HTTP/1.1\r\n" H "A:1\r\nB:1\r\nC:1\r\nD:1\r\nE:1\r\nF:1\r\nG:1\r\nI:1\r\n"
     "\r\n",
     431, NULL},
    {"eight headers",
     "GET / HTTP/1.1\r\n" H "A:1\r\nB:1\r\nC:1\r\nD:1\r\nE:1\r\nF:1\r\nG:1\r\n\r\n", 0,
     "GET / q= [] keep A=1 B=1 C=1 D=1 E=1 F=1 G=1"},
};

static void check(const char *name, const char *how, size_t at, const struct outcome *want,
                  const struct outcome *got)
{
    if (want->ev != got->ev || want->status != got->status || strcmp(want->text, got->text) != 0 ||
        (got->ev == PARSER_DONE && want->used != got->used)) {
        fail_msg("%s, %s at %zu: event %d status %d used %zu \"%s\", not %d %d %zu \"%s\"", name,
                 how, at, (int)got->ev, got->status, got->used, got->text, (int)want->ev,
                 want->status, want->used, want->text);
    }
}

static void test_rows(void **state)
{
    (void)state;
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        struct rig r;
        const size_t n = strlen(rows[i].bytes);
        struct outcome want = {.ev = PARSER_MORE};
        if (rows[i].status == 0) {
            want.ev = PARSER_DONE;
            want.used = n;
            (void)snprintf(want.text, sizeof(want.text), "%s", rows[i].text);
        } else if (rows[i].status > 0) {
            want.ev = PARSER_ERROR;
            want.status = rows[i].status;
        }
        rig_init(&r);
        rig_feed(&r, rows[i].bytes, n);
        check(rows[i].name, "whole", 0, &want, &r.o);
        rig_fini(&r);

        rig_init(&r);
        for (size_t at = 0; at < n; at++) {
            rig_feed(&r, rows[i].bytes + at, 1);
        }
        check(rows[i].name, "bytes", 0, &want, &r.o);
        rig_fini(&r);

        for (size_t at = 1; at < n; at++) {
            rig_init(&r);
            rig_feed(&r, rows[i].bytes, at);
            rig_feed(&r, rows[i].bytes + at, n - at);
            check(rows[i].name, "cut", at, &want, &r.o);
            rig_fini(&r);
        }
    }
}

/* NUL cannot stand in the table's strings. */
static void test_nul(void **state)
{
    static const struct {
        const char *p;
        size_t n;
    } nul[] = {
        {"GET /\0 HTTP/1.1\r\n" H "\r\n", 28},
        {"GET / HTTP/1.1\r\n" H "X: \0\r\n\r\n", 33},
        {"GET / HTTP/1.1\r\n" H "X\0: a\r\n\r\n", 34},
        {"\0GET / HTTP/1.1\r\n" H "\r\n", 28},
    };
    (void)state;
    for (size_t i = 0; i < LL_COUNT(nul); i++) {
        struct rig r;
        rig_init(&r);
        rig_feed(&r, nul[i].p, nul[i].n);
        assert_int_equal(r.o.ev, PARSER_ERROR);
        assert_int_equal(r.o.status, 400);
        rig_fini(&r);
    }
}

/* A head of exactly max_head bytes passes, one more does not, wherever it is cut. */
static void test_head_limit(void **state)
{
    (void)state;
    for (size_t total = 598; total <= 602; total++) {
        for (size_t cut = 0; cut <= total; cut += 7) {
            char text[700];
            struct rig r;
            const size_t base = strlen("GET / HTTP/1.1\r\n" H "X: \r\n\r\n");
            const int n = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n" H "X: %0*d\r\n\r\n",
                                   (int)(total - base), 0);
            assert_int_equal(n, total);
            rig_init(&r);
            rig_feed(&r, text, cut);
            rig_feed(&r, text + cut, total - cut);
            assert_int_equal(r.o.ev, total <= 600 ? PARSER_DONE : PARSER_ERROR);
            assert_int_equal(r.o.status, total <= 600 ? 0 : 431);
            rig_fini(&r);
        }
    }
}

static void test_line_limit(void **state)
{
    static char text[40000];
    const struct parser_limits limits = {.max_head = 16384, .max_headers = 8};
    (void)state;
    for (size_t i = 0; i < 6; i++) {
        static const size_t lengths[] = {8000, 8192, 8193, 9000, 16384, 30000};
        const size_t end = lengths[i]; /* of the target */
        struct rig r;
        memset(text, 'a', sizeof(text));
        memcpy(text, "GET /", 5);
        memcpy(text + end, " HTTP/1.1\r\n" H "\r\n", 22);
        for (size_t step = 1000; step <= 40000; step += 13000) {
            rig_init(&r);
            parser_start(&r.p, &limits);
            for (size_t at = 0; at < end + 22; at += step) {
                rig_feed(&r, text + at, end + 22 - at < step ? end + 22 - at : step);
            }
            assert_int_equal(r.o.ev, end <= 8192 ? PARSER_DONE : PARSER_ERROR);
            assert_int_equal(r.o.status, end <= 8192 ? 0 : 414);
            rig_fini(&r);
        }
    }
}

/* Chunk extensions and trailers are dropped but not without end. */
static void test_chunk_limits(void **state)
{
    static const char long_ext[] = "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n1;";
    static const char long_trailer[] =
        "POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\nX: ";
    char ext[400];
    struct rig r;
    (void)state;
    memset(ext, 'e', sizeof(ext));

    rig_init(&r);
    rig_feed(&r, long_ext, strlen(long_ext));
    rig_feed(&r, ext, 200);
    assert_false(r.over);
    rig_feed(&r, ext, 100);
    assert_int_equal(r.o.status, 400);
    rig_fini(&r);

    rig_init(&r);
    rig_feed(&r, long_trailer, strlen(long_trailer));
    for (int i = 0; i < 10; i++) {
        rig_feed(&r, ext, 400);
    }
    assert_false(r.over);
    rig_feed(&r, ext, 400);
    assert_int_equal(r.o.status, 431);
    rig_fini(&r);
}

/* Several requests over one parser; what is left over stays with the caller. */
static void test_reuse(void **state)
{
    static const char two[] = "POST /1 HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\nhi"
                              "GET /2 HTTP/1.1\r\n" H "\r\n"
                              "POST /3 HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"
                              "1\r\nx\r\n0\r\n\r\nGET /4";
    static const char *const want[] = {
        "POST /1 q= [hi] keep Content-Length=2",
        "GET /2 q= [] keep",
        "POST /3 q= [x] keep Transfer-Encoding=chunked",
    };
    const struct parser_limits limits = {.max_head = 600, .max_headers = 8};
    size_t at = 0;
    struct rig r;
    (void)state;
    rig_init(&r);
    for (size_t i = 0; i < LL_COUNT(want); i++) {
        r.o = (struct outcome){.used = 0};
        r.over = false;
        rig_feed(&r, two + at, sizeof(two) - 1 - at);
        assert_int_equal(r.o.ev, PARSER_DONE);
        assert_string_equal(r.o.text, want[i]);
        at += r.o.used;
        arena_reset(&r.arena);
        parser_start(&r.p, &limits);
        assert_false(parser_is_started(&r.p));
    }
    assert_string_equal(two + at, "GET /4");
    rig_fini(&r);
}

static void test_discard(void **state)
{
    size_t used;
    struct rig r;
    (void)state;
    rig_init(&r);
    assert_int_equal(
        parser_feed(&r.p, "POST / HTTP/1.1\r\n" H "Content-Length: 4\r\n\r\n", 47, &used),
        PARSER_HEAD);
    assert_int_equal(used, 47);
    assert_int_equal(parser_begin_body(&r.p, 100, true), PARSER_MORE);
    assert_int_equal(parser_feed(&r.p, "abcdef", 6, &used), PARSER_DONE);
    assert_int_equal(used, 4);
    assert_int_equal(r.rq.body.n, 0);
    rig_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),         cmocka_unit_test(test_nul),
        cmocka_unit_test(test_head_limit),   cmocka_unit_test(test_line_limit),
        cmocka_unit_test(test_chunk_limits), cmocka_unit_test(test_reuse),
        cmocka_unit_test(test_discard),
    };
    return cmocka_run_group_tests_name("http_parser", tests, NULL, NULL);
}
