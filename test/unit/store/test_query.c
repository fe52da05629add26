/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists against a naive model: random records, random filters, both directions, page by page, with
 * what is looked at partly in the index and partly in its tail.
 */
#include "fixture.h"

#include <stdio.h>
#include <string.h>

#include "longline/mem.h"
#include "longline/rng.h"
#include "store/store_internal.h"

#define N_EVENTS   400
#define N_ATTEMPTS 600
#define N_QUERIES  400

static const char *const tenants[] = {"ta", "tb", "tc", "rare"};
static const char *const topics[] = {"user.created", "user.deleted", "order.paid", ""};
static const char *const dests[] = {"d1", "d2", "d3", "d4", "d5"};

struct model_event {
    uint64_t seq;
    char id[ID_LEN + 1];
    const char *tenant, *topic;
    const char *dests[3];
    size_t n_dests;
    int64_t time_ms;
};
struct model_attempt {
    uint64_t seq, event_seq;
    char id[ID_LEN + 1];
    char event_id[ID_LEN + 1];
    const char *tenant, *topic, *dest, *type;
    enum attempt_status status;
    int64_t time_ms;
};
struct model {
    struct fixture *f;
    struct rng_seeded rng;
    struct model_event events[N_EVENTS];
    size_t n_events;
    struct model_attempt attempts[N_ATTEMPTS];
    size_t n_attempts;
    int64_t start_ms;
};

static uint64_t below(struct model *m, uint64_t n)
{
    return rng_below(&m->rng.rng, n);
}

static const char *pick_tenant(struct model *m)
{
    return below(m, 60) == 0 ? tenants[3] : tenants[below(m, 3)];
}

static void put_event(struct model *m)
{
    struct model_event *e = &m->events[m->n_events++];
    struct record_dest d[3];
    struct event_record r = {.custom_id = below(m, 4) == 0};
    struct blob *b;

    e->seq = store_next_seq(m->f->store);
    if (r.custom_id) {
        /* Sometimes used again by another event, or by another tenant. */
        (void)snprintf(e->id, sizeof(e->id), "custom-%u", (unsigned)below(m, 80));
    } else {
        id_from_seq(e->id, e->seq, &m->rng.rng);
    }
    e->tenant = pick_tenant(m);
    e->topic = topics[below(m, LL_COUNT(topics))];
    e->n_dests = (size_t)below(m, 4);
    for (size_t i = 0; i < e->n_dests; i++) {
        e->dests[i] = dests[below(m, LL_COUNT(dests))];
        d[i] = (struct record_dest){.num = (uint32_t)i, .id = str_c(e->dests[i])};
    }
    e->time_ms = SEQ_MS(e->seq) + (below(m, 5) == 0 ? (int64_t)below(m, 4000) - 2000 : 0);
    r.seq = e->seq;
    r.id = str_c(e->id);
    r.tenant_id = str_c(e->tenant);
    r.topic = str_c(e->topic);
    r.time_ms = e->time_ms;
    r.n_dests = e->n_dests;
    r.dests = d;
    r.data = STR("{}");
    b = event_encode(&r, SIZE_MAX);
    store_put_event(m->f->store, e->seq, b);
    blob_unref(b);
}

static void put_attempt(struct model *m)
{
    struct model_attempt *at = &m->attempts[m->n_attempts++];
    const struct model_event *e = &m->events[below(m, m->n_events)];
    struct attempt_record r;

    at->seq = store_next_seq(m->f->store);
    store_attempt_id(m->f->store, at->seq, at->id);
    at->event_seq = e->seq;
    memcpy(at->event_id, e->id, sizeof(at->event_id));
    at->tenant = e->tenant;
    at->topic = e->topic;
    at->dest = dests[below(m, LL_COUNT(dests))];
    at->type = below(m, 3) == 0 ? "sqs" : "webhook";
    at->status = below(m, 4) == 0 ? ATTEMPT_FAILED : ATTEMPT_SUCCESS;
    at->time_ms = SEQ_MS(at->seq);
    r = (struct attempt_record){
        .seq = at->seq,
        .event_seq = at->event_seq,
        .event_id = str_c(at->event_id),
        .tenant_id = str_c(at->tenant),
        .topic = str_c(at->topic),
        .dest_id = str_c(at->dest),
        .dest_type = str_c(at->type),
        .status = at->status,
        .time_ms = at->time_ms,
        .code = STR("200"),
    };
    assert_int_equal(store_put_attempt(m->f->store, &r), 0);
}

static void fill(struct model *m, size_t n_events, size_t n_attempts)
{
    const size_t events = m->n_events + n_events;
    const size_t attempts = m->n_attempts + n_attempts;
    while (m->n_events < events || m->n_attempts < attempts) {
        if (m->n_events < events) {
            put_event(m);
        }
        for (int i = 0; i < 2 && m->n_attempts < attempts; i++) {
            put_attempt(m);
        }
        if (below(m, 10) == 0) {
            fx_turns(m->f, 1);
        }
    }
    fx_commit(m->f);
}

/* ---- random filters ---- */

struct filter {
    struct str tenants[2], ids[3], dests[2], topics[2], event_ids[2], types[2];
    struct store_query q;
};

static struct store_strs some(struct model *m, struct str *out, size_t max, const char *const *from,
                              size_t n)
{
    const size_t count = below(m, 2) == 0 ? 0 : 1 + (size_t)below(m, max);
    for (size_t i = 0; i < count; i++) {
        out[i] = str_c(from[below(m, n)]);
    }
    return (struct store_strs){.v = out, .n = count};
}

static void make_filter(struct model *m, struct filter *fl, enum store_kind kind)
{
    static const char *const types[] = {"webhook", "sqs", "s3"};
    struct store_query *q = &fl->q;

    *q = (struct store_query){.kind = kind, .status = -1, .from_ms = INT64_MIN, .to_ms = INT64_MAX};
    q->tenant_ids = some(m, fl->tenants, 2, tenants, LL_COUNT(tenants));
    q->dest_ids = some(m, fl->dests, 2, dests, LL_COUNT(dests));
    q->topics = some(m, fl->topics, 2, topics, LL_COUNT(topics));
    if (kind == STORE_ATTEMPTS) {
        q->dest_types = below(m, 3) == 0 ? some(m, fl->types, 2, types, 3) : q->dest_types;
        q->status = (int)below(m, 3) - 1;
        if (below(m, 5) == 0) {
            fl->event_ids[0] = str_c(m->events[below(m, m->n_events)].id);
            fl->event_ids[1] = str_c(m->events[below(m, m->n_events)].id);
            q->event_ids = (struct store_strs){.v = fl->event_ids, .n = 1 + (size_t)below(m, 2)};
        }
    }
    if (below(m, 6) == 0) {
        for (size_t i = 0; i < 3; i++) {
            fl->ids[i] = str_c(kind == STORE_EVENTS ? m->events[below(m, m->n_events)].id
                                                    : m->attempts[below(m, m->n_attempts)].id);
        }
        q->ids = (struct store_strs){.v = fl->ids, .n = 1 + (size_t)below(m, 3)};
    }
    if (below(m, 3) == 0) {
        const int64_t span = SEQ_MS(m->events[m->n_events - 1].seq) - m->start_ms + 1;
        q->from_ms = below(m, 3) == 0 ? INT64_MIN : m->start_ms + (int64_t)below(m, (uint64_t)span);
        q->to_ms = below(m, 3) == 0 ? INT64_MAX : m->start_ms + (int64_t)below(m, (uint64_t)span);
    }
    q->ascending = below(m, 2) == 0;
    q->limit = 1 + (size_t)below(m, below(m, 4) == 0 ? 500 : 30);
    q->max_scan = below(m, 3) == 0 ? 1 + (size_t)below(m, 50) : 0;
    q->max_bytes = below(m, 5) == 0 ? 1 + (size_t)below(m, 2000) : 0;
}

static bool has(struct store_strs list, const char *s)
{
    for (size_t i = 0; i < list.n; i++) {
        if (str_eq(list.v[i], str_c(s))) {
            return true;
        }
    }
    return list.n == 0;
}

static bool event_is_wanted(const struct store_query *q, const struct model_event *e)
{
    bool dest = q->dest_ids.n == 0;
    for (size_t i = 0; i < e->n_dests; i++) {
        dest = dest || has(q->dest_ids, e->dests[i]);
    }
    return dest && has(q->tenant_ids, e->tenant) && has(q->topics, e->topic) &&
           has(q->ids, e->id) && e->time_ms >= q->from_ms && e->time_ms <= q->to_ms;
}

static bool attempt_is_wanted(const struct store_query *q, const struct model_attempt *at)
{
    return has(q->tenant_ids, at->tenant) && has(q->topics, at->topic) && has(q->ids, at->id) &&
           has(q->dest_ids, at->dest) && has(q->dest_types, at->type) &&
           has(q->event_ids, at->event_id) && (q->status < 0 || q->status == (int)at->status) &&
           at->time_ms >= q->from_ms && at->time_ms <= q->to_ms;
}

static size_t expected(const struct model *m, const struct store_query *q, uint64_t *out)
{
    const size_t total = q->kind == STORE_EVENTS ? m->n_events : m->n_attempts;
    size_t n = 0;
    for (size_t k = 0; k < total; k++) {
        const size_t i = q->ascending ? k : total - 1 - k;
        if (q->kind == STORE_EVENTS && event_is_wanted(q, &m->events[i])) {
            out[n++] = m->events[i].seq;
        } else if (q->kind == STORE_ATTEMPTS && attempt_is_wanted(q, &m->attempts[i])) {
            out[n++] = m->attempts[i].seq;
        }
    }
    return n;
}

static void check_query(struct model *m, struct store_query q, int number)
{
    uint64_t want[N_ATTEMPTS];
    const size_t n_want = expected(m, &q, want);
    struct store_page page;
    size_t n = 0;
    size_t n_pages = 0;

    do {
        assert_int_equal(store_read_begin(m->f->store), 0);
        assert_int_equal(store_query(m->f->store, &q, &m->f->arena, &page), 0);
        assert_true(page.n <= q.limit);
        for (size_t i = 0; i < page.n; i++, n++) {
            const uint64_t seq = q.kind == STORE_EVENTS ? page.events[i].seq : page.attempts[i].seq;
            if (n >= n_want || seq != want[n]) {
                fail_msg("query %d: record %zu of %zu differs", number, n, n_want);
            }
        }
        store_read_end(m->f->store);
        arena_reset(&m->f->arena);
        assert_true(!page.more || page.last_seq != 0);
        assert_true(page.last_seq != q.after_seq || !page.more);
        q.after_seq = page.last_seq;
        assert_true(++n_pages < 5000);
    } while (page.more);
    if (n != n_want) {
        fail_msg("query %d: %zu records, expected %zu", number, n, n_want);
    }
}

static void check_all(struct model *m)
{
    for (int i = 0; i < N_QUERIES; i++) {
        struct filter fl;
        make_filter(m, &fl, i % 2 == 0 ? STORE_EVENTS : STORE_ATTEMPTS);
        check_query(m, fl.q, i);
    }
}

static struct model *model_new(struct fixture *f, uint64_t seed)
{
    struct model *m = mem_zalloc(sizeof(*m));
    m->f = f;
    rng_seeded_init(&m->rng, seed);
    m->start_ms = loop_wall_ms(f->loop);
    return m;
}

static void check_finding(struct model *m)
{
    struct store *s = m->f->store;
    assert_int_equal(store_read_begin(s), 0);
    for (size_t i = 0; i < m->n_events; i++) {
        const struct model_event *e = &m->events[i];
        struct event_record out;
        uint64_t newest = 0;
        for (size_t k = 0; k < m->n_events; k++) {
            if (strcmp(m->events[k].id, e->id) == 0 &&
                strcmp(m->events[k].tenant, e->tenant) == 0) {
                newest = m->events[k].seq;
            }
        }
        assert_int_equal(store_find_event(s, str_c(e->tenant), str_c(e->id), &m->f->arena, &out),
                         0);
        assert_int_equal(out.seq, newest);
        assert_int_equal(store_find_event(s, STR_NULL, str_c(e->id), &m->f->arena, &out), 0);
        assert_int_equal(store_find_event(s, STR("nobody"), str_c(e->id), &m->f->arena, &out),
                         ERR_NOT_FOUND);
    }
    for (size_t i = 0; i < m->n_attempts; i += 3) {
        const struct model_attempt *at = &m->attempts[i];
        struct attempt_record out;
        uint64_t newest = 0;
        char wrong[ID_LEN];
        for (size_t k = 0; k < m->n_attempts; k++) {
            if (m->attempts[k].event_seq == at->event_seq &&
                strcmp(m->attempts[k].dest, at->dest) == 0) {
                newest = m->attempts[k].seq;
            }
        }
        assert_int_equal(store_last_attempt(s, at->event_seq, str_c(at->dest), &m->f->arena, &out),
                         0);
        assert_int_equal(out.seq, newest);
        assert_int_equal(
            store_find_attempt(s, str_c(at->tenant), str_c(at->id), &m->f->arena, &out), 0);
        assert_int_equal(out.seq, at->seq);
        memcpy(wrong, at->id, ID_LEN);
        wrong[ID_LEN - 1] = wrong[ID_LEN - 1] == '0' ? '1' : '0';
        assert_int_equal(store_find_attempt(s, STR_NULL, str_of(wrong, ID_LEN), &m->f->arena, &out),
                         ERR_NOT_FOUND);
    }
    store_read_end(s);
    arena_reset(&m->f->arena);
}

static void check_seed(struct fixture *f, uint64_t seed)
{
    struct model *m;

    print_message("seed %llu\n", (unsigned long long)seed);
    fx_open(f);
    m = model_new(f, seed);
    fill(m, 20, 30); /* nothing indexed, or a little */
    check_all(m);
    fill(m, 200, 300);
    fx_indexed(f); /* all of it */
    check_all(m);
    check_finding(m);
    fill(m, 180, 270); /* a tail */
    check_all(m);
    check_finding(m);
    fx_close(f);
    fx_open(f);
    fx_indexed(f);
    check_all(m);
    check_finding(m);
    mem_free(m);
}

static void test_model_1(void **state)
{
    check_seed(*state, 1);
}
static void test_model_2(void **state)
{
    check_seed(*state, 2);
}
static void test_model_time(void **state)
{
    check_seed(*state, (uint64_t)clock_wall_ns(clock_system()));
}

/* Posting rows fill up and lists of one term get long. */
static void test_long_lists(void **state)
{
    struct fixture *f = *state;
    const char *const one[] = {"d"};
    struct str tenant = STR("t1");
    struct str dest = STR("d");
    struct store_query q = {.kind = STORE_EVENTS,
                            .tenant_ids = {.v = &tenant, .n = 1},
                            .dest_ids = {.v = &dest, .n = 1},
                            .status = -1,
                            .from_ms = INT64_MIN,
                            .to_ms = INT64_MAX,
                            .limit = 1000,
                            .max_scan = 100000};
    static uint64_t seqs[20000];
    const size_t n_seqs = LL_COUNT(seqs);

    fx_open(f);
    for (size_t i = 0; i < n_seqs; i++) {
        seqs[i] = fx_put_event(f, &(struct fx_event){.dests = one, .n_dests = i % 2, .n_data = 5});
        if (i % 1000 == 999) {
            fx_turns(f, 30);
        }
    }
    fx_commit(f);
    fx_indexed(f);
    for (int ascending = 0; ascending < 2; ascending++) {
        struct store_page page;
        size_t n = 0;
        q.ascending = ascending == 1;
        q.after_seq = 0;
        do {
            assert_int_equal(store_read_begin(f->store), 0);
            assert_int_equal(store_query(f->store, &q, &f->arena, &page), 0);
            for (size_t i = 0; i < page.n; i++, n++) {
                const size_t at = 2 * n + 1;
                assert_int_equal(page.events[i].seq, seqs[ascending ? at : n_seqs - 1 - 2 * n]);
            }
            store_read_end(f->store);
            arena_reset(&f->arena);
            q.after_seq = page.last_seq;
        } while (page.more);
        assert_int_equal(n, n_seqs / 2);
    }
}

static void test_limits(void **state)
{
    struct fixture *f = *state;
    struct store_query q = {
        .kind = STORE_EVENTS, .status = -1, .from_ms = INT64_MIN, .to_ms = INT64_MAX, .limit = 100};
    struct store_page page;
    struct arena small;

    fx_open(f);
    assert_int_equal(store_read_begin(f->store), 0);
    assert_int_equal(store_query(f->store, &q, &f->arena, &page), 0);
    assert_int_equal(page.n, 0);
    assert_false(page.more);
    assert_int_equal(page.last_seq, 0);
    store_read_end(f->store);
    for (size_t i = 0; i < 20; i++) {
        (void)fx_put_event(f, &(struct fx_event){.n_data = 100000});
    }
    fx_commit(f);
    assert_int_equal(store_read_begin(f->store), 0);
    q.max_bytes = 450000;
    assert_int_equal(store_query(f->store, &q, &f->arena, &page), 0);
    assert_int_equal(page.n, 5);
    assert_true(page.more);
    q.max_bytes = 0;
    q.limit = 20;
    assert_int_equal(store_query(f->store, &q, &f->arena, &page), 0);
    assert_int_equal(page.n, 20);
    assert_false(page.more); /* exactly the last one */
    /* An arena that has room for some records only. */
    arena_init(&small, 400000);
    assert_int_equal(store_query(f->store, &q, &small, &page), 0);
    assert_true(page.n > 0 && page.n < 4 && page.more);
    arena_fini(&small);
    arena_init(&small, 50000);
    assert_int_equal(store_query(f->store, &q, &small, &page), ERR_TOO_BIG);
    arena_fini(&small);
    store_read_end(f->store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, fx_setup, fx_teardown)
        T(test_model_1), T(test_model_2), T(test_model_time), T(test_long_lists), T(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
