/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON (RFC 8259): reading through yyjson into an arena with a depth limit, typed getters, the raw
 * text of a member, and a writer that appends to a buf.
 *
 * Reading is strict: no comments, no trailing commas, no NaN, valid UTF-8 only, one value.
 */
#ifndef LL_JSON_H
#define LL_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <yyjson.h>

#include "longline/arena.h"
#include "longline/buf.h"
#include "longline/err.h"
#include "longline/str.h"

#define JSON_MAX_DEPTH 64

/* The document lives in the arena (never yyjson_doc_free it). NULL on malformed text, a depth above
 * JSON_MAX_DEPTH (ERR_SYNTAX) or lack of memory (ERR_TOO_BIG); err (may be NULL) says which. */
yyjson_doc *json_parse(struct arena *a, struct str text, struct err_detail *err);

static inline struct str json_str(yyjson_val *v) /* NULL p when v is not a string */
{
    return yyjson_is_str(v) ? str_of(yyjson_get_str(v), yyjson_get_len(v)) : STR_NULL;
}

/* Makes *v, which belongs to no document, the object {}. */
void json_set_empty_object(yyjson_val *v);

/*
 * The exact source text of top-level members. `text` must be valid JSON (json_parse succeeded).
 * For each of the n names, out[i] is the value's text without surrounding white space, or STR_NULL
 * when absent. ERR_EXISTS when one of the names stands twice; ERR_INVALID when text is no object.
 * (Text that is not valid JSON gives ERR_INVALID or meaningless spans, never an access outside it.)
 */
int json_spans(struct str text, const struct str *names, struct str *out, size_t n) LL_MUST_USE;

/* Appends value as compact JSON text; NULL writes null. The value comes from json_parse. */
int json_write_val(struct buf *b, yyjson_val *v);

/*
 * Writer: commas and quotes are its business. No allocation beyond the buf; errors are remembered
 * in buf.failed. Nesting at most 32.
 */
struct jw {
    struct buf *b;
    uint32_t has_member; /* bit per depth: a member was written */
    unsigned depth;
    bool after_key;
};

void jw_init(struct jw *w, struct buf *b);
void jw_obj(struct jw *w);
void jw_obj_end(struct jw *w);
void jw_arr(struct jw *w);
void jw_arr_end(struct jw *w);
void jw_key(struct jw *w, struct str key);
void jw_str(struct jw *w, struct str s); /* escapes; invalid UTF-8 becomes U+FFFD */
void jw_int(struct jw *w, int64_t v);
void jw_uint(struct jw *w, uint64_t v);
void jw_bool(struct jw *w, bool v);
void jw_null(struct jw *w);
void jw_raw(struct jw *w, struct str json); /* text that is valid JSON already; empty writes null */
void jw_time_ms(struct jw *w, int64_t wall_ms); /* RFC 3339 string */
/* "key": value in one call; KEY is a string literal. */
#define JW_STR(w, KEY, s)  (jw_key((w), STR(KEY)), jw_str((w), (s)))
#define JW_INT(w, KEY, v)  (jw_key((w), STR(KEY)), jw_int((w), (v)))
#define JW_BOOL(w, KEY, v) (jw_key((w), STR(KEY)), jw_bool((w), (v)))
#define JW_NULL(w, KEY)    (jw_key((w), STR(KEY)), jw_null((w)))
#define JW_RAW(w, KEY, s)  (jw_key((w), STR(KEY)), jw_raw((w), (s)))
#define JW_TIME(w, KEY, t) (jw_key((w), STR(KEY)), jw_time_ms((w), (t)))

#endif
