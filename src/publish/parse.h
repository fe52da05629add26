/* SPDX-License-Identifier: Apache-2.0 */
/* The body of POST /publish, checked: fields, lengths, characters, the topic. Pure. */
#ifndef LL_PUBLISH_PARSE_H
#define LL_PUBLISH_PARSE_H

#include "longline/json.h"
#include "longline/model.h"

#define PUBLISH_MAX_ID 255

struct publish_request {
    struct str id; /* p NULL: to be generated */
    struct str tenant_id;
    struct str destination_id; /* p NULL: any */
    struct str topic;          /* "" when absent */
    bool eligible_for_retry;
    bool has_time;
    int64_t time_ms;
    struct str metadata;      /* the publisher's text, null replaced; empty when absent */
    struct str data;          /* the publisher's text */
    yyjson_val *metadata_val; /* NULL when absent */
    yyjson_val *data_val;
};

/* Fills *out, or *p with what is wrong. Everything points into body or the arena. */
void publish_parse(struct publish_request *out, struct str body, const struct topic_rules *topics,
                   struct arena *a, struct problem *p);

#endif
