/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Open addressing with robin-hood insertion: an item never sits further from its home slot than
 * the one it would displace, so probes stay short at a load of 7/8. Deletion shifts the followers
 * back; there are no tombstones, and a table that has become sparse shrinks.
 */
#include "longline/map.h"

#include "longline/check.h"
#include "longline/hash.h"
#include "longline/mem.h"

#define MIN_SLOTS 16
#define NOT_FOUND SIZE_MAX

struct map_slot {
    uint64_t hash;
    void *item; /* NULL: free */
};

static size_t distance(const struct map *m, size_t at)
{
    return (at - (size_t)m->slots[at].hash) & (m->n_slots - 1);
}

void map_init(struct map *m, map_key_fn key_of)
{
    *m = (struct map){.key_of = key_of};
}

void map_fini(struct map *m)
{
    mem_free(m->slots);
    *m = (struct map){.key_of = m->key_of};
}

static size_t find(const struct map *m, struct str key, uint64_t hash)
{
    const size_t mask = m->n_slots - 1;
    size_t at = (size_t)hash & mask;

    if (m->n == 0) {
        return NOT_FOUND;
    }
    for (size_t d = 0;; d++, at = (at + 1) & mask) {
        const struct map_slot *slot = &m->slots[at];
        if (slot->item == NULL || distance(m, at) < d) {
            return NOT_FOUND;
        }
        if (slot->hash == hash && str_eq(m->key_of(slot->item), key)) {
            return at;
        }
    }
}

/* The item is known to be absent and a free slot exists. */
static void insert(struct map *m, struct map_slot entry)
{
    const size_t mask = m->n_slots - 1;
    size_t at = (size_t)entry.hash & mask;

    for (size_t d = 0;; d++, at = (at + 1) & mask) {
        struct map_slot *slot = &m->slots[at];
        size_t held;
        if (slot->item == NULL) {
            *slot = entry;
            return;
        }
        held = distance(m, at);
        if (held < d) {
            const struct map_slot displaced = *slot;
            *slot = entry;
            entry = displaced;
            d = held;
        }
    }
}

static void resize(struct map *m, size_t n_slots)
{
    struct map_slot *old = m->slots;
    const size_t old_n = m->n_slots;

    m->slots = mem_array(n_slots, sizeof(*m->slots));
    m->n_slots = n_slots;
    for (size_t i = 0; i < old_n; i++) {
        if (old[i].item != NULL) {
            insert(m, old[i]);
        }
    }
    mem_free(old);
}

void *map_get(const struct map *m, struct str key)
{
    size_t at;
    if (m->n == 0) {
        return NULL;
    }
    at = find(m, key, hash_random(key));
    return at != NOT_FOUND ? m->slots[at].item : NULL;
}

void *map_put(struct map *m, void *item)
{
    const struct str key = m->key_of(item);
    const uint64_t hash = hash_random(key);
    const size_t at = find(m, key, hash);

    if (at != NOT_FOUND) {
        void *old = m->slots[at].item;
        m->slots[at].item = item;
        return old;
    }
    if (m->n_slots == 0) {
        resize(m, MIN_SLOTS);
    } else if (m->n >= m->n_slots - m->n_slots / 8) {
        resize(m, m->n_slots * 2);
    }
    insert(m, (struct map_slot){.hash = hash, .item = item});
    m->n++;
    return NULL;
}

void *map_del(struct map *m, struct str key)
{
    const size_t mask = m->n_slots - 1;
    void *item;
    size_t at;
    size_t next;

    if (m->n == 0) {
        return NULL;
    }
    at = find(m, key, hash_random(key));
    if (at == NOT_FOUND) {
        return NULL;
    }
    item = m->slots[at].item;
    for (next = (at + 1) & mask; m->slots[next].item != NULL && distance(m, next) != 0;
         next = (next + 1) & mask) {
        m->slots[at] = m->slots[next];
        at = next;
    }
    m->slots[at] = (struct map_slot){0};
    m->n--;
    if (m->n_slots > MIN_SLOTS && m->n < m->n_slots / 8) {
        resize(m, m->n_slots / 4 > MIN_SLOTS ? m->n_slots / 4 : MIN_SLOTS);
    }
    return item;
}

void *map_next(const struct map *m, size_t *pos)
{
    while (*pos < m->n_slots) {
        void *item = m->slots[(*pos)++].item;
        if (item != NULL) {
            return item;
        }
    }
    return NULL;
}
