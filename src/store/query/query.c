/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists: every candidate of the walk is decoded and compared with the whole filter, so the index
 * may name too much (hash collisions, other tenants' destinations) but the page is exact.
 */
#include <stdlib.h>

#include "query/walk.h"

#define MAX_BYTES   ((size_t)4 * 1024 * 1024)
#define LIMIT_MAX   10000U
#define SCRATCH_MAX ((size_t)64 * 1024 * 1024)

static bool has(struct store_strs list, struct str s)
{
    for (size_t i = 0; i < list.n; i++) {
        if (str_eq(list.v[i], s)) {
            return true;
        }
    }
    return list.n == 0;
}

static bool in_time(const struct store_query *q, int64_t ms)
{
    return ms >= q->from_ms && ms <= q->to_ms;
}

static bool has_dest(const struct store_query *q, const struct event_record *e)
{
    for (size_t i = 0; i < e->n_dests; i++) {
        if (has(q->dest_ids, e->dests[i].id)) {
            return true;
        }
    }
    return q->dest_ids.n == 0;
}

static bool event_matches(const struct store_query *q, const struct event_record *e)
{
    return in_time(q, e->time_ms) && has(q->tenant_ids, e->tenant_id) && has(q->topics, e->topic) &&
           has(q->ids, e->id) && has_dest(q, e);
}

static bool attempt_matches(const struct store *s, const struct store_query *q,
                            const struct attempt_record *at)
{
    if (!in_time(q, at->time_ms) || !has(q->tenant_ids, at->tenant_id) ||
        !has(q->topics, at->topic) || !has(q->event_ids, at->event_id) ||
        !has(q->dest_ids, at->dest_id) || !has(q->dest_types, at->dest_type) ||
        (q->status >= 0 && q->status != (int)at->status)) {
        return false;
    }
    if (q->ids.n != 0) {
        char id[ID_LEN];
        store_attempt_id(s, at->seq, id);
        return has(q->ids, str_of(id, sizeof(id)));
    }
    return true;
}

struct job {
    struct store *s;
    const struct store_query *q;
    struct arena *a;
    struct arena scratch; /* one candidate */
    struct store_page *out;
    struct walk walk;
    size_t limit;
    size_t bytes;
};

/* A record that cannot be read: named when the caller may know that there is one. */
static void add_damaged(struct job *j, uint64_t seq)
{
    const struct store_query *q = j->q;
    const bool any_tenant = q->tenant_ids.n == 0;

    if ((q->all_damaged || any_tenant || walk_is_attributed(&j->walk)) &&
        j->out->n_damaged < j->limit) {
        j->out->damaged[j->out->n_damaged++] = seq;
    }
}

static int unreadable(struct job *j, uint64_t seq, int rc)
{
    damage_note(&j->s->damage, j->q->kind, seq, rc);
    add_damaged(j, seq);
    return 0;
}

/* 0: looked at (and added when it matches), ERR_TOO_BIG: the arena has no room for it. */
static int consider_event(struct job *j, uint64_t seq, struct str row)
{
    struct event_record e;
    struct event_record *slot = &j->out->events[j->out->n];
    int rc = row_event(j->s->read_txn, &j->s->journal, seq, row, true, &j->scratch, &e);

    if (rc != 0) {
        return unreadable(j, seq, rc);
    }
    if (!event_matches(j->q, &e)) {
        return 0;
    }
    rc = read_event(j->s, seq, row, j->a, slot);
    if (rc != 0) {
        return rc == ERR_TOO_BIG ? rc : unreadable(j, seq, rc);
    }
    j->out->n++;
    j->bytes += row.n + (row.n == ROW_MAX ? slot->data.n : 0);
    return 0;
}

static int consider_attempt(struct job *j, uint64_t seq, struct str row)
{
    struct attempt_record *slot = &j->out->attempts[j->out->n];
    struct attempt_record at;
    int rc = row_attempt(j->s->read_txn, &j->s->journal, seq, row, &j->scratch, &at);

    if (rc != 0) {
        return unreadable(j, seq, rc);
    }
    if (!attempt_matches(j->s, j->q, &at)) {
        return 0;
    }
    rc = read_attempt(j->s, seq, row, j->a, slot);
    if (rc != 0) {
        return rc == ERR_TOO_BIG ? rc : unreadable(j, seq, rc);
    }
    j->out->n++;
    j->bytes += row.n + (row.n == ROW_MAX ? at.response.n : 0);
    return 0;
}

static int collect(struct job *j, struct walk *w)
{
    const struct store_query *q = j->q;
    const size_t max_bytes = q->max_bytes != 0 ? q->max_bytes : MAX_BYTES;
    uint64_t seq;
    struct str row = STR_NULL;
    int rc;

    while ((rc = walk_next(w, &seq, &row)) == 0) {
        if (j->out->n >= j->limit || j->bytes >= max_bytes) {
            j->out->more = true;
            return 0;
        }
        arena_reset(&j->scratch);
        rc = q->kind == STORE_EVENTS ? consider_event(j, seq, row) : consider_attempt(j, seq, row);
        if (rc != 0) {
            j->out->more = j->out->n != 0;
            return j->out->n != 0 ? 0 : rc;
        }
        j->out->last_seq = seq;
    }
    if (rc == ERR_LIMIT) {
        /* The walk may have passed purged rows, or rows that only some filters name. */
        if (w->has_last) {
            j->out->last_seq = w->last;
        }
        j->out->more = true;
        return 0;
    }
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

static int allocate(struct job *j)
{
    const size_t limit = j->limit;
    void *p =
        arena_zalloc(j->a, (limit + 1) * (j->q->kind == STORE_EVENTS ? sizeof(*j->out->events)
                                                                     : sizeof(*j->out->attempts)));
    if (p == NULL) {
        return ERR_TOO_BIG;
    }
    if (j->q->kind == STORE_EVENTS) {
        j->out->events = p;
    } else {
        j->out->attempts = p;
    }
    j->out->damaged = arena_alloc(j->a, (limit + 1) * sizeof(*j->out->damaged));
    return j->out->damaged != NULL ? 0 : ERR_TOO_BIG;
}

static int by_walk(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a;
    const uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* The index cannot name a record that was damaged when it was built: whoever sees all tenants is
 * told of those that are known in the part of the walk that was done, whatever the filter. */
static void add_known_damage(struct job *j)
{
    struct store_page *out = j->out;
    uint64_t lo;
    uint64_t hi;
    size_t n = 0;

    if (j->q->all_damaged && walk_bounds(&j->walk, &lo, &hi)) {
        if (out->more && out->last_seq != 0) {
            lo = j->q->ascending ? lo : out->last_seq;
            hi = j->q->ascending ? out->last_seq : hi;
        }
        out->n_damaged += damage_range(&j->s->damage, j->q->kind, lo, hi, j->q->ascending,
                                       out->damaged + out->n_damaged, j->limit - out->n_damaged);
    }
    qsort(out->damaged, out->n_damaged, sizeof(*out->damaged), by_walk);
    for (size_t i = 0; i < out->n_damaged; i++) {
        if (n == 0 || out->damaged[n - 1] != out->damaged[i]) {
            out->damaged[n++] = out->damaged[i];
        }
    }
    out->n_damaged = n;
    for (size_t i = 0; !j->q->ascending && i < n / 2; i++) {
        const uint64_t v = out->damaged[i];
        out->damaged[i] = out->damaged[n - 1 - i];
        out->damaged[n - 1 - i] = v;
    }
}

static int run(struct job *j)
{
    struct walk *w = &j->walk;
    int rc;

    *j->out = (struct store_page){0};
    j->limit = j->q->limit < LIMIT_MAX ? j->q->limit : LIMIT_MAX;
    j->bytes = 0;
    rc = allocate(j);
    if (rc != 0) {
        return rc;
    }
    rc = walk_open(w, j->s, j->q);
    if (rc == 0) {
        rc = collect(j, w);
    }
    if (rc == 0) {
        add_known_damage(j);
    }
    walk_close(w);
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

int store_query(struct store *s, const struct store_query *q, struct arena *a,
                struct store_page *out)
{
    struct job j = {.s = s, .q = q, .a = a, .out = out};
    int rc;

    LL_ASSERT(s->is_reading);
    arena_init(&j.scratch, SCRATCH_MAX);
    rc = run(&j);
    if (rc == ERR_CORRUPT && !s->index.is_reading) {
        rc = run(&j); /* the index was found damaged: once more, from the journal */
    }
    arena_fini(&j.scratch);
    return rc;
}
