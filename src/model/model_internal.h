/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LL_MODEL_INTERNAL_H
#define LL_MODEL_INTERNAL_H

#include "longline/model.h"

#define NUMBER_MAX 32 /* room for number_text, with the terminator */

/* The shortest text that reads back as the same number, in the spelling of Go's %v: with an
 * exponent below -4 and from 6 on ("1e+06"). Returns the length. */
size_t number_text(char out[NUMBER_MAX], double v);

/* RFC 7396, one level: null removes, everything else is coerced and set. v is an object. */
int kv_map_merge(struct kv_map *out, const struct kv_map *old, yyjson_val *v,
                 struct arena *a) LL_MUST_USE;

/* No control characters (C0, DEL, C1). s must be UTF-8. */
bool text_is_clean(struct str s);

#define PROBLEM_INVALID_JSON "invalid JSON"
/* The arena is used up: the body was larger than anything sensible. */
#define PROBLEM_TOO_LARGE    "request body is too large"

/* The members of a request body by position in `names`; of one that stands twice the last counts.
 * False when v is neither an object nor null. */
bool body_fields(yyjson_val *v, const struct str *names, yyjson_val **fields, size_t n);
/* For the result of kv_map_parse and kv_map_merge. */
void problem_from_map(struct problem *p, struct arena *a, int rc, struct str field);

void write_map(struct jw *w, const struct kv_map *m);
void write_strings(struct jw *w, const struct str *v, size_t n);
/* The members that the API's form of a destination and the stored one begin with, id to filter. */
void write_description(struct jw *w, const struct destination *d);

#endif
