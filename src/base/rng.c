/* SPDX-License-Identifier: Apache-2.0 */
#include "longline/rng.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

#include "longline/check.h"
#include "longline/mem.h"

#define POOL_SIZE 512

/* Fills p from the kernel; it blocks only before the system has gathered its first entropy. */
static void from_kernel(unsigned char *p, size_t n)
{
    while (n != 0) {
        const ssize_t got = getrandom(p, n, 0);
        if (got < 0) {
            LL_ASSERT(errno == EINTR);
            continue;
        }
        p += got;
        n -= (size_t)got;
    }
}

/* One system call serves some thirty ids. Per thread, so that no lock is needed; bytes are wiped
 * when handed out, so that a later memory disclosure does not reveal earlier secrets. */
static void system_fill(void *ctx, void *p, size_t n)
{
    static _Thread_local unsigned char pool[POOL_SIZE];
    static _Thread_local size_t left;
    unsigned char *out = p;

    (void)ctx;
    if (n > POOL_SIZE) {
        from_kernel(out, n);
        return;
    }
    if (left < n) {
        from_kernel(pool, POOL_SIZE);
        left = POOL_SIZE;
    }
    memcpy(out, pool + (left - n), n);
    mem_wipe(pool + (left - n), n);
    left -= n;
}

const struct rng *rng_system(void)
{
    static const struct rng system_rng = {.fill = system_fill};
    return &system_rng;
}

static uint64_t splitmix64(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15U;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    return z ^ (z >> 31);
}

static void seeded_fill(void *ctx, void *p, size_t n)
{
    struct rng_seeded *r = ctx;
    unsigned char *out = p;
    while (n != 0) {
        const uint64_t v = splitmix64(&r->state);
        const size_t part = n < sizeof(v) ? n : sizeof(v);
        memcpy(out, &v, part);
        out += part;
        n -= part;
    }
}

void rng_seeded_init(struct rng_seeded *r, uint64_t seed)
{
    *r = (struct rng_seeded){.rng = {.fill = seeded_fill, .ctx = r}, .state = seed};
}

void rng_fill(const struct rng *r, void *p, size_t n)
{
    r->fill(r->ctx, p, n);
}

uint64_t rng_u64(const struct rng *r)
{
    uint64_t v;
    r->fill(r->ctx, &v, sizeof(v));
    return v;
}

uint64_t rng_below(const struct rng *r, uint64_t bound)
{
    uint64_t skip;
    uint64_t v;
    LL_ASSERT(bound > 0);
    skip = (0 - bound) % bound; /* 2^64 mod bound: results below it would favour small numbers */
    do {
        v = rng_u64(r);
    } while (v < skip);
    return v % bound;
}
