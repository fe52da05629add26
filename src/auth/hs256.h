/* SPDX-License-Identifier: Apache-2.0 */
/*
 * HMAC-SHA-256 with the key schedule done once: a token then costs the hashing of its own bytes and
 * two blocks.
 */
#ifndef LL_HS256_H
#define LL_HS256_H

#include <mbedtls/sha256.h>

#include "longline/err.h"
#include "longline/str.h"

#define HS256_SIZE 32

struct hs256 {
    mbedtls_sha256_context inner; /* after the key block xor 0x36 */
    mbedtls_sha256_context outer; /* after the key block xor 0x5c */
};

int hs256_init(struct hs256 *h, struct str key) LL_MUST_USE;
void hs256_fini(struct hs256 *h);
int hs256_sign(const struct hs256 *h, struct str text, unsigned char out[HS256_SIZE]) LL_MUST_USE;

int sha256(struct str text, unsigned char out[HS256_SIZE]) LL_MUST_USE;

#endif
