/* SPDX-License-Identifier: Apache-2.0 */
/* CRC-32C: the SSE 4.2 instruction where the processor has it, else eight tables at a time. */
#include "crc32c_internal.h"

#include <pthread.h>
#include <string.h>

#include "longline/hash.h"

#define POLYNOMIAL 0x82f63b78U /* Castagnoli, bits reversed */

/* tables[k][b]: the effect of byte b followed by k zero bytes. */
static uint32_t tables[8][256];

static void build_tables(void)
{
    for (uint32_t i = 0; i < 256; i++) {
        uint32_t v = i;
        for (int bit = 0; bit < 8; bit++) {
            v = (v >> 1) ^ ((v & 1) != 0 ? POLYNOMIAL : 0);
        }
        tables[0][i] = v;
    }
    for (size_t k = 1; k < 8; k++) {
        for (size_t i = 0; i < 256; i++) {
            const uint32_t v = tables[k - 1][i];
            tables[k][i] = (v >> 8) ^ tables[0][v & 0xff];
        }
    }
}

uint32_t crc32c_portable(uint32_t crc, const void *p, size_t n)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const unsigned char *in = p;

    (void)pthread_once(&once, build_tables);
    crc = ~crc;
    for (; n >= 8; n -= 8, in += 8) {
        const uint32_t low = crc ^ ((uint32_t)in[0] | (uint32_t)in[1] << 8 | (uint32_t)in[2] << 16 |
                                    (uint32_t)in[3] << 24);
        crc = tables[7][low & 0xff] ^ tables[6][low >> 8 & 0xff] ^ tables[5][low >> 16 & 0xff] ^
              tables[4][low >> 24] ^ tables[3][in[4]] ^ tables[2][in[5]] ^ tables[1][in[6]] ^
              tables[0][in[7]];
    }
    for (; n != 0; n--, in++) {
        crc = (crc >> 8) ^ tables[0][(crc ^ *in) & 0xff];
    }
    return ~crc;
}

#if defined(__x86_64__)
static uint32_t with_instruction(uint32_t crc, const unsigned char *in, size_t n)
    __attribute__((target("sse4.2")));

static uint32_t with_instruction(uint32_t crc, const unsigned char *in, size_t n)
{
    uint64_t v = ~crc;
    for (; n >= 8; n -= 8, in += 8) {
        uint64_t eight;
        memcpy(&eight, in, sizeof(eight));
        v = __builtin_ia32_crc32di(v, eight);
    }
    for (; n != 0; n--, in++) {
        v = __builtin_ia32_crc32qi((uint32_t)v, *in);
    }
    return ~(uint32_t)v;
}

uint32_t crc32c(uint32_t crc, const void *p, size_t n)
{
    if (__builtin_cpu_supports("sse4.2")) {
        return with_instruction(crc, p, n);
    }
    return crc32c_portable(crc, p, n);
}
#else
uint32_t crc32c(uint32_t crc, const void *p, size_t n)
{
    return crc32c_portable(crc, p, n);
}
#endif
