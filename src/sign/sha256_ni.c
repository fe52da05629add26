/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SHA-256 compression with the SHA extensions of x86-64 (Intel SDM, SHA256RNDS2/MSG1/MSG2).
 *
 * The instructions want the eight state words as ABEF and CDGH. One sha256rnds2 does two rounds; of
 * the message schedule four words are made at a time, in place of the four that were used last.
 */
#include "sha256.h"

#if defined(__x86_64__)

#include <cpuid.h>
#include <immintrin.h>

static const uint32_t k[64] = {
    0x428a2f98u, 0x71374491u, 0xb5c0fbcfu, 0xe9b5dba5u, 0x3956c25bu, 0x59f111f1u, 0x923f82a4u,
    0xab1c5ed5u, 0xd807aa98u, 0x12835b01u, 0x243185beu, 0x550c7dc3u, 0x72be5d74u, 0x80deb1feu,
    0x9bdc06a7u, 0xc19bf174u, 0xe49b69c1u, 0xefbe4786u, 0x0fc19dc6u, 0x240ca1ccu, 0x2de92c6fu,
    0x4a7484aau, 0x5cb0a9dcu, 0x76f988dau, 0x983e5152u, 0xa831c66du, 0xb00327c8u, 0xbf597fc7u,
    0xc6e00bf3u, 0xd5a79147u, 0x06ca6351u, 0x14292967u, 0x27b70a85u, 0x2e1b2138u, 0x4d2c6dfcu,
    0x53380d13u, 0x650a7354u, 0x766a0abbu, 0x81c2c92eu, 0x92722c85u, 0xa2bfe8a1u, 0xa81a664bu,
    0xc24b8b70u, 0xc76c51a3u, 0xd192e819u, 0xd6990624u, 0xf40e3585u, 0x106aa070u, 0x19a4c116u,
    0x1e376c08u, 0x2748774cu, 0x34b0bcb5u, 0x391c0cb3u, 0x4ed8aa4au, 0x5b9cca4fu, 0x682e6ff3u,
    0x748f82eeu, 0x78a5636fu, 0x84c87814u, 0x8cc70208u, 0x90befffau, 0xa4506cebu, 0xbef9a3f7u,
    0xc67178f2u};

bool sha256_has_ni(void)
{
    unsigned a = 0;
    unsigned b = 0;
    unsigned c = 0;
    unsigned d = 0;

    if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & bit_SSSE3) == 0 || (c & bit_SSE4_1) == 0) {
        return false;
    }
    return __get_cpuid_count(7, 0, &a, &b, &c, &d) != 0 && (b & bit_SHA) != 0;
}

#define NI        __attribute__((target("sha,sse4.1,ssse3")))
#define NI_INLINE NI __attribute__((always_inline)) static inline

struct words { /* the state as the instructions want it */
    __m128i abef;
    __m128i cdgh;
};

NI_INLINE __m128i load(const void *p)
{
    return _mm_loadu_si128((const __m128i *)p);
}

NI_INLINE void store(void *p, __m128i v)
{
    _mm_storeu_si128((__m128i *)p, v);
}

/* Rounds i to i + 3 with the words in w. */
NI_INLINE void four_rounds(struct words *s, size_t i, __m128i w)
{
    const __m128i wk = _mm_add_epi32(w, load(k + i));
    s->cdgh = _mm_sha256rnds2_epu32(s->cdgh, s->abef, wk);
    s->abef = _mm_sha256rnds2_epu32(s->abef, s->cdgh, _mm_shuffle_epi32(wk, 0x0e));
}

/* The four words after the sixteen in w0 to w3. */
NI_INLINE __m128i next_words(__m128i w0, __m128i w1, __m128i w2, __m128i w3)
{
    const __m128i sum = _mm_add_epi32(_mm_sha256msg1_epu32(w0, w1), _mm_alignr_epi8(w3, w2, 4));
    return _mm_sha256msg2_epu32(sum, w3);
}

NI_INLINE __m128i load_big_endian(const unsigned char *p)
{
    const __m128i order = _mm_set_epi8(12, 13, 14, 15, 8, 9, 10, 11, 4, 5, 6, 7, 0, 1, 2, 3);
    return _mm_shuffle_epi8(load(p), order);
}

NI_INLINE void one_block(struct words *s, const unsigned char *p)
{
    const struct words before = *s;
    __m128i w0 = load_big_endian(p);
    __m128i w1 = load_big_endian(&p[16]);
    __m128i w2 = load_big_endian(&p[32]);
    __m128i w3 = load_big_endian(&p[48]);
    size_t i = 0;

    for (; i < 48; i += 16) {
        four_rounds(s, i, w0);
        w0 = next_words(w0, w1, w2, w3);
        four_rounds(s, i + 4, w1);
        w1 = next_words(w1, w2, w3, w0);
        four_rounds(s, i + 8, w2);
        w2 = next_words(w2, w3, w0, w1);
        four_rounds(s, i + 12, w3);
        w3 = next_words(w3, w0, w1, w2);
    }
    four_rounds(s, i, w0);
    four_rounds(s, i + 4, w1);
    four_rounds(s, i + 8, w2);
    four_rounds(s, i + 12, w3);
    s->abef = _mm_add_epi32(s->abef, before.abef);
    s->cdgh = _mm_add_epi32(s->cdgh, before.cdgh);
}

NI void sha256_compress_ni(uint32_t state[8], const unsigned char *p, size_t n_blocks)
{
    const __m128i badc = _mm_shuffle_epi32(load(state), 0xb1);
    const __m128i hgfe = _mm_shuffle_epi32(load(&state[4]), 0x1b);
    struct words s = {.abef = _mm_alignr_epi8(badc, hgfe, 8),
                      .cdgh = _mm_blend_epi16(hgfe, badc, 0xf0)};

    for (; n_blocks > 0; n_blocks--, p += SHA256_BLOCK) {
        one_block(&s, p);
    }
    const __m128i feba = _mm_shuffle_epi32(s.abef, 0x1b);
    const __m128i dchg = _mm_shuffle_epi32(s.cdgh, 0xb1);
    store(state, _mm_blend_epi16(feba, dchg, 0xf0));
    store(&state[4], _mm_alignr_epi8(dchg, feba, 8));
}

#else

bool sha256_has_ni(void)
{
    return false;
}

void sha256_compress_ni(uint32_t state[8], const unsigned char *p, size_t n_blocks)
{
    sha256_compress_portable(state, p, n_blocks);
}

#endif
