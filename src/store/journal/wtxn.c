/* SPDX-License-Identifier: Apache-2.0 */
/* Applying a batch to the journal: a pure function of the batch and of what the journal holds. */
#include "store_internal.h"

int wtxn_begin(struct wtxn *t, const struct env *env)
{
    *t = (struct wtxn){.env = env};
    return mdb_txn_begin(env->mdb, NULL, 0, &t->txn);
}

int wtxn_commit(struct wtxn *t)
{
    const int rc = mdb_txn_commit(t->txn); /* closes the cursors */
    *t = (struct wtxn){.env = t->env};
    return rc;
}

void wtxn_abort(struct wtxn *t)
{
    if (t->txn != NULL) {
        mdb_txn_abort(t->txn);
    }
    *t = (struct wtxn){.env = t->env};
}

int wtxn_cursor(struct wtxn *t, enum journal_tree tree, MDB_cursor **out)
{
    if (t->cur[tree] == NULL) {
        const int rc = mdb_cursor_open(t->txn, t->env->dbi[tree], &t->cur[tree]);
        if (rc != 0) {
            return rc;
        }
    }
    *out = t->cur[tree];
    return 0;
}

static int put(struct wtxn *t, enum journal_tree tree, struct str key, struct str value,
               unsigned flags)
{
    MDB_cursor *cur;
    MDB_val k = val_of(key.p, key.n);
    MDB_val v = val_of(value.p, value.n);
    const int rc = wtxn_cursor(t, tree, &cur);
    return rc != 0 ? rc : mdb_cursor_put(cur, &k, &v, flags);
}

static int del(struct wtxn *t, enum journal_tree tree, struct str key)
{
    MDB_val k = val_of(key.p, key.n);
    const int rc = mdb_del(t->txn, t->env->dbi[tree], &k, NULL);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int put_chunks(struct wtxn *t, uint64_t seq, struct str rest)
{
    unsigned char key[KEY_CHUNK];
    const struct str k = str_of((const char *)key, sizeof(key));
    int rc = 0;

    for (unsigned chunk = 1; rest.n != 0 && rc == 0; chunk++) {
        const struct str piece = str_of(rest.p, rest.n < ROW_MAX ? rest.n : ROW_MAX);
        if (chunk > CHUNK_MAX) {
            return MDB_BAD_VALSIZE;
        }
        key_chunk(key, seq, chunk);
        rc = put(t, TREE_BD, k, piece, MDB_APPEND);
        if (rc == MDB_KEYEXIST) {
            /* An attempt with a greater seq was put before this event. */
            rc = put(t, TREE_BD, k, piece, 0);
        }
        rest = str_of(rest.p + piece.n, rest.n - piece.n);
    }
    return rc;
}

static int put_record(struct wtxn *t, enum journal_tree tree, uint64_t seq, struct str bytes)
{
    unsigned char key[KEY_SEQ];
    const struct str first = str_of(bytes.p, bytes.n < ROW_MAX ? bytes.n : ROW_MAX);
    int rc;

    key_seq(key, seq);
    rc = put(t, tree, str_of((const char *)key, sizeof(key)), first, MDB_APPEND);
    if (rc == 0 && bytes.n > ROW_MAX) {
        rc = put_chunks(t, seq, str_of(bytes.p + ROW_MAX, bytes.n - ROW_MAX));
    }
    return rc;
}

static int apply_op(struct wtxn *t, const struct batch *b, const struct op *op)
{
    const struct str data = batch_data(b, op);
    const struct str head = str_of(data.p, op->n_key);
    const struct str tail = str_of(data.p + op->n_key, data.n - op->n_key);
    unsigned char key[KEY_RETRY];
    const struct str retry = str_of((const char *)key, sizeof(key));

    switch (op->kind) {
    case OP_EVENT:
        return put_record(t, TREE_EV, op->seq, str_of((const char *)op->blob->p, op->blob->n));
    case OP_ATTEMPT:
        return put_record(t, TREE_AT, op->seq, data);
    case OP_PUT_RETRY:
        key_retry(key, op->seq, op->dest);
        return put(t, TREE_RT, retry, data, 0);
    case OP_DEL_RETRY:
        key_retry(key, op->seq, op->dest);
        return del(t, TREE_RT, retry);
    case OP_PUT_IDEM:
        return put(t, TREE_IK, head, tail, 0);
    case OP_PUT_OBJECT:
        return put(t, TREE_CF, head, tail, 0);
    case OP_DEL_OBJECT:
        return del(t, TREE_CF, data);
    }
    return MDB_BAD_TXN;
}

static int put_meta(struct wtxn *t, const char *name, const void *p, size_t n)
{
    unsigned char bytes[SEAL_BYTES + META_MAX];
    memcpy(bytes + SEAL_BYTES, p, n);
    value_seal(bytes, SEAL_BYTES + n, journal_trees[TREE_MT], str_c(name));
    return put(t, TREE_MT, str_c(name), str_of((const char *)bytes, SEAL_BYTES + n), 0);
}

static int apply_meta(struct wtxn *t, const struct batch *b)
{
    unsigned char bytes[32];
    int rc = 0;

    if (b->low != 0) {
        put_be64(bytes, b->low);
        rc = put_meta(t, META_LOW, bytes, 8);
    }
    if (rc == 0 && b->dest_num != 0) {
        put_be32(bytes, b->dest_num);
        rc = put_meta(t, META_DEST_NUM, bytes, 4);
    }
    if (rc == 0 && b->has_skew) {
        for (size_t i = 0; i < 2; i++) {
            put_be64(bytes + 16 * i, (uint64_t)b->skew.ahead[i]);
            put_be64(bytes + 16 * i + 8, (uint64_t)b->skew.behind[i]);
        }
        rc = put_meta(t, META_SKEW, bytes, 32);
    }
    if (rc == 0 && b->last) {
        put_be64(bytes, (uint64_t)b->closed_ms);
        rc = put_meta(t, META_TIME, bytes, 8);
        if (rc == 0) {
            rc = put_meta(t, META_CLEAN, "\1", 1);
        }
    }
    return rc;
}

int wtxn_apply(struct wtxn *t, const struct batch *b)
{
    for (size_t i = 0; i < b->n_ops; i++) {
        const int rc = apply_op(t, b, &b->ops[i]);
        if (rc != 0) {
            return rc;
        }
    }
    return apply_meta(t, b);
}
