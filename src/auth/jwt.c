/* SPDX-License-Identifier: Apache-2.0 */
/*
 *   base64url(header) . base64url(claims) . base64url(HMAC of what stands before)
 *
 * The signature is checked first, so that JSON of strangers is never parsed: its length tells which
 * of the three HMACs it can be. Then header and claims are held to RFC 8725: the header must name
 * that algorithm; no critical extensions, no member twice.
 *
 * Times are compared without leeway, and iat is not compared with the clock, as Outpost does it.
 */
#include "jwt.h"

#include <mbedtls/constant_time.h>
#include <mbedtls/md.h>

#include "longline/check.h"
#include "longline/enc.h"
#include "longline/json.h"
#include "longline/mem.h"

#define MAX_MEMBERS      32
#define MAX_TIME_S       253402300799.0 /* the end of the year 9999 */
#define MAX_MAC          64
#define CLAIMS_MAX_BYTES 4096

static const char issuer[] = "outpost";

struct algorithm {
    const char *name;
    mbedtls_md_type_t md;
    size_t mac_n;
    size_t text_n; /* base64url of mac_n bytes */
};

/* Of tokens that are accepted. */
static const struct algorithm algorithms[] = {
    {"HS256", MBEDTLS_MD_SHA256, 32, 43},
    {"HS384", MBEDTLS_MD_SHA384, 48, 64},
    {"HS512", MBEDTLS_MD_SHA512, MAX_MAC, 86},
};

void jwt_key_init(struct jwt_key *k, struct str secret)
{
    sign_key_init(&k->hs256, secret.p, secret.n);
    k->secret = mem_strndup(secret.p, secret.n);
    k->n = secret.n;
}

void jwt_key_fini(struct jwt_key *k)
{
    sign_key_fini(&k->hs256);
    if (k->secret != NULL) {
        mem_wipe(k->secret, k->n);
    }
    mem_free(k->secret);
    k->secret = NULL;
    k->n = 0;
}

struct jwt_parts {
    struct str signed_text;
    struct str header;
    struct str claims;
    struct str signature;
    const struct algorithm *algorithm; /* by the length of the signature */
};

static const struct algorithm *algorithm_of(struct str signature)
{
    for (size_t i = 0; i < LL_COUNT(algorithms); i++) {
        if (algorithms[i].text_n == signature.n) {
            return &algorithms[i];
        }
    }
    return NULL;
}

static int split(struct jwt_parts *p, struct str token)
{
    if (token.n > JWT_MAX_BYTES) {
        return ERR_SYNTAX;
    }
    const size_t dot = str_find(token, '.');
    if (dot == token.n) {
        return ERR_SYNTAX;
    }
    const struct str rest = str_of(token.p + dot + 1, token.n - dot - 1);
    const size_t dot2 = str_find(rest, '.');
    if (dot2 == rest.n) {
        return ERR_SYNTAX;
    }
    p->header = str_of(token.p, dot);
    p->claims = str_of(rest.p, dot2);
    p->signature = str_of(rest.p + dot2 + 1, rest.n - dot2 - 1);
    p->signed_text = str_of(token.p, dot + 1 + dot2);
    p->algorithm = algorithm_of(p->signature);
    return p->algorithm != NULL ? 0 : ERR_SYNTAX;
}

static int make_mac(const struct jwt_key *key, const struct jwt_parts *p, unsigned char *out)
{
    if (p->algorithm->md == MBEDTLS_MD_SHA256) {
        sign_hmac_sha256(&key->hs256, &p->signed_text, 1, out);
        return 0;
    }
    const mbedtls_md_info_t *md = mbedtls_md_info_from_type(p->algorithm->md);
    return md != NULL && mbedtls_md_hmac(md, (const unsigned char *)key->secret, key->n,
                                         (const unsigned char *)p->signed_text.p, p->signed_text.n,
                                         out) == 0
               ? 0
               : ERR_UNKNOWN;
}

static int check_signature(const struct jwt_key *key, const struct jwt_parts *p)
{
    unsigned char got[MAX_MAC];
    unsigned char want[MAX_MAC];
    const size_t mac_n = p->algorithm->mac_n;
    size_t n = 0;
    int rc = dec_base64url(got, mac_n, &n, p->signature);
    if (rc != 0 || n != mac_n) {
        return ERR_SYNTAX;
    }
    rc = make_mac(key, p, want);
    if (rc != 0) {
        return rc;
    }
    return mbedtls_ct_memcmp(got, want, mac_n) == 0 ? 0 : ERR_DENIED;
}

static bool has_duplicates(yyjson_val *obj)
{
    yyjson_obj_iter it = yyjson_obj_iter_with(obj);
    yyjson_val *key;
    while ((key = yyjson_obj_iter_next(&it)) != NULL) {
        /* Looking a key up finds the first one of that name. */
        if (yyjson_obj_getn(obj, yyjson_get_str(key), yyjson_get_len(key)) !=
            yyjson_obj_iter_get_val(key)) {
            return true;
        }
    }
    return false;
}

/* The object inside one part of the token, NULL when it is not one we would accept. */
static yyjson_val *parse_part(struct str text, struct arena *arena)
{
    char *json = arena_alloc(arena, text.n + 1);
    size_t n = 0;
    if (json == NULL || dec_base64url(json, text.n, &n, text) != 0) {
        return NULL;
    }
    yyjson_doc *doc = json_parse(arena, str_of(json, n), NULL);
    yyjson_val *obj = doc != NULL ? yyjson_doc_get_root(doc) : NULL;
    if (!yyjson_is_obj(obj) || yyjson_obj_size(obj) > MAX_MEMBERS || has_duplicates(obj)) {
        return NULL;
    }
    return obj;
}

static int check_header(const struct jwt_parts *p, struct arena *arena)
{
    yyjson_val *h = parse_part(p->header, arena);
    if (h == NULL) {
        return ERR_SYNTAX;
    }
    yyjson_val *typ = yyjson_obj_get(h, "typ");
    if (!str_eq(json_str(yyjson_obj_get(h, "alg")), str_c(p->algorithm->name)) ||
        (typ != NULL && !str_eq_ci(json_str(typ), STR("JWT"))) ||
        yyjson_obj_get(h, "crit") != NULL) {
        return ERR_DENIED;
    }
    return 0;
}

/* A NumericDate (RFC 7519 2); the fraction is dropped. */
static int get_time(yyjson_val *claims, const char *name, bool *present, int64_t *out_s)
{
    yyjson_val *v = yyjson_obj_get(claims, name);
    *present = v != NULL;
    *out_s = 0;
    if (v == NULL) {
        return 0;
    }
    const double t = yyjson_get_num(v);
    if (!yyjson_is_num(v) || !(t >= 0) || !(t <= MAX_TIME_S)) {
        return ERR_DENIED;
    }
    *out_s = (int64_t)t;
    return 0;
}

static int check_times(yyjson_val *claims, int64_t now_s, struct jwt_claims *out)
{
    bool has_nbf = false;
    int64_t nbf_s = 0;
    if (get_time(claims, "exp", &out->has_exp, &out->exp_s) != 0 ||
        get_time(claims, "nbf", &has_nbf, &nbf_s) != 0 ||
        get_time(claims, "iat", &out->has_iat, &out->iat_s) != 0) {
        return ERR_DENIED;
    }
    return (out->has_exp && now_s >= out->exp_s) || (has_nbf && now_s < nbf_s) ? ERR_TIMEOUT : 0;
}

static int get_generation(yyjson_val *claims, int64_t *out)
{
    yyjson_val *v = yyjson_obj_get(claims, "gen");
    if (v == NULL) {
        return 0;
    }
    *out = yyjson_is_uint(v) && yyjson_get_uint(v) <= INT64_MAX ? (int64_t)yyjson_get_uint(v) : 0;
    return *out != 0 ? 0 : ERR_DENIED;
}

int jwt_verify(const struct jwt_key *key, struct str token, int64_t now_wall_ms,
               struct arena *arena, struct jwt_claims *out)
{
    struct jwt_parts p;
    *out = (struct jwt_claims){.exp_s = 0};
    int rc = split(&p, token);
    if (rc == 0) {
        rc = check_signature(key, &p);
    }
    if (rc == 0) {
        rc = check_header(&p, arena);
    }
    if (rc != 0) {
        return rc;
    }
    yyjson_val *claims = parse_part(p.claims, arena);
    if (claims == NULL) {
        return ERR_SYNTAX;
    }
    const struct str sub = json_str(yyjson_obj_get(claims, "sub"));
    if (!str_eq(json_str(yyjson_obj_get(claims, "iss")), str_c(issuer)) || sub.n == 0 ||
        sub.n > JWT_MAX_SUBJECT) {
        return ERR_DENIED;
    }
    rc = check_times(claims, now_wall_ms / 1000, out);
    if (rc != 0) {
        return rc;
    }
    rc = get_generation(claims, &out->generation);
    if (rc != 0) {
        return rc;
    }
    out->subject = arena_str(arena, sub);
    return out->subject.p != NULL ? 0 : ERR_NOMEM;
}

static int add_base64url(struct buf *out, struct str s)
{
    const int rc = buf_reserve(out, ENC_BASE64_LEN(s.n));
    if (rc != 0) {
        return rc;
    }
    out->n += enc_base64url(out->p + out->n, s.p, s.n);
    return 0;
}

static int write_claims(struct buf *out, const struct jwt_claims *claims)
{
    struct jw w;
    jw_init(&w, out);
    jw_obj(&w);
    JW_STR(&w, "iss", str_c(issuer));
    JW_STR(&w, "sub", claims->subject);
    JW_INT(&w, "iat", claims->iat_s);
    JW_INT(&w, "exp", claims->exp_s);
    JW_INT(&w, "gen", claims->generation);
    jw_obj_end(&w);
    return out->failed ? ERR_TOO_BIG : 0;
}

int jwt_sign(const struct jwt_key *key, const struct jwt_claims *claims, struct buf *out)
{
    const size_t start = out->n;
    unsigned char mac[SIGN_MAC_LEN];
    struct buf text;
    buf_init(&text, CLAIMS_MAX_BYTES);
    int rc = write_claims(&text, claims);
    if (rc == 0) {
        rc = add_base64url(out, STR("{\"alg\":\"HS256\",\"typ\":\"JWT\"}"));
    }
    if (rc == 0) {
        rc = buf_add_c(out, '.');
    }
    if (rc == 0) {
        rc = add_base64url(out, buf_str(&text));
    }
    if (rc == 0) {
        const struct str signed_text = str_of(out->p + start, out->n - start);
        sign_hmac_sha256(&key->hs256, &signed_text, 1, mac);
        rc = buf_add_c(out, '.');
    }
    if (rc == 0) {
        rc = add_base64url(out, str_of((const char *)mac, sizeof(mac)));
    }
    buf_fini(&text);
    if (rc != 0) {
        out->n = start;
    }
    return rc;
}
