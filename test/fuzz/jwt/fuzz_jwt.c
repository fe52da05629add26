/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Two kinds of input. "S" line, header line, claims: signed here with the right key, so that the
 * fuzzer gets past the signature. Anything else: the Authorization header as it is.
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
        LL_ASSERT(auth_new(&a, STR(ADMIN_KEY), STR(SECRET), NULL) == 0);
    }
    return a;
}

static void add_part(struct buf *b, const void *p, size_t n)
{
    LL_ASSERT(buf_reserve(b, ENC_BASE64_LEN(n) + 1) == 0);
    b->n += enc_base64url(b->p + b->n, n > 0 ? p : "", n);
}

static void sign(struct buf *b, struct str header, struct str claims)
{
    unsigned char mac[32];
    buf_add_lit(b, "Bearer ");
    add_part(b, header.p, header.n);
    buf_add_c(b, '.');
    add_part(b, claims.p, claims.n);
    LL_ASSERT(mbedtls_md_hmac(mbedtls_md_info_from_type(MBEDTLS_MD_SHA256),
                              (const unsigned char *)SECRET, sizeof(SECRET) - 1,
                              (const unsigned char *)b->p + 7, b->n - 7, mac) == 0);
    buf_add_c(b, '.');
    add_part(b, mac, sizeof(mac));
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
    LL_ASSERT(result.role != AUTH_ADMIN || str_eq(header, STR("Bearer " ADMIN_KEY)));
    LL_ASSERT(!is_signed || result.role != AUTH_ADMIN);
    arena_fini(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str rest = str_of((const char *)data, size);
    struct str header = STR("");
    if (size > MAX_TEXT) {
        return 0;
    }
    if (!str_starts(rest, STR("S\n"))) {
        check(rest, false);
        return 0;
    }
    rest = str_of(rest.p + 2, rest.n - 2);
    const size_t line = str_find(rest, '\n');
    header = str_of(rest.p, line);
    const size_t skip = line < rest.n ? line + 1 : line;
    struct buf b;
    buf_init(&b, (size_t)4 * MAX_TEXT);
    sign(&b, header, str_of(rest.p + skip, rest.n - skip));
    check(buf_str(&b), true);
    buf_fini(&b);
    return 0;
}
