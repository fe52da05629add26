/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Publishing: from a request body to a durable event. Used by the native API and every dialect.
 *
 * publish_start validates, deduplicates, matches, and puts the event into the store's open batch.
 * When that batch is durable the event is queued for delivery and `done` is called: only then may
 * anyone be told.
 */
#ifndef LL_PUBLISH_H
#define LL_PUBLISH_H

#include "longline/arena.h"
#include "longline/deliver.h"
#include "longline/metrics.h"
#include "longline/model.h"
#include "longline/registry.h"
#include "longline/store.h"

struct publish;

struct publish_options {
    struct loop *loop;
    struct store *store;
    struct registry *registry;
    struct deliver *deliver;
    const struct rng *rng;
    const struct topic_rules *topics; /* borrowed, may change between calls */
    bool ids_without_dots; /* Standard Webhooks: a dot in an id would move the signed boundary */
    size_t max_event;      /* bytes of the encoded event */
};

struct publish_metrics {
    struct metric accepted; /* events that became durable */
    struct metric duplicates;
    struct metric refused; /* also those refused before publish_start */
    struct metric latency; /* histogram: publish_start to done */
};

void publish_open(struct publish **out, const struct publish_options *o);
struct publish_metrics *publish_get_metrics(struct publish *p);
/* One more that was refused before its body was read. */
void publish_count_refused(struct publish *p);
void publish_set_max_event(struct publish *p, size_t max_event); /* after a reload */
/* No publish may be under way. */
void publish_free(struct publish *p);

struct publish_result {
    struct str id;
    bool duplicate;
    size_t n_dests;
    const struct record_dest *dests; /* matched */
};
/* Valid during the call (the request's arena still lives). */
typedef void (*publish_done_fn)(void *ctx, const struct publish_result *r);

/*
 * body: the JSON of POST /publish. Everything is kept in the arena, which must live
 * until done is called. 0: done follows exactly once, never before this returned. Otherwise
 * *problem is filled for the client (422, 400, 503 …) and nothing follows; ERR_BUSY and ERR_FULL
 * mean: answer 503 with Retry-After.
 */
int publish_start(struct publish *p, struct str body, struct arena *a, struct problem *problem,
                  publish_done_fn done, void *ctx) LL_MUST_USE;

#endif
