/* SPDX-License-Identifier: Apache-2.0 */
/* What decodes must encode to the same text, but for leading zeros. */
#include "api/cursor.h"
#include "longline/check.h"
#include "longline/enc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str text = str_of((const char *)data, size);
    struct str position;
    struct str id;
    struct arena a;
    uint64_t seq;
    int64_t ms;

    arena_init(&a, 1 << 16);
    if (cursor_decode(&a, STR("evt"), text, &position) == 0) {
        const struct str again = cursor_encode(&a, STR("evt"), position);
        while (text.n != 0 && text.p[0] == '0') {
            text = str_of(text.p + 1, text.n - 1);
        }
        LL_ASSERT(str_eq(again, text));
        if (cursor_parse_seq(position, &seq) == 0) {
            LL_ASSERT(seq != 0);
        }
        if (cursor_parse_tenant(position, &ms, &id) == 0) {
            LL_ASSERT(id.n != 0);
        }
    }
    /* Any text as a position. */
    if (utf8_valid(text)) {
        const struct str cursor = cursor_encode(&a, STR("tnt"), text);
        if (cursor.p != NULL) {
            LL_ASSERT(cursor_decode(&a, STR("tnt"), cursor, &position) == 0);
            LL_ASSERT(str_eq(position, text));
        }
    }
    arena_fini(&a);
    return 0;
}
