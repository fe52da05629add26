/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "longline/rng.h"

static void test_seeded_repeats(void **state)
{
    struct rng_seeded a;
    struct rng_seeded b;
    (void)state;
    rng_seeded_init(&a, 1234567);
    rng_seeded_init(&b, 1234567);
    /* SplitMix64's published first outputs for this seed. */
    assert_true(rng_u64(&a.rng) == 6457827717110365317U);
    assert_true(rng_u64(&a.rng) == 3203168211198807973U);
    (void)rng_u64(&b.rng);
    (void)rng_u64(&b.rng);
    for (size_t n = 0; n < 50; n++) {
        unsigned char x[50] = {0};
        unsigned char y[50] = {0};
        rng_fill(&a.rng, x, n);
        rng_fill(&b.rng, y, n);
        assert_memory_equal(x, y, sizeof(x));
    }
}

static void test_below(void **state)
{
    struct rng_seeded r;
    unsigned counts[7] = {0};
    (void)state;
    rng_seeded_init(&r, 9);
    for (int i = 0; i < 70000; i++) {
        counts[rng_below(&r.rng, 7)]++;
    }
    for (int i = 0; i < 7; i++) {
        assert_in_range(counts[i], 9500, 10500);
    }
    assert_int_equal(rng_below(&r.rng, 1), 0);
    for (int i = 0; i < 100; i++) {
        assert_true(rng_below(&r.rng, UINT64_MAX) < UINT64_MAX);
        assert_true(rng_below(&r.rng, (UINT64_C(1) << 63) + 1) <= UINT64_C(1) << 63);
    }
}

static void test_system(void **state)
{
    const struct rng *r = rng_system();
    unsigned char big[5000] = {0};
    unsigned char seen[256] = {0};
    unsigned distinct = 0;
    uint64_t last = 0;
    (void)state;
    rng_fill(r, big, sizeof(big));
    for (size_t i = 0; i < sizeof(big); i++) {
        distinct += seen[big[i]] == 0;
        seen[big[i]] = 1;
    }
    assert_true(distinct > 200);
    for (int i = 0; i < 1000; i++) {
        const uint64_t v = rng_u64(r);
        assert_true(v != last);
        last = v;
    }
    rng_fill(r, big, 0);
    rng_fill(r, big, 512);
    rng_fill(r, big, 513);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seeded_repeats),
        cmocka_unit_test(test_below),
        cmocka_unit_test(test_system),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
