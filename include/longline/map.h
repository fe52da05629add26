/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Hash table from a byte-string key to a pointer. Keys are hashed with SipHash under a per-process
 * random key, so publishers cannot choose collisions. The table stores the items only; the key of
 * an item is read through `key_of` and must not change while the item is in the table.
 */
#ifndef LL_MAP_H
#define LL_MAP_H

#include <stdint.h>

#include "longline/str.h"

typedef struct str (*map_key_fn)(const void *item);

struct map_slot;

struct map {
    struct map_slot *slots; /* private */
    size_t n;               /* items */
    size_t n_slots;
    map_key_fn key_of;
};

void map_init(struct map *m, map_key_fn key_of);
void map_fini(struct map *m); /* items belong to the caller */
void *map_get(const struct map *m, struct str key);
/* Inserts or replaces; returns the item that was replaced, else NULL. */
void *map_put(struct map *m, void *item);
/* Takes out and returns the item, or NULL. */
void *map_del(struct map *m, struct str key);
/* Iteration: start with *pos = 0; NULL at the end. Do not change the table meanwhile. */
void *map_next(const struct map *m, size_t *pos);

/* Map keyed by a 64-bit number. Same rules. */
struct map64 {
    struct map64_slot *slots;
    size_t n;
    size_t n_slots;
};
void map64_init(struct map64 *m);
void map64_fini(struct map64 *m);
void *map64_get(const struct map64 *m, uint64_t key);
void *map64_put(struct map64 *m, uint64_t key, void *item); /* item != NULL; returns the old one */
void *map64_del(struct map64 *m, uint64_t key);
/* key may be NULL. */
void *map64_next(const struct map64 *m, size_t *pos, uint64_t *key);

#endif
