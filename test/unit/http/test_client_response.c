/* SPDX-License-Identifier: Apache-2.0 */
/* The response parser: every row in one piece, byte by byte and cut at every place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "http/client/response.h"
#include "longline/check.h"
#include "longline/mem.h"

static const struct resp_limits limits = {.max_head = 1024, .max_body = 64, .keep_body = 16};

enum outcome { DONE, DONE_AT_EOF, FAILS, FAILS_AT_EOF };

struct row {
    const char *name;
    const char *text;
    enum outcome outcome;
    int status; /* or the error code */
    const char *body;
    bool keep_alive;
    bool truncated;
    size_t n_headers;
};

#define OK_HEAD "HTTP/1.1 200 OK\r\n"

static const struct row rows[] = {
    {"no body", OK_HEAD "Content-Length: 0\r\n\r\n", DONE, 200, "", true, false, 1},
    {"body", OK_HEAD "Content-Length: 5\r\n\r\nhello", DONE, 200, "hello", true, false, 1},
    {"no reason", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", DONE, 200, "", true, false, 1},
    {"empty reason", "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", DONE, 200, "", true, false, 1},
    {"connection close", OK_HEAD "Connection: close\r\nContent-Length: 2\r\n\r\nok", DONE, 200,
     "ok", false, false, 2},
    {"http/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", DONE, 200, "ok", false, false,
     1},
    {"http/1.0 keep-alive",
     "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nok", DONE, 200, "ok",
     true, false, 2},
    {"http/1.0 chunked",
     "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
     DONE, 200, "", false, false, 2},
    {"chunked", OK_HEAD "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", DONE,
     200, "abcde", true, false, 1},
    {"chunked with trailer",
     OK_HEAD "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Sum: 1\r\n\r\n", DONE, 200, "a",
     true, false, 1},
    {"chunk extension", OK_HEAD "Transfer-Encoding: chunked\r\n\r\n1;a=b\r\na\r\n0\r\n\r\n", DONE,
     200, "a", true, false, 1},
    {"close-delimited", OK_HEAD "\r\nhello", DONE_AT_EOF, 200, "hello", false, false, 0},
    {"close-delimited and empty", OK_HEAD "\r\n", DONE_AT_EOF, 200, "", false, false, 0},
    {"204", "HTTP/1.1 204 No Content\r\n\r\n", DONE, 204, "", true, false, 0},
    {"304 with length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n", DONE, 304, "",
     true, false, 1},
    {"redirect", "HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n", DONE, 302, "",
     true, false, 2},
    {"server error", "HTTP/1.1 503 Busy\r\nRetry-After: 5\r\nContent-Length: 4\r\n\r\nbusy", DONE,
     503, "busy", true, false, 2},
    {"100 first", "HTTP/1.1 100 Continue\r\nX: 1\r\n\r\n" OK_HEAD "Content-Length: 1\r\n\r\na",
     DONE, 200, "a", true, false, 1},
    {"103 twice",
     "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n"
     "HTTP/1.1 204 None\r\n\r\n",
     DONE, 204, "", true, false, 0},
    {"kept part", OK_HEAD "Content-Length: 20\r\n\r\n01234567890123456789", DONE, 200,
     "0123456789012345", true, true, 1},
    {"body beyond the limit",
     OK_HEAD "Content-Length: 70\r\n\r\n"
             "0123456789012345678901234567890123456789012345678901234567890123456789",
     DONE, 200, "0123456789012345", false, true, 1},
    {"empty header value", OK_HEAD "X-Empty:\r\nContent-Length: 0\r\n\r\n", DONE, 200, "", true,
     false, 2},
    {"one byte too many", OK_HEAD "Content-Length: 1\r\n\r\nab", DONE, 200, "a", false, false, 1},
    {"two responses", OK_HEAD "Content-Length: 1\r\n\r\na" OK_HEAD "Content-Length: 1\r\n\r\nb",
     DONE, 200, "a", false, false, 1},

    {"nothing", "", FAILS_AT_EOF, ERR_CLOSED, NULL, false, false, 0},
    {"half a head", "HTTP/1.1 200 O", FAILS_AT_EOF, ERR_CLOSED, NULL, false, false, 0},
    {"half a body", OK_HEAD "Content-Length: 5\r\n\r\nhel", FAILS_AT_EOF, ERR_CLOSED, NULL, false,
     false, 0},
    {"half a chunk", OK_HEAD "Transfer-Encoding: chunked\r\n\r\n5\r\nab", FAILS_AT_EOF, ERR_CLOSED,
     NULL, false, false, 0},
    {"no last chunk", OK_HEAD "Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n", FAILS_AT_EOF,
     ERR_CLOSED, NULL, false, false, 0},
    {"only 100", "HTTP/1.1 100 Continue\r\n\r\n", FAILS_AT_EOF, ERR_CLOSED, NULL, false, false, 0},

    {"101", "HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", FAILS, ERR_PROTO,
     NULL, false, false, 0},
    {"101 without upgrade", "HTTP/1.1 101 Switching\r\n\r\n", FAILS, ERR_PROTO, NULL, false, false,
     0},
    {"status 99", "HTTP/1.1 099 Odd\r\n\r\n", FAILS, ERR_PROTO, NULL, false, false, 0},
    {"not http", "SSH-2.0-OpenSSH_9.2\r\n", FAILS, ERR_PROTO, NULL, false, false, 0},
    {"a request", "GET / HTTP/1.1\r\n\r\n", FAILS, ERR_PROTO, NULL, false, false, 0},
    {"TLS alert", "\x15\x03\x01\x01\x02\x02\x16", FAILS, ERR_PROTO, NULL, false, false, 0},
    {"http/2", "HTTP/2.0 200 OK\r\n\r\n", FAILS, ERR_PROTO, NULL, false, false, 0},
    {"http/0.9", "HTTP/0.9 200 OK\r\n\r\n", FAILS, ERR_PROTO, NULL, false, false, 0},
    {"http/1.2", "HTTP/1.2 200 OK\r\n\r\n", FAILS, ERR_PROTO, NULL, false, false, 0},
    {"two lengths", OK_HEAD "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", FAILS, ERR_PROTO,
     NULL, false, false, 0},
    {"two equal lengths", OK_HEAD "Content-Length: 1\r\nContent-Length: 1\r\n\r\n", FAILS,
     ERR_PROTO, NULL, false, false, 0},
    {"length and chunked", OK_HEAD "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", FAILS,
     ERR_PROTO, NULL, false, false, 0},
    {"negative length", OK_HEAD "Content-Length: -1\r\n\r\n", FAILS, ERR_PROTO, NULL, false, false,
     0},
    {"huge length", OK_HEAD "Content-Length: 99999999999999999999999\r\n\r\n", FAILS, ERR_PROTO,
     NULL, false, false, 0},
    {"bad chunk size", OK_HEAD "Transfer-Encoding: chunked\r\n\r\nxyz\r\n", FAILS, ERR_PROTO, NULL,
     false, false, 0},
    {"huge chunk size", OK_HEAD "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", FAILS,
     ERR_PROTO, NULL, false, false, 0},
    {"chunk without CRLF", OK_HEAD "Transfer-Encoding: chunked\r\n\r\n1\r\nabc", FAILS, ERR_PROTO,
     NULL, false, false, 0},
    {"folded header", OK_HEAD "X: a\r\n b\r\nContent-Length: 0\r\n\r\n", FAILS, ERR_PROTO, NULL,
     false, false, 0},
    {"control in value", OK_HEAD "X: a\x01\r\n\r\n", FAILS, ERR_PROTO, NULL, false, false, 0},
    {"blank in name", OK_HEAD "X Y: a\r\n\r\n", FAILS, ERR_PROTO, NULL, false, false, 0},
    {"bare LF", "HTTP/1.1 200 OK\nContent-Length: 0\n\n", FAILS, ERR_PROTO, NULL, false, false, 0},
};

static void check_done(const struct row *row, const struct client_resp *r, size_t cut)
{
    if (r->state != RESP_DONE || r->status != row->status || r->n_fields != row->n_headers ||
        !str_eq(buf_str(&r->body), str_c(row->body)) || r->body_truncated != row->truncated) {
        fail_msg("%s, cut at %zu: state %d status %d headers %zu body \"%.*s\": %s", row->name, cut,
                 (int)r->state, r->status, r->n_fields, (int)r->body.n, r->body.p, r->err.msg);
    }
}

static void check_failed_as(const struct row *row, const struct client_resp *r, size_t cut)
{
    if (r->state != RESP_FAILED || r->err.code != row->status || r->err.msg[0] == '\0') {
        fail_msg("%s, cut at %zu: state %d, %s: %s", row->name, cut, (int)r->state,
                 err_name(r->err.code), r->err.msg);
    }
}

/* Each piece in memory of its own, so that a sanitizer sees a read beyond it. */
static enum resp_state feed(struct client_resp *r, const char *p, size_t n)
{
    char *copy = mem_strndup(p, n);
    const enum resp_state s = client_resp_feed(r, copy, n);
    mem_free(copy);
    return s;
}

static void run(struct client_resp *r, const struct row *row, size_t cut)
{
    const size_t n = strlen(row->text);
    client_resp_reset(r, &limits, false);
    feed(r, row->text, cut);
    feed(r, row->text + cut, n - cut);
    switch (row->outcome) {
    case DONE:
        check_done(row, r, cut);
        /* When the response ends exactly at the cut, the rest is seen by the connection. */
        if (cut == 0) {
            assert_int_equal(r->keep_alive, row->keep_alive);
        }
        return;
    case DONE_AT_EOF:
        assert_int_equal(r->state, RESP_BODY);
        client_resp_eof(r);
        check_done(row, r, cut);
        assert_false(r->keep_alive);
        return;
    case FAILS:
        check_failed_as(row, r, cut);
        return;
    case FAILS_AT_EOF:
        assert_true(r->state == RESP_HEAD || r->state == RESP_BODY);
        client_resp_eof(r);
        check_failed_as(row, r, cut);
        return;
    }
}

static void test_rows(void **state)
{
    (void)state;
    struct client_resp r;
    client_resp_init(&r);
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        for (size_t cut = 0; cut <= strlen(rows[i].text); cut++) {
            run(&r, &rows[i], cut);
        }
    }
    client_resp_fini(&r);
}

static void test_byte_by_byte(void **state)
{
    (void)state;
    struct client_resp r;
    client_resp_init(&r);
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        client_resp_reset(&r, &limits, false);
        for (const char *p = rows[i].text; *p != '\0'; p++) {
            feed(&r, p, 1);
        }
        client_resp_eof(&r);
        if (rows[i].outcome == DONE || rows[i].outcome == DONE_AT_EOF) {
            check_done(&rows[i], &r, 0);
        } else {
            check_failed_as(&rows[i], &r, 0);
        }
    }
    client_resp_fini(&r);
}

static void test_headers(void **state)
{
    (void)state;
    static const char text[] = OK_HEAD "Content-Type: text/plain \r\nX-Two:\t b c\r\n"
                                       "Content-Length: 0\r\n\r\n";
    struct client_resp r;
    client_resp_init(&r);
    client_resp_reset(&r, &limits, false);
    assert_int_equal(client_resp_feed(&r, text, sizeof(text) - 1), RESP_DONE);
    assert_int_equal(r.n_fields, 3);
    assert_true(str_eq(r.headers[0].name, STR("Content-Type")));
    assert_true(str_eq(r.headers[0].value, STR("text/plain")));
    assert_true(str_eq(r.headers[1].name, STR("X-Two")));
    assert_true(str_eq(r.headers[1].value, STR("b c")));
    assert_true(str_eq(r.headers[2].value, STR("0")));
    client_resp_fini(&r);
}

static void test_head_request(void **state)
{
    (void)state;
    static const char text[] = OK_HEAD "Content-Length: 100\r\n\r\n";
    struct client_resp r;
    client_resp_init(&r);
    client_resp_reset(&r, &limits, true);
    assert_int_equal(client_resp_feed(&r, text, sizeof(text) - 1), RESP_DONE);
    assert_true(r.keep_alive);
    client_resp_fini(&r);
}

/* Feeds the same piece for ever; the parser must give up before `max` bytes. */
static void feed_endless(const char *head, const char *piece, size_t max, int code)
{
    struct client_resp r;
    size_t fed = strlen(head);
    client_resp_init(&r);
    client_resp_reset(&r, &limits, false);
    client_resp_feed(&r, head, fed);
    while (r.state != RESP_FAILED && r.state != RESP_DONE && fed <= max) {
        client_resp_feed(&r, piece, strlen(piece));
        fed += strlen(piece);
    }
    if (fed > max) {
        fail_msg("\"%s\" was fed for ever", piece);
    }
    if (code != 0) {
        assert_int_equal(r.state, RESP_FAILED);
        assert_int_equal(r.err.code, code);
    } else {
        assert_int_equal(r.state, RESP_DONE);
        assert_true(r.body_truncated);
        assert_false(r.keep_alive);
    }
    client_resp_fini(&r);
}

static void test_endless(void **state)
{
    (void)state;
    feed_endless(OK_HEAD, "X-Again: and again\r\n", 2048, ERR_TOO_BIG);
    feed_endless(OK_HEAD, "a:\r\n", 2048, ERR_TOO_BIG);
    feed_endless(OK_HEAD "X: ", "aaaaaaaa", 2048, ERR_TOO_BIG);
    feed_endless(OK_HEAD "X:", "        ", 2048, ERR_TOO_BIG);
    feed_endless(OK_HEAD, "aaaaaaaa", 2048, ERR_TOO_BIG);
    feed_endless("HTTP/1.1 200 ", "OK", 2048, ERR_TOO_BIG);
    feed_endless("", "HTTP/1.1 100 Continue\r\n\r\n", 2048, ERR_TOO_BIG);
    feed_endless("", "\r\n", 2048, ERR_TOO_BIG);
    feed_endless(OK_HEAD "\r\n", "more and more", 256, 0);
    feed_endless(OK_HEAD "Transfer-Encoding: chunked\r\n\r\n", "1\r\na\r\n", 1024, 0);
    feed_endless(OK_HEAD "Transfer-Encoding: chunked\r\n\r\n0\r\n", "X-Again: and again\r\n", 4096,
                 ERR_TOO_BIG);
    feed_endless(OK_HEAD "Transfer-Encoding: chunked\r\n\r\n1;", "extension", 1u << 20,
                 ERR_TOO_BIG);
}

static void test_too_many_headers(void **state)
{
    (void)state;
    static const struct resp_limits wide = {.max_head = 1u << 20, .max_body = 64, .keep_body = 16};
    struct client_resp r;
    client_resp_init(&r);
    for (size_t n = RESP_MAX_HEADERS; n <= RESP_MAX_HEADERS + 1; n++) {
        client_resp_reset(&r, &wide, false);
        client_resp_feed(&r, OK_HEAD, sizeof(OK_HEAD) - 1);
        for (size_t i = 0; i + 1 < n; i++) {
            client_resp_feed(&r, "X: y\r\n", 6);
        }
        static const char last[] = "Content-Length: 0\r\n\r\n";
        client_resp_feed(&r, last, sizeof(last) - 1);
        if (n == RESP_MAX_HEADERS) {
            assert_int_equal(r.state, RESP_DONE);
            assert_int_equal(r.n_fields, RESP_MAX_HEADERS);
        } else {
            assert_int_equal(r.state, RESP_FAILED);
            assert_int_equal(r.err.code, ERR_TOO_BIG);
        }
    }
    client_resp_fini(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows),    cmocka_unit_test(test_byte_by_byte),
        cmocka_unit_test(test_headers), cmocka_unit_test(test_head_request),
        cmocka_unit_test(test_endless), cmocka_unit_test(test_too_many_headers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
