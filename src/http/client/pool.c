/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who gets which connection.
 *
 * Reuse takes the connection used last (the others may expire), expiry the one idle for longest.
 * Per origin, exchanges wait in order of arrival. Between origins a free slot goes first to origins
 * that have no connection at all, in order of arrival, then to the others in turn. A released
 * connection stays with its origin unless another one has none, or fewer by two: shares become
 * equal, and then keep-alive works undisturbed.
 *
 * A closing connection holds its slot until its socket is closed, so the caps are caps on sockets.
 */
#include "internal.h"

#include "longline/log.h"
#include "longline/mem.h"
#include "longline/url.h"

#define KEY_MAX     (1 + URL_PEER_MAX)
#define NO_FILES_MS 100 /* pause after the system had no file descriptor for us */
#define WARN_MS     10000

struct str pool_origin_key(const void *origin)
{
    const struct client_origin *o = origin;
    return o->key;
}

/* Scheme, port and host. */
static size_t make_key(char out[KEY_MAX], const struct url *url)
{
    out[0] = url->is_https ? 's' : 'p';
    return 1 + url_peer(out + 1, url);
}

struct client_origin *pool_origin(struct http_client *c, const struct url *url)
{
    char key[KEY_MAX];
    const size_t n = make_key(key, url);
    struct client_origin *o = map_get(&c->origins, str_of(key, n));

    if (o != NULL) {
        return o;
    }
    o = mem_zalloc(sizeof(*o));
    o->is_https = url->is_https;
    o->port = url->port;
    o->key_text = mem_strndup(key, n);
    o->key = str_of(o->key_text, n);
    const size_t host_at = str_find(o->key, '/') + 1;
    o->host = str_of(o->key_text + host_at, n - host_at);
    list_init(&o->idle);
    list_init(&o->waiting);
    list_init(&o->starved_node);
    map_put(&c->origins, o);
    return o;
}

static void unstarve(struct http_client *c, struct client_origin *o)
{
    if (list_linked(&o->starved_node)) {
        list_del(&o->starved_node);
        c->n_starved--;
    }
}

void pool_origin_check(struct http_client *c, struct client_origin *o)
{
    if (o->n_conns != 0 || !list_empty(&o->waiting)) {
        return;
    }
    unstarve(c, o);
    map_del(&c->origins, o->key);
    mem_free(o->key_text);
    mem_free(o);
}

/* Idle connections. */

void pool_not_idle(struct client_conn *conn)
{
    if (conn->state == CONN_IDLE) {
        list_del(&conn->idle_node);
        list_del(&conn->origin_node);
        conn->client->n_idle--;
    }
}

static struct client_conn *oldest_idle(struct http_client *c)
{
    return list_empty(&c->idle) ? NULL : LIST_ENTRY(c->idle.next, struct client_conn, idle_node);
}

void pool_idle_tick(void *client)
{
    struct http_client *c = client;
    LL_MAGIC_CHECK(c, CLIENT_MAGIC);
    const int64_t now = loop_mono_ms(c->loop);
    struct client_conn *conn;

    while ((conn = oldest_idle(c)) != NULL) {
        const int64_t due = time_add(conn->idle_since_ms, c->cfg.idle_timeout_ms);
        if (due > now) {
            timer_at(&c->idle_timer, due);
            return;
        }
        client_conn_close(conn, true);
    }
}

static void make_idle(struct client_conn *conn)
{
    struct http_client *c = conn->client;

    conn->state = CONN_IDLE;
    conn->idle_since_ms = loop_mono_ms(c->loop);
    list_push_tail(&c->idle, &conn->idle_node);
    list_push_head(&conn->origin->idle, &conn->origin_node);
    c->n_idle++;
    while (c->n_idle > (size_t)c->cfg.max_idle) {
        client_conn_close(oldest_idle(c), true);
    }
    if (!timer_armed(&c->idle_timer) && c->n_idle != 0) {
        timer_at(&c->idle_timer, time_add(conn->idle_since_ms, c->cfg.idle_timeout_ms));
    }
}

/* Connections opened under another egress policy may lead to where the new one forbids. */
static void follow_policy(struct http_client *c)
{
    const unsigned version = client_policy_version(c);
    if (version == c->policy_version) {
        return;
    }
    c->policy_version = version;
    struct client_conn *conn;
    while ((conn = oldest_idle(c)) != NULL) {
        client_conn_close(conn, true);
    }
}

static bool is_worn(const struct client_conn *conn)
{
    const struct http_client *c = conn->client;
    return conn->uses >= c->cfg.max_uses ||
           loop_mono_ms(c->loop) - conn->opened_ms >= c->cfg.max_age_ms ||
           conn->policy_version != client_policy_version(c);
}

/* Waiting and slots. */

static struct http_exchange *first_waiting(struct client_origin *o)
{
    return list_empty(&o->waiting) ? NULL
                                   : LIST_ENTRY(o->waiting.next, struct http_exchange, wait_node);
}

static void take_from_queue(struct http_exchange *x)
{
    list_del(&x->wait_node);
    x->client->n_waiting--;
}

static bool has_room(const struct http_client *c, const struct client_origin *o)
{
    return o->n_conns < (size_t)c->cfg.max_connections_per_origin;
}

static void dial_next(struct client_origin *o)
{
    struct http_exchange *x = first_waiting(o);
    take_from_queue(x);
    x->state = EXCHANGE_DIALING;
    x->conn = client_conn_dial(o, x);
}

/* Enters o where it belongs: with the starved ones when only a global slot is missing. */
static void starve(struct http_client *c, struct client_origin *o)
{
    unstarve(c, o);
    if (!list_empty(&o->waiting) && has_room(c, o)) {
        list_push_tail(&c->starved[o->n_conns == 0 ? 0 : 1], &o->starved_node);
        c->n_starved++;
    }
}

static struct client_origin *first_starved(struct http_client *c)
{
    for (size_t i = 0; i < LL_COUNT(c->starved); i++) {
        if (!list_empty(&c->starved[i])) {
            return LIST_ENTRY(c->starved[i].next, struct client_origin, starved_node);
        }
    }
    return NULL;
}

/* Gives free slots away, one per origin and round; makes room by closing idle connections, one for
 * each origin that lacks a slot. */
static void pump(struct http_client *c)
{
    struct client_origin *o;

    if (c->is_closing || timer_armed(&c->files_timer)) {
        return;
    }
    while (c->n_open < (size_t)c->cfg.max_connections && (o = first_starved(c)) != NULL) {
        dial_next(o);
        starve(c, o);
    }
    while (c->n_starved > c->n_closing && oldest_idle(c) != NULL) {
        client_conn_close(oldest_idle(c), false);
    }
}

static void assign(struct client_conn *conn, struct http_exchange *x)
{
    pool_not_idle(conn);
    conn->state = CONN_BUSY;
    conn->x = x;
    conn->uses++;
    conn->client->reused++;
    x->conn = conn;
    x->res.reused = true;
    exchange_send(x);
}

static struct client_conn *warm_conn(struct client_origin *o)
{
    LIST_FOREACH_SAFE (it, tmp, &o->idle) {
        struct client_conn *conn = LIST_ENTRY(it, struct client_conn, origin_node);
        if (!is_worn(conn)) {
            return conn;
        }
        client_conn_close(conn, true);
    }
    return NULL;
}

void pool_get(struct http_exchange *x)
{
    struct http_client *c = x->client;
    struct client_origin *o = x->origin;

    follow_policy(c);
    struct client_conn *conn = warm_conn(o);
    if (conn != NULL) {
        assign(conn, x);
        return;
    }
    x->state = EXCHANGE_WAITING;
    list_push_tail(&o->waiting, &x->wait_node);
    c->n_waiting++;
    if (!list_linked(&o->starved_node)) {
        starve(c, o);
    }
    pump(c);
}

void pool_retry(struct http_exchange *x)
{
    struct http_client *c = x->client;

    x->state = EXCHANGE_WAITING;
    list_push_head(&x->origin->waiting, &x->wait_node);
    c->n_waiting++;
    starve(c, x->origin);
    pump(c);
}

void pool_no_files(struct http_exchange *x)
{
    struct http_client *c = x->client;

    if (!timer_armed(&c->files_timer)) {
        const int64_t now = loop_mono_ms(c->loop);
        if (c->files_warned_ms == 0 || now - c->files_warned_ms >= WARN_MS) {
            c->files_warned_ms = now;
            log_warn("client.no_files", LOG_INT("connections", c->n_open));
        }
        timer_at(&c->files_timer, time_add(now, NO_FILES_MS));
        if (oldest_idle(c) != NULL) {
            client_conn_close(oldest_idle(c), false);
        }
    }
    pool_retry(x);
}

void pool_files_tick(void *client)
{
    struct http_client *c = client;
    LL_MAGIC_CHECK(c, CLIENT_MAGIC);
    pump(c);
}

void pool_unwait(struct http_exchange *x)
{
    struct http_client *c = x->client;
    struct client_origin *o = x->origin;

    take_from_queue(x);
    if (list_empty(&o->waiting)) {
        unstarve(c, o);
    }
    pool_origin_check(c, o);
}

/* First waiter that may use a used connection. */
static struct http_exchange *next_for_reuse(struct client_origin *o)
{
    LIST_FOREACH (it, &o->waiting) {
        struct http_exchange *x = LIST_ENTRY(it, struct http_exchange, wait_node);
        if (!x->fresh_only) {
            return x;
        }
    }
    return NULL;
}

static bool must_yield(struct http_client *c, const struct client_origin *o)
{
    const struct client_origin *other = first_starved(c);
    return other != NULL && other != o && c->n_starved > c->n_closing &&
           (other->n_conns == 0 || other->n_conns + 1 < o->n_conns);
}

void pool_release(struct client_conn *conn, bool reusable)
{
    struct http_client *c = conn->client;
    struct client_origin *o = conn->origin;

    LL_ASSERT(conn->state == CONN_BUSY && conn->x == NULL);
    if (c->is_closing || !reusable || is_worn(conn)) {
        client_conn_close(conn, stream_pending(conn->stream) == 0);
        return;
    }
    if (must_yield(c, o)) {
        client_conn_close(conn, false);
        return;
    }
    struct http_exchange *x = next_for_reuse(o);
    if (x != NULL) {
        take_from_queue(x);
        if (list_empty(&o->waiting)) {
            unstarve(c, o);
        }
        assign(conn, x);
    } else if (!list_empty(&o->waiting)) {
        client_conn_close(conn, false); /* its slot is what the retry waits for */
    } else {
        make_idle(conn);
    }
}

void pool_slot_freed(struct http_client *c, struct client_origin *o)
{
    starve(c, o);
    pump(c);
    pool_origin_check(c, o);
}

void pool_reload(struct http_client *c)
{
    size_t pos = 0;
    struct client_origin *o;

    while (c->n_idle > (size_t)c->cfg.max_idle) {
        client_conn_close(oldest_idle(c), true);
    }
    timer_stop(&c->idle_timer);
    pool_idle_tick(c);
    while ((o = map_next(&c->origins, &pos)) != NULL) {
        starve(c, o);
    }
    pump(c);
}
