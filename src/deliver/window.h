/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The window of fresh events: those whose deliveries are neither ended nor backed by a retry
 * record, in the order of their seq.
 *
 *   resolved or stored | low ... fresh events ... | newest
 *
 * Everything below `low` needs no scan at the next start. Events that stay too long are spilled by
 * the caller (retry records are written), so that low always advances.
 */
#ifndef LL_WINDOW_H
#define LL_WINDOW_H

#include <stddef.h>
#include <stdint.h>

#include "longline/blob.h"
#include "longline/list.h"

struct fresh_event {
    struct list node; /* in the window */
    uint64_t seq;
    int64_t added_mono_ms;
    struct blob *blob;    /* NULL when dropped for memory: read from the store instead */
    uint32_t outstanding; /* deliveries still fresh */
    uint32_t n_dests;
    uint32_t dests[]; /* numbers */
};

struct window {
    struct list events;
    uint64_t next_low; /* low while the window is empty */
    size_t n;
    size_t n_outstanding; /* deliveries of all of them */
    size_t blob_bytes;
    size_t max_blob_bytes;
};

void window_init(struct window *w, uint64_t low, size_t max_blob_bytes);
void window_fini(struct window *w);
/* seq must be greater than all before. Returns NULL when n_dests is 0. blob may be NULL. */
struct fresh_event *window_add(struct window *w, uint64_t seq, struct blob *blob,
                               const uint32_t *dests, size_t n_dests, int64_t now_mono_ms);
/* One more to be released. */
void window_hold(struct window *w, struct fresh_event *e);
/* One delivery of the event is resolved or stored; at the last one the event leaves. */
void window_release(struct window *w, struct fresh_event *e);
uint64_t window_low(const struct window *w);
/* Oldest event, or NULL. */
struct fresh_event *window_oldest(const struct window *w);

#endif
