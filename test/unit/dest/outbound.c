/* SPDX-License-Identifier: Apache-2.0 */
#include "outbound.h"

#include <stdio.h>

#include "longline/mem.h"

#include "test_wait.h"

static int on_head(void *ctx, struct http_request *rq, int64_t *max_body,
                   struct http_reply *refusal)
{
    (void)ctx;
    (void)rq;
    (void)refusal;
    *max_body = 16 << 20;
    return 0;
}

static void keep(struct hit *h, const struct http_request *rq)
{
    arena_init(&h->arena, 32u << 20);
    h->target = arena_str(&h->arena, rq->target);
    h->body = arena_str(&h->arena, rq->body);
    h->headers = arena_alloc(&h->arena, rq->n_headers * sizeof(*h->headers));
    h->n_headers = rq->n_headers;
    for (size_t i = 0; i < rq->n_headers; i++) {
        h->headers[i].name = arena_str(&h->arena, rq->headers[i].name);
        h->headers[i].value = arena_str(&h->arena, rq->headers[i].value);
    }
}

static void answer(struct http_request *rq, const struct ob_reply *r)
{
    const struct http_header header = {STR("retry-after"), str_c(r->retry_after)};
    const struct http_reply rp = {.status = r->status,
                                  .content_type = "text/plain",
                                  .body = r->body != NULL ? str_c(r->body) : STR("ok"),
                                  .headers = &header,
                                  .n_headers = r->retry_after != NULL ? 1 : 0};
    http_reply(rq, &rp);
}

static void on_request(void *ctx, struct http_request *rq)
{
    static const struct ob_reply ok = {.status = 200};
    struct outbound *o = ctx;
    LL_ASSERT(o->n_hits < OB_MAX_HITS);
    struct hit *h = &o->hits[o->n_hits];
    const size_t at = o->n_hits < o->n_script ? o->n_hits : o->n_script - 1;
    const struct ob_reply *r = o->n_script != 0 ? &o->script[at] : &ok;
    keep(h, rq);
    o->n_hits++;
    if (r->status == 0) {
        h->held = rq;
    } else {
        answer(rq, r);
    }
}

static void open_server(struct outbound *o)
{
    char listen[] = "127.0.0.1:0";
    char none[] = "";
    const struct http_server_cfg cfg = {.listen = listen,
                                        .max_body = 16 << 20,
                                        .max_publish_body = 16 << 20,
                                        .max_head = 128 << 10,
                                        .max_headers = 200,
                                        .max_connections = 1000,
                                        .head_timeout_ms = 60000,
                                        .body_timeout_ms = 60000,
                                        .idle_timeout_ms = 60000,
                                        .write_timeout_ms = 60000,
                                        .tls_cert = none,
                                        .tls_key = none};
    const struct http_handler handler = {.on_head = on_head, .on_request = on_request, .ctx = o};
    struct err_detail err = {0};
    if (http_server_open(&o->server, o->loop, &cfg, &handler, &err) != 0) {
        fail_msg("server: %s", err.msg);
    }
    union addr bound;
    http_server_addr(o->server, &bound);
    o->port = addr_port(&bound);
}

static void open_client(struct outbound *o)
{
    struct err_detail err = {0};
    const struct dns_options dns = {.timeout_ms = 30000};
    assert_int_equal(dns_open(&o->dns, o->loop, &dns, &err), 0);
    o->policy = (struct egress_policy){.allow_loopback = true, .allow_http = true};
    const struct dialer_options d = {.dns = o->dns,
                                     .policy = &o->policy,
                                     .dns_timeout_ms = 30000,
                                     .connect_timeout_ms = 30000,
                                     .tls_timeout_ms = 30000};
    dialer_open(&o->dialer, o->loop, &d);
    o->client_cfg = (struct http_client_cfg){.total_timeout_ms = 50000,
                                             .dns_timeout_ms = 30000,
                                             .connect_timeout_ms = 30000,
                                             .tls_timeout_ms = 30000,
                                             .first_byte_timeout_ms = 50000,
                                             .write_timeout_ms = 30000,
                                             .max_response_head = 16 << 10,
                                             .max_response_body = 64 << 10,
                                             .keep_response_body = 1024,
                                             .max_connections = 100,
                                             .max_connections_per_origin = 50,
                                             .max_idle = 50,
                                             .idle_timeout_ms = 30000,
                                             .max_uses = 1000,
                                             .max_age_ms = 60000};
    assert_int_equal(http_client_open(&o->client, o->loop, o->dialer, &o->client_cfg), 0);
}

void ob_open(struct outbound *o, struct loop *l)
{
    memset(o, 0, sizeof(*o));
    o->loop = l;
    open_server(o);
    open_client(o);
    (void)snprintf(o->user_agent, sizeof(o->user_agent), "Longline");
    o->webhook = (struct webhook_cfg){.header_prefix = o->prefix,
                                      .user_agent = o->user_agent,
                                      .secret_overlap_ms = 24 * 3600 * 1000,
                                      .max_custom_headers = 32};
    o->env = (struct dest_env){.loop = l,
                               .http = o->client,
                               .rng = rng_system(),
                               .webhook = &o->webhook,
                               .policy = &o->policy};
}

static void on_closed(void *ctx)
{
    struct outbound *o = ctx;
    o->closed = true;
}

static void wait_closed(struct outbound *o)
{
    assert_true(wait_flag(o->loop, &o->closed, OB_DEADLINE_MS));
    o->closed = false;
}

void ob_close(struct outbound *o)
{
    http_client_close(o->client, on_closed, o);
    wait_closed(o);
    for (size_t i = 0; i < o->n_hits; i++) {
        if (o->hits[i].held != NULL) {
            ob_answer(o, i, 503);
        }
    }
    http_server_close(o->server, on_closed, o);
    wait_closed(o);
    dns_close(o->dns, on_closed, o);
    wait_closed(o);
    dialer_free(o->dialer);
    for (size_t i = 0; i < o->n_hits; i++) {
        arena_fini(&o->hits[i].arena);
    }
}

void ob_script(struct outbound *o, const struct ob_reply *replies, size_t n)
{
    o->script = replies;
    o->n_script = n;
}

void ob_url(const struct outbound *o, char out[96], const char *path)
{
    (void)snprintf(out, 96, "http://127.0.0.1:%u%s", (unsigned)o->port, path);
}

void ob_answer(struct outbound *o, size_t hit, int status)
{
    struct http_request *rq = o->hits[hit].held;
    assert_non_null(rq);
    o->hits[hit].held = NULL;
    answer(rq, &(struct ob_reply){.status = status});
}

struct hit_goal {
    const struct outbound *o;
    size_t n;
};

static bool has_hits(void *ctx)
{
    const struct hit_goal *g = ctx;
    return g->o->n_hits >= g->n;
}

void ob_wait_hits(struct outbound *o, size_t n)
{
    struct hit_goal g = {o, n};
    if (!wait_until(o->loop, has_hits, &g, OB_DEADLINE_MS)) {
        fail_msg("%zu requests came, not %zu", o->n_hits, n);
    }
}

struct str hit_header(const struct hit *h, const char *name)
{
    return http_find(h->headers, h->n_headers, str_c(name));
}

void assert_str(struct str got, const char *expected)
{
    if (!str_eq(got, str_c(expected))) {
        fail_msg("got \"" STR_FMT "\", expected \"%s\"", STR_ARG(got), expected);
    }
}
