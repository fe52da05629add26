/* SPDX-License-Identifier: Apache-2.0 */
#include "json_internal.h"
#include "longline/check.h"
#include "longline/date.h"
#include "longline/enc.h"

#define JW_MAX_DEPTH      32
#define DOUBLE_POOL_BYTES 1024 /* what yyjson needs to print one number */

void jw_init(struct jw *w, struct buf *b)
{
    *w = (struct jw){.b = b};
}

static inline bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* Number of bytes at the front that stand for themselves: ASCII but controls, quote, backslash. */
static inline size_t plain_prefix(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.p;
    size_t i = 0;
    while (s.n - i >= 8) {
        const uint64_t v = json_load8(p + i);
        /* A byte below 0x20 borrows into its top bit; one from 0x80 has it already. A borrow may
         * also mark the next byte falsely, which only costs the slow loop. */
        const uint64_t odd = ((v - JSON_BYTES(0x20)) | v) & JSON_BYTES(0x80);
        if ((odd | json_has_zero(v ^ JSON_BYTES('"')) | json_has_zero(v ^ JSON_BYTES('\\'))) != 0) {
            break;
        }
        i += 8;
    }
    while (i < s.n && is_plain(p[i])) {
        i++;
    }
    return i;
}

/* The escape for a control character, quote or backslash. */
static void put_escape(struct buf *b, unsigned char c)
{
    static const char hex[] = "0123456789abcdef";
    static const char short_form[128] = {['"'] = '"',  ['\\'] = '\\', ['\b'] = 'b', ['\f'] = 'f',
                                         ['\n'] = 'n', ['\r'] = 'r',  ['\t'] = 't'};
    if (short_form[c] != '\0') {
        const char two[2] = {'\\', short_form[c]};
        (void)buf_add(b, two, sizeof(two));
    } else {
        const char six[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
        (void)buf_add(b, six, sizeof(six));
    }
}

/* What follows the plain prefix. */
static void put_rest(struct buf *b, struct str s)
{
    size_t i = 0;
    while (i < s.n) {
        const size_t plain = plain_prefix(str_of(s.p + i, s.n - i));
        size_t len;
        (void)buf_add(b, s.p + i, plain);
        i += plain;
        if (i == s.n) {
            break;
        }
        if ((unsigned char)s.p[i] < 0x80) {
            put_escape(b, (unsigned char)s.p[i]);
            i++;
            continue;
        }
        len = utf8_sequence(s.p + i, s.n - i);
        if (len != 0) {
            (void)buf_add(b, s.p + i, len);
            i += len;
        } else {
            (void)buf_add_lit(b, "\xef\xbf\xbd"); /* U+FFFD */
            i++;
        }
    }
}

/* `before` (if not 0), the string in quotes, `after` (if not 0), with one test for room. */
static inline void put_quoted(struct buf *b, char before, struct str s, char after)
{
    const size_t plain = plain_prefix(s);
    char *p;

    if (b->failed || s.n > SIZE_MAX - 4 || buf_reserve(b, s.n + 4) != 0) {
        /* Close to the maximum, or failed already: byte by byte, so that what fits exactly does. */
        if (before != '\0') {
            (void)buf_add_c(b, before);
        }
        (void)buf_add_c(b, '"');
        put_rest(b, s);
        (void)buf_add_c(b, '"');
        if (after != '\0') {
            (void)buf_add_c(b, after);
        }
        return;
    }
    p = b->p + b->n;
    if (before != '\0') {
        *p++ = before;
    }
    *p++ = '"';
    if (plain != 0) {
        memcpy(p, s.p, plain);
        p += plain;
    }
    if (plain != s.n) {
        b->n = (size_t)(p - b->p);
        put_rest(b, str_of(s.p + plain, s.n - plain));
        (void)buf_add_c(b, '"');
        if (after != '\0') {
            (void)buf_add_c(b, after);
        }
        return;
    }
    *p++ = '"';
    if (after != '\0') {
        *p++ = after;
    }
    b->n = (size_t)(p - b->p);
}

void json_put_string(struct buf *b, struct str s)
{
    put_quoted(b, '\0', s, '\0');
}

void json_put_double(struct buf *b, double v)
{
    char pool[DOUBLE_POOL_BYTES];
    yyjson_val val = {0};
    yyjson_alc alc;
    size_t n = 0;
    char *text;

    if (!__builtin_isfinite(v)) {
        (void)buf_add_lit(b, "null");
        return;
    }
    val.tag = YYJSON_TYPE_NUM | YYJSON_SUBTYPE_REAL;
    val.uni.f64 = v;
    if (!yyjson_alc_pool_init(&alc, pool, sizeof(pool))) {
        b->failed = true;
        return;
    }
    text = yyjson_val_write_opts(&val, YYJSON_WRITE_NOFLAG, &alc, &n, NULL);
    LL_ASSERT(text != NULL);
    (void)buf_add(b, text, n);
}

/* The comma that belongs before the next key or value, or 0. */
static inline char separator(struct jw *w)
{
    uint32_t bit;
    if (w->after_key) {
        w->after_key = false;
        return '\0';
    }
    if (w->depth == 0) {
        return '\0';
    }
    bit = (uint32_t)1 << (w->depth - 1);
    if ((w->has_member & bit) != 0) {
        return ',';
    }
    w->has_member |= bit;
    return '\0';
}

static inline void put_separator(struct jw *w)
{
    const char c = separator(w);
    if (c != '\0') {
        (void)buf_add_c(w->b, c);
    }
}

static void open_container(struct jw *w, char c)
{
    LL_ASSERT(w->depth < JW_MAX_DEPTH);
    put_separator(w);
    (void)buf_add_c(w->b, c);
    w->depth++;
    w->has_member &= ~((uint32_t)1 << (w->depth - 1));
}

static void close_container(struct jw *w, char c)
{
    LL_ASSERT(w->depth != 0 && !w->after_key);
    w->depth--;
    (void)buf_add_c(w->b, c);
}

void jw_obj(struct jw *w)
{
    open_container(w, '{');
}

void jw_obj_end(struct jw *w)
{
    close_container(w, '}');
}

void jw_arr(struct jw *w)
{
    open_container(w, '[');
}

void jw_arr_end(struct jw *w)
{
    close_container(w, ']');
}

void jw_key(struct jw *w, struct str key)
{
    LL_DCHECK(!w->after_key);
    put_quoted(w->b, separator(w), key, ':');
    w->after_key = true;
}

void jw_str(struct jw *w, struct str s)
{
    put_quoted(w->b, separator(w), s, '\0');
}

void jw_int(struct jw *w, int64_t v)
{
    put_separator(w);
    (void)buf_add_i64(w->b, v);
}

void jw_uint(struct jw *w, uint64_t v)
{
    put_separator(w);
    (void)buf_add_u64(w->b, v);
}

void jw_bool(struct jw *w, bool v)
{
    put_separator(w);
    (void)buf_add_str(w->b, v ? STR("true") : STR("false"));
}

void jw_null(struct jw *w)
{
    put_separator(w);
    (void)buf_add_lit(w->b, "null");
}

void jw_raw(struct jw *w, struct str json)
{
    put_separator(w);
    (void)buf_add_str(w->b, json.n != 0 ? json : STR("null"));
}

void jw_time_ms(struct jw *w, int64_t wall_ms)
{
    char text[DATE_MAX];
    const size_t n = date_rfc3339_ms(text, wall_ms);
    put_quoted(w->b, separator(w), str_of(text, n), '\0');
}
