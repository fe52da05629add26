/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Event records. The checksums would keep a fuzzer out, so they are put right first; what decodes
 * must encode to the same bytes, unless it is of an old version.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "longline/enc.h"
#include "longline/hash.h"
#include "longline/mem.h"
#include "longline/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void repair(char *p, size_t n)
{
    const size_t head = n >= 17 ? get_be32(p + 5) : 0;
    if (head < 17 || head > n) {
        return;
    }
    put_be32(p + 13, crc32c(0, p + head, n - head));
    put_be32(p + 1, crc32c(0, p + 5, head - 5));
    if (p[0] == 2) { /* it goes on over the tree and the key */
        static const char place[] = "ev\0\0\0\0\0\0\0\1";
        put_be32(p + 1, crc32c(get_be32(p + 1), place, sizeof(place) - 1));
    }
}

static void check(struct str bytes)
{
    struct event_record e;
    struct event_record head;
    struct arena a;

    arena_init(&a, (size_t)1 << 20);
    if (event_decode(&e, 1, bytes, &a) == 0) {
        struct blob *b = event_encode(&e, SIZE_MAX);
        if (b == NULL || b->n != bytes.n ||
            (bytes.p[0] == 2 && memcmp(b->p, bytes.p, bytes.n) != 0) ||
            event_decode_head(&head, 1, bytes, NULL) != 0 || head.n_dests != e.n_dests) {
            abort();
        }
        blob_unref(b);
    }
    arena_fini(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = mem_alloc(size != 0 ? size : 1);
    if (size != 0) {
        memcpy(copy, data, size);
    }
    check(str_of(copy, size));
    repair(copy, size);
    check(str_of(copy, size));
    mem_free(copy);
    return 0;
}
