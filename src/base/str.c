/* SPDX-License-Identifier: Apache-2.0 */
#include "longline/str.h"

#include "longline/err.h"

static unsigned char lower(char c)
{
    const unsigned char u = (unsigned char)c;
    return u >= 'A' && u <= 'Z' ? (unsigned char)(u | 0x20) : u;
}

bool str_eq_ci(struct str a, struct str b)
{
    if (a.n != b.n) {
        return false;
    }
    for (size_t i = 0; i < a.n; i++) {
        if (lower(a.p[i]) != lower(b.p[i])) {
            return false;
        }
    }
    return true;
}

bool str_starts(struct str s, struct str prefix)
{
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

bool str_ends(struct str s, struct str suffix)
{
    return s.n >= suffix.n &&
           (suffix.n == 0 || memcmp(s.p + (s.n - suffix.n), suffix.p, suffix.n) == 0);
}

int str_cmp(struct str a, struct str b)
{
    const size_t n = a.n < b.n ? a.n : b.n;
    const int rc = n != 0 ? memcmp(a.p, b.p, n) : 0;
    if (rc != 0) {
        return rc;
    }
    return a.n < b.n ? -1 : a.n > b.n;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct str str_trim(struct str s)
{
    while (s.n != 0 && is_blank(s.p[0])) {
        s.p++;
        s.n--;
    }
    while (s.n != 0 && is_blank(s.p[s.n - 1])) {
        s.n--;
    }
    return s;
}

size_t str_find(struct str s, char c)
{
    const char *at = s.n != 0 ? memchr(s.p, c, s.n) : NULL;
    return at != NULL ? (size_t)(at - s.p) : s.n;
}

bool str_split(struct str *rest, char sep, struct str *piece)
{
    size_t at;
    if (rest->p == NULL) {
        return false;
    }
    at = str_find(*rest, sep);
    *piece = str_of(rest->p, at);
    *rest = at < rest->n ? str_of(rest->p + at + 1, rest->n - at - 1) : STR_NULL;
    return true;
}

int str_to_u64(struct str s, uint64_t *out)
{
    uint64_t v = 0;
    if (s.n == 0) {
        return ERR_SYNTAX;
    }
    /* All digits first: "99999999999999999999x" is a syntax error, not a range error. */
    for (size_t i = 0; i < s.n; i++) {
        if (!char_is_digit(s.p[i])) {
            return ERR_SYNTAX;
        }
    }
    for (size_t i = 0; i < s.n; i++) {
        if (__builtin_mul_overflow(v, 10U, &v) ||
            __builtin_add_overflow(v, (uint64_t)(s.p[i] - '0'), &v)) {
            return ERR_RANGE;
        }
    }
    *out = v;
    return 0;
}

int str_to_i64(struct str s, int64_t *out)
{
    const bool minus = s.n != 0 && s.p[0] == '-';
    uint64_t v;
    const int rc = str_to_u64(minus ? str_of(s.p + 1, s.n - 1) : s, &v);
    if (rc != 0) {
        return rc;
    }
    if (minus) {
        if (v > (uint64_t)INT64_MAX + 1) {
            return ERR_RANGE;
        }
        *out = v == 0 ? 0 : -(int64_t)(v - 1) - 1;
        return 0;
    }
    if (v > INT64_MAX) {
        return ERR_RANGE;
    }
    *out = (int64_t)v;
    return 0;
}
