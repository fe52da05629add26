/* SPDX-License-Identifier: Apache-2.0 */
/* Private to src/json. */
#ifndef LL_JSON_INTERNAL_H
#define LL_JSON_INTERNAL_H

#include <string.h>

#include "longline/json.h"

/* Appends s quoted and escaped; invalid UTF-8 becomes U+FFFD. */
void json_put_string(struct buf *b, struct str s);
void json_put_double(struct buf *b, double v);

#define JSON_BYTES(c) ((uint64_t)(c)*0x0101010101010101U) /* c in each of eight bytes */

static inline uint64_t json_load8(const void *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

/* Non-zero when one of the eight bytes of v is zero. Bits above the first hit may be set falsely,
 * so callers only ask whether there is a hit. */
static inline uint64_t json_has_zero(uint64_t v)
{
    return (v - JSON_BYTES(0x01)) & ~v & JSON_BYTES(0x80);
}

#endif
