/* SPDX-License-Identifier: Apache-2.0 */
#include "longline/heap.h"

#include "longline/check.h"
#include "longline/mem.h"

#define FIRST_CAP 64

void heap_init(struct heap *h)
{
    *h = (struct heap){0};
}

void heap_fini(struct heap *h)
{
    for (size_t i = 0; i < h->n; i++) {
        h->v[i]->index = 0;
    }
    mem_free(h->v);
    *h = (struct heap){0};
}

void heap_reserve(struct heap *h, size_t n)
{
    size_t cap = h->cap != 0 ? h->cap : FIRST_CAP;
    if (n <= h->cap) {
        return;
    }
    while (cap < n) {
        cap *= 2;
    }
    h->v = mem_realloc_array(h->v, cap, sizeof(*h->v));
    h->cap = cap;
}

static void place(struct heap *h, size_t at, struct heap_node *node)
{
    h->v[at] = node;
    node->index = at + 1;
}

/* Both move a hole instead of swapping: one write per level. */
static void sift_up(struct heap *h, size_t at, struct heap_node *node)
{
    while (at != 0) {
        const size_t parent = (at - 1) / 2;
        if (h->v[parent]->key <= node->key) {
            break;
        }
        place(h, at, h->v[parent]);
        at = parent;
    }
    place(h, at, node);
}

static void sift_down(struct heap *h, size_t at, struct heap_node *node)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= h->n) {
            break;
        }
        if (child + 1 < h->n && h->v[child + 1]->key < h->v[child]->key) {
            child++;
        }
        if (node->key <= h->v[child]->key) {
            break;
        }
        place(h, at, h->v[child]);
        at = child;
    }
    place(h, at, node);
}

static void settle(struct heap *h, size_t at, struct heap_node *node)
{
    if (at != 0 && node->key < h->v[(at - 1) / 2]->key) {
        sift_up(h, at, node);
    } else {
        sift_down(h, at, node);
    }
}

void heap_insert(struct heap *h, struct heap_node *node, int64_t key)
{
    LL_ASSERT(node->index == 0);
    heap_reserve(h, h->n + 1);
    node->key = key;
    h->n++;
    sift_up(h, h->n - 1, node);
}

void heap_remove(struct heap *h, struct heap_node *node)
{
    struct heap_node *last;
    const size_t at = node->index - 1;

    if (node->index == 0) {
        return;
    }
    LL_ASSERT(at < h->n && h->v[at] == node);
    last = h->v[h->n - 1];
    h->n--;
    node->index = 0;
    if (last != node) {
        settle(h, at, last);
    }
}

void heap_update(struct heap *h, struct heap_node *node, int64_t key)
{
    LL_ASSERT(node->index != 0 && node->index <= h->n && h->v[node->index - 1] == node);
    node->key = key;
    settle(h, node->index - 1, node);
}

#ifdef LL_DEBUG
void heap_validate(const struct heap *h)
{
    for (size_t i = 0; i < h->n; i++) {
        LL_ASSERT(h->v[i]->index == i + 1);
        LL_ASSERT(i == 0 || h->v[(i - 1) / 2]->key <= h->v[i]->key);
    }
}
#endif
