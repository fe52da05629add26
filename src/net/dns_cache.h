/* SPDX-License-Identifier: Apache-2.0 */
/* Answers by name, bounded in number (least recently used goes first). Value object. */
#ifndef LL_NET_DNS_CACHE_H
#define LL_NET_DNS_CACHE_H

#include "longline/dns.h"
#include "longline/list.h"
#include "longline/map.h"

#define DNS_NAME_MAX 253

struct dns_cache {
    struct map map;
    struct list lru; /* most recently used first */
    size_t max;
};

void dns_cache_init(struct dns_cache *c, size_t max);
void dns_cache_fini(struct dns_cache *c);
/* The answer that is still fresh, or NULL. */
const struct dns_result *dns_cache_fresh(struct dns_cache *c, struct str name, int64_t now_ms);
/* A good answer that expired not too long ago, or NULL; it counts as fresh again for a moment, so
 * that failing servers are not asked at every lookup. */
const struct dns_result *dns_cache_stale(struct dns_cache *c, struct str name, int64_t now_ms);
/* ttl_s is clamped; an answer with an error is kept for a moment only. */
void dns_cache_put(struct dns_cache *c, struct str name, const struct dns_result *r, int64_t ttl_s,
                   int64_t now_ms);

#endif
