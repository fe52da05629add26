/* SPDX-License-Identifier: Apache-2.0 */
/* A body of POST /publish. What is accepted keeps the promises that the rest builds on. */
#include <stddef.h>
#include <stdint.h>

#include "longline/check.h"
#include "longline/json.h"
#include "publish/parse.h"

#define MEMORY   ((size_t)8 * 1024 * 1024)
#define MAX_BODY 65536

static bool is_within(struct str part, struct str whole)
{
    const uintptr_t p = (uintptr_t)part.p;
    const uintptr_t w = (uintptr_t)whole.p;
    return p >= w && p + part.n <= w + whole.n;
}

static void check_accepted(const struct publish_request *rq, struct str body,
                           const struct topic_rules *topics, struct arena *a)
{
    LL_ASSERT(model_id_valid(rq->tenant_id));
    LL_ASSERT(rq->id.p == NULL || (rq->id.n > 0 && rq->id.n <= PUBLISH_MAX_ID));
    for (size_t i = 0; i < rq->id.n; i++) {
        LL_ASSERT(rq->id.p[i] > ' ' && rq->id.p[i] <= '~');
    }
    LL_ASSERT(rq->topic.p != NULL && rq->topic.n <= MODEL_MAX_TOPIC);
    LL_ASSERT(topics->n_topics == 0 || rq->topic.n != 0);
    /* The data goes out as it came in. */
    LL_ASSERT(is_within(rq->data, body) && yyjson_is_obj(rq->data_val));
    LL_ASSERT(rq->data.n >= 2 && rq->data.p[0] == '{' && rq->data.p[rq->data.n - 1] == '}');
    yyjson_doc *data = json_parse(a, rq->data, NULL);
    LL_ASSERT(data == NULL || /* memory */
              yyjson_equals(yyjson_doc_get_root(data), rq->data_val));
    LL_ASSERT((rq->metadata.n == 0) == (rq->metadata_val == NULL));
    LL_ASSERT(rq->metadata.n == 0 || is_within(rq->metadata, body));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct str known[] = {{"order.created", 13}, {"user.created", 12}};
    if (size == 0 || size > MAX_BODY) {
        return 0;
    }
    /* The length picks the rules, so that the input stays plain JSON. */
    const struct topic_rules topics = {.topics = known, .n_topics = size % 2 * 2};
    const struct str body = str_of((const char *)data, size);
    struct publish_request rq;
    struct problem p = {0};
    struct arena a;
    arena_init(&a, size % 7 == 0 ? 4096 : MEMORY);
    publish_parse(&rq, body, &topics, &a, &p);
    LL_ASSERT(p.n_items <= PROBLEM_MAX_ITEMS);
    if (p.status == 0) {
        check_accepted(&rq, body, &topics, &a);
    } else {
        LL_ASSERT(p.status == 422 && p.message != NULL);
    }
    arena_fini(&a);
    return 0;
}
