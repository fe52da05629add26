/* SPDX-License-Identifier: Apache-2.0 */
/* How full a store is, from numbers alone; and that what a record is said to take is never less
 * than what it takes. */
#include "fixture.h"

#include "longline/check.h"
#include "longline/rng.h"

#include "store/store_internal.h"

#define MIB ((uint64_t)1024 * 1024)

/* Files of 60 and 10 MiB with blocks for 100 and 25, 25 MiB to take from the disk: 150 in all, of
 * which the journal may have 120. */
static struct room example(void)
{
    return (struct room){.journal = {.used = 60 * MIB, .blocks = 100 * MIB},
                         .index = {.used = 10 * MIB, .blocks = 25 * MIB},
                         .spare = (int64_t)(25 * MIB),
                         .map_size = 1024 * MIB,
                         .is_ahead = true};
}

static void test_shares(void **state)
{
    struct room r = example();
    (void)state;

    assert_int_equal(room_journal_most(&r), 120 * MIB);
    assert_int_equal(room_index_most(&r), 50 * MIB);
    r.index.blocks = 45 * MIB; /* what it has taken is not the journal's */
    r.spare = (int64_t)(5 * MIB);
    assert_int_equal(room_journal_most(&r), 105 * MIB);
    r.spare = 0;
    assert_int_equal(room_journal_most(&r), 100 * MIB);
    assert_int_equal(room_index_most(&r), 45 * MIB);
}

/* The journal has taken the disk and is empty by now; nothing more can be taken for the index. */
static void test_small_index(void **state)
{
    struct room r = {.journal = {.used = MIB / 4, .blocks = 160 * MIB},
                     .index = {.used = MIB / 4, .churn = 3 * MIB, .blocks = 3 * MIB},
                     .spare = -(int64_t)(100 * MIB),
                     .map_size = 1024 * MIB,
                     .is_ahead = true};
    (void)state;

    assert_int_equal(room_level(&r, 0), STORE_LEVEL_OK);
    assert_int_equal(room_excess(&r), 0);
    r.index.blocks = 2 * MIB;
    assert_int_equal(room_level(&r, 0), STORE_LEVEL_OK);
    /* It still has its mark, at which deleting begins; it refuses nothing. */
    r.index = (struct room_file){.used = 3 * MIB - MIB / 4, .blocks = 4 * MIB};
    assert_int_equal(room_level(&r, 0), STORE_LEVEL_OK);
    r.index.used = 3 * MIB;
    assert_int_equal(room_level(&r, 0), STORE_LEVEL_HIGH);
    assert_true(room_excess(&r) > 0);
    r.index.used = 2 * MIB;
    r.index_owed = MIB;
    assert_int_equal(room_level(&r, 0), STORE_LEVEL_HIGH);
}

static void test_marks_of_the_quota(void **state)
{
    struct room r = {.journal = {.blocks = 1024 * MIB},
                     .index = {.blocks = 1024 * MIB},
                     .max_size = 100 * MIB,
                     .map_size = 4096 * MIB,
                     .is_ahead = true};
    (void)state;

    r.journal.used = 79 * MIB;
    assert_int_equal(room_level(&r, 0), STORE_LEVEL_OK);
    assert_int_equal(room_excess(&r), 0);
    r.index.used = 1 * MIB;
    assert_int_equal(room_level(&r, 0), STORE_LEVEL_HIGH);
    assert_int_equal(room_level(&r, 10 * MIB), STORE_LEVEL_FULL);
    assert_int_equal(room_level(&r, 17 * MIB), STORE_LEVEL_STOP);
    assert_int_equal(room_excess(&r), 1 * MIB);
    r.journal.pinned = 20 * MIB; /* full, and yet there is no more to delete */
    assert_int_equal(room_level(&r, 0), STORE_LEVEL_STOP);
    assert_int_equal(room_excess(&r), 1 * MIB);
}

/* Nothing of what the files grow by, once the reserve is reached, makes the quota larger. */
static void test_the_quota_does_not_grow_with_the_file(void **state)
{
    for (int is_ahead = 0; is_ahead < 2; is_ahead++) {
        struct room r = example();
        uint64_t quota;
        r.is_ahead = is_ahead != 0;
        r.journal.blocks = 60 * MIB;
        r.spare = 0;
        quota = room_quota(&r);
        for (unsigned i = 0; i < 100; i++) {
            r.journal.used += MIB;
            if (!r.is_ahead) {
                r.journal.blocks += MIB;
                r.spare -= (int64_t)MIB;
            }
            assert_true(room_quota(&r) <= quota);
            assert_int_equal(room_level(&r, 0), STORE_LEVEL_STOP);
        }
    }
    (void)state;
}

/* Others take the disk: what the files have remains theirs. */
static void test_a_reserve_that_others_use(void **state)
{
    struct room r = example();
    (void)state;

    r.spare = -(int64_t)(200 * MIB);
    assert_int_equal(room_journal_most(&r), 100 * MIB);
    assert_int_equal(room_level(&r, 0), STORE_LEVEL_OK);
    r.journal.used = 91 * MIB;
    assert_int_equal(room_level(&r, 0), STORE_LEVEL_FULL);
}

/* Of a small file a percent is less than a commit takes. */
static void test_margins_of_a_small_disk(void **state)
{
    struct room r = {.journal = {.blocks = 16 * MIB, .churn = 2 * MIB},
                     .index = {.blocks = 16 * MIB},
                     .map_size = 1024 * MIB,
                     .is_ahead = true};
    uint64_t stop = 0;
    uint64_t full = 0;
    (void)state;

    for (r.journal.used = 0; r.journal.used < 17 * MIB; r.journal.used += 4096) {
        const enum store_level level = room_level(&r, 0);
        full = full == 0 && level == STORE_LEVEL_FULL ? r.journal.used : full;
        stop = stop == 0 && level == STORE_LEVEL_STOP ? r.journal.used : stop;
    }
    assert_true(stop <= 11 * MIB);
    assert_true(full <= stop - MIB);
}

/* What makes the level HIGH can be deleted, and then it is not HIGH any more. */
static void test_deleting_the_excess_is_enough(void **state)
{
    struct rng_seeded seeded;
    const struct rng *rng = &seeded.rng;
    (void)state;

    rng_seeded_init(&seeded, 1);
    for (unsigned i = 0; i < 100000; i++) {
        struct room r = {
            .journal = {.used = (1 + rng_below(rng, 500)) * MIB,
                        .blocks = rng_below(rng, 600) * MIB,
                        .churn = rng_below(rng, 4) * MIB},
            .index = {.used = (1 + rng_below(rng, 100)) * MIB, .blocks = rng_below(rng, 300) * MIB},
            .spare = (int64_t)(rng_below(rng, 300) * MIB) - (int64_t)(100 * MIB),
            .max_size = rng_below(rng, 2) * 300 * MIB,
            .map_size = 1024 * MIB,
            .is_ahead = true};
        const uint64_t excess = room_excess(&r);
        const double share = r.journal.used != 0 ? (double)excess / (double)r.journal.used : 0;

        assert_true(excess <= r.journal.used + r.index.used);
        assert_true(room_level(&r, 0) == STORE_LEVEL_OK || excess != 0);
        if (excess != 0 && excess <= r.journal.used) {
            r.journal.used -= excess;
            r.index.used -= (uint64_t)(share * (double)r.index.used);
            assert_true(room_level(&r, 0) < STORE_LEVEL_HIGH || room_excess(&r) < 2 * MIB);
        }
    }
}

/* Rows that the index does not hold yet count where it is about room, but delete nothing. */
static void test_what_the_index_waits_for(void **state)
{
    struct room r = example();
    (void)state;

    r.index_owed = 45 * MIB;
    assert_int_equal(room_level(&r, 0), STORE_LEVEL_HIGH); /* and publishes go on */
    assert_int_equal(room_excess(&r), 0);
    r.index.used = 49 * MIB;
    assert_true(room_excess(&r) > 10 * MIB);
    r.is_index_behind = true; /* the sweep comes first */
    assert_int_equal(room_excess(&r), 0);
}

static uint64_t journal_used(struct fixture *f)
{
    struct env_usage usage;
    assert_int_equal(env_usage(&f->store->journal, &usage), 0);
    return usage.used;
}

/* Of all sizes, with the pages above the rows: what was counted before is an upper bound. */
static void test_records_take_no_more_than_counted(void **state)
{
    static const size_t sizes[] = {0,    100,  700,  1250, 1900, 1950,
                                   2500, 3900, 4100, 6000, 9000, 70000};
    struct fixture *f = *state;

    for (size_t i = 0; i < LL_COUNT(sizes); i++) {
        uint64_t before;
        uint64_t counted;
        fx_open(f);
        before = journal_used(f);
        counted = f->store->pending_room;
        for (size_t n = 0; n < 300; n++) {
            const uint64_t seq = fx_put_event(f, &(struct fx_event){.n_data = sizes[i]});
            (void)fx_put_attempt(f, seq, "t1", "d", ATTEMPT_FAILED);
            store_put_retry(f->store, &(struct retry_record){.event_seq = seq, .dest_num = 1});
        }
        counted = f->store->pending_room - counted;
        fx_commit(f);
        assert_int_equal(f->store->pending_room, 0);
        assert_true(journal_used(f) - before <= counted + 8U * 4096);
        fx_close(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_small_index),
        cmocka_unit_test(test_marks_of_the_quota),
        cmocka_unit_test(test_the_quota_does_not_grow_with_the_file),
        cmocka_unit_test(test_a_reserve_that_others_use),
        cmocka_unit_test(test_margins_of_a_small_disk),
        cmocka_unit_test(test_deleting_the_excess_is_enough),
        cmocka_unit_test(test_what_the_index_waits_for),
        cmocka_unit_test_setup_teardown(test_records_take_no_more_than_counted, fx_setup,
                                        fx_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
