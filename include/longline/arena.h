/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for everything parsed or built for one request or one attempt; freed in one call.
 * Nothing that outlives the request may point into it. `max` bounds the total.
 */
#ifndef LL_ARENA_H
#define LL_ARENA_H

#include "longline/err.h"
#include "longline/str.h"

struct arena_chunk;

struct arena {
    struct arena_chunk *head;
    size_t used; /* bytes handed out and reserved, compared with max */
    size_t max;
};

void arena_init(struct arena *a, size_t max);
void arena_fini(struct arena *a);
/* Empties it and keeps one chunk for reuse. */
void arena_reset(struct arena *a);

/* 16-byte aligned, uninitialised; NULL when max would be exceeded or memory is gone. */
void *arena_alloc(struct arena *a, size_t n);
void *arena_zalloc(struct arena *a, size_t n);
/* Grows or shrinks in place when it was the last allocation, else copies to grow. */
void *arena_realloc(struct arena *a, void *p, size_t old_n, size_t n);
/* A terminated copy; p is NULL on failure. */
struct str arena_str(struct arena *a, struct str s);
char *arena_printf(struct arena *a, const char *fmt, ...) LL_PRINTF(2, 3);

#endif
