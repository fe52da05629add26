/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What goes to the writer in one commit: a list of operations whose effect on the journal is a
 * pure function of the batch. Filled on the loop thread, moved to the writer, moved back with the
 * result, used again. Attempts and small values are encoded into one buffer; events stay in their
 * shared blobs.
 */
#ifndef LL_STORE_BATCH_H
#define LL_STORE_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "longline/blob.h"
#include "longline/buf.h"
#include "longline/list.h"
#include "longline/str.h"

/* Written in a few milliseconds; LMDB keeps the memory of its largest transaction. */
#define BATCH_MAX_BYTES ((size_t)8 * 1024 * 1024)
#define BATCH_MAX_OPS   16384U
#define BATCH_OP_BYTES  64U /* what an operation costs besides its payload */

enum op_kind {
    OP_EVENT,      /* blob */
    OP_ATTEMPT,    /* data */
    OP_PUT_RETRY,  /* seq, dest, data: sealed value */
    OP_DEL_RETRY,  /* seq, dest */
    OP_PUT_IDEM,   /* data: key, sealed value */
    OP_PUT_OBJECT, /* data: key of n_key bytes, sealed value */
    OP_DEL_OBJECT  /* data: key */
};

struct op {
    enum op_kind kind;
    uint32_t dest;
    uint64_t seq;
    struct blob *blob;
    size_t offset; /* into batch.data */
    uint32_t n;
    uint32_t n_key;
};

/* How far record times lie from the time in their seq; high-water marks. Index: enum store_kind. */
struct skew {
    int64_t ahead[2];  /* record time later than seq time, ms */
    int64_t behind[2]; /* earlier */
};

enum msg_kind { MSG_BATCH, MSG_ROOM, MSG_INDEX_LOST, MSG_INDEX_ENDED, MSG_DAMAGED };

struct store_msg { /* from the threads to the loop */
    struct list node;
    enum msg_kind kind;
};

struct idem; /* an idempotency key that is not durable yet */

struct batch {
    struct store_msg msg;
    struct list node; /* in the writer's queue, or spare */
    struct op *ops;
    size_t n_ops;
    size_t cap_ops;
    struct buf data;
    size_t bytes;        /* payload and overhead */
    size_t room;         /* what it takes in pages, at most */
    struct list waiters; /* loop thread only, also while the writer has the batch */
    struct list idems;   /* likewise */
    size_t n_events;
    size_t n_attempts;
    bool has_meta;
    uint64_t low;      /* 0: unchanged */
    uint32_t dest_num; /* 0: unchanged */
    bool has_skew;
    struct skew skew;
    bool last;         /* marks the orderly end; the writer stops after it */
    int64_t closed_ms; /* when that was */
    struct batch_result {
        int rc;
        int foreign;
        bool is_gone; /* nothing failed, but the file is not in its place any more */
        int64_t commit_us;
        uint64_t purged_events;
        uint64_t purged_attempts;
        uint64_t n_retries;
    } result;
};

struct batch *batch_new(void);
void batch_free(struct batch *b);
void batch_reset(struct batch *b); /* drops the references to blobs */
/* A new operation at the end, zeroed but for its kind. */
struct op *batch_add(struct batch *b, enum op_kind kind);

static inline bool batch_is_full(const struct batch *b)
{
    return b->bytes >= BATCH_MAX_BYTES || b->n_ops >= BATCH_MAX_OPS;
}

static inline bool batch_is_empty(const struct batch *b)
{
    return b->n_ops == 0 && !b->has_meta && !b->last;
}

static inline struct str batch_data(const struct batch *b, const struct op *op)
{
    return op->n != 0 ? str_of(b->data.p + op->offset, op->n) : STR_NULL;
}

#endif
