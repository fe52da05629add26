/* SPDX-License-Identifier: Apache-2.0 */
/* Requests as they go out, responses as they come in, and reuse of connections. */
#include "client_peer.h"

#include <stdio.h>
#include <string.h>

#include "longline/check.h"
#include "longline/mem.h"

static char seen[4096];

static void keep_request(struct peer *p, struct peer_conn *pc, struct str request)
{
    const char *reply = p->ctx;
    (void)snprintf(seen, sizeof(seen), "%.*s", STR_ARG(request));
    peer_send(pc, reply != NULL ? reply : OK_RESPONSE);
}

static void reply_with(struct world *w, char *text)
{
    w->peer.on_request = keep_request;
    w->peer.ctx = text;
}

static void test_post(void **state)
{
    struct world *w = *state;
    struct outcome o = {0};
    char expected[512];
    char reply[] = "HTTP/1.1 202 Accepted\r\nX-A: 1\r\nX-B: 2\r\nContent-Length: 4\r\n\r\ndone";

    reply_with(w, reply);
    post(w, &o, "{\"a\":1}");
    world_wait(w, &o);
    assert_int_equal(o.n_done, 1);
    assert_int_equal(o.err.code, 0);
    assert_int_equal(o.status, 202);
    assert_string_equal(o.body, "done");
    assert_int_equal(o.n_headers, 3);
    assert_false(o.reused);
    assert_false(o.truncated);
    (void)snprintf(expected, sizeof(expected),
                   "POST /hook?a=b HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n"
                   "Content-Type: application/json\r\nX-Event: evt_1\r\n"
                   "Content-Length: 7\r\n\r\n{\"a\":1}",
                   (unsigned)w->peer.port);
    assert_string_equal(seen, expected);
    (void)snprintf(expected, sizeof(expected), "127.0.0.1:%u", (unsigned)w->peer.port);
    assert_string_equal(o.raw.peer, expected);
    assert_true(o.raw.total_us > 0 && o.raw.first_byte_us > 0);
    assert_true(o.raw.total_us >= o.raw.first_byte_us);
}

static void send_method(struct world *w, struct outcome *o, enum http_method m, struct str body)
{
    char text[64];
    struct url url;
    (void)snprintf(text, sizeof(text), "http://127.0.0.1:%u", (unsigned)w->peer.port);
    assert_int_equal(url_parse(&url, str_c(text), NULL), 0);
    send_request(w, o, &(struct http_client_request){.method = m, .url = &url, .body = body});
    world_wait(w, o);
}

static void test_methods(void **state)
{
    struct world *w = *state;
    static const struct {
        enum http_method method;
        const char *start;
        bool has_length;
    } rows[] = {
        {HTTP_METHOD_GET, "GET / HTTP/1.1\r\n", false},
        {HTTP_METHOD_DELETE, "DELETE / HTTP/1.1\r\n", false},
        {HTTP_METHOD_POST, "POST / HTTP/1.1\r\n", true},
        {HTTP_METHOD_PUT, "PUT / HTTP/1.1\r\n", true},
        {HTTP_METHOD_PATCH, "PATCH / HTTP/1.1\r\n", true},
    };
    reply_with(w, NULL);
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        struct outcome o = {0};
        send_method(w, &o, rows[i].method, STR(""));
        assert_ok(&o);
        assert_memory_equal(seen, rows[i].start, strlen(rows[i].start));
        assert_int_equal(strstr(seen, "Content-Length: 0\r\n") != NULL, rows[i].has_length);
    }
}

static void test_head_has_no_body(void **state)
{
    struct world *w = *state;
    struct outcome o[2] = {{0}, {0}};
    char reply[] = "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n";
    reply_with(w, reply);
    for (size_t i = 0; i < 2; i++) {
        send_method(w, &o[i], HTTP_METHOD_HEAD, STR(""));
        assert_ok(&o[i]);
        assert_string_equal(o[i].body, "");
    }
    assert_true(o[1].reused);
}

static void test_keep_alive(void **state)
{
    struct world *w = *state;
    struct http_client_stats stats;
    for (int i = 0; i < 10; i++) {
        struct outcome o = {0};
        post(w, &o, "x");
        world_wait(w, &o);
        assert_ok(&o);
        assert_int_equal(o.reused, i > 0);
    }
    http_client_stats(w->client, &stats);
    assert_int_equal(stats.opened, 1);
    assert_int_equal(stats.reused, 9);
    assert_int_equal(stats.n_open, 1);
    assert_int_equal(stats.n_idle, 1);
    assert_int_equal(stats.n_waiting, 0);
    assert_int_equal(w->peer.n_conns, 1);
    assert_int_equal(w->peer.n_requests, 10);
}

struct chain {
    struct world *w;
    int left;
    int n_reused;
};

static void next_of_chain(void *ctx, const struct http_client_result *r)
{
    struct chain *c = ctx;
    char text[64];
    struct url url;

    assert_int_equal(r->status, 200);
    c->n_reused += r->reused ? 1 : 0;
    if (c->left-- > 0) {
        (void)snprintf(text, sizeof(text), "http://127.0.0.1:%u/", (unsigned)c->w->peer.port);
        assert_int_equal(url_parse(&url, str_c(text), NULL), 0);
        http_exchange_start(c->w->client,
                            &(struct http_client_request){.method = HTTP_METHOD_POST, .url = &url},
                            next_of_chain, c);
    }
}

static bool chain_is_over(void *ctx)
{
    const struct chain *c = ctx;
    return c->left < 0;
}

static void test_start_within_done(void **state)
{
    struct world *w = *state;
    struct chain c = {.w = w, .left = 20};
    next_of_chain(&c, &(struct http_client_result){.status = 200});
    world_until(w, chain_is_over, &c);
    assert_int_equal(c.n_reused, 19);
    assert_int_equal(w->peer.n_conns, 1);
}

static void test_not_reusable(void **state)
{
    struct world *w = *state;
    static char replies[][120] = {
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        OK_RESPONSE "x",
        OK_RESPONSE OK_RESPONSE,
    };
    for (size_t i = 0; i < LL_COUNT(replies); i++) {
        struct outcome o = {0};
        reply_with(w, replies[i]);
        post(w, &o, "x");
        world_wait(w, &o);
        assert_ok(&o);
        assert_string_equal(o.body, "ok");
        assert_false(o.reused);
        world_wait_stats(w, 0, 0);
    }
    assert_int_equal(w->peer.n_conns, LL_COUNT(replies));
}

static void test_chunked(void **state)
{
    struct world *w = *state;
    char reply[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                   "3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n";
    reply_with(w, reply);
    for (int i = 0; i < 3; i++) {
        struct outcome o = {0};
        post(w, &o, "x");
        world_wait(w, &o);
        assert_ok(&o);
        assert_string_equal(o.body, "abcdefg");
        assert_int_equal(o.reused, i > 0);
    }
}

static void send_and_close(struct peer *p, struct peer_conn *pc, struct str request)
{
    (void)request;
    peer_send(pc, p->ctx);
    peer_close(pc);
}

static void test_close_delimited(void **state)
{
    struct world *w = *state;
    struct outcome o = {0};
    char reply[] = "HTTP/1.1 200 OK\r\n\r\nuntil the end";
    w->peer.on_request = send_and_close;
    w->peer.ctx = reply;
    post(w, &o, "x");
    world_wait(w, &o);
    assert_ok(&o);
    assert_string_equal(o.body, "until the end");
    world_wait_stats(w, 0, 0);
}

static void test_interim(void **state)
{
    struct world *w = *state;
    struct outcome o = {0};
    char reply[] =
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n" OK_RESPONSE;
    reply_with(w, reply);
    post(w, &o, "x");
    world_wait(w, &o);
    assert_ok(&o);
    assert_int_equal(o.n_headers, 1);
    world_wait_stats(w, 1, 1);
}

static void test_redirect_is_not_followed(void **state)
{
    struct world *w = *state;
    struct outcome o = {0};
    char reply[] = "HTTP/1.1 307 Elsewhere\r\nLocation: /other\r\nContent-Length: 0\r\n\r\n";
    reply_with(w, reply);
    post(w, &o, "x");
    world_wait(w, &o);
    assert_int_equal(o.status, 307);
    world_settle(w, 5);
    assert_int_equal(w->peer.n_requests, 1);
}

/* Longer than what is kept, shorter than what is read. */
static void test_long_body(void **state)
{
    struct world *w = *state;
    struct outcome o = {0};
    static char reply[2048];
    const int n = snprintf(reply, sizeof(reply), "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
    memset(reply + n, 'b', 1000);
    reply_with(w, reply);
    post(w, &o, "x");
    world_wait(w, &o);
    assert_ok(&o);
    assert_true(o.truncated);
    assert_int_equal(strlen(o.body), 64);
    world_wait_stats(w, 1, 1);
}

static void test_bad_headers(void **state)
{
    struct world *w = *state;
    static const struct http_header rows[] = {
        {{"", 0}, {"x", 1}},
        {{"Bad Name", 8}, {"x", 1}},
        {{"X:", 2}, {"x", 1}},
        {{"X\r\nInjected", 11}, {"x", 1}},
        {{"X-Value", 7}, {"a\r\nInjected: 1", 14}},
        {{"X-Value", 7}, {"a\nb", 3}},
        {{"X-Value", 7}, {"a\0b", 3}},
        {{"host", 4}, {"example.com", 11}},
        {{"Content-Length", 14}, {"5", 1}},
        {{"TRANSFER-ENCODING", 17}, {"chunked", 7}},
        {{"Connection", 10}, {"close", 5}},
        {{"Upgrade", 7}, {"h2c", 3}},
        {{"Expect", 6}, {"100-continue", 12}},
    };
    struct url url;
    assert_int_equal(url_parse(&url, STR("http://127.0.0.1:9/"), NULL), 0);
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        struct outcome o = {0};
        send_request(
            w, &o,
            &(struct http_client_request){
                .method = HTTP_METHOD_POST, .url = &url, .headers = &rows[i], .n_headers = 1});
        world_wait(w, &o);
        assert_error(&o, ERR_INVALID);
        assert_null(strchr(o.err.msg, '\n'));
    }
}

static void test_huge_request_head(void **state)
{
    struct world *w = *state;
    struct outcome o = {0};
    static char value[70000];
    struct url url;
    memset(value, 'v', sizeof(value));
    const struct http_header h = {STR("X-Big"), str_of(value, sizeof(value))};
    assert_int_equal(url_parse(&url, STR("http://127.0.0.1:9/"), NULL), 0);
    send_request(w, &o,
                 &(struct http_client_request){
                     .method = HTTP_METHOD_POST, .url = &url, .headers = &h, .n_headers = 1});
    world_wait(w, &o);
    assert_error(&o, ERR_TOO_BIG);
}

static void test_config_table(void **state)
{
    (void)state;
    assert_int_equal(http_client_cfg_n_keys, sizeof(struct http_client_cfg) / sizeof(int64_t));
    for (size_t i = 0; i < http_client_cfg_n_keys; i++) {
        const struct cfg_key *k = &http_client_cfg_keys[i];
        assert_int_equal(k->offset, i * sizeof(int64_t)); /* in the order of the struct */
        assert_true(k->min <= k->max && k->max > 0);
        assert_non_null(k->help);
    }
}

#define WITH_WORLD(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_WORLD(test_post),
        WITH_WORLD(test_methods),
        WITH_WORLD(test_head_has_no_body),
        WITH_WORLD(test_keep_alive),
        WITH_WORLD(test_start_within_done),
        WITH_WORLD(test_not_reusable),
        WITH_WORLD(test_chunked),
        WITH_WORLD(test_close_delimited),
        WITH_WORLD(test_interim),
        WITH_WORLD(test_redirect_is_not_followed),
        WITH_WORLD(test_long_body),
        WITH_WORLD(test_bad_headers),
        WITH_WORLD(test_huge_request_head),
        cmocka_unit_test(test_config_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
