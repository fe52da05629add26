/* SPDX-License-Identifier: Apache-2.0 */
/* Which destinations want an event; filters are compiled when first needed and kept in a bounded
 * LRU list. */
#include "registry_internal.h"

#include <stdlib.h>

#include "longline/log.h"

void registry_filter_drop(struct registry *r, struct dest_entry *de)
{
    if (!de->filter_ready) {
        return;
    }
    filter_free(de->filter);
    de->filter = NULL;
    de->filter_ready = false;
    list_del(&de->filter_node);
    r->n_filters--;
}

const struct filter *registry_filter(struct registry *r, struct dest_entry *de, bool *usable)
{
    *usable = true;
    if (de->dest->filter.n == 0) {
        return NULL;
    }
    if (!de->filter_ready) {
        const int rc = filter_compile(&de->filter, de->dest->filter);
        if (rc != 0) { /* refused on write, so this is damage: match nothing rather than all */
            log_error("filter.unusable", LOG_STR("destination", de->dest->id), LOG_ERR(rc));
            *usable = false;
            return NULL;
        }
        de->filter_ready = true;
        r->n_filters++;
    }
    list_del(&de->filter_node);
    list_push_tail(&r->filters, &de->filter_node);
    if (r->n_filters > r->max_filters) {
        struct dest_entry *oldest = LIST_ENTRY(r->filters.next, struct dest_entry, filter_node);
        if (oldest != de) {
            registry_filter_drop(r, oldest);
        }
    }
    return de->filter;
}

static bool wants(struct registry *r, struct dest_entry *de, const struct match_doc *doc)
{
    if (!topics_match(de->dest->topics, de->dest->n_topics, doc->topic)) {
        return false;
    }
    bool usable = true;
    const struct filter *f = registry_filter(r, de, &usable);
    return usable && filter_match(f, doc);
}

bool registry_wants(struct registry *r, const struct destination *d, const struct match_doc *doc)
{
    struct dest_entry *de = map64_get(&r->by_num, d->num);
    return de != NULL && wants(r, de, doc);
}

static int match_one(struct registry *r, const struct registry_match *m, struct arena *a,
                     struct record_dest **out, size_t *n)
{
    struct dest_entry *de = dest_entry_find(r, m->tenant_id, m->dest_id);
    if (de == NULL || de->dest->disabled_ms != 0 || !wants(r, de, m->doc)) {
        return 0;
    }
    *out = arena_alloc(a, sizeof(**out));
    if (*out == NULL) {
        return ERR_TOO_BIG;
    }
    **out = (struct record_dest){.num = de->dest->num, .id = de->dest->id};
    *n = 1;
    return 0;
}

int registry_match(struct registry *r, const struct registry_match *m, struct arena *a,
                   struct record_dest **out, size_t *n)
{
    *out = NULL;
    *n = 0;
    if (m->dest_id.p != NULL) {
        return match_one(r, m, a, out, n);
    }
    const struct tenant_entry *te = tenant_entry_find(r, m->tenant_id);
    if (te == NULL || te->n_dests == 0) {
        return 0;
    }
    struct record_dest *v = arena_alloc(a, te->n_dests * sizeof(*v));
    if (v == NULL) {
        return ERR_TOO_BIG;
    }
    LIST_FOREACH (it, &te->dests) {
        struct dest_entry *de = LIST_ENTRY(it, struct dest_entry, node);
        if (de->dest->disabled_ms == 0 && *n < RECORD_MAX_DESTS && wants(r, de, m->doc)) {
            v[(*n)++] = (struct record_dest){.num = de->dest->num, .id = de->dest->id};
        }
    }
    *out = v;
    return 0;
}

static int topic_order(const void *x, const void *y)
{
    return str_cmp(*(const struct str *)x, *(const struct str *)y);
}

int registry_tenant_topics(const struct registry *r, struct str id, struct arena *a,
                           struct str **topics, size_t *n)
{
    *topics = NULL;
    *n = 0;
    const struct tenant_entry *te = tenant_entry_find(r, id);
    if (te == NULL) {
        return ERR_NOT_FOUND;
    }
    size_t total = 0;
    LIST_FOREACH (it, &te->dests) {
        total += LIST_ENTRY(it, struct dest_entry, node)->dest->n_topics;
    }
    struct str *v = arena_alloc(a, (total + 1) * sizeof(*v));
    if (v == NULL) {
        return ERR_TOO_BIG;
    }
    *topics = v;
    size_t used = 0;
    LIST_FOREACH (it, &te->dests) {
        const struct destination *d = LIST_ENTRY(it, struct dest_entry, node)->dest;
        for (size_t i = 0; i < d->n_topics; i++) {
            if (str_eq(d->topics[i], STR("*"))) {
                v[0] = STR("*");
                *n = 1;
                return 0;
            }
            v[used++] = d->topics[i];
        }
    }
    qsort(v, used, sizeof(*v), topic_order);
    for (size_t i = 0; i < used; i++) {
        if (i == 0 || !str_eq(v[i], v[*n - 1])) {
            v[(*n)++] = v[i];
        }
    }
    return 0;
}
