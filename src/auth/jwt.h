/* SPDX-License-Identifier: Apache-2.0 */
/* JSON Web Tokens of one shape: HMAC, issuer "outpost", a tenant as the subject. */
#ifndef LL_JWT_H
#define LL_JWT_H

#include <stdbool.h>
#include <stdint.h>

#include "longline/arena.h"
#include "longline/buf.h"
#include "longline/sign.h"

#define JWT_MAX_BYTES   8192
#define JWT_MAX_SUBJECT 255

/* A value. HS256, the algorithm of nearly all tokens, has its key prepared; the others are keyed
 * anew for each token. */
struct jwt_key {
    struct sign_key hs256;
    char *secret;
    size_t n;
};
void jwt_key_init(struct jwt_key *k, struct str secret);
void jwt_key_fini(struct jwt_key *k); /* wipes */

struct jwt_claims {
    struct str subject; /* in the arena */
    bool has_exp;
    int64_t exp_s;
    bool has_iat;
    int64_t iat_s;
    int64_t generation; /* claim "gen", which only our own tokens have; 0: none */
};

/* ERR_SYNTAX (no token), ERR_DENIED (signature or claims), ERR_TIMEOUT (expired or not valid yet),
 * ERR_NOMEM. A token without exp passes: whether that will do is for the caller to say. */
int jwt_verify(const struct jwt_key *key, struct str token, int64_t now_wall_ms,
               struct arena *arena, struct jwt_claims *out) LL_MUST_USE;
/* Appends a token with all of the claims. The subject must be valid UTF-8. */
int jwt_sign(const struct jwt_key *key, const struct jwt_claims *claims,
             struct buf *out) LL_MUST_USE;

#endif
