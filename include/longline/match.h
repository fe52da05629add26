/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which destinations want an event: topic patterns (longline/topic.h) and the filter language
 * ($gte, $in, $or …). Pure. Filters are compiled once and evaluated against parsed JSON.
 */
#ifndef LL_MATCH_H
#define LL_MATCH_H

#include <stdbool.h>

#include "longline/err.h"
#include "longline/json.h"
#include "longline/str.h"
#include "longline/topic.h"

/* What a filter sees: {"id","topic","time","metadata":{…},"data":{…}}, without building it. */
struct match_doc {
    struct str id;
    struct str topic;
    struct str time;      /* RFC 3339, whole seconds */
    yyjson_val *metadata; /* object; NULL (absent) is to a filter an object without members */
    yyjson_val *data;     /* object */
};

struct filter;
/* text: a JSON object. NULL on success means "matches all" ({} or null). ERR_SYNTAX, ERR_TOO_BIG
 * (depth above 32 or more than 4096 nodes). Unknown operators are keys, as in Outpost. */
int filter_compile(struct filter **out, struct str text) LL_MUST_USE;
void filter_free(struct filter *f);
bool filter_match(const struct filter *f, const struct match_doc *doc); /* NULL matches all */

#endif
