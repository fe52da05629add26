/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A growing byte buffer with a mandatory maximum.
 *
 *   p: [ n bytes in use | spare up to cap ]      cap <= max
 *
 * A small buffer grows by doubling. A large one grows by a quarter, so that what it reserves is
 * little more than what it holds; such blocks are moved by the kernel, not copied (mem.h).
 *
 * Value object: buf_init/buf_fini. A failed append leaves the content as it was and is remembered
 * in `failed`, so that a writer may append freely and check once at the end.
 */
#ifndef LL_BUF_H
#define LL_BUF_H

#include <stdbool.h>
#include <stdint.h>

#include "longline/err.h"
#include "longline/str.h"

struct buf {
    char *p;
    size_t n;
    size_t cap;
    size_t max;
    bool failed; /* an append did not fit */
};

void buf_init(struct buf *b, size_t max);
void buf_fini(struct buf *b);
void buf_fini_secret(struct buf *b); /* wipes the memory first */
void buf_reset(struct buf *b);       /* n = 0, failed = false, capacity kept */
/* Gives memory above `keep` bytes back; only for an empty buffer. */
void buf_shrink(struct buf *b, size_t keep);

/* Room for n more bytes: 0, ERR_TOO_BIG (above max) or ERR_NOMEM. */
int buf_reserve(struct buf *b, size_t n) LL_MUST_USE;
/* These return 0 or the error of buf_reserve; the result may be ignored if `failed` is read later.
 * After a failure nothing more is added until buf_reset. */
int buf_add(struct buf *b, const void *p, size_t n);
int buf_add_str(struct buf *b, struct str s);
int buf_add_c(struct buf *b, char c);
int buf_add_u64(struct buf *b, uint64_t v); /* decimal */
int buf_add_i64(struct buf *b, int64_t v);
int buf_printf(struct buf *b, const char *fmt, ...) LL_PRINTF(2, 3);
#define buf_add_lit(b, lit) buf_add((b), (lit), sizeof(lit) - 1)

/* Removes n bytes at the front (memmove). */
void buf_consume(struct buf *b, size_t n);

static inline struct str buf_str(const struct buf *b)
{
    return str_of(b->p, b->n);
}

#endif
