/* SPDX-License-Identifier: Apache-2.0 */
/* HMAC-SHA256 (RFC 2104) from a prepared key. */
#include "longline/sign.h"

#include "longline/mem.h"

#include "sha256.h"

static void absorb_pad(uint32_t out[8], const unsigned char key[SHA256_BLOCK], unsigned char with)
{
    struct sha256 s;
    unsigned char pad[SHA256_BLOCK];

    for (size_t i = 0; i < SHA256_BLOCK; i++) {
        pad[i] = key[i] ^ with;
    }
    sha256_init(&s, sha256_compress_best());
    sha256_update(&s, pad, sizeof(pad));
    memcpy(out, s.state, sizeof(s.state));
    mem_wipe(pad, sizeof(pad));
    mem_wipe(&s, sizeof(s));
}

void sign_key_init(struct sign_key *k, const void *key, size_t n)
{
    unsigned char block[SHA256_BLOCK] = {0};

    if (n > sizeof(block)) {
        struct sha256 s;
        sha256_init(&s, sha256_compress_best());
        sha256_update(&s, key, n);
        sha256_final(&s, block);
        mem_wipe(&s, sizeof(s));
    } else if (n != 0) {
        memcpy(block, key, n);
    }
    absorb_pad(k->inner, block, 0x36);
    absorb_pad(k->outer, block, 0x5c);
    mem_wipe(block, sizeof(block));
}

void sign_key_fini(struct sign_key *k)
{
    mem_wipe(k, sizeof(*k));
}

void sign_hmac_sha256(const struct sign_key *k, const struct str *parts, size_t n_parts,
                      unsigned char out[SIGN_MAC_LEN])
{
    const sha256_compress_fn compress = sha256_compress_best();
    struct sha256 s;

    sha256_resume(&s, compress, k->inner, SHA256_BLOCK);
    for (size_t i = 0; i < n_parts; i++) {
        sha256_update(&s, parts[i].p, parts[i].n);
    }
    sha256_final(&s, out);
    sha256_resume(&s, compress, k->outer, SHA256_BLOCK);
    sha256_update(&s, out, SIGN_MAC_LEN);
    sha256_final(&s, out);
}
