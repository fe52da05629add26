/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sequence numbers and public ids.
 *
 * A seq is 64 bits: milliseconds since the epoch in the high 44, a counter in the low 20. It grows
 * strictly, also when the clock steps back. Events and attempts draw from one generator, so an
 * attempt's seq is always greater than its event's.
 *
 * A generated public id is a UUIDv7 (RFC 9562, monotonic counter in rand_a and the head of rand_b)
 * that embeds the seq, so that looking it up needs no index:
 *   48 bits ms | ver 7 | counter's high 12 bits | variant | counter's low 8 bits | 54 random bits
 */
#ifndef LL_ID_H
#define LL_ID_H

#include <stdbool.h>

#include "longline/rng.h"
#include "longline/str.h"

#define ID_LEN          36 /* characters of a UUID */
#define SEQ_MS(seq)     ((int64_t)((seq) >> 20))
#define SEQ_FROM_MS(ms) ((uint64_t)(ms) << 20) /* the first seq of that millisecond */

struct seqgen {
    uint64_t last;
};

/* Greater than every earlier result; follows the wall clock when it can. */
uint64_t seqgen_next(struct seqgen *g, int64_t now_wall_ms);

/* out gets ID_LEN characters, not terminated. */
void id_from_seq(char out[ID_LEN], uint64_t seq, const struct rng *rng);
/* The seq inside a UUIDv7 text; false if s is not a lower-case UUIDv7. The caller must compare the
 * id stored at that seq: any UUIDv7 decodes to some seq. */
bool id_to_seq(struct str s, uint64_t *seq);
/* Random UUIDv4. */
void id_random(char out[ID_LEN], const struct rng *rng);

#endif
