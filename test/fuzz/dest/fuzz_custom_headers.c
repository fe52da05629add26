/* SPDX-License-Identifier: Apache-2.0 */
/* Custom headers as tenants write them. What is accepted can go into a request as it is. */
#include <stddef.h>
#include <stdint.h>

#include "longline/check.h"
#include "longline/http.h"

#include "dest/webhook/webhook.h"

#define MEMORY   ((size_t)4 * 1024 * 1024)
#define MAX_TEXT 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > MAX_TEXT) {
        return 0;
    }
    const struct str text = str_of((const char *)data, size);
    struct http_header *h = NULL;
    struct http_header *again = NULL;
    size_t n = 0;
    size_t n_again = 0;
    struct problem p = {0};
    struct arena a;
    arena_init(&a, MEMORY);
    const int rc = webhook_parse_headers(text, &a, &p, &h, &n);
    LL_ASSERT((rc == 0) == (p.status == 0) || rc == ERR_TOO_BIG);
    LL_ASSERT(p.n_items <= PROBLEM_MAX_ITEMS);
    for (size_t i = 0; i < n; i++) {
        LL_ASSERT(http_is_token(h[i].name) && http_is_field_value(h[i].value));
        LL_ASSERT(h[i].value.n != 0 && !webhook_is_forbidden(h[i].name));
    }
    /* Without a place for problems the verdict is the same. */
    LL_ASSERT(webhook_parse_headers(text, &a, NULL, &again, &n_again) == rc && n_again == n);
    arena_fini(&a);
    return 0;
}
