/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bodies of POST and PATCH. The order of the checks is Outpost's, because it decides
 * which message a client sees: shape of the JSON, required fields, role and dates, topics.
 */
#include "longline/check.h"
#include "longline/date.h"
#include "longline/enc.h"
#include "longline/topic.h"
#include "model_internal.h"

#define FILTER_TEXT_MAX ((size_t)1024 * 1024)

enum field {
    F_ID,
    F_TYPE,
    F_TOPICS,
    F_FILTER,
    F_CONFIG,
    F_CREDENTIALS,
    F_DELIVERY_METADATA,
    F_METADATA,
    F_CREATED_AT,
    F_UPDATED_AT,
    F_DISABLED_AT,
    N_FIELDS
};

static const struct str names[N_FIELDS] = {
    [F_ID] = {"id", 2},
    [F_TYPE] = {"type", 4},
    [F_TOPICS] = {"topics", 6},
    [F_FILTER] = {"filter", 6},
    [F_CONFIG] = {"config", 6},
    [F_CREDENTIALS] = {"credentials", 11},
    [F_DELIVERY_METADATA] = {"delivery_metadata", 17},
    [F_METADATA] = {"metadata", 8},
    [F_CREATED_AT] = {"created_at", 10},
    [F_UPDATED_AT] = {"updated_at", 10},
    [F_DISABLED_AT] = {"disabled_at", 11},
};

/* One request body under way. */
struct body {
    yyjson_val *f[N_FIELDS];
    struct arena *a;
    struct problem *p;
    const struct model_caller *caller;
};

static bool is_given(const struct body *b, enum field f)
{
    return b->f[f] != NULL && !yyjson_is_null(b->f[f]);
}

/* A copy of s in the arena; sets a problem when that is used up. */
static struct str keep(struct body *b, struct str s)
{
    const struct str copy = arena_str(b->a, s);
    if (copy.p == NULL) {
        problem_set(b->p, 413, PROBLEM_TOO_LARGE);
    }
    return copy;
}

static void get_text(struct body *b, enum field f, struct str *out)
{
    if (!is_given(b, f)) {
        return;
    }
    if (!yyjson_is_str(b->f[f])) {
        problem_set(b->p, 422, PROBLEM_INVALID_JSON);
        return;
    }
    *out = keep(b, json_str(b->f[f]));
}

static const char *not_a_date(const struct body *b, enum field f)
{
    const char *text = arena_printf(
        b->a, STR_FMT " must be an RFC 3339 date, such as 2026-01-02T15:04:05Z", STR_ARG(names[f]));
    return text != NULL ? text : PROBLEM_INVALID_JSON;
}

static void get_time(struct body *b, enum field f, int64_t *out_ms)
{
    if (!is_given(b, f)) {
        return;
    }
    int64_t ms = 0;
    if (!yyjson_is_str(b->f[f])) {
        problem_set(b->p, 422, PROBLEM_INVALID_JSON);
        return;
    }
    if (date_parse_rfc3339(json_str(b->f[f]), &ms) != 0) {
        problem_set(b->p, 422, not_a_date(b, f));
        return;
    }
    /* 0 stands for "not disabled" and "not given". */
    *out_ms = ms != 0 ? ms : 1;
}

static void get_filter(struct body *b, struct str *out)
{
    yyjson_val *v = b->f[F_FILTER];
    if (v == NULL) {
        return;
    }
    *out = STR_NULL;
    if (yyjson_is_null(v)) {
        return;
    }
    if (!yyjson_is_obj(v)) {
        problem_set(b->p, 422, PROBLEM_INVALID_JSON);
        return;
    }
    if (yyjson_obj_size(v) == 0) {
        return;
    }
    struct buf text;
    buf_init(&text, FILTER_TEXT_MAX);
    if (json_write_val(&text, v) == 0 && !text.failed) {
        *out = keep(b, buf_str(&text));
    } else {
        problem_set(b->p, 413, PROBLEM_TOO_LARGE);
    }
    buf_fini(&text);
}

/* "*" or a list of strings. Which strings are allowed is checked later. */
static void get_topics(struct body *b, struct destination *d)
{
    yyjson_val *v = b->f[F_TOPICS];
    if (!is_given(b, F_TOPICS)) {
        return;
    }
    const bool is_all = str_eq(json_str(v), STR("*"));
    const size_t n = is_all ? 1 : yyjson_arr_size(v);
    if (!is_all && !yyjson_is_arr(v)) {
        problem_set(b->p, 422, "validation failed: invalid topics format");
        return;
    }
    if (n > MODEL_MAX_TOPICS) {
        problem_add(b->p, b->a, "topics failed maxlength validation");
        return;
    }
    d->n_topics = 0;
    d->topics = arena_alloc(b->a, (n > 0 ? n : 1) * sizeof(*d->topics));
    if (d->topics == NULL) {
        problem_set(b->p, 413, PROBLEM_TOO_LARGE);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        yyjson_val *item = is_all ? v : yyjson_arr_get(v, i);
        if (!yyjson_is_str(item)) {
            problem_set(b->p, 422, "validation failed: invalid topics format");
            return;
        }
        d->topics[d->n_topics++] = keep(b, json_str(item));
    }
}

static bool matches_some(struct str pattern, const struct topic_rules *rules)
{
    for (size_t i = 0; i < rules->n_topics; i++) {
        if (topic_glob(pattern, rules->topics[i])) {
            return true;
        }
    }
    return rules->n_topics == 0;
}

static bool topic_allowed(struct str topic, const struct topic_rules *rules)
{
    if (topic.n == 0 || topic.n > MODEL_MAX_TOPIC || !text_is_clean(topic)) {
        return false;
    }
    const bool is_pattern = str_find(topic, '*') < topic.n;
    if (is_pattern && !rules->allow_wildcards) {
        return false;
    }
    /* Beside others "*" is no topic of the list. */
    if (rules->n_topics > 0 && str_eq(topic, STR("*"))) {
        return false;
    }
    return matches_some(topic, rules);
}

static bool topics_allowed(const struct destination *d, const struct topic_rules *rules)
{
    if (d->n_topics == 1 && str_eq(d->topics[0], STR("*"))) {
        return true;
    }
    for (size_t i = 0; i < d->n_topics; i++) {
        if (!topic_allowed(d->topics[i], rules)) {
            return false;
        }
    }
    return d->n_topics > 0;
}

static void check_topics(struct body *b, struct destination *d)
{
    static const struct topic_rules any = {0};
    const struct topic_rules *rules = b->caller->topics != NULL ? b->caller->topics : &any;
    if (!topics_allowed(d, rules)) {
        problem_set(b->p, 422, "validation failed: invalid topics");
        return;
    }
    d->n_topics = topics_normalise(d->topics, d->n_topics);
}

static void check_not_future(struct body *b, int64_t ms, const char *message)
{
    if (b->p->status == 0 && ms > b->caller->now_ms) {
        problem_set(b->p, 422, message);
    }
}

static const struct {
    enum field field;
    size_t offset;
} maps[] = {
    {F_CONFIG, offsetof(struct destination, config)},
    {F_CREDENTIALS, offsetof(struct destination, credentials)},
    {F_DELIVERY_METADATA, offsetof(struct destination, delivery_metadata)},
    {F_METADATA, offsetof(struct destination, metadata)},
};

static struct kv_map *map_at(struct destination *d, size_t i)
{
    return (struct kv_map *)(void *)((char *)d + maps[i].offset);
}

static void create_fields(struct body *b, struct destination *d)
{
    get_text(b, F_ID, &d->id);
    get_text(b, F_TYPE, &d->type);
    get_topics(b, d);
    get_filter(b, &d->filter);
    for (size_t i = 0; i < LL_COUNT(maps); i++) {
        const enum field f = maps[i].field;
        if (is_given(b, f)) {
            problem_from_map(b->p, b->a, kv_map_parse(map_at(d, i), b->f[f], b->a), names[f]);
        }
    }
    get_time(b, F_CREATED_AT, &d->created_ms);
    get_time(b, F_UPDATED_AT, &d->updated_ms);
    get_time(b, F_DISABLED_AT, &d->disabled_ms);
}

static void create_required(struct body *b, const struct destination *d)
{
    if (d->id.n > 0 && !model_id_valid(d->id)) {
        problem_add(b->p, b->a, "id failed pattern validation");
    }
    if (d->type.n == 0) {
        problem_add(b->p, b->a, "type is required");
    }
    if (!is_given(b, F_TOPICS)) {
        problem_add(b->p, b->a, "topics is required");
    }
}

static void create_dates(struct body *b, struct destination *d)
{
    if (!b->caller->is_admin && (is_given(b, F_CREATED_AT) || is_given(b, F_UPDATED_AT))) {
        problem_set(b->p, 403,
                    "created_at and updated_at can only be set with API key authentication");
        return;
    }
    if (!is_given(b, F_CREATED_AT)) {
        d->created_ms = b->caller->now_ms;
    }
    if (!is_given(b, F_UPDATED_AT)) {
        d->updated_ms = d->created_ms;
    }
    check_not_future(b, d->created_ms, "created_at cannot be in the future");
    check_not_future(b, d->updated_ms, "updated_at cannot be in the future");
    check_not_future(b, d->disabled_ms, "disabled_at cannot be in the future");
}

void destination_parse_create(struct destination *out, yyjson_val *v, const struct model_caller *c,
                              struct arena *a, struct problem *p)
{
    *out = (struct destination){.id = STR(""), .filter = STR_NULL};
    struct body b = {.a = a, .p = p, .caller = c};
    if (!body_fields(v, names, b.f, N_FIELDS)) {
        problem_set(p, 422, PROBLEM_INVALID_JSON);
        return;
    }
    create_fields(&b, out);
    create_required(&b, out);
    if (p->status == 0) {
        create_dates(&b, out);
    }
    if (p->status == 0) {
        check_topics(&b, out);
    }
}

static void patch_map(struct body *b, size_t i, struct destination *d)
{
    struct kv_map *const m = map_at(d, i);
    const enum field f = maps[i].field;
    yyjson_val *v = b->f[f];
    if (v == NULL) {
        return;
    }
    if (yyjson_is_null(v)) {
        *m = (struct kv_map){0};
        return;
    }
    if (!yyjson_is_obj(v)) {
        problem_set(b->p, 422, PROBLEM_INVALID_JSON);
        return;
    }
    const struct kv_map old = *m;
    problem_from_map(b->p, b->a, kv_map_merge(m, &old, v, b->a), names[f]);
}

void destination_parse_patch(struct destination *out, const struct destination *old, yyjson_val *v,
                             const struct model_caller *c, bool *touched_type_fields,
                             struct arena *a, struct problem *p)
{
    *out = *old;
    *touched_type_fields = false;
    struct body b = {.a = a, .p = p, .caller = c};
    if (!body_fields(v, names, b.f, N_FIELDS)) {
        problem_set(p, 422, PROBLEM_INVALID_JSON);
        return;
    }
    struct str type = STR_NULL;
    get_text(&b, F_TYPE, &type);
    get_topics(&b, out);
    get_filter(&b, &out->filter);
    for (size_t i = 0; i < LL_COUNT(maps); i++) {
        patch_map(&b, i, out);
    }
    if (b.f[F_DISABLED_AT] != NULL) {
        out->disabled_ms = 0;
        get_time(&b, F_DISABLED_AT, &out->disabled_ms);
    }
    check_not_future(&b, b.f[F_DISABLED_AT] != NULL ? out->disabled_ms : 0,
                     "disabled_at cannot be in the future");
    if (p->status == 0 && is_given(&b, F_TOPICS)) {
        check_topics(&b, out);
    }
    if (p->status == 0 && type.n > 0 && !str_eq(type, old->type)) {
        problem_set(p, 422, "type cannot be updated");
    }
    *touched_type_fields = b.f[F_CONFIG] != NULL || b.f[F_CREDENTIALS] != NULL;
    out->updated_ms = c->now_ms;
}
