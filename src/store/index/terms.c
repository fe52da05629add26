/* SPDX-License-Identifier: Apache-2.0 */
#include "index/terms.h"

#include <stdlib.h>

#include "longline/enc.h"
#include "longline/hash.h"
#include "longline/mem.h"

#define FIRST_SLOTS 4096U
#define INLINE_TEXT 400U

/* Part of the format on disk. */
uint64_t term_hash(enum term_kind kind, struct str a, struct str b)
{
    char bytes[3 + INLINE_TEXT];

    bytes[0] = (char)kind;
    if (a.n + b.n <= INLINE_TEXT) {
        put_be16(bytes + 1, (uint16_t)a.n);
        memcpy(bytes + 3, a.p != NULL ? a.p : "", a.n);
        memcpy(bytes + 3 + a.n, b.p != NULL ? b.p : "", b.n);
        return hash_stable(str_of(bytes, 3 + a.n + b.n));
    }
    put_be64(bytes + 1, hash_stable(a));
    put_be64(bytes + 9, hash_stable(b));
    return hash_stable(str_of(bytes, 17));
}

uint64_t term_of_id(struct str id)
{
    return hash_stable(id);
}

void terms_init(struct terms *t)
{
    *t = (struct terms){.n_slots = FIRST_SLOTS};
    t->slots = mem_array(t->n_slots, sizeof(*t->slots));
}

void terms_fini(struct terms *t)
{
    mem_free(t->lists);
    mem_free(t->pairs);
    mem_free(t->slots);
    *t = (struct terms){0};
}

void terms_reset(struct terms *t)
{
    t->n_lists = 0;
    t->n_pairs = 0;
    memset(t->slots, 0, t->n_slots * sizeof(*t->slots));
}

/* The slot of the term, or the free one where it belongs; terms are well mixed already. */
static uint32_t *probe(struct terms *t, uint64_t term)
{
    size_t at = (size_t)term & (t->n_slots - 1);
    while (t->slots[at] != 0 && t->lists[t->slots[at] - 1].term != term) {
        at = (at + 1) & (t->n_slots - 1);
    }
    return &t->slots[at];
}

static void grow_slots(struct terms *t)
{
    mem_free(t->slots);
    t->n_slots *= 2;
    t->slots = mem_array(t->n_slots, sizeof(*t->slots));
    for (size_t i = 0; i < t->n_lists; i++) {
        *probe(t, t->lists[i].term) = (uint32_t)i + 1;
    }
}

static struct term_list *list_of(struct terms *t, uint64_t term)
{
    uint32_t *slot = probe(t, term);
    if (*slot != 0) {
        return &t->lists[*slot - 1];
    }
    if (t->n_lists == t->cap_lists) {
        t->cap_lists = t->cap_lists != 0 ? t->cap_lists * 2 : 256;
        t->lists = mem_realloc_array(t->lists, t->cap_lists, sizeof(*t->lists));
    }
    t->lists[t->n_lists] = (struct term_list){.term = term};
    *slot = (uint32_t)++t->n_lists;
    if (t->n_lists > t->n_slots / 2) {
        grow_slots(t);
    }
    return &t->lists[t->n_lists - 1];
}

void terms_add(struct terms *t, uint64_t term, uint64_t seq)
{
    struct term_list *l = list_of(t, term);
    if (l->n != 0 && t->pairs[l->last].seq == seq) {
        return; /* a destination can be named twice */
    }
    if (t->n_pairs == t->cap_pairs) {
        t->cap_pairs = t->cap_pairs != 0 ? t->cap_pairs * 2 : 4096;
        t->pairs = mem_realloc_array(t->pairs, t->cap_pairs, sizeof(*t->pairs));
    }
    t->pairs[t->n_pairs] = (struct term_pair){.seq = seq};
    if (l->n == 0) {
        l->first = (uint32_t)t->n_pairs;
    } else {
        t->pairs[l->last].next = (uint32_t)t->n_pairs + 1;
    }
    l->last = (uint32_t)t->n_pairs++;
    l->n++;
}

static int by_term(const void *a, const void *b)
{
    const struct term_list *x = a;
    const struct term_list *y = b;
    return x->term < y->term ? -1 : x->term > y->term;
}

void terms_sort(struct terms *t)
{
    if (t->n_lists > 1) {
        qsort(t->lists, t->n_lists, sizeof(*t->lists), by_term);
    }
}
