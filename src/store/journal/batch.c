/* SPDX-License-Identifier: Apache-2.0 */
#include "journal/batch.h"

#include "longline/check.h"
#include "longline/mem.h"

#define KEEP_OPS  4096U
#define KEEP_DATA ((size_t)1024 * 1024)
#define DATA_MAX  ((size_t)1024 * 1024 * 1024) /* far above BATCH_MAX_BYTES and one record */

struct batch *batch_new(void)
{
    struct batch *b = mem_zalloc(sizeof(*b));
    list_init(&b->msg.node);
    list_init(&b->node);
    list_init(&b->waiters);
    list_init(&b->idems);
    buf_init(&b->data, DATA_MAX);
    return b;
}

static void drop_blobs(struct batch *b)
{
    for (size_t i = 0; i < b->n_ops; i++) {
        blob_unref(b->ops[i].blob);
    }
    b->n_ops = 0;
}

void batch_free(struct batch *b)
{
    if (b == NULL) {
        return;
    }
    drop_blobs(b);
    buf_fini(&b->data);
    mem_free(b->ops);
    mem_free(b);
}

void batch_reset(struct batch *b)
{
    LL_ASSERT(list_empty(&b->waiters) && list_empty(&b->idems));
    drop_blobs(b);
    if (b->cap_ops > KEEP_OPS) {
        mem_free(b->ops);
        b->ops = NULL;
        b->cap_ops = 0;
    }
    buf_reset(&b->data);
    buf_shrink(&b->data, KEEP_DATA);
    b->bytes = 0;
    b->room = 0;
    b->n_events = 0;
    b->n_attempts = 0;
    b->has_meta = false;
    b->low = 0;
    b->dest_num = 0;
    b->has_skew = false;
    b->last = false;
    b->result = (struct batch_result){0};
}

struct op *batch_add(struct batch *b, enum op_kind kind)
{
    struct op *op;
    if (b->n_ops == b->cap_ops) {
        b->cap_ops = b->cap_ops != 0 ? b->cap_ops * 2 : 256;
        b->ops = mem_realloc_array(b->ops, b->cap_ops, sizeof(*b->ops));
    }
    op = &b->ops[b->n_ops++];
    *op = (struct op){.kind = kind};
    return op;
}
