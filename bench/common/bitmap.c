/* SPDX-License-Identifier: Apache-2.0 */

#include "bitmap.h"

#include <stdlib.h>
#include <string.h>

#include "util.h"

#define FIRST_SIZE 65536u

static void grow(struct bitmap *b, size_t byte)
{
    size_t size = b->size != 0 ? b->size : FIRST_SIZE;
    while (size <= byte) {
        size *= 2;
    }
    uint8_t *bytes = bench_alloc(size);
    memset(bytes, 0, size);
    if (b->size != 0) {
        memcpy(bytes, b->bytes, b->size);
    }
    free(b->bytes);
    b->bytes = bytes;
    b->size = size;
}

bool bitmap_add(struct bitmap *b, uint64_t bit)
{
    if (bit >= BITMAP_MAX_BITS) {
        return false;
    }
    const size_t byte = (size_t)(bit / 8);
    const uint8_t mask = (uint8_t)(1u << (bit % 8));
    if (byte >= b->size) {
        grow(b, byte);
    }
    if ((b->bytes[byte] & mask) != 0) {
        return false;
    }
    b->bytes[byte] |= mask;
    b->set++;
    if (byte >= b->used) {
        b->used = byte + 1;
    }
    return true;
}

void bitmap_reset(struct bitmap *b)
{
    bitmap_fini(b);
}

void bitmap_fini(struct bitmap *b)
{
    free(b->bytes);
    *b = (struct bitmap){0};
}
