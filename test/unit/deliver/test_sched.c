/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "deliver/sched.h"

static const struct sched_cfg base_cfg = {.max_inflight = 100,
                                          .max_inflight_per_tenant = 50,
                                          .max_inflight_per_host = 20,
                                          .max_inflight_per_dest = 8,
                                          .initial_inflight_per_dest = 4,
                                          .breaker_failures = 3,
                                          .breaker_open_ms = 1000,
                                          .breaker_max_ms = 8000,
                                          .max_idle_dests = 4};

static const struct sched_outcome ok = {.success = true};
static const struct sched_outcome refused = {.unreachable = true};
static const struct sched_outcome overload = {.overload = true};

struct fixture {
    struct rng_seeded rng;
    struct sched *s;
    size_t gone;
};

static void on_gone(void *ctx, struct sched_dest *d)
{
    struct fixture *f = ctx;
    (void)d;
    f->gone++;
}

static void setup(struct fixture *f, const struct sched_cfg *cfg)
{
    f->gone = 0;
    rng_seeded_init(&f->rng, 3);
    const struct sched_hooks hooks = {.dest_gone = on_gone, .ctx = f};
    f->s = sched_new(cfg, &hooks, &f->rng.rng);
}

static void add_n(struct fixture *f, struct sched_dest *d, uint64_t first, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        (void)sched_add(f->s, d, first + i, 1, 0, 0);
    }
}

/* Starts all that may start; returns how many. */
static size_t start_all(struct fixture *f, int64_t now, struct work **out, size_t cap)
{
    size_t n = 0;
    struct work *w = NULL;
    while (n < cap && (w = sched_next(f->s, now)) != NULL) {
        out[n++] = w;
    }
    return n;
}

static void end(struct fixture *f, struct work *w, const struct sched_outcome *o, int64_t now)
{
    sched_judge(f->s, w, o, now);
    sched_done(f->s, w);
}

static void test_destination_cap_adapts(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, &base_cfg);
    struct sched_dest *d = sched_dest_get(f.s, 1, 1, 1);
    add_n(&f, d, 1, 100);
    struct work *w[100];
    assert_int_equal(start_all(&f, 0, w, 100), 4);
    for (size_t i = 0; i < 4; i++) {
        end(&f, w[i], &ok, 0);
    }
    assert_int_equal(start_all(&f, 0, w, 100), 5); /* one more after a full window of success */
    end(&f, w[0], &overload, 0);
    assert_int_equal(d->cap, 2);
    assert_null(sched_next(f.s, 0)); /* four are under way, above the halved cap */
    end(&f, w[1], &overload, 0);
    end(&f, w[2], &overload, 0);
    assert_int_equal(d->cap, 1);
    end(&f, w[3], &ok, 0);
    end(&f, w[4], &ok, 0);
    sched_free(f.s);
}

static void test_host_cap_holds_back_and_lets_go(void **state)
{
    (void)state;
    struct fixture f;
    struct sched_cfg cfg = base_cfg;
    cfg.max_inflight_per_host = 6;
    setup(&f, &cfg);
    for (uint32_t i = 1; i <= 3; i++) { /* three destinations of three tenants on one host */
        add_n(&f, sched_dest_get(f.s, i, i, 77), 100 * i, 10);
    }
    struct sched_dest *other = sched_dest_get(f.s, 9, 9, 78);
    add_n(&f, other, 900, 2);
    struct work *w[100];
    const size_t n = start_all(&f, 0, w, 100);
    assert_int_equal(n, 8); /* six on the host, two elsewhere */
    size_t on_host = 0;
    struct work *one = NULL;
    for (size_t i = 0; i < n; i++) {
        if (w[i]->dest != other) {
            on_host++;
            one = w[i];
        }
    }
    assert_int_equal(on_host, 6);
    end(&f, one, &ok, 0);
    assert_non_null(sched_next(f.s, 0));
    assert_null(sched_next(f.s, 0));
    sched_free(f.s);
}

static void test_tenants_share(void **state)
{
    (void)state;
    struct fixture f;
    struct sched_cfg cfg = base_cfg;
    cfg.max_inflight = 1;
    setup(&f, &cfg);
    struct sched_dest *big = sched_dest_get(f.s, 1, 1, 1);
    struct sched_dest *small = sched_dest_get(f.s, 2, 2, 2);
    add_n(&f, big, 1, 10000);
    add_n(&f, small, 20001, 100);
    size_t served_small = 0;
    for (size_t i = 0; i < 1000; i++) {
        struct work *w = sched_next(f.s, 0);
        assert_non_null(w);
        served_small += w->dest == small;
        end(&f, w, &ok, 0);
    }
    assert_int_equal(served_small, 100); /* the backlog of the big one did not matter */
    sched_free(f.s);
}

static void test_large_events_count_more(void **state)
{
    (void)state;
    struct fixture f;
    struct sched_cfg cfg = base_cfg;
    cfg.max_inflight = 1;
    setup(&f, &cfg);
    struct sched_dest *heavy = sched_dest_get(f.s, 1, 1, 1);
    struct sched_dest *light = sched_dest_get(f.s, 2, 2, 2);
    for (uint64_t i = 0; i < 1000; i++) {
        sched_add(f.s, heavy, i, 1, 0, 0)->cost = 64;
        (void)sched_add(f.s, light, 10000 + i, 1, 0, 0);
    }
    size_t n_heavy = 0;
    for (size_t i = 0; i < 650; i++) {
        struct work *w = sched_next(f.s, 0);
        n_heavy += w->dest == heavy;
        end(&f, w, &ok, 0);
    }
    assert_in_range(n_heavy, 8, 12); /* 64 light ones for each heavy one */
    sched_free(f.s);
}

static void test_retries_and_fresh_alternate(void **state)
{
    (void)state;
    struct fixture f;
    struct sched_cfg cfg = base_cfg;
    cfg.max_inflight = 1;
    setup(&f, &cfg);
    struct sched_dest *d = sched_dest_get(f.s, 1, 1, 1);
    add_n(&f, d, 1, 100);
    for (uint64_t i = 0; i < 100; i++) {
        (void)sched_add(f.s, d, 1000 + i, 2, 0, 0);
    }
    size_t retries = 0;
    for (size_t i = 0; i < 100; i++) {
        struct work *w = sched_next(f.s, 0);
        retries += w->number == 2;
        end(&f, w, &ok, 0);
    }
    assert_int_equal(retries, 20);
    sched_free(f.s);
}

static void test_breaker_parks_and_probes(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, &base_cfg);
    struct sched_dest *d = sched_dest_get(f.s, 1, 1, 1);
    add_n(&f, d, 1, 20);
    struct work *w[20];
    assert_int_equal(start_all(&f, 0, w, 20), 4);
    for (size_t i = 0; i < 4; i++) {
        sched_judge(f.s, w[i], &refused, 0);
        sched_again(f.s, w[i], 2, 60000, 0);
    }
    assert_int_equal(d->breaker, BREAKER_OPEN);
    assert_null(sched_next(f.s, 999));
    const int64_t due = sched_next_due(f.s);
    assert_in_range(due, 1000, 1250);
    assert_int_equal(start_all(&f, due, w, 20), 1); /* one probe */
    sched_judge(f.s, w[0], &refused, due);
    sched_again(f.s, w[0], 2, due + 60000, due);
    const int64_t next = sched_next_due(f.s);
    assert_in_range(next - due, 2000, 2500); /* the pause doubled */
    assert_int_equal(start_all(&f, next, w, 20), 1);
    end(&f, w[0], &ok, next);
    assert_int_equal(d->breaker, BREAKER_CLOSED);
    assert_true(start_all(&f, next, w, 20) > 1);
    sched_free(f.s);
}

static void test_any_answer_keeps_the_breaker_closed(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, &base_cfg);
    struct sched_dest *d = sched_dest_get(f.s, 1, 1, 1);
    const struct sched_outcome http500 = {.success = false};
    for (uint64_t i = 0; i < 50; i++) {
        (void)sched_add(f.s, d, i, 1, 0, 0);
        struct work *w = sched_next(f.s, 0);
        assert_non_null(w);
        sched_judge(f.s, w, &http500, 5);
        sched_done(f.s, w);
    }
    assert_int_equal(d->breaker, BREAKER_CLOSED);
    assert_int_equal(d->failures_row, 50);
    assert_int_equal(d->failing_since_ms, 5);
    sched_free(f.s);
}

static void test_hold_and_let_go(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, &base_cfg);
    struct sched_dest *d = sched_dest_get(f.s, 1, 1, 1);
    add_n(&f, d, 1, 3);
    d->failures_row = 99;
    sched_dest_hold(f.s, d, true);
    assert_null(sched_next(f.s, 0));
    sched_dest_hold(f.s, d, false);
    assert_int_equal(d->failures_row, 0);
    assert_non_null(sched_next(f.s, 0));
    sched_free(f.s);
}

static void test_find_hasten_drop(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, &base_cfg);
    struct sched_dest *d = sched_dest_get(f.s, 1, 1, 1);
    struct work *w = sched_add(f.s, d, 5, 2, 1000, 0);
    assert_ptr_equal(sched_find(f.s, 5, 1), w);
    assert_null(sched_find(f.s, 5, 2));
    assert_null(sched_next(f.s, 0));
    sched_hasten(f.s, w);
    sched_hasten(f.s, w);
    assert_ptr_equal(sched_next(f.s, 0), w);
    sched_again(f.s, w, 3, 500, 0);
    sched_drop(f.s, w);
    assert_null(sched_find(f.s, 5, 1));
    assert_true(sched_next_due(f.s) == TIME_NEVER);
    w = sched_add(f.s, d, 6, 1, 0, 0);
    sched_drop(f.s, w); /* ready */
    struct sched_stats st;
    sched_stats(f.s, &st);
    assert_int_equal(st.n_works, 0);
    sched_free(f.s);
}

static void test_works_of_a_deleted_destination_wait_no_longer(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, &base_cfg);
    struct sched_dest *d = sched_dest_get(f.s, 1, 1, 1);
    struct sched_dest *other = sched_dest_get(f.s, 2, 2, 2);
    for (uint64_t i = 0; i < 4; i++) {
        (void)sched_add(f.s, d, i, 2, 1000000, 0);
        (void)sched_add(f.s, other, 100 + i, 2, 1000000, 0);
    }
    d->gone = true;
    size_t at = 0;
    size_t calls = 1;
    while (!sched_hasten_gone(f.s, &at, 100)) {
        calls++;
    }
    assert_true(calls > 1); /* in slices */
    struct work *w[20];
    const size_t n = start_all(&f, 0, w, 20);
    assert_int_equal(n, 4);
    for (size_t i = 0; i < n; i++) {
        assert_ptr_equal(w[i]->dest, d);
        end(&f, w[i], &ok, 0);
    }
    sched_free(f.s);
}

static void test_idle_state_is_bounded(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, &base_cfg);
    for (uint32_t i = 1; i <= 100; i++) {
        struct sched_dest *d = sched_dest_get(f.s, i, i, i);
        (void)sched_add(f.s, d, i, 1, 0, 0);
        end(&f, sched_next(f.s, 0), &ok, 0);
    }
    struct sched_stats st;
    sched_stats(f.s, &st);
    assert_int_equal(st.n_dests, 4);
    assert_int_equal(f.gone, 96);
    sched_free(f.s);
    assert_int_equal(f.gone, 100);
}

static void test_target_moves_to_another_host(void **state)
{
    (void)state;
    struct fixture f;
    struct sched_cfg cfg = base_cfg;
    cfg.max_inflight_per_host = 1;
    setup(&f, &cfg);
    struct sched_dest *a = sched_dest_get(f.s, 1, 1, 1);
    struct sched_dest *b = sched_dest_get(f.s, 2, 2, 1);
    add_n(&f, a, 1, 2);
    add_n(&f, b, 10, 2);
    struct work *first = sched_next(f.s, 0);
    assert_null(sched_next(f.s, 0));
    struct sched_dest *waiting = first->dest == a ? b : a;
    sched_dest_set_host(f.s, waiting, 5);
    struct work *second = sched_next(f.s, 0);
    assert_ptr_equal(second->dest, waiting);
    end(&f, second, &ok, 0);
    end(&f, first, &ok, 0);
    sched_free(f.s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_destination_cap_adapts),
        cmocka_unit_test(test_host_cap_holds_back_and_lets_go),
        cmocka_unit_test(test_tenants_share),
        cmocka_unit_test(test_large_events_count_more),
        cmocka_unit_test(test_retries_and_fresh_alternate),
        cmocka_unit_test(test_breaker_parks_and_probes),
        cmocka_unit_test(test_any_answer_keeps_the_breaker_closed),
        cmocka_unit_test(test_hold_and_let_go),
        cmocka_unit_test(test_find_hasten_drop),
        cmocka_unit_test(test_works_of_a_deleted_destination_wait_no_longer),
        cmocka_unit_test(test_idle_state_is_bounded),
        cmocka_unit_test(test_target_moves_to_another_host),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
