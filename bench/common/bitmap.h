/* SPDX-License-Identifier: Apache-2.0 */
/* A set of sequence numbers, one bit each; bit i of byte i/8. Grows as needed, up to a limit. */
#ifndef LL_BENCH_BITMAP_H
#define LL_BENCH_BITMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BITMAP_MAX_BITS (UINT64_C(1) << 30)

struct bitmap {
    uint8_t *bytes;
    size_t size;  /* bytes allocated */
    size_t used;  /* bytes up to the highest bit that is set */
    uint64_t set; /* bits that are set */
};

/* Sets the bit; false when it was set before, or is beyond BITMAP_MAX_BITS. */
bool bitmap_add(struct bitmap *b, uint64_t bit);
void bitmap_reset(struct bitmap *b);
void bitmap_fini(struct bitmap *b);

#endif
