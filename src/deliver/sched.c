/* SPDX-License-Identifier: Apache-2.0 */
/* The scheduler's works: adding, choosing the next one, ending it. See sched.h for the picture. */
#include "sched_internal.h"

#include "longline/mem.h"

#define QUANTUM_KIB     64   /* a tenant's share of one round */
#define FRESH_PER_RETRY 4    /* fresh works between two retries of a destination */
#define DUE_BUDGET      4096 /* works that become ready in one call of sched_next */

struct sched *sched_new(const struct sched_cfg *cfg, const struct sched_hooks *hooks,
                        const struct rng *rng)
{
    struct sched *s = mem_zalloc(sizeof(*s));
    s->cfg = *cfg;
    if (hooks != NULL) {
        s->hooks = *hooks;
    }
    s->rng = rng;
    work_table_init(&s->works);
    heap_init(&s->waiting);
    heap_init(&s->closed);
    list_init(&s->ring);
    list_init(&s->loose);
    list_init(&s->idle);
    map64_init(&s->dests);
    map64_init(&s->tenants);
    map64_init(&s->hosts);
    map64_init(&s->shares);
    return s;
}

void sched_free(struct sched *s)
{
    if (s == NULL) {
        return;
    }
    for (;;) {
        size_t pos = 0;
        struct sched_dest *d = map64_next(&s->dests, &pos, NULL);
        if (d == NULL) {
            break;
        }
        sched_dest_free(s, d);
    }
    heap_fini(&s->waiting); /* resets the nodes, so before the works go */
    heap_fini(&s->closed);
    work_table_fini(&s->works);
    map64_fini(&s->dests);
    map64_fini(&s->tenants);
    map64_fini(&s->hosts);
    map64_fini(&s->shares);
    mem_free(s);
}

void sched_set_cfg(struct sched *s, const struct sched_cfg *cfg)
{
    s->cfg = *cfg;
    size_t pos = 0;
    for (;;) {
        struct sched_dest *d = map64_next(&s->dests, &pos, NULL);
        if (d == NULL) {
            break;
        }
        if (d->cap > cfg->max_inflight_per_dest) {
            d->cap = cfg->max_inflight_per_dest;
        }
    }
    sched_place_all(s);
}

static void make_ready(struct work *w, struct list *queue)
{
    w->state = WORK_READY;
    list_init(&w->u.ready);
    list_push_tail(queue, &w->u.ready);
}

static void make_due(struct sched *s, struct work *w, int64_t due_ms, int64_t now)
{
    if (due_ms <= now) {
        make_ready(w, w->number <= 1 && !w->manual ? &w->dest->fresh : &w->dest->retry);
        sched_place(s, w->dest);
        return;
    }
    w->state = WORK_WAITING;
    w->u.due = (struct heap_node){0};
    heap_insert(&s->waiting, &w->u.due, due_ms);
}

struct work *sched_find(const struct sched *s, uint64_t event_seq, uint32_t dest_num)
{
    return work_table_find(&s->works, event_seq, dest_num);
}

struct work *sched_add(struct sched *s, struct sched_dest *d, uint64_t event_seq, uint32_t number,
                       int64_t due_ms, int64_t now)
{
    LL_DCHECK(sched_find(s, event_seq, d->num) == NULL);
    struct work *w = work_table_add(&s->works, event_seq, d);
    w->number = number;
    d->n_works++;
    sched_place(s, d); /* no longer idle */
    make_due(s, w, due_ms, now);
    return w;
}

void sched_hasten(struct sched *s, struct work *w)
{
    if (w->state != WORK_WAITING) {
        return;
    }
    heap_remove(&s->waiting, &w->u.due);
    make_ready(w, &w->dest->retry);
    sched_place(s, w->dest);
}

void sched_set_cost(struct sched *s, struct work *w, uint16_t cost)
{
    if (w->state == WORK_INFLIGHT && cost != w->cost) {
        struct sched_tenant *t = w->dest->tenant;
        t->deficit -= cost - w->cost;
        sched_count_end(s, w);
        w->cost = cost;
        sched_count_start(s, w);
        return;
    }
    w->cost = cost;
}

bool sched_hasten_gone(struct sched *s, size_t *at, size_t budget)
{
    for (; *at < s->works.n_buckets && budget > 0; (*at)++, budget--) {
        for (struct work *w = s->works.buckets[*at]; w != NULL; w = w->hash_next) {
            if (w->dest->gone) {
                sched_hasten(s, w);
            }
        }
    }
    return *at >= s->works.n_buckets;
}

static void forget(struct sched *s, struct work *w)
{
    struct sched_dest *d = w->dest;
    work_table_del(&s->works, w);
    d->n_works--;
    sched_place(s, d); /* may free d */
}

void sched_drop(struct sched *s, struct work *w)
{
    LL_ASSERT(w->state != WORK_INFLIGHT);
    if (w->state == WORK_WAITING) {
        heap_remove(&s->waiting, &w->u.due);
    } else {
        list_del(&w->u.ready);
    }
    forget(s, w);
}

static void collect_due(struct sched *s, int64_t now)
{
    size_t budget = DUE_BUDGET;
    struct heap_node *node = heap_min(&s->waiting);
    while (node != NULL && node->key <= now && budget-- > 0) {
        struct work *w = LL_CONTAINER(node, struct work, u.due);
        heap_remove(&s->waiting, node);
        make_ready(w, &w->dest->retry);
        sched_place(s, w->dest);
        node = heap_min(&s->waiting);
    }
}

/* Retries get a turn after a few fresh works, and fresh works after each retry. */
static struct work *pick_work(struct sched_dest *d)
{
    const bool take_retry =
        !list_empty(&d->retry) && (list_empty(&d->fresh) || d->fresh_in_row >= FRESH_PER_RETRY);
    struct list *node = list_pop_head(take_retry ? &d->retry : &d->fresh);
    d->fresh_in_row = take_retry ? 0 : d->fresh_in_row + 1;
    return LIST_ENTRY(node, struct work, u.ready);
}

/* The tenant whose turn it is, or NULL. Its deficit is above zero. */
static struct sched_tenant *pick_tenant(struct sched *s)
{
    while (!list_empty(&s->ring)) {
        struct sched_tenant *t = LIST_ENTRY(s->ring.next, struct sched_tenant, ring);
        if (t->deficit > 0) {
            return t;
        }
        const bool alone = t->ring.next == &s->ring && t->ring.prev == &s->ring;
        t->deficit = alone ? QUANTUM_KIB : t->deficit + QUANTUM_KIB;
        list_del(&t->ring);
        list_push_tail(&s->ring, &t->ring);
    }
    return NULL;
}

static struct work *start(struct sched *s, struct sched_dest *d)
{
    struct work *w = pick_work(d);
    w->state = WORK_INFLIGHT;
    d->tenant->deficit -= w->cost;
    sched_count_start(s, w);
    /* To the end of its tenant's ring, or out of it. */
    list_del(&d->place);
    d->where = DEST_NOWHERE;
    d->queued.key = 0; /* its turn has been used */
    sched_place(s, d);
    return w;
}

static bool has_room(const struct sched *s)
{
    return s->n_inflight < s->cfg.max_inflight &&
           (s->cfg.max_inflight_kib == 0 || s->inflight_kib < s->cfg.max_inflight_kib);
}

struct work *sched_next(struct sched *s, int64_t now)
{
    collect_due(s, now);
    sched_reopen(s, now);
    while (has_room(s)) {
        sched_unblock(s);
        struct sched_tenant *t = pick_tenant(s);
        if (t == NULL && list_empty(&s->loose)) {
            return NULL;
        }
        if (t == NULL) {
            continue; /* ends: each round lets one destination go, none comes back */
        }
        struct sched_dest *d = LIST_ENTRY(t->dests.next, struct sched_dest, place);
        if (d->host->n_inflight < s->cfg.max_inflight_per_host) {
            return start(s, d);
        }
        sched_block(s, d); /* its host filled up meanwhile */
    }
    return NULL;
}

int64_t sched_next_due(const struct sched *s)
{
    const struct heap_node *waiting = heap_min(&s->waiting);
    const struct heap_node *closed = heap_min(&s->closed);
    int64_t due = waiting != NULL ? waiting->key : TIME_NEVER;
    if (closed != NULL && closed->key < due) {
        due = closed->key;
    }
    return due;
}

void sched_done(struct sched *s, struct work *w)
{
    LL_ASSERT(w->state == WORK_INFLIGHT);
    sched_count_end(s, w);
    forget(s, w);
}

void sched_again(struct sched *s, struct work *w, uint32_t number, int64_t due_ms, int64_t now)
{
    LL_ASSERT(w->state == WORK_INFLIGHT);
    w->number = number;
    sched_count_end(s, w);
    make_due(s, w, due_ms, now);
    sched_place(s, w->dest);
}

void sched_stats(const struct sched *s, struct sched_stats *out)
{
    *out = (struct sched_stats){.n_works = s->works.n,
                                .n_waiting = s->waiting.n,
                                .n_inflight = s->n_inflight,
                                .n_dests = s->dests.n,
                                .n_open_breakers = s->n_open};
}
