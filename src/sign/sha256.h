/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SHA-256 whose state can be kept and continued, on top of an exchangeable compression function:
 * libsodium's portable one, or ours for the SHA instructions of x86-64, which is about five times
 * faster (neither Mbed TLS nor libsodium has one). The choice is made once, at run time.
 */
#ifndef LL_SIGN_SHA256_H
#define LL_SIGN_SHA256_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SHA256_BLOCK 64
#define SHA256_LEN   32

/* Continues `state` with whole blocks; any alignment. */
typedef void (*sha256_compress_fn)(uint32_t state[8], const unsigned char *p, size_t n_blocks);

void sha256_compress_portable(uint32_t state[8], const unsigned char *p, size_t n_blocks);
void sha256_compress_ni(uint32_t state[8], const unsigned char *p, size_t n_blocks);
bool sha256_has_ni(void); /* may sha256_compress_ni be called? */
sha256_compress_fn sha256_compress_best(void);

struct sha256 {
    sha256_compress_fn compress;
    uint64_t n; /* bytes so far */
    uint32_t state[8];
    unsigned char block[SHA256_BLOCK]; /* the n % 64 bytes that do not fill a block */
};

void sha256_init(struct sha256 *s, sha256_compress_fn compress);
/* Continues from a state reached after n bytes, a multiple of the block. */
void sha256_resume(struct sha256 *s, sha256_compress_fn compress, const uint32_t state[8],
                   uint64_t n);
void sha256_update(struct sha256 *s, const void *p, size_t n);
void sha256_final(struct sha256 *s, unsigned char out[SHA256_LEN]);

#endif
