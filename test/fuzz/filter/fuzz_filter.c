/* SPDX-License-Identifier: Apache-2.0 */
/*
 * First line: a filter; the rest: an event's data. Whatever they are, compiling and matching end,
 * give the same answer again, and an event never matches both a filter and its negation.
 */
#include <stddef.h>
#include <stdint.h>

#include "longline/arena.h"
#include "longline/buf.h"
#include "longline/check.h"
#include "longline/match.h"

#define MEMORY ((size_t)16 * 1024 * 1024)

static void check_negation(struct str text, bool matched, const struct match_doc *doc)
{
    struct buf b;
    struct filter *f = NULL;
    buf_init(&b, MEMORY);
    buf_printf(&b, "{\"$not\":" STR_FMT "}", STR_ARG(text));
    /* One level deeper: that may be too deep. */
    if (!b.failed && filter_compile(&f, buf_str(&b)) == 0) {
        LL_ASSERT(!(matched && filter_match(f, doc)));
        filter_free(f);
    }
    buf_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct str input = str_of((const char *)data, size);
    const size_t line = str_find(input, '\n');
    const struct str text = str_of(input.p, line);
    const size_t rest = line < input.n ? line + 1 : line;
    struct filter *f = NULL;
    if (filter_compile(&f, text) != 0) {
        LL_ASSERT(f == NULL);
        return 0;
    }
    struct arena a;
    arena_init(&a, MEMORY);
    yyjson_doc *doc = json_parse(&a, str_of(input.p + rest, input.n - rest), NULL);
    yyjson_val *root = doc != NULL ? yyjson_doc_get_root(doc) : NULL;
    const struct match_doc event = {
        .id = STR("evt_1"),
        .topic = STR("order.created"),
        .time = STR("2026-01-01T00:00:00Z"),
        .metadata = yyjson_is_obj(root) ? yyjson_obj_get(root, "metadata") : NULL,
        .data = root,
    };
    const bool matched = filter_match(f, &event);
    LL_ASSERT(filter_match(f, &event) == matched);
    LL_ASSERT(f != NULL || matched);
    if (f != NULL) { /* null matches all only as a whole filter */
        check_negation(text, matched, &event);
    }
    arena_fini(&a);
    filter_free(f);
    return 0;
}
