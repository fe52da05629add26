/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small, fixed-size allocations: they abort when memory is gone. Anything whose size an outsider
 * controls goes through buf or arena, which have a cap and return errors.
 */
#ifndef LL_MEM_H
#define LL_MEM_H

#include <stddef.h>

/* Uninitialised; zeroed; zeroed n * size with the product checked. */
/* Once, at the start: large blocks always come from the kernel and go back to it, so that they
 * grow without being copied and leave no holes behind that nothing else fits. Left to itself the
 * C library stops doing so after the first one was freed. */
void mem_setup(void);

void *mem_alloc(size_t n) __attribute__((malloc, returns_nonnull));
void *mem_zalloc(size_t n) __attribute__((malloc, returns_nonnull));
void *mem_array(size_t n, size_t size) __attribute__((malloc, returns_nonnull));
void *mem_realloc(void *p, size_t n) __attribute__((returns_nonnull));
void *mem_realloc_array(void *p, size_t n, size_t size) __attribute__((returns_nonnull));
/* A terminated copy. */
char *mem_strndup(const char *p, size_t n) __attribute__((malloc, returns_nonnull));
void mem_free(void *p); /* NULL is fine */

/* NULL instead of abort; for sizes that depend on input and are already capped. */
void *mem_try_alloc(size_t n) __attribute__((malloc));
void *mem_try_realloc(void *p, size_t n);

/* Overwrites secrets before they go; never optimised away. */
void mem_wipe(void *p, size_t n);

#endif
