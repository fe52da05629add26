/* SPDX-License-Identifier: Apache-2.0 */
/* JSON Web Tokens of one shape: HS256, issuer "outpost", a tenant as the subject. */
#ifndef LL_JWT_H
#define LL_JWT_H

#include <stdint.h>

#include "longline/arena.h"
#include "longline/buf.h"
#include "longline/sign.h"

#define JWT_MAX_BYTES   8192
#define JWT_MAX_SUBJECT 255

/* *subject is in the arena. ERR_SYNTAX (no token), ERR_DENIED (signature or claims), ERR_TIMEOUT
 * (expired or not valid yet), ERR_NOMEM. */
int jwt_verify(const struct sign_key *key, struct str token, int64_t now_wall_ms,
               struct arena *arena, struct str *subject) LL_MUST_USE;
/* Appends a token. The subject must be valid UTF-8. */
int jwt_sign(const struct sign_key *key, struct str subject, int64_t iat_s, int64_t exp_s,
             struct buf *out) LL_MUST_USE;

#endif
