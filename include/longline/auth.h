/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is asking: the admin key, or a tenant's JWT (HS256, RFC 7519 with RFC 8725 rules; issuer
 * "outpost" for compatibility with existing clients, subject = tenant id, 24 h). Pure but for the
 * secrets it holds; comparisons are constant-time.
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

/* admin_key: at least 16 characters. jwt_secret: at least 16 bytes. Both are copied. */
int auth_new(struct auth **out, struct str admin_key, struct str jwt_secret,
             struct err_detail *err) LL_MUST_USE;
void auth_free(struct auth *a);

enum auth_role { AUTH_NONE, AUTH_ADMIN, AUTH_TENANT };
struct auth_result {
    enum auth_role role;
    struct str tenant_id; /* AUTH_TENANT: in the arena; existence is for the caller to check */
};
/* The value of the Authorization header ("Bearer …", case-sensitive), STR_NULL when absent. */
void auth_check(const struct auth *a, struct str authorization, int64_t now_wall_ms,
                struct arena *arena, struct auth_result *out);

/* A token for the tenant, valid ttl_ms from now. */
int auth_issue(const struct auth *a, struct str tenant_id, int64_t now_wall_ms, int64_t ttl_ms,
               struct buf *out) LL_MUST_USE;

#endif
