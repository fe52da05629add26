/* SPDX-License-Identifier: Apache-2.0 */
/* Registers the metrics of the parts, and those that only the wiring can see: outbound connections
 * and TLS handshakes of both sides. */
#include "longline/check.h"

#include "server_internal.h"

static struct http_client_stats client_stats(void *ctx)
{
    const struct server *s = ctx;
    struct http_client_stats st = {0};
    if (s->client != NULL) {
        http_client_stats(s->client, &st);
    }
    return st;
}

static struct tls_client_stats tls_stats(void *ctx)
{
    const struct server *s = ctx;
    struct tls_client_stats st = {0};
    if (s->tls != NULL) {
        tls_client_stats(s->tls, &st);
    }
    return st;
}

static int64_t read_open(void *ctx)
{
    return (int64_t)client_stats(ctx).n_open;
}
static int64_t read_idle(void *ctx)
{
    return (int64_t)client_stats(ctx).n_idle;
}
static int64_t read_waiting(void *ctx)
{
    return (int64_t)client_stats(ctx).n_waiting;
}
static int64_t read_opened(void *ctx)
{
    return (int64_t)client_stats(ctx).opened;
}
static int64_t read_handshakes(void *ctx)
{
    return (int64_t)tls_stats(ctx).handshakes;
}
static int64_t read_resumed(void *ctx)
{
    return (int64_t)tls_stats(ctx).resumed;
}
static int64_t read_tls_failed(void *ctx)
{
    return (int64_t)tls_stats(ctx).failed;
}
static int64_t read_tls_queued(void *ctx)
{
    return (int64_t)tls_stats(ctx).queued;
}

static int64_t read_tls_loop(void *ctx)
{
    return tls_stats(ctx).max_loop_us;
}

static struct tls_server_stats inbound_stats(void *ctx)
{
    const struct server *s = ctx;
    struct tls_server_stats st = {0};
    if (s->http != NULL) {
        http_server_tls_stats(s->http, &st);
    }
    return st;
}

static int64_t read_inbound(void *ctx)
{
    return (int64_t)inbound_stats(ctx).in_progress;
}
static int64_t read_inbound_handshakes(void *ctx)
{
    return (int64_t)inbound_stats(ctx).handshakes;
}
static int64_t read_inbound_failed(void *ctx)
{
    return (int64_t)inbound_stats(ctx).failed;
}
static int64_t read_inbound_refused(void *ctx)
{
    return (int64_t)inbound_stats(ctx).refused;
}
static int64_t read_inbound_queued(void *ctx)
{
    return (int64_t)inbound_stats(ctx).queued;
}
static int64_t read_inbound_loop(void *ctx)
{
    return inbound_stats(ctx).max_loop_us;
}

static const struct metric net[] = {
    {.kind = METRIC_GAUGE,
     .name = "longline_outbound_connections",
     .help = "Connections to endpoints, busy and idle.",
     .read = read_open},
    {.kind = METRIC_GAUGE,
     .name = "longline_outbound_connections_idle",
     .help = "Idle ones of them.",
     .read = read_idle},
    {.kind = METRIC_GAUGE,
     .name = "longline_outbound_waiting",
     .help = "Attempts waiting for a connection.",
     .read = read_waiting},
    {.kind = METRIC_COUNTER,
     .name = "longline_outbound_connections_total",
     .help = "Connections opened to endpoints.",
     .read = read_opened},
    {.kind = METRIC_COUNTER,
     .name = "longline_tls_handshakes_total",
     .help = "TLS handshakes with endpoints that succeeded.",
     .read = read_handshakes},
    {.kind = METRIC_COUNTER,
     .name = "longline_tls_resumed_total",
     .help = "Those that resumed a session.",
     .read = read_resumed},
    {.kind = METRIC_COUNTER,
     .name = "longline_tls_failed_total",
     .help = "TLS handshakes that failed.",
     .read = read_tls_failed},
    {.kind = METRIC_GAUGE,
     .name = "longline_tls_queued",
     .help = "Handshakes waiting for a worker.",
     .read = read_tls_queued},
    {.kind = METRIC_GAUGE,
     .name = "longline_tls_loop_max_microseconds",
     .help = "Most processor time that one step of a TLS handshake took on the event loop.",
     .read = read_tls_loop},
    {.kind = METRIC_GAUGE,
     .name = "longline_http_tls_in_progress",
     .help = "TLS handshakes with clients under way.",
     .read = read_inbound},
    {.kind = METRIC_COUNTER,
     .name = "longline_http_tls_handshakes_total",
     .help = "TLS handshakes with clients that succeeded.",
     .read = read_inbound_handshakes},
    {.kind = METRIC_COUNTER,
     .name = "longline_http_tls_failed_total",
     .help = "TLS handshakes with clients that failed or took too long.",
     .read = read_inbound_failed},
    {.kind = METRIC_COUNTER,
     .name = "longline_http_tls_refused_total",
     .help = "Connections closed because too many TLS handshakes were under way.",
     .read = read_inbound_refused},
    {.kind = METRIC_GAUGE,
     .name = "longline_http_tls_queued",
     .help = "Handshake steps waiting for a worker.",
     .read = read_inbound_queued},
    {.kind = METRIC_GAUGE,
     .name = "longline_http_tls_loop_max_microseconds",
     .help =
         "Most processor time that one step of a client's TLS handshake took on the event loop.",
     .read = read_inbound_loop},
};
_Static_assert(LL_COUNT(net) <= SERVER_MAX_METRICS, "struct server holds them");

void server_add_metrics(struct server *s)
{
    struct deliver_metrics *d = deliver_get_metrics(s->deliver);
    struct publish_metrics *p = publish_get_metrics(s->publish);
    struct http_server_metrics *h = http_server_get_metrics(s->http);
    struct metric *all[] = {
        &p->accepted,      &p->duplicates,       &p->refused,         &p->latency,     &d->success,
        &d->failed,        &d->attempts_success, &d->attempts_failed, &d->pending,     &d->inflight,
        &d->open_breakers, &d->oldest_pending_s, &d->duration,        &h->connections, &h->accepted,
        &h->refused,       &h->protocol_errors,  &h->timeouts,
    };
    for (size_t i = 0; i < LL_COUNT(all); i++) {
        metrics_add(&s->metrics, all[i]);
    }
    for (size_t i = 0; i < LL_COUNT(net); i++) {
        s->net[i] = net[i];
        s->net[i].ctx = s;
        metrics_add(&s->metrics, &s->net[i]);
    }
}
