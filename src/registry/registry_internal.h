/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of the registry: its tables. */
#ifndef LL_REGISTRY_INTERNAL_H
#define LL_REGISTRY_INTERNAL_H

#include "longline/heap.h"
#include "longline/map.h"
#include "longline/registry.h"

/* A destination in the tables. The object is replaced on every change, the entry stays. */
struct dest_entry {
    struct destination *dest;
    struct filter *filter; /* compiled; only while filter_ready */
    bool filter_ready;
    uint32_t weight;
    struct list filter_node; /* in registry.filters, least recently used first */
    struct list node;        /* in tenant_entry.dests, in order of creation */
    struct tenant_entry *tenant;
    size_t key_n;
    char key[]; /* tenant id, NUL, destination id */
};

struct tenant_entry {
    struct tenant *tenant;
    struct list dests;
    size_t n_dests;
    size_t weight;      /* of its destinations */
    size_t topics_cost; /* of the union of their topics */
};

/* Tenants by (created_ms, id), for pages. */
struct tenant_order {
    struct tenant_entry **v;
    size_t n;
    size_t cap;
};

/* Destinations that were read from records of an older version, and are yet to be written anew. */
struct reseal {
    uint32_t *nums;
    size_t n;
    size_t cap;
    size_t at; /* those before it are done */
    struct store_waiter waiter;
};
void reseal_note(struct reseal *s, uint32_t num);
void reseal_fini(struct reseal *s);
/* A tenant that was deleted. */
struct tombstone {
    struct heap_node
        node; /* key: the second that tokens of another tenant of that id must follow */
    size_t n;
    char id[];
};

struct registry {
    struct store *store;
    const struct vault *vault;
    size_t max_dests;
    size_t max_filters;
    void (*on_dest_changed)(void *ctx, uint32_t num);
    void *ctx;
    struct map tenants; /* id -> tenant_entry */
    struct map dests;   /* key -> dest_entry */
    struct map64 by_num;
    struct tenant_order order;
    struct list filters;
    size_t n_filters;
    struct reseal reseal;
    size_t max_tombstones;
    struct map tombstones; /* id -> tombstone */
    struct heap tombstones_by_age;
    int64_t floor_s; /* the same bound for ids without one; 0: none was forgotten yet */
};

void registry_tables_init(struct registry *r);
void registry_tables_fini(struct registry *r);

struct tenant_entry *tenant_entry_find(const struct registry *r, struct str id);
/* Puts the object (taken over) into the tables, replacing the old one. */
struct tenant_entry *tenant_entry_put(struct registry *r, struct tenant *t);
void tenant_entry_remove(struct registry *r, struct tenant_entry *te);

struct dest_entry *dest_entry_find(const struct registry *r, struct str tenant_id, struct str id);
struct dest_entry *dest_entry_add(struct registry *r, struct tenant_entry *te,
                                  struct destination *d, uint32_t weight);
void dest_entry_replace(struct registry *r, struct dest_entry *de, struct destination *d,
                        uint32_t weight);
void dest_entry_remove(struct registry *r, struct dest_entry *de);

void tenant_order_add(struct tenant_order *o, struct tenant_entry *te);
void tenant_order_remove(struct tenant_order *o, const struct tenant_entry *te);
/* First position whose (created_ms, id) is not below the given one. */
size_t tenant_order_find(const struct tenant_order *o, int64_t created_ms, struct str id);

/* The compiled filter; *usable is false when the stored one does not compile (it matches
 * nothing). */
const struct filter *registry_filter(struct registry *r, struct dest_entry *de, bool *usable);
void registry_filter_drop(struct registry *r, struct dest_entry *de);

/* The key under which a destination stands in the store: tenant id, NUL, destination id. */
int dest_key(struct buf *out, struct str tenant_id, struct str id);

/* The length of s in JSON without its quotes; of text without control characters. */
size_t json_length(struct str s);

/* ---- tombstones.c ---- */
void tombstones_init(struct registry *r);
void tombstones_fini(struct registry *r);
/* Remembers that the tenant goes. ERR_NOMEM: nothing has changed. */
int tombstone_put(struct registry *r, struct str id, int64_t tokens_after_s) LL_MUST_USE;
/* What was stored. */
void tombstone_load(struct registry *r, struct str key, int64_t tokens_after_s);
/* What iat of a token made elsewhere must exceed to be one of the tenant `id` that is made now. */
int64_t tombstone_bound(const struct registry *r, struct str id, int64_t now_s);
/* The tenant lives again. */
void tombstone_drop(struct registry *r, struct str id);

/* Objects to and from the store. */
int tenant_save(struct registry *r, const struct tenant *t);
/* ERR_RANGE when it weighs more than max_weight: nothing is stored then. */
int dest_save(struct registry *r, const struct destination *d, size_t max_weight,
              uint32_t *weight) LL_MUST_USE;
int registry_load(struct registry *r, struct err_detail *err);

#endif
