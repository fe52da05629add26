/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When idempotency keys expire, on the age clock. They stand in buckets that are numbered by the
 * hour in which they end, so that old ones are a range at the front of the tree.
 */
#ifndef LL_STORE_IDEM_TIME_H
#define LL_STORE_IDEM_TIME_H

#include <stdbool.h>
#include <stdint.h>

#define IDEM_HOUR_MS INT64_C(3600000)
#define IDEM_BUCKETS 6 /* per time to live */

/* The bucket of a key that is put now. */
static inline uint32_t idem_bucket(int64_t age_ms, int64_t ttl_ms)
{
    int64_t width = ttl_ms / IDEM_HOUR_MS / IDEM_BUCKETS;
    width = width < 1 ? 1 : width;
    return (uint32_t)((age_ms / IDEM_HOUR_MS / width + 1) * width);
}

/* Buckets below have expired as a whole. */
static inline uint32_t idem_expired(int64_t age_ms, int64_t ttl_ms)
{
    const int64_t oldest = age_ms - ttl_ms;
    return oldest > 0 ? (uint32_t)(oldest / IDEM_HOUR_MS) : 0;
}

/* Is a key still to be known? */
static inline bool idem_is_alive(int64_t put_age_ms, int64_t age_ms, int64_t ttl_ms)
{
    return age_ms - put_age_ms <= ttl_ms;
}

#endif
