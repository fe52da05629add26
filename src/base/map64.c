/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Linear probing at a load of 3/4. The keys are our own numbers, so a fixed mixing function is
 * enough: nobody outside chooses them.
 */
#include "longline/check.h"
#include "longline/map.h"
#include "longline/mem.h"

#define MIN_SLOTS 16

struct map64_slot {
    uint64_t key;
    void *item; /* NULL: free */
};

static uint64_t mix(uint64_t x)
{
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93U;
    x ^= x >> 32;
    x *= 0xd6e8feb86659fd93U;
    x ^= x >> 32;
    return x;
}

static size_t home(const struct map64 *m, uint64_t key)
{
    return (size_t)mix(key) & (m->n_slots - 1);
}

void map64_init(struct map64 *m)
{
    *m = (struct map64){0};
}

void map64_fini(struct map64 *m)
{
    mem_free(m->slots);
    *m = (struct map64){0};
}

/* The slot that holds key, or the free slot where it belongs. There always is a free slot. */
static struct map64_slot *probe(const struct map64 *m, uint64_t key)
{
    size_t at = home(m, key);
    while (m->slots[at].item != NULL && m->slots[at].key != key) {
        at = (at + 1) & (m->n_slots - 1);
    }
    return &m->slots[at];
}

static void resize(struct map64 *m, size_t n_slots)
{
    struct map64_slot *old = m->slots;
    const size_t old_n = m->n_slots;

    m->slots = mem_array(n_slots, sizeof(*m->slots));
    m->n_slots = n_slots;
    for (size_t i = 0; i < old_n; i++) {
        if (old[i].item != NULL) {
            *probe(m, old[i].key) = old[i];
        }
    }
    mem_free(old);
}

void *map64_get(const struct map64 *m, uint64_t key)
{
    return m->n != 0 ? probe(m, key)->item : NULL;
}

void *map64_put(struct map64 *m, uint64_t key, void *item)
{
    struct map64_slot *slot;
    void *old;

    LL_ASSERT(item != NULL);
    if (m->n_slots == 0) {
        resize(m, MIN_SLOTS);
    } else if (m->n >= m->n_slots - m->n_slots / 4) {
        resize(m, m->n_slots * 2);
    }
    slot = probe(m, key);
    old = slot->item;
    *slot = (struct map64_slot){.key = key, .item = item};
    m->n += old == NULL;
    return old;
}

void *map64_del(struct map64 *m, uint64_t key)
{
    const size_t mask = m->n_slots - 1;
    struct map64_slot *slot;
    void *item;
    size_t hole;

    if (m->n == 0) {
        return NULL;
    }
    slot = probe(m, key);
    item = slot->item;
    if (item == NULL) {
        return NULL;
    }
    /* A follower may fill the hole unless its home lies behind the hole. */
    hole = (size_t)(slot - m->slots);
    for (size_t at = (hole + 1) & mask; m->slots[at].item != NULL; at = (at + 1) & mask) {
        const size_t from_home = (at - home(m, m->slots[at].key)) & mask;
        if (from_home >= ((at - hole) & mask)) {
            m->slots[hole] = m->slots[at];
            hole = at;
        }
    }
    m->slots[hole] = (struct map64_slot){0};
    m->n--;
    if (m->n_slots > MIN_SLOTS && m->n < m->n_slots / 8) {
        resize(m, m->n_slots / 4 > MIN_SLOTS ? m->n_slots / 4 : MIN_SLOTS);
    }
    return item;
}

void *map64_next(const struct map64 *m, size_t *pos, uint64_t *key)
{
    while (*pos < m->n_slots) {
        const struct map64_slot *slot = &m->slots[(*pos)++];
        if (slot->item != NULL) {
            if (key != NULL) {
                *key = slot->key;
            }
            return slot->item;
        }
    }
    return NULL;
}
