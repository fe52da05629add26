/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Finding members in JSON text without building anything. This runs over the whole body of every
 * published event, so the two inner loops (within a string, within a container) are what matters.
 * The grammar is not checked, json_parse did that; only the end of the text is guarded everywhere.
 */
#include "json_internal.h"

struct scan {
    const unsigned char *p;
    const unsigned char *end;
};

static void skip_space(struct scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t')) {
        s->p++;
    }
}

/* From behind the opening quote to behind the closing one. False when there is none. */
static inline bool skip_string(struct scan *s)
{
    const unsigned char *p = s->p;
    const unsigned char *const end = s->end;

    for (;;) {
        while (end - p >= 8) {
            const uint64_t v = json_load8(p);
            if ((json_has_zero(v ^ JSON_BYTES('"')) | json_has_zero(v ^ JSON_BYTES('\\'))) != 0) {
                break;
            }
            p += 8;
        }
        while (p < end && *p != '"' && *p != '\\') {
            p++;
        }
        if (end - p < 2 && (p == end || *p == '\\')) {
            return false;
        }
        if (*p == '"') {
            s->p = p + 1;
            return true;
        }
        p += 2; /* the backslash and what it escapes, be it a quote */
    }
}

/* From behind the opening bracket to behind the one that closes it. */
static bool skip_container(struct scan *s)
{
    size_t depth = 1;
    while (s->p < s->end) {
        switch (*s->p++) {
        case '"':
            if (!skip_string(s)) {
                return false;
            }
            break;
        case '{':
        case '[':
            depth++;
            break;
        case '}':
        case ']':
            if (--depth == 0) {
                return true;
            }
            break;
        default:
            break;
        }
    }
    return false;
}

static bool is_end_of_scalar(unsigned char c)
{
    return c == ',' || c == '}' || c == ']' || c == ' ' || c == '\n' || c == '\r' || c == '\t';
}

static bool skip_value(struct scan *s)
{
    if (s->p == s->end) {
        return false;
    }
    switch (*s->p) {
    case '"':
        s->p++;
        return skip_string(s);
    case '{':
    case '[':
        s->p++;
        return skip_container(s);
    default:
        while (s->p < s->end && !is_end_of_scalar(*s->p)) {
            s->p++;
        }
        return true;
    }
}

/* The value of four hex digits, or -1. */
static int hex4(const char *p)
{
    int v = 0;
    for (int i = 0; i < 4; i++) {
        const char c = p[i];
        int digit;
        if (char_is_digit(c)) {
            digit = c - '0';
        } else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
            digit = (c | 0x20) - 'a' + 10;
        } else {
            return -1;
        }
        v = v * 16 + digit;
    }
    return v;
}

/* Decodes the escape behind a backslash at raw.p[*at] and moves *at past it; -1 when malformed.
 * Names of members are ASCII, so a surrogate half need not be paired: it equals nothing. */
static int decode_escape(struct str raw, size_t *at)
{
    static const char from[] = "\"\\/bfnrt";
    static const char to[] = "\"\\/\b\f\n\r\t";
    const char c = raw.p[*at];
    const char *found;

    if (c == 'u') {
        const int v = raw.n - *at >= 5 ? hex4(raw.p + *at + 1) : -1;
        *at += 5;
        return v;
    }
    found = c != '\0' ? strchr(from, c) : NULL;
    (*at)++;
    return found != NULL ? to[found - from] : -1;
}

/* Whether the key as written, escapes and all, spells `name` (ASCII). "d\u0061ta" is data to every
 * JSON parser, so it has to be here too. */
static bool key_spells(struct str raw, struct str name)
{
    size_t at = 0;
    size_t i = 0;
    if (memchr(raw.p, '\\', raw.n) == NULL) {
        return str_eq(raw, name);
    }
    while (at < raw.n && i < name.n) {
        int c = (unsigned char)raw.p[at++];
        if (c == '\\') {
            if (at == raw.n) {
                return false;
            }
            c = decode_escape(raw, &at);
        }
        if (c != (unsigned char)name.p[i++]) {
            return false;
        }
    }
    return at == raw.n && i == name.n;
}

/* *out gets the key's text between the quotes; false when there is no key. */
static bool take_key(struct scan *s, struct str *out)
{
    const unsigned char *begin;
    if (s->p == s->end || *s->p != '"') {
        return false;
    }
    begin = ++s->p;
    if (!skip_string(s)) {
        return false;
    }
    *out = str_of((const char *)begin, (size_t)(s->p - begin) - 1);
    return true;
}

static bool take_c(struct scan *s, char c)
{
    skip_space(s);
    if (s->p == s->end || *s->p != (unsigned char)c) {
        return false;
    }
    s->p++;
    skip_space(s);
    return true;
}

int json_spans(struct str text, const struct str *names, struct str *out, size_t n)
{
    struct scan s = {.p = (const unsigned char *)text.p};
    struct str key;

    for (size_t i = 0; i < n; i++) {
        out[i] = STR_NULL;
    }
    if (text.n == 0) {
        return ERR_INVALID;
    }
    s.end = s.p + text.n;
    if (!take_c(&s, '{')) {
        return ERR_INVALID;
    }
    if (take_c(&s, '}')) {
        return 0;
    }
    do {
        const unsigned char *begin;
        if (!take_key(&s, &key) || !take_c(&s, ':')) {
            return ERR_INVALID;
        }
        begin = s.p;
        if (!skip_value(&s)) {
            return ERR_INVALID;
        }
        for (size_t i = 0; i < n; i++) {
            if (key_spells(key, names[i])) {
                if (out[i].p != NULL) {
                    return ERR_EXISTS;
                }
                out[i] = str_of((const char *)begin, (size_t)(s.p - begin));
                break;
            }
        }
    } while (take_c(&s, ','));
    return take_c(&s, '}') ? 0 : ERR_INVALID;
}
