/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Posting lists: the ascending seqs of a term, cut into rows.
 *
 *   key    term8 first_seq8
 *   value  crc4 of what follows and the key | last_seq8 | deltas: base-128 numbers, each the
 *          distance to the next seq
 *
 * New seqs go to the end of the term's last row while it has room, so a busy term costs one row
 * per batch and a rare one does not waste a page.
 */
#ifndef LL_STORE_POSTINGS_H
#define LL_STORE_POSTINGS_H

#include <lmdb.h>
#include <stdbool.h>
#include <stdint.h>

#include "longline/arena.h"

#include "index/terms.h"
#include "record/schema.h"

#define POSTING_HEAD      12U
#define POSTING_VALUE_MAX 1500U /* inline in its page, two to a page */
#define POSTING_SEQS_MAX  (POSTING_VALUE_MAX - POSTING_HEAD + 1U)

/* Adds all seqs of a list. LMDB's codes; a damaged row is MDB_CORRUPTED. */
int posting_append(MDB_cursor *cur, const struct terms *t,
                   const struct term_list *list) LL_MUST_USE;
/* Puts a row of n ascending seqs, which came from one row. */
int posting_put(MDB_cursor *cur, uint64_t term, const uint64_t *seqs, size_t n) LL_MUST_USE;
/* Decodes a row into out[POSTING_SEQS_MAX]; the number of seqs, 0 when it is damaged. */
size_t posting_decode(const MDB_val *key, const MDB_val *value, uint64_t *out);
/* The last seq of a row; false when it is damaged. */
bool posting_last(const MDB_val *key, const MDB_val *value, uint64_t *last);

/* Rows of ea and id are keys; their value is a checksum of the key. */
#define PAIR_BYTES 4U
void pair_seal(unsigned char out[PAIR_BYTES], enum index_tree tree, const MDB_val *key);
bool pair_is_sound(enum index_tree tree, const MDB_val *key, const MDB_val *value);

/* Walks the seqs of one term in one direction. */
struct posting_iter {
    MDB_cursor *cur;
    uint64_t term;
    bool ascending;
    uint64_t *seqs; /* of the row under the cursor */
    size_t n, at;
    bool is_end;
    uint64_t seq; /* the current one, unless is_end */
};
/* LMDB's codes, MDB_CORRUPTED. The memory comes from the arena (ENOMEM). */
int posting_open(struct posting_iter *it, MDB_txn *txn, MDB_dbi dbi, uint64_t term, bool ascending,
                 struct arena *a) LL_MUST_USE;
void posting_close(struct posting_iter *it);
/* To the first seq at or beyond `seq` in walking order; never moves back. */
int posting_seek(struct posting_iter *it, uint64_t seq) LL_MUST_USE;

#endif
