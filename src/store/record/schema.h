/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys and small values of both environments. All numbers are big-endian, so that the order of
 * keys is the order of time.
 *
 * journal
 *   ev  seq8                  the first ROW_MAX bytes of an encoded event
 *   at  seq8                  the same of an encoded attempt
 *   bd  seq8 chunk2           the next ROW_MAX bytes of either (both draw from one number space)
 *   rt  event_seq8 dest4      sealed: see retry.c of record/
 *   ik  hour4 hash16          sealed: seq8 age8; the bucket ends with that hour of the age clock
 *   cf  kind1 key             sealed: the object
 *   mt  name                  sealed: see the META_ names
 *
 * index
 *   po  term8 first_seq8      crc4 last_seq8 deltas: see postings.h
 *   ea  event_seq8 attempt_seq8   crc4 of the key
 *   id  hash8 seq8            crc4 of the key; events whose id came from the publisher
 *   mt  name                  sealed
 *
 * A sealed value is a version byte, a CRC-32C, and the payload. From version 2 on the checksum of
 * every row goes on over the tree's name and the key, so that a row in a wrong place is noticed; of
 * version 1 it covers the payload alone. Rows of both are read, rows of 2 are written. Values of
 * the trees that grow with traffic never exceed ROW_MAX, so that each takes one page at most and
 * LMDB never has to look for a run of free pages. Objects in cf are few and may be larger.
 */
#ifndef LL_STORE_SCHEMA_H
#define LL_STORE_SCHEMA_H

#include <lmdb.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "longline/enc.h"
#include "longline/err.h"
#include "longline/str.h"

#define JOURNAL_FORMAT 2U /* of format 1 are journals whose rows are all of version 1 */
#define INDEX_FORMAT   2U

#define ROW_MAX        4080U /* with its page header exactly one page of 4096 */
#define CHUNK_MAX      0xffffU

enum journal_tree {
    TREE_EV,
    TREE_AT,
    TREE_BD,
    TREE_RT,
    TREE_IK,
    TREE_CF,
    TREE_MT,
    N_JOURNAL_TREES
};
enum index_tree { TREE_PO, TREE_EA, TREE_ID, TREE_IMT, N_INDEX_TREES };

#define META_FORMAT    "format"   /* u32 */
#define META_IDENTITY  "identity" /* 16 bytes: what an index belongs to; new in every backup */
#define META_ID_KEY    "id_key"   /* 16 bytes: key of the attempts' public ids */
#define META_LOW       "low"      /* u64 */
#define META_DEST_NUM  "dest_num" /* u32: the last number given out */
#define META_SKEW      "skew"     /* four i64: see struct skew */
#define META_CLEAN     "clean"    /* u8: 1 after an orderly shutdown */
#define META_TIME      "time"     /* u64: the time of an orderly shutdown */
#define META_AGE       "age"      /* the age clock and the marks: see ages.h ("ages" was another) */
#define META_UPTO      "upto"     /* index: two u64, the last event and attempt it holds */

#define META_MAX       1200U /* the longest of these values */

#define KEY_SEQ        8U
#define KEY_CHUNK      10U
#define KEY_RETRY      12U
#define KEY_IDEM       20U
#define KEY_PAIR       16U /* two u64 */
#define KEY_OBJECT_MAX 401U

#define SEAL_VERSION   2
#define SEAL_BYTES     5U
#define IDEM_BYTES     (SEAL_BYTES + 16U)

/* LMDB takes pointers to what it only reads without const. */
static inline MDB_val val_of(const void *p, size_t n)
{
    MDB_val v = {.mv_size = n, .mv_data = NULL};
    memcpy(&v.mv_data, &p, sizeof(p));
    return v;
}

static inline struct str str_of_val(const MDB_val *v)
{
    return str_of(v->mv_data, v->mv_size);
}

static inline void key_seq(unsigned char key[KEY_SEQ], uint64_t seq)
{
    put_be64(key, seq);
}

static inline void key_chunk(unsigned char key[KEY_CHUNK], uint64_t seq, unsigned chunk)
{
    put_be64(key, seq);
    put_be16(key + 8, (uint16_t)chunk);
}

static inline void key_retry(unsigned char key[KEY_RETRY], uint64_t event_seq, uint32_t dest_num)
{
    put_be64(key, event_seq);
    put_be32(key + 8, dest_num);
}

static inline void key_pair(unsigned char key[KEY_PAIR], uint64_t a, uint64_t b)
{
    put_be64(key, a);
    put_be64(key + 8, b);
}

extern const char *const journal_trees[N_JOURNAL_TREES]; /* names, by enum journal_tree */
extern const char *const index_trees[N_INDEX_TREES];

/* A checksum continued over where its row lies. */
uint32_t place_crc(uint32_t crc, const char *tree, struct str key);
/* Fills the first SEAL_BYTES of a value whose payload is in place, for this tree and key. */
void value_seal(unsigned char *value, size_t n, const char *tree, struct str key);
/* ERR_CORRUPT, ERR_VERSION; the payload points into v. */
int value_open(struct str v, const char *tree, struct str key, struct str *payload) LL_MUST_USE;

/* err_from_mdb is the one place where LMDB's codes are translated. */
int err_from_mdb(int rc);

/* mt trees: sealed values under a short name. ERR_NOT_FOUND; ERR_CORRUPT when the size differs. */
int meta_get(MDB_txn *txn, MDB_dbi dbi, const char *name, void *out, size_t n) LL_MUST_USE;
int meta_put(MDB_txn *txn, MDB_dbi dbi, const char *name, const void *p, size_t n) LL_MUST_USE;

#endif
