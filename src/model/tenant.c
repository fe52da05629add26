/* SPDX-License-Identifier: Apache-2.0 */
#include "model_internal.h"

void tenant_parse(struct tenant *out, yyjson_val *v, struct arena *a, struct problem *p)
{
    static const struct str names[] = {{"metadata", 8}};
    yyjson_val *metadata = NULL;
    out->metadata = (struct kv_map){0};
    if (!body_fields(v, names, &metadata, 1)) {
        problem_set(p, 422, PROBLEM_INVALID_JSON);
        return;
    }
    if (metadata != NULL && !yyjson_is_null(metadata)) {
        problem_from_map(p, a, kv_map_parse(&out->metadata, metadata, a), names[0]);
    }
}
