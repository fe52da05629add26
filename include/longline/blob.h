/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Immutable shared bytes: an event written once, referenced by the deliveries of the loop thread
 * and by the batch of the writer thread. The count is atomic because it crosses threads; the bytes
 * may only be written between blob_new and the first sharing.
 */
#ifndef LL_BLOB_H
#define LL_BLOB_H

#include <stdatomic.h>
#include <stddef.h>

struct blob {
    atomic_uint refs;
    size_t n;
    unsigned char p[];
};

struct blob *blob_new(size_t n); /* one reference; NULL when memory is gone */
struct blob *blob_ref(struct blob *b);
void blob_unref(struct blob *b); /* NULL is fine; freed at zero, on whichever thread */

#endif
