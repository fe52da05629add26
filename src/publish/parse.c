/* SPDX-License-Identifier: Apache-2.0 */
#include "parse.h"

#include "longline/check.h"
#include "longline/date.h"

static void bad_json(struct problem *p)
{
    problem_set(p, 422, "invalid JSON");
}

/* An optional string: absent and null leave *out alone. */
static bool take_str(yyjson_val *obj, const char *name, struct str *out)
{
    yyjson_val *v = yyjson_obj_get(obj, name);
    if (v == NULL || yyjson_is_null(v)) {
        return true;
    }
    *out = json_str(v);
    return out->p != NULL;
}

/* Event ids travel in header fields and in signatures: visible ASCII only. No URL could name "."
 * and "..", which clients take out of a path. */
static bool id_is_fit(struct str id)
{
    if (id.n > PUBLISH_MAX_ID || str_eq(id, STR(".")) || str_eq(id, STR(".."))) {
        return false;
    }
    for (size_t i = 0; i < id.n; i++) {
        if (id.p[i] <= ' ' || id.p[i] > '~') {
            return false;
        }
    }
    return true;
}

/* Strings and null only: publishing is stricter than the maps of a destination. */
static bool metadata_is_fit(yyjson_val *v)
{
    if (!yyjson_is_obj(v)) {
        return false;
    }
    yyjson_obj_iter it = yyjson_obj_iter_with(v);
    for (yyjson_val *key = yyjson_obj_iter_next(&it); key != NULL;
         key = yyjson_obj_iter_next(&it)) {
        yyjson_val *value = yyjson_obj_iter_get_val(key);
        if (!yyjson_is_str(value) && !yyjson_is_null(value)) {
            return false;
        }
    }
    return true;
}

static bool has_null(yyjson_val *obj)
{
    yyjson_obj_iter it = yyjson_obj_iter_with(obj);
    for (yyjson_val *key = yyjson_obj_iter_next(&it); key != NULL;
         key = yyjson_obj_iter_next(&it)) {
        if (yyjson_is_null(yyjson_obj_iter_get_val(key))) {
            return true;
        }
    }
    return false;
}

/* To Outpost a null is the empty text, and clients expect text only when they read the event: such
 * metadata is written anew. That makes it shorter, so it fits into what the publisher's text
 * took. */
static bool fill_nulls(struct publish_request *out, struct arena *a)
{
    yyjson_obj_iter it = yyjson_obj_iter_with(out->metadata_val);
    struct buf b;
    struct jw w;
    buf_init(&b, out->metadata.n);
    jw_init(&w, &b);
    jw_obj(&w);
    for (yyjson_val *key = yyjson_obj_iter_next(&it); key != NULL;
         key = yyjson_obj_iter_next(&it)) {
        yyjson_val *value = yyjson_obj_iter_get_val(key);
        jw_key(&w, json_str(key));
        jw_str(&w, yyjson_is_null(value) ? STR("") : json_str(value));
    }
    jw_obj_end(&w);
    out->metadata = b.failed ? STR_NULL : arena_str(a, buf_str(&b));
    buf_fini(&b);
    yyjson_doc *doc = out->metadata.p != NULL ? json_parse(a, out->metadata, NULL) : NULL;
    out->metadata_val = doc != NULL ? yyjson_doc_get_root(doc) : NULL;
    return out->metadata_val != NULL;
}

static bool take_types(struct publish_request *out, yyjson_val *root)
{
    if (!take_str(root, "id", &out->id) || !take_str(root, "tenant_id", &out->tenant_id) ||
        !take_str(root, "destination_id", &out->destination_id) ||
        !take_str(root, "topic", &out->topic)) {
        return false;
    }
    yyjson_val *retry = yyjson_obj_get(root, "eligible_for_retry");
    out->eligible_for_retry = true;
    if (retry != NULL && !yyjson_is_null(retry)) {
        if (!yyjson_is_bool(retry)) {
            return false;
        }
        out->eligible_for_retry = yyjson_get_bool(retry);
    }
    yyjson_val *metadata = yyjson_obj_get(root, "metadata");
    if (metadata != NULL && !yyjson_is_null(metadata)) {
        if (!metadata_is_fit(metadata)) {
            return false;
        }
        out->metadata_val = metadata;
    }
    return true;
}

static void take_time(struct publish_request *out, yyjson_val *root, struct problem *p)
{
    struct str text = STR_NULL;
    if (!take_str(root, "time", &text)) {
        bad_json(p);
        return;
    }
    if (text.p == NULL) {
        return;
    }
    if (str_eq(text, STR("0001-01-01T00:00:00Z"))) {
        return; /* Go's zero time: the client set none */
    }
    if (date_parse_rfc3339(text, &out->time_ms) != 0) {
        problem_set(p, 422, "time must be an RFC 3339 date, such as 2026-01-02T15:04:05Z");
        return;
    }
    out->has_time = true;
}

static void check_topic(struct publish_request *out, const struct topic_rules *topics,
                        struct arena *a, struct problem *p)
{
    if (out->topic.n > MODEL_MAX_TOPIC) {
        problem_add(p, a, "topic must be at most %d characters", MODEL_MAX_TOPIC);
        return;
    }
    if (topics->n_topics == 0 || str_eq(out->topic, STR("*"))) {
        return;
    }
    if (out->topic.n == 0) {
        problem_add(p, a, "topic is required");
        return;
    }
    for (size_t i = 0; i < topics->n_topics; i++) {
        if (str_eq(topics->topics[i], out->topic)) {
            return;
        }
    }
    problem_add(p, a, "topic is invalid");
}

static void check_fields(struct publish_request *out, yyjson_val *root,
                         const struct topic_rules *topics, struct arena *a, struct problem *p)
{
    if (out->tenant_id.n == 0) {
        problem_add(p, a, "tenant_id is required");
    } else if (!model_id_valid(out->tenant_id)) {
        problem_add(p, a, "tenant_id failed pattern validation");
    }
    if (!id_is_fit(out->id)) {
        problem_add(p, a, "id failed pattern validation");
    }
    if (out->id.n == 0) {
        out->id = STR_NULL;
    }
    if (out->destination_id.n == 0) {
        out->destination_id = STR_NULL;
    }
    check_topic(out, topics, a, p);
    out->data_val = yyjson_obj_get(root, "data");
    if (out->data_val == NULL || yyjson_is_null(out->data_val)) {
        problem_add(p, a, "data is required");
    } else if (!yyjson_is_obj(out->data_val)) {
        problem_add(p, a, "data must be a valid JSON object");
    }
}

void publish_parse(struct publish_request *out, struct str body, const struct topic_rules *topics,
                   struct arena *a, struct problem *p)
{
    *out = (struct publish_request){.topic = STR("")};
    yyjson_doc *doc = json_parse(a, body, NULL);
    yyjson_val *root = doc != NULL ? yyjson_doc_get_root(doc) : NULL;
    if (!yyjson_is_obj(root) || !take_types(out, root)) {
        bad_json(p);
        return;
    }
    take_time(out, root, p);
    if (p->status != 0) {
        return;
    }
    check_fields(out, root, topics, a, p);
    if (p->status != 0) {
        return;
    }
    static const struct str names[] = {{"data", 4},      {"metadata", 8},        {"id", 2},
                                       {"tenant_id", 9}, {"destination_id", 14}, {"topic", 5}};
    struct str spans[LL_COUNT(names)];
    if (json_spans(body, names, spans, LL_COUNT(names)) != 0) {
        problem_set(p, 422, "invalid JSON: a field stands twice");
        return;
    }
    out->data = spans[0];
    out->metadata = out->metadata_val != NULL ? spans[1] : STR("");
    if (out->metadata_val != NULL && has_null(out->metadata_val) && !fill_nulls(out, a)) {
        problem_set(p, 413, "the event is too big");
    }
}
