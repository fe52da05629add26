/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>
#include <mbedtls/md.h>

#include "longline/auth.h"
#include "longline/check.h"
#include "longline/enc.h"

#define ADMIN_KEY "0123456789abcdef-admin"
#define SECRET    "jwt-secret-0123456789"
#define NOW_S     1767225600 /* 2026-01-01T00:00:00Z */
#define NOW_MS    (NOW_S * INT64_C(1000))
#define HS256     "{\"alg\":\"HS256\",\"typ\":\"JWT\"}"
#define GOOD      "{\"iss\":\"outpost\",\"sub\":\"acme\",\"iat\":1767225600,\"exp\":1767225700}"

static struct auth *auth;

static int setup(void **state)
{
    (void)state;
    const struct auth_options o = {.admin_key = STR(ADMIN_KEY), .jwt_secret = STR(SECRET)};
    return auth_new(&auth, &o, NULL);
}

static int teardown(void **state)
{
    (void)state;
    auth_free(auth);
    return 0;
}

static void add_part(struct buf *out, const void *p, size_t n)
{
    assert_int_equal(buf_reserve(out, ENC_BASE64_LEN(n)), 0);
    out->n += enc_base64url(out->p + out->n, p, n);
}

/* "Bearer <token>" over any header and claims, signed independently of the product. */
static void make_token_md(struct buf *out, mbedtls_md_type_t type, const char *header,
                          const char *claims, const char *secret)
{
    const mbedtls_md_info_t *md = mbedtls_md_info_from_type(type);
    buf_init(out, 65536);
    buf_add_lit(out, "Bearer ");
    const size_t start = out->n;
    add_part(out, header, strlen(header));
    buf_add_c(out, '.');
    add_part(out, claims, strlen(claims));
    unsigned char mac[64];
    assert_int_equal(mbedtls_md_hmac(md, (const unsigned char *)secret, strlen(secret),
                                     (const unsigned char *)out->p + start, out->n - start, mac),
                     0);
    buf_add_c(out, '.');
    add_part(out, mac, mbedtls_md_get_size(md));
    assert_false(out->failed);
}

static void make_token(struct buf *out, const char *header, const char *claims, const char *secret)
{
    make_token_md(out, MBEDTLS_MD_SHA256, header, claims, secret);
}

static enum auth_role check_at(struct str header, int64_t now_ms, const char *tenant)
{
    struct arena a;
    struct auth_result result;
    arena_init(&a, (size_t)1024 * 1024);
    auth_check(auth, header, now_ms, &a, &result);
    if (result.role == AUTH_TENANT) {
        assert_true(str_eq(result.tenant_id, str_c(tenant)));
    } else {
        assert_null(result.tenant_id.p);
    }
    arena_fini(&a);
    return result.role;
}

static enum auth_role check(struct str header)
{
    return check_at(header, NOW_MS, "acme");
}

static int issue(struct str tenant_id, int64_t ttl_ms, struct buf *out)
{
    const struct auth_token t = {.tenant_id = tenant_id, .generation = 7, .ttl_ms = ttl_ms};
    return auth_issue(auth, &t, NOW_MS, out);
}

static void test_new(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        const char *secret;
        int rc;
        int rc_short; /* when short keys are allowed */
    } cases[] = {
        {"0123456789abcdef", "0123456789abcdef", 0, 0},
        {"0123456789abcde", "0123456789abcdef", ERR_INVALID, 0},
        {"0123456789abcdef", "0123456789abcde", ERR_INVALID, 0},
        {"k", "s", ERR_INVALID, 0},
        {"", "s", ERR_INVALID, ERR_INVALID},
        {"k", "", ERR_INVALID, ERR_INVALID},
        {"", "", ERR_INVALID, ERR_INVALID},
        {"0123456789 abcdef", "0123456789abcdef", ERR_INVALID, ERR_INVALID},
        {"0123456789abcdef\n", "0123456789abcdef", ERR_INVALID, ERR_INVALID},
        {"0123456789abcdef\xc3\xa9", "0123456789abcdef", ERR_INVALID, ERR_INVALID},
    };
    for (size_t i = 0; i < 2 * LL_COUNT(cases); i++) {
        const bool allows = i % 2 == 1;
        const struct auth_options o = {.admin_key = str_c(cases[i / 2].key),
                                       .jwt_secret = str_c(cases[i / 2].secret),
                                       .allow_short_keys = allows};
        struct auth *a = NULL;
        struct err_detail err = {0};
        const int rc = auth_new(&a, &o, &err);
        assert_int_equal(rc, allows ? cases[i / 2].rc_short : cases[i / 2].rc);
        assert_int_equal(a == NULL, rc != 0);
        assert_int_equal(err.msg[0] == '\0', rc == 0);
        auth_free(a);
    }
    auth_free(NULL);
}

static void test_admin(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        enum auth_role role;
    } cases[] = {
        {"Bearer " ADMIN_KEY, AUTH_ADMIN},
        {"bearer " ADMIN_KEY, AUTH_ADMIN},
        {"BEARER " ADMIN_KEY, AUTH_ADMIN},
        {"Bearer 0123456789ABCDEF-admin", AUTH_NONE},
        {"bearer", AUTH_NONE},
        {"bearer ", AUTH_NONE},
        {"Bearer  " ADMIN_KEY, AUTH_NONE},
        {"Bearer " ADMIN_KEY " ", AUTH_NONE},
        {"Bearer\t" ADMIN_KEY, AUTH_NONE},
        {"Bearer" ADMIN_KEY, AUTH_NONE},
        {"Bearer 0123456789abcdef-admiN", AUTH_NONE},
        {"Bearer 0123456789abcdef-admi", AUTH_NONE},
        {"Bearer 0123456789abcdef-adminn", AUTH_NONE},
        {"Basic " ADMIN_KEY, AUTH_NONE},
        {ADMIN_KEY, AUTH_NONE},
        {"Bearer ", AUTH_NONE},
        {"Bearer", AUTH_NONE},
        {"Bearer .", AUTH_NONE},
        {"Bearer ..", AUTH_NONE},
        {"Bearer ...", AUTH_NONE},
        {"", AUTH_NONE},
    };
    for (size_t i = 0; i < LL_COUNT(cases); i++) {
        if (check(str_c(cases[i].header)) != cases[i].role) {
            fail_msg("%s", cases[i].header);
        }
    }
    assert_int_equal(check(STR_NULL), AUTH_NONE);
}

static void test_issue(void **state)
{
    (void)state;
    struct buf b;
    buf_init(&b, 65536);
    buf_add_lit(&b, "Bearer ");
    assert_int_equal(issue(STR("acme"), 86400000, &b), 0);
    assert_int_equal(check(buf_str(&b)), AUTH_TENANT);
    /* The same bytes as any other implementation makes of these claims. */
    struct buf same;
    make_token(&same, HS256,
               "{\"iss\":\"outpost\",\"sub\":\"acme\",\"iat\":1767225600,\"exp\":1767312000,"
               "\"gen\":7}",
               SECRET);
    assert_true(str_eq(buf_str(&b), buf_str(&same)));
    buf_fini(&same);
    /* 24 hours, to the second. */
    assert_int_equal(check_at(buf_str(&b), NOW_MS + 86399999, "acme"), AUTH_TENANT);
    assert_int_equal(check_at(buf_str(&b), NOW_MS + 86400000, "acme"), AUTH_NONE);
    /* Every changed character is noticed. */
    for (size_t i = 7; i < b.n; i++) {
        const char was = b.p[i];
        b.p[i] = was == 'A' ? 'B' : 'A';
        assert_int_equal(check(buf_str(&b)), AUTH_NONE);
        b.p[i] = was;
    }
    for (size_t n = 0; n < b.n; n++) {
        assert_int_equal(check(str_of(b.p, n)), AUTH_NONE);
    }
    buf_fini(&b);
}

static void test_issue_names(void **state)
{
    (void)state;
    char longest[256];
    memset(longest, 1, sizeof(longest));
    static const char *const names[] = {"a", "with \"quotes\"", "\xc3\xa9t\xc3\xa9", "a/b.c", "\n"};
    struct buf b;
    buf_init(&b, 65536);
    for (size_t i = 0; i < LL_COUNT(names); i++) {
        buf_reset(&b);
        buf_add_lit(&b, "Bearer ");
        assert_int_equal(issue(str_c(names[i]), 1000, &b), 0);
        assert_int_equal(check_at(buf_str(&b), NOW_MS, names[i]), AUTH_TENANT);
    }
    buf_reset(&b);
    assert_int_equal(issue(str_of(longest, 255), 1000, &b), 0);
    buf_reset(&b);
    assert_int_equal(issue(str_of(longest, 256), 1000, &b), ERR_INVALID);
    assert_int_equal(issue(STR(""), 1000, &b), ERR_INVALID);
    assert_int_equal(issue(STR("a"), 0, &b), ERR_INVALID);
    assert_int_equal(issue(STR("a"), INT64_MAX, &b), ERR_INVALID);
    assert_int_equal(b.n, 0);
    buf_fini(&b);
    buf_init(&b, 40);
    assert_int_not_equal(issue(STR("a"), 1000, &b), 0);
    assert_int_equal(b.n, 0);
    buf_fini(&b);
}

static void test_claims(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *claims;
        enum auth_role role;
    } cases[] = {
        {"good", GOOD, AUTH_TENANT},
        {"no iat", "{\"iss\":\"outpost\",\"sub\":\"acme\",\"exp\":1767225700}", AUTH_TENANT},
        {"further claims",
         "{\"iss\":\"outpost\",\"sub\":\"acme\",\"exp\":1767225700,\"deployment_id\":\"d\"}",
         AUTH_TENANT},
        {"fractional exp", "{\"iss\":\"outpost\",\"sub\":\"acme\",\"exp\":1767225700.5}",
         AUTH_TENANT},
        {"no exp", "{\"iss\":\"outpost\",\"sub\":\"acme\"}", AUTH_NONE},
        {"exp in a second", "{\"iss\":\"outpost\",\"sub\":\"acme\",\"exp\":1767225601}",
         AUTH_TENANT},
        {"exp now", "{\"iss\":\"outpost\",\"sub\":\"acme\",\"exp\":1767225600}", AUTH_NONE},
        {"exp within this second", "{\"iss\":\"outpost\",\"sub\":\"acme\",\"exp\":1767225600.9}",
         AUTH_NONE},
        {"exp as text", "{\"iss\":\"outpost\",\"sub\":\"acme\",\"exp\":\"1767225700\"}", AUTH_NONE},
        {"exp null", "{\"iss\":\"outpost\",\"sub\":\"acme\",\"exp\":null}", AUTH_NONE},
        {"exp negative", "{\"iss\":\"outpost\",\"sub\":\"acme\",\"exp\":-1}", AUTH_NONE},
        {"exp huge", "{\"iss\":\"outpost\",\"sub\":\"acme\",\"exp\":1e300}", AUTH_NONE},
        {"exp beyond 64 bits",
         "{\"iss\":\"outpost\",\"sub\":\"acme\",\"exp\":99999999999999999999999}", AUTH_NONE},
        {"nbf now", "{\"iss\":\"outpost\",\"sub\":\"acme\",\"exp\":1767225900,\"nbf\":1767225600}",
         AUTH_TENANT},
        {"nbf in a second",
         "{\"iss\":\"outpost\",\"sub\":\"acme\",\"exp\":1767225900,\"nbf\":1767225601}", AUTH_NONE},
        {"nbf as text", "{\"iss\":\"outpost\",\"sub\":\"acme\",\"exp\":1767225900,\"nbf\":\"0\"}",
         AUTH_NONE},
        {"iat in the future",
         "{\"iss\":\"outpost\",\"sub\":\"acme\",\"exp\":1767225900,\"iat\":1767229200}",
         AUTH_TENANT},
        {"iat of a wrong type",
         "{\"iss\":\"outpost\",\"sub\":\"acme\",\"exp\":1767225900,\"iat\":[]}", AUTH_NONE},
        {"another generation",
         "{\"iss\":\"outpost\",\"sub\":\"acme\",\"exp\":1767225700,\"gen\":9007199254740992}",
         AUTH_TENANT},
        {"generation 0", "{\"iss\":\"outpost\",\"sub\":\"acme\",\"exp\":1767225700,\"gen\":0}",
         AUTH_NONE},
        {"generation null",
         "{\"iss\":\"outpost\",\"sub\":\"acme\",\"exp\":1767225700,\"gen\":null}", AUTH_NONE},
        {"generation as text",
         "{\"iss\":\"outpost\",\"sub\":\"acme\",\"exp\":1767225700,\"gen\":\"7\"}", AUTH_NONE},
        {"generation negative",
         "{\"iss\":\"outpost\",\"sub\":\"acme\",\"exp\":1767225700,\"gen\":-7}", AUTH_NONE},
        {"generation a fraction",
         "{\"iss\":\"outpost\",\"sub\":\"acme\",\"exp\":1767225700,\"gen\":7.0}", AUTH_NONE},
        {"generation beyond 63 bits",
         "{\"iss\":\"outpost\",\"sub\":\"acme\",\"exp\":1767225700,\"gen\":18446744073709551615}",
         AUTH_NONE},
        {"another issuer", "{\"iss\":\"other\",\"sub\":\"acme\",\"exp\":1767225700}", AUTH_NONE},
        {"issuer case", "{\"iss\":\"Outpost\",\"sub\":\"acme\",\"exp\":1767225700}", AUTH_NONE},
        {"no issuer", "{\"sub\":\"acme\",\"exp\":1767225700}", AUTH_NONE},
        {"issuer list", "{\"iss\":[\"outpost\"],\"sub\":\"acme\",\"exp\":1767225700}", AUTH_NONE},
        {"no subject", "{\"iss\":\"outpost\",\"exp\":1767225700}", AUTH_NONE},
        {"empty subject", "{\"iss\":\"outpost\",\"sub\":\"\",\"exp\":1767225700}", AUTH_NONE},
        {"subject of a wrong type", "{\"iss\":\"outpost\",\"sub\":1,\"exp\":1767225700}",
         AUTH_NONE},
        {"subject twice",
         "{\"iss\":\"outpost\",\"sub\":\"acme\",\"sub\":\"acme\",\"exp\":1767225700}", AUTH_NONE},
        {"any member twice",
         "{\"iss\":\"outpost\",\"sub\":\"acme\",\"exp\":1767225700,\"x\":1,\"x\":2}", AUTH_NONE},
        {"twice in another spelling",
         "{\"iss\":\"outpost\",\"sub\":\"acme\",\"s\\u0075b\":\"b\",\"exp\":1767225700}",
         AUTH_NONE},
        {"list", "[]", AUTH_NONE},
        {"text", "\"x\"", AUTH_NONE},
        {"nothing", "", AUTH_NONE},
        {"no JSON", "{\"iss\":\"outpost\",", AUTH_NONE},
        {"bad UTF-8", "{\"iss\":\"outpost\",\"sub\":\"\xff\",\"exp\":1767225700}", AUTH_NONE},
        {"too many members",
         "{\"iss\":\"outpost\",\"sub\":\"acme\",\"exp\":1767225700,\"a\":1,\"b\":1,\"c\":1,"
         "\"d\":1,\"e\":1,\"f\":1,\"g\":1,\"h\":1,\"i\":1,\"j\":1,\"k\":1,\"l\":1,\"m\":1,"
         "\"n\":1,\"o\":1,\"p\":1,\"q\":1,\"r\":1,\"s\":1,\"t\":1,\"u\":1,\"v\":1,\"w\":1,"
         "\"x\":1,\"y\":1,\"z\":1,\"A\":1,\"B\":1,\"C\":1,\"D\":1}",
         AUTH_NONE},
    };
    for (size_t i = 0; i < LL_COUNT(cases); i++) {
        struct buf b;
        make_token(&b, HS256, cases[i].claims, SECRET);
        if (check(buf_str(&b)) != cases[i].role) {
            fail_msg("%s", cases[i].name);
        }
        buf_fini(&b);
    }
}

static void test_headers(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        const char *secret;
        enum auth_role role;
    } cases[] = {
        {HS256, SECRET, AUTH_TENANT},
        {"{\"alg\":\"HS256\"}", SECRET, AUTH_TENANT},
        {"{\"typ\":\"jwt\",\"alg\":\"HS256\",\"kid\":\"x\"}", SECRET, AUTH_TENANT},
        {HS256, "another secret of some length", AUTH_NONE},
        {"{\"alg\":\"none\"}", SECRET, AUTH_NONE},
        {"{\"alg\":\"HS384\"}", SECRET, AUTH_NONE},
        {"{\"alg\":\"HS512\"}", SECRET, AUTH_NONE},
        {"{\"alg\":\"RS256\"}", SECRET, AUTH_NONE},
        {"{\"alg\":\"hs256\"}", SECRET, AUTH_NONE},
        {"{\"alg\":[\"HS256\"]}", SECRET, AUTH_NONE},
        {"{\"alg\":\"HS256\",\"alg\":\"HS256\"}", SECRET, AUTH_NONE},
        {"{\"alg\":\"HS256\",\"typ\":\"JWE\"}", SECRET, AUTH_NONE},
        {"{\"alg\":\"HS256\",\"typ\":1}", SECRET, AUTH_NONE},
        {"{\"alg\":\"HS256\",\"crit\":[\"exp\"]}", SECRET, AUTH_NONE},
        {"{}", SECRET, AUTH_NONE},
        {"", SECRET, AUTH_NONE},
        {"[\"HS256\"]", SECRET, AUTH_NONE},
    };
    for (size_t i = 0; i < LL_COUNT(cases); i++) {
        struct buf b;
        make_token(&b, cases[i].header, GOOD, cases[i].secret);
        if (check(buf_str(&b)) != cases[i].role) {
            fail_msg("%s", cases[i].header);
        }
        buf_fini(&b);
    }
}

/* Whose token it is when tenants had the same id one after the other. */
static void test_is_for(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        struct auth_result who;
        int64_t generation;
        int64_t after_s;
        bool is_for;
    } cases[] = {
        {"ours", {.generation = 5}, 5, 0, true},
        {"ours, made in the second of the deletion",
         {.generation = 5, .has_iat = true, .iat_s = 100},
         5,
         100,
         true},
        {"ours, after the clock went back",
         {.generation = 5, .has_iat = true, .iat_s = 1},
         5,
         100,
         true},
        {"ours, of the one before", {.generation = 4}, 5, 0, false},
        {"the same, from the future",
         {.generation = 4, .has_iat = true, .iat_s = 1000},
         5,
         100,
         false},
        {"made elsewhere, first tenant", {.has_iat = false}, 5, 0, true},
        {"the same, with iat", {.has_iat = true, .iat_s = 1}, 5, 0, true},
        {"no iat, not the first", {.has_iat = false}, 5, 100, false},
        {"before", {.has_iat = true, .iat_s = 99}, 5, 100, false},
        {"within the second", {.has_iat = true, .iat_s = 100}, 5, 100, false},
        {"after", {.has_iat = true, .iat_s = 101}, 5, 100, true},
    };
    for (size_t i = 0; i < LL_COUNT(cases); i++) {
        if (auth_is_for(&cases[i].who, cases[i].generation, cases[i].after_s) != cases[i].is_for) {
            fail_msg("%s", cases[i].name);
        }
    }
}

/* What a token says of its origin reaches the caller. */
static void test_origin(void **state)
{
    (void)state;
    struct arena a;
    struct auth_result who;
    struct buf b;
    arena_init(&a, (size_t)1024 * 1024);
    buf_init(&b, 65536);
    buf_add_lit(&b, "Bearer ");
    assert_int_equal(issue(STR("acme"), 1000, &b), 0);
    auth_check(auth, buf_str(&b), NOW_MS, &a, &who);
    assert_int_equal(who.generation, 7);
    assert_true(who.has_iat);
    assert_int_equal(who.iat_s, NOW_S);
    buf_fini(&b);
    make_token(&b, HS256, "{\"iss\":\"outpost\",\"sub\":\"acme\",\"exp\":1767225700}", SECRET);
    auth_check(auth, buf_str(&b), NOW_MS, &a, &who);
    assert_int_equal(who.role, AUTH_TENANT);
    assert_int_equal(who.generation, 0);
    assert_false(who.has_iat);
    buf_fini(&b);
    const struct auth_token none = {.tenant_id = STR("acme"), .ttl_ms = 1000};
    buf_init(&b, 65536);
    assert_int_equal(auth_issue(auth, &none, NOW_MS, &b), ERR_INVALID);
    buf_fini(&b);
    arena_fini(&a);
}

/* Three HMACs: the header must name the one that was used. */
static void test_algorithms(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        mbedtls_md_type_t md;
    } algorithms[] = {{"HS256", MBEDTLS_MD_SHA256},
                      {"HS384", MBEDTLS_MD_SHA384},
                      {"HS512", MBEDTLS_MD_SHA512},
                      {"HS1", MBEDTLS_MD_SHA1},
                      {"HS224", MBEDTLS_MD_SHA224}};
    for (size_t i = 0; i < LL_COUNT(algorithms) * LL_COUNT(algorithms); i++) {
        const size_t used = i / LL_COUNT(algorithms);
        const size_t named = i % LL_COUNT(algorithms);
        char header[60];
        struct buf b;
        (void)snprintf(header, sizeof(header), "{\"alg\":\"%s\"}", algorithms[named].name);
        make_token_md(&b, algorithms[used].md, header, GOOD, SECRET);
        if (check(buf_str(&b)) != (used == named && used < 3 ? AUTH_TENANT : AUTH_NONE)) {
            fail_msg("%s signed as %s", algorithms[named].name, algorithms[used].name);
        }
        buf_fini(&b);
        make_token_md(&b, algorithms[used].md, header, GOOD, SECRET "x");
        assert_int_equal(check(buf_str(&b)), AUTH_NONE);
        buf_fini(&b);
    }
}

static void test_no_exp(void **state)
{
    (void)state;
    const struct auth_options o = {
        .admin_key = STR(ADMIN_KEY), .jwt_secret = STR(SECRET), .allow_no_exp = true};
    struct auth *strict = auth;
    struct buf b;
    make_token(&b, HS256, "{\"iss\":\"outpost\",\"sub\":\"acme\"}", SECRET);
    assert_int_equal(check(buf_str(&b)), AUTH_NONE);
    assert_int_equal(auth_new(&auth, &o, NULL), 0);
    assert_int_equal(check(buf_str(&b)), AUTH_TENANT);
    buf_fini(&b);
    /* One that is there counts, and a bad one is not as good as none. */
    make_token(&b, HS256, "{\"iss\":\"outpost\",\"sub\":\"acme\",\"exp\":1}", SECRET);
    assert_int_equal(check(buf_str(&b)), AUTH_NONE);
    buf_fini(&b);
    make_token(&b, HS256, "{\"iss\":\"outpost\",\"sub\":\"acme\",\"exp\":null}", SECRET);
    assert_int_equal(check(buf_str(&b)), AUTH_NONE);
    buf_fini(&b);
    auth_free(auth);
    auth = strict;
}

/* Base64url has one spelling for each value: no padding, no stray bits, no other alphabet. */
static void test_strict_base64(void **state)
{
    (void)state;
    struct buf b;
    make_token(&b, HS256, GOOD, SECRET);
    assert_int_equal(check(buf_str(&b)), AUTH_TENANT);
    buf_add_c(&b, '=');
    assert_int_equal(check(buf_str(&b)), AUTH_NONE);
    b.n--;
    buf_add_c(&b, ' ');
    assert_int_equal(check(buf_str(&b)), AUTH_NONE);
    b.n--;
    /* The last character carries four bits; the other two must be zero. */
    static const char alphabet[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const char was = b.p[b.n - 1];
    const char *at = strchr(alphabet, was);
    assert_non_null(at);
    b.p[b.n - 1] = alphabet[(size_t)(at - alphabet) + 1];
    assert_int_equal(check(buf_str(&b)), AUTH_NONE);
    b.p[b.n - 1] = was;
    buf_add_lit(&b, ".e30");
    assert_int_equal(check(buf_str(&b)), AUTH_NONE);
    buf_fini(&b);
}

static void test_size(void **state)
{
    (void)state;
    struct buf claims;
    struct buf token;
    buf_init(&claims, 65536);
    buf_add_lit(&claims, "{\"iss\":\"outpost\",\"sub\":\"acme\",\"exp\":1767225700,\"x\":\"");
    while (claims.n < 6000) {
        buf_add_c(&claims, 'x');
    }
    const size_t head = claims.n;
    buf_add(&claims, "\"}", 3);
    make_token(&token, HS256, claims.p, SECRET);
    assert_true(token.n < 8192);
    assert_int_equal(check(buf_str(&token)), AUTH_TENANT);
    buf_fini(&token);
    claims.n = head;
    while (claims.n < 6200) {
        buf_add_c(&claims, 'x');
    }
    buf_add(&claims, "\"}", 3);
    make_token(&token, HS256, claims.p, SECRET);
    assert_true(token.n > 8192 + 7);
    assert_int_equal(check(buf_str(&token)), AUTH_NONE);
    buf_fini(&token);
    buf_fini(&claims);
}

/* A full arena refuses; nothing is written beyond it. */
static void test_no_memory(void **state)
{
    (void)state;
    struct buf b;
    make_token(&b, HS256, GOOD, SECRET);
    struct arena a;
    struct auth_result result;
    arena_init(&a, 0);
    auth_check(auth, buf_str(&b), NOW_MS, &a, &result);
    assert_int_equal(result.role, AUTH_NONE);
    auth_check(auth, STR("Bearer " ADMIN_KEY), NOW_MS, &a, &result);
    assert_int_equal(result.role, AUTH_ADMIN);
    arena_fini(&a);
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_new),           cmocka_unit_test(test_admin),
        cmocka_unit_test(test_issue),         cmocka_unit_test(test_issue_names),
        cmocka_unit_test(test_claims),        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_strict_base64), cmocka_unit_test(test_size),
        cmocka_unit_test(test_no_memory),     cmocka_unit_test(test_algorithms),
        cmocka_unit_test(test_no_exp),        cmocka_unit_test(test_is_for),
        cmocka_unit_test(test_origin),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
