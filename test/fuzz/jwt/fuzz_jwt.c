/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two kinds of input. "S" line (S, S384 or S512), header line, claims: signed here with the right
 * key, so that the fuzzer gets past the signature. Anything else: the Authorization header as it
 * is.
 */
#include <stddef.h>
#include <stdint.h>

#include <mbedtls/md.h>

#include "longline/auth.h"
#include "longline/check.h"
#include "longline/enc.h"

#define SECRET    "fuzz-secret-0123456789"
#define ADMIN_KEY "fuzz-admin-0123456789"
#define NOW_MS    INT64_C(1767225600000)
#define MEMORY    ((size_t)1024 * 1024)
#define MAX_TEXT  16384

static struct auth *auth(void)
{
    static struct auth *a;
    if (a == NULL) {
        const struct auth_options o = {.admin_key = STR(ADMIN_KEY), .jwt_secret = STR(SECRET)};
        LL_ASSERT(auth_new(&a, &o, NULL) == 0);
    }
    return a;
}

static void add_part(struct buf *b, const void *p, size_t n)
{
    LL_ASSERT(buf_reserve(b, ENC_BASE64_LEN(n) + 1) == 0);
    b->n += enc_base64url(b->p + b->n, n > 0 ? p : "", n);
}

static void sign(struct buf *b, mbedtls_md_type_t type, struct str header, struct str claims)
{
    const mbedtls_md_info_t *md = mbedtls_md_info_from_type(type);
    unsigned char mac[64];
    buf_add_lit(b, "Bearer ");
    add_part(b, header.p, header.n);
    buf_add_c(b, '.');
    add_part(b, claims.p, claims.n);
    LL_ASSERT(mbedtls_md_hmac(md, (const unsigned char *)SECRET, sizeof(SECRET) - 1,
                              (const unsigned char *)b->p + 7, b->n - 7, mac) == 0);
    buf_add_c(b, '.');
    add_part(b, mac, mbedtls_md_get_size(md));
    LL_ASSERT(!b->failed);
}

static void check(struct str header, bool is_signed)
{
    struct arena a;
    struct auth_result result;
    arena_init(&a, MEMORY);
    auth_check(auth(), header, NOW_MS, &a, &result);
    LL_ASSERT((result.role == AUTH_TENANT) == (result.tenant_id.p != NULL));
    LL_ASSERT(result.role != AUTH_TENANT || (result.tenant_id.n > 0 && result.tenant_id.n <= 255));
    LL_ASSERT(result.role != AUTH_ADMIN ||
              (str_eq_ci(header, STR("Bearer " ADMIN_KEY)) && str_ends(header, STR(ADMIN_KEY))));
    LL_ASSERT(!is_signed || result.role != AUTH_ADMIN);
    arena_fini(&a);
}

static mbedtls_md_type_t take_kind(struct str *rest)
{
    static const struct {
        struct str line;
        mbedtls_md_type_t md;
    } kinds[] = {{{"S\n", 2}, MBEDTLS_MD_SHA256},
                 {{"S384\n", 5}, MBEDTLS_MD_SHA384},
                 {{"S512\n", 5}, MBEDTLS_MD_SHA512}};
    for (size_t i = 0; i < LL_COUNT(kinds); i++) {
        if (str_starts(*rest, kinds[i].line)) {
            *rest = str_of(rest->p + kinds[i].line.n, rest->n - kinds[i].line.n);
            return kinds[i].md;
        }
    }
    return MBEDTLS_MD_NONE;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = str_of((const char *)data, size);
    struct str header = STR("");
    if (size > MAX_TEXT) {
        return 0;
    }
    const mbedtls_md_type_t type = take_kind(&rest);
    if (type == MBEDTLS_MD_NONE) {
        check(rest, false);
        return 0;
    }
    const size_t line = str_find(rest, '\n');
    header = str_of(rest.p, line);
    const size_t skip = line < rest.n ? line + 1 : line;
    struct buf b;
    buf_init(&b, (size_t)4 * MAX_TEXT);
    sign(&b, type, header, str_of(rest.p + skip, rest.n - skip));
    check(buf_str(&b), true);
    buf_fini(&b);
    return 0;
}
