/* SPDX-License-Identifier: Apache-2.0 */
/* Comparing received MACs with those of our keys; private to sign. */
#ifndef LL_SIGN_VERIFY_H
#define LL_SIGN_VERIFY_H

#include <sodium.h>

#include "longline/check.h"
#include "longline/sign.h"

#define VERIFY_MAX_KEYS 8

struct verify {
    size_t n_keys;
    size_t n_seen; /* received signatures of the right shape */
    bool matched;
    unsigned char expected[VERIFY_MAX_KEYS][SIGN_MAC_LEN];
};

/* Only the first VERIFY_MAX_KEYS keys count. */
static inline void verify_init(struct verify *v, const struct sign_key *keys, size_t n_keys,
                               const struct str *parts, size_t n_parts)
{
    *v = (struct verify){.n_keys = n_keys < VERIFY_MAX_KEYS ? n_keys : VERIFY_MAX_KEYS};
    for (size_t i = 0; i < v->n_keys; i++) {
        sign_hmac_sha256(&keys[i], parts, n_parts, v->expected[i]);
    }
}

static inline void verify_mac(struct verify *v, const unsigned char mac[SIGN_MAC_LEN])
{
    v->n_seen++;
    for (size_t i = 0; i < v->n_keys; i++) {
        if (sodium_memcmp(v->expected[i], mac, SIGN_MAC_LEN) == 0) {
            v->matched = true;
        }
    }
}

static inline int verify_result(const struct verify *v)
{
    if (v->n_seen == 0) {
        return ERR_SYNTAX;
    }
    return v->matched ? 0 : ERR_DENIED;
}

#endif
