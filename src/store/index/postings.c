/* SPDX-License-Identifier: Apache-2.0 */
#include "index/postings.h"

#include <errno.h>

#include "longline/hash.h"

#include "record/schema.h"

#define VARINT_MAX 10U

static size_t put_varint(unsigned char *p, uint64_t v)
{
    size_t n = 0;
    while (v >= 0x80) {
        p[n++] = (unsigned char)(v | 0x80);
        v >>= 7;
    }
    p[n++] = (unsigned char)v;
    return n;
}

/* Bytes used, 0 when the number does not end within n bytes. */
static size_t get_varint(const unsigned char *p, size_t n, uint64_t *out)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n && i < VARINT_MAX; i++) {
        v |= (uint64_t)(p[i] & 0x7f) << (7 * i);
        if (p[i] < 0x80) {
            *out = v;
            return i + 1;
        }
    }
    return 0;
}

static uint32_t row_crc(const void *key, const unsigned char *value, size_t n)
{
    return crc32c(crc32c(0, value + 4, n - 4), key, KEY_PAIR);
}

static bool is_sound(const MDB_val *key, const MDB_val *value)
{
    return key->mv_size == KEY_PAIR && value->mv_size >= POSTING_HEAD &&
           value->mv_size <= POSTING_VALUE_MAX &&
           row_crc(key->mv_data, value->mv_data, value->mv_size) == get_be32(value->mv_data);
}

void pair_seal(unsigned char out[PAIR_BYTES], enum index_tree tree, const MDB_val *key)
{
    put_be32(out, place_crc(0, index_trees[tree], str_of_val(key)));
}

bool pair_is_sound(enum index_tree tree, const MDB_val *key, const MDB_val *value)
{
    return key->mv_size == KEY_PAIR && value->mv_size == PAIR_BYTES &&
           place_crc(0, index_trees[tree], str_of_val(key)) == get_be32(value->mv_data);
}

size_t posting_decode(const MDB_val *key, const MDB_val *value, uint64_t *out)
{
    const unsigned char *p = value->mv_data;
    size_t left = value->mv_size;
    size_t n = 0;
    uint64_t seq;

    if (!is_sound(key, value)) {
        return 0;
    }
    seq = get_be64((const unsigned char *)key->mv_data + 8);
    out[n++] = seq;
    left -= POSTING_HEAD;
    for (const unsigned char *d = p + POSTING_HEAD; left != 0;) {
        uint64_t delta;
        const size_t used = get_varint(d, left, &delta);
        if (used == 0 || delta == 0) {
            return 0;
        }
        seq += delta;
        out[n++] = seq;
        d += used;
        left -= used;
    }
    return seq == get_be64(p + 4) ? n : 0;
}

bool posting_last(const MDB_val *key, const MDB_val *value, uint64_t *last)
{
    if (!is_sound(key, value)) {
        return false;
    }
    *last = get_be64((const unsigned char *)value->mv_data + 4);
    return true;
}

/* Cursor to the last row whose key is at or below (term, seq). MDB_NOTFOUND when it is another
 * term's or there is none. */
static int seek_row(MDB_cursor *cur, uint64_t term, uint64_t seq, MDB_val *key, MDB_val *value)
{
    unsigned char bytes[KEY_PAIR];
    int rc;

    key_pair(bytes, term, seq);
    *key = val_of(bytes, sizeof(bytes));
    rc = mdb_cursor_get(cur, key, value, MDB_SET_RANGE);
    if (rc == MDB_NOTFOUND) {
        rc = mdb_cursor_get(cur, key, value, MDB_LAST);
    } else if (rc == 0 && memcmp(key->mv_data, bytes, sizeof(bytes)) != 0) {
        rc = mdb_cursor_get(cur, key, value, MDB_PREV);
    }
    if (rc != 0) {
        return rc;
    }
    if (key->mv_size != KEY_PAIR) {
        return MDB_CORRUPTED;
    }
    return get_be64(key->mv_data) == term ? 0 : MDB_NOTFOUND;
}

struct row { /* being filled */
    uint64_t first, last;
    size_t n; /* bytes of value, 0: no row yet */
    unsigned char value[POSTING_VALUE_MAX + VARINT_MAX];
};

static int put_row(MDB_cursor *cur, uint64_t term, struct row *r)
{
    unsigned char bytes[KEY_PAIR];
    MDB_val key = val_of(bytes, sizeof(bytes));
    MDB_val value = val_of(r->value, r->n);

    if (r->n == 0) {
        return 0;
    }
    key_pair(bytes, term, r->first);
    put_be64(r->value + 4, r->last);
    put_be32(r->value, row_crc(bytes, r->value, r->n));
    return mdb_cursor_put(cur, &key, &value, 0);
}

/* The last row of the term, to go on with. */
static int load_row(MDB_cursor *cur, uint64_t term, struct row *r)
{
    MDB_val key;
    MDB_val value;
    const int rc = seek_row(cur, term, UINT64_MAX, &key, &value);

    r->n = 0;
    if (rc != 0) {
        return rc == MDB_NOTFOUND ? 0 : rc;
    }
    if (!posting_last(&key, &value, &r->last)) {
        return MDB_CORRUPTED;
    }
    r->first = get_be64((const unsigned char *)key.mv_data + 8);
    r->n = value.mv_size;
    memcpy(r->value, value.mv_data, value.mv_size);
    return 0;
}

int posting_append(MDB_cursor *cur, const struct terms *t, const struct term_list *list)
{
    struct row r;
    uint32_t at = list->first;
    int rc = load_row(cur, list->term, &r);

    for (uint32_t i = 0; i < list->n && rc == 0; i++) {
        const struct term_pair *pair = &t->pairs[at];
        size_t n = 0;
        if (r.n != 0 && pair->seq <= r.last) {
            at = pair->next - 1;
            continue; /* has it already */
        }
        if (r.n != 0) {
            n = put_varint(r.value + r.n, pair->seq - r.last);
            if (r.n + n > POSTING_VALUE_MAX) {
                rc = put_row(cur, list->term, &r);
                r.n = 0;
            }
        }
        if (r.n == 0) {
            r.first = pair->seq;
            r.n = POSTING_HEAD;
        } else {
            r.n += n;
        }
        r.last = pair->seq;
        at = pair->next - 1;
    }
    return rc == 0 ? put_row(cur, list->term, &r) : rc;
}

int posting_put(MDB_cursor *cur, uint64_t term, const uint64_t *seqs, size_t n)
{
    struct row r = {.first = seqs[0], .last = seqs[n - 1], .n = POSTING_HEAD};
    for (size_t i = 1; i < n && r.n <= POSTING_VALUE_MAX; i++) {
        r.n += put_varint(r.value + r.n, seqs[i] - seqs[i - 1]);
    }
    return r.n <= POSTING_VALUE_MAX ? put_row(cur, term, &r) : MDB_CORRUPTED;
}

/* ---- reading ---- */

int posting_open(struct posting_iter *it, MDB_txn *txn, MDB_dbi dbi, uint64_t term, bool ascending,
                 struct arena *a)
{
    *it = (struct posting_iter){.term = term, .ascending = ascending};
    it->seqs = arena_alloc(a, POSTING_SEQS_MAX * sizeof(*it->seqs));
    if (it->seqs == NULL) {
        return ENOMEM;
    }
    return mdb_cursor_open(txn, dbi, &it->cur);
}

void posting_close(struct posting_iter *it)
{
    if (it->cur != NULL) {
        mdb_cursor_close(it->cur);
        it->cur = NULL;
    }
}

static int end(struct posting_iter *it)
{
    it->is_end = true;
    it->n = 0;
    return 0;
}

static int load(struct posting_iter *it, int rc, const MDB_val *key, const MDB_val *value)
{
    if (rc == MDB_NOTFOUND || (rc == 0 && get_be64(key->mv_data) != it->term)) {
        return end(it);
    }
    if (rc != 0) {
        return rc;
    }
    it->n = posting_decode(key, value, it->seqs);
    return it->n != 0 ? 0 : MDB_CORRUPTED;
}

/* Position of the first seq >= seq, n when there is none. */
static size_t lower_bound(const uint64_t *v, size_t n, uint64_t seq)
{
    size_t lo = 0;
    while (n > 0) {
        const size_t half = n / 2;
        if (v[lo + half] < seq) {
            lo += half + 1;
            n -= half + 1;
        } else {
            n = half;
        }
    }
    return lo;
}

static int seek_ascending(struct posting_iter *it, uint64_t seq)
{
    MDB_val key;
    MDB_val value;
    int rc;

    if (it->n == 0 || it->seqs[it->n - 1] < seq) {
        rc = seek_row(it->cur, it->term, seq, &key, &value);
        if (rc == MDB_NOTFOUND) {
            unsigned char bytes[KEY_PAIR];
            key_pair(bytes, it->term, seq);
            key = val_of(bytes, sizeof(bytes));
            rc = mdb_cursor_get(it->cur, &key, &value, MDB_SET_RANGE);
        }
        rc = load(it, rc, &key, &value);
        if (rc == 0 && !it->is_end && it->seqs[it->n - 1] < seq) {
            rc = mdb_cursor_get(it->cur, &key, &value, MDB_NEXT);
            rc = load(it, rc, &key, &value);
        }
        if (rc != 0 || it->is_end) {
            return rc;
        }
    }
    it->at = lower_bound(it->seqs, it->n, seq);
    it->seq = it->seqs[it->at];
    return 0;
}

static int seek_descending(struct posting_iter *it, uint64_t seq)
{
    if (it->n == 0 || it->seqs[0] > seq) {
        MDB_val key;
        MDB_val value;
        int rc = seek_row(it->cur, it->term, seq, &key, &value);
        rc = load(it, rc, &key, &value);
        if (rc != 0 || it->is_end) {
            return rc;
        }
    }
    it->at = seq == UINT64_MAX ? it->n : lower_bound(it->seqs, it->n, seq + 1);
    it->at--; /* the row begins at or below seq */
    it->seq = it->seqs[it->at];
    return 0;
}

int posting_seek(struct posting_iter *it, uint64_t seq)
{
    if (it->is_end) {
        return 0;
    }
    return it->ascending ? seek_ascending(it, seq) : seek_descending(it, seq);
}
