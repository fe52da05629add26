/* SPDX-License-Identifier: Apache-2.0 */
/* The only file that calls malloc and its relatives. */
#include "longline/mem.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "longline/ckd.h"

#define LARGE_BLOCK (128 << 10) /* the C library's own default, made final */

static void out_of_memory(void) __attribute__((noreturn, cold));

void mem_setup(void)
{
#ifdef M_MMAP_THRESHOLD
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): there are no threads yet */
    (void)mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK);
#endif
}

static void out_of_memory(void)
{
    static const char text[] = "out of memory\n";
    if (write(STDERR_FILENO, text, sizeof(text) - 1) < 0) {
        abort();
    }
    abort();
}

/* malloc(0) may give NULL; asking for one byte keeps NULL meaning failure. */
static size_t at_least_one(size_t n)
{
    return n != 0 ? n : 1;
}

void *mem_alloc(size_t n)
{
    void *p = malloc(at_least_one(n));
    if (p == NULL) {
        out_of_memory();
    }
    return p;
}

void *mem_zalloc(size_t n)
{
    void *p = calloc(1, at_least_one(n));
    if (p == NULL) {
        out_of_memory();
    }
    return p;
}

void *mem_array(size_t n, size_t size)
{
    void *p = calloc(at_least_one(n), at_least_one(size)); /* calloc checks the product */
    if (p == NULL) {
        out_of_memory();
    }
    return p;
}

void *mem_realloc(void *p, size_t n)
{
    void *q = realloc(p, at_least_one(n));
    if (q == NULL) {
        out_of_memory();
    }
    return q;
}

void *mem_realloc_array(void *p, size_t n, size_t size)
{
    size_t total;
    if (ckd_mul_size(&total, n, size)) {
        out_of_memory();
    }
    return mem_realloc(p, total);
}

char *mem_strndup(const char *p, size_t n)
{
    size_t total;
    char *q;
    if (ckd_add_size(&total, n, 1)) {
        out_of_memory();
    }
    q = mem_alloc(total);
    if (n != 0) {
        memcpy(q, p, n);
    }
    q[n] = '\0';
    return q;
}

void mem_free(void *p)
{
    free(p);
}

void *mem_try_alloc(size_t n)
{
    return malloc(at_least_one(n));
}

void *mem_try_realloc(void *p, size_t n)
{
    return realloc(p, at_least_one(n));
}

void mem_wipe(void *p, size_t n)
{
    if (n != 0) {
        explicit_bzero(p, n);
    }
}
