/* SPDX-License-Identifier: Apache-2.0 */
#include "hs256.h"

#include "longline/mem.h"

#define BLOCK_SIZE 64

static const unsigned char *bytes(struct str s)
{
    return (const unsigned char *)(s.p != NULL ? s.p : "");
}

int sha256(struct str text, unsigned char out[HS256_SIZE])
{
    return mbedtls_sha256(bytes(text), text.n, out, 0) == 0 ? 0 : ERR_UNKNOWN;
}

static int absorb_key(mbedtls_sha256_context *ctx, const unsigned char key[BLOCK_SIZE],
                      unsigned char pad)
{
    unsigned char block[BLOCK_SIZE];
    for (size_t i = 0; i < BLOCK_SIZE; i++) {
        block[i] = (unsigned char)(key[i] ^ pad);
    }
    int rc = mbedtls_sha256_starts(ctx, 0);
    if (rc == 0) {
        rc = mbedtls_sha256_update(ctx, block, sizeof(block));
    }
    mem_wipe(block, sizeof(block));
    return rc == 0 ? 0 : ERR_UNKNOWN;
}

int hs256_init(struct hs256 *h, struct str key)
{
    unsigned char block[BLOCK_SIZE] = {0};
    mbedtls_sha256_init(&h->inner);
    mbedtls_sha256_init(&h->outer);
    int rc = 0;
    if (key.n > BLOCK_SIZE) {
        rc = sha256(key, block);
    } else if (key.n > 0) {
        memcpy(block, key.p, key.n);
    }
    if (rc == 0) {
        rc = absorb_key(&h->inner, block, 0x36);
    }
    if (rc == 0) {
        rc = absorb_key(&h->outer, block, 0x5c);
    }
    mem_wipe(block, sizeof(block));
    return rc;
}

void hs256_fini(struct hs256 *h)
{
    mbedtls_sha256_free(&h->inner);
    mbedtls_sha256_free(&h->outer);
}

static int finish(const mbedtls_sha256_context *start, struct str text,
                  unsigned char out[HS256_SIZE])
{
    mbedtls_sha256_context ctx;
    mbedtls_sha256_init(&ctx);
    mbedtls_sha256_clone(&ctx, start);
    int rc = mbedtls_sha256_update(&ctx, bytes(text), text.n);
    if (rc == 0) {
        rc = mbedtls_sha256_finish(&ctx, out);
    }
    mbedtls_sha256_free(&ctx);
    return rc == 0 ? 0 : ERR_UNKNOWN;
}

int hs256_sign(const struct hs256 *h, struct str text, unsigned char out[HS256_SIZE])
{
    unsigned char inner[HS256_SIZE];
    int rc = finish(&h->inner, text, inner);
    if (rc == 0) {
        rc = finish(&h->outer, str_of((const char *)inner, sizeof(inner)), out);
    }
    mem_wipe(inner, sizeof(inner));
    return rc;
}
