/* SPDX-License-Identifier: Apache-2.0 */
/* Checked size arithmetic: true when the result does not fit (the sense of C23 stdckdint). */
#ifndef LL_CKD_H
#define LL_CKD_H

#include <stdbool.h>
#include <stddef.h>

static inline bool ckd_add_size(size_t *out, size_t a, size_t b)
{
    return __builtin_add_overflow(a, b, out);
}

static inline bool ckd_mul_size(size_t *out, size_t a, size_t b)
{
    return __builtin_mul_overflow(a, b, out);
}

#endif
