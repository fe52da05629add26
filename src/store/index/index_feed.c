/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One batch of the index: rows are read from the journal in a short transaction, collected in
 * memory, and written in the order of their keys. Rows of what the journal no longer holds are
 * deleted on the way, by sweeps that walk on from batch to batch and start over at the end.
 */
#include <stdlib.h>

#include "longline/log.h"
#include "longline/mem.h"

#include "index/postings.h"
#include "record/record_internal.h"
#include "store_internal.h"

#define PAIRS_MAX    200000U
#define READ_MAX_NS  50000000
#define CLOCK_EVERY  256U
#define SWEEP_MIN    256U  /* rows of a tree and batch */
#define SWEEP_DEEP   8192U /* on top: some milliseconds of asking the journal */
#define DEEP_RUNS    32U   /* a run of seqs takes as long as so many rows */
#define SWEEP_SHORT  64U   /* while room is short: deleting takes pages, too */
/* What is put takes at most: a seq of a term, a run that is begun, a row of ea or id. */
#define SEQ_BYTES    12U
#define LIST_BYTES   128U
#define ROW_BYTES    96U
#define COMMIT_PAGES 32U
#define HEADS_MAX    ((size_t)64 * 1024 * 1024) /* arena for heads that are chunked */

void feed_init(struct feed *f)
{
    *f = (struct feed){.max_rows = ROWS_MAX};
    terms_init(&f->terms);
    sweep_init(&f->sweep);
}

void feed_fini(struct feed *f)
{
    terms_fini(&f->terms);
    mem_free(f->attempts.v);
    mem_free(f->ids.v);
}

static void add_pair(struct index_pairs *p, uint64_t a, uint64_t b)
{
    if (p->n == p->cap) {
        p->cap = p->cap != 0 ? p->cap * 2 : 1024;
        p->v = mem_realloc_array(p->v, p->cap, sizeof(*p->v));
    }
    p->v[p->n++] = (struct index_pair){.a = a, .b = b};
}

/* ---- reading ---- */

static void add_event(struct feed *f, const struct event_record *e)
{
    struct terms *t = &f->terms;
    terms_add(t, term_hash(TERM_EVENT_TENANT, e->tenant_id, STR("")), e->seq);
    terms_add(t, term_hash(TERM_EVENT_TENANT_TOPIC, e->tenant_id, e->topic), e->seq);
    terms_add(t, term_hash(TERM_EVENT_TOPIC, e->topic, STR("")), e->seq);
    for (size_t i = 0; i < e->n_dests; i++) {
        terms_add(t, term_hash(TERM_EVENT_DEST, e->dests[i].id, STR("")), e->seq);
    }
    if (e->custom_id) {
        add_pair(&f->ids, term_of_id(e->id), e->seq);
    }
}

static void add_attempt(struct feed *f, const struct attempt_record *at)
{
    struct terms *t = &f->terms;
    terms_add(t, term_hash(TERM_ATTEMPT_TENANT, at->tenant_id, STR("")), at->seq);
    terms_add(t, term_hash(TERM_ATTEMPT_DEST, at->dest_id, STR("")), at->seq);
    if (at->status == ATTEMPT_FAILED) {
        terms_add(t, term_hash(TERM_ATTEMPT_FAILED, STR(""), STR("")), at->seq);
        terms_add(t, term_hash(TERM_ATTEMPT_TENANT_FAILED, at->tenant_id, STR("")), at->seq);
    }
    add_pair(&f->attempts, at->event_seq, at->seq);
}

static void add_row(struct store *s, MDB_txn *txn, enum store_kind kind, uint64_t seq,
                    struct str row, struct arena *a)
{
    struct feed *f = &s->index.feed;
    int rc;

    arena_reset(a);
    if (kind == STORE_EVENTS) {
        struct event_record e;
        rc = row_event(txn, &s->journal, seq, row, true, a, &e);
        if (rc == 0) {
            add_event(f, &e);
        }
    } else {
        struct attempt_record at;
        rc = row_attempt(txn, &s->journal, seq, row, a, &at);
        if (rc == 0) {
            add_attempt(f, &at);
        }
    }
    if (rc != 0) {
        damage_note(&s->damage, kind, seq, rc);
    }
}

static int read_tree(struct store *s, MDB_txn *txn, enum store_kind kind, struct arena *a)
{
    struct feed *f = &s->index.feed;
    const MDB_dbi dbi = s->journal.dbi[kind == STORE_EVENTS ? TREE_EV : TREE_AT];
    const int64_t deadline_ns = clock_mono_ns(clock_system()) + READ_MAX_NS;
    unsigned char bytes[KEY_SEQ];
    MDB_val key = val_of(bytes, sizeof(bytes));
    MDB_val value;
    MDB_cursor *cur;
    MDB_stat stat;
    size_t n = 0;
    int rc = mdb_cursor_open(txn, dbi, &cur);

    if (rc != 0) {
        return rc;
    }
    f->n_live[kind] = mdb_stat(txn, dbi, &stat) == 0 ? stat.ms_entries : 0;
    rc = mdb_cursor_get(cur, &key, &value, MDB_FIRST);
    if (rc == 0 && get_be64(key.mv_data) < f->oldest) {
        f->oldest = get_be64(key.mv_data);
    }
    key_seq(bytes, f->upto[kind] + 1);
    key = val_of(bytes, sizeof(bytes));
    for (rc = mdb_cursor_get(cur, &key, &value, MDB_SET_RANGE); rc == 0;
         rc = mdb_cursor_get(cur, &key, &value, MDB_NEXT)) {
        if (n >= f->max_rows || f->terms.n_pairs >= PAIRS_MAX ||
            (n % CLOCK_EVERY == CLOCK_EVERY - 1 && clock_mono_ns(clock_system()) >= deadline_ns)) {
            f->more = true;
            break;
        }
        f->upto[kind] = get_be64(key.mv_data);
        add_row(s, txn, kind, f->upto[kind], str_of_val(&value), a);
        n++;
    }
    mdb_cursor_close(cur);
    f->n_rows += n;
    return rc == MDB_NOTFOUND ? 0 : rc;
}

int feed_read(struct store *s, MDB_txn *journal)
{
    struct feed *f = &s->index.feed;
    struct arena a;
    int rc;

    terms_reset(&f->terms);
    f->attempts.n = 0;
    f->ids.n = 0;
    f->n_rows = 0;
    f->more = false;
    f->oldest = UINT64_MAX;
    arena_init(&a, HEADS_MAX);
    rc = read_tree(s, journal, STORE_EVENTS, &a);
    if (rc == 0) {
        rc = read_tree(s, journal, STORE_ATTEMPTS, &a);
    }
    arena_fini(&a);
    return rc;
}

/* ---- writing ---- */

static int by_pair(const void *x, const void *y)
{
    const struct index_pair *p = x;
    const struct index_pair *q = y;
    if (p->a != q->a) {
        return p->a < q->a ? -1 : 1;
    }
    return p->b < q->b ? -1 : p->b > q->b;
}

static int write_pairs(const struct index *x, MDB_txn *txn, enum index_tree tree,
                       struct index_pairs *p)
{
    MDB_cursor *cur;
    int rc;

    if (p->n == 0) {
        return 0;
    }
    qsort(p->v, p->n, sizeof(*p->v), by_pair);
    rc = mdb_cursor_open(txn, x->env.dbi[tree], &cur);
    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; i < p->n && rc == 0; i++) {
        unsigned char bytes[KEY_PAIR];
        unsigned char crc[PAIR_BYTES];
        MDB_val key = val_of(bytes, sizeof(bytes));
        MDB_val value = val_of(crc, sizeof(crc));
        key_pair(bytes, p->v[i].a, p->v[i].b);
        pair_seal(crc, tree, &key);
        rc = mdb_cursor_put(cur, &key, &value, 0);
    }
    mdb_cursor_close(cur);
    return rc;
}

static int write_terms(MDB_txn *txn, MDB_dbi dbi, struct terms *t)
{
    MDB_cursor *cur;
    int rc;

    if (t->n_lists == 0) {
        return 0;
    }
    terms_sort(t);
    rc = mdb_cursor_open(txn, dbi, &cur);
    if (rc != 0) {
        return rc;
    }
    for (size_t i = 0; i < t->n_lists && rc == 0; i++) {
        rc = posting_append(cur, t, &t->lists[i]);
    }
    mdb_cursor_close(cur);
    return rc;
}

/* The journal is read for the moment of a deep sweep only: a reader keeps its free pages from being
 * used. */
static int purge(struct store *s, MDB_txn *txn, MDB_txn *journal)
{
    struct feed *f = &s->index.feed;
    const bool is_short = f->max_rows < ROWS_MAX;
    const size_t n = is_short ? SWEEP_SHORT : SWEEP_MIN;
    const size_t deep = !f->sweep.is_deep ? 0 : is_short ? SWEEP_SHORT : SWEEP_DEEP;
    const struct sweep_job job = {
        .index = &s->index.env,
        .txn = txn,
        .journal = &s->journal,
        .journal_txn = f->sweep.is_deep ? journal : NULL,
        .oldest = f->oldest,
        .max_rows = {[TREE_PO] = n + f->terms.n_lists + deep / DEEP_RUNS,
                     [TREE_EA] = n + 2 * f->attempts.n + deep,
                     [TREE_ID] = n + 2 * f->ids.n + deep},
        .max_changes = is_short ? SWEEP_SHORT : SIZE_MAX,
    };
    int rc = f->sweep.is_deep ? mdb_txn_renew(journal) : 0;
    if (rc == 0) {
        rc = sweep_slice(&f->sweep, &job);
    }
    if (f->sweep.is_deep) {
        mdb_txn_reset(journal);
    }
    return rc;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t feed_room(const struct store *s)
{
    const struct index *x = &s->index;
    const struct feed *f = &x->feed;
    const uint64_t page = x->env.page;
    const size_t n_sweep = f->max_rows < ROWS_MAX ? SWEEP_SHORT : SWEEP_MIN + SWEEP_DEEP;
    /* What is changed is written anew, so no more than the tree. */
    const uint64_t changed = least((f->terms.n_lists + n_sweep) * page, x->tree_bytes[TREE_PO]) +
                             least((f->attempts.n + n_sweep) * page, x->tree_bytes[TREE_EA]) +
                             least((f->ids.n + n_sweep) * page, x->tree_bytes[TREE_ID]);
    return changed + f->terms.n_pairs * SEQ_BYTES + f->terms.n_lists * LIST_BYTES +
           (f->attempts.n + f->ids.n) * ROW_BYTES + COMMIT_PAGES * page;
}

void feed_drop(struct feed *f)
{
    terms_reset(&f->terms);
    f->attempts.n = 0;
    f->ids.n = 0;
    f->n_rows = 0;
}

int feed_write(struct store *s, MDB_txn *journal)
{
    struct index *x = &s->index;
    struct feed *f = &x->feed;
    unsigned char bytes[16];
    MDB_txn *txn;
    int rc;

    if (f->oldest == UINT64_MAX) { /* the journal is empty: all that was indexed is gone */
        f->oldest = f->upto[0] > f->upto[1] ? f->upto[0] : f->upto[1];
    }
    if (f->n_rows == 0 && f->oldest == f->purged_below && !f->sweep.is_deep) {
        return 0;
    }
    f->purged_below = f->oldest;
    rc = mdb_txn_begin(x->env.mdb, NULL, 0, &txn);
    if (rc != 0) {
        return rc;
    }
    rc = write_terms(txn, x->env.dbi[TREE_PO], &f->terms);
    if (rc == 0) {
        rc = write_pairs(x, txn, TREE_EA, &f->attempts);
    }
    if (rc == 0) {
        rc = write_pairs(x, txn, TREE_ID, &f->ids);
    }
    if (rc == 0) {
        rc = purge(s, txn, journal);
    }
    if (rc == 0) {
        key_pair(bytes, f->upto[0], f->upto[1]);
        rc = meta_put(txn, x->env.dbi[TREE_IMT], META_UPTO, bytes, sizeof(bytes)) == 0
                 ? 0
                 : MDB_CORRUPTED;
    }
    if (rc != 0) {
        mdb_txn_abort(txn);
        return rc;
    }
    return mdb_txn_commit(txn);
}
