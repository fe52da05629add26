/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Histogram with a bounded relative error, after HdrHistogram: values below 2048 are exact, above
 * that each power of two is divided into 1024 buckets, which keeps three significant digits.
 * The unit is the caller's; here it is always the microsecond. Values above 2^32-1 count as that.
 */
#ifndef LL_BENCH_HDR_H
#define LL_BENCH_HDR_H

#include <stdint.h>
#include <stdio.h>

#define HDR_SLOTS (2048 + 21 * 1024)

struct hdr {
    uint64_t counts[HDR_SLOTS];
    uint64_t total;
    uint64_t sum;
    uint64_t min;
    uint64_t max;
};

void hdr_reset(struct hdr *h);
void hdr_record(struct hdr *h, uint64_t value);

/* The smallest recorded value (as its bucket's upper end) that q of all values do not exceed. */
uint64_t hdr_quantile(const struct hdr *h, double q);

/* One JSON object: the usual percentiles, and every bucket that is not empty as [upper, count]. */
void hdr_write_json(const struct hdr *h, FILE *out);

#endif
