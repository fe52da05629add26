/* SPDX-License-Identifier: Apache-2.0 */
#include "dns_cache.h"

#include "longline/check.h"
#include "longline/clock.h"
#include "longline/mem.h"

#define TTL_MIN_MS    INT64_C(5000)
#define TTL_MAX_MS    INT64_C(300000)
#define TTL_FAILED_MS INT64_C(5000)
#define STALE_MS      INT64_C(600000)

struct entry {
    struct list node;
    struct dns_result result;
    int64_t fresh_until;
    int64_t stale_until;
    struct str name; /* in text */
    char text[];
};

static struct str entry_name(const void *item)
{
    return ((const struct entry *)item)->name;
}

void dns_cache_init(struct dns_cache *c, size_t max)
{
    map_init(&c->map, entry_name);
    list_init(&c->lru);
    c->max = max;
}

static void entry_free(struct dns_cache *c, struct entry *e)
{
    (void)map_del(&c->map, e->name);
    list_del(&e->node);
    mem_free(e);
}

void dns_cache_fini(struct dns_cache *c)
{
    while (!list_empty(&c->lru)) {
        entry_free(c, LIST_ENTRY(c->lru.next, struct entry, node));
    }
    map_fini(&c->map);
}

static struct entry *find(struct dns_cache *c, struct str name)
{
    struct entry *e = map_get(&c->map, name);
    if (e != NULL) {
        list_del(&e->node);
        list_push_head(&c->lru, &e->node);
    }
    return e;
}

const struct dns_result *dns_cache_fresh(struct dns_cache *c, struct str name, int64_t now_ms)
{
    const struct entry *e = find(c, name);
    return e != NULL && now_ms < e->fresh_until ? &e->result : NULL;
}

const struct dns_result *dns_cache_stale(struct dns_cache *c, struct str name, int64_t now_ms)
{
    struct entry *e = find(c, name);
    if (e == NULL || e->result.err != 0 || now_ms >= e->stale_until) {
        return NULL;
    }
    e->fresh_until = now_ms + TTL_FAILED_MS;
    return &e->result;
}

void dns_cache_put(struct dns_cache *c, struct str name, const struct dns_result *r, int64_t ttl_s,
                   int64_t now_ms)
{
    struct entry *e = find(c, name);
    if (e == NULL) {
        if (c->map.n >= c->max) {
            entry_free(c, LIST_ENTRY(c->lru.prev, struct entry, node));
        }
        LL_ASSERT(name.n <= DNS_NAME_MAX);
        e = mem_zalloc(sizeof(*e) + name.n);
        memcpy(e->text, name.p, name.n);
        e->name = str_of(e->text, name.n);
        list_push_head(&c->lru, &e->node);
        (void)map_put(&c->map, e);
    }
    int64_t ttl_ms = TTL_FAILED_MS;
    if (r->err == 0) {
        ttl_ms = ttl_s < TTL_MAX_MS / 1000 ? ttl_s * 1000 : TTL_MAX_MS;
        ttl_ms = ttl_ms > TTL_MIN_MS ? ttl_ms : TTL_MIN_MS;
    }
    e->result = *r;
    e->fresh_until = time_add(now_ms, ttl_ms);
    e->stale_until = r->err == 0 ? time_add(e->fresh_until, STALE_MS) : e->fresh_until;
}
