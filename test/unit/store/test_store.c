/* SPDX-License-Identifier: Apache-2.0 */
/* Round trips, recovery, waiters, idempotency, objects, faults. */
#include "fixture.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/store_internal.h"

static void check_event(struct fixture *f, uint64_t seq, size_t n_data)
{
    struct event_record e;
    assert_int_equal(store_read_begin(f->store), 0);
    assert_int_equal(store_get_event(f->store, seq, &f->arena, &e), 0);
    assert_int_equal(e.seq, seq);
    assert_int_equal(e.data.n, n_data);
    for (size_t i = 0; i < n_data; i++) {
        if (e.data.p[i] != fx_data_byte(seq, i)) {
            fail_msg("byte %zu of %zu differs", i, n_data);
        }
    }
    store_read_end(f->store);
    arena_reset(&f->arena);
}

static void test_event_sizes(void **state)
{
    /* Around one row, two rows, and large. The head takes about 100 bytes. */
    static const size_t sizes[] = {0,    1,    1000, 3900, 3950, 3960, 3970, 3980, 3990,   4000,
                                   4010, 4079, 4080, 4081, 8000, 8100, 8160, 8161, 100000, 1048576};
    struct fixture *f = *state;
    uint64_t seqs[LL_COUNT(sizes)];

    fx_open(f);
    for (size_t i = 0; i < LL_COUNT(sizes); i++) {
        seqs[i] = fx_put_event(f, &(struct fx_event){.n_data = sizes[i]});
    }
    fx_commit(f);
    for (size_t i = 0; i < LL_COUNT(sizes); i++) {
        check_event(f, seqs[i], sizes[i]);
    }
    fx_close(f);
    fx_open(f);
    for (size_t i = 0; i < LL_COUNT(sizes); i++) {
        check_event(f, seqs[i], sizes[i]);
    }
}

/* Every record length from 4079 to 4081 and around two rows: exactly at the edges. */
static void test_record_edges(void **state)
{
    struct fixture *f = *state;
    uint64_t seqs[64];
    size_t sizes[64];
    size_t n = 0;
    struct blob *b;
    const struct event_record probe = {.id = STR("x"), .tenant_id = STR("t"), .custom_id = true};

    fx_open(f);
    b = event_encode(&probe, SIZE_MAX);
    const size_t head = b->n;
    blob_unref(b);
    for (size_t rows = 1; rows <= 3; rows++) {
        for (size_t d = 0; d < 5; d++) {
            struct event_record e = probe;
            char data[3 * ROW_MAX + 16];
            sizes[n] = rows * ROW_MAX + d - 2 - head;
            seqs[n] = store_next_seq(f->store);
            e.seq = seqs[n];
            for (size_t i = 0; i < sizes[n]; i++) {
                data[i] = fx_data_byte(seqs[n], i);
            }
            e.data = str_of(data, sizes[n]);
            b = event_encode(&e, SIZE_MAX);
            assert_int_equal(b->n, rows * ROW_MAX + d - 2);
            store_put_event(f->store, seqs[n], b);
            blob_unref(b);
            n++;
        }
    }
    fx_commit(f);
    for (size_t i = 0; i < n; i++) {
        check_event(f, seqs[i], sizes[i]);
    }
}

static void test_large_attempt(void **state)
{
    struct fixture *f = *state;
    static char response[100000];
    struct attempt_record at = {.tenant_id = STR("t"), .dest_id = STR("d"), .code = STR("200")};
    struct attempt_record out;

    memset(response, 'r', sizeof(response));
    fx_open(f);
    at.seq = store_next_seq(f->store);
    at.event_seq = 1;
    at.response = str_of(response, sizeof(response));
    assert_int_equal(store_put_attempt(f->store, &at), 0);
    assert_int_equal(store_put_attempt(f->store, &at), ERR_INVALID);
    fx_commit(f);
    assert_int_equal(store_read_begin(f->store), 0);
    assert_int_equal(store_get_attempt(f->store, at.seq, &f->arena, &out), 0);
    assert_true(str_eq(out.response, at.response));
    assert_int_equal(store_get_attempt(f->store, at.seq + 1, &f->arena, &out), ERR_NOT_FOUND);
    store_read_end(f->store);
}

/* An event with a smaller seq, put after an attempt with a greater one, both in chunks. */
static void test_chunks_out_of_order(void **state)
{
    struct fixture *f = *state;
    static char response[20000];
    struct attempt_record at = {.tenant_id = STR("t"), .dest_id = STR("d"), .code = STR("200")};
    struct event_record e = {.id = STR("x"), .tenant_id = STR("t")};
    struct attempt_record out;
    uint64_t seq;
    struct blob *b;

    fx_open(f);
    seq = store_next_seq(f->store);
    e.seq = seq;
    at.seq = store_next_seq(f->store);
    at.response = str_of(response, sizeof(response));
    e.data = str_of(response, sizeof(response));
    assert_int_equal(store_put_attempt(f->store, &at), 0);
    b = event_encode(&e, SIZE_MAX);
    store_put_event(f->store, seq, b);
    blob_unref(b);
    fx_commit(f);
    assert_int_equal(store_read_begin(f->store), 0);
    assert_int_equal(store_get_attempt(f->store, at.seq, &f->arena, &out), 0);
    assert_int_equal(store_get_event(f->store, seq, &f->arena, &e), 0);
    assert_int_equal(e.data.n, sizeof(response));
    store_read_end(f->store);
}

/* ---- waiters ---- */

struct order {
    struct fixture *f;
    int *next;
    int position;
    bool again;
};

static void on_ordered(void *ctx)
{
    struct order *o = ctx;
    o->position = (*o->next)++;
    if (o->again) {
        (void)fx_put_event(o->f, &(struct fx_event){.n_data = 10});
    }
}

static void test_waiters(void **state)
{
    struct fixture *f = *state;
    int next = 1;
    struct order orders[40];
    struct store_waiter w[40];

    fx_open(f);
    for (int i = 0; i < 40; i++) {
        (void)fx_put_event(f, &(struct fx_event){.n_data = 100});
        orders[i] = (struct order){.f = f, .next = &next, .again = i % 3 == 0};
        w[i] = (struct store_waiter){.fn = on_ordered, .ctx = &orders[i]};
        store_wait(f->store, &w[i]);
        if (i % 4 == 3) {
            (void)loop_turn(f->loop, false);
        }
        if (i % 10 == 5) {
            store_wait_cancel(&w[i]);
        }
    }
    fx_commit(f);
    for (int i = 0, expected = 1; i < 40; i++) {
        assert_int_equal(orders[i].position, i % 10 == 5 ? orders[i].position : expected);
        if (orders[i].position != 0) {
            expected++;
        }
    }
    fx_commit(f); /* what the waiters put */
    fx_commit(f); /* nothing is pending: still answered, on a later turn */
    assert_int_equal(store_pending_bytes(f->store), 0);
    assert_true(store_get_stats(f->store)->commit_latency.sum_us > 0);
}

static void test_close_calls_waiters(void **state)
{
    struct fixture *f = *state;
    int next = 1;
    struct order o = {.f = f, .next = &next};
    struct store_waiter w = {.fn = on_ordered, .ctx = &o};
    uint64_t seq;

    fx_open(f);
    seq = fx_put_event(f, &(struct fx_event){.n_data = 10});
    store_wait(f->store, &w);
    fx_close(f);
    assert_int_equal(o.position, 1);
    fx_open(f);
    check_event(f, seq, 10);
}

static void test_many_batches(void **state)
{
    struct fixture *f = *state;
    uint64_t seqs[600];

    fx_open(f);
    for (size_t i = 0; i < LL_COUNT(seqs); i++) { /* 30 MB: several full batches */
        seqs[i] = fx_put_event(f, &(struct fx_event){.n_data = 50000});
        if (i % 97 == 0) {
            (void)loop_turn(f->loop, false);
        }
    }
    assert_true(store_pending_bytes(f->store) > 0);
    fx_commit(f);
    assert_int_equal(store_pending_bytes(f->store), 0);
    for (size_t i = 0; i < LL_COUNT(seqs); i += 17) {
        check_event(f, seqs[i], 50000);
    }
}

/* ---- recovery ---- */

struct seen {
    uint64_t events[64], attempts[64];
    size_t n_events, n_attempts, n_retries, n_objects;
    struct retry_record retry;
    char text[64];
};

static int see_event(void *ctx, const struct event_record *e)
{
    struct seen *s = ctx;
    assert_int_equal(e->data.n, 0);
    s->events[s->n_events++] = e->seq;
    return 0;
}
static int see_attempt(void *ctx, const struct attempt_record *at)
{
    struct seen *s = ctx;
    s->attempts[s->n_attempts++] = at->seq;
    return 0;
}
static int see_retry(void *ctx, const struct retry_record *rt)
{
    struct seen *s = ctx;
    s->retry = *rt;
    s->n_retries++;
    return 0;
}
static int see_object(void *ctx, struct str key, struct str value)
{
    struct seen *s = ctx;
    s->n_objects++;
    assert_true(key.n + value.n + 1 < sizeof(s->text));
    memcpy(s->text, key.p, key.n);
    s->text[key.n] = '=';
    memcpy(s->text + key.n + 1, value.p, value.n);
    s->text[key.n + 1 + value.n] = '\0';
    return 0;
}

static void put_for_recovery(struct fixture *f, uint64_t seqs[10])
{
    for (size_t i = 0; i < 10; i++) {
        seqs[i] = fx_put_event(f, &(struct fx_event){.n_data = 10 + 3000 * i});
        (void)fx_put_attempt(f, seqs[i], "t1", "d", ATTEMPT_FAILED);
    }
    for (uint32_t d = 1; d <= 3; d++) {
        store_put_retry(f->store, &(struct retry_record){.event_seq = seqs[2],
                                                         .dest_num = d,
                                                         .number = 4,
                                                         .next_at_ms = 1234567890123,
                                                         .due_age_ms = 4567,
                                                         .manual = true});
    }
    store_del_retry(f->store, seqs[2], 1);
    store_del_retry(f->store, seqs[2], 99); /* was never there */
    store_set_low(f->store, seqs[4]);
    store_set_low(f->store, seqs[3]); /* never goes back */
}

static void check_recovery(struct fixture *f, const uint64_t seqs[10])
{
    struct seen seen = {0};
    assert_int_equal(store_low(f->store), seqs[4]);
    assert_int_equal(store_each_event(f->store, store_low(f->store), see_event, NULL, &seen), 0);
    assert_int_equal(seen.n_events, 6);
    assert_int_equal(seen.events[0], seqs[4]);
    assert_int_equal(seen.events[5], seqs[9]);
    assert_int_equal(store_each_attempt(f->store, store_low(f->store), see_attempt, &seen), 0);
    assert_int_equal(seen.n_attempts, 6);
    assert_int_equal(store_each_retry(f->store, 0, 0, see_retry, &seen), 0);
    assert_int_equal(seen.n_retries, 2);
    assert_int_equal(seen.retry.event_seq, seqs[2]);
    assert_int_equal(seen.retry.dest_num, 3);
    assert_int_equal(seen.retry.number, 4);
    assert_int_equal(seen.retry.next_at_ms, 1234567890123);
    assert_int_equal(seen.retry.due_age_ms, 4567);
    assert_true(seen.retry.manual);
    assert_int_equal(store_get_stats(f->store)->n_retries, 2);
}

static void test_recovery(void **state)
{
    struct fixture *f = *state;
    uint64_t seqs[10];

    fx_open(f);
    put_for_recovery(f, seqs);
    fx_commit(f);
    check_recovery(f, seqs);
    assert_non_null(f->store->journal.map); /* else memory would never be given back */
    env_drop_cache(&f->store->journal);
    env_drop_cache(&f->store->index.env);
    check_recovery(f, seqs);
    fx_close(f);
    fx_open(f);
    check_recovery(f, seqs);
    assert_true(store_next_seq(f->store) > seqs[9]);
}

/* The process dies without closing: what was committed is there, what was not is not. */
static void test_kill(void **state)
{
    struct fixture *f = *state;
    uint64_t seqs[11] = {0};
    int fds[2];
    int status = 0;
    pid_t pid;

    assert_int_equal(pipe(fds), 0);
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        fx_open(f);
        put_for_recovery(f, seqs);
        store_put_idempotency(f->store, STR("t1"), STR("key"), seqs[0]);
        fx_commit(f);
        seqs[10] = fx_put_event(f, &(struct fx_event){.n_data = 10});
        store_put_idempotency(f->store, STR("t1"), STR("lost"), seqs[10]);
        _exit(write(fds[1], seqs, sizeof(seqs)) == sizeof(seqs) ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(read(fds[0], seqs, sizeof(seqs)), sizeof(seqs));
    (void)close(fds[0]);
    (void)close(fds[1]);

    fx_open(f);
    check_recovery(f, seqs);
    assert_int_equal(fx_find_idempotency(f->store, STR("t1"), STR("key")), seqs[0]);
    assert_int_equal(fx_find_idempotency(f->store, STR("t1"), STR("lost")), 0);
    struct event_record e;
    assert_int_equal(store_read_begin(f->store), 0);
    assert_int_equal(store_get_event(f->store, seqs[10], &f->arena, &e), ERR_NOT_FOUND);
    store_read_end(f->store);
}

/* ---- idempotency, objects ---- */

static void test_idempotency(void **state)
{
    struct fixture *f = *state;

    fx_open(f);
    assert_int_equal(fx_find_idempotency(f->store, STR("t"), STR("a")), 0);
    store_put_idempotency(f->store, STR("t"), STR("a"), 100 << 20);
    store_put_idempotency(f->store, STR("t"), STR("again"), store_next_seq(f->store));
    const uint64_t seq = store_next_seq(f->store);
    store_put_idempotency(f->store, STR("t"), STR("again"), seq);
    assert_int_equal(fx_find_idempotency(f->store, STR("t"), STR("again")), seq);
    fx_commit(f);
    assert_int_equal(fx_find_idempotency(f->store, STR("t"), STR("again")), seq);
    assert_int_equal(fx_find_idempotency(f->store, STR("ta"), STR("gain")), 0);
    assert_int_equal(fx_find_idempotency(f->store, STR("u"), STR("again")), 0);
    /* Its seq says 1970, which tells nothing about its age. */
    assert_int_equal(fx_find_idempotency(f->store, STR("t"), STR("a")), 100 << 20);
    fx_close(f);

    fx_open(f);
    fx_pass(f, (int64_t)20 * 3600 * 1000); /* another bucket, still within the day */
    assert_int_equal(fx_find_idempotency(f->store, STR("t"), STR("again")), seq);
    fx_pass(f, (int64_t)4 * 3600 * 1000 + 1000);
    assert_int_equal(fx_find_idempotency(f->store, STR("t"), STR("again")), 0);
}

static void test_objects(void **state)
{
    struct fixture *f = *state;
    struct seen seen = {0};
    static char big[300000];

    fx_open(f);
    assert_int_equal(store_put_object(f->store, STORE_TENANT, STR("t1"), STR("one")), 0);
    assert_int_equal(store_put_object(f->store, STORE_TENANT, STR("t2"), STR("two")), 0);
    assert_int_equal(store_put_object(f->store, STORE_DESTINATION, STR("d1"), STR("dest")), 0);
    assert_int_equal(store_put_object(f->store, STORE_TOPIC, STR("big"), str_of(big, sizeof(big))),
                     0);
    assert_int_equal(store_put_object(f->store, STORE_TENANT, str_of(big, 401), STR("x")),
                     ERR_TOO_BIG);
    store_del_object(f->store, STORE_TENANT, STR("t2"));
    assert_int_equal(store_next_dest_num(f->store), 1);
    assert_int_equal(store_next_dest_num(f->store), 2);
    fx_close(f);
    fx_open(f);
    assert_int_equal(store_each_object(f->store, STORE_TENANT, see_object, &seen), 0);
    assert_int_equal(seen.n_objects, 1);
    assert_string_equal(seen.text, "t1=one");
    assert_int_equal(store_each_object(f->store, STORE_DESTINATION, see_object, &seen), 0);
    assert_string_equal(seen.text, "d1=dest");
    assert_int_equal(store_each_object(f->store, STORE_KEY, see_object, &seen), 0);
    assert_int_equal(seen.n_objects, 2);
    assert_int_equal(store_next_dest_num(f->store), 3);
}

/* ---- faults ---- */

static void test_lock(void **state)
{
    struct fixture *f = *state;
    struct fixture other = *f;
    struct err_detail err;

    fx_open(f);
    assert_int_equal(fx_try_open(&other, &err), ERR_BUSY);
    assert_non_null(strstr(err.msg, "in use"));
    fx_close(f);
    fx_open(f);
}

static void test_commit_error_is_fatal(void **state)
{
    struct fixture *f = *state;
    int next = 1;
    struct order o[2] = {{.f = f, .next = &next}, {.f = f, .next = &next}};
    struct store_waiter w[2] = {{.fn = on_ordered, .ctx = &o[0]}, {.fn = on_ordered, .ctx = &o[1]}};
    uint64_t kept;

    fx_open(f);
    kept = fx_put_event(f, &(struct fx_event){.n_data = 10});
    fx_commit(f);
    atomic_store(&f->store->gauges.fail_commit_in, 1);
    (void)fx_put_event(f, &(struct fx_event){.n_data = 10});
    store_put_idempotency(f->store, STR("t"), STR("a"), 7);
    store_wait(f->store, &w[0]);
    while (f->n_fatal == 0) {
        (void)loop_turn(f->loop, true);
    }
    assert_int_equal(f->fatal.code, ERR_IO);
    (void)fx_put_event(f, &(struct fx_event){.n_data = 10});
    store_wait(f->store, &w[1]);
    assert_int_equal(store_admit(f->store, 10, 0), ERR_BUSY);
    fx_turns(f, 50);
    fx_close(f);
    assert_int_equal(o[0].position, 0);
    assert_int_equal(o[1].position, 0);
    assert_int_equal(f->n_fatal, 1);
    f->n_fatal = 0;
    fx_open(f);
    check_event(f, kept, 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, fx_setup, fx_teardown)
        T(test_event_sizes),           T(test_record_edges), T(test_large_attempt),
        T(test_chunks_out_of_order),   T(test_waiters),      T(test_close_calls_waiters),
        T(test_many_batches),          T(test_recovery),     T(test_kill),
        T(test_idempotency),           T(test_objects),      T(test_lock),
        T(test_commit_error_is_fatal),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
