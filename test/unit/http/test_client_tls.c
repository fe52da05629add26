/* SPDX-License-Identifier: Apache-2.0 */
/* The client over TLS, against net's own listener on the same loop. */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "longline/http_client.h"
#include "longline/list.h"
#include "longline/listener.h"
#include "longline/mem.h"
#include "test_certs.h"

#define WAIT_MS 60000 /* a turn takes 1 ms or longer */
#define REPLY   "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static struct test_certs certs;

struct server_conn {
    struct list node;
    struct stream *s;
};

struct world {
    struct loop *loop;
    struct dns *dns;
    struct tls_client *tls;
    struct tls_server *tls_server;
    struct listener *listener;
    struct dialer *dialer;
    struct egress_policy policy;
    struct http_client *client;
    struct list conns;
    uint16_t port;
    bool is_closed[3];
};

static void turn(struct world *w)
{
    (void)loop_turn(w->loop, false);
    (void)poll(NULL, 0, 1);
}

static void wait_for(struct world *w, const bool *flag)
{
    for (int i = 0; i < WAIT_MS && !*flag; i++) {
        turn(w);
    }
    assert_true(*flag);
}

/* The server: answers at the end of each body, which is "{}" in every request here. */

static void server_on_data(void *ctx, const char *p, size_t n)
{
    struct server_conn *c = ctx;
    const struct str reply = STR(REPLY);
    for (size_t i = 0; i < n; i++) {
        if (p[i] == '}') {
            assert_int_equal(stream_write(c->s, &reply, 1), 0);
        }
    }
}

static void server_on_end(void *ctx, int err)
{
    struct server_conn *c = ctx;
    (void)err;
    stream_close(c->s);
}

static void server_on_closed(void *ctx)
{
    struct server_conn *c = ctx;
    list_del(&c->node);
    mem_free(c);
}

static const struct stream_events server_events = {
    .on_data = server_on_data, .on_end = server_on_end, .on_closed = server_on_closed};

static void on_stream(void *ctx, struct stream *s)
{
    struct world *w = ctx;
    struct server_conn *c = mem_zalloc(sizeof(*c));
    c->s = s;
    list_push_tail(&w->conns, &c->node);
    s->ev = &server_events;
    s->ctx = c;
    assert_int_equal(stream_read_start(s), 0);
}

static void open_server(struct world *w, const struct test_leaf_options *leaf_options)
{
    struct test_leaf leaf;
    struct listener_options options = {.on_stream = on_stream, .ctx = w};
    union addr bound;

    list_init(&w->conns);
    test_certs_leaf(&certs, leaf_options, &leaf);
    const struct tls_server_options tls_options = {.cert_file = leaf.cert, .key_file = leaf.key};
    assert_int_equal(tls_server_open(&w->tls_server, w->loop, &tls_options, NULL), 0);
    options.tls = w->tls_server;
    assert_int_equal(addr_parse(&options.addr, STR("127.0.0.1:0")), 0);
    assert_int_equal(listener_open(&w->listener, w->loop, &options, NULL), 0);
    listener_addr(w->listener, &bound);
    w->port = addr_port(&bound);
}

static void open_world(struct world *w, const struct test_leaf_options *leaf_options)
{
    static const struct http_client_cfg cfg = {.total_timeout_ms = 50000,
                                               .first_byte_timeout_ms = 50000,
                                               .write_timeout_ms = 50000,
                                               .max_response_head = 4096,
                                               .max_response_body = 4096,
                                               .keep_response_body = 64,
                                               .max_connections = 10,
                                               .max_connections_per_origin = 10,
                                               .max_idle = 10,
                                               .idle_timeout_ms = 10000,
                                               .max_uses = 100,
                                               .max_age_ms = 60000};
    const struct tls_client_options tls_options = {
        .ca_file = certs.ca, .ca_only = true, .n_workers = 1};

    *w = (struct world){.policy = {.allow_loopback = true, .allow_http = true}};
    assert_int_equal(loop_open(&w->loop, NULL), 0);
    open_server(w, leaf_options);
    assert_int_equal(dns_open(&w->dns, w->loop, &(struct dns_options){.timeout_ms = 30000}, NULL),
                     0);
    assert_int_equal(tls_client_open(&w->tls, w->loop, &tls_options, NULL), 0);
    dialer_open(&w->dialer, w->loop,
                &(struct dialer_options){.dns = w->dns,
                                         .tls = w->tls,
                                         .policy = &w->policy,
                                         .dns_timeout_ms = 30000,
                                         .connect_timeout_ms = 30000,
                                         .tls_timeout_ms = 30000});
    assert_int_equal(http_client_open(&w->client, w->loop, w->dialer, &cfg), 0);
}

static void on_closed(void *ctx)
{
    bool *flag = ctx;
    *flag = true;
}

static void close_world(struct world *w)
{
    http_client_close(w->client, on_closed, &w->is_closed[0]);
    wait_for(w, &w->is_closed[0]);
    listener_close(w->listener, on_closed, &w->is_closed[1]);
    wait_for(w, &w->is_closed[1]);
    for (int i = 0; i < WAIT_MS && !list_empty(&w->conns); i++) {
        turn(w);
    }
    assert_true(list_empty(&w->conns));
    dns_close(w->dns, on_closed, &w->is_closed[2]);
    wait_for(w, &w->is_closed[2]);
    for (int i = 0; i < 20; i++) { /* canceled dials go on later turns */
        turn(w);
    }
    dialer_free(w->dialer);
    tls_client_free(w->tls);
    tls_server_free(w->tls_server);
    loop_close_handles(w->loop);
    (void)loop_run(w->loop);
    loop_free(w->loop);
}

struct outcome {
    bool is_done;
    int status;
    struct err_detail err;
    bool reused;
    int32_t tls_us;
};

static void on_done(void *ctx, const struct http_client_result *r)
{
    struct outcome *o = ctx;
    assert_false(o->is_done);
    *o = (struct outcome){.is_done = true,
                          .status = r->status,
                          .err = r->err,
                          .reused = r->reused,
                          .tls_us = r->tls_us};
}

static struct outcome post(struct world *w, const char *host)
{
    struct outcome o = {.is_done = false};
    char text[64];
    struct url url;

    (void)snprintf(text, sizeof(text), "https://%s:%u/hook", host, (unsigned)w->port);
    assert_int_equal(url_parse(&url, str_c(text), NULL), 0);
    http_exchange_start(
        w->client,
        &(struct http_client_request){.method = HTTP_METHOD_POST, .url = &url, .body = STR("{}")},
        on_done, &o);
    wait_for(w, &o.is_done);
    return o;
}

static const struct test_leaf_options good_leaf = {
    .file = "good", .dns = "localhost", .ip = "127.0.0.1"};

static void test_keep_alive(void **state)
{
    struct world w;
    (void)state;
    open_world(&w, &good_leaf);
    for (int i = 0; i < 5; i++) {
        const struct outcome o = post(&w, "localhost");
        if (o.status != 200) {
            fail_msg("%s: %s", err_name(o.err.code), o.err.msg);
        }
        assert_int_equal(o.reused, i > 0);
        assert_int_equal(o.tls_us > 0, i == 0);
    }
    close_world(&w);
}

static void assert_tls_failure(const struct test_leaf_options *leaf)
{
    struct world w;
    open_world(&w, leaf);
    const struct outcome o = post(&w, "localhost");
    assert_int_equal(o.status, 0);
    if (o.err.code != ERR_TLS || o.err.msg[0] == '\0') {
        fail_msg("%s: %s", err_name(o.err.code), o.err.msg);
    }
    close_world(&w);
}

static void test_wrong_name(void **state)
{
    (void)state;
    assert_tls_failure(&(struct test_leaf_options){.file = "other", .dns = "example.com"});
}

static void test_expired(void **state)
{
    (void)state;
    assert_tls_failure(
        &(struct test_leaf_options){.file = "expired", .dns = "localhost", .expired = true});
}

/* Closing while the handshake is on a worker, after any number of turns. */
static void test_close_at_every_step(void **state)
{
    (void)state;
    for (int n = 0; n < 12; n++) {
        struct world w;
        struct outcome o = {.is_done = false};
        char text[64];
        struct url url;

        open_world(&w, &good_leaf);
        (void)snprintf(text, sizeof(text), "https://localhost:%u/", (unsigned)w.port);
        assert_int_equal(url_parse(&url, str_c(text), NULL), 0);
        http_exchange_start(w.client,
                            &(struct http_client_request){
                                .method = HTTP_METHOD_POST, .url = &url, .body = STR("{}")},
                            on_done, &o);
        for (int i = 0; i < n; i++) {
            (void)loop_turn(w.loop, false);
        }
        close_world(&w);
        assert_true(o.is_done);
        assert_true(o.status == 200 || o.err.code == ERR_CANCELED);
    }
}

static int setup(void **state)
{
    (void)state;
    test_certs_make(&certs);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    test_certs_remove(&certs);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keep_alive),
        cmocka_unit_test(test_wrong_name),
        cmocka_unit_test(test_expired),
        cmocka_unit_test(test_close_at_every_step),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
