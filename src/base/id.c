/* SPDX-License-Identifier: Apache-2.0 */
#include "longline/id.h"

#include "longline/enc.h"

#define MAX_MS     (((int64_t)1 << 44) - 1) /* the year 2527 */
#define UUID_BYTES 16

uint64_t seqgen_next(struct seqgen *g, int64_t now_wall_ms)
{
    const int64_t ms = now_wall_ms < 0 ? 0 : now_wall_ms > MAX_MS ? MAX_MS : now_wall_ms;
    const uint64_t wanted = SEQ_FROM_MS(ms);
    g->last = wanted > g->last ? wanted : g->last + 1;
    return g->last;
}

/* 8-4-4-4-12 */
static void write_uuid(char out[ID_LEN], const unsigned char bytes[UUID_BYTES])
{
    enc_hex(out, bytes, 4);
    out[8] = '-';
    enc_hex(out + 9, bytes + 4, 2);
    out[13] = '-';
    enc_hex(out + 14, bytes + 6, 2);
    out[18] = '-';
    enc_hex(out + 19, bytes + 8, 2);
    out[23] = '-';
    enc_hex(out + 24, bytes + 10, 6);
}

void id_from_seq(char out[ID_LEN], uint64_t seq, const struct rng *rng)
{
    const uint64_t ms = seq >> 20;
    const unsigned counter = (unsigned)(seq & 0xfffff);
    unsigned char b[UUID_BYTES];

    put_be64(b, ms << 16 | 0x7000U | counter >> 8);
    rng_fill(rng, b + 9, 7);
    b[8] = (unsigned char)(0x80U | (counter & 0xff) >> 2);
    b[9] = (unsigned char)((counter & 3) << 6 | (b[9] & 0x3fU));
    write_uuid(out, b);
}

static bool is_upper(char c)
{
    return c >= 'A' && c <= 'Z';
}

bool id_to_seq(struct str s, uint64_t *seq)
{
    static const struct {
        size_t at, n;
    } groups[] = {{0, 8}, {9, 4}, {14, 4}, {19, 4}, {24, 12}};
    unsigned char b[UUID_BYTES];
    size_t len = 0;
    uint64_t high;
    uint64_t counter;

    if (s.n != ID_LEN || s.p[8] != '-' || s.p[13] != '-' || s.p[18] != '-' || s.p[23] != '-') {
        return false;
    }
    for (size_t i = 0; i < s.n; i++) {
        if (is_upper(s.p[i])) {
            return false;
        }
    }
    for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
        size_t n;
        if (dec_hex(b + len, sizeof(b) - len, &n, str_of(s.p + groups[i].at, groups[i].n)) != 0) {
            return false;
        }
        len += n;
    }
    if (b[6] >> 4 != 7 || b[8] >> 6 != 2) {
        return false;
    }
    high = get_be64(b);
    if (high >> 16 > (uint64_t)MAX_MS) {
        return false;
    }
    counter = (high & 0xfff) << 8 | (b[8] & 0x3fU) << 2 | (unsigned)b[9] >> 6;
    *seq = (high >> 16) << 20 | counter;
    return true;
}

void id_random(char out[ID_LEN], const struct rng *rng)
{
    unsigned char b[UUID_BYTES];
    rng_fill(rng, b, sizeof(b));
    b[6] = (unsigned char)((b[6] & 0x0fU) | 0x40U);
    b[8] = (unsigned char)((b[8] & 0x3fU) | 0x80U);
    write_uuid(out, b);
}
