/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a retry record holds beside its key. The length tells the version.
 *
 *   1   number4 next_at_ms8 manual1
 *   2   number4 next_at_ms8 manual1 due_age_ms8
 */
#include "longline/enc.h"

#include "record/record_internal.h"

void retry_encode(unsigned char out[RETRY_PAYLOAD], const struct retry_record *rt)
{
    put_be32(out, rt->number);
    put_be64(out + 4, (uint64_t)rt->next_at_ms);
    out[12] = rt->manual ? 1 : 0;
    put_be64(out + 13, (uint64_t)rt->due_age_ms);
}

int retry_decode(struct retry_record *rt, struct str payload)
{
    if (payload.n != RETRY_PAYLOAD && payload.n != RETRY_PAYLOAD_V1) {
        return ERR_CORRUPT;
    }
    rt->number = get_be32(payload.p);
    rt->next_at_ms = (int64_t)get_be64(payload.p + 4);
    rt->manual = payload.p[12] != 0;
    rt->due_age_ms = payload.n == RETRY_PAYLOAD ? (int64_t)get_be64(payload.p + 13) : RETRY_NO_AGE;
    return 0;
}
