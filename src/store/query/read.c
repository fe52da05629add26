/* SPDX-License-Identifier: Apache-2.0 */
/* Single records, by seq and by public id. */
#include "longline/hash.h"

#include "index/postings.h"
#include "query/read.h"
#include "record/record_internal.h"

int store_read_begin(struct store *s)
{
    int rc;
    LL_DCHECK(loop_is_own_thread(s->loop));
    LL_ASSERT(!s->is_reading);
    /* The index first: its snapshot must not know rows that the journal's does not. */
    index_read_begin(s);
    rc = s->read_txn == NULL ? mdb_txn_begin(s->journal.mdb, NULL, MDB_RDONLY, &s->read_txn)
                             : mdb_txn_renew(s->read_txn);
    if (rc != 0) {
        index_read_end(s);
        return err_from_mdb(rc);
    }
    s->is_reading = true;
    return 0;
}

void store_read_end(struct store *s)
{
    LL_ASSERT(s->is_reading);
    mdb_txn_reset(s->read_txn);
    s->is_reading = false;
    index_read_end(s);
}

int read_row(struct store *s, enum store_kind kind, uint64_t seq, struct str *row)
{
    unsigned char bytes[KEY_SEQ];
    MDB_val key = val_of(bytes, sizeof(bytes));
    MDB_val value;
    int rc;

    LL_ASSERT(s->is_reading);
    key_seq(bytes, seq);
    rc = mdb_get(s->read_txn, s->journal.dbi[read_tree_of(kind)], &key, &value);
    if (rc == 0) {
        *row = str_of_val(&value);
    }
    return err_from_mdb(rc);
}

/* Anything but a full arena is damage. */
static int checked(struct store *s, enum store_kind kind, uint64_t seq, int rc)
{
    if (rc == 0 || rc == ERR_TOO_BIG) {
        return rc;
    }
    damage_note(&s->damage, kind, seq, rc);
    return ERR_CORRUPT;
}

int read_event(struct store *s, uint64_t seq, struct str row, struct arena *a,
               struct event_record *out)
{
    return checked(s, STORE_EVENTS, seq,
                   row_event(s->read_txn, &s->journal, seq, row, false, a, out));
}

int read_attempt(struct store *s, uint64_t seq, struct str row, struct arena *a,
                 struct attempt_record *out)
{
    return checked(s, STORE_ATTEMPTS, seq, row_attempt(s->read_txn, &s->journal, seq, row, a, out));
}

int store_get_event(struct store *s, uint64_t seq, struct arena *a, struct event_record *out)
{
    struct str row = STR_NULL;
    const int rc = read_row(s, STORE_EVENTS, seq, &row);
    return rc == 0 ? read_event(s, seq, row, a, out) : rc;
}

int store_get_event_head(struct store *s, uint64_t seq, struct arena *a, struct event_record *out)
{
    struct str row = STR_NULL;
    const int rc = read_row(s, STORE_EVENTS, seq, &row);
    return rc != 0 ? rc
                   : checked(s, STORE_EVENTS, seq,
                             row_event(s->read_txn, &s->journal, seq, row, true, a, out));
}

int store_get_attempt(struct store *s, uint64_t seq, struct arena *a, struct attempt_record *out)
{
    struct str row = STR_NULL;
    const int rc = read_row(s, STORE_ATTEMPTS, seq, &row);
    return rc == 0 ? read_attempt(s, seq, row, a, out) : rc;
}

/* ---- ids ---- */

struct keyed_rng {
    struct rng rng;
    const unsigned char *key;
    uint64_t seq;
};

static void fill_from_key(void *ctx, void *p, size_t n)
{
    const struct keyed_rng *r = ctx;
    unsigned char in[9];
    put_be64(in, r->seq);
    in[8] = 0;
    for (unsigned char *at = p; n != 0; in[8]++) {
        unsigned char out[8];
        const size_t take = n < sizeof(out) ? n : sizeof(out);
        put_be64(out, siphash(r->key, in, sizeof(in)));
        memcpy(at, out, take);
        at += take;
        n -= take;
    }
}

void store_attempt_id(const struct store *s, uint64_t seq, char out[ID_LEN])
{
    struct keyed_rng r = {.rng = {.fill = fill_from_key}, .key = s->id_key, .seq = seq};
    r.rng.ctx = &r;
    id_from_seq(out, seq, &r.rng);
}

bool read_attempt_id_seq(const struct store *s, struct str id, uint64_t *seq)
{
    char text[ID_LEN];
    if (!id_to_seq(id, seq)) {
        return false;
    }
    store_attempt_id(s, *seq, text);
    return str_eq(id, str_of(text, sizeof(text)));
}

static int add_seq(struct seqs *out, uint64_t seq, struct arena *a)
{
    if (out->n == out->cap) {
        const size_t cap = out->cap != 0 ? out->cap * 2 : 16;
        uint64_t *v = arena_realloc(a, out->v, out->cap * sizeof(*v), cap * sizeof(*v));
        if (v == NULL) {
            return ERR_TOO_BIG;
        }
        out->v = v;
        out->cap = cap;
    }
    out->v[out->n++] = seq;
    return 0;
}

/* Second halves of the rows of `tree` whose key begins with `head`. */
static int add_pairs(struct store *s, enum index_tree tree, uint64_t head, struct arena *a,
                     struct seqs *out)
{
    struct index *x = &s->index;
    unsigned char bytes[KEY_PAIR];
    MDB_val key = val_of(bytes, sizeof(bytes));
    MDB_val value;
    MDB_cursor *cur;
    int oom = 0;
    int rc;

    if (!x->is_reading) {
        return 0;
    }
    rc = mdb_cursor_open(x->read_txn, x->env.dbi[tree], &cur);
    if (rc == 0) {
        key_pair(bytes, head, 0);
        for (rc = mdb_cursor_get(cur, &key, &value, MDB_SET_RANGE);
             rc == 0 && key.mv_size == KEY_PAIR && get_be64(key.mv_data) == head && oom == 0;
             rc = mdb_cursor_get(cur, &key, &value, MDB_NEXT)) {
            if (!pair_is_sound(tree, &key, &value)) {
                rc = MDB_CORRUPTED;
                break;
            }
            oom = add_seq(out, get_be64((const unsigned char *)key.mv_data + 8), a);
        }
        mdb_cursor_close(cur);
    }
    if (rc != 0 && rc != MDB_NOTFOUND) {
        index_report_lost(s);
        return ERR_CORRUPT;
    }
    return oom;
}

int tail_open(struct tail *t, struct store *s, enum store_kind kind, uint64_t above)
{
    t->is_first = true;
    t->is_cut = false;
    t->above = above;
    t->left = INDEX_TAIL_MAX;
    return err_from_mdb(mdb_cursor_open(s->read_txn, s->journal.dbi[read_tree_of(kind)], &t->cur));
}

bool tail_next(struct tail *t, uint64_t *seq, struct str *row)
{
    MDB_val key;
    MDB_val value;
    if (mdb_cursor_get(t->cur, &key, &value, t->is_first ? MDB_LAST : MDB_PREV) != 0) {
        return false;
    }
    t->is_first = false;
    *seq = get_be64(key.mv_data);
    *row = str_of_val(&value);
    if (*seq <= t->above) {
        return false;
    }
    t->is_cut = t->left == 0;
    t->left -= t->is_cut ? 0 : 1;
    return !t->is_cut;
}

void tail_close(struct tail *t)
{
    mdb_cursor_close(t->cur);
}

/* Is the event at seq one whose id we generated, and is this the id? */
static bool is_generated(struct store *s, uint64_t seq, struct str id)
{
    struct str row = STR_NULL;
    bool custom;
    return read_row(s, STORE_EVENTS, seq, &row) == 0 && str_eq(event_peek_id(row, &custom), id) &&
           !custom;
}

int read_event_seqs(struct store *s, struct str id, struct arena *a, struct seqs *out)
{
    struct tail tail;
    struct str row = STR_NULL;
    uint64_t seq;
    int rc = 0;

    if (id_to_seq(id, &seq)) {
        rc = add_seq(out, seq, a);
        if (rc != 0 || is_generated(s, seq, id)) {
            return rc;
        }
    }
    rc = add_pairs(s, TREE_ID, term_of_id(id), a, out);
    if (rc != 0 && rc != ERR_CORRUPT) { /* without an index the tail is all of the journal */
        return rc;
    }
    rc = tail_open(&tail, s, STORE_EVENTS, s->index.upto[STORE_EVENTS]);
    if (rc != 0) {
        return rc;
    }
    while (rc == 0 && tail_next(&tail, &seq, &row)) {
        bool custom;
        if (str_eq(event_peek_id(row, &custom), id) && custom) {
            rc = add_seq(out, seq, a);
        }
    }
    out->is_partial = out->is_partial || tail.is_cut;
    tail_close(&tail);
    return rc;
}

int read_attempt_seqs(struct store *s, uint64_t event_seq, struct arena *a, struct seqs *out)
{
    return add_pairs(s, TREE_EA, event_seq, a, out);
}

/* One posting list: is the seq in it? */
static bool has_term(struct store *s, uint64_t term, uint64_t seq)
{
    struct index *x = &s->index;
    struct posting_iter it;
    struct arena a;
    bool found = false;

    if (!x->is_reading) {
        return false;
    }
    arena_init(&a, (size_t)2 * POSTING_SEQS_MAX * sizeof(uint64_t));
    if (posting_open(&it, x->read_txn, x->env.dbi[TREE_PO], term, true, &a) == 0) {
        const int rc = posting_seek(&it, seq);
        found = rc == 0 && !it.is_end && it.seq == seq;
        posting_close(&it);
        if (rc != 0) {
            index_report_lost(s);
        }
    }
    arena_fini(&a);
    return found;
}

bool store_event_had_dest(struct store *s, uint64_t seq, struct str tenant_id, struct str dest_id)
{
    return has_term(s, term_hash(TERM_EVENT_DEST, dest_id, STR("")), seq) &&
           has_term(s, term_hash(TERM_EVENT_TENANT, tenant_id, STR("")), seq);
}

/* A record that cannot be read exists for a tenant when the index says that it is its own. */
static int damaged_for(struct store *s, enum term_kind kind, uint64_t seq, struct str tenant_id,
                       int rc)
{
    if (tenant_id.p != NULL && rc == ERR_CORRUPT &&
        !has_term(s, term_hash(kind, tenant_id, STR("")), seq)) {
        return ERR_NOT_FOUND;
    }
    return rc;
}

int store_find_event(struct store *s, struct str tenant_id, struct str id, struct arena *a,
                     struct event_record *out)
{
    struct seqs seqs = {0};
    struct event_record e;
    uint64_t best = 0;
    int rc = read_event_seqs(s, id, a, &seqs);

    if (rc != 0) {
        return rc;
    }
    rc = ERR_NOT_FOUND;
    for (size_t i = 0; i < seqs.n; i++) {
        int one = seqs.v[i] > best ? store_get_event(s, seqs.v[i], a, &e) : ERR_NOT_FOUND;
        one = damaged_for(s, TERM_EVENT_TENANT, seqs.v[i], tenant_id, one);
        if (one == 0 && str_eq(e.id, id) &&
            (tenant_id.p == NULL || str_eq(e.tenant_id, tenant_id))) {
            best = seqs.v[i];
            *out = e;
            rc = 0;
        } else if (rc != 0 && one != 0 && one != ERR_NOT_FOUND) {
            rc = one;
        }
    }
    return rc == ERR_NOT_FOUND && seqs.is_partial ? ERR_BUSY : rc;
}

int store_find_attempt(struct store *s, struct str tenant_id, struct str id, struct arena *a,
                       struct attempt_record *out)
{
    uint64_t seq;
    int rc;

    if (!read_attempt_id_seq(s, id, &seq)) {
        return ERR_NOT_FOUND;
    }
    rc = store_get_attempt(s, seq, a, out);
    rc = damaged_for(s, TERM_ATTEMPT_TENANT, seq, tenant_id, rc);
    if (rc == 0 && tenant_id.p != NULL && !str_eq(out->tenant_id, tenant_id)) {
        rc = ERR_NOT_FOUND;
    }
    return rc;
}

static bool is_attempt_of(struct store *s, uint64_t seq, struct str row, struct str dest_id,
                          struct arena *a, struct attempt_record *out)
{
    return read_attempt(s, seq, row, a, out) == 0 && str_eq(out->dest_id, dest_id);
}

int store_last_attempt(struct store *s, uint64_t event_seq, struct str dest_id, struct arena *a,
                       struct attempt_record *out)
{
    const uint64_t upto = s->index.upto[STORE_ATTEMPTS];
    struct seqs seqs = {0};
    struct tail tail;
    struct str row = STR_NULL;
    uint64_t seq;
    bool found = false;
    int rc = tail_open(&tail, s, STORE_ATTEMPTS, upto > event_seq ? upto : event_seq);

    if (rc != 0) {
        return rc;
    }
    while (!found && tail_next(&tail, &seq, &row)) {
        found = attempt_peek_event(row) == event_seq && is_attempt_of(s, seq, row, dest_id, a, out);
    }
    tail_close(&tail);
    if (found) {
        return 0;
    }
    if (tail.is_cut) {
        return ERR_BUSY;
    }
    rc = read_attempt_seqs(s, event_seq, a, &seqs);
    for (size_t i = seqs.n; i-- > 0 && rc == 0;) {
        if (read_row(s, STORE_ATTEMPTS, seqs.v[i], &row) == 0 &&
            is_attempt_of(s, seqs.v[i], row, dest_id, a, out)) {
            return 0;
        }
    }
    if (rc == ERR_CORRUPT) {
        return ERR_BUSY; /* the rebuild has begun */
    }
    return rc != 0 ? rc : ERR_NOT_FOUND;
}
