/* SPDX-License-Identifier: Apache-2.0 */
#include "longline/json.h"

#include "longline/ckd.h"

static void *alc_malloc(void *ctx, size_t n)
{
    return arena_alloc(ctx, n);
}

static void *alc_realloc(void *ctx, void *p, size_t old_n, size_t n)
{
    return arena_realloc(ctx, p, old_n, n);
}

static void alc_free(void *ctx, void *p)
{
    (void)ctx;
    (void)p; /* goes with the arena */
}

/* The values of a document stand in one array, containers before their members, so the depth comes
 * from one pass and a stack of the places where the open containers end. */
static bool is_too_deep(yyjson_doc *doc)
{
    yyjson_val *ends[JSON_MAX_DEPTH];
    yyjson_val *v = yyjson_doc_get_root(doc);
    const size_t n = yyjson_doc_get_val_count(doc);
    unsigned depth = 0;

    for (size_t i = 0; i < n; i++, v++) {
        while (depth != 0 && v >= ends[depth - 1]) {
            depth--;
        }
        if (yyjson_is_ctn(v)) {
            if (depth == JSON_MAX_DEPTH) {
                return true;
            }
            ends[depth++] = unsafe_yyjson_get_next(v);
        }
    }
    return false;
}

yyjson_doc *json_parse(struct arena *a, struct str text, struct err_detail *err)
{
    const yyjson_alc alc = {
        .malloc = alc_malloc, .realloc = alc_realloc, .free = alc_free, .ctx = a};
    yyjson_read_err read_err = {0};
    yyjson_doc *doc;
    size_t total;
    char *copy;

    /* yyjson would copy the text into its own padded block; doing it here lets it parse in place
     * and keeps the input const. */
    if (ckd_add_size(&total, text.n, YYJSON_PADDING_SIZE) ||
        (copy = arena_alloc(a, total)) == NULL) {
        (void)err_set(err, ERR_TOO_BIG, 0, "the JSON text is too large");
        return NULL;
    }
    if (text.n != 0) {
        memcpy(copy, text.p, text.n);
    }
    memset(copy + text.n, 0, YYJSON_PADDING_SIZE);

    doc = yyjson_read_opts(copy, text.n, YYJSON_READ_INSITU, &alc, &read_err);
    if (doc == NULL) {
        if (read_err.code == YYJSON_READ_ERROR_MEMORY_ALLOCATION) {
            (void)err_set(err, ERR_TOO_BIG, (int)read_err.code, "the JSON text is too large");
        } else {
            (void)err_set(err, ERR_SYNTAX, (int)read_err.code, "invalid JSON at byte %zu: %s",
                          read_err.pos, read_err.msg != NULL ? read_err.msg : "syntax error");
        }
        return NULL;
    }
    if (is_too_deep(doc)) {
        (void)err_set(err, ERR_SYNTAX, 0, "JSON is nested deeper than %d levels", JSON_MAX_DEPTH);
        return NULL;
    }
    return doc;
}
