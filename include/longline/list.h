/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Intrusive doubly linked list, one node per membership, named for the list it is in.
 * list_del re-initialises the node: deleting twice is harmless and list_linked is meaningful.
 */
#ifndef LL_LIST_H
#define LL_LIST_H

#include <stdbool.h>
#include <stddef.h>

#include "longline/check.h"

struct list {
    struct list *next;
    struct list *prev;
};

static inline void list_init(struct list *l)
{
    l->next = l;
    l->prev = l;
}

static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}

static inline bool list_linked(const struct list *node)
{
    return node->next != node;
}

static inline void list_insert(struct list *prev, struct list *node)
{
    node->prev = prev;
    node->next = prev->next;
    prev->next->prev = node;
    prev->next = node;
}

static inline void list_push_head(struct list *l, struct list *node)
{
    list_insert(l, node);
}

static inline void list_push_tail(struct list *l, struct list *node)
{
    list_insert(l->prev, node);
}

static inline void list_del(struct list *node)
{
    node->next->prev = node->prev;
    node->prev->next = node->next;
    list_init(node);
}

/* First node taken out, or NULL. */
static inline struct list *list_pop_head(struct list *l)
{
    struct list *node = l->next;
    if (node == l) {
        return NULL;
    }
    list_del(node);
    return node;
}

/* Moves all nodes of src to the tail of dst. */
static inline void list_splice_tail(struct list *dst, struct list *src)
{
    if (list_empty(src)) {
        return;
    }
    src->next->prev = dst->prev;
    dst->prev->next = src->next;
    src->prev->next = dst;
    dst->prev = src->prev;
    list_init(src);
}

#define LIST_ENTRY(ptr, type, member) LL_CONTAINER(ptr, type, member)

/* NOLINTBEGIN(bugprone-macro-parentheses): the names of variables to declare. */
/* `it` is a struct list pointer; the _SAFE form allows list_del(it) inside. */
#define LIST_FOREACH(it, l)           for (struct list *it = (l)->next; it != (l); it = it->next)
#define LIST_FOREACH_SAFE(it, tmp, l)                                                              \
    for (struct list *it = (l)->next, *tmp = it->next; it != (l); it = tmp, tmp = it->next)
/* NOLINTEND(bugprone-macro-parentheses) */

#endif
