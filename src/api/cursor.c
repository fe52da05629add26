/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Base-62 is done with schoolbook division and multiplication on bytes; quadratic, which is nothing
 * for the few dozen bytes of a cursor, and bounded by CURSOR_MAX_BYTES for a hostile one.
 */
#include "cursor.h"

#include <string.h>

#include "longline/enc.h"

#define BASE        62U
#define MAX_MS      ((int64_t)1 << 44)
#define PREFIX_LEN  7U /* "evtv01:" */
/* log(256) / log(62) is below 1.35 */
#define TEXT_LEN(n) ((n)*27 / 20 + 2)

static const char digits[] = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

/* Divides the number in v by 62; returns the remainder. */
static unsigned divide(unsigned char *v, size_t n)
{
    unsigned rest = 0;
    for (size_t i = 0; i < n; i++) {
        const unsigned x = rest << 8 | v[i];
        v[i] = (unsigned char)(x / BASE);
        rest = x % BASE;
    }
    return rest;
}

/* The first byte of bytes is never zero: it is a letter. */
static struct str base62(struct arena *a, unsigned char *bytes, size_t n)
{
    const size_t cap = TEXT_LEN(n);
    char *text = arena_alloc(a, cap);
    size_t at = cap;
    size_t first = 0;

    if (text == NULL) {
        return STR_NULL;
    }
    while (first < n) {
        text[--at] = digits[divide(bytes + first, n - first)];
        while (first < n && bytes[first] == 0) {
            first++;
        }
    }
    return str_of(text + at, cap - at);
}

static int digit_value(char c)
{
    if (char_is_digit(c)) {
        return c - '0';
    }
    if (c >= 'a' && c <= 'z') {
        return c - 'a' + 10;
    }
    if (c >= 'A' && c <= 'Z') {
        return c - 'A' + 36;
    }
    return -1;
}

/* v = v * 62 + digit, right-aligned in CURSOR_MAX_BYTES; false when it overflows. */
static bool multiply(unsigned char v[CURSOR_MAX_BYTES], size_t *used, unsigned digit)
{
    unsigned carry = digit;
    for (size_t i = 0; i < *used; i++) {
        unsigned char *byte = &v[CURSOR_MAX_BYTES - 1 - i];
        carry += *byte * BASE;
        *byte = (unsigned char)carry;
        carry >>= 8;
    }
    if (carry == 0) {
        return true;
    }
    if (*used == CURSOR_MAX_BYTES) {
        return false;
    }
    v[CURSOR_MAX_BYTES - 1 - (*used)++] = (unsigned char)carry;
    return true;
}

struct str cursor_encode(struct arena *a, struct str resource, struct str position)
{
    unsigned char bytes[CURSOR_MAX_BYTES];
    const struct str tag = STR("v" CURSOR_VERSION ":");
    const size_t n = PREFIX_LEN + position.n;

    if (resource.n != 3 || n > sizeof(bytes)) {
        return STR_NULL;
    }
    memcpy(bytes, resource.p, 3);
    memcpy(bytes + 3, tag.p, tag.n);
    memcpy(bytes + PREFIX_LEN, position.p, position.n);
    return base62(a, bytes, n);
}

int cursor_decode(struct arena *a, struct str resource, struct str text, struct str *position)
{
    unsigned char v[CURSOR_MAX_BYTES] = {0};
    size_t used = 0;
    struct str s;

    if (text.n == 0 || text.n > TEXT_LEN(CURSOR_MAX_BYTES)) {
        return ERR_SYNTAX;
    }
    for (size_t i = 0; i < text.n; i++) {
        const int d = digit_value(text.p[i]);
        if (d < 0 || !multiply(v, &used, (unsigned)d)) {
            return ERR_SYNTAX;
        }
    }
    s = str_of((const char *)v + CURSOR_MAX_BYTES - used, used);
    if (!str_starts(s, resource) || s.n < PREFIX_LEN || s.p[3] != 'v' || !char_is_digit(s.p[4]) ||
        !char_is_digit(s.p[5]) || s.p[6] != ':') {
        return ERR_SYNTAX;
    }
    if (memcmp(s.p + 4, CURSOR_VERSION, 2) != 0) {
        return ERR_VERSION;
    }
    *position = arena_str(a, str_of(s.p + PREFIX_LEN, s.n - PREFIX_LEN));
    if (position->p == NULL) {
        return ERR_TOO_BIG;
    }
    return utf8_valid(*position) ? 0 : ERR_SYNTAX;
}

struct str cursor_encode_seq(struct arena *a, struct str resource, uint64_t seq)
{
    const char *text = arena_printf(a, "%llu", (unsigned long long)seq);
    return text != NULL ? cursor_encode(a, resource, str_c(text)) : STR_NULL;
}

int cursor_parse_seq(struct str position, uint64_t *seq)
{
    /* 0 stands for "no cursor" in the store. */
    return str_to_u64(position, seq) == 0 && *seq != 0 ? 0 : ERR_SYNTAX;
}

struct str cursor_encode_tenant(struct arena *a, int64_t created_ms, struct str id)
{
    const char *text = arena_printf(a, "%lld::" STR_FMT, (long long)created_ms, STR_ARG(id));
    return text != NULL ? cursor_encode(a, STR("tnt"), str_c(text)) : STR_NULL;
}

int cursor_parse_tenant(struct str position, int64_t *created_ms, struct str *id)
{
    const size_t colon = str_find(position, ':');
    if (colon + 2 >= position.n || position.p[colon + 1] != ':') {
        return ERR_SYNTAX;
    }
    *id = str_of(position.p + colon + 2, position.n - colon - 2);
    if (str_to_i64(str_of(position.p, colon), created_ms) != 0) {
        return ERR_SYNTAX;
    }
    return *created_ms >= 0 && *created_ms <= MAX_MS ? 0 : ERR_SYNTAX;
}
