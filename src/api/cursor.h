/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Cursors of lists. The text is base-62 (0-9a-zA-Z) of the bytes "<resource>v01:<position>", read
 * as one big-endian number; clients treat it as opaque. The position is the row's own: the seq in
 * decimal for events and attempts, "<created ms>::<id>" for tenants, so that no two rows share one.
 */
#ifndef LL_API_CURSOR_H
#define LL_API_CURSOR_H

#include <stdint.h>

#include "longline/arena.h"
#include "longline/err.h"
#include "longline/str.h"

#define CURSOR_MAX_BYTES 512 /* decoded; longer ones cannot have come from here */
#define CURSOR_VERSION   "01"

/* resource: three letters ("evt", "att", "tnt"). p is NULL when it does not fit. */
struct str cursor_encode(struct arena *a, struct str resource, struct str position);
/* *position in the arena. ERR_SYNTAX, ERR_VERSION, ERR_TOO_BIG (arena). */
int cursor_decode(struct arena *a, struct str resource, struct str text,
                  struct str *position) LL_MUST_USE;

struct str cursor_encode_seq(struct arena *a, struct str resource, uint64_t seq);
int cursor_parse_seq(struct str position, uint64_t *seq) LL_MUST_USE;
struct str cursor_encode_tenant(struct arena *a, int64_t created_ms, struct str id);
/* *id points into position. */
int cursor_parse_tenant(struct str position, int64_t *created_ms, struct str *id) LL_MUST_USE;

#endif
