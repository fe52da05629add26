/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scheduler's destinations, tenants and hosts: where each one stands, the adaptive cap and the
 * breaker.
 *
 *   CLOSED --breaker_failures unreachable outcomes in a row--> OPEN
 *   OPEN --pause over--> PROBING (one work at a time)
 *   PROBING --any answer--> CLOSED      PROBING --unreachable--> OPEN, pause doubled
 */
#include "sched_internal.h"

#include "longline/mem.h"

static struct sched_tenant *tenant_get(struct sched *s, uint64_t key)
{
    struct sched_tenant *t = map64_get(&s->tenants, key);
    if (t == NULL) {
        t = mem_zalloc(sizeof(*t));
        t->key = key;
        list_init(&t->dests);
        list_init(&t->ring);
        (void)map64_put(&s->tenants, key, t);
    }
    t->n_dests++;
    return t;
}

static void tenant_put(struct sched *s, struct sched_tenant *t)
{
    if (--t->n_dests == 0) {
        list_del(&t->ring);
        (void)map64_del(&s->tenants, t->key);
        mem_free(t);
    }
}

static struct sched_host *host_get(struct sched *s, uint64_t key)
{
    struct sched_host *h = map64_get(&s->hosts, key);
    if (h == NULL) {
        h = mem_zalloc(sizeof(*h));
        h->key = key;
        heap_init(&h->blocked);
        list_init(&h->loose);
        (void)map64_put(&s->hosts, key, h);
    }
    h->n_dests++;
    return h;
}

static void host_put(struct sched *s, struct sched_host *h)
{
    if (--h->n_dests == 0) {
        list_del(&h->loose);
        heap_fini(&h->blocked);
        (void)map64_del(&s->hosts, h->key);
        mem_free(h);
    }
}

static struct sched_share *share_get(struct sched *s, const struct sched_dest *d)
{
    /* Both are hashes already; turned against each other, so that swapping them makes another. */
    const uint64_t key = d->tenant->key ^ (d->host->key << 32 | d->host->key >> 32);
    struct sched_share *sh = map64_get(&s->shares, key);
    if (sh == NULL) {
        sh = mem_zalloc(sizeof(*sh));
        sh->key = key;
        (void)map64_put(&s->shares, key, sh);
    }
    sh->n_dests++;
    return sh;
}

static void share_put(struct sched *s, struct sched_share *sh)
{
    if (sh != NULL && --sh->n_dests == 0) {
        (void)map64_del(&s->shares, sh->key);
        mem_free(sh);
    }
}

static void host_place(struct sched *s, struct sched_host *h)
{
    const bool loose = h->blocked.n != 0 && h->n_inflight < s->cfg.max_inflight_per_host;
    if (loose && !list_linked(&h->loose)) {
        list_push_tail(&s->loose, &h->loose);
    } else if (!loose) {
        list_del(&h->loose);
    }
}

struct sched_dest *sched_dest_find(const struct sched *s, uint32_t num)
{
    return map64_get(&s->dests, num);
}

struct sched_dest *sched_dest_get(struct sched *s, uint32_t num, uint64_t tenant, uint64_t host)
{
    struct sched_dest *d = sched_dest_find(s, num);
    if (d != NULL) {
        return d;
    }
    d = mem_zalloc(sizeof(*d));
    d->num = num;
    d->cap = s->cfg.initial_inflight_per_dest;
    list_init(&d->fresh);
    list_init(&d->retry);
    list_init(&d->place);
    d->tenant = tenant_get(s, tenant);
    d->host = host_get(s, host);
    (void)map64_put(&s->dests, num, d);
    sched_place(s, d);
    return d;
}

static void breaker_close(struct sched *s, struct sched_dest *d)
{
    if (d->breaker == BREAKER_OPEN) {
        heap_remove(&s->closed, &d->reopen);
        s->n_open--;
    }
    d->breaker = BREAKER_CLOSED;
    d->breaker_pause_ms = 0;
    d->unreachable_row = 0;
}

static void breaker_open(struct sched *s, struct sched_dest *d, int64_t now)
{
    int64_t pause = d->breaker_pause_ms == 0 ? s->cfg.breaker_open_ms : d->breaker_pause_ms * 2;
    if (pause > s->cfg.breaker_max_ms) {
        pause = s->cfg.breaker_max_ms;
    }
    d->breaker_pause_ms = pause;
    d->breaker = BREAKER_OPEN;
    s->n_open++;
    /* Up to a quarter more, so that destinations that failed together do not come back together. */
    const int64_t spread = (int64_t)rng_below(s->rng, (uint64_t)(pause / 4) + 1);
    heap_insert(&s->closed, &d->reopen, time_add(now, pause + spread));
}

void sched_dest_free(struct sched *s, struct sched_dest *d)
{
    if (s->hooks.dest_gone != NULL) {
        s->hooks.dest_gone(s->hooks.ctx, d);
    }
    breaker_close(s, d);
    list_del(&d->place);
    heap_remove(&d->host->blocked, &d->queued);
    host_place(s, d->host);
    (void)map64_del(&s->dests, d->num);
    share_put(s, d->share);
    tenant_put(s, d->tenant);
    host_put(s, d->host);
    mem_free(d);
}

static bool dest_wants(const struct sched_dest *d)
{
    if (list_empty(&d->fresh) && list_empty(&d->retry)) {
        return false;
    }
    if (d->held || d->breaker == BREAKER_OPEN || d->n_inflight >= d->cap) {
        return false;
    }
    return d->breaker != BREAKER_PROBING || d->n_inflight == 0;
}

static bool tenant_has_room(const struct sched *s, const struct sched_tenant *t)
{
    return t->n_inflight < s->cfg.max_inflight_per_tenant &&
           (s->cfg.max_inflight_kib_per_tenant == 0 ||
            t->inflight_kib < s->cfg.max_inflight_kib_per_tenant);
}

static void tenant_place(struct sched *s, struct sched_tenant *t)
{
    const bool runnable = !list_empty(&t->dests) && tenant_has_room(s, t);
    if (runnable && !list_linked(&t->ring)) {
        list_push_tail(&s->ring, &t->ring);
    } else if (!runnable) {
        list_del(&t->ring);
    }
}

static enum dest_where where_it_belongs(const struct sched *s, const struct sched_dest *d)
{
    const struct sched_host *h = d->host;
    if (d->n_works == 0) {
        return DEST_IDLE;
    }
    if (!dest_wants(d)) {
        return DEST_NOWHERE;
    }
    if (d->where == DEST_IN_RING || d->where == DEST_BLOCKED) {
        return (enum dest_where)d->where; /* goes on in its turn */
    }
    return h->blocked.n != 0 || h->n_inflight >= s->cfg.max_inflight_per_host ? DEST_BLOCKED
                                                                              : DEST_IN_RING;
}

static void evict_idle(struct sched *s)
{
    while (s->n_idle > s->cfg.max_idle_dests) {
        struct sched_dest *old = LIST_ENTRY(s->idle.next, struct sched_dest, place);
        s->n_idle--;
        sched_dest_free(s, old);
    }
}

static void leave(struct sched *s, struct sched_dest *d)
{
    if (d->where == DEST_IDLE && list_linked(&d->place)) {
        s->n_idle--;
    }
    list_del(&d->place);
    heap_remove(&d->host->blocked, &d->queued);
    d->where = DEST_NOWHERE;
}

static void queue_up(struct sched *s, struct sched_dest *d)
{
    if (d->share == NULL) {
        d->share = share_get(s, d);
    }
    struct sched_share *sh = d->share;
    sh->turn = sh->turn < d->host->turn ? d->host->turn : sh->turn + 1;
    heap_insert(&d->host->blocked, &d->queued, sh->turn);
}

static void put(struct sched *s, struct sched_dest *d, enum dest_where where)
{
    leave(s, d);
    d->where = (uint8_t)where;
    switch (where) {
    case DEST_IN_RING:
        list_push_tail(&d->tenant->dests, &d->place);
        break;
    case DEST_BLOCKED:
        queue_up(s, d);
        break;
    case DEST_IDLE:
        list_push_tail(&s->idle, &d->place);
        s->n_idle++;
        break;
    case DEST_NOWHERE:
        break;
    }
    if (where == DEST_IDLE || where == DEST_NOWHERE) {
        d->queued.key = 0; /* its turn is over */
    }
    tenant_place(s, d->tenant);
    host_place(s, d->host);
}

void sched_place(struct sched *s, struct sched_dest *d)
{
    const enum dest_where where = where_it_belongs(s, d);
    if (where == d->where && (list_linked(&d->place) || heap_has(&d->queued))) {
        return;
    }
    put(s, d, where);
    if (where == DEST_IDLE) {
        evict_idle(s); /* may free d, which the caller knows to be idle */
    }
}

void sched_block(struct sched *s, struct sched_dest *d)
{
    const int64_t turn = d->queued.key;
    leave(s, d);
    d->where = DEST_BLOCKED;
    if (turn != 0) {
        heap_insert(&d->host->blocked, &d->queued, turn);
    } else {
        queue_up(s, d); /* it had not been waiting */
    }
    tenant_place(s, d->tenant);
    host_place(s, d->host);
}

void sched_count_start(struct sched *s, const struct work *w)
{
    struct sched_dest *d = w->dest;
    s->n_inflight++;
    s->inflight_kib += w->cost;
    d->n_inflight++;
    d->host->n_inflight++;
    d->tenant->n_inflight++;
    d->tenant->inflight_kib += w->cost;
    host_place(s, d->host);
    tenant_place(s, d->tenant);
}

void sched_count_end(struct sched *s, const struct work *w)
{
    struct sched_dest *d = w->dest;
    s->n_inflight--;
    s->inflight_kib -= w->cost;
    d->n_inflight--;
    d->host->n_inflight--;
    d->tenant->n_inflight--;
    d->tenant->inflight_kib -= w->cost;
    host_place(s, d->host);
    tenant_place(s, d->tenant);
}

void sched_unblock(struct sched *s)
{
    struct list *node = list_pop_head(&s->loose);
    if (node != NULL) {
        struct sched_host *h = LIST_ENTRY(node, struct sched_host, loose);
        struct heap_node *next = heap_min(&h->blocked);
        h->turn = next->key > h->turn ? next->key : h->turn;
        /* Puts the host at the list's end if there are more. */
        put(s, LL_CONTAINER(next, struct sched_dest, queued), DEST_IN_RING);
    }
}

void sched_place_all(struct sched *s)
{
    struct sched_dest *d = NULL;
    struct sched_host *h = NULL;
    struct sched_tenant *t = NULL;
    size_t pos = 0;
    while ((d = map64_next(&s->dests, &pos, NULL)) != NULL) {
        if (d->where != DEST_IDLE) {
            sched_place(s, d);
        }
    }
    pos = 0;
    while ((h = map64_next(&s->hosts, &pos, NULL)) != NULL) {
        host_place(s, h);
    }
    pos = 0;
    while ((t = map64_next(&s->tenants, &pos, NULL)) != NULL) {
        tenant_place(s, t);
    }
}

void sched_dest_set_host(struct sched *s, struct sched_dest *d, uint64_t host)
{
    if (d->host->key == host) {
        return;
    }
    struct sched_host *old = d->host;
    leave(s, d);
    share_put(s, d->share);
    d->share = NULL;
    d->queued.key = 0;
    d->host = host_get(s, host);
    d->host->n_inflight += d->n_inflight;
    old->n_inflight -= d->n_inflight;
    host_place(s, old);
    host_place(s, d->host);
    host_put(s, old);
    breaker_close(s, d);
    sched_place(s, d);
}

void sched_dest_hold(struct sched *s, struct sched_dest *d, bool held)
{
    if (d->held == held) {
        return;
    }
    d->held = held;
    if (!held) {
        breaker_close(s, d);
        d->failures_row = 0;
        d->failing_since_ms = 0;
    }
    sched_place(s, d);
}

void sched_dest_end(struct sched *s, struct sched_dest *d)
{
    d->gone = true;
    d->held = false;
    breaker_close(s, d);
    sched_place(s, d);
}

void sched_reopen(struct sched *s, int64_t now)
{
    struct heap_node *node = heap_min(&s->closed);
    while (node != NULL && node->key <= now) {
        struct sched_dest *d = LL_CONTAINER(node, struct sched_dest, reopen);
        heap_remove(&s->closed, node);
        s->n_open--;
        d->breaker = BREAKER_PROBING;
        sched_place(s, d);
        node = heap_min(&s->closed);
    }
}

static void judge_reachable(struct sched *s, struct sched_dest *d)
{
    d->unreachable_row = 0;
    if (d->breaker != BREAKER_CLOSED) {
        breaker_close(s, d);
    }
}

static void judge_unreachable(struct sched *s, struct sched_dest *d, int64_t now)
{
    d->unreachable_row++;
    if (s->cfg.breaker_failures == 0 || d->breaker == BREAKER_OPEN) {
        return;
    }
    if (d->breaker == BREAKER_PROBING || d->unreachable_row >= s->cfg.breaker_failures) {
        breaker_open(s, d, now);
    }
}

void sched_judge(struct sched *s, struct work *w, const struct sched_outcome *o, int64_t now)
{
    struct sched_dest *d = w->dest;
    if (o->neutral) {
        return;
    }
    if (o->success) {
        d->failures_row = 0;
        d->failing_since_ms = 0;
        if (++d->successes >= d->cap && d->cap < s->cfg.max_inflight_per_dest) {
            d->cap++;
            d->successes = 0;
        }
    } else {
        if (d->failures_row++ == 0) {
            d->failing_since_ms = now;
        }
        if (o->overload) {
            d->cap = d->cap > 1 ? d->cap / 2 : 1;
            d->successes = 0;
        }
    }
    if (o->unreachable) {
        judge_unreachable(s, d, now);
    } else {
        judge_reachable(s, d);
    }
}
