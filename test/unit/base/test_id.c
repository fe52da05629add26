/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "longline/check.h"
#include "longline/id.h"

static void test_seq_grows(void **state)
{
    static const int64_t clock_ms[] = {1000, 1000, 1001, 900, -5, 1002, 1002, INT64_MAX, 5};
    struct seqgen g = {0};
    uint64_t last = 0;
    (void)state;
    for (size_t i = 0; i < LL_COUNT(clock_ms); i++) {
        const uint64_t seq = seqgen_next(&g, clock_ms[i]);
        assert_true(seq > last);
        last = seq;
    }
    g.last = 0;
    assert_true(seqgen_next(&g, 1234) == SEQ_FROM_MS(1234));
    assert_int_equal(SEQ_MS(seqgen_next(&g, 1234)), 1234);
    /* More than a counter's worth within one millisecond runs on into the next. */
    g.last = SEQ_FROM_MS(50) | 0xfffff;
    assert_int_equal(SEQ_MS(seqgen_next(&g, 50)), 51);
}

static void test_round_trip(void **state)
{
    static const uint64_t seqs[] = {
        0,         1, 0xfffff, SEQ_FROM_MS(1767225600000), SEQ_FROM_MS(1767225600000) | 0xa5a5a,
        UINT64_MAX};
    struct rng_seeded rng;
    (void)state;
    rng_seeded_init(&rng, 1);
    for (size_t i = 0; i < LL_COUNT(seqs); i++) {
        char id[ID_LEN];
        char other[ID_LEN];
        uint64_t seq = 77;
        id_from_seq(id, seqs[i], &rng.rng);
        id_from_seq(other, seqs[i], &rng.rng);
        assert_memory_not_equal(id, other, ID_LEN);
        assert_int_equal(id[14], '7');
        assert_non_null(strchr("89ab", id[19]));
        assert_true(id_to_seq(str_of(id, ID_LEN), &seq));
        assert_true(seq == seqs[i]);
    }
}

static void test_ids_sort_like_seqs(void **state)
{
    struct rng_seeded rng;
    struct seqgen g = {0};
    char last[ID_LEN] = {0};
    (void)state;
    rng_seeded_init(&rng, 1);
    for (int i = 0; i < 3000; i++) {
        char id[ID_LEN];
        id_from_seq(id, seqgen_next(&g, 1767225600000 + i / 1000), &rng.rng);
        assert_true(memcmp(id, last, ID_LEN) > 0);
        memcpy(last, id, ID_LEN);
    }
}

static void test_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "evt_123",
        "019b76da-a800-4000-8000-000000000000",  /* version 4 */
        "019b76da-a800-7000-0000-000000000000",  /* wrong variant */
        "019B76DA-a800-7000-8000-000000000000",  /* upper case */
        "019b76da-a800-7000-8000-00000000000",   /* short */
        "019b76da-a800-7000-8000-0000000000000", /* long */
        "019b76daa-800-7000-8000-000000000000",  /* dashes */
        "019b76da-a800-7000-8000-00000000000g",
        "ffffffff-ffff-7000-8000-000000000000", /* beyond 44 bits of milliseconds */
    };
    uint64_t seq;
    (void)state;
    for (size_t i = 0; i < LL_COUNT(texts); i++) {
        assert_false(id_to_seq(str_c(texts[i]), &seq));
    }
    assert_true(id_to_seq(STR("019b76da-a800-7000-8000-000000000000"), &seq));
    assert_int_equal(SEQ_MS(seq), 0x019b76daa800);
}

static void test_random_id(void **state)
{
    char id[ID_LEN];
    uint64_t seq;
    (void)state;
    id_random(id, rng_system());
    assert_int_equal(id[14], '4');
    assert_non_null(strchr("89ab", id[19]));
    assert_false(id_to_seq(str_of(id, ID_LEN), &seq));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seq_grows),          cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_ids_sort_like_seqs), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_random_id),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
