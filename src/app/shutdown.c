/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ending: stop accepting, let requests and attempts under way end until the deadline, then close in
 * reverse order. Each close reports back before the next one starts; the store is last, so that
 * everything recorded on the way is on disk.
 *
 *   drain -> http server -> deliver -> http client -> dns -> tls -> store -> the loop has
 *   nothing left
 */
#include <unistd.h>

#include "longline/log.h"

#include "notify.h"
#include "server_internal.h"

#define DRAIN_POLL_MS 20

static void close_store(struct server *s);
static void close_tls(struct server *s);
static void close_dns(struct server *s);
static void close_client(struct server *s);

static void on_store_closed(void *ctx)
{
    struct server *s = ctx;
    s->store = NULL;
    timer_stop(&s->watchdog);
    loop_close_handles(s->loop);
}

static void close_store(struct server *s)
{
    if (s->store == NULL) {
        on_store_closed(s);
        return;
    }
    store_close(s->store, on_store_closed, s);
}

static void on_dns_closed(void *ctx)
{
    struct server *s = ctx;
    s->dns = NULL;
    close_tls(s);
}

/* No stream is left: the handshake workers go before the loop runs out of what it waits for. */
static void close_tls(struct server *s)
{
    dialer_free(s->dialer);
    s->dialer = NULL;
    tls_client_free(s->tls);
    s->tls = NULL;
    close_store(s);
}

static void close_dns(struct server *s)
{
    if (s->dns == NULL) {
        close_tls(s);
        return;
    }
    dns_close(s->dns, on_dns_closed, s);
}

static void on_client_closed(void *ctx)
{
    struct server *s = ctx;
    s->client = NULL;
    close_dns(s);
}

static void close_client(struct server *s)
{
    if (s->registry != NULL) {
        registry_set_hook(s->registry, NULL, NULL);
        registry_reseal_stop(s->registry);
    }
    deliver_free(s->deliver);
    s->deliver = NULL;
    if (s->client == NULL) {
        close_dns(s);
        return;
    }
    http_client_close(s->client, on_client_closed, s);
}

static void on_http_closed(void *ctx)
{
    struct server *s = ctx;
    s->http = NULL;
    close_client(s);
}

void server_close(struct server *s)
{
    if (s->state == SERVER_CLOSING) {
        return;
    }
    s->state = SERVER_CLOSING;
    timer_stop(&s->own_timer);
    if (s->http == NULL) {
        close_client(s);
        return;
    }
    http_server_close(s->http, on_http_closed, s);
}

static void on_drain_tick(void *ctx)
{
    struct server *s = ctx;
    const bool quiet = http_server_n_active(s->http) == 0 && deliver_n_inflight(s->deliver) == 0;
    if (quiet || loop_mono_ms(s->loop) >= s->drain_deadline_ms) {
        log_info("shutdown.close", LOG_BOOL("drained", quiet));
        server_close(s);
        return;
    }
    timer_in(&s->drain_timer, DRAIN_POLL_MS);
}

void server_shutdown(struct server *s)
{
    if (s->state != SERVER_READY) {
        log_warn("shutdown.at_once", LOG_NONE);
        _exit(EXIT_FAIL);
    }
    log_info("shutdown.drain", LOG_INT("timeout_ms", s->config->process.shutdown_timeout_ms));
    s->state = SERVER_DRAINING;
    notify_send("STOPPING=1");
    api_set_ready(s->api, false);
    http_server_drain(s->http);
    deliver_drain(s->deliver);
    s->drain_deadline_ms = time_add(loop_mono_ms(s->loop), s->config->process.shutdown_timeout_ms);
    timer_init(&s->drain_timer, s->loop, on_drain_tick, s);
    timer_in(&s->drain_timer, 0);
}
