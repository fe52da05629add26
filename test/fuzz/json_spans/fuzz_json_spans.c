/* SPDX-License-Identifier: Apache-2.0 */
/*
 * json_spans on any bytes must stay within them. On text that json_parse accepts, each span must
 * parse to the same value as the member that yyjson finds, and duplicates must be seen.
 */
#include <stdint.h>

#include "longline/check.h"
#include "longline/json.h"

#define N_NAMES 3

static const struct str names[N_NAMES] = {{"data", 4}, {"id", 2}, {"topic", 5}};

static size_t count_members(yyjson_val *obj, struct str name)
{
    yyjson_obj_iter it = yyjson_obj_iter_with(obj);
    yyjson_val *key;
    size_t n = 0;
    while ((key = yyjson_obj_iter_next(&it)) != NULL) {
        n += str_eq(json_str(key), name) ? 1 : 0;
    }
    return n;
}

static void check_against_parser(yyjson_val *root, int rc, const struct str *spans)
{
    bool has_twin = false;
    if (!yyjson_is_obj(root)) {
        LL_ASSERT(rc == ERR_INVALID);
        return;
    }
    for (size_t i = 0; i < N_NAMES; i++) {
        has_twin = has_twin || count_members(root, names[i]) > 1;
    }
    LL_ASSERT(rc == (has_twin ? ERR_EXISTS : 0));
    if (has_twin) {
        return;
    }
    for (size_t i = 0; i < N_NAMES; i++) {
        yyjson_val *member = yyjson_obj_getn(root, names[i].p, names[i].n);
        struct arena a;
        yyjson_doc *doc;
        LL_ASSERT((member != NULL) == (spans[i].p != NULL));
        if (member == NULL) {
            continue;
        }
        arena_init(&a, 4 << 20);
        doc = json_parse(&a, spans[i], NULL);
        LL_ASSERT(doc != NULL);
        LL_ASSERT(yyjson_equals(yyjson_doc_get_root(doc), member));
        LL_ASSERT(str_trim(spans[i]).n == spans[i].n);
        arena_fini(&a);
    }
}

/* What json_write_val writes must parse to an equal document. */
static void check_writer(yyjson_val *root)
{
    struct arena a;
    struct buf b;
    yyjson_doc *doc;
    arena_init(&a, 16 << 20);
    buf_init(&b, 8 << 20);
    LL_ASSERT(json_write_val(&b, root) == 0);
    doc = json_parse(&a, buf_str(&b), NULL);
    LL_ASSERT(doc != NULL);
    buf_reset(&b);
    LL_ASSERT(json_write_val(&b, yyjson_doc_get_root(doc)) == 0);
    buf_fini(&b);
    arena_fini(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct str text = str_of((const char *)data, size);
    struct str spans[N_NAMES];
    struct arena a;
    yyjson_doc *doc;
    const int rc = json_spans(text, names, spans, N_NAMES);

    for (size_t i = 0; i < N_NAMES; i++) {
        if (rc == 0 && spans[i].p != NULL) {
            LL_ASSERT(spans[i].p >= text.p && spans[i].p + spans[i].n <= text.p + text.n);
        }
    }
    arena_init(&a, 4 << 20);
    doc = json_parse(&a, text, NULL);
    if (doc != NULL) {
        check_against_parser(yyjson_doc_get_root(doc), rc, spans);
        check_writer(yyjson_doc_get_root(doc));
    }
    arena_fini(&a);
    return 0;
}
