/* SPDX-License-Identifier: Apache-2.0 */
#include "query/walk.h"

#include <stdlib.h>

#define TERMS_MAX 64U /* of one filter; a filter with more is only applied to the records */
#define MEM_MAX   ((size_t)16 * 1024 * 1024)

/* ---- bounds ---- */

static uint64_t seq_floor(int64_t ms)
{
    return ms <= 0 ? 0 : ms >= (int64_t)1 << 43 ? UINT64_MAX : SEQ_FROM_MS(ms);
}

/* Record times may differ from the time in the seq, but never by more than the marks say. */
static void time_bounds(const struct store *s, const struct store_query *q, uint64_t *lo,
                        uint64_t *hi)
{
    const int64_t ahead = s->skew.ahead[q->kind];
    const int64_t behind = s->skew.behind[q->kind];

    if (q->from_ms > INT64_MIN + ahead) {
        *lo = seq_floor(q->from_ms - ahead);
    }
    if (q->to_ms < INT64_MAX - behind - 1) {
        const uint64_t above = seq_floor(q->to_ms + behind + 1);
        *hi = above != 0 ? above - 1 : 0;
    }
}

static void set_bounds(const struct store *s, const struct store_query *q, uint64_t *lo,
                       uint64_t *hi)
{
    *lo = 0;
    *hi = UINT64_MAX;
    time_bounds(s, q, lo, hi);
    if (q->after_seq != 0 && q->ascending && q->after_seq >= *lo) {
        *lo = q->after_seq != UINT64_MAX ? q->after_seq + 1 : UINT64_MAX;
    }
    if (q->after_seq != 0 && !q->ascending && q->after_seq <= *hi) {
        *hi = q->after_seq - 1;
    }
}

/* ---- terms ---- */

static int add_term(struct walk *w, struct walk_group *g, uint64_t term)
{
    struct index *x = &w->s->index;
    const int rc =
        posting_open(&g->it[g->n], x->read_txn, x->env.dbi[TREE_PO], term, w->ascending, &w->mem);
    if (rc == 0) {
        g->n++;
    }
    return rc;
}

/* A group for kind(a[i]) or, when b is not empty, kind(a[i], b[j]). Passed over when too large. */
static int add_group(struct walk *w, enum term_kind kind, struct store_strs a, struct store_strs b)
{
    const struct str none = STR("");
    const size_t n_b = b.n != 0 ? b.n : 1;
    struct walk_group *g = &w->groups[w->n_groups];
    int rc = 0;

    if (a.n > TERMS_MAX || n_b > TERMS_MAX || a.n * n_b > TERMS_MAX) {
        return 0;
    }
    g->it = arena_zalloc(&w->mem, a.n * n_b * sizeof(*g->it));
    if (g->it == NULL) {
        return ERR_TOO_BIG;
    }
    w->n_groups++;
    for (size_t i = 0; i < a.n; i++) {
        for (size_t j = 0; j < n_b && rc == 0; j++) {
            rc = add_term(w, g, term_hash(kind, a.v[i], b.n != 0 ? b.v[j] : none));
        }
    }
    return err_from_mdb(rc);
}

static int event_groups(struct walk *w, const struct store_query *q)
{
    const struct store_strs none = {0};
    int rc = 0;

    if (q->dest_ids.n != 0) {
        rc = add_group(w, TERM_EVENT_DEST, q->dest_ids, none);
    }
    if (rc != 0) {
        return rc;
    }
    if (q->tenant_ids.n != 0 && q->topics.n != 0 && q->topics.n <= TERMS_MAX &&
        q->tenant_ids.n * q->topics.n <= TERMS_MAX) {
        return add_group(w, TERM_EVENT_TENANT_TOPIC, q->tenant_ids, q->topics);
    }
    if (q->tenant_ids.n != 0) {
        return add_group(w, TERM_EVENT_TENANT, q->tenant_ids, none);
    }
    return q->topics.n != 0 ? add_group(w, TERM_EVENT_TOPIC, q->topics, none) : 0;
}

static int attempt_groups(struct walk *w, const struct store_query *q)
{
    const struct str empty = STR("");
    const struct store_strs none = {0};
    const struct store_strs one = {.v = &empty, .n = 1};
    const bool failed = q->status == ATTEMPT_FAILED;
    int rc = 0;

    if (q->dest_ids.n != 0) {
        rc = add_group(w, TERM_ATTEMPT_DEST, q->dest_ids, none);
    }
    if (rc == 0 && q->tenant_ids.n != 0) {
        rc = add_group(w, failed ? TERM_ATTEMPT_TENANT_FAILED : TERM_ATTEMPT_TENANT, q->tenant_ids,
                       none);
    } else if (rc == 0 && failed) {
        rc = add_group(w, TERM_ATTEMPT_FAILED, one, none);
    }
    return rc;
}

/* ---- lists ---- */

static int ascending_seqs(const void *a, const void *b)
{
    const uint64_t x = *(const uint64_t *)a;
    const uint64_t y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

static void sort_list(struct walk *w)
{
    struct seqs *l = &w->list;
    size_t n = 0;

    if (l->n == 0) {
        return;
    }
    qsort(l->v, l->n, sizeof(*l->v), ascending_seqs);
    for (size_t i = 0; i < l->n; i++) {
        if (n == 0 || l->v[n - 1] != l->v[i]) {
            l->v[n++] = l->v[i];
        }
    }
    l->n = n;
    for (size_t i = 0; !w->ascending && i < n / 2; i++) {
        const uint64_t v = l->v[i];
        l->v[i] = l->v[n - 1 - i];
        l->v[n - 1 - i] = v;
    }
}

static int list_ids(struct walk *w, const struct store_query *q)
{
    int rc = 0;
    if (q->kind == STORE_EVENTS) {
        for (size_t i = 0; i < q->ids.n && rc == 0; i++) {
            rc = read_event_seqs(w->s, q->ids.v[i], &w->mem, &w->list);
        }
        return rc == 0 && w->list.is_partial ? ERR_BUSY : rc;
    }
    w->list.v = arena_alloc(&w->mem, q->ids.n * sizeof(*w->list.v));
    if (w->list.v == NULL) {
        return ERR_TOO_BIG;
    }
    w->list.cap = q->ids.n;
    for (size_t i = 0; i < q->ids.n; i++) {
        w->list.n += read_attempt_id_seq(w->s, q->ids.v[i], &w->list.v[w->list.n]) ? 1 : 0;
    }
    return 0;
}

/* Attempts of events: what is indexed as a list; *lo rises to the oldest of the events. */
static int list_attempts_of(struct walk *w, struct store_strs event_ids, uint64_t *lo)
{
    struct seqs events = {0};
    uint64_t oldest = UINT64_MAX;
    int rc = 0;

    for (size_t i = 0; i < event_ids.n && rc == 0; i++) {
        rc = read_event_seqs(w->s, event_ids.v[i], &w->mem, &events);
    }
    if (rc == 0 && events.is_partial) {
        rc = ERR_BUSY;
    }
    for (size_t i = 0; i < events.n && rc == 0; i++) {
        oldest = events.v[i] < oldest ? events.v[i] : oldest;
        rc = read_attempt_seqs(w->s, events.v[i], &w->mem, &w->list);
    }
    if (rc == 0 && events.n == 0) {
        return ERR_NOT_FOUND;
    }
    *lo = oldest > *lo ? oldest : *lo;
    return rc;
}

/* ---- opening ---- */

static void set_parts(struct walk *w, enum walk_source indexed, uint64_t lo, uint64_t hi)
{
    const uint64_t upto = indexed == WALK_NOTHING ? 0 : w->s->index.upto[w->kind];
    struct walk_part *old = &w->parts[w->ascending ? 0 : 1];
    struct walk_part *tail = &w->parts[w->ascending ? 1 : 0];

    if (indexed != WALK_NOTHING && lo <= upto) {
        *old = (struct walk_part){.source = indexed, .lo = lo, .hi = hi < upto ? hi : upto};
    }
    if (hi > upto) {
        *tail =
            (struct walk_part){.source = WALK_JOURNAL, .lo = lo > upto ? lo : upto + 1, .hi = hi};
    }
}

int walk_open(struct walk *w, struct store *s, const struct store_query *q)
{
    uint64_t lo;
    uint64_t hi;
    int rc = 0;

    *w = (struct walk){.s = s, .kind = q->kind, .ascending = q->ascending};
    arena_init(&w->mem, MEM_MAX);
    w->steps_left = q->max_scan != 0 ? q->max_scan : 20000;
    set_bounds(s, q, &lo, &hi);
    if (lo > hi) {
        return ERR_NOT_FOUND;
    }
    if (q->ids.n != 0) {
        rc = list_ids(w, q);
        w->parts[0] = (struct walk_part){.source = WALK_LIST, .lo = lo, .hi = hi};
    } else if (q->kind == STORE_ATTEMPTS && q->event_ids.n != 0) {
        rc = list_attempts_of(w, q->event_ids, &lo);
        if (rc == 0 && lo <= hi) {
            set_parts(w, WALK_LIST, lo, hi);
        }
    } else {
        if (s->index.is_reading) {
            rc = q->kind == STORE_EVENTS ? event_groups(w, q) : attempt_groups(w, q);
        }
        set_parts(w, w->n_groups != 0 ? WALK_INDEX : WALK_NOTHING, lo, hi);
    }
    sort_list(w);
    return rc;
}

void walk_close(struct walk *w)
{
    for (size_t i = 0; i < w->n_groups; i++) {
        for (size_t k = 0; k < w->groups[i].n; k++) {
            posting_close(&w->groups[i].it[k]);
        }
    }
    if (w->cur != NULL) {
        mdb_cursor_close(w->cur);
    }
    arena_fini(&w->mem);
}

/* ---- walking ---- */

static int next_in_journal(struct walk *w, const struct walk_part *p, uint64_t *seq,
                           struct str *row)
{
    unsigned char bytes[KEY_SEQ];
    MDB_val key = val_of(bytes, sizeof(bytes));
    MDB_val value;
    int rc = 0;

    if (w->has_begun) {
        rc = mdb_cursor_get(w->cur, &key, &value, w->ascending ? MDB_NEXT : MDB_PREV);
    } else {
        rc = mdb_cursor_open(w->s->read_txn, w->s->journal.dbi[read_tree_of(w->kind)], &w->cur);
        if (rc != 0) {
            return err_from_mdb(rc);
        }
        key_seq(bytes, w->ascending ? p->lo : p->hi);
        rc = mdb_cursor_get(w->cur, &key, &value, MDB_SET_RANGE);
        if (!w->ascending && rc == MDB_NOTFOUND) {
            rc = mdb_cursor_get(w->cur, &key, &value, MDB_LAST);
        } else if (!w->ascending && rc == 0 && get_be64(key.mv_data) > p->hi) {
            rc = mdb_cursor_get(w->cur, &key, &value, MDB_PREV);
        }
    }
    if (rc != 0) {
        return err_from_mdb(rc);
    }
    *seq = get_be64(key.mv_data);
    *row = str_of_val(&value);
    return *seq >= p->lo && *seq <= p->hi ? 0 : ERR_NOT_FOUND;
}

static bool is_before(const struct walk *w, uint64_t a, uint64_t b)
{
    return w->ascending ? a < b : a > b;
}

/* The group's first seq at or beyond `seq`. */
static int group_seek(const struct walk *w, struct walk_group *g, uint64_t seq)
{
    g->is_end = true;
    for (size_t i = 0; i < g->n; i++) {
        struct posting_iter *it = &g->it[i];
        if (it->n == 0 || is_before(w, it->seq, seq)) {
            const int rc = posting_seek(it, seq);
            if (rc != 0) {
                return rc;
            }
        }
        if (!it->is_end && (g->is_end || is_before(w, it->seq, g->seq))) {
            g->seq = it->seq;
            g->is_end = false;
        }
    }
    return 0;
}

static int next_in_index(struct walk *w, const struct walk_part *p, uint64_t *seq)
{
    uint64_t at = w->ascending ? p->lo : p->hi;
    uint64_t start;
    size_t n_agree = 0;

    if (w->has_begun) {
        at = w->ascending ? w->last + 1 : w->last - 1;
        if (at < p->lo || at > p->hi || (w->ascending ? at == 0 : w->last == 0)) {
            return ERR_NOT_FOUND;
        }
    }
    start = at;
    for (size_t i = 0; n_agree < w->n_groups; i = (i + 1) % w->n_groups) {
        struct walk_group *g = &w->groups[i];
        const int rc = group_seek(w, g, at);
        if (rc != 0) {
            index_report_lost(w->s);
            return ERR_CORRUPT;
        }
        if (g->is_end || g->seq < p->lo || g->seq > p->hi) {
            return ERR_NOT_FOUND;
        }
        n_agree = g->seq == at ? n_agree + 1 : 1;
        at = g->seq;
        if (n_agree == w->n_groups) {
            break;
        }
        if (w->steps_left > 1) {
            w->steps_left--;
        } else if (at != start) {
            /* All before `at` is done. */
            w->last = w->ascending ? at - 1 : at + 1;
            w->has_last = true;
            return ERR_LIMIT;
        }
    }
    *seq = at;
    return 0;
}

static int next_in_list(struct walk *w, const struct walk_part *p, uint64_t *seq)
{
    while (w->list_at < w->list.n) {
        *seq = w->list.v[w->list_at++];
        if (*seq >= p->lo && *seq <= p->hi) {
            return 0;
        }
    }
    return ERR_NOT_FOUND;
}

static int next_in_part(struct walk *w, uint64_t *seq, struct str *row)
{
    const struct walk_part *p = &w->parts[w->part];
    int rc = ERR_NOT_FOUND;

    switch (p->source) {
    case WALK_NOTHING:
        break;
    case WALK_JOURNAL:
        return next_in_journal(w, p, seq, row);
    case WALK_INDEX:
        rc = next_in_index(w, p, seq);
        break;
    case WALK_LIST:
        rc = next_in_list(w, p, seq);
        break;
    }
    if (rc == 0) {
        rc = read_row(w->s, w->kind, *seq, row);
        *row = rc == 0 ? *row : STR_NULL; /* purged meanwhile */
        rc = rc == ERR_NOT_FOUND ? 0 : rc;
    }
    return rc;
}

int walk_next(struct walk *w, uint64_t *seq, struct str *row)
{
    while (w->part < 2) {
        int rc;
        if (w->steps_left == 0) {
            return ERR_LIMIT;
        }
        rc = next_in_part(w, seq, row);
        if (rc != 0 && rc != ERR_NOT_FOUND) {
            return rc;
        }
        if (rc == ERR_NOT_FOUND) {
            w->part++;
            w->has_begun = false;
            continue;
        }
        w->steps_left--;
        w->has_begun = true;
        w->has_last = true;
        w->last = *seq;
        if (row->p != NULL) {
            return 0;
        }
    }
    return ERR_NOT_FOUND;
}

bool walk_is_attributed(const struct walk *w)
{
    return w->part < 2 && w->parts[w->part].source == WALK_INDEX;
}

bool walk_bounds(const struct walk *w, uint64_t *lo, uint64_t *hi)
{
    *lo = UINT64_MAX;
    *hi = 0;
    for (size_t i = 0; i < 2; i++) {
        const struct walk_part *p = &w->parts[i];
        if (p->source == WALK_LIST) {
            return false;
        }
        if (p->source != WALK_NOTHING) {
            *lo = p->lo < *lo ? p->lo : *lo;
            *hi = p->hi > *hi ? p->hi : *hi;
        }
    }
    return *lo <= *hi;
}
