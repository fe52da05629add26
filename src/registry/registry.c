/* SPDX-License-Identifier: Apache-2.0 */
/* The registry's contract: reading and changing tenants and destinations. */
#include "registry_internal.h"

#include "longline/id.h"
#include "longline/mem.h"

int registry_open(struct registry **out, const struct registry_options *o, struct err_detail *err)
{
    struct registry *r = mem_zalloc(sizeof(*r));
    r->store = o->store;
    r->vault = o->vault;
    r->max_dests = o->max_destinations_per_tenant;
    r->max_filters = o->max_cached_filters;
    r->max_tombstones = o->max_tombstones;
    r->on_dest_changed = o->on_dest_changed;
    r->ctx = o->ctx;
    registry_tables_init(r);
    const int rc = registry_load(r, err);
    if (rc != 0) {
        registry_free(r);
        return rc;
    }
    *out = r;
    return 0;
}

void registry_set_hook(struct registry *r, void (*on_dest_changed)(void *ctx, uint32_t num),
                       void *ctx)
{
    r->on_dest_changed = on_dest_changed;
    r->ctx = ctx;
}

void registry_set_limit(struct registry *r, size_t max_destinations_per_tenant)
{
    r->max_dests = max_destinations_per_tenant;
}

void registry_free(struct registry *r)
{
    if (r != NULL) {
        reseal_fini(&r->reseal);
        registry_tables_fini(r);
        mem_free(r);
    }
}

size_t registry_n_tenants(const struct registry *r)
{
    return r->tenants.n;
}

size_t registry_n_destinations(const struct registry *r)
{
    return r->dests.n;
}

static void changed(struct registry *r, uint32_t num)
{
    if (r->on_dest_changed != NULL) {
        r->on_dest_changed(r->ctx, num);
    }
}

/* ---- tenants ---- */

const struct tenant *registry_tenant(const struct registry *r, struct str id)
{
    const struct tenant_entry *te = tenant_entry_find(r, id);
    return te != NULL ? te->tenant : NULL;
}

/* A new tenant gets a generation of its own, which no earlier one of that id had; one that is
 * replaced stays the same tenant. */
static void set_generation(const struct registry *r, const struct tenant_entry *old,
                           struct tenant *t)
{
    if (old != NULL) {
        t->generation = old->tenant->generation;
        t->tokens_after_s = old->tenant->tokens_after_s;
        return;
    }
    t->generation = 1 + (int64_t)rng_below(rng_system(), TENANT_MAX_GENERATION);
    t->tokens_after_s = tombstone_bound(r, t->id, t->updated_ms / 1000);
}

int registry_put_tenant(struct registry *r, const struct tenant *t, bool *created)
{
    const struct tenant_entry *old = tenant_entry_find(r, t->id);
    const bool is_new = old == NULL;
    struct tenant fresh = *t;
    int rc = is_new ? store_admit(r->store, 0, 0) : store_admit_replace(r->store);
    if (rc == 0) {
        set_generation(r, old, &fresh);
        rc = tenant_save(r, &fresh);
    }
    if (rc != 0) {
        return rc;
    }
    *created = is_new;
    (void)tenant_entry_put(r, tenant_copy(&fresh));
    tombstone_drop(r, t->id);
    return 0;
}

static void remove_dest(struct registry *r, struct dest_entry *de)
{
    const uint32_t num = de->dest->num;
    store_del_object(r->store, STORE_DESTINATION, str_of(de->key, de->key_n));
    dest_entry_remove(r, de);
    changed(r, num);
}

int registry_del_tenant(struct registry *r, struct str id, int64_t now_ms)
{
    struct tenant_entry *te = tenant_entry_find(r, id);
    if (te == NULL) {
        return ERR_NOT_FOUND;
    }
    const int64_t now_s = now_ms / 1000;
    const int64_t before_s = te->tenant->tokens_after_s;
    const int rc = tombstone_put(r, id, now_s > before_s ? now_s : before_s);
    if (rc != 0) {
        return rc;
    }
    LIST_FOREACH_SAFE (it, tmp, &te->dests) {
        remove_dest(r, LIST_ENTRY(it, struct dest_entry, node));
    }
    store_del_object(r->store, STORE_TENANT, id);
    tenant_entry_remove(r, te);
    return 0;
}

size_t registry_tenant_n_destinations(const struct registry *r, struct str id)
{
    const struct tenant_entry *te = tenant_entry_find(r, id);
    return te != NULL ? te->n_dests : 0;
}

size_t registry_tenant_topics_cost(const struct registry *r, struct str id)
{
    const struct tenant_entry *te = tenant_entry_find(r, id);
    return te != NULL ? te->topics_cost : 0;
}

/* The tenants to page through, in their order: all, or those that were asked for by id. */
static int candidates(const struct registry *r, const struct registry_tenant_page *q,
                      struct arena *a, struct tenant_order *out)
{
    if (q->ids.n == 0) {
        *out = r->order;
        return 0;
    }
    *out = (struct tenant_order){.cap = q->ids.n};
    out->v = arena_alloc(a, q->ids.n * sizeof(struct tenant_entry *));
    if (out->v == NULL) {
        return ERR_TOO_BIG;
    }
    for (size_t i = 0; i < q->ids.n; i++) {
        struct tenant_entry *te = tenant_entry_find(r, q->ids.v[i]);
        if (te == NULL) {
            continue;
        }
        const size_t at = tenant_order_find(out, te->tenant->created_ms, te->tenant->id);
        if (at == out->n || out->v[at] != te) { /* an id may stand twice */
            tenant_order_add(out, te);
        }
    }
    return 0;
}

/* Index of the first one to show, going up or (one more than it) going down. */
static size_t page_start(const struct tenant_order *o, const struct registry_tenant_page *q)
{
    if (q->after_id.p == NULL) {
        return q->ascending ? 0 : o->n;
    }
    size_t at = tenant_order_find(o, q->after_ms, q->after_id);
    if (q->ascending && at < o->n && o->v[at]->tenant->created_ms == q->after_ms &&
        str_eq(o->v[at]->tenant->id, q->after_id)) {
        at++;
    }
    return at;
}

int registry_list_tenants(const struct registry *r, const struct registry_tenant_page *q,
                          struct arena *a, const struct tenant ***out, size_t *n, bool *more,
                          size_t *total)
{
    struct tenant_order o;
    const struct tenant **v = arena_alloc(a, (q->limit + 1) * sizeof(const struct tenant *));
    if (v == NULL || candidates(r, q, a, &o) != 0) {
        return ERR_TOO_BIG;
    }
    *total = o.n;
    *out = v;
    *n = 0;
    size_t at = page_start(&o, q);
    while (*n < q->limit && (q->ascending ? at < o.n : at > 0)) {
        v[(*n)++] = o.v[q->ascending ? at : at - 1]->tenant;
        at = q->ascending ? at + 1 : at - 1;
    }
    *more = q->ascending ? at < o.n : at > 0;
    return 0;
}

/* ---- destinations ---- */

const struct destination *registry_dest(const struct registry *r, struct str tenant_id,
                                        struct str id)
{
    const struct dest_entry *de = dest_entry_find(r, tenant_id, id);
    return de != NULL ? de->dest : NULL;
}

const struct destination *registry_dest_by_num(const struct registry *r, uint32_t num)
{
    const struct dest_entry *de = map64_get(&r->by_num, num);
    return de != NULL ? de->dest : NULL;
}

int registry_list_dests(const struct registry *r, struct str tenant_id, struct arena *a,
                        const struct destination ***out, size_t *n)
{
    *n = 0;
    *out = NULL;
    const struct tenant_entry *te = tenant_entry_find(r, tenant_id);
    if (te == NULL || te->n_dests == 0) {
        return te == NULL ? ERR_NOT_FOUND : 0;
    }
    const struct destination **v = arena_alloc(a, te->n_dests * sizeof(const struct destination *));
    if (v == NULL) {
        return ERR_TOO_BIG;
    }
    LIST_FOREACH (it, &te->dests) {
        v[(*n)++] = LIST_ENTRY(it, struct dest_entry, node)->dest;
    }
    *out = v;
    return 0;
}

/* How heavy one destination may be beside the tenant's others; what was stored under other rules
 * may be heavier than that. */
static size_t room_beside(size_t others)
{
    return others < REGISTRY_MAX_TENANT_WEIGHT ? REGISTRY_MAX_TENANT_WEIGHT - others : 0;
}

int registry_add_dest(struct registry *r, struct destination *d, struct arena *a)
{
    struct tenant_entry *te = tenant_entry_find(r, d->tenant_id);
    uint32_t weight;
    if (te == NULL) {
        return ERR_NOT_FOUND;
    }
    if (d->id.n == 0) {
        char *id = arena_alloc(a, ID_LEN);
        if (id == NULL) {
            return ERR_TOO_BIG;
        }
        id_random(id, rng_system());
        d->id = str_of(id, ID_LEN);
    }
    if (dest_entry_find(r, d->tenant_id, d->id) != NULL) {
        return ERR_EXISTS;
    }
    if (te->n_dests >= r->max_dests) {
        return ERR_LIMIT;
    }
    int rc = store_admit(r->store, 0, 0);
    if (rc != 0) {
        return rc;
    }
    d->num = store_next_dest_num(r->store);
    rc = dest_save(r, d, room_beside(te->weight), &weight);
    if (rc != 0) {
        return rc;
    }
    (void)dest_entry_add(r, te, destination_copy(d), weight);
    changed(r, d->num);
    return 0;
}

int registry_put_dest(struct registry *r, const struct destination *d)
{
    struct dest_entry *de = dest_entry_find(r, d->tenant_id, d->id);
    if (de == NULL) {
        return ERR_NOT_FOUND;
    }
    const uint32_t num = de->dest->num; /* d may be what goes */
    LL_ASSERT(num == d->num);
    const size_t room = room_beside(de->tenant->weight - de->weight);
    uint32_t weight = 0;
    int rc = store_admit_replace(r->store);
    if (rc == 0) {
        rc = dest_save(r, d, room > de->weight ? room : de->weight, &weight);
    }
    if (rc != 0) {
        return rc;
    }
    dest_entry_replace(r, de, destination_copy(d), weight);
    changed(r, num);
    return 0;
}

int registry_del_dest(struct registry *r, struct str tenant_id, struct str id)
{
    struct dest_entry *de = dest_entry_find(r, tenant_id, id);
    if (de == NULL) {
        return ERR_NOT_FOUND;
    }
    remove_dest(r, de);
    return 0;
}
