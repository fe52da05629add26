/* SPDX-License-Identifier: Apache-2.0 */
/* SipHash-2-4 (Aumasson and Bernstein, 2012) and the two keys it is used under. */
#include "longline/hash.h"

#include <pthread.h>
#include <string.h>

#include "longline/rng.h"

struct sip {
    uint64_t v0, v1, v2, v3;
};

/* Written out, because compilers turn this form, but not the loop, into one load. */
static inline uint64_t load_le64(const unsigned char *p)
{
    return (uint64_t)p[0] | (uint64_t)p[1] << 8 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 24 |
           (uint64_t)p[4] << 32 | (uint64_t)p[5] << 40 | (uint64_t)p[6] << 48 |
           (uint64_t)p[7] << 56;
}

static inline uint64_t rotl(uint64_t x, unsigned by)
{
    return x << by | x >> (64 - by);
}

static inline void sip_round(struct sip *s)
{
    s->v0 += s->v1;
    s->v1 = rotl(s->v1, 13) ^ s->v0;
    s->v0 = rotl(s->v0, 32);
    s->v2 += s->v3;
    s->v3 = rotl(s->v3, 16) ^ s->v2;
    s->v0 += s->v3;
    s->v3 = rotl(s->v3, 21) ^ s->v0;
    s->v2 += s->v1;
    s->v1 = rotl(s->v1, 17) ^ s->v2;
    s->v2 = rotl(s->v2, 32);
}

static inline void sip_word(struct sip *s, uint64_t m)
{
    s->v3 ^= m;
    sip_round(s);
    sip_round(s);
    s->v0 ^= m;
}

uint64_t siphash(const unsigned char key[16], const void *p, size_t n)
{
    const unsigned char *in = p;
    const uint64_t k0 = load_le64(key);
    const uint64_t k1 = load_le64(key + 8);
    struct sip s = {
        .v0 = k0 ^ 0x736f6d6570736575U,
        .v1 = k1 ^ 0x646f72616e646f6dU,
        .v2 = k0 ^ 0x6c7967656e657261U,
        .v3 = k1 ^ 0x7465646279746573U,
    };
    uint64_t last = (uint64_t)n << 56;
    const size_t n_words = n / 8;

    for (size_t i = 0; i < n_words; i++) {
        sip_word(&s, load_le64(in + 8 * i));
    }
    for (size_t i = 8 * n_words; i < n; i++) {
        last |= (uint64_t)in[i] << (8 * (i % 8));
    }
    sip_word(&s, last);
    s.v2 ^= 0xff;
    for (int i = 0; i < 4; i++) {
        sip_round(&s);
    }
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

static unsigned char process_key[16];

static void draw_process_key(void)
{
    rng_fill(rng_system(), process_key, sizeof(process_key));
}

uint64_t hash_random(struct str s)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void)pthread_once(&once, draw_process_key);
    return siphash(process_key, s.p, s.n);
}

uint64_t hash_stable(struct str s)
{
    /* Part of the format on disk: never change it. */
    static const unsigned char stable_key[16] = "longline/stable1";
    return siphash(stable_key, s.p, s.n);
}
