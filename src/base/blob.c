/* SPDX-License-Identifier: Apache-2.0 */
#include "longline/blob.h"

#include "longline/check.h"
#include "longline/ckd.h"
#include "longline/mem.h"

struct blob *blob_new(size_t n)
{
    size_t total;
    struct blob *b;
    if (ckd_add_size(&total, sizeof(*b), n)) {
        return NULL;
    }
    b = mem_try_alloc(total);
    if (b == NULL) {
        return NULL;
    }
    atomic_init(&b->refs, 1);
    b->n = n;
    return b;
}

struct blob *blob_ref(struct blob *b)
{
    const unsigned before = atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
    LL_ASSERT(before != 0);
    return b;
}

void blob_unref(struct blob *b)
{
    unsigned before;
    if (b == NULL) {
        return;
    }
    /* Release orders this thread's reads before the free; acquire orders the free after everybody
     * else's. */
    before = atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel);
    LL_ASSERT(before != 0);
    if (before == 1) {
        mem_free(b);
    }
}
