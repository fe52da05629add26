/* SPDX-License-Identifier: Apache-2.0 */
/* What the store reads from encoded records without decoding them. */
#ifndef LL_STORE_RECORD_INTERNAL_H
#define LL_STORE_RECORD_INTERNAL_H

#include <stdint.h>

#include "longline/record.h"

/* Lengths of a record, from its first bytes; not yet covered by a checksum. */
struct record_size {
    size_t head; /* needed for event_decode_head; for an attempt, the whole record */
    size_t total;
};
/* ERR_CORRUPT, ERR_VERSION. */
int event_size(struct str bytes, struct record_size *out) LL_MUST_USE;
int attempt_size(struct str bytes, struct record_size *out) LL_MUST_USE;

/* A retry record without its key. Version 1 ends before due_age_ms. */
#define RETRY_PAYLOAD    21U
#define RETRY_PAYLOAD_V1 13U
void retry_encode(unsigned char out[RETRY_PAYLOAD], const struct retry_record *rt);
/* Fills all but the key. ERR_CORRUPT; then it is as it was. */
int retry_decode(struct retry_record *rt, struct str payload) LL_MUST_USE;

/* Unchecked glances at fixed places, for rows that are going to be skipped or deleted. */
int64_t event_peek_time(struct str bytes);
struct str event_peek_id(struct str bytes, bool *custom); /* STR_NULL when it is not in `bytes` */
uint64_t attempt_peek_event(struct str bytes);
int64_t attempt_peek_time(struct str bytes);

#endif
