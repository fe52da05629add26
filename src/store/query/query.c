/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lists: every candidate of the walk is decoded and compared with the whole filter, so the index
 * may name too much (hash collisions, other tenants' destinations) but the page is exact.
 */
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
    size_t bytes;
};

/* 0: looked at (and added when it matches), ERR_TOO_BIG: the arena has no room for it. */
static int consider_event(struct job *j, uint64_t seq, struct str row)
{
    struct event_record e;
    struct event_record *slot = &j->out->events[j->out->n];
    int rc = row_event(j->s->read_txn, &j->s->journal, seq, row, true, &j->scratch, &e);

    if (rc != 0) {
        read_log_corrupt(STORE_EVENTS, seq, rc);
        return 0;
    }
    if (!event_matches(j->q, &e)) {
        return 0;
    }
    rc = read_event(j->s, seq, row, j->a, slot);
    if (rc != 0) {
        return rc == ERR_TOO_BIG ? rc : 0;
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
        read_log_corrupt(STORE_ATTEMPTS, seq, rc);
        return 0;
    }
    if (!attempt_matches(j->s, j->q, &at)) {
        return 0;
    }
    rc = read_attempt(j->s, seq, row, j->a, slot);
    if (rc != 0) {
        return rc == ERR_TOO_BIG ? rc : 0;
    }
    j->out->n++;
    j->bytes += row.n + (row.n == ROW_MAX ? at.response.n : 0);
    return 0;
}

static int collect(struct job *j, struct walk *w)
{
    const struct store_query *q = j->q;
    const size_t max_bytes = q->max_bytes != 0 ? q->max_bytes : MAX_BYTES;
    const size_t limit = q->limit < LIMIT_MAX ? q->limit : LIMIT_MAX;
    uint64_t seq;
    struct str row = STR_NULL;
    int rc;

    while ((rc = walk_next(w, &seq, &row)) == 0) {
        if (j->out->n >= limit || j->bytes >= max_bytes) {
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
    const size_t limit = j->q->limit < LIMIT_MAX ? j->q->limit : LIMIT_MAX;
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
    return 0;
}

static int run(struct job *j)
{
    struct walk w;
    int rc;

    *j->out = (struct store_page){0};
    j->bytes = 0;
    rc = allocate(j);
    if (rc != 0) {
        return rc;
    }
    rc = walk_open(&w, j->s, j->q);
    if (rc == 0) {
        rc = collect(j, &w);
    }
    walk_close(&w);
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
