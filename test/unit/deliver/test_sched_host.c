/* SPDX-License-Identifier: Apache-2.0 */
/* Many tenants send to one host, hooks.example.com say, and its cap is what holds them all back:
 * each gets the same share of the slots, whatever the others have waiting. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "deliver/sched.h"
#include "longline/check.h"

#define HOST      7
#define SLOTS     4
#define MANY      20 /* destinations of the busy tenant */
#define PER_DEST  50
#define OF_SECOND 10 /* works of the other one */
#define BUSY      1
#define SECOND    2

static const struct sched_cfg cfg = {.max_inflight = 100,
                                     .max_inflight_per_tenant = 50,
                                     .max_inflight_per_host = SLOTS,
                                     .max_inflight_per_dest = 8,
                                     .initial_inflight_per_dest = 4,
                                     .max_idle_dests = 100};

/* The works in flight, in the order of their starts. */
struct flight {
    struct work *v[SLOTS];
    size_t n;
};

static void start_all(struct sched *s, struct flight *f, unsigned *n_second)
{
    struct work *w = NULL;
    while ((w = sched_next(s, 0)) != NULL) {
        assert_true(f->n < SLOTS);
        *n_second += w->dest->num > MANY ? 1 : 0;
        f->v[f->n++] = w;
    }
}

static void end_oldest(struct sched *s, struct flight *f)
{
    static const struct sched_outcome ok = {.success = true};
    struct work *w = f->v[0];
    f->n--;
    for (size_t i = 0; i < f->n; i++) {
        f->v[i] = f->v[i + 1];
    }
    sched_judge(s, w, &ok, 0);
    sched_done(s, w);
}

static void add_works(struct sched *s, struct sched_dest *d, uint64_t first_seq, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        (void)sched_add(s, d, first_seq + i, 1, 0, 0);
    }
}

static struct sched *busy_host(struct rng_seeded *rng)
{
    rng_seeded_init(rng, 3);
    struct sched *s = sched_new(&cfg, NULL, &rng->rng);
    for (uint32_t i = 0; i < MANY; i++) {
        add_works(s, sched_dest_get(s, i + 1, BUSY, HOST), UINT64_C(1000) * i, PER_DEST);
    }
    return s;
}

/* From the moment it comes the second tenant gets every other slot. */
static void a_second_tenant_gets_half(void **state)
{
    (void)state;
    struct rng_seeded rng;
    struct sched *s = busy_host(&rng);
    struct flight f = {.n = 0};
    unsigned n_second = 0;
    for (unsigned i = 0; i < 100; i++) {
        start_all(s, &f, &n_second);
        end_oldest(s, &f);
    }
    add_works(s, sched_dest_get(s, MANY + 1, SECOND, HOST), 90000, OF_SECOND);
    unsigned n_ended = 0;
    while (n_second < OF_SECOND && n_ended < 10000) {
        start_all(s, &f, &n_second);
        end_oldest(s, &f);
        n_ended++;
    }
    assert_in_range(n_ended, OF_SECOND, 2 * OF_SECOND + SLOTS);
    sched_free(s);
}

/* Everything gets done, and a host whose queue has run empty is as before. */
static void the_queue_runs_empty(void **state)
{
    (void)state;
    struct rng_seeded rng;
    struct sched *s = busy_host(&rng);
    struct flight f = {.n = 0};
    unsigned n_second = 0;
    unsigned n_ended = 0;
    for (start_all(s, &f, &n_second); f.n != 0; start_all(s, &f, &n_second)) {
        assert_true(f.n == SLOTS || n_ended + SLOTS > MANY * PER_DEST);
        end_oldest(s, &f);
        n_ended++;
    }
    assert_int_equal(n_ended, MANY * PER_DEST);
    struct sched_stats st;
    sched_stats(s, &st);
    assert_int_equal(st.n_works, 0);
    add_works(s, sched_dest_get(s, MANY + 1, SECOND, HOST), 90000, 1);
    start_all(s, &f, &n_second);
    assert_int_equal(f.n, 1);
    sched_free(s);
}

/* One that was let go and found the host full again keeps its turn. */
static void a_turn_is_kept(void **state)
{
    (void)state;
    struct rng_seeded rng;
    struct sched *s = busy_host(&rng);
    struct flight f = {.n = 0};
    unsigned n_second = 0;
    start_all(s, &f, &n_second);
    struct sched_cfg less = cfg;
    less.max_inflight_per_tenant = SLOTS; /* the busy tenant may not start more */
    sched_set_cfg(s, &less);
    end_oldest(s, &f);
    start_all(s, &f, &n_second);
    assert_int_equal(f.n, SLOTS);
    add_works(s, sched_dest_get(s, MANY + 1, SECOND, HOST), 90000, 1);
    for (unsigned i = 0; i < SLOTS + 2 && n_second == 0; i++) {
        end_oldest(s, &f);
        start_all(s, &f, &n_second);
    }
    assert_int_equal(n_second, 1);
    sched_free(s);
}

/* A deleted destination's works end at once, also while its breaker is open. */
static void the_end_of_a_destination_waits_for_no_breaker(void **state)
{
    (void)state;
    static const struct sched_outcome unreachable = {.unreachable = true};
    struct rng_seeded rng;
    rng_seeded_init(&rng, 3);
    struct sched_cfg c = cfg;
    c.breaker_failures = 1;
    c.breaker_open_ms = 60000;
    c.breaker_max_ms = 60000;
    struct sched *s = sched_new(&c, NULL, &rng.rng);
    struct sched_dest *d = sched_dest_get(s, 1, BUSY, HOST);
    add_works(s, d, 1, 2);
    struct work *w = sched_next(s, 0);
    struct work *other = sched_next(s, 0);
    sched_judge(s, w, &unreachable, 0);
    sched_again(s, w, 2, 0, 0);
    sched_again(s, other, 1, 0, 0);
    assert_null(sched_next(s, 0));
    sched_dest_end(s, d);
    assert_non_null(sched_next(s, 0));
    assert_non_null(sched_next(s, 0));
    sched_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_second_tenant_gets_half),
        cmocka_unit_test(the_queue_runs_empty),
        cmocka_unit_test(a_turn_is_kept),
        cmocka_unit_test(the_end_of_a_destination_waits_for_no_breaker),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
