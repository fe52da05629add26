/* SPDX-License-Identifier: Apache-2.0 */
/* Both compression functions and the HMAC against Mbed TLS, for all lengths that matter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>
#include <mbedtls/md.h>
#include <mbedtls/sha256.h>

#include "longline/check.h"
#include "longline/rng.h"
#include "longline/sign.h"
#include "sign/sha256.h"

#define MAX_LEN 700

static struct rng_seeded seeded;

static void digest_by(sha256_compress_fn fn, const unsigned char *p, size_t n, size_t cut,
                      unsigned char out[SHA256_LEN])
{
    struct sha256 s;
    sha256_init(&s, fn);
    sha256_update(&s, p, cut);
    sha256_update(&s, p + cut, n - cut);
    sha256_final(&s, out);
}

static void check_compress(sha256_compress_fn fn)
{
    unsigned char data[MAX_LEN + 1];
    unsigned char expected[SHA256_LEN];
    unsigned char got[SHA256_LEN];

    for (size_t n = 0; n <= MAX_LEN; n++) {
        rng_fill(&seeded.rng, data, sizeof(data));
        /* From an odd address, so that alignment cannot be relied on. */
        assert_int_equal(mbedtls_sha256(data + 1, n, expected, 0), 0);
        const size_t cut = (size_t)rng_below(&seeded.rng, n + 1);
        digest_by(fn, data + 1, n, cut, got);
        assert_memory_equal(got, expected, sizeof(got));
        digest_by(fn, data + 1, n, 0, got);
        assert_memory_equal(got, expected, sizeof(got));
    }
}

static void test_portable(void **state)
{
    (void)state;
    check_compress(sha256_compress_portable);
}

static void test_ni(void **state)
{
    (void)state;
    if (!sha256_has_ni()) {
        skip();
    }
    check_compress(sha256_compress_ni);
}

static void test_best(void **state)
{
    (void)state;
    check_compress(sha256_compress_best());
    assert_true(sha256_compress_best() ==
                (sha256_has_ni() ? sha256_compress_ni : sha256_compress_portable));
}

static void test_many_blocks_agree(void **state)
{
    (void)state;
    static unsigned char data[64 * 1024];
    unsigned char expected[SHA256_LEN];
    unsigned char got[SHA256_LEN];

    rng_fill(&seeded.rng, data, sizeof(data));
    assert_int_equal(mbedtls_sha256(data, sizeof(data), expected, 0), 0);
    digest_by(sha256_compress_portable, data, sizeof(data), 1000, got);
    assert_memory_equal(got, expected, sizeof(got));
    digest_by(sha256_compress_best(), data, sizeof(data), 1000, got);
    assert_memory_equal(got, expected, sizeof(got));
}

static void test_hmac(void **state)
{
    (void)state;
    const mbedtls_md_info_t *md = mbedtls_md_info_from_type(MBEDTLS_MD_SHA256);
    unsigned char key[200];
    char data[300];
    unsigned char expected[SIGN_MAC_LEN];
    unsigned char got[SIGN_MAC_LEN];

    for (size_t n_key = 0; n_key <= sizeof(key); n_key++) {
        struct sign_key k;
        const size_t n = (size_t)rng_below(&seeded.rng, sizeof(data) + 1);
        const size_t cut = (size_t)rng_below(&seeded.rng, n + 1);
        const struct str parts[2] = {str_of(data, cut), str_of(data + cut, n - cut)};

        rng_fill(&seeded.rng, key, sizeof(key));
        rng_fill(&seeded.rng, data, sizeof(data));
        assert_int_equal(mbedtls_md_hmac(md, key, n_key, (const unsigned char *)data, n, expected),
                         0);
        sign_key_init(&k, key, n_key);
        sign_hmac_sha256(&k, parts, 2, got);
        assert_memory_equal(got, expected, sizeof(got));
        sign_hmac_sha256(&k, parts, 2, got); /* the prepared key is not used up */
        assert_memory_equal(got, expected, sizeof(got));
        sign_key_fini(&k);
    }
}

int main(void)
{
    rng_seeded_init(&seeded, 20260101);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_portable), cmocka_unit_test(test_ni),
        cmocka_unit_test(test_best),     cmocka_unit_test(test_many_blocks_agree),
        cmocka_unit_test(test_hmac),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
