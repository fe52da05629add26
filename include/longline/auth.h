/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is asking: the admin key, or a tenant's JWT (HS256, HS384 or HS512; RFC 7519 with RFC 8725
 * rules; issuer "outpost" for compatibility with existing clients, subject = tenant id). Pure but
 * for the secrets it holds; comparisons are constant-time.
 */
#ifndef LL_AUTH_H
#define LL_AUTH_H

#include <stdbool.h>
#include <stdint.h>

#include "longline/arena.h"
#include "longline/buf.h"
#include "longline/err.h"
#include "longline/str.h"

struct auth;

#define AUTH_MIN_KEY 16 /* characters of the admin key, bytes of the JWT secret */

struct auth_options { /* both keys are copied */
    struct str admin_key;
    struct str jwt_secret;
    bool allow_short_keys; /* shorter than AUTH_MIN_KEY, but not empty */
    bool allow_no_exp;     /* accept tokens that do not say when they expire */
};
int auth_new(struct auth **out, const struct auth_options *o, struct err_detail *err) LL_MUST_USE;
void auth_free(struct auth *a);

enum auth_role { AUTH_NONE, AUTH_ADMIN, AUTH_TENANT };
struct auth_result {
    enum auth_role role;
    struct str tenant_id; /* AUTH_TENANT: in the arena; existence is for the caller to check */
    int64_t
        generation; /* of the tenant for which the gateway issued the token; 0: made elsewhere */
    bool has_iat;
    int64_t iat_s;
};
/* The value of the Authorization header ("Bearer …", the scheme in any case), STR_NULL when
 * absent. */
void auth_check(const struct auth *a, struct str authorization, int64_t now_wall_ms,
                struct arena *arena, struct auth_result *out);

/* Was the token made for this tenant, and not for an earlier one of the same id? The tenant's
 * generation decides, where the token names one: no clock has a part in that. Of other tokens, iat
 * must be later than the second tokens_after_s, unless that is 0. */
bool auth_is_for(const struct auth_result *who, int64_t generation, int64_t tokens_after_s);

struct auth_token {
    struct str tenant_id;
    int64_t generation; /* of the tenant; > 0 */
    int64_t ttl_ms;     /* from now */
};
int auth_issue(const struct auth *a, const struct auth_token *t, int64_t now_wall_ms,
               struct buf *out) LL_MUST_USE;

#endif
