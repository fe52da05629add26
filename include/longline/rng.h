/* SPDX-License-Identifier: Apache-2.0 */
/* The seam for randomness: the system's generator in the product, a seeded one in tests. */
#ifndef LL_RNG_H
#define LL_RNG_H

#include <stddef.h>
#include <stdint.h>

struct rng {
    void (*fill)(void *ctx, void *p, size_t n);
    void *ctx;
};

/* getrandom(2) with a small buffer; loop thread only. Fit for secrets. */
const struct rng *rng_system(void);

/* Deterministic (SplitMix64); for tests and simulation only. */
struct rng_seeded {
    struct rng rng; /* first: use &x.rng */
    uint64_t state;
};
void rng_seeded_init(struct rng_seeded *r, uint64_t seed);

void rng_fill(const struct rng *r, void *p, size_t n);
uint64_t rng_u64(const struct rng *r);
/* Uniform in [0, bound), bound > 0, without modulo bias. */
uint64_t rng_below(const struct rng *r, uint64_t bound);

#endif
