/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deleting in slices that fit into a commit.
 *
 * An event is resolved when it is below `low` and has no retry rows. No other one is deleted here:
 * deliver ends what is owed and too old, with an attempt that says so, and deletes the retry rows.
 *
 * By age: resolved events that are too old, the attempts that are, and the front of ik. By size:
 * resolved events, oldest first. Both walks over the events go on from where the last slice stopped
 * and start over when they reach their end. An attempt goes with them when its event is gone; when
 * the store is full and no resolved event is left, the oldest attempts go before their events. What
 * is pending needs none of them, and without that the attempts of one endpoint that fails would
 * fill the store up to the mark at which none may start.
 *
 * After every deletion the cursor is placed anew: rows move between pages when pages are merged.
 */
#include "store_internal.h"

#include "longline/clock.h"

#include "record/record_internal.h"

#define CLOCK_EVERY 32U   /* rows between two looks at the clock */
#define INLINE_MAX  2000U /* larger rows have a page of their own */
#define PAGE        4096U

static bool is_spent(struct purge_job *job, struct purge *p)
{
    if (job->n_rows < job->max_rows && job->bytes < job->max_bytes &&
        (job->n_rows % CLOCK_EVERY != 0 || clock_mono_ns(clock_system()) < job->deadline_ns)) {
        return false;
    }
    p->more = true;
    return true;
}

/* Deletes the row under the cursor and counts what becomes free. */
static int del_row(MDB_cursor *cur, size_t n, struct purge_job *job)
{
    job->n_rows++;
    job->bytes += n > INLINE_MAX ? PAGE : n;
    return mdb_cursor_del(cur, 0);
}

static int del_chunks(struct wtxn *t, uint64_t seq, struct purge_job *job)
{
    unsigned char bytes[KEY_CHUNK];
    MDB_cursor *cur;
    MDB_val value;
    int rc = wtxn_cursor(t, TREE_BD, &cur);

    while (rc == 0) {
        MDB_val key = val_of(bytes, sizeof(bytes));
        key_chunk(bytes, seq, 0);
        rc = mdb_cursor_get(cur, &key, &value, MDB_SET_RANGE);
        if (rc == MDB_NOTFOUND || (rc == 0 && get_be64(key.mv_data) != seq)) {
            return 0;
        }
        if (rc == 0) {
            rc = del_row(cur, value.mv_size, job);
        }
    }
    return rc;
}

/* Deletes the record that the cursor stands on. */
static int del_record(struct wtxn *t, MDB_cursor *cur, uint64_t seq, const MDB_val *row,
                      struct purge_job *job)
{
    const bool has_chunks = row->mv_size == ROW_MAX;
    const int rc = del_row(cur, row->mv_size, job);
    return rc == 0 && has_chunks ? del_chunks(t, seq, job) : rc;
}

/* From low on a restart needs the attempts of an event: it looks there for what has ended. */
static int purge_old_attempts(struct wtxn *t, struct purge *p, struct purge_job *job)
{
    MDB_cursor *cur;
    MDB_val key;
    MDB_val value;
    int rc = wtxn_cursor(t, TREE_AT, &cur);

    while (rc == 0) {
        uint64_t seq;
        rc = mdb_cursor_get(cur, &key, &value, MDB_FIRST);
        if (rc == MDB_NOTFOUND) {
            return 0;
        }
        if (rc != 0) {
            return rc;
        }
        seq = get_be64(key.mv_data);
        if (seq >= job->cutoff_seq || attempt_peek_event(str_of_val(&value)) >= job->low ||
            is_spent(job, p)) {
            return 0;
        }
        rc = del_record(t, cur, seq, &value, job);
        job->n_attempts++;
    }
    return rc;
}

static int purge_idem(struct wtxn *t, struct purge *p, struct purge_job *job)
{
    MDB_cursor *cur;
    MDB_val key;
    MDB_val value;
    int rc = wtxn_cursor(t, TREE_IK, &cur);

    while (rc == 0) {
        rc = mdb_cursor_get(cur, &key, &value, MDB_FIRST);
        if (rc == MDB_NOTFOUND) {
            return 0;
        }
        if (rc != 0) {
            return rc;
        }
        if (get_be32(key.mv_data) >= job->cutoff_hour || is_spent(job, p)) {
            return 0;
        }
        rc = del_row(cur, value.mv_size, job);
    }
    return rc;
}

/* 1: has retry rows, 0: none, else LMDB's code. */
static int has_retry(struct wtxn *t, uint64_t seq, bool *out)
{
    unsigned char bytes[KEY_RETRY];
    MDB_val key = val_of(bytes, sizeof(bytes));
    MDB_val value;
    MDB_cursor *cur;
    int rc = wtxn_cursor(t, TREE_RT, &cur);

    *out = false;
    if (rc != 0) {
        return rc;
    }
    key_retry(bytes, seq, 0);
    rc = mdb_cursor_get(cur, &key, &value, MDB_SET_RANGE);
    if (rc == 0) {
        *out = get_be64(key.mv_data) == seq;
    }
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* Places the cursor on the first row at or behind pos. MDB_NOTFOUND at the end. */
static int place(struct wtxn *t, enum journal_tree tree, uint64_t pos, MDB_cursor **cur,
                 uint64_t *seq, MDB_val *value)
{
    unsigned char bytes[KEY_SEQ];
    MDB_val key = val_of(bytes, sizeof(bytes));
    int rc = wtxn_cursor(t, tree, cur);

    key_seq(bytes, pos);
    if (rc == 0) {
        rc = mdb_cursor_get(*cur, &key, value, MDB_SET_RANGE);
    }
    if (rc == 0) {
        *seq = get_be64(key.mv_data);
    }
    return rc;
}

/* Resolved events from *pos to `end`, until so many bytes were deleted. */
static int purge_resolved_events(struct wtxn *t, struct purge *p, struct purge_job *job,
                                 uint64_t *pos, uint64_t end, uint64_t enough)
{
    size_t n_seen = 0;

    while (n_seen++ < 2 * job->max_rows && job->bytes < enough && !is_spent(job, p)) {
        MDB_cursor *cur;
        MDB_val value;
        uint64_t seq = 0;
        bool is_pending = false;
        int rc = place(t, TREE_EV, *pos, &cur, &seq, &value);

        if (rc == MDB_NOTFOUND || (rc == 0 && seq >= end)) {
            *pos = 0; /* start over next time: what was pending may be resolved by then */
            return 0;
        }
        if (rc == 0) {
            rc = has_retry(t, seq, &is_pending);
        }
        if (rc == 0 && !is_pending) {
            rc = del_record(t, cur, seq, &value, job);
            job->n_events++;
        }
        if (rc != 0) {
            return rc;
        }
        *pos = seq + 1;
    }
    return 0;
}

/* May the attempt go? Those of events above low say what a restart need not do again. */
static int may_go(struct wtxn *t, const struct purge_job *job, uint64_t event_seq, bool with_events,
                  bool *out)
{
    unsigned char bytes[KEY_SEQ];
    MDB_val key = val_of(bytes, sizeof(bytes));
    MDB_val event;
    int rc;

    key_seq(bytes, event_seq);
    rc = mdb_get(t->txn, t->env->dbi[TREE_EV], &key, &event);
    *out = rc == MDB_NOTFOUND || (with_events && event_seq < job->low && job->bytes < job->excess);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int purge_attempts(struct wtxn *t, struct purge *p, struct purge_job *job, bool with_events)
{
    /* Above low there are no orphans to look for. */
    const uint64_t end = with_events ? UINT64_MAX : job->low;
    size_t n_seen = 0;

    while (n_seen++ < 2 * job->max_rows && !is_spent(job, p)) {
        MDB_val value;
        MDB_cursor *cur;
        uint64_t seq = 0;
        bool goes = false;
        int rc = place(t, TREE_AT, p->attempt_pos, &cur, &seq, &value);

        if (rc == MDB_NOTFOUND || (rc == 0 && seq >= end)) {
            p->attempt_pos = 0;
            return 0;
        }
        if (rc == 0) {
            rc = may_go(t, job, attempt_peek_event(str_of_val(&value)), with_events, &goes);
        }
        if (rc == 0 && goes) {
            rc = del_record(t, cur, seq, &value, job);
            job->n_attempts++;
        }
        if (rc != 0) {
            return rc;
        }
        p->attempt_pos = seq + 1;
    }
    return 0;
}

int purge_slice(struct wtxn *t, struct purge *p, struct purge_job *job)
{
    const size_t max_rows = job->max_rows;
    int rc;

    p->more = false;
    /* Half of the budget for events, so that attempts are never left behind. */
    job->max_rows = max_rows / 2;
    rc = purge_resolved_events(t, p, job, &p->old_pos, ages_ended_below(job->cutoff_seq, job->low),
                               UINT64_MAX);
    job->max_rows = max_rows;
    if (rc == 0) {
        rc = purge_old_attempts(t, p, job);
    }
    if (rc == 0) {
        rc = purge_idem(t, p, job);
    }
    if (rc == 0 && job->excess != 0) {
        job->max_rows = job->n_rows + (max_rows - job->n_rows) / 2;
        rc = purge_resolved_events(t, p, job, &p->event_pos, job->low, job->excess);
        job->max_rows = max_rows;
    }
    if (rc == 0 && job->excess != 0) {
        /* A walk over the events that came to its end has found all there was. */
        rc = purge_attempts(t, p, job, job->is_full && p->event_pos == 0);
    }
    return rc;
}
