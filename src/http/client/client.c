/* SPDX-License-Identifier: Apache-2.0 */
#include "internal.h"

#include "longline/mem.h"

unsigned client_policy_version(const struct http_client *c)
{
    const struct egress_policy *p = dialer_policy(c->dialer);
    return p != NULL ? p->version : 0;
}

int http_client_open(struct http_client **out, struct loop *l, struct dialer *d,
                     const struct http_client_cfg *cfg)
{
    struct http_client *c = mem_zalloc(sizeof(*c));

    c->magic = CLIENT_MAGIC;
    c->loop = l;
    c->dialer = d;
    c->cfg = *cfg;
    map_init(&c->origins, pool_origin_key);
    list_init(&c->conns);
    list_init(&c->idle);
    list_init(&c->starved[0]);
    list_init(&c->starved[1]);
    list_init(&c->exchanges);
    list_init(&c->ended);
    list_init(&c->spare);
    c->policy_version = client_policy_version(c);
    timer_init(&c->idle_timer, l, pool_idle_tick, c);
    timer_init(&c->end_timer, l, exchange_run_ended, c);
    timer_init(&c->files_timer, l, pool_files_tick, c);
    *out = c;
    return 0;
}

void http_client_reload(struct http_client *c, const struct http_client_cfg *cfg)
{
    c->cfg = *cfg;
    if (!c->is_closing) {
        pool_reload(c);
    }
}

void http_client_stats(const struct http_client *c, struct http_client_stats *out)
{
    *out = (struct http_client_stats){.n_open = c->n_open,
                                      .n_idle = c->n_idle,
                                      .n_waiting = c->n_waiting,
                                      .opened = c->opened,
                                      .reused = c->reused};
}

void client_maybe_closed(struct http_client *c)
{
    struct list *node;

    if (!c->is_closing || c->n_exchanges != 0 || c->n_open != 0) {
        return;
    }
    while ((node = list_pop_head(&c->spare)) != NULL) {
        exchange_free(LIST_ENTRY(node, struct http_exchange, node));
    }
    LL_ASSERT(c->origins.n == 0 && c->n_waiting == 0 && c->n_idle == 0 && c->n_starved == 0);
    map_fini(&c->origins);
    timer_stop(&c->idle_timer);
    timer_stop(&c->end_timer);
    timer_stop(&c->files_timer);
    void (*const fn)(void *ctx) = c->closed_fn;
    void *const ctx = c->closed_ctx;
    c->magic = 0;
    mem_free(c);
    if (fn != NULL) {
        fn(ctx);
    }
}

void http_client_close(struct http_client *c, void (*done)(void *ctx), void *ctx)
{
    struct err_detail err;

    LL_ASSERT(!c->is_closing);
    c->is_closing = true;
    c->closed_fn = done;
    c->closed_ctx = ctx;
    err_set(&err, ERR_CANCELED, 0, "the gateway is shutting down");
    while (!list_empty(&c->exchanges)) {
        exchange_fail(LIST_ENTRY(c->exchanges.next, struct http_exchange, node), &err);
    }
    LIST_FOREACH_SAFE (it, tmp, &c->conns) {
        client_conn_close(LIST_ENTRY(it, struct client_conn, node), false);
    }
    timer_in(&c->end_timer, 0);
}
