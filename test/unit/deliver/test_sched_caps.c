/* SPDX-License-Identifier: Apache-2.0 */
/* Caps that destinations share: a host's free slot is used whatever becomes of the destination that
 * was to have it, and large events in flight are bounded by their bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "deliver/sched.h"

#define HOST  7
#define OTHER 8

static const struct sched_cfg cfg = {.max_inflight = 100,
                                     .max_inflight_per_tenant = 50,
                                     .max_inflight_per_host = 1,
                                     .max_inflight_per_dest = 1,
                                     .initial_inflight_per_dest = 1,
                                     .breaker_failures = 1,
                                     .breaker_open_ms = 1000,
                                     .breaker_max_ms = 8000,
                                     .max_idle_dests = 10};

static const struct sched_outcome ok = {.success = true};

struct fixture {
    struct rng_seeded rng;
    struct sched *s;
    struct sched_dest *d[3];
    struct work *busy; /* holds the host's only slot */
};

/* Three destinations of as many tenants on one host; the first one has its only slot. */
static void setup(struct fixture *f, const struct sched_cfg *c)
{
    rng_seeded_init(&f->rng, 3);
    f->s = sched_new(c, NULL, &f->rng.rng);
    for (uint32_t i = 0; i < 3; i++) {
        f->d[i] = sched_dest_get(f->s, i + 1, i + 1, HOST);
        (void)sched_add(f->s, f->d[i], 100 + i, 1, 0, 0);
    }
    f->busy = sched_next(f->s, 0);
    assert_int_equal(f->busy->dest->num, 1);
    assert_null(sched_next(f->s, 0));
}

static void end(struct sched *s, struct work *w, const struct sched_outcome *o)
{
    sched_judge(s, w, o, 0);
    sched_done(s, w);
}

static void expect_next(struct sched *s, uint32_t num)
{
    struct work *w = sched_next(s, 0);
    assert_non_null(w);
    assert_int_equal(w->dest->num, num);
}

static void test_next_one_is_disabled(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, &cfg);
    end(f.s, f.busy, &ok);
    sched_dest_hold(f.s, f.d[1], true);
    expect_next(f.s, 3);
    sched_free(f.s);
}

static void test_next_one_has_no_work_left(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, &cfg);
    end(f.s, f.busy, &ok);
    sched_drop(f.s, sched_find(f.s, 101, 2));
    expect_next(f.s, 3);
    sched_free(f.s);
}

static void test_next_one_moves_to_another_host(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, &cfg);
    end(f.s, f.busy, &ok);
    sched_dest_set_host(f.s, f.d[1], OTHER);
    uint32_t seen = 0;
    for (struct work *w = sched_next(f.s, 0); w != NULL; w = sched_next(f.s, 0)) {
        seen |= 1U << w->dest->num;
    }
    assert_int_equal(seen, 1U << 2 | 1U << 3);
    sched_free(f.s);
}

/* The tenant whose turn it is on the host cannot use it, being at its own cap. */
static void test_tenant_of_next_one_is_at_its_cap(void **state)
{
    (void)state;
    struct fixture f;
    struct sched_cfg c = cfg;
    c.max_inflight_per_tenant = 1;
    setup(&f, &c);
    struct sched_dest *slow = sched_dest_get(f.s, 9, 2, OTHER);
    (void)sched_add(f.s, slow, 200, 1, 0, 0);
    expect_next(f.s, 9);
    end(f.s, f.busy, &ok);
    expect_next(f.s, 3);
    sched_free(f.s);
}

static void test_raised_caps_work_at_once(void **state)
{
    (void)state;
    struct fixture f;
    setup(&f, &cfg);
    struct sched_cfg c = cfg;
    c.max_inflight_per_host = 2;
    sched_set_cfg(f.s, &c);
    expect_next(f.s, 2);
    assert_null(sched_next(f.s, 0));
    c.max_inflight_per_tenant = 1;
    sched_set_cfg(f.s, &c);
    struct sched_dest *d = sched_dest_get(f.s, 9, 1, OTHER);
    (void)sched_add(f.s, d, 200, 1, 0, 0);
    assert_null(sched_next(f.s, 0));
    c.max_inflight_per_tenant = 2;
    sched_set_cfg(f.s, &c);
    expect_next(f.s, 9);
    sched_free(f.s);
}

/* How many start when each work is an event of that many KiB, found out at the start. */
static size_t start_kib(struct sched *s, uint16_t kib, struct work **out)
{
    size_t n = 0;
    for (struct work *w = sched_next(s, 0); w != NULL; w = sched_next(s, 0)) {
        sched_set_cost(s, w, kib);
        out[n++] = w;
    }
    return n;
}

static void test_bytes_in_flight(void **state)
{
    (void)state;
    struct rng_seeded rng;
    rng_seeded_init(&rng, 3);
    struct sched_cfg c = cfg;
    c.max_inflight_per_host = 50;
    c.max_inflight_per_dest = 50;
    c.initial_inflight_per_dest = 50;
    c.max_inflight_kib = 1000;
    c.max_inflight_kib_per_tenant = 400;
    struct sched *s = sched_new(&c, NULL, &rng.rng);
    for (uint32_t i = 0; i < 3; i++) {
        struct sched_dest *d = sched_dest_get(s, i + 1, i + 1, HOST);
        for (uint64_t k = 0; k < 20; k++) {
            (void)sched_add(s, d, 100 * i + k, 1, 0, 0);
        }
    }
    struct work *w[60];
    /* Four of each tenant would fit; the third tenant finds only 200 KiB left. */
    size_t n = start_kib(s, 100, w);
    assert_int_equal(n, 10);
    end(s, w[0], &ok);
    end(s, w[1], &ok);
    n = start_kib(s, 1000, w); /* one passes the bound, and the rest waits */
    assert_int_equal(n, 1);
    end(s, w[0], &ok);
    assert_true(start_kib(s, 100, w) > 0);
    sched_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_next_one_is_disabled),
        cmocka_unit_test(test_next_one_has_no_work_left),
        cmocka_unit_test(test_next_one_moves_to_another_host),
        cmocka_unit_test(test_tenant_of_next_one_is_at_its_cap),
        cmocka_unit_test(test_raised_caps_work_at_once),
        cmocka_unit_test(test_bytes_in_flight),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
