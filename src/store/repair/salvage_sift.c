/* SPDX-License-Identifier: Apache-2.0 */
/* What only shows when all rows that are left have been copied. */
#include "repair/salvage_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "longline/rng.h"

#include "record/record_internal.h"

#define DEST_NUM_GAP 1000000U /* above the numbers that were seen, when the last one is lost */

/* ---- records, chunks, retries ---- */

static bool has_row(struct salvage *s, enum journal_tree tree, uint64_t seq)
{
    unsigned char bytes[KEY_SEQ];
    MDB_val key = val_of(bytes, sizeof(bytes));
    MDB_val value;
    key_seq(bytes, seq);
    return mdb_get(s->txn, s->env.dbi[tree], &key, &value) == 0;
}

/* Deletes records that are not whole, and notes the greatest number of a destination. */
static int sift_records(struct salvage *s, enum journal_tree tree)
{
    MDB_cursor *cur;
    MDB_val key;
    MDB_val value;
    struct arena a;
    int rc = mdb_cursor_open(s->txn, s->env.dbi[tree], &cur);

    if (rc != 0) {
        return rc;
    }
    arena_init(&a, 2 * RECORD_MAX_BYTES);
    while ((rc = mdb_cursor_get(cur, &key, &value, MDB_NEXT)) == 0) {
        const uint64_t seq = get_be64(key.mv_data);
        struct event_record e = {0};
        struct attempt_record at = {0};
        int bad;
        arena_reset(&a);
        bad = tree == TREE_EV ? row_event(s->txn, &s->env, seq, str_of_val(&value), false, &a, &e)
                              : row_attempt(s->txn, &s->env, seq, str_of_val(&value), &a, &at);
        if (bad != 0) {
            s->copied[tree]--;
            s->damaged[tree]++;
            salvage_say_lost(s, journal_trees[tree], str_of_val(&key),
                             "a part of it is missing or damaged");
            rc = mdb_cursor_del(cur, 0);
            if (rc != 0) {
                break;
            }
            continue;
        }
        salvage_note_num(s, at.dest_num);
        for (size_t i = 0; i < e.n_dests; i++) {
            salvage_note_num(s, e.dests[i].num);
        }
    }
    arena_fini(&a);
    mdb_cursor_close(cur);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int sift_chunks(struct salvage *s)
{
    MDB_cursor *cur;
    MDB_val key;
    MDB_val value;
    int rc = mdb_cursor_open(s->txn, s->env.dbi[TREE_BD], &cur);

    if (rc != 0) {
        return rc;
    }
    while ((rc = mdb_cursor_get(cur, &key, &value, MDB_NEXT)) == 0) {
        const uint64_t seq = get_be64(key.mv_data);
        if (!has_row(s, TREE_EV, seq) && !has_row(s, TREE_AT, seq)) {
            s->copied[TREE_BD]--;
            rc = mdb_cursor_del(cur, 0);
            if (rc != 0) {
                break;
            }
        }
    }
    mdb_cursor_close(cur);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int by_pair(const void *a, const void *b)
{
    const struct salvage_pair *x = a;
    const struct salvage_pair *y = b;
    if (x->seq != y->seq) {
        return x->seq < y->seq ? -1 : 1;
    }
    return x->dest < y->dest ? -1 : x->dest > y->dest;
}

static int drop_retry(struct salvage *s, const struct salvage_pair *p)
{
    unsigned char bytes[KEY_RETRY];
    MDB_val key = val_of(bytes, sizeof(bytes));
    int rc;
    key_retry(bytes, p->seq, p->dest);
    rc = mdb_del(s->txn, s->env.dbi[TREE_RT], &key, NULL);
    s->copied[TREE_RT] -= rc == 0 ? 1 : 0;
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* A retry with a wrong checksum may have a wrong key: it must not send an event to a destination
 * that did not want it. */
static int sift_doubtful(struct salvage *s)
{
    int rc = 0;
    for (size_t i = 0; i < s->n_doubtful && rc == 0; i++) {
        const struct salvage_pair *p = &s->doubtful[i];
        if (row_event_wants(s->txn, &s->env, p->seq, p->dest)) {
            offline_say(&s->o, "a retry of event %llu is owed, and becomes due at once",
                        (unsigned long long)p->seq);
        } else {
            rc = drop_retry(s, p);
        }
    }
    return rc;
}

/* A retry from a leaf that no page names may be an old one: it goes when its delivery has ended.
 * One whose event is lost stays, so that the next start records that it was owed. */
static int sift_retries(struct salvage *s)
{
    MDB_cursor *cur;
    MDB_val key;
    MDB_val value;
    int rc;

    if (s->n_retries == 0) {
        return 0;
    }
    qsort(s->retries, s->n_retries, sizeof(*s->retries), by_pair);
    rc = mdb_cursor_open(s->txn, s->env.dbi[TREE_AT], &cur);
    if (rc != 0) {
        return rc;
    }
    while ((rc = mdb_cursor_get(cur, &key, &value, MDB_NEXT)) == 0) {
        struct attempt_record at;
        struct salvage_pair p;
        if (value.mv_size >= ROW_MAX ||
            attempt_decode(&at, get_be64(key.mv_data), str_of_val(&value)) != 0 || !at.final) {
            continue;
        }
        p = (struct salvage_pair){.seq = at.event_seq, .dest = at.dest_num};
        if (bsearch(&p, s->retries, s->n_retries, sizeof(p), by_pair) != NULL &&
            (rc = drop_retry(s, &p)) != 0) {
            break;
        }
    }
    mdb_cursor_close(cur);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* ---- the numbers of the journal ---- */

static int set_meta(struct salvage *s, const char *name, const void *p, size_t n)
{
    return meta_put(s->txn, s->env.dbi[TREE_MT], name, p, n) == 0 ? 0 : EIO;
}

static int fix_meta(struct salvage *s, bool retries_lost)
{
    unsigned char bytes[32];
    int rc;

    rng_fill(rng_system(), bytes, 16);
    rc = set_meta(s, META_IDENTITY, bytes, 16);
    put_be32(bytes, JOURNAL_FORMAT);
    rc = rc == 0 ? set_meta(s, META_FORMAT, bytes, 4) : rc;
    if (rc == 0 && (!s->had_meta_low || retries_lost)) {
        offline_say(&s->o, "which deliveries had ended was lost in part: every event without a "
                           "final attempt is delivered again");
        put_be64(bytes, 0);
        rc = set_meta(s, META_LOW, bytes, 8);
    }
    if (rc == 0 && !s->had_meta_num) {
        put_be32(bytes, s->dest_num < UINT32_MAX - DEST_NUM_GAP ? s->dest_num + DEST_NUM_GAP
                                                                : UINT32_MAX - 1);
        rc = set_meta(s, META_DEST_NUM, bytes, 4);
    }
    if (rc == 0 && !s->had_id_key) {
        offline_say(&s->o, "the key of the attempts' ids was lost: they have new ids");
        rng_fill(rng_system(), bytes, 16);
        rc = set_meta(s, META_ID_KEY, bytes, 16);
    }
    /* Marks of how far times may differ from seqs: unlimited costs a little, too small hides. */
    if (rc == 0) {
        for (size_t i = 0; i < 4; i++) {
            put_be64(bytes + 8 * i, (uint64_t)INT64_MAX / 4);
        }
        rc = set_meta(s, META_SKEW, bytes, 32);
    }
    return rc;
}

/* ---- all of it ---- */

static bool retries_lost(const struct salvage *s)
{
    return !s->root.found || !s->walk.has_tree[TREE_RT] ||
           s->found[TREE_RT] < s->walk.trees[TREE_RT].entries;
}

int salvage_sift(struct salvage *s, struct err_detail *err)
{
    int rc = s->rc;

    rc = rc == 0 ? sift_records(s, TREE_EV) : rc;
    rc = rc == 0 ? sift_records(s, TREE_AT) : rc;
    rc = rc == 0 ? sift_chunks(s) : rc;
    rc = rc == 0 ? sift_doubtful(s) : rc;
    rc = rc == 0 ? sift_retries(s) : rc;
    rc = rc == 0 ? fix_meta(s, retries_lost(s)) : rc;
    s->rc = rc;
    salvage_commit(s, false);
    return s->rc == 0 ? 0
                      : err_set(err, err_from_mdb(s->rc), s->rc, "the new journal: %s",
                                mdb_strerror(s->rc));
}
