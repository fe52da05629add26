/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dates as text. All times are UTC milliseconds since the epoch, int64_t; they may be negative.
 * Four-digit years only: what is outside the years 0000 to 9999 is written as the nearest time
 * inside.
 */
#ifndef LL_DATE_H
#define LL_DATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "longline/err.h"
#include "longline/str.h"

#define DATE_MAX 40 /* room for every format below */

/* RFC 3339 UTC: "2026-01-01T00:00:00Z", with ".25" style fraction (1-3 digits, no trailing zeros)
 * when the milliseconds are not zero. Returns the length; out is terminated. */
size_t date_rfc3339_ms(char out[DATE_MAX], int64_t wall_ms);
/* Whole seconds, always "…:00Z". */
size_t date_rfc3339_s(char out[DATE_MAX], int64_t wall_ms);
/* IMF-fixdate for HTTP (RFC 9110 5.6.7). */
size_t date_http(char out[DATE_MAX], int64_t wall_ms);

/* RFC 3339 with optional fraction and any offset; 'T' and 'Z' in upper case and no leap seconds, as
 * Go reads it. What is finer than a millisecond is cut off. ERR_SYNTAX, or ERR_RANGE when the
 * offset leads out of the years 0000 to 9999. */
int date_parse_rfc3339(struct str s, int64_t *wall_ms) LL_MUST_USE;
/* RFC 3339 or YYYY-MM-DD (midnight UTC); *is_whole is false when something was cut off. The offset
 * may lead a day out of range. */
int date_parse_filter(struct str s, int64_t *wall_ms, bool *is_whole) LL_MUST_USE;
/* The three HTTP date forms of RFC 9110 5.6.7. */
int date_parse_http(struct str s, int64_t *wall_ms) LL_MUST_USE;

#endif
