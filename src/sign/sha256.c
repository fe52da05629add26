/* SPDX-License-Identifier: Apache-2.0 */
#include "sha256.h"

#include <sodium.h>
#include <stdatomic.h>
#include <string.h>

#include "longline/enc.h"

void sha256_compress_portable(uint32_t state[8], const unsigned char *p, size_t n_blocks)
{
    crypto_hash_sha256_state s;

    crypto_hash_sha256_init(&s);
    memcpy(s.state, state, sizeof(s.state));
    crypto_hash_sha256_update(&s, p, n_blocks * SHA256_BLOCK);
    memcpy(state, s.state, sizeof(s.state));
}

sha256_compress_fn sha256_compress_best(void)
{
    /* Threads that ask at the same time all find the same answer. */
    static _Atomic(sha256_compress_fn) best;
    sha256_compress_fn fn = atomic_load_explicit(&best, memory_order_relaxed);

    if (fn == NULL) {
        fn = sha256_has_ni() ? sha256_compress_ni : sha256_compress_portable;
        atomic_store_explicit(&best, fn, memory_order_relaxed);
    }
    return fn;
}

void sha256_resume(struct sha256 *s, sha256_compress_fn compress, const uint32_t state[8],
                   uint64_t n)
{
    s->compress = compress;
    s->n = n;
    memcpy(s->state, state, sizeof(s->state));
}

void sha256_init(struct sha256 *s, sha256_compress_fn compress)
{
    static const uint32_t start[8] = {0x6a09e667u, 0xbb67ae85u, 0x3c6ef372u, 0xa54ff53au,
                                      0x510e527fu, 0x9b05688cu, 0x1f83d9abu, 0x5be0cd19u};
    sha256_resume(s, compress, start, 0);
}

void sha256_update(struct sha256 *s, const void *p, size_t n)
{
    const unsigned char *in = p;
    const size_t used = s->n % SHA256_BLOCK;

    if (n == 0) {
        return; /* p may be NULL */
    }
    s->n += n;
    if (used != 0) {
        const size_t room = SHA256_BLOCK - used;
        const size_t take = n < room ? n : room;
        memcpy(s->block + used, in, take);
        if (take < room) {
            return;
        }
        s->compress(s->state, s->block, 1);
        in += take;
        n -= take;
    }
    if (n >= SHA256_BLOCK) {
        s->compress(s->state, in, n / SHA256_BLOCK);
        in += n / SHA256_BLOCK * SHA256_BLOCK;
        n %= SHA256_BLOCK;
    }
    memcpy(s->block, in, n);
}

void sha256_final(struct sha256 *s, unsigned char out[SHA256_LEN])
{
    size_t used = s->n % SHA256_BLOCK;

    s->block[used++] = 0x80;
    if (used > SHA256_BLOCK - 8) {
        memset(s->block + used, 0, SHA256_BLOCK - used);
        s->compress(s->state, s->block, 1);
        used = 0;
    }
    memset(s->block + used, 0, SHA256_BLOCK - 8 - used);
    put_be64(s->block + SHA256_BLOCK - 8, s->n * 8);
    s->compress(s->state, s->block, 1);
    for (size_t i = 0; i < 8; i++) {
        put_be32(out + 4 * i, s->state[i]);
    }
}
