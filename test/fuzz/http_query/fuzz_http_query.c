/* SPDX-License-Identifier: Apache-2.0 */
/* Query strings, and the other small parsers of header text. */
#include "longline/check.h"
#include "longline/http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct seen {
    size_t n_pairs;
    size_t n_bytes;
};

static int on_pair(void *ctx, struct str name, struct str value)
{
    struct seen *seen = ctx;
    seen->n_pairs++;
    seen->n_bytes += name.n + value.n;
    return seen->n_pairs < 1000 ? 0 : 1;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct str text = str_of((const char *)data, size);
    struct seen seen = {.n_pairs = 0};
    int64_t delay = -1;
    int rc = http_query_each(text, on_pair, &seen);

    LL_ASSERT(rc == 0 || rc == ERR_SYNTAX || rc == 1);
    LL_ASSERT(seen.n_bytes <= size);
    LL_ASSERT(seen.n_pairs <= size);

    rc = http_parse_retry_after(text, INT64_C(784111777000), &delay);
    LL_ASSERT(rc == 0 || rc == ERR_SYNTAX);
    LL_ASSERT(rc != 0 || (delay >= 0 && delay <= INT64_C(86400000)));
    LL_ASSERT(!http_is_token(text) || http_is_field_value(text));
    return 0;
}
