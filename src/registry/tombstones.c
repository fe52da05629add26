/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is remembered of deleted tenants, so that a tenant that is made anew under the same id is
 * not opened by the tokens of the old one.
 *
 * Tokens that the gateway issues name the tenant's generation, a random number, and need none of
 * this. Tokens made elsewhere can only be told by their iat: those of a tenant that was deleted
 * before must be younger than that. A tenant whose id was never used before has no such bound, so
 * its tokens may lack iat, or be made ahead of it.
 *
 * There are at most r->max_tombstones; beyond them the one with the oldest bound goes, and
 * r->floor_s takes its bound over for every id that is not remembered.
 */
#include "registry_internal.h"

#include "longline/check.h"
#include "longline/mem.h"

#define RECORD_MAX 128

/* The key of the floor among the tombstones. No id of a tenant has a control character. */
static struct str floor_key(void)
{
    return str_of("\0", 1);
}

static struct str id_of(const void *item)
{
    const struct tombstone *t = item;
    return str_of(t->id, t->n);
}

void tombstones_init(struct registry *r)
{
    map_init(&r->tombstones, id_of);
    heap_init(&r->tombstones_by_age);
}

void tombstones_fini(struct registry *r)
{
    struct heap_node *node;
    while ((node = heap_min(&r->tombstones_by_age)) != NULL) {
        heap_remove(&r->tombstones_by_age, node);
        mem_free(LL_CONTAINER(node, struct tombstone, node));
    }
    heap_fini(&r->tombstones_by_age);
    map_fini(&r->tombstones);
}

static int save(struct registry *r, struct str key, int64_t tokens_after_s)
{
    struct buf text;
    struct jw w;
    buf_init(&text, RECORD_MAX);
    jw_init(&w, &text);
    tombstone_write_stored(&w, tokens_after_s);
    const int rc = text.failed ? ERR_TOO_BIG
                               : store_put_object(r->store, STORE_TOMBSTONE, key, buf_str(&text));
    buf_fini(&text);
    return rc;
}

static void forget(struct registry *r, struct tombstone *t)
{
    (void)map_del(&r->tombstones, id_of(t));
    heap_remove(&r->tombstones_by_age, &t->node);
    mem_free(t);
}

/* The floor is raised before the tombstone goes: between the two nothing is forgotten. */
static int evict(struct registry *r)
{
    struct tombstone *t = LL_CONTAINER(heap_min(&r->tombstones_by_age), struct tombstone, node);
    if (t->node.key > r->floor_s) {
        const int rc = save(r, floor_key(), t->node.key);
        if (rc != 0) {
            return rc;
        }
        r->floor_s = t->node.key;
    }
    store_del_object(r->store, STORE_TOMBSTONE, id_of(t));
    forget(r, t);
    return 0;
}

static void insert(struct registry *r, struct str id, int64_t tokens_after_s)
{
    struct tombstone *t = mem_zalloc(sizeof(*t) + id.n);
    t->n = id.n;
    memcpy(t->id, id.p, id.n);
    (void)map_put(&r->tombstones, t);
    heap_insert(&r->tombstones_by_age, &t->node, tokens_after_s);
}

int tombstone_put(struct registry *r, struct str id, int64_t tokens_after_s)
{
    struct tombstone *old = map_get(&r->tombstones, id);
    int rc = 0;
    if (old == NULL && r->tombstones.n >= r->max_tombstones) {
        rc = evict(r);
    }
    if (rc == 0) {
        rc = save(r, id, tokens_after_s);
    }
    if (rc != 0) {
        return rc;
    }
    if (old != NULL) {
        heap_update(&r->tombstones_by_age, &old->node, tokens_after_s);
    } else {
        insert(r, id, tokens_after_s);
    }
    return 0;
}

void tombstone_load(struct registry *r, struct str key, int64_t tokens_after_s)
{
    if (str_eq(key, floor_key())) {
        r->floor_s = tokens_after_s;
    } else {
        insert(r, key, tokens_after_s);
    }
}

int64_t tombstone_bound(const struct registry *r, struct str id, int64_t now_s)
{
    const struct tombstone *t = map_get(&r->tombstones, id);
    if (t == NULL) {
        return r->floor_s;
    }
    const int64_t bound = t->node.key > now_s ? t->node.key : now_s;
    return bound > 0 ? bound : 1; /* 0 stands for none */
}

void tombstone_drop(struct registry *r, struct str id)
{
    struct tombstone *t = map_get(&r->tombstones, id);
    if (t != NULL) {
        store_del_object(r->store, STORE_TOMBSTONE, id);
        forget(r, t);
    }
}
