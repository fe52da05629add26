/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The admin key is kept as its SHA-256, and what is presented is hashed too: both sides of the
 * comparison then have the same length, and the key itself is nowhere in memory.
 */
#include "longline/auth.h"

#include <mbedtls/constant_time.h>
#include <mbedtls/sha256.h>

#include "jwt.h"
#include "longline/mem.h"

#define MAX_ADMIN_KEY 1024
#define HASH_SIZE     32

struct auth {
    unsigned char admin_hash[HASH_SIZE];
    struct jwt_key jwt_key;
    bool allow_no_exp;
};

static int hash_of(struct str text, unsigned char out[HASH_SIZE])
{
    return mbedtls_sha256((const unsigned char *)text.p, text.n, out, 0) == 0 ? 0 : ERR_UNKNOWN;
}

static int check_admin_key(struct str key, size_t min, struct err_detail *err)
{
    if (key.n < min || key.n > MAX_ADMIN_KEY) {
        return err_set(err, ERR_INVALID, 0, "the admin key must have %zu to %d characters", min,
                       MAX_ADMIN_KEY);
    }
    for (size_t i = 0; i < key.n; i++) {
        const unsigned char c = (unsigned char)key.p[i];
        if (c <= ' ' || c >= 0x7f) {
            return err_set(err, ERR_INVALID, 0,
                           "the admin key must consist of visible ASCII characters without spaces");
        }
    }
    return 0;
}

int auth_new(struct auth **out, const struct auth_options *o, struct err_detail *err)
{
    const size_t min = o->allow_short_keys ? 1 : AUTH_MIN_KEY;
    *out = NULL;
    int rc = check_admin_key(o->admin_key, min, err);
    if (rc != 0) {
        return rc;
    }
    if (o->jwt_secret.n < min) {
        return err_set(err, ERR_INVALID, 0, "the JWT secret must have at least %zu bytes", min);
    }
    struct auth *a = mem_zalloc(sizeof(*a));
    a->allow_no_exp = o->allow_no_exp;
    jwt_key_init(&a->jwt_key, o->jwt_secret);
    rc = hash_of(o->admin_key, a->admin_hash);
    if (rc != 0) {
        auth_free(a);
        return err_set(err, rc, 0, "cannot hash the admin key");
    }
    *out = a;
    return 0;
}

void auth_free(struct auth *a)
{
    if (a == NULL) {
        return;
    }
    jwt_key_fini(&a->jwt_key);
    mem_wipe(a, sizeof(*a));
    mem_free(a);
}

static bool is_admin_key(const struct auth *a, struct str token)
{
    unsigned char hash[HASH_SIZE];
    return hash_of(token, hash) == 0 && mbedtls_ct_memcmp(hash, a->admin_hash, sizeof(hash)) == 0;
}

void auth_check(const struct auth *a, struct str authorization, int64_t now_wall_ms,
                struct arena *arena, struct auth_result *out)
{
    const struct str scheme = STR("Bearer ");
    *out = (struct auth_result){.role = AUTH_NONE};
    if (authorization.n < scheme.n || !str_eq_ci(str_of(authorization.p, scheme.n), scheme)) {
        return;
    }
    const struct str token = str_of(authorization.p + scheme.n, authorization.n - scheme.n);
    if (token.n == 0 || token.n > JWT_MAX_BYTES) {
        return;
    }
    if (is_admin_key(a, token)) {
        out->role = AUTH_ADMIN;
        return;
    }
    struct jwt_claims claims;
    if (jwt_verify(&a->jwt_key, token, now_wall_ms, arena, &claims) == 0 &&
        (claims.has_exp || a->allow_no_exp)) {
        out->role = AUTH_TENANT;
        out->tenant_id = claims.subject;
        out->generation = claims.generation;
        out->has_iat = claims.has_iat;
        out->iat_s = claims.iat_s;
    }
}

bool auth_is_for(const struct auth_result *who, int64_t generation, int64_t tokens_after_s)
{
    if (who->generation != 0) {
        return who->generation == generation;
    }
    return tokens_after_s == 0 || (who->has_iat && who->iat_s > tokens_after_s);
}

int auth_issue(const struct auth *a, const struct auth_token *t, int64_t now_wall_ms,
               struct buf *out)
{
    if (t->tenant_id.n == 0 || t->tenant_id.n > JWT_MAX_SUBJECT || t->generation <= 0 ||
        now_wall_ms < 0 || t->ttl_ms <= 0 || t->ttl_ms > INT64_MAX - now_wall_ms) {
        return ERR_INVALID;
    }
    const struct jwt_claims claims = {.subject = t->tenant_id,
                                      .exp_s = (now_wall_ms + t->ttl_ms) / 1000,
                                      .iat_s = now_wall_ms / 1000,
                                      .generation = t->generation};
    return jwt_sign(&a->jwt_key, &claims, out);
}
