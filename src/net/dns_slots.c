/* SPDX-License-Identifier: Apache-2.0 */
#include "dns_slots.h"

#include "longline/check.h"
#include "longline/clock.h"
#include "longline/mem.h"

#define SUSPECT_MS INT64_C(30000)
#define MAX_IDLE   1000

/* Exists while it has turns, and while it is suspect. */
struct dns_group {
    struct list waiting;
    size_t n_used;
    int64_t suspect_until_ms;
    struct list node; /* in one of turns, in idle, or (no slot is left for it) in neither */
    bool is_idle;
    struct str key; /* in text */
    char text[];
};

static struct str group_key(const void *item)
{
    return ((const struct dns_group *)item)->key;
}

void dns_slots_init(struct dns_slots *s, size_t max)
{
    *s = (struct dns_slots){.max = max};
    map_init(&s->groups, group_key);
    list_init(&s->turns[0]);
    list_init(&s->turns[1]);
    list_init(&s->idle);
}

static void group_free(struct dns_slots *s, struct dns_group *g)
{
    if (g->is_idle) {
        s->n_idle--;
    }
    list_del(&g->node);
    (void)map_del(&s->groups, g->key);
    mem_free(g);
}

void dns_slots_fini(struct dns_slots *s)
{
    while (!list_empty(&s->idle)) {
        group_free(s, LIST_ENTRY(s->idle.next, struct dns_group, node));
    }
    LL_ASSERT(s->groups.n == 0 && s->n_used == 0);
    map_fini(&s->groups);
}

static size_t share(size_t max, size_t part)
{
    return max / part > 0 ? max / part : 1;
}

static bool is_suspect(const struct dns_group *g, int64_t now_ms)
{
    return now_ms < g->suspect_until_ms;
}

static void make_idle(struct dns_slots *s, struct dns_group *g, int64_t now_ms)
{
    if (!is_suspect(g, now_ms)) {
        group_free(s, g);
        return;
    }
    g->is_idle = true;
    list_push_tail(&s->idle, &g->node);
    s->n_idle++;
    while (!list_empty(&s->idle)) {
        struct dns_group *old = LIST_ENTRY(s->idle.next, struct dns_group, node);
        if (s->n_idle <= MAX_IDLE && is_suspect(old, now_ms)) {
            return;
        }
        group_free(s, old);
    }
}

/* Enters g where it belongs, behind the others. */
static void place(struct dns_slots *s, struct dns_group *g, int64_t now_ms)
{
    if (g->is_idle) {
        g->is_idle = false;
        s->n_idle--;
    }
    list_del(&g->node);
    if (list_empty(&g->waiting)) {
        if (g->n_used == 0) {
            make_idle(s, g, now_ms);
        }
    } else if (g->n_used < share(s->max, 4)) {
        list_push_tail(&s->turns[is_suspect(g, now_ms) ? 1 : 0], &g->node);
    }
}

/* "b.c" of "a.b.c". */
static struct str group_of(struct str name)
{
    size_t dots = 0;
    for (size_t i = name.n; i > 0; i--) {
        if (name.p[i - 1] == '.' && ++dots == 2) {
            return str_of(name.p + i, name.n - i);
        }
    }
    return name;
}

void dns_slots_wait(struct dns_slots *s, struct dns_turn *t, struct str name, int64_t now_ms)
{
    const struct str key = group_of(name);
    struct dns_group *g = map_get(&s->groups, key);
    if (g == NULL) {
        g = mem_zalloc(sizeof(*g) + key.n);
        memcpy(g->text, key.p, key.n);
        g->key = str_of(g->text, key.n);
        list_init(&g->waiting);
        list_init(&g->node);
        (void)map_put(&s->groups, g);
    }
    t->group = g;
    t->in_slot = false;
    const bool first = list_empty(&g->waiting);
    list_push_tail(&g->waiting, &t->node);
    if (first) {
        place(s, g, now_ms);
    }
}

struct dns_turn *dns_slots_next(struct dns_slots *s, int64_t now_ms)
{
    if (s->n_used >= s->max) {
        return NULL;
    }
    bool suspect = false;
    if (list_empty(&s->turns[0])) {
        if (list_empty(&s->turns[1]) || s->n_suspect >= share(s->max, 2)) {
            return NULL;
        }
        suspect = true;
    }
    struct dns_group *g = LIST_ENTRY(s->turns[suspect ? 1 : 0].next, struct dns_group, node);
    struct dns_turn *t = LIST_ENTRY(list_pop_head(&g->waiting), struct dns_turn, node);
    t->in_slot = true;
    t->suspect = suspect;
    s->n_used++;
    s->n_suspect += suspect ? 1 : 0;
    g->n_used++;
    place(s, g, now_ms);
    return t;
}

void dns_slots_leave(struct dns_slots *s, struct dns_turn *t, bool timed_out, int64_t now_ms)
{
    struct dns_group *g = t->group;
    if (g == NULL) {
        return;
    }
    list_del(&t->node);
    if (t->in_slot) {
        s->n_used--;
        s->n_suspect -= t->suspect ? 1 : 0;
        g->n_used--;
    }
    t->group = NULL;
    t->in_slot = false;
    if (timed_out) {
        g->suspect_until_ms = time_add(now_ms, SUSPECT_MS);
    }
    place(s, g, now_ms);
}
