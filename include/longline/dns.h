/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names to addresses through c-ares on the loop: one query per name in flight with waiters
 * attached, a cache bounded by TTL (5 s to 5 min; failures 5 s), stale answers for up to 10 min
 * when the servers fail or no lookup is free. All addresses are kept; the egress policy is applied
 * at connect time.
 *
 * A name is looked up as it stands, in /etc/hosts and then at the name servers: search domains and
 * aliases of the machine do not apply.
 *
 * A bounded number of names is looked up at a time; the others wait for at most timeout_ms, and
 * then the lookup itself has timeout_ms. The slots are shared between domains, and names that
 * nobody answers for cannot take them all (src/net/dns_slots.h).
 */
#ifndef LL_DNS_H
#define LL_DNS_H

#include "longline/addr.h"
#include "longline/loop.h"
#include "longline/str.h"

#define DNS_MAX_ADDRS 8

struct dns;
struct dns_query;

struct dns_result {
    int err; /* 0, ERR_DNS, ERR_TIMEOUT, ERR_BUSY (waited for a slot all the time) */
    size_t n;
    union addr addrs[DNS_MAX_ADDRS]; /* port 0; IPv6 and IPv4 interleaved */
    char msg[96];
};
typedef void (*dns_fn)(void *ctx, const struct dns_result *r);

struct dns_options {
    const char *servers; /* "ip[:port],…" or NULL for the system's */
    int64_t timeout_ms;  /* per lookup, all servers and tries; 0: 3000 */
    size_t max_cache;    /* names, 0: 10000 */
    size_t max_active;   /* lookups under way, 0: 200 */
};

int dns_open(struct dns **out, struct loop *l, const struct dns_options *o,
             struct err_detail *err) LL_MUST_USE;
/* For lookups that start from now on; 0: 3000. */
void dns_set_timeout(struct dns *d, int64_t timeout_ms);
/* Open queries are completed with ERR_CANCELED first. `done` follows on a later turn. */
void dns_close(struct dns *d, void (*done)(void *ctx), void *ctx);

/* `fn` is never called before this returns, and exactly once unless canceled. The result is valid
 * during the call. The query is gone when fn is called. localhost names answer loopback. */
struct dns_query *dns_lookup(struct dns *d, struct str host, dns_fn fn, void *ctx);
void dns_cancel(struct dns_query *q);          /* fn will not be called */
bool dns_is_queued(const struct dns_query *q); /* nobody was asked yet */

#endif
