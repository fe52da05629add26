/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What belongs together survives a crash together, also where a turn has more than one commit
 * takes: the second commit is made to fail, which is what a crash between the two leaves behind.
 */
#include "fixture.h"

#include <stdio.h>

#include "longline/mem.h"

#include "store/store_internal.h"

#define N_GROUPS 9000U /* of two operations each: more than BATCH_MAX_OPS */
#define SMALL    8U

struct retries {
    const uint64_t *events;
    bool *seen; /* by index in events */
    size_t n;
};

static int see_retry(void *ctx, const struct retry_record *rt)
{
    struct retries *r = ctx;
    for (size_t i = 0; i < N_GROUPS; i++) {
        /* They come in the order of the events. */
        const size_t at = (r->n + i) % N_GROUPS;
        if (r->events[at] == rt->event_seq) {
            r->seen[at] = true;
            r->n = at + 1;
            return 0;
        }
    }
    return 0; /* of the odd one */
}

/* Before anything is put: the writer does not wait until all of it is. */
static void fail_the_second_commit(struct fixture *f)
{
    atomic_store(&f->store->gauges.fail_commit_in, 2);
}

/* Hands over what was put and waits for that failure. */
static void crash(struct fixture *f)
{
    while (f->n_fatal == 0) {
        (void)loop_turn(f->loop, true);
    }
    fx_close(f);
    f->n_fatal = 0;
    fx_open(f);
}

/* One operation before the pairs, so that a commit is full in the middle of a pair. */
static void put_odd_one(struct fixture *f)
{
    store_del_retry(f->store, 1, 1);
}

static void test_event_and_its_key(void **state)
{
    struct fixture *f = *state;
    uint64_t *seqs = mem_zalloc(N_GROUPS * sizeof(*seqs));
    char id[32];
    size_t kept = 0;

    fx_open(f);
    fail_the_second_commit(f);
    put_odd_one(f);
    for (size_t i = 0; i < N_GROUPS; i++) {
        (void)snprintf(id, sizeof(id), "e%zu", i);
        seqs[i] = fx_put_event(f, &(struct fx_event){.id = id, .tenant = "t", .n_data = SMALL});
        store_put_idempotency(f->store, STR("t"), str_c(id), seqs[i]);
    }
    crash(f);
    for (size_t i = 0; i < N_GROUPS; i++) {
        struct event_record e;
        int rc;
        (void)snprintf(id, sizeof(id), "e%zu", i);
        assert_int_equal(store_read_begin(f->store), 0);
        rc = store_get_event(f->store, seqs[i], &f->arena, &e);
        store_read_end(f->store);
        assert_true(rc == 0 || rc == ERR_NOT_FOUND);
        assert_int_equal(fx_find_idempotency(f->store, STR("t"), str_c(id)), rc == 0 ? seqs[i] : 0);
        kept += rc == 0 ? 1 : 0;
        arena_reset(&f->arena);
    }
    assert_in_range(kept, 1, N_GROUPS - 1);
    mem_free(seqs);
}

static void test_attempt_and_the_end_of_its_retry(void **state)
{
    struct fixture *f = *state;
    uint64_t *events = mem_zalloc(N_GROUPS * sizeof(*events));
    uint64_t *attempts = mem_zalloc(N_GROUPS * sizeof(*attempts));
    bool *waiting = mem_zalloc(N_GROUPS * sizeof(*waiting));
    struct retries r = {.events = events, .seen = waiting};
    size_t kept = 0;

    fx_open(f);
    for (size_t i = 0; i < N_GROUPS; i++) {
        events[i] = fx_put_event(f, &(struct fx_event){.tenant = "t", .n_data = SMALL});
        store_put_retry(f->store,
                        &(struct retry_record){.event_seq = events[i], .dest_num = 1, .number = 1});
    }
    fx_commit(f);
    fail_the_second_commit(f);
    put_odd_one(f);
    for (size_t i = 0; i < N_GROUPS; i++) {
        attempts[i] = fx_put_attempt(f, events[i], "t", "d", ATTEMPT_SUCCESS);
        store_del_retry(f->store, events[i], 1);
    }
    crash(f);
    assert_int_equal(store_each_retry(f->store, 0, 0, see_retry, &r), 0);
    for (size_t i = 0; i < N_GROUPS; i++) {
        struct attempt_record at;
        int rc;
        assert_int_equal(store_read_begin(f->store), 0);
        rc = store_get_attempt(f->store, attempts[i], &f->arena, &at);
        store_read_end(f->store);
        assert_true(rc == 0 || rc == ERR_NOT_FOUND);
        assert_int_equal(waiting[i], rc == ERR_NOT_FOUND);
        kept += rc == 0 ? 1 : 0;
        arena_reset(&f->arena);
    }
    assert_in_range(kept, 1, N_GROUPS - 1);
    mem_free(waiting);
    mem_free(attempts);
    mem_free(events);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, fx_setup, fx_teardown)
        T(test_event_and_its_key),
        T(test_attempt_and_the_end_of_its_retry),
#undef T
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
