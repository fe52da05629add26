/* SPDX-License-Identifier: Apache-2.0 */
/* Query strings through everything that lists make of them. */
#include "api/list.h"
#include "longline/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {"id", "tenant_id", "topic", "include"};
    static const char *const resources[] = {"evt", "att", "tnt"};
    struct arena a;
    struct query q;

    arena_init(&a, 1 << 20);
    if (query_parse(&q, str_of((const char *)data, size), &a) == 0) {
        for (size_t i = 0; i < LL_COUNT(names); i++) {
            struct store_strs list;
            if (query_list(&q, str_c(names[i]), &a, &list) == 0) {
                LL_ASSERT(list.n <= q.n);
                for (size_t j = 0; j < list.n; j++) {
                    LL_ASSERT(list.v[j].n != 0 && query_list_has(&list, list.v[j]));
                }
            }
        }
        for (size_t i = 0; i < LL_COUNT(resources); i++) {
            struct list_params p;
            struct list_problem problem = {.status = 0};
            if (list_parse(&p, &q, str_c(resources[i]), &a, &problem) == 0) {
                LL_ASSERT(p.limit >= 1 && p.limit <= LIST_LIMIT_MAX);
            } else {
                LL_ASSERT(problem.status != 0 && problem.message != NULL);
            }
        }
    }
    arena_fini(&a);
    return 0;
}
