/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "longline/check.h"
#include "longline/enc.h"
#include "longline/vault.h"

#define KEY_A        "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define KEY_A_BASE64 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
#define KEY_B        "ff0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define MAX          ((size_t)4 * 1024 * 1024)

static struct vault *make(const char *key)
{
    struct vault *v = NULL;
    struct err_detail err = {0};
    assert_int_equal(vault_new(&v, str_c(key), &err), 0);
    assert_non_null(v);
    return v;
}

static void seal(const struct vault *v, const char *context, struct str plain, struct buf *out)
{
    buf_init(out, MAX);
    assert_int_equal(vault_seal(v, str_c(context), plain, out), 0);
}

static int open_text(const struct vault *v, const char *context, struct str sealed,
                     struct str expected)
{
    struct buf plain;
    buf_init(&plain, MAX);
    assert_int_equal(buf_add_lit(&plain, "kept:"), 0);
    const int rc = vault_open(v, str_c(context), sealed, &plain);
    assert_memory_equal(plain.p, "kept:", 5);
    if (rc == 0) {
        assert_true(str_eq(str_of(plain.p + 5, plain.n - 5), expected));
    } else {
        assert_int_equal(plain.n, 5);
    }
    buf_fini(&plain);
    return rc;
}

static void test_keys(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int rc;
    } cases[] = {
        {KEY_A, 0},
        {KEY_A_BASE64, 0},
        {"000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F", 0},
        {"", ERR_INVALID},
        {"secret", ERR_INVALID},
        {"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1", ERR_INVALID},
        {"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1fff", ERR_INVALID},
        {"00010203040506070809zz0b0c0d0e0f101112131415161718191a1b1c1d1e1f", ERR_INVALID},
        {"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", ERR_INVALID},
        {"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9=", ERR_INVALID},
        {"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg==", ERR_INVALID},
    };
    for (size_t i = 0; i < LL_COUNT(cases); i++) {
        struct vault *v = NULL;
        struct err_detail err = {0};
        const int rc = vault_new(&v, str_c(cases[i].text), &err);
        if (rc != cases[i].rc || (v == NULL) != (rc != 0) || (rc != 0 && err.msg[0] == '\0')) {
            fail_msg("%s: %d %s", cases[i].text, rc, err.msg);
        }
        vault_free(v);
    }
    vault_free(NULL);
}

static void test_round_trip(void **state)
{
    (void)state;
    struct vault *v = make(KEY_A);
    static const size_t sizes[] = {0, 1, 2, 3, 31, 32, 1000, 100000};
    for (size_t i = 0; i < LL_COUNT(sizes); i++) {
        struct buf plain;
        struct buf sealed;
        buf_init(&plain, MAX);
        for (size_t k = 0; k < sizes[i]; k++) {
            buf_add_c(&plain, (char)(k * 7));
        }
        seal(v, "acme/d1", buf_str(&plain), &sealed);
        assert_int_equal(sealed.n, ENC_BASE64_LEN(45 + sizes[i]));
        assert_int_equal(open_text(v, "acme/d1", buf_str(&sealed), buf_str(&plain)), 0);
        buf_fini(&plain);
        buf_fini(&sealed);
    }
    vault_free(v);
}

static void test_nonce_differs(void **state)
{
    (void)state;
    struct vault *v = make(KEY_A);
    struct buf one;
    struct buf two;
    seal(v, "c", STR("same"), &one);
    seal(v, "c", STR("same"), &two);
    assert_false(str_eq(buf_str(&one), buf_str(&two)));
    buf_fini(&one);
    buf_fini(&two);
    vault_free(v);
}

static void test_bound_to_context(void **state)
{
    (void)state;
    struct vault *v = make(KEY_A);
    struct buf sealed;
    seal(v, "acme/d1", STR("secret"), &sealed);
    assert_int_equal(open_text(v, "acme/d2", buf_str(&sealed), STR("")), ERR_CORRUPT);
    assert_int_equal(open_text(v, "", buf_str(&sealed), STR("")), ERR_CORRUPT);
    assert_int_equal(open_text(v, "acme/d1", buf_str(&sealed), STR("secret")), 0);
    buf_fini(&sealed);
    vault_free(v);
}

/* Every single changed bit is noticed. */
static void test_tampering(void **state)
{
    (void)state;
    struct vault *v = make(KEY_A);
    struct buf sealed;
    seal(v, "c", STR("secret"), &sealed);
    unsigned char raw[128];
    size_t n = 0;
    assert_int_equal(dec_base64(raw, sizeof(raw), &n, buf_str(&sealed)), 0);
    for (size_t bit = 0; bit < n * 8; bit++) {
        char text[ENC_BASE64_LEN(sizeof(raw))];
        raw[bit / 8] ^= (unsigned char)(1U << (bit % 8));
        const size_t len = enc_base64(text, raw, n);
        const int rc = open_text(v, "c", str_of(text, len), STR(""));
        const int want = bit < 8 ? ERR_VERSION : bit < 40 ? ERR_NOT_FOUND : ERR_CORRUPT;
        assert_int_equal(rc, want);
        raw[bit / 8] ^= (unsigned char)(1U << (bit % 8));
    }
    /* Every cut too. */
    for (size_t cut = 0; cut < sealed.n; cut++) {
        assert_int_equal(open_text(v, "c", str_of(sealed.p, cut), STR("")), ERR_CORRUPT);
    }
    assert_int_equal(open_text(v, "c", STR("not base64!!"), STR("")), ERR_CORRUPT);
    buf_fini(&sealed);
    vault_free(v);
}

static void test_rotation(void **state)
{
    (void)state;
    struct vault *old = make(KEY_A);
    struct vault *now = make(KEY_B);
    struct buf sealed_old;
    struct buf sealed_new;
    seal(old, "c", STR("from before"), &sealed_old);
    assert_int_equal(open_text(now, "c", buf_str(&sealed_old), STR("")), ERR_NOT_FOUND);
    struct err_detail err = {0};
    assert_int_equal(vault_add_old(now, STR(KEY_A_BASE64), &err), 0);
    assert_int_equal(open_text(now, "c", buf_str(&sealed_old), STR("from before")), 0);
    seal(now, "c", STR("new"), &sealed_new);
    assert_int_equal(open_text(now, "c", buf_str(&sealed_new), STR("new")), 0);
    assert_int_equal(open_text(old, "c", buf_str(&sealed_new), STR("")), ERR_NOT_FOUND);
    assert_int_equal(vault_add_old(now, STR("bad"), &err), ERR_INVALID);
    for (int i = 0; i < 7; i++) {
        assert_int_equal(vault_add_old(now, STR(KEY_A), &err), 0);
    }
    assert_int_equal(vault_add_old(now, STR(KEY_A), &err), ERR_LIMIT);
    buf_fini(&sealed_old);
    buf_fini(&sealed_new);
    vault_free(old);
    vault_free(now);
}

static void test_limits(void **state)
{
    (void)state;
    struct vault *v = make(KEY_A);
    struct buf big;
    struct buf out;
    buf_init(&big, MAX);
    buf_init(&out, 64);
    assert_int_equal(vault_seal(v, STR("c"), STR("does not fit there"), &out), ERR_TOO_BIG);
    assert_int_equal(out.n, 0);
    buf_fini(&out);
    buf_init(&out, MAX);
    assert_int_equal(buf_reserve(&big, (size_t)1024 * 1024 + 1), 0);
    memset(big.p, 'x', (size_t)1024 * 1024 + 1);
    big.n = (size_t)1024 * 1024 + 1;
    assert_int_equal(vault_seal(v, STR("c"), buf_str(&big), &out), ERR_TOO_BIG);
    assert_int_equal(vault_seal(v, str_of(big.p, 1025), STR("x"), &out), ERR_INVALID);
    assert_int_equal(vault_seal(v, str_of(big.p, 1024), STR("x"), &out), 0);
    buf_fini(&out);
    buf_fini(&big);
    vault_free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keys),          cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_nonce_differs), cmocka_unit_test(test_bound_to_context),
        cmocka_unit_test(test_tampering),     cmocka_unit_test(test_rotation),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
