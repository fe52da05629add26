/* SPDX-License-Identifier: Apache-2.0 */
/* Attempt records, with the checksum put right; what decodes must encode to the same bytes,
 * unless it is of an old version. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "longline/enc.h"
#include "longline/hash.h"
#include "longline/mem.h"
#include "longline/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(struct str bytes)
{
    struct attempt_record at;
    struct buf b;

    if (attempt_decode(&at, 1, bytes) != 0) {
        return;
    }
    buf_init(&b, (size_t)1 << 24);
    if (attempt_encode(&b, &at) != 0 || b.n != bytes.n ||
        (bytes.p[0] == 2 && !str_eq(buf_str(&b), bytes))) {
        abort();
    }
    buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *copy = mem_alloc(size != 0 ? size : 1);
    if (size != 0) {
        memcpy(copy, data, size);
    }
    check(str_of(copy, size));
    if (size >= 9) {
        put_be32(copy + 1, crc32c(0, copy + 5, size - 5));
        if (copy[0] == 2) { /* it goes on over the tree and the key */
            static const char place[] = "at\0\0\0\0\0\0\0\1";
            put_be32(copy + 1, crc32c(get_be32(copy + 1), place, sizeof(place) - 1));
        }
        check(str_of(copy, size));
    }
    mem_free(copy);
    return 0;
}
