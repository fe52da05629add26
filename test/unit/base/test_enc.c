/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "longline/check.h"
#include "longline/enc.h"
#include "longline/rng.h"

static void test_base64_vectors(void **state)
{
    /* RFC 4648 section 10, and one that differs between the alphabets. */
    static const struct {
        const char *plain;
        const char *padded;
        const char *url;
    } rows[] = {
        {"", "", ""},
        {"f", "Zg==", "Zg"},
        {"fo", "Zm8=", "Zm8"},
        {"foo", "Zm9v", "Zm9v"},
        {"foob", "Zm9vYg==", "Zm9vYg"},
        {"fooba", "Zm9vYmE=", "Zm9vYmE"},
        {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
        {"\xfb\xff\xfe", "+//+", "-__-"},
    };
    (void)state;
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        const size_t n = strlen(rows[i].plain);
        char text[16];
        char back[16];
        size_t len;
        len = enc_base64(text, rows[i].plain, n);
        assert_int_equal(len, ENC_BASE64_LEN(n));
        assert_true(str_eq(str_of(text, len), str_c(rows[i].padded)));
        assert_int_equal(dec_base64(back, sizeof(back), &len, str_c(rows[i].padded)), 0);
        assert_true(str_eq(str_of(back, len), str_c(rows[i].plain)));
        len = enc_base64url(text, rows[i].plain, n);
        assert_true(str_eq(str_of(text, len), str_c(rows[i].url)));
        assert_int_equal(dec_base64url(back, sizeof(back), &len, str_c(rows[i].url)), 0);
        assert_true(str_eq(str_of(back, len), str_c(rows[i].plain)));
    }
}

static void test_base64_strict(void **state)
{
    static const char *const padded[] = {"Zg",       "Zg=",   "Zg===",      "Z===",  "====", "=",
                                         "Zh==",     "Zm9=",  "Zm 9",       "Zm9\n", "Zm-_", "Zg=A",
                                         "Zg==Zg==", "Zm9vY", "\xc3\xa4==", "A"};
    static const char *const url[] = {"Zg==", "Z", "Zh", "Zm9", "Zm+/", "Zm8=", " Zg", "Zm9vZ"};
    char out[16];
    size_t n;
    (void)state;
    for (size_t i = 0; i < LL_COUNT(padded); i++) {
        assert_int_equal(dec_base64(out, sizeof(out), &n, str_c(padded[i])), ERR_SYNTAX);
    }
    for (size_t i = 0; i < LL_COUNT(url); i++) {
        assert_int_equal(dec_base64url(out, sizeof(out), &n, str_c(url[i])), ERR_SYNTAX);
    }
    assert_int_equal(dec_base64(out, 5, &n, STR("Zm9vYmFy")), ERR_TOO_BIG);
    assert_int_equal(dec_base64(out, 6, &n, STR("Zm9vYmFy")), 0);
    assert_int_equal(dec_base64(out, 0, &n, STR("")), 0);
    assert_int_equal(n, 0);
}

static void test_hex(void **state)
{
    char text[6];
    unsigned char out[3];
    size_t n;
    (void)state;
    enc_hex(text, "\x00\xab\xff", 3);
    assert_memory_equal(text, "00abff", 6);
    assert_int_equal(dec_hex(out, 3, &n, STR("00aBFf")), 0);
    assert_int_equal(n, 3);
    assert_memory_equal(out, "\x00\xab\xff", 3);
    assert_int_equal(dec_hex(out, 3, &n, STR("")), 0);
    assert_int_equal(n, 0);
    assert_int_equal(dec_hex(out, 3, &n, STR("0")), ERR_SYNTAX);
    assert_int_equal(dec_hex(out, 3, &n, STR("0g")), ERR_SYNTAX);
    assert_int_equal(dec_hex(out, 3, &n, STR("0x")), ERR_SYNTAX);
    assert_int_equal(dec_hex(out, 2, &n, STR("000000")), ERR_TOO_BIG);
}

static void test_random_round_trips(void **state)
{
    struct rng_seeded rng;
    (void)state;
    rng_seeded_init(&rng, 7);
    for (size_t n = 0; n < 200; n++) {
        unsigned char bytes[200];
        unsigned char back[200];
        char text[400];
        size_t len;
        size_t got;
        rng_fill(&rng.rng, bytes, n);
        len = enc_base64(text, bytes, n);
        assert_int_equal(dec_base64(back, n, &got, str_of(text, len)), 0);
        assert_int_equal(got, n);
        assert_memory_equal(back, bytes, n);
        len = enc_base64url(text, bytes, n);
        assert_int_equal(dec_base64url(back, n, &got, str_of(text, len)), 0);
        assert_memory_equal(back, bytes, n);
        enc_hex(text, bytes, n);
        assert_int_equal(dec_hex(back, n, &got, str_of(text, 2 * n)), 0);
        assert_memory_equal(back, bytes, n);
    }
}

static void test_percent(void **state)
{
    static const struct {
        const char *in;
        int plus;
        int rc;
        const char *out;
    } rows[] = {
        {"", 0, 0, ""},
        {"abc", 0, 0, "abc"},
        {"a%20b", 0, 0, "a b"},
        {"a+b", 0, 0, "a+b"},
        {"a+b%2B", 1, 0, "a b+"},
        {"%e4%BD%a0", 0, 0, "\xe4\xbd\xa0"},
        {"%", 0, ERR_SYNTAX, NULL},
        {"%2", 0, ERR_SYNTAX, NULL},
        {"abc%4", 0, ERR_SYNTAX, NULL},
        {"%zz", 0, ERR_SYNTAX, NULL},
        {"%-1", 0, ERR_SYNTAX, NULL},
        {"%00", 0, ERR_SYNTAX, NULL},
        {"a%00b", 1, ERR_SYNTAX, NULL},
        {"%2525", 0, 0, "%25"},
    };
    (void)state;
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        struct buf b;
        buf_init(&b, 100);
        assert_int_equal(dec_percent(&b, str_c(rows[i].in), rows[i].plus), rows[i].rc);
        if (rows[i].rc == 0) {
            assert_true(str_eq(buf_str(&b), str_c(rows[i].out)));
        }
        buf_fini(&b);
    }
}

static void test_percent_limit(void **state)
{
    struct buf small;
    (void)state;
    buf_init(&small, 2);
    assert_int_equal(dec_percent(&small, STR("abc"), 0), ERR_TOO_BIG);
    buf_fini(&small);
}

static void test_utf8(void **state)
{
    static const struct {
        struct str s;
        int ok;
    } rows[] = {
        {{"", 0}, 1},
        {{"plain ascii text", 16}, 1},
        {{"\0", 1}, 1},
        {{"\x7f", 1}, 1},
        {{"\xc2\x80", 2}, 1},
        {{"\xdf\xbf", 2}, 1},
        {{"\xe0\xa0\x80", 3}, 1},
        {{"\xed\x9f\xbf", 3}, 1},
        {{"\xee\x80\x80", 3}, 1},
        {{"\xef\xbf\xbf", 3}, 1},
        {{"\xf0\x90\x80\x80", 4}, 1},
        {{"\xf4\x8f\xbf\xbf", 4}, 1},
        {{"abcdefgh\xe4\xbd\xa0zzzzzzzz", 19}, 1},
        {{"\x80", 1}, 0},
        {{"\xc0\x80", 2}, 0},
        {{"\xc1\xbf", 2}, 0},
        {{"\xc2", 1}, 0},
        {{"\xc2\x41", 2}, 0},
        {{"\xe0\x9f\xbf", 3}, 0},
        {{"\xe4\xbd", 2}, 0},
        {{"\xed\xa0\x80", 3}, 0},
        {{"\xed\xbf\xbf", 3}, 0},
        {{"\xf0\x8f\xbf\xbf", 4}, 0},
        {{"\xf0\x90\x80", 3}, 0},
        {{"\xf4\x90\x80\x80", 4}, 0},
        {{"\xf5\x80\x80\x80", 4}, 0},
        {{"\xff", 1}, 0},
        {{"abcdefg\xc3", 8}, 0},
        {{"abcdefgh\xc3", 9}, 0},
    };
    (void)state;
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        if (utf8_valid(rows[i].s) != rows[i].ok) {
            fail_msg("row %zu", i);
        }
    }
}

static void test_big_endian(void **state)
{
    unsigned char p[8];
    (void)state;
    put_be64(p, 0x0102030405060708U);
    assert_memory_equal(p, "\x01\x02\x03\x04\x05\x06\x07\x08", 8);
    assert_true(get_be64(p) == 0x0102030405060708U);
    assert_int_equal(get_be32(p + 1), 0x02030405);
    assert_int_equal(get_be16(p + 3), 0x0405);
    put_be32(p, 0xfffefdfcU);
    put_be16(p + 4, 0x8001);
    assert_memory_equal(p, "\xff\xfe\xfd\xfc\x80\x01\x07\x08", 8);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_base64_vectors),
        cmocka_unit_test(test_base64_strict),
        cmocka_unit_test(test_hex),
        cmocka_unit_test(test_random_round_trips),
        cmocka_unit_test(test_percent),
        cmocka_unit_test(test_percent_limit),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_big_endian),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
