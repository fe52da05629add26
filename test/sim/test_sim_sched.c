/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scheduler against a made-up world: destinations that are well, slow, dead, overloaded or
 * disabled for a while, under a virtual clock and a seeded generator. A run is repeated exactly by
 * its seed:  test_sim_sched SEED [COUNT]
 *
 * Always: no cap is exceeded; nothing starts while held or while the breaker is open; a work is in
 * flight at most once. At the end, when everything is well: every work has ended, exactly once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "deliver/retry.h"
#include "deliver/sched.h"
#include "longline/mem.h"
#include "longline/str.h"

#define MAX_DESTS  24
#define MAX_FLIGHT 256
#define STEPS      400
#define LONG_TIME  (INT64_C(30) * 24 * 3600 * 1000)

enum mood { MOOD_WELL, MOOD_FAILING, MOOD_DEAD, MOOD_OVERLOADED, MOOD_COUNT };

struct sim_dest {
    enum mood mood;
    bool held;
    uint32_t inflight;
};

struct flight {
    struct work *w;
    int64_t ends_ms;
};

struct sim {
    uint64_t seed;
    struct rng_seeded rng;
    struct sched_cfg cfg;
    struct sched *s;
    struct retry_policy retry;
    int64_t now;
    struct sim_dest dests[MAX_DESTS];
    uint32_t n_dests;
    uint32_t n_tenants;
    uint32_t n_hosts;
    struct flight flights[MAX_FLIGHT];
    size_t n_flights;
    uint64_t added;
    uint64_t ended;
    uint64_t next_seq;
};

static uint64_t pick(struct sim *m, uint64_t n)
{
    return rng_below(&m->rng.rng, n);
}

static void sim_init(struct sim *m, uint64_t seed)
{
    *m = (struct sim){.seed = seed, .now = 1000};
    rng_seeded_init(&m->rng, seed);
    m->n_dests = 1 + (uint32_t)pick(m, MAX_DESTS);
    m->n_tenants = 1 + (uint32_t)pick(m, 6);
    m->n_hosts = 1 + (uint32_t)pick(m, 6);
    m->cfg = (struct sched_cfg){.max_inflight = 1 + (uint32_t)pick(m, 60),
                                .max_inflight_per_tenant = 1 + (uint32_t)pick(m, 30),
                                .max_inflight_per_host = 1 + (uint32_t)pick(m, 20),
                                .max_inflight_per_dest = 1 + (uint32_t)pick(m, 12),
                                .breaker_failures = (uint32_t)pick(m, 6),
                                .breaker_open_ms = 1 + (int64_t)pick(m, 5000),
                                .breaker_max_ms = 6000 + (int64_t)pick(m, 60000),
                                .max_idle_dests = 1 + pick(m, 30)};
    m->cfg.initial_inflight_per_dest = 1 + (uint32_t)pick(m, m->cfg.max_inflight_per_dest);
    m->retry = (struct retry_policy){.interval_ms = 1 + (int64_t)pick(m, 2000),
                                     .max_delay_ms = 100000,
                                     .limit = (uint32_t)pick(m, 8),
                                     .jitter_pct = (unsigned)pick(m, 101)};
    m->s = sched_new(&m->cfg, NULL, &m->rng.rng);
}

static void expect(const struct sim *m, bool truth, const char *what)
{
    if (!truth) {
        fail_msg("seed %llu at %lld: %s", (unsigned long long)m->seed, (long long)m->now, what);
    }
}

static struct sched_dest *dest_of(struct sim *m, uint32_t i)
{
    struct sched_dest *d = sched_dest_get(m->s, i + 1, i % m->n_tenants, i % m->n_hosts);
    sched_dest_hold(m->s, d, m->dests[i].held);
    return d;
}

static void add_work(struct sim *m)
{
    const uint32_t i = (uint32_t)pick(m, m->n_dests);
    const bool later = pick(m, 5) == 0;
    const int64_t due = later ? m->now + (int64_t)pick(m, 10000) : m->now;
    struct work *w = sched_add(m->s, dest_of(m, i), m->next_seq++, later ? 2 : 1, due, m->now);
    w->cost = (uint16_t)(1 + pick(m, 100));
    m->added++;
}

static void check_start(struct sim *m, const struct work *w)
{
    const struct sim_dest *sd = &m->dests[w->dest->num - 1];
    expect(m, w->state == WORK_INFLIGHT, "a started work is in flight");
    expect(m, !sd->held, "nothing starts while held");
    expect(m, w->dest->breaker != BREAKER_OPEN, "nothing starts while the breaker is open");
    expect(m, w->dest->breaker != BREAKER_PROBING || sd->inflight == 1, "one probe at a time");
    expect(m, sd->inflight <= m->cfg.max_inflight_per_dest, "destination cap");
    expect(m, m->n_flights <= m->cfg.max_inflight, "global cap");
    uint32_t tenant = 0;
    uint32_t host = 0;
    for (size_t i = 0; i < m->n_flights; i++) {
        const uint32_t num = m->flights[i].w->dest->num - 1;
        tenant += num % m->n_tenants == (w->dest->num - 1) % m->n_tenants;
        host += num % m->n_hosts == (w->dest->num - 1) % m->n_hosts;
        expect(m, i + 1 == m->n_flights || m->flights[i].w != w, "in flight once");
    }
    expect(m, tenant <= m->cfg.max_inflight_per_tenant, "tenant cap");
    expect(m, host <= m->cfg.max_inflight_per_host, "host cap");
}

static void start_works(struct sim *m)
{
    struct work *w = NULL;
    while (m->n_flights < MAX_FLIGHT && (w = sched_next(m->s, m->now)) != NULL) {
        m->flights[m->n_flights++] =
            (struct flight){.w = w, .ends_ms = m->now + (int64_t)pick(m, 300)};
        m->dests[w->dest->num - 1].inflight++;
        check_start(m, w);
    }
}

static void end_flight(struct sim *m, size_t at)
{
    struct work *w = m->flights[at].w;
    m->flights[at] = m->flights[--m->n_flights];
    struct sim_dest *sd = &m->dests[w->dest->num - 1];
    sd->inflight--;
    const struct sched_outcome o = {.success = sd->mood == MOOD_WELL,
                                    .overload = sd->mood == MOOD_OVERLOADED,
                                    .unreachable = sd->mood == MOOD_DEAD};
    sched_judge(m->s, w, &o, m->now);
    const int64_t delay = o.success ? -1 : retry_delay(&m->retry, w->number, -1, &m->rng.rng);
    if (delay < 0) {
        sched_done(m->s, w);
        m->ended++;
    } else {
        sched_again(m->s, w, w->number + 1, m->now + delay, m->now);
    }
}

static void end_due_flights(struct sim *m)
{
    for (size_t i = m->n_flights; i > 0; i--) {
        if (m->flights[i - 1].ends_ms <= m->now) {
            end_flight(m, i - 1);
        }
    }
}

static void change_world(struct sim *m)
{
    const uint32_t i = (uint32_t)pick(m, m->n_dests);
    m->dests[i].mood = (enum mood)pick(m, MOOD_COUNT);
    if (pick(m, 4) == 0) {
        m->dests[i].held = !m->dests[i].held;
        if (sched_dest_find(m->s, i + 1) != NULL) {
            (void)dest_of(m, i);
        }
    }
}

/* To the next moment at which something can happen. */
static bool advance(struct sim *m)
{
    int64_t next = sched_next_due(m->s);
    for (size_t i = 0; i < m->n_flights; i++) {
        next = m->flights[i].ends_ms < next ? m->flights[i].ends_ms : next;
    }
    if (next == TIME_NEVER) {
        return false;
    }
    m->now = next > m->now ? next : m->now + 1;
    return true;
}

static void recover_world(struct sim *m)
{
    for (uint32_t i = 0; i < m->n_dests; i++) {
        m->dests[i].mood = MOOD_WELL;
        m->dests[i].held = false;
        if (sched_dest_find(m->s, i + 1) != NULL) {
            (void)dest_of(m, i);
        }
    }
}

static void run_seed(uint64_t seed)
{
    struct sim *m = mem_alloc(sizeof(*m));
    sim_init(m, seed);
    for (int step = 0; step < STEPS; step++) {
        for (uint64_t n = pick(m, 4); n > 0; n--) {
            add_work(m);
        }
        if (pick(m, 10) == 0) {
            change_world(m);
        }
        start_works(m);
        m->now += (int64_t)pick(m, 50);
        end_due_flights(m);
    }
    recover_world(m);
    const int64_t limit = m->now + LONG_TIME;
    do {
        end_due_flights(m);
        start_works(m);
    } while (advance(m) && m->now < limit);
    struct sched_stats st;
    sched_stats(m->s, &st);
    expect(m, st.n_works == 0, "everything drains when all is well");
    expect(m, st.n_inflight == 0, "nothing is left in flight");
    expect(m, m->ended == m->added, "every work ended exactly once");
    sched_free(m->s);
    mem_free(m);
}

static uint64_t first_seed = 1;
static uint64_t n_seeds = 2000;

static void test_seeds(void **state)
{
    (void)state;
    for (uint64_t i = 0; i < n_seeds; i++) {
        run_seed(first_seed + i);
    }
}

int main(int argc, char **argv)
{
    if (argc > 1 && str_to_u64(str_c(argv[1]), &first_seed) == 0) {
        n_seeds = 1;
    }
    if (argc > 2) {
        (void)str_to_u64(str_c(argv[2]), &n_seeds);
    }
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_seeds)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
