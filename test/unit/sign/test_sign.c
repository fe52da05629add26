/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "longline/check.h"
#include "longline/enc.h"
#include "longline/sign.h"

#define HEX_A "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define HEX_F "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"
#define ORDER "{\"order_id\":\"ord_1\",\"amount\":1500}"

struct vector {
    const char *name;
    const char *secret;
    const char *id;
    int64_t timestamp;
    const char *body;
    const char *header;
};

static const struct vector standard_vectors[] = {
    {"libraries A", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "msg_p5jXN8AQM9LWM0D4loKWxJek",
     1614265330, "{\"test\": 2432232314}", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
    {"libraries B", "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
     1649367553, "{\"email\":\"test@example.com\",\"username\":\"test_user\"}",
     "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw="},
    {"Outpost", "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=", "evt_1", 1767225600, ORDER,
     "v1,h9eVtrnyKk4Hb/bgHMTueIFOXiKXUzApnmGzc1fm5S4="},
};

static void make_key(struct sign_key *k, enum sign_mode mode, const char *secret)
{
    assert_int_equal(sign_key_from_secret(k, mode, str_c(secret)), 0);
}

static void assert_buf(struct buf *b, const char *expected)
{
    assert_int_equal(b->n, strlen(expected));
    assert_memory_equal(b->p, expected, b->n);
    buf_reset(b);
}

/* RFC 4231, cases 1, 2 and 6. */
static void test_rfc4231(void **state)
{
    (void)state;
    static const struct {
        char fill;
        size_t n_key;
        const char *key;
        const char *data;
        const char *mac;
    } rows[] = {
        {0x0b, 20, NULL, "Hi There",
         "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
        {0, 4, "Jefe", "what do ya want for nothing?",
         "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
        {(char)0xaa, 131, NULL, "Test Using Larger Than Block-Size Key - Hash Key First",
         "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
    };
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        char key[131];
        char hex[2 * SIGN_MAC_LEN];
        unsigned char mac[SIGN_MAC_LEN];
        struct sign_key k;
        memset(key, rows[i].fill, sizeof(key));
        if (rows[i].key != NULL) {
            memcpy(key, rows[i].key, rows[i].n_key);
        }
        const struct str data = str_c(rows[i].data);
        sign_key_init(&k, key, rows[i].n_key);
        sign_hmac_sha256(&k, &data, 1, mac);
        enc_hex(hex, mac, sizeof(mac));
        assert_memory_equal(hex, rows[i].mac, sizeof(hex));
    }
}

static void test_default_golden(void **state)
{
    (void)state;
    struct sign_key keys[2];
    struct buf b;

    make_key(&keys[0], SIGN_MODE_DEFAULT, "whsec_" HEX_A);
    make_key(&keys[1], SIGN_MODE_DEFAULT, "whsec_" HEX_F);
    buf_init(&b, 512);
    assert_int_equal(sign_default(&b, keys, 2, STR(ORDER)), 0);
    assert_buf(&b, "v0=e9e09be283ceef94a20dbd562a83a3840953c72f84febca13483d91cd0855de5,"
                   "1916580f460bb39017f94fe6176847ea76ee54c6b489a4ab795838e056403c52");
    assert_int_equal(sign_default(&b, keys, 1, STR(ORDER)), 0);
    assert_buf(&b, "v0=e9e09be283ceef94a20dbd562a83a3840953c72f84febca13483d91cd0855de5");
    buf_fini(&b);
}

static void test_standard_golden(void **state)
{
    (void)state;
    for (size_t i = 0; i < LL_COUNT(standard_vectors); i++) {
        const struct vector *v = &standard_vectors[i];
        const struct sign_message m = {str_c(v->id), v->timestamp, str_c(v->body)};
        struct sign_key k;
        struct buf b;
        make_key(&k, SIGN_MODE_STANDARD, v->secret);
        buf_init(&b, 512);
        assert_int_equal(sign_standard(&b, &k, 1, &m), 0);
        assert_buf(&b, v->header);
        buf_fini(&b);
    }
}

static void test_standard_two_keys(void **state)
{
    (void)state;
    const struct vector *v = &standard_vectors[2];
    const struct sign_message m = {str_c(v->id), v->timestamp, str_c(v->body)};
    struct sign_key keys[2];
    struct buf b;
    struct buf second;

    make_key(&keys[0], SIGN_MODE_STANDARD, v->secret);
    make_key(&keys[1], SIGN_MODE_STANDARD, standard_vectors[0].secret);
    buf_init(&b, 512);
    buf_init(&second, 512);
    assert_int_equal(sign_standard(&b, keys, 2, &m), 0);
    assert_int_equal(sign_standard(&second, &keys[1], 1, &m), 0);
    const size_t n = strlen(v->header);
    assert_int_equal(b.n, n + 1 + second.n);
    assert_memory_equal(b.p, v->header, n);
    assert_int_equal(b.p[n], ' ');
    assert_memory_equal(b.p + n + 1, second.p, second.n);
    buf_fini(&b);
    buf_fini(&second);
}

static void test_standard_refuses_moving_boundary(void **state)
{
    (void)state;
    struct sign_key k;
    struct buf b;
    make_key(&k, SIGN_MODE_STANDARD, standard_vectors[0].secret);
    buf_init(&b, 512);
    const struct sign_message dotted = {STR("evt.1"), 1, STR("x")};
    const struct sign_message empty = {STR(""), 1, STR("x")};
    assert_int_equal(sign_standard(&b, &k, 1, &dotted), ERR_INVALID);
    assert_int_equal(sign_standard(&b, &k, 1, &empty), ERR_INVALID);
    assert_int_equal(b.n, 0);
    buf_fini(&b);
}

static void test_full_buffer(void **state)
{
    (void)state;
    struct sign_key k;
    struct buf b;
    const struct sign_message m = {STR("e"), 1, STR("x")};
    make_key(&k, SIGN_MODE_STANDARD, standard_vectors[0].secret);
    buf_init(&b, 20);
    assert_int_equal(sign_standard(&b, &k, 1, &m), ERR_TOO_BIG);
    buf_reset(&b);
    assert_int_equal(sign_default(&b, &k, 1, STR("x")), ERR_TOO_BIG);
    buf_fini(&b);
}

static bool same_key(enum sign_mode mode, const char *secret, const void *raw, size_t n)
{
    struct sign_key a;
    struct sign_key b;
    make_key(&a, mode, secret);
    sign_key_init(&b, raw, n);
    return memcmp(&a, &b, sizeof(a)) == 0;
}

static void test_key_of_secret(void **state)
{
    (void)state;
    static const char decoded[] = {'a', 'b', 'c'}; /* YWJj */
    const enum sign_mode std = SIGN_MODE_STANDARD;
    const enum sign_mode def = SIGN_MODE_DEFAULT;

    assert_true(same_key(std, "whsec_YWJj", decoded, 3));
    assert_true(same_key(def, "whsec_YWJj", "whsec_YWJj", 10));
    /* Not what the standard describes: the text is the key. */
    assert_true(same_key(std, "YWJj", "YWJj", 4));
    assert_true(same_key(std, "whsec_", "whsec_", 6));
    assert_true(same_key(std, "whsec_YWJ", "whsec_YWJ", 9));
    assert_true(same_key(std, "whsec_YW-_", "whsec_YW-_", 10));
    assert_true(same_key(std, "plain text", "plain text", 10));
    assert_true(same_key(def, "", "", 0));

    assert_true(sign_secret_is_standard(STR("whsec_YWJj")));
    assert_false(sign_secret_is_standard(STR("YWJj")));
    assert_false(sign_secret_is_standard(STR("whsec_")));
    assert_false(sign_secret_is_standard(STR("whsec_YWJ")));
    assert_false(sign_secret_is_standard(STR_NULL));

    char longest[SIGN_SECRET_MAX + 1];
    struct sign_key k;
    memset(longest, 'a', sizeof(longest));
    assert_int_equal(sign_key_from_secret(&k, std, str_of(longest, SIGN_SECRET_MAX)), 0);
    assert_int_equal(sign_key_from_secret(&k, std, str_of(longest, SIGN_SECRET_MAX + 1)),
                     ERR_TOO_BIG);
    memcpy(longest, "whsec_", 6);
    assert_false(sign_secret_is_standard(str_of(longest, SIGN_SECRET_MAX + 1)));
    sign_key_fini(&k);
    for (size_t i = 0; i < 8; i++) {
        assert_int_equal(k.inner[i] | k.outer[i], 0);
    }
}

static void test_new_secret(void **state)
{
    (void)state;
    struct rng_seeded r;
    char a[SIGN_NEW_SECRET_MAX];
    char b[SIGN_NEW_SECRET_MAX];
    unsigned char raw[64];
    size_t n_raw;

    rng_seeded_init(&r, 7);
    const size_t n = sign_secret_new(a, SIGN_MODE_DEFAULT, &r.rng);
    assert_int_equal(n, 6 + 64);
    assert_int_equal(strlen(a), n);
    assert_memory_equal(a, "whsec_", 6);
    assert_int_equal(dec_hex(raw, sizeof(raw), &n_raw, str_of(a + 6, n - 6)), 0);
    assert_int_equal(n_raw, 32);
    sign_secret_new(b, SIGN_MODE_DEFAULT, &r.rng);
    assert_string_not_equal(a, b);

    const size_t m = sign_secret_new(a, SIGN_MODE_STANDARD, &r.rng);
    assert_int_equal(m, 6 + 44);
    assert_int_equal(dec_base64(raw, sizeof(raw), &n_raw, str_of(a + 6, m - 6)), 0);
    assert_int_equal(n_raw, 32);
    assert_true(same_key(SIGN_MODE_STANDARD, a, raw, 32));
}

static void test_default_verify(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        const char *header;
        int rc;
    } rows[] = {
        {"the signature", "v0=e9e09be283ceef94a20dbd562a83a3840953c72f84febca13483d91cd0855de5", 0},
        {"second of two",
         "v0=" HEX_F ",e9e09be283ceef94a20dbd562a83a3840953c72f84febca13483d91cd0855de5", 0},
        {"of another key", "v0=1916580f460bb39017f94fe6176847ea76ee54c6b489a4ab795838e056403c52",
         ERR_DENIED},
        {"empty", "", ERR_SYNTAX},
        {"only the version", "v0=", ERR_SYNTAX},
        {"other version", "v1=" HEX_F, ERR_SYNTAX},
        {"short", "v0=e9e0", ERR_SYNTAX},
        {"long", "v0=" HEX_F "ff", ERR_SYNTAX},
        {"not hex", "v0=zze09be283ceef94a20dbd562a83a3840953c72f84febca13483d91cd0855de5",
         ERR_SYNTAX},
        {"empty item", "v0=" HEX_F ",,", ERR_SYNTAX},
    };
    struct sign_key k;
    make_key(&k, SIGN_MODE_DEFAULT, "whsec_" HEX_A);
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        const int rc = sign_default_verify(&k, 1, STR(ORDER), str_c(rows[i].header));
        if (rc != rows[i].rc) {
            fail_msg("%s: %s", rows[i].name, err_name(rc));
        }
    }
    assert_int_equal(sign_default_verify(&k, 1, STR(ORDER " "), str_c(rows[0].header)), ERR_DENIED);
}

static void test_standard_verify(void **state)
{
    (void)state;
    const struct vector *v = &standard_vectors[0];
    const int64_t t = v->timestamp;
#define GOOD "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
#define BAD  "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
    const struct {
        const char *name;
        const char *timestamp;
        const char *header;
        int64_t now;
        int rc;
    } rows[] = {
        {"the signature", "1614265330", GOOD, t, 0},
        {"oldest", "1614265330", GOOD, t + 300, 0},
        {"too old", "1614265330", GOOD, t + 301, ERR_RANGE},
        {"newest", "1614265330", GOOD, t - 300, 0},
        {"from the future", "1614265330", GOOD, t - 301, ERR_RANGE},
        {"too old and wrong", "1614265330", BAD, t + 301, ERR_DENIED},
        {"other timestamp", "1614265331", GOOD, t, ERR_DENIED},
        {"second of two", "1614265330", BAD " " GOOD, t, 0},
        {"after an asymmetric one", "1614265330", "v1a,AAAA " GOOD, t, 0},
        {"after junk", "1614265330", "junk v1, v1,!! " GOOD, t, 0},
        {"only junk", "1614265330", "junk v1,AAAA", t, ERR_SYNTAX},
        {"wrong", "1614265330", BAD, t, ERR_DENIED},
        {"empty", "1614265330", "", t, ERR_SYNTAX},
        {"timestamp is text", "now", GOOD, t, ERR_SYNTAX},
        {"timestamp is negative", "-1", GOOD, t, ERR_SYNTAX},
        {"timestamp is missing", "", GOOD, t, ERR_SYNTAX},
    };
    struct sign_key k;
    make_key(&k, SIGN_MODE_STANDARD, v->secret);
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        const struct sign_standard_headers h = {str_c(v->id), str_c(rows[i].timestamp),
                                                str_c(rows[i].header)};
        const int rc = sign_standard_verify(&k, 1, &h, str_c(v->body), rows[i].now);
        if (rc != rows[i].rc) {
            fail_msg("%s: %s", rows[i].name, err_name(rc));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rfc4231),
        cmocka_unit_test(test_default_golden),
        cmocka_unit_test(test_standard_golden),
        cmocka_unit_test(test_standard_two_keys),
        cmocka_unit_test(test_standard_refuses_moving_boundary),
        cmocka_unit_test(test_full_buffer),
        cmocka_unit_test(test_key_of_secret),
        cmocka_unit_test(test_new_secret),
        cmocka_unit_test(test_default_verify),
        cmocka_unit_test(test_standard_verify),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
