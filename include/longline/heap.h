/* SPDX-License-Identifier: Apache-2.0 */
/* Intrusive binary min-heap with back-index: insert, remove and re-key are O(log n). */
#ifndef LL_HEAP_H
#define LL_HEAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct heap_node {
    int64_t key;  /* smallest first; set by heap_insert */
    size_t index; /* private; 0 means "in no heap" (positions are stored plus one) */
};

struct heap {
    struct heap_node **v;
    size_t n;
    size_t cap;
};

void heap_init(struct heap *h);
void heap_fini(struct heap *h); /* nodes belong to the caller */
void heap_reserve(struct heap *h, size_t n);
void heap_insert(struct heap *h, struct heap_node *node, int64_t key);
void heap_remove(struct heap *h, struct heap_node *node); /* harmless when not in */
void heap_update(struct heap *h, struct heap_node *node, int64_t key);

static inline struct heap_node *heap_min(const struct heap *h) /* NULL when empty */
{
    return h->n != 0 ? h->v[0] : NULL;
}

static inline bool heap_has(const struct heap_node *node)
{
    return node->index != 0;
}

#ifdef LL_DEBUG
void heap_validate(const struct heap *h);
#endif

#endif
