/* SPDX-License-Identifier: Apache-2.0 */
#include "index/sweep.h"

#include "longline/check.h"

#include "index/postings.h"
#include "journal/env.h"

/* Per row of the journal, as measured: 30 to 150 bytes. */
#define ROW_BYTES_FIRST 128U
#define ROW_BYTES_MIN   32U
#define SLACK           ((uint64_t)512 * 1024)
#define ROWS_SLACK      2000U
#define LARGE_PERCENT   150U
#define LARGE_SHORT     105U /* when room is short */

void sweep_init(struct sweep *sw)
{
    *sw = (struct sweep){.row_bytes = ROW_BYTES_FIRST};
}

static bool all_done(const struct sweep *sw)
{
    return sw->is_done[TREE_PO] && sw->is_done[TREE_EA] && sw->is_done[TREE_ID];
}

static bool is_large(const struct sweep *sw, const struct sweep_size *size)
{
    const uint64_t percent = size->is_short ? LARGE_SHORT : LARGE_PERCENT;
    const uint64_t n_live = size->n_attempts + size->n_events;
    return size->n_indexed > ROWS_SLACK + size->n_attempts * percent / 100 ||
           size->bytes > SLACK + sw->row_bytes * n_live / 100 * percent;
}

bool sweep_judge(struct sweep *sw, const struct sweep_size *size)
{
    const uint64_t n_live = size->n_attempts + size->n_events;

    if (sw->is_deep && all_done(sw)) {
        sw->is_deep = false;
        sw->row_bytes = n_live != 0 ? size->bytes / n_live : ROW_BYTES_FIRST;
        sw->row_bytes = sw->row_bytes < ROW_BYTES_MIN ? ROW_BYTES_MIN : sw->row_bytes;
    }
    if (!sw->is_deep && is_large(sw, size)) {
        *sw = (struct sweep){.is_deep = true, .row_bytes = sw->row_bytes};
    }
    return sw->is_deep;
}

/* ---- what the journal holds ---- */

/* One tree of the journal, asked for ascending seqs; the next one there is saves most look-ups. */
struct probe {
    MDB_cursor *cur; /* NULL: not asked */
    uint64_t from, next;
    bool is_known; /* from … next: none between */
};

static int probe_open(struct probe *p, const struct sweep_job *job, enum journal_tree tree)
{
    *p = (struct probe){0};
    return job->journal_txn == NULL
               ? 0
               : mdb_cursor_open(job->journal_txn, job->journal->dbi[tree], &p->cur);
}

static void probe_close(struct probe *p)
{
    if (p->cur != NULL) {
        mdb_cursor_close(p->cur);
    }
}

static bool probe_has(struct probe *p, uint64_t seq)
{
    unsigned char bytes[KEY_SEQ];
    MDB_val key = val_of(bytes, sizeof(bytes));
    MDB_val value;

    if (!p->is_known || seq < p->from || seq > p->next) {
        key_seq(bytes, seq);
        p->next = mdb_cursor_get(p->cur, &key, &value, MDB_SET_RANGE) == 0 ? get_be64(key.mv_data)
                                                                           : UINT64_MAX;
        p->from = seq;
        p->is_known = true;
    }
    return seq == p->next;
}

/* ---- rows ---- */

struct walk {
    const struct sweep_job *job;
    MDB_cursor *cur;
    struct probe events, attempts;
    size_t n_changes;
};

static bool is_live(struct walk *w, enum index_tree tree, uint64_t seq)
{
    return (tree != TREE_EA && probe_has(&w->events, seq)) ||
           (tree != TREE_ID && probe_has(&w->attempts, seq));
}

/* A run of seqs that is written anew with those that live, when a quarter of it does not. */
static int thin_out(struct walk *w, const MDB_val *key, const MDB_val *value, uint64_t pos[2])
{
    uint64_t seqs[POSTING_SEQS_MAX];
    const uint64_t term = get_be64(key->mv_data);
    const size_t n = posting_decode(key, value, seqs);
    size_t n_live = 0;
    int rc;

    if (n == 0) {
        return MDB_CORRUPTED;
    }
    pos[1] = seqs[n - 1];
    for (size_t i = 0; i < n; i++) {
        if (is_live(w, TREE_PO, seqs[i])) {
            seqs[n_live++] = seqs[i];
        }
    }
    if (n_live > n - n / 4 || n_live == n) {
        return 0;
    }
    w->n_changes++;
    rc = mdb_cursor_del(w->cur, 0);
    return rc == 0 && n_live != 0 ? posting_put(w->cur, term, seqs, n_live) : rc;
}

/* Deletes the next row, when all it holds is gone, and moves pos behind it. */
static int sweep_row(struct walk *w, enum index_tree tree, uint64_t pos[2])
{
    const struct sweep_job *job = w->job;
    const bool is_deep = job->journal_txn != NULL;
    unsigned char bytes[KEY_PAIR];
    MDB_val key = val_of(bytes, sizeof(bytes));
    MDB_val value;
    uint64_t last = 0;
    int rc;

    key_pair(bytes, pos[0], pos[1]);
    rc = mdb_cursor_get(w->cur, &key, &value, MDB_SET_RANGE);
    if (rc == 0 && !is_deep && tree == TREE_EA && get_be64(key.mv_data) >= job->oldest) {
        rc = MDB_NOTFOUND; /* attempts are younger than their events */
    }
    if (rc != 0) {
        pos[0] = 0;
        pos[1] = 0;
        return rc;
    }
    if (tree == TREE_PO ? !posting_last(&key, &value, &last) : !pair_is_sound(tree, &key, &value)) {
        return MDB_CORRUPTED;
    }
    pos[0] = get_be64(key.mv_data);
    pos[1] = get_be64((const unsigned char *)key.mv_data + 8);
    last = tree == TREE_PO ? last : pos[1];
    if (last < job->oldest || (is_deep && tree != TREE_PO && !is_live(w, tree, pos[1]))) {
        w->n_changes++;
        rc = mdb_cursor_del(w->cur, 0);
    } else if (is_deep && tree == TREE_PO) {
        rc = thin_out(w, &key, &value, pos);
    }
    pos[1]++;
    pos[0] += pos[1] == 0;
    return rc;
}

static int sweep_tree(struct sweep *sw, const struct sweep_job *job, enum index_tree tree)
{
    struct walk w = {.job = job};
    size_t n = job->max_rows[tree];
    int rc = mdb_cursor_open(job->txn, job->index->dbi[tree], &w.cur);

    if (rc != 0) {
        return rc;
    }
    rc = probe_open(&w.events, job, TREE_EV);
    if (rc == 0) {
        rc = probe_open(&w.attempts, job, TREE_AT);
    }
    while (rc == 0 && n-- > 0 && w.n_changes < job->max_changes) {
        rc = sweep_row(&w, tree, sw->pos[tree]);
    }
    probe_close(&w.events);
    probe_close(&w.attempts);
    mdb_cursor_close(w.cur);
    if (rc != MDB_NOTFOUND) {
        return rc;
    }
    sw->is_done[tree] = true;
    return 0;
}

int sweep_slice(struct sweep *sw, const struct sweep_job *job)
{
    static const enum index_tree trees[] = {TREE_PO, TREE_EA, TREE_ID};
    int rc = 0;

    for (size_t i = 0; rc == 0 && i < LL_COUNT(trees); i++) {
        if (!sw->is_deep || !sw->is_done[trees[i]]) {
            rc = sweep_tree(sw, job, trees[i]);
        }
    }
    return rc;
}
