/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Assertions. LL_ASSERT is always on and guards invariants, never input. LL_DCHECK is for
 * expensive validators and only exists in builds with LL_DEBUG defined.
 */
#ifndef LL_CHECK_H
#define LL_CHECK_H

#include <stddef.h>

#define LL_ASSERT(expr) ((expr) ? (void)0 : check_failed(#expr, __FILE__, __LINE__, __func__))

#ifdef LL_DEBUG
#define LL_DCHECK(expr) LL_ASSERT(expr)
#else
#define LL_DCHECK(expr) ((void)sizeof(expr))
#endif

/* The struct that holds `member`, given a pointer to the member. */
#define LL_CONTAINER(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define LL_COUNT(array)                 (sizeof(array) / sizeof((array)[0]))

/* First line of every callback that gets its object through a void pointer. */
#define LL_MAGIC_CHECK(obj, value)      LL_ASSERT((obj) != NULL && (obj)->magic == (value))

/* Prints the expression and the recent log records to stderr, then aborts. */
void check_failed(const char *expr, const char *file, int line, const char *func)
    __attribute__((noreturn, cold));

#endif
