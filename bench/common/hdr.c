/* SPDX-License-Identifier: Apache-2.0 */

#include "hdr.h"

#include <inttypes.h>
#include <string.h>

#define EXACT   2048u /* values below are their own bucket */
#define STEPS   1024u /* buckets per power of two above that */
#define LARGEST UINT32_MAX

static uint32_t slot_of(uint64_t value)
{
    if (value < EXACT) {
        return (uint32_t)value;
    }
    const uint32_t shift = (uint32_t)(63 - __builtin_clzll(value)) - 10;
    return EXACT + (shift - 1) * STEPS + (uint32_t)(value >> shift) - STEPS;
}

static uint64_t upper_end(uint32_t slot)
{
    if (slot < EXACT) {
        return slot;
    }
    const uint32_t shift = (slot - EXACT) / STEPS + 1;
    const uint64_t step = (slot - EXACT) % STEPS + STEPS;
    return ((step + 1) << shift) - 1;
}

void hdr_reset(struct hdr *h)
{
    memset(h, 0, sizeof *h);
}

void hdr_record(struct hdr *h, uint64_t value)
{
    const uint64_t v = value > LARGEST ? LARGEST : value;
    h->counts[slot_of(v)]++;
    if (h->total == 0 || v < h->min) {
        h->min = v;
    }
    if (v > h->max) {
        h->max = v;
    }
    h->total++;
    h->sum += v;
}

uint64_t hdr_quantile(const struct hdr *h, double q)
{
    if (h->total == 0) {
        return 0;
    }
    const double rank = q * (double)h->total;
    uint64_t wanted = (uint64_t)rank;
    if ((double)wanted < rank || wanted == 0) {
        wanted++;
    }
    uint64_t seen = 0;
    for (uint32_t i = 0; i < HDR_SLOTS; i++) {
        seen += h->counts[i];
        if (seen >= wanted) {
            const uint64_t end = upper_end(i);
            return end < h->max ? end : h->max;
        }
    }
    return h->max;
}

void hdr_write_json(const struct hdr *h, FILE *out)
{
    fprintf(out, "{\"count\":%" PRIu64 ",\"min\":%" PRIu64 ",\"max\":%" PRIu64, h->total, h->min,
            h->max);
    fprintf(out, ",\"mean\":%" PRIu64, h->total != 0 ? h->sum / h->total : 0);
    fprintf(out, ",\"p50\":%" PRIu64 ",\"p90\":%" PRIu64, hdr_quantile(h, 0.5),
            hdr_quantile(h, 0.9));
    fprintf(out, ",\"p99\":%" PRIu64 ",\"p999\":%" PRIu64 ",\"buckets\":[", hdr_quantile(h, 0.99),
            hdr_quantile(h, 0.999));
    const char *comma = "";
    for (uint32_t i = 0; i < HDR_SLOTS; i++) {
        if (h->counts[i] != 0) {
            fprintf(out, "%s[%" PRIu64 ",%" PRIu64 "]", comma, upper_end(i), h->counts[i]);
            comma = ",";
        }
    }
    fputs("]}", out);
}
