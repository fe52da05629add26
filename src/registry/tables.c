/* SPDX-License-Identifier: Apache-2.0 */
/* The registry's tables. All changes of them stand here, so that they always agree. */
#include "registry_internal.h"

#include "longline/mem.h"

/* Quotes, a comma, and the work of sorting it in among the others. */
#define TOPIC_COST 32

static struct str tenant_key(const void *item)
{
    const struct tenant_entry *te = item;
    return te->tenant->id;
}

static struct str dest_entry_key(const void *item)
{
    const struct dest_entry *de = item;
    return str_of(de->key, de->key_n);
}

void registry_tables_init(struct registry *r)
{
    map_init(&r->tenants, tenant_key);
    map_init(&r->dests, dest_entry_key);
    map64_init(&r->by_num);
    list_init(&r->filters);
    tombstones_init(r);
}

void registry_tables_fini(struct registry *r)
{
    while (r->order.n != 0) {
        struct tenant_entry *te = r->order.v[r->order.n - 1];
        LIST_FOREACH_SAFE (it, tmp, &te->dests) {
            dest_entry_remove(r, LIST_ENTRY(it, struct dest_entry, node));
        }
        tenant_entry_remove(r, te);
    }
    mem_free(r->order.v);
    map_fini(&r->tenants);
    map_fini(&r->dests);
    map64_fini(&r->by_num);
    tombstones_fini(r);
}

struct tenant_entry *tenant_entry_find(const struct registry *r, struct str id)
{
    return map_get(&r->tenants, id);
}

struct tenant_entry *tenant_entry_put(struct registry *r, struct tenant *t)
{
    struct tenant_entry *te = tenant_entry_find(r, t->id);
    if (te != NULL) {
        /* The table reads the key through the object: out, exchange, in. */
        (void)map_del(&r->tenants, t->id);
        tenant_order_remove(&r->order, te);
        mem_free(te->tenant);
    } else {
        te = mem_zalloc(sizeof(*te));
        list_init(&te->dests);
    }
    te->tenant = t;
    (void)map_put(&r->tenants, te);
    tenant_order_add(&r->order, te);
    return te;
}

void tenant_entry_remove(struct registry *r, struct tenant_entry *te)
{
    LL_ASSERT(list_empty(&te->dests));
    (void)map_del(&r->tenants, te->tenant->id);
    tenant_order_remove(&r->order, te);
    mem_free(te->tenant);
    mem_free(te);
}

int dest_key(struct buf *out, struct str tenant_id, struct str id)
{
    buf_reset(out);
    (void)buf_add_str(out, tenant_id);
    (void)buf_add_c(out, '\0');
    (void)buf_add_str(out, id);
    return out->failed ? ERR_TOO_BIG : 0;
}

struct dest_entry *dest_entry_find(const struct registry *r, struct str tenant_id, struct str id)
{
    char key[1024];
    if (tenant_id.n + 1 + id.n > sizeof(key)) {
        return NULL;
    }
    memcpy(key, tenant_id.p, tenant_id.n);
    key[tenant_id.n] = '\0';
    memcpy(key + tenant_id.n + 1, id.p, id.n);
    return map_get(&r->dests, str_of(key, tenant_id.n + 1 + id.n));
}

/* Before the first one that is younger: nearly always at the end. */
static void insert_by_age(struct tenant_entry *te, struct dest_entry *de)
{
    struct list *at = te->dests.prev;
    while (at != &te->dests) {
        const struct destination *other = LIST_ENTRY(at, struct dest_entry, node)->dest;
        if (other->created_ms < de->dest->created_ms ||
            (other->created_ms == de->dest->created_ms && other->num < de->dest->num)) {
            break;
        }
        at = at->prev;
    }
    list_insert(at, &de->node);
}

size_t json_length(struct str s)
{
    size_t n = s.n;
    for (size_t i = 0; i < s.n; i++) {
        n += s.p[i] == '"' || s.p[i] == '\\' ? 1 : 0;
    }
    return n;
}

static size_t topics_cost(const struct destination *d)
{
    size_t cost = TOPIC_COST * d->n_topics;
    for (size_t i = 0; i < d->n_topics; i++) {
        cost += json_length(d->topics[i]);
    }
    return cost;
}

static void add_up(struct dest_entry *de, struct destination *d, uint32_t weight)
{
    de->dest = d;
    de->weight = weight;
    de->tenant->weight += weight;
    de->tenant->topics_cost += topics_cost(d);
}

static void take_off(struct dest_entry *de)
{
    de->tenant->weight -= de->weight;
    de->tenant->topics_cost -= topics_cost(de->dest);
    destination_free(de->dest);
}

struct dest_entry *dest_entry_add(struct registry *r, struct tenant_entry *te,
                                  struct destination *d, uint32_t weight)
{
    const size_t key_n = d->tenant_id.n + 1 + d->id.n;
    struct dest_entry *de = mem_zalloc(sizeof(*de) + key_n);
    de->tenant = te;
    add_up(de, d, weight);
    de->key_n = key_n;
    memcpy(de->key, d->tenant_id.p, d->tenant_id.n);
    memcpy(de->key + d->tenant_id.n + 1, d->id.p, d->id.n);
    list_init(&de->filter_node);
    list_init(&de->node);
    insert_by_age(te, de);
    te->n_dests++;
    (void)map_put(&r->dests, de);
    (void)map64_put(&r->by_num, d->num, de);
    return de;
}

void dest_entry_replace(struct registry *r, struct dest_entry *de, struct destination *d,
                        uint32_t weight)
{
    registry_filter_drop(r, de);
    take_off(de);
    add_up(de, d, weight);
}

void dest_entry_remove(struct registry *r, struct dest_entry *de)
{
    registry_filter_drop(r, de);
    (void)map_del(&r->dests, str_of(de->key, de->key_n));
    (void)map64_del(&r->by_num, de->dest->num);
    list_del(&de->node);
    de->tenant->n_dests--;
    take_off(de);
    mem_free(de);
}

static int order_cmp(const struct tenant *t, int64_t created_ms, struct str id)
{
    if (t->created_ms != created_ms) {
        return t->created_ms < created_ms ? -1 : 1;
    }
    return str_cmp(t->id, id);
}

size_t tenant_order_find(const struct tenant_order *o, int64_t created_ms, struct str id)
{
    size_t lo = 0;
    size_t hi = o->n;
    while (lo < hi) {
        const size_t mid = lo + (hi - lo) / 2;
        if (order_cmp(o->v[mid]->tenant, created_ms, id) < 0) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

void tenant_order_add(struct tenant_order *o, struct tenant_entry *te)
{
    if (o->n == o->cap) {
        o->cap = o->cap == 0 ? 64 : o->cap * 2;
        o->v = mem_realloc_array(o->v, o->cap, sizeof(struct tenant_entry *));
    }
    const size_t at = tenant_order_find(o, te->tenant->created_ms, te->tenant->id);
    memmove(&o->v[at + 1], &o->v[at], (o->n - at) * sizeof(struct tenant_entry *));
    o->v[at] = te;
    o->n++;
}

void tenant_order_remove(struct tenant_order *o, const struct tenant_entry *te)
{
    const size_t at = tenant_order_find(o, te->tenant->created_ms, te->tenant->id);
    LL_ASSERT(at < o->n && o->v[at] == te);
    o->n--;
    memmove(&o->v[at], &o->v[at + 1], (o->n - at) * sizeof(struct tenant_entry *));
}
