/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   head -> [ header | used ... | free ] -> older chunk -> ... -> NULL
 *
 * Allocations come from the head only; what is left in older chunks is wasted. `arena.used` counts
 * whole chunks, because that is the memory an outsider can make the process hold.
 */
#include "longline/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include "longline/ckd.h"
#include "longline/mem.h"

#define ALIGN       ((size_t)16)
#define FIRST_CHUNK ((size_t)4096)
/* Chunks double up to this size; larger ones exist only for single large allocations, and those
 * are given back by a reset. */
#define CHUNK_LIMIT ((size_t)64 * 1024)

struct arena_chunk {
    struct arena_chunk *next;
    size_t cap; /* of bytes */
    size_t n;   /* used, a multiple of ALIGN */
    size_t pad; /* keeps bytes aligned */
    _Alignas(ALIGN) unsigned char bytes[];
};

void arena_init(struct arena *a, size_t max)
{
    *a = (struct arena){.max = max};
}

static void free_chunks(struct arena_chunk *c)
{
    while (c != NULL) {
        struct arena_chunk *next = c->next;
        mem_free(c);
        c = next;
    }
}

void arena_fini(struct arena *a)
{
    free_chunks(a->head);
    a->head = NULL;
    a->used = 0;
}

void arena_reset(struct arena *a)
{
    struct arena_chunk *keep = NULL;
    struct arena_chunk *c = a->head;
    while (c != NULL) {
        struct arena_chunk *next = c->next;
        if (c->cap <= CHUNK_LIMIT && (keep == NULL || c->cap > keep->cap)) {
            mem_free(keep);
            keep = c;
        } else {
            mem_free(c);
        }
        c = next;
    }
    if (keep != NULL) {
        keep->next = NULL;
        keep->n = 0;
    }
    a->head = keep;
    a->used = keep != NULL ? keep->cap : 0;
}

/* A new head with room for n bytes (a multiple of ALIGN), or NULL. */
static struct arena_chunk *add_chunk(struct arena *a, size_t n)
{
    const size_t left = a->max > a->used ? a->max - a->used : 0;
    size_t cap = a->head != NULL ? a->head->cap * 2 : FIRST_CHUNK;
    size_t total;
    struct arena_chunk *c;

    if (n > left) {
        return NULL;
    }
    if (cap > CHUNK_LIMIT) {
        cap = CHUNK_LIMIT;
    }
    if (cap < n) {
        cap = n;
    }
    if (cap > left) {
        cap = left & ~(ALIGN - 1);
        if (cap < n) {
            return NULL;
        }
    }
    if (ckd_add_size(&total, sizeof(*c), cap)) {
        return NULL;
    }
    c = mem_try_alloc(total);
    if (c == NULL) {
        return NULL;
    }
    c->next = a->head;
    c->cap = cap;
    c->n = 0;
    a->head = c;
    a->used += cap;
    return c;
}

/* n rounded up to the alignment; 0 when that does not fit (n itself is never 0 here). */
static size_t round_up(size_t n)
{
    return (n + (ALIGN - 1)) & ~(ALIGN - 1);
}

void *arena_alloc(struct arena *a, size_t n)
{
    struct arena_chunk *c = a->head;
    const size_t need = round_up(n != 0 ? n : 1);
    void *p;

    if (need == 0) {
        return NULL;
    }
    if (c == NULL || c->cap - c->n < need) {
        c = add_chunk(a, need);
        if (c == NULL) {
            return NULL;
        }
    }
    p = c->bytes + c->n;
    c->n += need;
    return p;
}

void *arena_zalloc(struct arena *a, size_t n)
{
    void *p = arena_alloc(a, n);
    if (p != NULL) {
        memset(p, 0, n);
    }
    return p;
}

void *arena_realloc(struct arena *a, void *p, size_t old_n, size_t n)
{
    struct arena_chunk *c = a->head;
    const size_t old_need = round_up(old_n != 0 ? old_n : 1);
    const size_t need = round_up(n != 0 ? n : 1);
    void *q;

    if (p == NULL) {
        return arena_alloc(a, n);
    }
    if (need == 0) {
        return NULL;
    }
    if (c != NULL && c->n >= old_need && (unsigned char *)p == c->bytes + (c->n - old_need) &&
        need <= c->cap - (c->n - old_need)) {
        c->n = c->n - old_need + need;
        return p;
    }
    if (need <= old_need) {
        return p;
    }
    q = arena_alloc(a, n);
    if (q != NULL) {
        memcpy(q, p, old_n);
    }
    return q;
}

struct str arena_str(struct arena *a, struct str s)
{
    size_t total;
    char *p;
    if (ckd_add_size(&total, s.n, 1)) {
        return STR_NULL;
    }
    p = arena_alloc(a, total);
    if (p == NULL) {
        return STR_NULL;
    }
    if (s.n != 0) {
        memcpy(p, s.p, s.n);
    }
    p[s.n] = '\0';
    return str_of(p, s.n);
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    int len;
    char *p;

    va_start(ap, fmt);
    len = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    if (len < 0) {
        return NULL;
    }
    p = arena_alloc(a, (size_t)len + 1);
    if (p != NULL) {
        va_start(ap, fmt);
        (void)vsnprintf(p, (size_t)len + 1, fmt, ap);
        va_end(ap);
    }
    return p;
}
