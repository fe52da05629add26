/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scheduler against a made-up world: destinations that are well, slow, dead, overloaded,
 * disabled for a while, moved to another host or deleted, works that are hastened or dropped, caps
 * that change, under a virtual clock and a seeded generator. A run is repeated exactly by its seed:
 *   test_sim_sched SEED [COUNT]
 *
 * Always: no cap is exceeded by a start; nothing starts before it is due, while held or while the
 * breaker is open; a work is in flight at most once; when nothing starts, nothing could. At the
 * end, when everything is well: every work has ended, exactly once.
 *
 * Fair, while somebody could start at every moment:
 *   tenants       A turn comes after at most two more rounds (a debt of MAX_COST is paid back by
 *                 two quanta), and a round gives each other tenant one quantum, the last work of
 *                 which may be larger. So no other tenant starts more than SHARE_KIB.
 *   destinations  Of one tenant they take turns, so no other starts twice.
 *   hosts         One that waits in a host's queue sees at most those start there that were let go
 *                 before, and one of each tenant for each turn that comes before its own.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "deliver/retry.h"
#include "deliver/sched_internal.h"
#include "longline/check.h"
#include "longline/mem.h"
#include "longline/str.h"

#define MAX_LIVE    24  /* destinations at a time */
#define MAX_DESTS   200 /* ever */
#define MAX_TENANTS 6
#define MAX_FLIGHT  256
#define MAX_WORKS   4096
#define STEPS       400
#define LONG_TIME   (INT64_C(30) * 24 * 3600 * 1000)
#define MAX_COST    100
#define QUANTUM     64
#define SHARE_KIB   (4 * QUANTUM + MAX_COST)

enum mood { MOOD_WELL, MOOD_FAILING, MOOD_DEAD, MOOD_OVERLOADED, MOOD_COUNT };

/* By its number - 1; numbers are not used again. */
struct sim_dest {
    enum mood mood;
    bool held;
    bool gone;
    uint32_t tenant;
    uint32_t host;
    uint32_t inflight;
    /* For fairness: counts of starts in all. */
    bool could_start;
    uint64_t since;     /* it could start all the time since then */
    uint64_t starts[2]; /* its last one and the one before */
    bool waits;         /* in its host's queue */
    uint64_t n_seen;    /* starts on its host since then */
    uint64_t max_seen;
};

struct sim_work {
    uint64_t seq;
    uint32_t dest;
    int64_t due_ms;
    uint16_t cost;
    bool inflight;
};

struct flight {
    struct work *w;
    size_t at; /* in works */
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
    uint32_t live[MAX_LIVE];
    uint32_t n_live;
    uint32_t n_tenants;
    uint32_t n_hosts;
    struct flight flights[MAX_FLIGHT];
    size_t n_flights;
    struct sim_work works[MAX_WORKS]; /* all that were added; cost 0: it has ended */
    size_t n_works;
    size_t n_left;
    uint64_t n_starts;
    uint64_t kib[MAX_TENANTS][MAX_TENANTS]; /* of [other] while [one] could start and did not */
    bool is_over;
};

static uint64_t pick(struct sim *m, uint64_t n)
{
    return rng_below(&m->rng.rng, n);
}

static void expect(const struct sim *m, bool truth, const char *what)
{
    if (!truth) {
        fail_msg("seed %llu at %lld: %s", (unsigned long long)m->seed, (long long)m->now, what);
    }
}

static void random_caps(struct sim *m)
{
    struct sched_cfg *c = &m->cfg;
    c->max_inflight = 1 + (uint32_t)pick(m, 60);
    c->max_inflight_per_tenant = 1 + (uint32_t)pick(m, 30);
    c->max_inflight_per_host = 1 + (uint32_t)pick(m, 20);
    c->max_inflight_per_dest = 1 + (uint32_t)pick(m, 12);
    c->initial_inflight_per_dest = 1 + (uint32_t)pick(m, c->max_inflight_per_dest);
    c->max_inflight_kib = pick(m, 2) == 0 ? 0 : 1 + pick(m, 2000);
    c->max_inflight_kib_per_tenant = pick(m, 2) == 0 ? 0 : 1 + pick(m, 500);
}

static void on_dest_gone(void *ctx, struct sched_dest *d)
{
    const struct sim *m = ctx;
    expect(m, m->is_over || d->n_works == 0, "a destination with works is not forgotten");
}

static void new_dest(struct sim *m, uint32_t slot)
{
    const uint32_t i = m->n_dests++;
    m->dests[i] = (struct sim_dest){.tenant = (uint32_t)pick(m, m->n_tenants),
                                    .host = (uint32_t)pick(m, m->n_hosts)};
    m->live[slot] = i;
}

static void sim_init(struct sim *m, uint64_t seed)
{
    *m = (struct sim){.seed = seed, .now = 1000};
    rng_seeded_init(&m->rng, seed);
    m->n_live = 1 + (uint32_t)pick(m, MAX_LIVE);
    m->n_tenants = 1 + (uint32_t)pick(m, MAX_TENANTS);
    m->n_hosts = 1 + (uint32_t)pick(m, 6);
    for (uint32_t i = 0; i < m->n_live; i++) {
        new_dest(m, i);
    }
    m->cfg = (struct sched_cfg){.breaker_failures = (uint32_t)pick(m, 6),
                                .breaker_open_ms = 1 + (int64_t)pick(m, 5000),
                                .breaker_max_ms = 6000 + (int64_t)pick(m, 60000),
                                .max_idle_dests = 1 + pick(m, 30)};
    random_caps(m);
    m->retry = (struct retry_policy){.interval_ms = 1 + (int64_t)pick(m, 2000),
                                     .max_delay_ms = 100000,
                                     .limit = (uint32_t)pick(m, 8),
                                     .jitter_pct = (unsigned)pick(m, 101)};
    const struct sched_hooks hooks = {.dest_gone = on_dest_gone, .ctx = m};
    m->s = sched_new(&m->cfg, &hooks, &m->rng.rng);
}

static struct sched_dest *dest_of(struct sim *m, uint32_t i)
{
    const struct sim_dest *sd = &m->dests[i];
    struct sched_dest *d = sched_dest_get(m->s, i + 1, sd->tenant, sd->host);
    sched_dest_hold(m->s, d, sd->held);
    return d;
}

/* ---- what is in flight, counted anew ---- */

struct load {
    uint32_t n;
    uint64_t kib;
};

static bool counts_for_tenant(const struct sim_dest *d, uint32_t key)
{
    return d->tenant == key;
}

static bool counts_for_host(const struct sim_dest *d, uint32_t key)
{
    return d->host == key;
}

static bool counts_for_all(const struct sim_dest *d, uint32_t key)
{
    (void)d;
    (void)key;
    return true;
}

static struct load load_of(const struct sim *m, bool (*counts)(const struct sim_dest *, uint32_t),
                           uint32_t key)
{
    struct load sum = {0};
    for (size_t i = 0; i < m->n_flights; i++) {
        const struct sim_work *w = &m->works[m->flights[i].at];
        if (counts(&m->dests[w->dest], key)) {
            sum.n++;
            sum.kib += w->cost;
        }
    }
    return sum;
}

static bool fits(struct load l, uint32_t max_n, uint64_t max_kib)
{
    return l.n < max_n && (max_kib == 0 || l.kib < max_kib);
}

static bool host_has_room(const struct sim *m, uint32_t host)
{
    return load_of(m, counts_for_host, host).n < m->cfg.max_inflight_per_host;
}

static bool tenant_has_room(const struct sim *m, uint32_t tenant)
{
    return fits(load_of(m, counts_for_tenant, tenant), m->cfg.max_inflight_per_tenant,
                m->cfg.max_inflight_kib_per_tenant);
}

static bool all_has_room(const struct sim *m)
{
    return fits(load_of(m, counts_for_all, 0), m->cfg.max_inflight, m->cfg.max_inflight_kib);
}

/* Something of it is ready, and nothing of its own stands against a start. */
static bool dest_is_willing(const struct sim *m, uint32_t i)
{
    const struct sim_dest *sd = &m->dests[i];
    const struct sched_dest *d = sched_dest_find(m->s, i + 1);
    return d != NULL && !(list_empty(&d->fresh) && list_empty(&d->retry)) && !sd->held &&
           d->breaker != BREAKER_OPEN && sd->inflight < d->cap &&
           (d->breaker != BREAKER_PROBING || sd->inflight == 0);
}

/* ---- fairness ---- */

static uint32_t n_dests_on(const struct sim *m, uint32_t host)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < m->n_dests; i++) {
        n += m->dests[i].host == host && sched_dest_find(m->s, i + 1) != NULL;
    }
    return n;
}

static void note_dest(struct sim *m, uint32_t i)
{
    struct sim_dest *sd = &m->dests[i];
    const struct sched_dest *d = sched_dest_find(m->s, i + 1);
    const bool waits = d != NULL && d->where == DEST_BLOCKED;
    const bool could = d != NULL && d->where == DEST_IN_RING && host_has_room(m, sd->host) &&
                       tenant_has_room(m, sd->tenant);
    if (could && !sd->could_start) {
        sd->since = m->n_starts;
    }
    if (waits && !sd->waits) {
        const int64_t turns = d->queued.key - d->host->turn;
        sd->n_seen = 0;
        sd->max_seen = n_dests_on(m, sd->host) +
                       (uint64_t)m->n_tenants * ((uint64_t)(turns > 0 ? turns : 0) + 1);
    }
    sd->could_start = could;
    sd->waits = waits;
}

/* After everything that may change who could start. */
static void note_all(struct sim *m)
{
    bool could[MAX_TENANTS] = {false};
    for (uint32_t i = 0; i < m->n_dests; i++) {
        note_dest(m, i);
        if (m->dests[i].could_start) {
            could[m->dests[i].tenant] = true;
        }
    }
    for (uint32_t t = 0; t < MAX_TENANTS; t++) {
        if (!could[t]) {
            memset(m->kib[t], 0, sizeof(m->kib[t]));
        }
    }
}

static void check_fairness(struct sim *m, const struct sim_work *w)
{
    struct sim_dest *mine = &m->dests[w->dest];
    m->n_starts++;
    for (uint32_t i = 0; i < m->n_dests; i++) {
        struct sim_dest *sd = &m->dests[i];
        if (sd != mine && sd->could_start && sd->tenant == mine->tenant) {
            expect(m, mine->starts[0] <= sd->since, "destinations of a tenant take turns");
        }
        if (sd != mine && sd->waits && sd->host == mine->host) {
            expect(m, ++sd->n_seen <= sd->max_seen, "tenants take turns on a host");
        }
    }
    mine->starts[1] = mine->starts[0];
    mine->starts[0] = m->n_starts;
    mine->since = m->n_starts;
    mine->waits = false; /* what it has now is another turn */
    for (uint32_t t = 0; t < m->n_tenants; t++) {
        m->kib[t][mine->tenant] += w->cost;
        expect(m, t == mine->tenant || m->kib[t][mine->tenant] <= SHARE_KIB, "tenants take turns");
    }
    memset(m->kib[mine->tenant], 0, sizeof(m->kib[mine->tenant]));
    note_all(m);
}

/* ---- works ---- */

static void add_work(struct sim *m)
{
    const uint32_t i = m->live[pick(m, m->n_live)];
    const bool later = pick(m, 5) == 0;
    const int64_t due = later ? m->now + (int64_t)pick(m, 10000) : m->now;
    expect(m, m->n_works < MAX_WORKS, "room in the model");
    (void)sched_add(m->s, dest_of(m, i), m->n_works, later ? 2 : 1, due, m->now);
    m->works[m->n_works] = (struct sim_work){
        .seq = m->n_works, .dest = i, .due_ms = due, .cost = (uint16_t)(1 + pick(m, MAX_COST))};
    m->n_works++;
    m->n_left++;
    note_all(m);
}

static void work_ended(struct sim *m, struct sim_work *w)
{
    expect(m, w->cost != 0, "a work ends once");
    w->cost = 0;
    w->inflight = false;
    m->n_left--;
}

static void check_start(struct sim *m, const struct work *w)
{
    const struct sim_work *sw = &m->works[w->event_seq];
    const struct sim_dest *sd = &m->dests[sw->dest];
    const struct sched_dest *d = w->dest;
    expect(m, w->state == WORK_INFLIGHT, "a started work is in flight");
    expect(m, d->num == sw->dest + 1, "a work keeps its destination");
    expect(m, sw->cost != 0 && !sw->inflight, "in flight once");
    expect(m, sw->due_ms <= m->now, "nothing starts before it is due");
    expect(m, !sd->held, "nothing starts while held");
    expect(m, d->breaker != BREAKER_OPEN, "nothing starts while the breaker is open");
    expect(m, d->breaker != BREAKER_PROBING || sd->inflight == 0, "one probe at a time");
    expect(m, sd->inflight < d->cap && d->cap <= m->cfg.max_inflight_per_dest, "destination cap");
    expect(m, host_has_room(m, sd->host), "host cap");
    expect(m, tenant_has_room(m, sd->tenant), "tenant cap");
    expect(m, all_has_room(m), "global cap");
}

/* The size of the event is known only now. */
static void started(struct sim *m, struct work *w)
{
    struct sim_work *sw = &m->works[w->event_seq];
    sched_set_cost(m->s, w, sw->cost);
    sw->inflight = true;
    m->dests[sw->dest].inflight++;
    m->flights[m->n_flights++] = (struct flight){
        .w = w, .at = (size_t)w->event_seq, .ends_ms = m->now + (int64_t)pick(m, 300)};
    check_fairness(m, sw);
}

static void check_nothing_could_start(const struct sim *m)
{
    if (!all_has_room(m)) {
        return;
    }
    for (uint32_t i = 0; i < m->n_dests; i++) {
        const struct sim_dest *sd = &m->dests[i];
        expect(m,
               !dest_is_willing(m, i) || !host_has_room(m, sd->host) ||
                   !tenant_has_room(m, sd->tenant),
               "what could start is started");
    }
}

static void start_works(struct sim *m)
{
    note_all(m);
    while (m->n_flights < MAX_FLIGHT) {
        struct work *w = sched_next(m->s, m->now);
        if (w == NULL) {
            check_nothing_could_start(m);
            return;
        }
        check_start(m, w);
        started(m, w);
    }
}

/* Nothing was tried: says nothing about the destination. */
static void judge_neutral(struct sim *m, struct work *w)
{
    const struct sched_dest before = *w->dest;
    const struct sched_outcome o = {.neutral = true};
    sched_judge(m->s, w, &o, m->now);
    expect(m, w->dest->cap == before.cap && w->dest->breaker == before.breaker, "neutral: state");
    expect(m,
           w->dest->failures_row == before.failures_row &&
               w->dest->unreachable_row == before.unreachable_row,
           "neutral: counters");
}

static void end_flight(struct sim *m, size_t at)
{
    struct work *w = m->flights[at].w;
    struct sim_work *sw = &m->works[m->flights[at].at];
    struct sim_dest *sd = &m->dests[sw->dest];
    m->flights[at] = m->flights[--m->n_flights];
    sd->inflight--;
    sw->inflight = false;
    const struct sched_outcome o = {.success = sd->mood == MOOD_WELL,
                                    .overload = sd->mood == MOOD_OVERLOADED,
                                    .unreachable = sd->mood == MOOD_DEAD};
    int64_t delay = -1;
    if (sd->gone) {
        judge_neutral(m, w);
    } else if (pick(m, 20) == 0) {
        judge_neutral(m, w);
        delay = (int64_t)pick(m, 1000);
    } else {
        sched_judge(m->s, w, &o, m->now);
        delay = o.success ? -1 : retry_delay(&m->retry, w->number, -1, &m->rng.rng);
    }
    if (delay < 0) {
        sched_done(m->s, w);
        work_ended(m, sw);
    } else {
        sw->due_ms = m->now + delay;
        sched_again(m->s, w, w->number + 1, sw->due_ms, m->now);
    }
    note_all(m);
}

static void end_due_flights(struct sim *m)
{
    for (size_t i = m->n_flights; i > 0; i--) {
        if (m->flights[i - 1].ends_ms <= m->now) {
            end_flight(m, i - 1);
        }
    }
}

/* ---- the world changes ---- */

/* One that is not in flight, or NULL. */
static struct sim_work *pick_idle_work(struct sim *m)
{
    for (int tries = 0; tries < 30 && m->n_works != 0; tries++) {
        struct sim_work *w = &m->works[pick(m, m->n_works)];
        if (w->cost != 0 && !w->inflight) {
            return w;
        }
    }
    return NULL;
}

static struct work *find(const struct sim *m, const struct sim_work *sw)
{
    struct work *w = sched_find(m->s, sw->seq, sw->dest + 1);
    expect(m, w != NULL && w->state != WORK_INFLIGHT, "a work that has not ended is found");
    return w;
}

static void act_mood(struct sim *m)
{
    m->dests[m->live[pick(m, m->n_live)]].mood = (enum mood)pick(m, MOOD_COUNT);
}

static void act_hold(struct sim *m)
{
    const uint32_t i = m->live[pick(m, m->n_live)];
    m->dests[i].held = !m->dests[i].held;
    if (sched_dest_find(m->s, i + 1) != NULL) {
        (void)dest_of(m, i);
    }
}

static void act_move(struct sim *m)
{
    const uint32_t i = m->live[pick(m, m->n_live)];
    m->dests[i].host = (uint32_t)pick(m, m->n_hosts);
    struct sched_dest *d = sched_dest_find(m->s, i + 1);
    if (d != NULL) {
        sched_dest_set_host(m->s, d, m->dests[i].host);
        m->dests[i].could_start = false; /* it queues up anew */
        m->dests[i].waits = false;
    }
}

static void act_hasten(struct sim *m)
{
    struct sim_work *sw = pick_idle_work(m);
    if (sw != NULL) {
        struct work *w = find(m, sw);
        sched_hasten(m->s, w);
        expect(m, w->state == WORK_READY, "a hastened work is ready");
        sw->due_ms = sw->due_ms < m->now ? sw->due_ms : m->now;
    }
}

static void act_drop(struct sim *m)
{
    struct sim_work *sw = pick_idle_work(m);
    if (sw != NULL) {
        sched_drop(m->s, find(m, sw));
        expect(m, sched_find(m->s, sw->seq, sw->dest + 1) == NULL, "a dropped work is gone");
        work_ended(m, sw);
    }
}

/* Deleted: what waits for it is let go, in slices, and ends without an attempt. */
static void act_delete(struct sim *m)
{
    const uint32_t slot = (uint32_t)pick(m, m->n_live);
    const uint32_t i = m->live[slot];
    if (m->n_dests == MAX_DESTS) {
        return;
    }
    new_dest(m, slot);
    m->dests[i].gone = true;
    m->dests[i].held = false;
    if (sched_dest_find(m->s, i + 1) == NULL) {
        return;
    }
    sched_dest_end(m->s, sched_dest_find(m->s, i + 1));
    size_t at = 0;
    while (!sched_hasten_gone(m->s, &at, 1 + pick(m, 100))) {
    }
    for (size_t k = 0; k < m->n_works; k++) {
        struct sim_work *sw = &m->works[k];
        if (sw->dest == i && sw->cost != 0 && !sw->inflight) {
            expect(m, find(m, sw)->state == WORK_READY, "works of a deleted destination are ready");
            sw->due_ms = sw->due_ms < m->now ? sw->due_ms : m->now;
        }
    }
}

static void act_caps(struct sim *m)
{
    random_caps(m);
    sched_set_cfg(m->s, &m->cfg);
}

static void change_world(struct sim *m)
{
    static void (*const acts[])(struct sim *) = {act_mood, act_mood,   act_mood,
                                                 act_hold, act_move,   act_hasten,
                                                 act_drop, act_delete, act_caps};
    acts[pick(m, LL_COUNT(acts))](m);
    note_all(m);
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
        if (pick(m, 5) == 0) {
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
    expect(m, m->n_left == 0, "every work ended");
    m->is_over = true;
    sched_free(m->s);
    mem_free(m);
}

static uint64_t first_seed = 1;
static uint64_t n_seeds = 1000;

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
