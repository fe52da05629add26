/* SPDX-License-Identifier: Apache-2.0 */
/* Query strings: "a=1&b=two+words&flag". Empty pieces ("&&") are passed over. */
#include "longline/enc.h"
#include "longline/http.h"

/* Decodes one side of a pair. Text without escapes, the usual case, is handed on as it is. */
static int decode(struct buf *b, struct str s, struct str *out)
{
    int rc;
    size_t at;
    if (str_find(s, '%') == s.n && str_find(s, '+') == s.n) {
        *out = s;
        return 0;
    }
    at = b->n;
    rc = dec_percent(b, s, 1);
    if (rc != 0) {
        return rc;
    }
    *out = str_of(b->p + at, b->n - at);
    return 0;
}

int http_query_each(struct str query, http_query_fn fn, void *ctx)
{
    struct str rest = query;
    struct str piece;
    struct buf b;
    int rc = 0;

    /* Decoding never makes text longer; reserving first keeps `name` in place while the value is
     * added behind it. */
    buf_init(&b, query.n);
    while (rc == 0 && str_split(&rest, '&', &piece)) {
        const size_t eq = str_find(piece, '=');
        struct str name = str_of(piece.p, eq);
        struct str value = eq < piece.n ? str_of(piece.p + eq + 1, piece.n - eq - 1) : STR("");
        if (piece.n == 0) {
            continue;
        }
        buf_reset(&b);
        rc = buf_reserve(&b, piece.n);
        if (rc == 0) {
            rc = decode(&b, name, &name);
        }
        if (rc == 0) {
            rc = decode(&b, value, &value);
        }
        if (rc == 0) {
            rc = fn(ctx, name, value);
        }
    }
    buf_fini(&b);
    return rc;
}
