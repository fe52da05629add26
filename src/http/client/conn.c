/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One connection. It is dialed for one exchange, then serves any exchange of its origin. Reading
 * never stops: on an idle connection every byte and every end is a reason to close it.
 */
#include "internal.h"

#include "longline/mem.h"

static void conn_free(struct client_conn *conn)
{
    struct http_client *c = conn->client;
    struct client_origin *o = conn->origin;

    LL_ASSERT(conn->x == NULL && conn->dial == NULL);
    pool_not_idle(conn);
    list_del(&conn->node);
    if (conn->state == CONN_CLOSING) {
        c->n_closing--;
    }
    c->n_open--;
    o->n_conns--;
    conn->magic = 0;
    mem_free(conn);
    pool_slot_freed(c, o);
}

static void on_data(void *ctx, const char *p, size_t n)
{
    struct client_conn *conn = ctx;
    LL_MAGIC_CHECK(conn, CONN_MAGIC);
    if (conn->x == NULL) {
        client_conn_close(conn, false);
        return;
    }
    exchange_on_data(conn->x, p, n);
}

static void on_end(void *ctx, int err)
{
    struct client_conn *conn = ctx;
    LL_MAGIC_CHECK(conn, CONN_MAGIC);
    conn->is_ended = true;
    if (conn->x == NULL) {
        client_conn_close(conn, false);
        return;
    }
    exchange_on_end(conn->x, err);
}

static void on_drain(void *ctx)
{
    struct client_conn *conn = ctx;
    LL_MAGIC_CHECK(conn, CONN_MAGIC);
    if (conn->x != NULL) {
        exchange_on_drain(conn->x);
    }
}

static void on_closed(void *ctx)
{
    struct client_conn *conn = ctx;
    LL_MAGIC_CHECK(conn, CONN_MAGIC);
    struct http_client *c = conn->client;
    conn_free(conn);
    client_maybe_closed(c);
}

static const struct stream_events events = {
    .on_data = on_data,
    .on_end = on_end,
    .on_drain = on_drain,
    .on_closed = on_closed,
};

static void take_times(struct http_exchange *x, const struct dial_result *r)
{
    x->res.dns_us = r->dns_us;
    x->res.connect_us = r->connect_us;
    x->res.tls_us = r->tls_us;
}

static void dial_failed(struct client_conn *conn, const struct err_detail *err)
{
    struct http_exchange *x = conn->x;

    conn->x = NULL;
    x->conn = NULL;
    if (err->code == ERR_NO_FILES && !conn->client->is_closing) {
        pool_no_files(x); /* until its time is over */
    } else {
        x->res.err = *err;
        exchange_end(x);
    }
    conn_free(conn);
}

static void on_dialed(void *ctx, const struct dial_result *r)
{
    struct client_conn *conn = ctx;
    LL_MAGIC_CHECK(conn, CONN_MAGIC);
    struct http_exchange *x = conn->x;
    struct stream_info info;

    conn->dial = NULL;
    take_times(x, r);
    if (r->stream == NULL) {
        dial_failed(conn, &r->err);
        return;
    }
    conn->state = CONN_BUSY;
    conn->opened_ms = loop_mono_ms(conn->client->loop);
    conn->stream = r->stream;
    conn->stream->ev = &events;
    conn->stream->ctx = conn;
    stream_get_info(conn->stream, &info);
    addr_format(conn->peer, &info.peer);
    const int rc = stream_read_start(conn->stream);
    if (rc != 0) {
        exchange_on_end(x, rc);
        return;
    }
    conn->uses = 1;
    exchange_send(x);
}

struct client_conn *client_conn_dial(struct client_origin *o, struct http_exchange *x)
{
    struct http_client *c = x->client;
    struct client_conn *conn = mem_zalloc(sizeof(*conn));

    conn->magic = CONN_MAGIC;
    conn->state = CONN_DIALING;
    conn->client = c;
    conn->origin = o;
    conn->x = x;
    conn->policy_version = client_policy_version(c);
    list_init(&conn->idle_node);
    list_init(&conn->origin_node);
    list_push_tail(&c->conns, &conn->node);
    c->n_open++;
    c->opened++;
    o->n_conns++;
    conn->dial = dial_start(c->dialer, o->host, o->port, o->is_https, on_dialed, conn);
    return conn;
}

void client_conn_close(struct client_conn *conn, bool graceful)
{
    LL_ASSERT(conn->x == NULL);
    if (conn->state == CONN_CLOSING) {
        return;
    }
    if (conn->state == CONN_DIALING) {
        dial_cancel(conn->dial);
        conn->dial = NULL;
        conn_free(conn);
        return;
    }
    pool_not_idle(conn);
    conn->state = CONN_CLOSING;
    conn->client->n_closing++;
    if (graceful) {
        stream_close_graceful(conn->stream);
    } else {
        stream_close(conn->stream);
    }
}
