/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tenants and destinations in memory, kept durable through the store. Changes take effect in memory
 * at once and go into the store's open batch: the caller answers its client from a store waiter
 * (store_wait) added after the call. As the batch keeps its order, an event that matched a new
 * destination is never durable before the destination.
 *
 * Objects handed out are immutable and valid until the loop turns or the object is changed.
 */
#ifndef LL_REGISTRY_H
#define LL_REGISTRY_H

#include "longline/list.h"
#include "longline/match.h"
#include "longline/model.h"
#include "longline/store.h"
#include "longline/vault.h"

struct registry;

/*
 * What the destinations of one tenant may weigh together, so that their list, which is not paged,
 * fits into one reply. A destination weighs what it takes in JSON and something for each topic;
 * the default number of destinations fits at their largest.
 */
#define REGISTRY_MAX_TENANT_WEIGHT ((size_t)7 << 20)

/* Deleted tenants that are remembered one by one; about 100 bytes each. */
#define REGISTRY_MAX_TOMBSTONES    ((size_t)100000)

struct registry_options {
    struct store *store;
    const struct vault *vault;
    size_t max_destinations_per_tenant;
    size_t max_cached_filters; /* compiled filters kept */
    size_t max_tombstones;     /* > 0 */
    /* After a destination was created, changed, disabled, enabled or deleted. */
    void (*on_dest_changed)(void *ctx, uint32_t num);
    void *ctx;
};

/* Loads everything from the store. */
int registry_open(struct registry **out, const struct registry_options *o,
                  struct err_detail *err) LL_MUST_USE;
void registry_set_hook(struct registry *r, void (*on_dest_changed)(void *ctx, uint32_t num),
                       void *ctx);
void registry_set_limit(struct registry *r, size_t max_destinations_per_tenant);
void registry_free(struct registry *r);
/* Writes destinations anew that the store holds in an older form, in clear what is sealed today; a
 * slice per commit. Stop it before the store is closed. */
void registry_reseal_start(struct registry *r);
void registry_reseal_stop(struct registry *r);

size_t registry_n_tenants(const struct registry *r);
size_t registry_n_destinations(const struct registry *r);

/* ---- tenants ---- */
const struct tenant *registry_tenant(const struct registry *r, struct str id);
/* Creates or replaces; *created tells which. The generation and tokens_after_s are the registry's
 * to choose. ERR_TOO_BIG, ERR_FULL. */
int registry_put_tenant(struct registry *r, const struct tenant *t, bool *created) LL_MUST_USE;
/* With all its destinations. ERR_NOT_FOUND, ERR_NOMEM. */
int registry_del_tenant(struct registry *r, struct str id, int64_t now_ms) LL_MUST_USE;
/* Sorted union of its destinations' topics ({"*"} when one has "*"), in the arena. */
int registry_tenant_topics(const struct registry *r, struct str id, struct arena *a,
                           struct str **topics, size_t *n) LL_MUST_USE;
size_t registry_tenant_n_destinations(const struct registry *r, struct str id);
/* What that union costs, known without making it: an upper bound of its JSON, and more for many
 * short topics. */
size_t registry_tenant_topics_cost(const struct registry *r, struct str id);

/* One page of tenants by (created_ms, id). `after` is the cursor's position: the last one shown,
 * with after_id.p NULL for the first page. *more tells whether others follow. */
struct registry_tenant_page {
    struct store_strs ids; /* filter; n = 0: all */
    bool ascending;
    size_t limit;
    int64_t after_ms;
    struct str after_id;
};
int registry_list_tenants(const struct registry *r, const struct registry_tenant_page *q,
                          struct arena *a, const struct tenant ***out, size_t *n, bool *more,
                          size_t *total) LL_MUST_USE;

/* ---- destinations ---- */
const struct destination *registry_dest(const struct registry *r, struct str tenant_id,
                                        struct str id);
const struct destination *registry_dest_by_num(const struct registry *r, uint32_t num);
/* All of a tenant, by created_ms then id, in the arena. */
int registry_list_dests(const struct registry *r, struct str tenant_id, struct arena *a,
                        const struct destination ***out, size_t *n) LL_MUST_USE;
/* Gives d->num (and d->id when empty: a fresh UUID in the arena). ERR_NOT_FOUND (tenant),
 * ERR_EXISTS, ERR_LIMIT, ERR_TOO_BIG (it alone), ERR_RANGE (with the tenant's others, see
 * REGISTRY_MAX_TENANT_WEIGHT), ERR_FULL. */
int registry_add_dest(struct registry *r, struct destination *d, struct arena *a) LL_MUST_USE;
/* Replaces the one with the same tenant, id and num. The same errors; ERR_RANGE only when it grows,
 * which disabling and enabling never do. */
int registry_put_dest(struct registry *r, const struct destination *d) LL_MUST_USE;
int registry_del_dest(struct registry *r, struct str tenant_id, struct str id) LL_MUST_USE;

/* ---- matching ---- */
struct registry_match {
    struct str tenant_id;
    struct str dest_id; /* STR_NULL: all of the tenant's; else only this one is considered */
    const struct match_doc *doc;
};
/* Enabled destinations that want the event, in order of creation, in the arena. */
int registry_match(struct registry *r, const struct registry_match *m, struct arena *a,
                   struct record_dest **out, size_t *n) LL_MUST_USE;
/* Would this destination want it (topic and filter), enabled or not? For manual retries. */
bool registry_wants(struct registry *r, const struct destination *d, const struct match_doc *doc);

#endif
