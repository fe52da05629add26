/* SPDX-License-Identifier: Apache-2.0 */
#include "window.h"

#include "longline/check.h"
#include "longline/mem.h"

void window_init(struct window *w, uint64_t low, size_t max_blob_bytes)
{
    *w = (struct window){.next_low = low, .max_blob_bytes = max_blob_bytes};
    list_init(&w->events);
}

static void drop_blob(struct window *w, struct fresh_event *e)
{
    if (e->blob != NULL) {
        w->blob_bytes -= e->blob->n;
        blob_unref(e->blob);
        e->blob = NULL;
    }
}

static void leave(struct window *w, struct fresh_event *e)
{
    drop_blob(w, e);
    list_del(&e->node);
    w->n--;
    mem_free(e);
}

void window_fini(struct window *w)
{
    LIST_FOREACH_SAFE (it, tmp, &w->events) {
        leave(w, LIST_ENTRY(it, struct fresh_event, node));
    }
}

struct fresh_event *window_add(struct window *w, uint64_t seq, struct blob *blob,
                               const uint32_t *dests, size_t n_dests, int64_t now_mono_ms)
{
    LL_ASSERT(seq >= w->next_low);
    w->next_low = seq + 1;
    if (n_dests == 0) {
        return NULL;
    }
    struct fresh_event *e = mem_alloc(sizeof(*e) + n_dests * sizeof(e->dests[0]));
    *e = (struct fresh_event){.seq = seq,
                              .added_mono_ms = now_mono_ms,
                              .outstanding = (uint32_t)n_dests,
                              .n_dests = (uint32_t)n_dests};
    for (size_t i = 0; i < n_dests; i++) {
        e->dests[i] = dests[i];
    }
    if (blob != NULL && w->blob_bytes + blob->n <= w->max_blob_bytes) {
        e->blob = blob_ref(blob);
        w->blob_bytes += blob->n;
    }
    list_init(&e->node);
    list_push_tail(&w->events, &e->node);
    w->n++;
    w->n_outstanding += n_dests;
    return e;
}

void window_hold(struct window *w, struct fresh_event *e)
{
    e->outstanding++;
    w->n_outstanding++;
}

void window_release(struct window *w, struct fresh_event *e)
{
    LL_ASSERT(e->outstanding > 0);
    w->n_outstanding--;
    if (--e->outstanding == 0) {
        leave(w, e);
    }
}

uint64_t window_low(const struct window *w)
{
    const struct fresh_event *oldest = window_oldest(w);
    return oldest != NULL ? oldest->seq : w->next_low;
}

struct fresh_event *window_oldest(const struct window *w)
{
    return list_empty(&w->events) ? NULL : LIST_ENTRY(w->events.next, struct fresh_event, node);
}
