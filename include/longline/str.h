/* SPDX-License-Identifier: Apache-2.0 */
/* A borrowed piece of text or bytes: pointer and length, not terminated, never owned. */
#ifndef LL_STR_H
#define LL_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *p;
    size_t n;
};

#define STR(lit)   ((struct str){.p = (lit), .n = sizeof(lit) - 1})
#define STR_NULL   ((struct str){.p = NULL, .n = 0})
#define STR_FMT    "%.*s"
#define STR_ARG(s) (int)(s).n, (s).p

static inline struct str str_of(const char *p, size_t n)
{
    return (struct str){.p = p, .n = n};
}

static inline struct str str_c(const char *cstr) /* NULL gives the empty string */
{
    return (struct str){.p = cstr, .n = cstr != NULL ? strlen(cstr) : 0};
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool char_is_digit(char c) /* ASCII */
{
    return c >= '0' && c <= '9';
}

bool str_eq_ci(struct str a, struct str b); /* ASCII case only */
bool str_starts(struct str s, struct str prefix);
bool str_ends(struct str s, struct str suffix);
int str_cmp(struct str a, struct str b); /* memcmp order, shorter first */
struct str str_trim(struct str s);       /* SP, HTAB, CR, LF at both ends */
/* Index of the first c, or s.n. */
size_t str_find(struct str s, char c);
/* Cuts the piece before `sep` off *rest; false when *rest is used up (p becomes NULL). */
bool str_split(struct str *rest, char sep, struct str *piece);
/* Whole s as a decimal number. ERR_SYNTAX or ERR_RANGE. */
int str_to_u64(struct str s, uint64_t *out);
int str_to_i64(struct str s, int64_t *out);

#endif
