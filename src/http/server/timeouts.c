/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All timeouts of all connections with one timer.
 *
 * Connections in the same state share one timeout, so the list of a state is ordered by deadline,
 * and only heads of lists are looked at. The timer is never moved to a later time: when it fires
 * too early, because what it was set for has gone on, it is set anew. A request on a busy
 * connection so costs list operations only.
 */
#include "longline/check.h"
#include "server.h"

#define TRIM_MS        INT64_C(1000) /* idle for this long: memory is given back */
#define DISCARD_MS     INT64_C(2000)
#define CHECK_MS       INT64_C(1000) /* between two looks at the rate of a body */
#define SWEEP_EVERY_MS INT64_C(10)   /* deadlines that lie closer together are handled together */

int64_t server_state_timeout(const struct http_server *s, enum conn_state state)
{
    const struct http_server_cfg *cfg = &s->cfg;
    switch (state) {
    case CONN_HEAD:
        return cfg->head_timeout_ms;
    case CONN_BODY:
        return cfg->body_timeout_ms;
    case CONN_DISCARD:
        return DISCARD_MS;
    case CONN_IDLE:
        return cfg->idle_timeout_ms < TRIM_MS ? cfg->idle_timeout_ms : TRIM_MS;
    case CONN_COLD:
        return cfg->idle_timeout_ms;
    case CONN_WAITING: /* for other requests, which end */
    case CONN_BUSY:    /* the handler's business */
    case CONN_FLUSH:   /* limited by the write timeout */
    case CONN_ENDING:  /* likewise */
    case CONN_CLOSING:
    case CONN_N_STATES:
    default:
        return TIME_NEVER;
    }
}

void server_arm_sweep(struct http_server *s, int64_t due_ms)
{
    if (due_ms < s->sweep_due_ms) {
        s->sweep_due_ms = due_ms;
        timer_at(&s->sweep, due_ms);
    }
}

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Runs the timeouts of one state; returns the next deadline. */
static int64_t sweep_state(struct http_server *s, enum conn_state state, int64_t now)
{
    const int64_t timeout = server_state_timeout(s, state);
    struct list *l = &s->by_state[state];

    while (timeout != TIME_NEVER && !list_empty(l)) {
        struct conn *c = LIST_ENTRY(l->next, struct conn, state_node);
        const int64_t due = time_add(c->since_ms, timeout);
        if (due > now) {
            return due;
        }
        conn_on_state_timeout(c);
        LL_ASSERT(c->state != state);
    }
    return TIME_NEVER;
}

static int64_t sweep_bodies(struct list *l, int64_t interval, int64_t now)
{
    while (!list_empty(l)) {
        struct conn *c = LIST_ENTRY(l->next, struct conn, check_node);
        const int64_t due = time_add(c->check_ms, interval);
        if (due > now) {
            return due;
        }
        conn_check_body_rate(c);
    }
    return TIME_NEVER;
}

static int64_t sweep_output(struct http_server *s, int64_t now)
{
    while (!list_empty(&s->writing)) {
        struct conn *c = LIST_ENTRY(s->writing.next, struct conn, write_node);
        const int64_t due = time_add(c->write_ms, s->cfg.write_timeout_ms);
        if (due > now) {
            return due;
        }
        conn_check_output(c);
    }
    return TIME_NEVER;
}

void server_on_sweep(void *ctx)
{
    struct http_server *s = ctx;
    int64_t now;
    int64_t next = TIME_NEVER;

    LL_MAGIC_CHECK(s, SERVER_MAGIC);
    now = loop_mono_ms(s->loop);
    s->sweep_due_ms = TIME_NEVER;
    /* IDLE comes before COLD in the enum: with a short idle timeout one sweep does both. */
    for (unsigned i = 0; i < CONN_N_STATES; i++) {
        next = earlier(next, sweep_state(s, (enum conn_state)i, now));
    }
    next = earlier(next, sweep_bodies(&s->body_grace, SERVER_BODY_GRACE_MS, now));
    next = earlier(next, sweep_bodies(&s->body_checks, CHECK_MS, now));
    next = earlier(next, sweep_output(s, now));
    if (next != TIME_NEVER) {
        const int64_t soonest = now + SWEEP_EVERY_MS;
        server_arm_sweep(s, next > soonest ? next : soonest);
    }
}
