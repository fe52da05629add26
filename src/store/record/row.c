/* SPDX-License-Identifier: Apache-2.0 */
/* From rows to records. A record up to ROW_MAX is one row and is read where it is mapped. */
#include "record/record_internal.h"
#include "store_internal.h"

int row_join(MDB_txn *txn, const struct env *journal, uint64_t seq, struct str first, size_t need,
             struct arena *a, struct str *out)
{
    size_t have = first.n;
    char *p;

    if (need <= first.n) {
        *out = first;
        return 0;
    }
    if (first.n != ROW_MAX) {
        return ERR_CORRUPT;
    }
    p = arena_alloc(a, need);
    if (p == NULL) {
        return ERR_TOO_BIG;
    }
    memcpy(p, first.p, first.n);
    for (unsigned chunk = 1; have < need; chunk++) {
        unsigned char bytes[KEY_CHUNK];
        MDB_val key = val_of(bytes, sizeof(bytes));
        MDB_val value;
        size_t n;
        int rc;

        if (chunk > CHUNK_MAX) {
            return ERR_CORRUPT;
        }
        key_chunk(bytes, seq, chunk);
        rc = mdb_get(txn, journal->dbi[TREE_BD], &key, &value);
        if (rc != 0 || value.mv_size == 0) {
            return rc == MDB_NOTFOUND || rc == 0 ? ERR_CORRUPT : err_from_mdb(rc);
        }
        n = value.mv_size < need - have ? value.mv_size : need - have;
        memcpy(p + have, value.mv_data, n);
        have += n;
    }
    *out = str_of(p, need);
    return 0;
}

int row_event(MDB_txn *txn, const struct env *journal, uint64_t seq, struct str first,
              bool head_only, struct arena *a, struct event_record *out)
{
    struct record_size size;
    struct str bytes = STR_NULL;
    int rc = event_size(first, &size);

    if (rc == 0 && size.total <= ROW_MAX && size.total != first.n) {
        rc = ERR_CORRUPT;
    }
    if (rc == 0) {
        rc = row_join(txn, journal, seq, first, head_only ? size.head : size.total, a, &bytes);
    }
    if (rc != 0) {
        return rc;
    }
    return head_only ? event_decode_head(out, seq, bytes, a) : event_decode(out, seq, bytes, a);
}

int row_attempt(MDB_txn *txn, const struct env *journal, uint64_t seq, struct str first,
                struct arena *a, struct attempt_record *out)
{
    struct record_size size;
    struct str bytes = STR_NULL;
    int rc = attempt_size(first, &size);

    if (rc == 0) {
        rc = row_join(txn, journal, seq, first, size.total, a, &bytes);
    }
    if (rc == 0 && bytes.n > size.total) {
        rc = ERR_CORRUPT;
    }
    return rc == 0 ? attempt_decode(out, seq, bytes) : rc;
}

bool row_event_wants(MDB_txn *txn, const struct env *journal, uint64_t seq, uint32_t dest_num)
{
    unsigned char bytes[KEY_SEQ];
    MDB_val key = val_of(bytes, sizeof(bytes));
    MDB_val value;
    struct event_record e;
    struct arena a;
    bool found = false;

    key_seq(bytes, seq);
    if (mdb_get(txn, journal->dbi[TREE_EV], &key, &value) != 0) {
        return false;
    }
    arena_init(&a, RECORD_MAX_BYTES);
    if (row_event(txn, journal, seq, str_of_val(&value), true, &a, &e) == 0) {
        for (size_t i = 0; i < e.n_dests; i++) {
            found = found || e.dests[i].num == dest_num;
        }
    }
    arena_fini(&a);
    return found;
}
