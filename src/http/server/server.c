/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server as a whole: open, accept, reload, drain, close.
 *
 * Close: the listener and every connection are closed; each connection goes when its stream has
 * closed and its handler has replied; clients that are still sending are cut off after CUT_OFF_MS;
 * when all are gone a timer of the next turn reports `done`, so
 * that it never comes from inside http_reply or http_server_close.
 */
#include "server.h"

#include "longline/check.h"
#include "longline/log.h"
#include "longline/mem.h"
#include "longline/turn.h"

#define OUT_MAX    ((size_t)64 * 1024) /* head of a reply */
#define CUT_OFF_MS 1000

/* The connection that has been longest in the state, of those that hold memory. */
static struct conn *oldest_in(struct http_server *s, enum conn_state state)
{
    LIST_FOREACH (it, &s->by_state[state]) {
        struct conn *c = LIST_ENTRY(it, struct conn, state_node);
        if (c->held != 0 && !c->in_parse) {
            return c;
        }
    }
    return NULL;
}

/* Slow clients each keep to the timeouts and may still be too many together. Those go first that
 * have had the longest time: an honest one is through within a moment. */
static struct conn *slowest(struct http_server *s)
{
    struct conn *victim = oldest_in(s, CONN_BODY);
    struct conn *head = oldest_in(s, CONN_HEAD);
    if (head != NULL && (victim == NULL || head->since_ms < victim->since_ms)) {
        victim = head;
    }
    if (list_empty(&s->writing)) {
        return victim;
    }
    struct conn *reader = LIST_ENTRY(s->writing.next, struct conn, write_node);
    return victim == NULL || reader->write_ms < victim->since_ms ? reader : victim;
}

/* What idle connections keep for their next request goes before any client is cut off. */
static void limit_held(struct http_server *s)
{
    struct conn *c = NULL;
    while (s->held > s->max_held && (c = oldest_in(s, CONN_IDLE)) != NULL) {
        conn_cool(c);
    }
    while (s->held > s->max_held && (c = slowest(s)) != NULL) {
        conn_evict(c);
    }
}

bool server_has_room(struct http_server *s)
{
    limit_held(s);
    return s->held <= s->max_held;
}

/* Half of the memory is for requests that the handler has: what it makes of a body may take many
 * times the body's size. One may always go on, and then the next. */
bool server_may_run(const struct http_server *s, const struct server_share *share)
{
    return share->spent_us < SERVER_TURN_US &&
           (s->handled < s->max_held / 2 || list_empty(&s->by_state[CONN_BUSY]));
}

static void run_waiting(struct http_server *s)
{
    for (size_t i = 0; i < SERVER_N_SHARES; i++) {
        struct server_share *share = &s->shares[i];
        while (!list_empty(&share->waiting) && server_may_run(s, share)) {
            conn_run(LIST_ENTRY(list_pop_head(&share->waiting), struct conn, ready_node));
        }
        if (!list_empty(&share->waiting) && share->spent_us >= SERVER_TURN_US) {
            loop_again(s->loop); /* when memory is what lacks, an answered request frees it */
        }
        share->spent_us = 0;
    }
}

static void on_turn_end(void *ctx)
{
    struct http_server *s = ctx;
    struct list now;
    struct list *it;

    LL_MAGIC_CHECK(s, SERVER_MAGIC);
    /* Those that get ready again meanwhile have had their share of this turn. */
    list_init(&now);
    list_splice_tail(&now, &s->ready);
    it = list_pop_head(&now);
    while (it != NULL) {
        conn_resume(LIST_ENTRY(it, struct conn, ready_node));
        it = list_pop_head(&now);
    }
    run_waiting(s);
    limit_held(s);
}

static void on_reap(void *ctx)
{
    struct http_server *s = ctx;
    void (*done)(void *);
    void *done_ctx;

    LL_MAGIC_CHECK(s, SERVER_MAGIC);
    LL_ASSERT(s->n_conns == 0 && s->n_active == 0);
    done = s->done;
    done_ctx = s->done_ctx;
    timer_stop(&s->sweep);
    timer_stop(&s->cut_off);
    loop_hook_remove(s->loop, &s->hook);
    tls_server_free(s->tls);
    peer_table_fini(s);
    cors_free(&s->cfg.cors_origins);
    buf_fini(&s->out);
    s->magic = 0;
    mem_free(s);
    if (done != NULL) {
        done(done_ctx);
    }
}

/* Clients that still send when the server goes get no more time than this. */
static void on_cut_off(void *ctx)
{
    struct http_server *s = ctx;

    LL_MAGIC_CHECK(s, SERVER_MAGIC);
    LIST_FOREACH (it, &s->by_state[CONN_CLOSING]) {
        struct conn *c = LIST_ENTRY(it, struct conn, state_node);
        if (c->stream != NULL) {
            stream_close(c->stream);
        }
    }
}

void server_check_done(struct http_server *s)
{
    if (s->is_closing && s->n_conns == 0 && s->listener_state == LISTENER_NONE &&
        !timer_armed(&s->reap)) {
        timer_in(&s->reap, 0);
    }
}

static void init_metrics(struct http_server_metrics *m)
{
    m->connections = (struct metric){.kind = METRIC_GAUGE,
                                     .name = "longline_http_connections",
                                     .help = "Open client connections"};
    m->accepted = (struct metric){.kind = METRIC_COUNTER,
                                  .name = "longline_http_connections_total",
                                  .help = "Client connections accepted"};
    m->refused = (struct metric){.kind = METRIC_COUNTER,
                                 .name = "longline_http_refused_total",
                                 .help = "Client connections above a limit, in all or per address"};
    m->requests = (struct metric){.kind = METRIC_COUNTER,
                                  .name = "longline_http_requests_total",
                                  .help = "Requests whose head was complete and valid"};
    m->protocol_errors = (struct metric){.kind = METRIC_COUNTER,
                                         .name = "longline_http_protocol_errors_total",
                                         .help = "Requests refused as malformed or oversize"};
    m->timeouts = (struct metric){.kind = METRIC_COUNTER,
                                  .name = "longline_http_timeouts_total",
                                  .help = "Clients cut off for being too slow"};
}

/* Keeps the numbers and the origins; the other strings matter only while opening. */
static void copy_cfg(struct http_server *s, const struct http_server_cfg *cfg)
{
    cors_free(&s->cfg.cors_origins);
    s->cfg = *cfg;
    s->cfg.listen = NULL;
    s->cfg.tls_cert = NULL;
    s->cfg.tls_key = NULL;
    cors_copy(&s->cfg.cors_origins, &cfg->cors_origins);
}

struct http_server *server_new(struct loop *l, const struct http_server_cfg *cfg,
                               const struct http_handler *h)
{
    struct http_server *s = mem_zalloc(sizeof(*s));

    s->magic = SERVER_MAGIC;
    s->loop = l;
    s->handler = *h;
    s->max_held = SERVER_MAX_HELD;
    s->sweep_due_ms = TIME_NEVER;
    s->date_s = INT64_MIN;
    copy_cfg(s, cfg);
    init_metrics(&s->metrics);
    for (size_t i = 0; i < CONN_N_STATES; i++) {
        list_init(&s->by_state[i]);
    }
    list_init(&s->body_checks);
    list_init(&s->body_grace);
    list_init(&s->writing);
    list_init(&s->ready);
    for (size_t i = 0; i < SERVER_N_SHARES; i++) {
        list_init(&s->shares[i].waiting);
    }
    peer_table_init(s);
    buf_init(&s->out, OUT_MAX);
    timer_init(&s->sweep, l, server_on_sweep, s);
    timer_init(&s->reap, l, on_reap, s);
    timer_init(&s->cut_off, l, on_cut_off, s);
    s->hook = (struct loop_hook){.fn = on_turn_end, .ctx = s, .order = TURN_REQUESTS};
    loop_hook_add(l, &s->hook);
    return s;
}

void server_adopt(struct http_server *s, struct stream *st)
{
    struct stream_info info;
    struct peer_count *pc = NULL;
    int status = 0;

    LL_MAGIC_CHECK(s, SERVER_MAGIC);
    memset(&info, 0, sizeof(info));
    stream_get_info(st, &info);
    metric_inc(&s->metrics.accepted, 1);
    if (s->is_draining || s->n_conns >= (size_t)s->cfg.max_connections) {
        status = 503;
    } else {
        const enum peer_verdict verdict = peer_table_enter(s, &info.peer, &pc);
        if (verdict == PEER_CUT) {
            metric_inc(&s->metrics.refused, 1);
            stream_close(st);
            return;
        }
        status = verdict == PEER_WELCOME ? 0 : 429;
    }
    metric_inc(&s->metrics.refused, status != 0 ? 1 : 0);
    conn_open(s, st, &info.peer, pc, status);
}

static void on_stream(void *ctx, struct stream *st)
{
    server_adopt(ctx, st);
}

static void on_listener_closed(void *ctx)
{
    struct http_server *s = ctx;
    LL_MAGIC_CHECK(s, SERVER_MAGIC);
    s->listener = NULL;
    s->listener_state = LISTENER_NONE;
    server_check_done(s);
}

static void close_listener(struct http_server *s)
{
    if (s->listener_state == LISTENER_OPEN) {
        s->listener_state = LISTENER_CLOSING;
        listener_close(s->listener, on_listener_closed, s);
    }
}

static int open_tls(struct http_server *s, const struct http_server_cfg *cfg,
                    struct err_detail *err)
{
    const bool has_cert = cfg->tls_cert != NULL && cfg->tls_cert[0] != '\0';
    const bool has_key = cfg->tls_key != NULL && cfg->tls_key[0] != '\0';
    if (!has_cert && !has_key) {
        return 0;
    }
    if (!has_cert || !has_key) {
        return err_set(err, ERR_INVALID, 0, "server.tls_cert and server.tls_key go together");
    }
    const struct tls_server_options o = {.cert_file = cfg->tls_cert,
                                         .key_file = cfg->tls_key,
                                         .n_workers = (unsigned)cfg->tls_workers,
                                         .max_handshakes = (size_t)cfg->max_handshakes};
    return tls_server_open(&s->tls, s->loop, &o, err);
}

int http_server_open(struct http_server **out, struct loop *l, const struct http_server_cfg *cfg,
                     const struct http_handler *h, struct err_detail *err)
{
    struct listener_options o = {.on_stream = on_stream};
    struct http_server *s;
    int rc;

    rc = addr_parse(&o.addr, str_c(cfg->listen));
    if (rc != 0) {
        return err_set(err, rc, 0, "server.listen: \"%s\" is not ADDRESS:PORT", cfg->listen);
    }
    s = server_new(l, cfg, h);
    rc = open_tls(s, cfg, err);
    if (rc == 0) {
        o.max_streams = (size_t)cfg->max_connections + SERVER_OVERFLOW;
        o.tls = s->tls;
        o.ctx = s;
        rc = listener_open(&s->listener, l, &o, err);
    }
    if (rc != 0) {
        on_reap(s);
        return rc;
    }
    s->listener_state = LISTENER_OPEN;
    *out = s;
    return 0;
}

void http_server_reload(struct http_server *s, const struct http_server_cfg *cfg)
{
    LL_MAGIC_CHECK(s, SERVER_MAGIC);
    const int64_t max_connections = s->cfg.max_connections; /* the listener's, fixed */
    copy_cfg(s, cfg);
    s->cfg.max_connections = max_connections;
    /* Timeouts may have become shorter. */
    server_arm_sweep(s, loop_mono_ms(s->loop));
}

bool http_server_renew_tls(struct http_server *s, struct tls_identity *fresh)
{
    LL_ASSERT(s->tls != NULL);
    return tls_server_renew(s->tls, fresh);
}

void http_server_addr(const struct http_server *s, union addr *out)
{
    LL_ASSERT(s->listener != NULL);
    listener_addr(s->listener, out);
}

void http_server_tls_stats(const struct http_server *s, struct tls_server_stats *out)
{
    *out = (struct tls_server_stats){0};
    if (s->tls != NULL) {
        tls_server_stats(s->tls, out);
    }
}

struct http_server_metrics *http_server_get_metrics(struct http_server *s)
{
    return &s->metrics;
}

size_t http_server_n_active(const struct http_server *s)
{
    return s->n_active;
}

void http_server_abandon(struct http_server *s, const struct http_reply *rp)
{
    for (size_t i = CONN_WAITING; i <= CONN_BUSY; i++) {
        LIST_FOREACH (it, &s->by_state[i]) {
            struct conn *c = LIST_ENTRY(it, struct conn, state_node);
            if (c->stream != NULL) {
                (void)conn_write_reply(c, rp, true); /* as far as the socket takes it now */
            }
        }
    }
}

void http_server_drain(struct http_server *s)
{
    LL_MAGIC_CHECK(s, SERVER_MAGIC);
    s->is_draining = true;
    close_listener(s);
    for (size_t i = 0; i < CONN_CLOSING; i++) {
        LIST_FOREACH_SAFE (it, tmp, &s->by_state[i]) {
            conn_drain(LIST_ENTRY(it, struct conn, state_node));
        }
    }
}

void http_server_close(struct http_server *s, void (*done)(void *ctx), void *ctx)
{
    LL_MAGIC_CHECK(s, SERVER_MAGIC);
    LL_ASSERT(!s->is_closing);
    s->is_closing = true;
    s->is_draining = true;
    s->done = done;
    s->done_ctx = ctx;
    close_listener(s);
    for (size_t i = 0; i < CONN_CLOSING; i++) {
        LIST_FOREACH_SAFE (it, tmp, &s->by_state[i]) {
            conn_close(LIST_ENTRY(it, struct conn, state_node), i == CONN_ENDING);
        }
    }
    timer_in(&s->cut_off, CUT_OFF_MS);
    server_check_done(s);
}
