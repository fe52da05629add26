/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Age, against clocks that lie: random histories of starts, stops, kills and time down; of wall
 * clocks that step by seconds or years, and monotonic ones that jump; of events, attempts, keys
 * and retries; of retentions that change. What is asked of the store's functions is held against
 * the true time, which only the simulation knows. A history is repeated exactly by its seed:
 *   test_sim_clock SEED [COUNT]
 *
 * Always: no row leaves for its age before it is as old as the retention, no key is forgotten
 * before its time to live, no event that is owed leaves at all, and no retry is late by a step. At
 * the end, when it runs for long enough: all that is old is gone, and what was owed has an end.
 *
 * A jump of the monotonic clock may count as AGE_STEP_MAX_MS; more is allowed for nothing.
 *
 * So that it is seen to see: each of the faults below is built in at a seam, and must be found.
 */
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "deliver/retry.h"
#include "longline/check.h"
#include "longline/id.h"
#include "longline/log.h"
#include "longline/mem.h"
#include "longline/str.h"
#include "store/upkeep/age_clock.h"
#include "store/upkeep/ages.h"
#include "store/upkeep/idem_time.h"
#include "store/upkeep/steady.h"

#define MINUTE_MS    INT64_C(60000)
#define HOUR_MS      (60 * MINUTE_MS)
#define DAY_MS       (24 * HOUR_MS)
#define YEAR_MS      (365 * DAY_MS)
#define MAX_ROWS     48
#define MAX_KEYS     16
#define STEPS        80
#define LOOK_MAX_MS  9000 /* the store looks more often: that counts the same */
#define SPILL_MS     10000
#define FAULT_SEEDS  3000
#define DEFAULT_RUNS 10000

enum fault {
    FAULT_NONE,
    FAULT_WALL_CLOCK, /* the age clock follows the wall clock */
    FAULT_NO_CAP,     /* … or every jump of the monotonic one */
    FAULT_EARLY_MARK, /* a mark says that rows are older than they are */
    FAULT_STALE_MARK, /* … because its time was read before a row was put */
    FAULT_NO_LOW,     /* what is on its way to its first attempt is taken for ended */
    FAULT_NO_RETRY,   /* retry records are not looked at */
    FAULT_UNSAVED,    /* the clock is not written with the marks */
    FAULT_SEQ_BACK,   /* new seqs begin below the marks */
    FAULT_KEY_WALL,   /* keys expire by the wall clock */
    FAULT_RETRY_WALL, /* retries wait for the wall clock */
    N_FAULTS
};

enum row_state { ROW_FREE, ROW_FRESH, ROW_OWED, ROW_ENDED, ROW_ATTEMPT };

struct row { /* on disk */
    enum row_state state;
    uint64_t seq;
    uint64_t event_seq;   /* ROW_ATTEMPT */
    int64_t born_ms;      /* true time */
    int64_t added_ran_ms; /* ROW_FRESH: when it was taken on, by the time that was run */
    struct retry_record retry;
    int64_t due_ran_ms; /* ROW_OWED: due when the gateway has run for this long */
    int64_t lost_ms;    /* … and what kills had taken back when it was planned */
};

struct key {
    bool is_there;
    uint32_t bucket;
    int64_t put_age_ms;
    int64_t born_ms;
    int64_t jumped_ms; /* until then */
};

struct counts { /* so that it is seen that things happen */
    uint64_t n_starts, n_kills, n_old, n_expired, n_keys, n_retries;
};

struct sim {
    struct counts *counts;
    struct rng_seeded rng;
    uint64_t seed;
    enum fault fault;
    const char *found; /* the first violation */

    /* the world */
    int64_t true_ms;
    int64_t wall_ahead_ms;
    int64_t mono_ms;
    int64_t ran_ms;  /* the time that counts */
    int64_t lost_ms; /* the most of it that kills may have taken back */
    int64_t jumped_ms;
    int64_t retention_ms;
    int64_t ttl_ms;
    bool is_running;

    /* the process */
    struct age_clock clock;
    struct steady steady;
    struct seqgen seqgen;
    struct ages ages;
    uint64_t low;
    uint64_t next_low;     /* above the last event, as the window of fresh events has it */
    int64_t next_slice_ms; /* of ran_ms */
    int64_t stale_ms;      /* the age clock as it was a look ago */

    /* the disk */
    unsigned char age_bytes[AGES_BYTES];
    bool has_age;
    int64_t closed_ms;
    struct row rows[MAX_ROWS];
    struct key keys[MAX_KEYS];
};

static const struct retry_policy policy = {
    .interval_ms = 30000, .max_delay_ms = 12 * HOUR_MS, .limit = 10};

static void expect(struct sim *m, bool truth, const char *what)
{
    if (!truth && m->found == NULL) {
        m->found = what;
    }
}

static int64_t pick(struct sim *m, int64_t n)
{
    return (int64_t)rng_below(&m->rng.rng, (uint64_t)n);
}

/* From 1 to most, every order of magnitude as often as another. */
static int64_t pick_log(struct sim *m, int64_t most)
{
    int64_t bound = 1;
    int64_t n = 0;
    for (int64_t v = most; v > 1; v /= 2) {
        n++;
    }
    bound <<= pick(m, n + 1);
    return 1 + pick(m, bound < most ? bound : most);
}

static int64_t wall_ms(const struct sim *m)
{
    return m->true_ms + m->wall_ahead_ms;
}

static int64_t age_ms(struct sim *m)
{
    if (m->fault == FAULT_WALL_CLOCK) {
        m->clock.now_ms = wall_ms(m);
    } else if (m->fault == FAULT_NO_CAP) {
        m->clock.now_ms += m->mono_ms > m->clock.mono_ms ? m->mono_ms - m->clock.mono_ms : 0;
        m->clock.mono_ms = m->mono_ms;
    }
    return age_clock_now(&m->clock, m->mono_ms);
}

static uint64_t next_seq(struct sim *m)
{
    return seqgen_next(&m->seqgen, steady_now(&m->steady, wall_ms(m), m->mono_ms));
}

/* ---- the disk ---- */

static struct row *free_row(struct sim *m)
{
    for (size_t i = 0; i < MAX_ROWS; i++) {
        if (m->rows[i].state == ROW_FREE) {
            return &m->rows[i];
        }
    }
    return NULL;
}

static uint64_t last_seq(const struct sim *m)
{
    uint64_t last = 0;
    for (size_t i = 0; i < MAX_ROWS; i++) {
        if (m->rows[i].state != ROW_FREE && m->rows[i].seq > last) {
            last = m->rows[i].seq;
        }
    }
    return last;
}

static bool has_keys(const struct sim *m)
{
    for (size_t i = 0; i < MAX_KEYS; i++) {
        if (m->keys[i].is_there) {
            return true;
        }
    }
    return false;
}

static void save(struct sim *m, int64_t now)
{
    ages_write(&m->ages, now, m->age_bytes);
    if (m->fault == FAULT_UNSAVED) {
        memset(m->age_bytes, 0, 8);
    }
    m->has_age = true;
}

/* ---- the gateway's work ---- */

static void put_attempt(struct sim *m, uint64_t event_seq)
{
    struct row *row = free_row(m);
    if (row != NULL) {
        *row = (struct row){.state = ROW_ATTEMPT,
                            .seq = next_seq(m),
                            .event_seq = event_seq,
                            .born_ms = m->true_ms};
    }
}

static void own(struct sim *m, struct row *row, int64_t delay_ms)
{
    row->state = ROW_OWED;
    row->retry = (struct retry_record){.event_seq = row->seq,
                                       .number = 2,
                                       .next_at_ms = delay_ms != 0 ? wall_ms(m) + delay_ms : 0,
                                       .due_age_ms = age_ms(m) + delay_ms};
    row->due_ran_ms = m->ran_ms + delay_ms;
    row->lost_ms = m->lost_ms;
}

/* What the window of fresh events does: from low on it is not known what has ended. */
static void move_low(struct sim *m)
{
    uint64_t low = m->next_low;
    for (size_t i = 0; i < MAX_ROWS; i++) {
        struct row *row = &m->rows[i];
        if (row->state == ROW_FRESH && m->ran_ms - row->added_ran_ms >= SPILL_MS) {
            own(m, row, 0);
        }
        if (row->state == ROW_FRESH && row->seq < low) {
            low = row->seq;
        }
    }
    m->low = low > m->low ? low : m->low;
}

static void publish(struct sim *m)
{
    struct row *row = free_row(m);
    struct key *key = &m->keys[pick(m, MAX_KEYS)];
    if (row == NULL) {
        return;
    }
    *row = (struct row){
        .state = ROW_FRESH, .seq = next_seq(m), .born_ms = m->true_ms, .added_ran_ms = m->ran_ms};
    m->next_low = row->seq + 1;
    if (!key->is_there) {
        const int64_t now = m->fault == FAULT_KEY_WALL ? wall_ms(m) : age_ms(m);
        *key = (struct key){.is_there = true,
                            .bucket = idem_bucket(now > 0 ? now : 0, m->ttl_ms),
                            .put_age_ms = now,
                            .born_ms = m->true_ms,
                            .jumped_ms = m->jumped_ms};
    }
}

static void attempt(struct sim *m)
{
    struct row *row = &m->rows[pick(m, MAX_ROWS)];
    if (row->state != ROW_FRESH && row->state != ROW_OWED) {
        return;
    }
    put_attempt(m, row->seq);
    if (pick(m, 2) == 0) {
        row->state = ROW_ENDED;
    } else {
        own(m, row, pick_log(m, policy.max_delay_ms));
    }
}

/* ---- deleting ---- */

static void check_age(struct sim *m, const struct row *row)
{
    expect(m, m->true_ms - row->born_ms + m->jumped_ms >= m->retention_ms,
           "a row left before it was as old as the retention");
}

static bool may_go(const struct sim *m, const struct row *row, uint64_t cutoff)
{
    const uint64_t low = m->fault == FAULT_NO_LOW ? UINT64_MAX : m->low;
    if (row->state == ROW_ATTEMPT) {
        return row->seq < cutoff && row->event_seq < low;
    }
    return row->state != ROW_FREE && row->seq < ages_ended_below(cutoff, low) &&
           (row->state != ROW_OWED || m->fault == FAULT_NO_RETRY);
}

static void purge_row(struct sim *m, struct row *row, uint64_t cutoff)
{
    if (!may_go(m, row, cutoff)) {
        return;
    }
    expect(m, row->state != ROW_FRESH && row->state != ROW_OWED, "an event that is owed left");
    check_age(m, row);
    row->state = ROW_FREE;
    m->counts->n_old++;
}

static void purge_keys(struct sim *m)
{
    const int64_t age = age_ms(m);
    const int64_t now = m->fault == FAULT_KEY_WALL ? wall_ms(m) : age;
    const uint32_t expired = idem_expired(now, m->ttl_ms);
    for (size_t i = 0; i < MAX_KEYS; i++) {
        struct key *key = &m->keys[i];
        if (key->is_there &&
            (key->bucket < expired || !idem_is_alive(key->put_age_ms, now, m->ttl_ms))) {
            expect(m, m->true_ms - key->born_ms + m->jumped_ms - key->jumped_ms >= m->ttl_ms,
                   "a key was forgotten before its time to live");
            key->is_there = false;
            m->counts->n_keys++;
        }
    }
}

/* What the writer does between two commits, and then the delivery engine. */
static void slice(struct sim *m)
{
    const int64_t now = age_ms(m);
    const int64_t noted = m->fault == FAULT_EARLY_MARK   ? now - m->retention_ms / 2
                          : m->fault == FAULT_STALE_MARK ? m->stale_ms
                                                         : now;
    const uint64_t last = last_seq(m);
    if (ages_note(&m->ages, last, noted, m->retention_ms) ||
        ((last != 0 || has_keys(m)) && ages_are_unsaved(&m->ages, now))) {
        save(m, now);
    }
    const uint64_t cutoff = ages_cutoff(&m->ages, now, m->retention_ms);
    for (size_t i = 0; i < MAX_ROWS; i++) {
        purge_row(m, &m->rows[i], cutoff);
    }
    purge_keys(m);
    for (size_t i = 0; i < MAX_ROWS; i++) {
        struct row *row = &m->rows[i];
        if (row->state == ROW_OWED && row->seq < cutoff) {
            check_age(m, row);
            row->state = ROW_ENDED;
            m->counts->n_expired++;
            put_attempt(m, row->seq); /* says that it expired */
        }
    }
    move_low(m);
}

/* The quota: what has ended goes, however young. */
static void purge_by_size(struct sim *m)
{
    for (size_t i = 0; i < MAX_ROWS; i++) {
        const struct row *row = &m->rows[i];
        if ((row->state == ROW_ENDED && row->seq < m->low) ||
            (row->state == ROW_ATTEMPT && row->event_seq < m->low)) {
            m->rows[i].state = ROW_FREE;
        }
    }
}

/* ---- running ---- */

static void check_retries(struct sim *m)
{
    const int64_t age = m->fault == FAULT_RETRY_WALL ? INT64_MIN : age_ms(m);
    for (size_t i = 0; i < MAX_ROWS; i++) {
        struct row *row = &m->rows[i];
        if (row->state != ROW_OWED) {
            continue;
        }
        if (m->fault == FAULT_RETRY_WALL) {
            row->retry.due_age_ms = RETRY_NO_AGE;
        }
        const int64_t planned = row->due_ran_ms > m->ran_ms ? row->due_ran_ms - m->ran_ms : 0;
        const int64_t left = retry_left(&policy, &row->retry, wall_ms(m), age);
        m->counts->n_retries++;
        expect(m, left >= 0 && left <= planned + m->lost_ms - row->lost_ms,
               "a retry is late by a step of the clock");
    }
}

static void start(struct sim *m)
{
    if (m->is_running) {
        return;
    }
    const uint64_t last = last_seq(m);
    m->counts->n_starts++;
    m->is_running = true;
    m->mono_ms = pick_log(m, YEAR_MS);
    m->ages = (struct ages){0};
    if (m->has_age) {
        ages_read(&m->ages, m->age_bytes);
    }
    age_clock_init(&m->clock, m->ages.saved_ms, m->mono_ms);
    m->seqgen.last = last > m->low ? last : m->low;
    if (m->fault != FAULT_SEQ_BACK && ages_last(&m->ages) > m->seqgen.last) {
        m->seqgen.last = ages_last(&m->ages);
    }
    const int64_t row_ms = SEQ_MS(m->seqgen.last);
    steady_init(&m->steady, wall_ms(m), m->mono_ms, row_ms > m->closed_ms ? row_ms : m->closed_ms);
    m->next_slice_ms = m->ran_ms;
    m->stale_ms = m->clock.now_ms;
    save(m, age_ms(m));
    for (size_t i = 0; i < MAX_ROWS; i++) {
        m->rows[i].added_ran_ms = m->ran_ms;
    }
    check_retries(m);
}

static void stop(struct sim *m, bool is_kill)
{
    if (!m->is_running) {
        return;
    }
    if (is_kill) {
        m->counts->n_kills++;
        m->lost_ms += age_ms(m) - m->ages.saved_ms;
    } else {
        m->closed_ms = steady_now(&m->steady, wall_ms(m), m->mono_ms);
        save(m, age_ms(m));
    }
    m->is_running = false;
}

static void run_for(struct sim *m, int64_t ms)
{
    while (ms > 0) {
        const int64_t step = ms < LOOK_MAX_MS ? ms : LOOK_MAX_MS;
        m->true_ms += step;
        m->mono_ms += step;
        m->ran_ms += step;
        ms -= step;
        const int64_t before_ms = m->clock.now_ms;
        (void)age_ms(m);
        if (m->ran_ms >= m->next_slice_ms || ms == 0) {
            slice(m);
            m->next_slice_ms = m->ran_ms + m->retention_ms / 64;
        }
        m->stale_ms = before_ms;
    }
}

static void jump_mono(struct sim *m)
{
    const int64_t by = pick_log(m, YEAR_MS);
    (void)age_ms(m);
    m->mono_ms += pick(m, 2) == 0 ? by : -by;
    (void)age_ms(m);
    m->jumped_ms += AGE_STEP_MAX_MS;
}

/* ---- histories ---- */

static void step_process(struct sim *m)
{
    switch (pick(m, 9)) {
    case 0:
        start(m);
        break;
    case 1:
        stop(m, pick(m, 2) == 0);
        break;
    case 2:
        if (m->is_running) {
            jump_mono(m);
        }
        break;
    case 3:
        if (m->is_running && pick(m, 4) == 0) {
            purge_by_size(m);
        }
        break;
    case 4: /* down, or suspended, for a while */
        m->true_ms += pick_log(m, 30 * DAY_MS);
        break;
    default:
        if (m->is_running) {
            run_for(m, pick_log(m, 2 * m->retention_ms));
        }
        break;
    }
}

static void step_world(struct sim *m)
{
    const int64_t by = pick_log(m, 100 * YEAR_MS);
    switch (pick(m, 8)) {
    case 0:
        m->wall_ahead_ms += by;
        break;
    case 1:
        m->wall_ahead_ms -= by;
        break;
    case 2:
        m->wall_ahead_ms = 0; /* put right */
        break;
    case 3:
        m->wall_ahead_ms += (pick(m, 2) == 0 ? 1 : -1) * (by % (10 * MINUTE_MS));
        break;
    case 4:
        m->retention_ms = MINUTE_MS + pick_log(m, 6 * HOUR_MS);
        break;
    default:
        break;
    }
}

/* Until everything is too old; the first part takes a mark above the last row. */
static void run_out(struct sim *m)
{
    const int64_t spare = m->retention_ms / 8 + MINUTE_MS + 2 * SPILL_MS;
    start(m);
    run_for(m, spare);
    run_for(m, m->retention_ms + spare);
    for (size_t i = 0; i < MAX_ROWS; i++) {
        const struct row *row = &m->rows[i];
        expect(m, row->state == ROW_FREE || row->state == ROW_ATTEMPT, "what is old is gone");
    }
    run_for(m, m->retention_ms + spare); /* the records of what expired */
    expect(m, last_seq(m) == 0, "the last records are gone");
    run_for(m, m->ttl_ms + HOUR_MS + m->lost_ms); /* kills took the clock back behind some */
    expect(m, !has_keys(m), "old keys are gone");
}

static const char *run_seed(uint64_t seed, enum fault fault, struct counts *counts)
{
    struct sim *m = mem_zalloc(sizeof(*m));
    m->counts = counts;
    rng_seeded_init(&m->rng, seed);
    m->fault = fault;
    m->true_ms = 50 * YEAR_MS + pick_log(m, YEAR_MS);
    m->retention_ms = MINUTE_MS + pick_log(m, pick(m, 32) == 0 ? 7 * DAY_MS : 6 * HOUR_MS);
    m->ttl_ms = MINUTE_MS + pick_log(m, 12 * HOUR_MS);
    start(m);
    for (int i = 0; i < STEPS && m->found == NULL; i++) {
        if (m->is_running && pick(m, 2) == 0) {
            for (int64_t n = pick(m, 4); n > 0; n--) {
                publish(m);
            }
            for (int64_t n = pick(m, 6); n > 0; n--) {
                attempt(m);
            }
        }
        if (pick(m, 3) == 0) {
            step_world(m);
        }
        step_process(m);
    }
    if (m->found == NULL) {
        run_out(m);
    }
    const char *found = m->found;
    mem_free(m);
    return found;
}

static uint64_t first_seed = 1;
static uint64_t n_seeds = DEFAULT_RUNS;

static void test_histories(void **state)
{
    (void)state;
    struct counts c = {0};
    for (uint64_t i = 0; i < n_seeds; i++) {
        const char *found = run_seed(first_seed + i, FAULT_NONE, &c);
        if (found != NULL) {
            fail_msg("seed %llu: %s", (unsigned long long)(first_seed + i), found);
        }
    }
    print_message("%" PRIu64 " histories from seed %" PRIu64 ": %" PRIu64 " starts, %" PRIu64
                  " kills; by age: %" PRIu64 " rows, %" PRIu64 " deliveries ended, %" PRIu64
                  " keys; %" PRIu64 " retries recovered\n",
                  n_seeds, first_seed, c.n_starts, c.n_kills, c.n_old, c.n_expired, c.n_keys,
                  c.n_retries);
    assert_true(n_seeds < 100 || (c.n_old != 0 && c.n_expired != 0 && c.n_keys != 0));
}

static void test_faults_are_found(void **state)
{
    (void)state;
    for (int fault = FAULT_NONE + 1; fault < N_FAULTS; fault++) {
        struct counts c = {0};
        const char *found = NULL;
        uint64_t seed = 0;
        while (found == NULL && seed++ < FAULT_SEEDS) {
            found = run_seed(seed, (enum fault)fault, &c);
        }
        if (found == NULL) {
            fail_msg("fault %d was not found", fault);
        }
        print_message("fault %d: seed %" PRIu64 ": %s\n", fault, seed, found);
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
    log_setup(LOG_ERROR, false);
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_histories),
                                       cmocka_unit_test(test_faults_are_found)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
