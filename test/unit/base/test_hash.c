/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/crc32c_internal.h"
#include "longline/check.h"
#include "longline/hash.h"
#include "longline/rng.h"

static void test_crc32c_vectors(void **state)
{
    /* RFC 3720 B.4, and the usual check value. */
    unsigned char data[32];
    (void)state;
    assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
    assert_int_equal(crc32c(0, NULL, 0), 0);
    memset(data, 0, sizeof(data));
    assert_int_equal(crc32c(0, data, sizeof(data)), 0x8a9136aa);
    memset(data, 0xff, sizeof(data));
    assert_int_equal(crc32c(0, data, sizeof(data)), 0x62a8ab43);
    for (unsigned i = 0; i < sizeof(data); i++) {
        data[i] = (unsigned char)i;
    }
    assert_int_equal(crc32c(0, data, sizeof(data)), 0x46dd794e);
    assert_int_equal(crc32c_portable(0, data, sizeof(data)), 0x46dd794e);
}

static void test_crc32c_paths_agree(void **state)
{
    struct rng_seeded rng;
    unsigned char data[300];
    (void)state;
    rng_seeded_init(&rng, 1);
    rng_fill(&rng.rng, data, sizeof(data));
    for (size_t begin = 0; begin < 9; begin++) {
        for (size_t n = 0; n + begin <= sizeof(data); n++) {
            const uint32_t whole = crc32c(0, data + begin, n);
            const size_t half = n / 2;
            assert_int_equal(whole, crc32c_portable(0, data + begin, n));
            assert_int_equal(whole,
                             crc32c(crc32c(0, data + begin, half), data + begin + half, n - half));
        }
    }
}

static void test_siphash_vectors(void **state)
{
    /* The first and some further rows of the reference implementation's table: key and message are
     * 00 01 02 … */
    static const struct {
        size_t n;
        uint64_t hash;
    } rows[] = {
        {0, 0x726fdb47dd0e0e31U}, {1, 0x74f839c593dc67fdU},  {7, 0xab0200f58b01d137U},
        {8, 0x93f5f5799a932462U}, {15, 0xa129ca6149be45e5U}, {63, 0x958a324ceb064572U},
    };
    unsigned char bytes[64];
    (void)state;
    for (unsigned i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (unsigned char)i;
    }
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        assert_true(siphash(bytes, bytes, rows[i].n) == rows[i].hash);
    }
}

static void test_keys(void **state)
{
    (void)state;
    assert_true(hash_random(STR("a")) == hash_random(STR("a")));
    assert_true(hash_random(STR("a")) != hash_random(STR("b")));
    assert_true(hash_random(STR_NULL) == hash_random(STR("")));
    assert_true(hash_random(STR("a")) != hash_stable(STR("a")));
    /* On disk: this value may never change. */
    assert_true(hash_stable(STR("longline")) == 0xdc8ee76934e72af5U);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_crc32c_vectors),
        cmocka_unit_test(test_crc32c_paths_agree),
        cmocka_unit_test(test_siphash_vectors),
        cmocka_unit_test(test_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
