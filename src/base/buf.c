/* SPDX-License-Identifier: Apache-2.0 */
#include "longline/buf.h"

#include <stdarg.h>
#include <stdio.h>

#include "longline/check.h"
#include "longline/ckd.h"
#include "longline/mem.h"

#define FIRST_CAP  256
#define DOUBLE_MAX ((size_t)64 << 10) /* up to here a buffer doubles, above it grows by a quarter */

void buf_init(struct buf *b, size_t max)
{
    *b = (struct buf){.max = max};
}

void buf_fini(struct buf *b)
{
    mem_free(b->p);
    *b = (struct buf){.max = b->max};
}

void buf_fini_secret(struct buf *b)
{
    if (b->p != NULL) {
        mem_wipe(b->p, b->cap);
    }
    buf_fini(b);
}

void buf_reset(struct buf *b)
{
    b->n = 0;
    b->failed = false;
}

void buf_shrink(struct buf *b, size_t keep)
{
    char *p;
    LL_ASSERT(b->n == 0);
    if (b->cap <= keep) {
        return;
    }
    if (keep == 0) {
        mem_free(b->p);
        b->p = NULL;
        b->cap = 0;
        return;
    }
    p = mem_try_realloc(b->p, keep);
    if (p != NULL) {
        b->p = p;
        b->cap = keep;
    }
}

/* The slow half of buf_reserve, kept apart so that appends inline the test for room. */
static int grow(struct buf *b, size_t n) __attribute__((noinline));

static int grow(struct buf *b, size_t n)
{
    size_t need;
    size_t cap;
    char *p;

    if (ckd_add_size(&need, b->n, n) || need > b->max) {
        return ERR_TOO_BIG;
    }
    cap = FIRST_CAP;
    if (b->cap != 0 && ckd_add_size(&cap, b->cap, b->cap < DOUBLE_MAX ? b->cap : b->cap / 4)) {
        cap = need;
    }
    cap = cap > need ? cap : need;
    if (cap > b->max) {
        cap = b->max;
    }
    p = mem_try_realloc(b->p, cap);
    if (p == NULL) {
        return ERR_NOMEM;
    }
    b->p = p;
    b->cap = cap;
    return 0;
}

int buf_reserve(struct buf *b, size_t n)
{
    return n <= b->cap - b->n ? 0 : grow(b, n);
}

/* Room for an append: the failure is remembered, and after one failure nothing more is added, so
 * that the content stays a prefix of what was meant. */
static inline int make_room(struct buf *b, size_t n)
{
    int rc;
    if (__builtin_expect(!b->failed && n <= b->cap - b->n, 1)) {
        return 0;
    }
    if (b->failed) {
        return ERR_TOO_BIG;
    }
    rc = grow(b, n);
    b->failed = rc != 0;
    return rc;
}

int buf_add(struct buf *b, const void *p, size_t n)
{
    const int rc = make_room(b, n);
    if (rc != 0) {
        return rc;
    }
    if (n != 0) {
        memcpy(b->p + b->n, p, n);
        b->n += n;
    }
    return 0;
}

int buf_add_str(struct buf *b, struct str s)
{
    return buf_add(b, s.p, s.n);
}

int buf_add_c(struct buf *b, char c)
{
    const int rc = make_room(b, 1);
    if (rc != 0) {
        return rc;
    }
    b->p[b->n++] = c;
    return 0;
}

int buf_add_u64(struct buf *b, uint64_t v)
{
    char digits[20];
    size_t at = sizeof(digits);
    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v != 0);
    return buf_add(b, digits + at, sizeof(digits) - at);
}

int buf_add_i64(struct buf *b, int64_t v)
{
    char digits[21];
    size_t at = sizeof(digits);
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    do {
        digits[--at] = (char)('0' + u % 10);
        u /= 10;
    } while (u != 0);
    if (v < 0) {
        digits[--at] = '-';
    }
    return buf_add(b, digits + at, sizeof(digits) - at);
}

int buf_printf(struct buf *b, const char *fmt, ...)
{
    va_list ap;
    size_t room = b->cap - b->n;
    int len;
    int rc;

    va_start(ap, fmt);
    len = vsnprintf(room != 0 ? b->p + b->n : NULL, room, fmt, ap);
    va_end(ap);
    LL_ASSERT(len >= 0);
    if (!b->failed && (size_t)len < room) {
        b->n += (size_t)len;
        return 0;
    }
    /* vsnprintf wants a byte for the terminator, which is not part of the content; text that fits
     * max exactly therefore goes through a temporary copy. */
    rc = make_room(b, (size_t)len);
    if (rc != 0) {
        return rc;
    }
    room = b->cap - b->n;
    if ((size_t)len < room) {
        va_start(ap, fmt);
        (void)vsnprintf(b->p + b->n, room, fmt, ap);
        va_end(ap);
    } else {
        char *copy = mem_try_alloc((size_t)len + 1);
        if (copy == NULL) {
            b->failed = true;
            return ERR_NOMEM;
        }
        va_start(ap, fmt);
        (void)vsnprintf(copy, (size_t)len + 1, fmt, ap);
        va_end(ap);
        memcpy(b->p + b->n, copy, (size_t)len);
        mem_free(copy);
    }
    b->n += (size_t)len;
    return 0;
}

void buf_consume(struct buf *b, size_t n)
{
    LL_ASSERT(n <= b->n);
    b->n -= n;
    if (b->n != 0 && n != 0) {
        memmove(b->p, b->p + n, b->n);
    }
}
