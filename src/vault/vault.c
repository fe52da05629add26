/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The 192-bit nonce is random for each text, so nothing has to be counted. The bytes before the
 * nonce are authenticated together with the context. Keys lie in memory that libsodium locks and
 * keeps out of core dumps where the system allows it.
 */
#include "longline/vault.h"

#include <sodium.h>

#include "longline/check.h"
#include "longline/enc.h"
#include "longline/mem.h"

#define VERSION     1
#define KEY_SIZE    ((size_t)crypto_aead_xchacha20poly1305_ietf_KEYBYTES)
#define NONCE_SIZE  ((size_t)crypto_aead_xchacha20poly1305_ietf_NPUBBYTES)
#define TAG_SIZE    ((size_t)crypto_aead_xchacha20poly1305_ietf_ABYTES)
#define KEY_ID_SIZE ((size_t)4)
#define HEAD_SIZE   (1 + KEY_ID_SIZE)
#define OVERHEAD    (HEAD_SIZE + NONCE_SIZE + TAG_SIZE)
#define MAX_PLAIN   ((size_t)1024 * 1024)
#define MAX_CONTEXT ((size_t)1024)
#define MAX_KEYS    9 /* the current one and eight older ones */

_Static_assert(crypto_aead_xchacha20poly1305_ietf_KEYBYTES == 32, "the key is 32 bytes");
_Static_assert(crypto_aead_xchacha20poly1305_ietf_NPUBBYTES == 24, "the nonce is 24 bytes");

struct vault_key {
    unsigned char id[KEY_ID_SIZE];
    unsigned char secret[KEY_SIZE];
};

struct vault {
    size_t n_keys;
    struct vault_key keys[MAX_KEYS]; /* the first one seals */
};

static int parse_key(unsigned char secret[KEY_SIZE], struct str text, struct err_detail *err)
{
    size_t n = 0;
    int rc = ERR_SYNTAX;
    if (text.n == 2 * KEY_SIZE) {
        rc = dec_hex(secret, KEY_SIZE, &n, text);
    } else if (text.n == ENC_BASE64_LEN(KEY_SIZE)) {
        rc = dec_base64(secret, KEY_SIZE, &n, text);
    }
    if (rc != 0 || n != KEY_SIZE) {
        return err_set(err, ERR_INVALID, 0,
                       "the vault key must be 64 hex digits or 44 base64 characters");
    }
    return 0;
}

/* The id tells keys apart without giving anything away: a keyed hash under the key itself. */
static int add_key(struct vault *v, struct str text, struct err_detail *err)
{
    static const unsigned char label[] = "longline vault key id";
    struct vault_key *k = &v->keys[v->n_keys];
    const int rc = parse_key(k->secret, text, err);
    if (rc != 0) {
        sodium_memzero(k, sizeof(*k));
        return rc;
    }
    unsigned char hash[crypto_generichash_BYTES];
    if (crypto_generichash(hash, sizeof(hash), label, sizeof(label) - 1, k->secret, KEY_SIZE) !=
        0) {
        return err_set(err, ERR_UNKNOWN, 0, "cannot hash the vault key");
    }
    memcpy(k->id, hash, KEY_ID_SIZE);
    v->n_keys++;
    return 0;
}

int vault_new(struct vault **out, struct str key_text, struct err_detail *err)
{
    *out = NULL;
    if (sodium_init() < 0) { /* does its work once, however often it is called */
        return err_set(err, ERR_UNKNOWN, 0, "libsodium cannot be initialised");
    }
    struct vault *v = sodium_malloc(sizeof(*v));
    if (v == NULL) {
        return err_set(err, ERR_NOMEM, 0, "no memory for the vault keys");
    }
    v->n_keys = 0;
    const int rc = add_key(v, key_text, err);
    if (rc != 0) {
        vault_free(v);
        return rc;
    }
    *out = v;
    return 0;
}

int vault_add_old(struct vault *v, struct str key_text, struct err_detail *err)
{
    if (v->n_keys == MAX_KEYS) {
        return err_set(err, ERR_LIMIT, 0, "at most %d older vault keys", MAX_KEYS - 1);
    }
    return add_key(v, key_text, err);
}

void vault_free(struct vault *v)
{
    sodium_free(v); /* wipes; NULL is fine */
}

/* version | key id | context: what is authenticated but not encrypted. */
struct vault_aad {
    size_t n;
    unsigned char bytes[HEAD_SIZE + MAX_CONTEXT];
};

static int make_aad(struct vault_aad *aad, const unsigned char *head, struct str context)
{
    if (context.n > MAX_CONTEXT) {
        return ERR_INVALID;
    }
    memcpy(aad->bytes, head, HEAD_SIZE);
    if (context.n > 0) {
        memcpy(aad->bytes + HEAD_SIZE, context.p, context.n);
    }
    aad->n = HEAD_SIZE + context.n;
    return 0;
}

/* raw has room for OVERHEAD + plain.n bytes. */
static int seal_raw(const struct vault_key *k, struct str context, struct str plain,
                    unsigned char *raw)
{
    raw[0] = VERSION;
    memcpy(raw + 1, k->id, KEY_ID_SIZE);
    randombytes_buf(raw + HEAD_SIZE, NONCE_SIZE);
    struct vault_aad aad;
    const int rc = make_aad(&aad, raw, context);
    if (rc != 0) {
        return rc;
    }
    const unsigned char *const text = (const unsigned char *)(plain.p != NULL ? plain.p : "");
    unsigned long long n = 0;
    const int failed = crypto_aead_xchacha20poly1305_ietf_encrypt(raw + HEAD_SIZE + NONCE_SIZE, &n,
                                                                  text, plain.n, aad.bytes, aad.n,
                                                                  NULL, raw + HEAD_SIZE, k->secret);
    LL_ASSERT(failed == 0 && n == plain.n + TAG_SIZE);
    return 0;
}

int vault_seal(const struct vault *v, struct str context, struct str plain, struct buf *out)
{
    if (plain.n > MAX_PLAIN) {
        return ERR_TOO_BIG;
    }
    const size_t raw_n = OVERHEAD + plain.n;
    int rc = buf_reserve(out, ENC_BASE64_LEN(raw_n));
    if (rc != 0) {
        return rc;
    }
    unsigned char *raw = mem_try_alloc(raw_n);
    if (raw == NULL) {
        return ERR_NOMEM;
    }
    rc = seal_raw(&v->keys[0], context, plain, raw);
    if (rc == 0) {
        out->n += enc_base64(out->p + out->n, raw, raw_n);
    }
    mem_free(raw);
    return rc;
}

/* out has room for raw_n - OVERHEAD bytes. */
static int open_raw(const struct vault *v, struct str context, const unsigned char *raw,
                    size_t raw_n, unsigned char *out)
{
    struct vault_aad aad;
    int rc = make_aad(&aad, raw, context);
    if (rc != 0) {
        return rc;
    }
    rc = ERR_NOT_FOUND;
    for (size_t i = 0; i < v->n_keys; i++) {
        const struct vault_key *const k = &v->keys[i];
        if (memcmp(k->id, raw + 1, KEY_ID_SIZE) != 0) {
            continue;
        }
        const unsigned char *const nonce = raw + HEAD_SIZE;
        if (crypto_aead_xchacha20poly1305_ietf_decrypt(out, NULL, NULL, nonce + NONCE_SIZE,
                                                       raw_n - HEAD_SIZE - NONCE_SIZE, aad.bytes,
                                                       aad.n, nonce, k->secret) == 0) {
            return 0;
        }
        rc = ERR_CORRUPT;
    }
    return rc;
}

static int decode_and_open(const struct vault *v, struct str context, struct str sealed,
                           unsigned char *raw, struct buf *out)
{
    size_t raw_n = 0;
    if (dec_base64(raw, sealed.n, &raw_n, sealed) != 0 || raw_n < OVERHEAD) {
        return ERR_CORRUPT;
    }
    if (raw[0] != VERSION) {
        return ERR_VERSION;
    }
    /* One more byte, so that there is a place to write to also when the text is empty. */
    int rc = buf_reserve(out, raw_n - OVERHEAD + 1);
    if (rc != 0) {
        return rc;
    }
    rc = open_raw(v, context, raw, raw_n, (unsigned char *)out->p + out->n);
    if (rc == 0) {
        out->n += raw_n - OVERHEAD;
    }
    return rc;
}

int vault_open(const struct vault *v, struct str context, struct str sealed, struct buf *out)
{
    if (sealed.n == 0 || sealed.n > ENC_BASE64_LEN(OVERHEAD + MAX_PLAIN)) {
        return ERR_CORRUPT;
    }
    unsigned char *raw = mem_try_alloc(sealed.n);
    if (raw == NULL) {
        return ERR_NOMEM;
    }
    const int rc = decode_and_open(v, context, sealed, raw, out);
    mem_free(raw);
    return rc;
}
