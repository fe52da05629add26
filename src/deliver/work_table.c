/* SPDX-License-Identifier: Apache-2.0 */
/*
 * All works, found by (event, destination). Memory comes in chunks and is kept for reuse: a work is
 * 64 bytes, so a million pending retries cost 64 MB and their hash buckets 8 to 16 MB.
 */
#include "sched_internal.h"

#include "longline/mem.h"

#define CHUNK_WORKS   1024
#define FIRST_BUCKETS 1024

struct work_chunk {
    struct work_chunk *next;
    struct work works[CHUNK_WORKS];
};

static size_t bucket_of(const struct work_table *t, uint64_t event_seq, uint32_t dest_num)
{
    /* Seqs and numbers are ours, not chosen by outsiders: a mixing step is enough. */
    uint64_t h = event_seq ^ ((uint64_t)dest_num << 32) ^ dest_num;
    h ^= h >> 31;
    h *= UINT64_C(0x9e3779b97f4a7c15);
    h ^= h >> 29;
    return (size_t)h & (t->n_buckets - 1);
}

void work_table_init(struct work_table *t)
{
    *t = (struct work_table){.n_buckets = FIRST_BUCKETS};
    t->buckets = mem_array(t->n_buckets, sizeof(struct work *));
}

void work_table_fini(struct work_table *t)
{
    while (t->chunks != NULL) {
        struct work_chunk *next = t->chunks->next;
        mem_free(t->chunks);
        t->chunks = next;
    }
    mem_free(t->buckets);
    t->buckets = NULL;
}

static void grow(struct work_table *t)
{
    struct work **old = t->buckets;
    const size_t n_old = t->n_buckets;
    t->n_buckets = n_old * 2;
    t->buckets = mem_array(t->n_buckets, sizeof(struct work *));
    for (size_t i = 0; i < n_old; i++) {
        for (struct work *w = old[i], *next = NULL; w != NULL; w = next) {
            next = w->hash_next;
            struct work **slot = &t->buckets[bucket_of(t, w->event_seq, w->dest->num)];
            w->hash_next = *slot;
            *slot = w;
        }
    }
    mem_free(old);
}

static void add_chunk(struct work_table *t)
{
    struct work_chunk *c = mem_alloc(sizeof(*c));
    c->next = t->chunks;
    t->chunks = c;
    for (size_t i = 0; i < CHUNK_WORKS; i++) {
        c->works[i].hash_next = t->spare;
        t->spare = &c->works[i];
    }
}

struct work *work_table_add(struct work_table *t, uint64_t event_seq, struct sched_dest *d)
{
    if (t->spare == NULL) {
        add_chunk(t);
    }
    if (t->n >= t->n_buckets) {
        grow(t);
    }
    struct work *w = t->spare;
    t->spare = w->hash_next;
    *w = (struct work){.event_seq = event_seq, .dest = d, .cost = 1};
    struct work **slot = &t->buckets[bucket_of(t, event_seq, d->num)];
    w->hash_next = *slot;
    *slot = w;
    t->n++;
    return w;
}

struct work *work_table_find(const struct work_table *t, uint64_t event_seq, uint32_t dest_num)
{
    struct work *w = t->buckets[bucket_of(t, event_seq, dest_num)];
    while (w != NULL && (w->event_seq != event_seq || w->dest->num != dest_num)) {
        w = w->hash_next;
    }
    return w;
}

void work_table_del(struct work_table *t, struct work *w)
{
    struct work **slot = &t->buckets[bucket_of(t, w->event_seq, w->dest->num)];
    while (*slot != w) {
        LL_ASSERT(*slot != NULL);
        slot = &(*slot)->hash_next;
    }
    *slot = w->hash_next;
    w->dest = NULL;
    w->hash_next = t->spare;
    t->spare = w;
    t->n--;
}
