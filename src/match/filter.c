/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Evaluation. A pattern (a node of the filter) is held against a value of the document; NULL is the
 * value of a member that is not there. The document itself is not a JSON value: `root` stands for
 * it, and its members are looked up in struct match_doc.
 *
 * How deep the recursion goes is bounded by the depth of the filter plus that of the document. How
 * long it takes is bounded by a number of steps: arrays of a filter against arrays of a document
 * multiply, and both are written by outsiders. When the steps are used up there is no match.
 *
 * Two things differ from Outpost on purpose: $or, $and and $not have the same meaning under a
 * field as at an object's level, and their siblings count.
 */
#define _GNU_SOURCE /* memmem */

#include "longline/match.h"

#include "filter_internal.h"

#define MAX_STEPS      200000U
#define BYTES_PER_STEP 64U

struct eval {
    uint32_t steps_left;
    bool exhausted;
    const struct match_doc *doc;
    yyjson_val root; /* only its address means something */
    yyjson_val no_metadata;
    yyjson_val id;
    yyjson_val topic;
    yyjson_val time;
};

static bool match(struct eval *e, const struct node *s, yyjson_val *v);

static bool spend(struct eval *e, size_t n)
{
    if (e->steps_left < n) {
        e->steps_left = 0;
        e->exhausted = true;
        return false;
    }
    e->steps_left -= (uint32_t)n;
    return true;
}

static struct str node_str(const struct node *s)
{
    return str_of(s->u.text, s->n);
}

static bool is_object(const struct eval *e, yyjson_val *v)
{
    return v == &e->root || yyjson_is_obj(v);
}

static yyjson_val *doc_member(struct eval *e, struct str key)
{
    if (str_eq(key, STR("data"))) {
        return e->doc->data;
    }
    if (str_eq(key, STR("metadata"))) {
        return e->doc->metadata != NULL ? e->doc->metadata : &e->no_metadata;
    }
    if (str_eq(key, STR("topic"))) {
        return &e->topic;
    }
    if (str_eq(key, STR("id"))) {
        return &e->id;
    }
    return str_eq(key, STR("time")) ? &e->time : NULL;
}

/* The last one, should the key stand there twice: that is what most receivers see. */
static yyjson_val *member(struct eval *e, yyjson_val *v, struct str key)
{
    if (v == &e->root) {
        return doc_member(e, key);
    }
    if (!spend(e, yyjson_obj_size(v))) {
        return NULL;
    }
    yyjson_val *found = NULL;
    yyjson_obj_iter it = yyjson_obj_iter_with(v);
    yyjson_val *k;
    while ((k = yyjson_obj_iter_next(&it)) != NULL) {
        if (str_eq(json_str(k), key)) {
            found = yyjson_obj_iter_get_val(k);
        }
    }
    return found;
}

static struct str key_of(const struct node *s)
{
    return str_of(s->key, s->key_n);
}

static bool num_eq(double a, double b)
{
    return !(a < b) && !(a > b);
}

/* For a node that is no array and no object. */
static bool scalar_eq(struct eval *e, const struct node *s, yyjson_val *v)
{
    switch ((enum node_kind)s->kind) {
    case NODE_NULL:
        return yyjson_is_null(v);
    case NODE_BOOL:
        return yyjson_is_bool(v) && yyjson_get_bool(v) == s->truth;
    case NODE_NUM:
        return yyjson_is_num(v) && num_eq(yyjson_get_num(v), s->u.num);
    case NODE_STR:
        return yyjson_is_str(v) && yyjson_get_len(v) == s->n && spend(e, s->n / BYTES_PER_STEP) &&
               str_eq(json_str(v), node_str(s));
    case NODE_ARR:
    case NODE_OBJ:
        break;
    }
    return false;
}

static bool deep_eq(struct eval *e, const struct node *s, yyjson_val *v);

static bool array_eq(struct eval *e, const struct node *s, yyjson_val *v)
{
    if (!yyjson_is_arr(v) || yyjson_arr_size(v) != s->n) {
        return false;
    }
    yyjson_arr_iter it = yyjson_arr_iter_with(v);
    for (uint32_t i = 0; i < s->n; i++) {
        if (!deep_eq(e, &s->u.first[i], yyjson_arr_iter_next(&it))) {
            return false;
        }
    }
    return true;
}

static size_t object_size(const struct eval *e, yyjson_val *v)
{
    if (v == &e->root) {
        return 4U + (e->doc->data != NULL ? 1U : 0U); /* id, topic, time, metadata */
    }
    return yyjson_obj_size(v);
}

static bool object_eq(struct eval *e, const struct node *s, yyjson_val *v)
{
    if (!is_object(e, v) || object_size(e, v) != s->n) {
        return false;
    }
    for (uint32_t i = 0; i < s->n; i++) {
        const struct node *const m = &s->u.first[i];
        if (!deep_eq(e, m, member(e, v, key_of(m)))) {
            return false;
        }
    }
    return true;
}

static bool deep_eq(struct eval *e, const struct node *s, yyjson_val *v)
{
    if (v == NULL || !spend(e, 1)) {
        return false;
    }
    if (s->kind == NODE_ARR) {
        return array_eq(e, s, v);
    }
    return s->kind == NODE_OBJ ? object_eq(e, s, v) : scalar_eq(e, s, v);
}

/* -1, 0, 1; false when the two cannot be ordered. */
static bool compare(struct eval *e, const struct node *s, yyjson_val *v, int *out)
{
    if (s->kind == NODE_NUM && yyjson_is_num(v)) {
        const double n = yyjson_get_num(v);
        *out = (n > s->u.num) - (n < s->u.num);
        return true;
    }
    if (s->kind == NODE_STR && yyjson_is_str(v)) {
        const struct str text = json_str(v);
        const size_t common = text.n < s->n ? text.n : s->n;
        if (!spend(e, common / BYTES_PER_STEP)) {
            return false;
        }
        const int order = common > 0 ? memcmp(text.p, s->u.text, common) : 0;
        *out = order != 0 ? (order > 0) - (order < 0) : (text.n > s->n) - (text.n < s->n);
        return true;
    }
    return false;
}

enum answer { ANSWER_NO, ANSWER_YES, ANSWER_TYPE_ERROR };

static enum answer answer(bool yes)
{
    return yes ? ANSWER_YES : ANSWER_NO;
}

static bool contains(struct eval *e, struct str text, struct str part)
{
    if (part.n == 0) {
        return true;
    }
    return part.n <= text.n && spend(e, text.n / BYTES_PER_STEP) &&
           memmem(text.p, text.n, part.p, part.n) != NULL;
}

static bool is_one_of(struct eval *e, const struct node *list, yyjson_val *v)
{
    for (uint32_t i = 0; i < list->n && !e->exhausted; i++) {
        if (deep_eq(e, &list->u.first[i], v)) {
            return true;
        }
    }
    return false;
}

static bool has_item(struct eval *e, yyjson_val *array, const struct node *s)
{
    yyjson_arr_iter it = yyjson_arr_iter_with(array);
    yyjson_val *item;
    while (!e->exhausted && (item = yyjson_arr_iter_next(&it)) != NULL) {
        if (deep_eq(e, s, item)) {
            return true;
        }
    }
    return false;
}

static enum answer op_in(struct eval *e, const struct node *s, yyjson_val *v)
{
    if (v == NULL || is_object(e, v) || s->kind == NODE_OBJ) {
        return ANSWER_TYPE_ERROR;
    }
    if (yyjson_is_arr(v)) {
        return s->kind == NODE_ARR ? ANSWER_TYPE_ERROR : answer(has_item(e, v, s));
    }
    if (s->kind == NODE_ARR) {
        return answer(is_one_of(e, s, v));
    }
    if (s->kind == NODE_STR && yyjson_is_str(v)) {
        return answer(contains(e, json_str(v), node_str(s)));
    }
    return ANSWER_TYPE_ERROR;
}

/* $startsWith and $endsWith: a text, or a list of which one has to fit. */
static bool op_affix(struct eval *e, const struct node *s, yyjson_val *v,
                     bool (*fits)(struct str, struct str))
{
    if (!yyjson_is_str(v)) {
        return false;
    }
    if (s->kind == NODE_STR) {
        return spend(e, s->n / BYTES_PER_STEP) && fits(json_str(v), node_str(s));
    }
    if (s->kind != NODE_ARR) {
        return false;
    }
    for (uint32_t i = 0; i < s->n; i++) {
        const struct node *const item = &s->u.first[i];
        if (!spend(e, 1 + item->n / BYTES_PER_STEP)) {
            return false;
        }
        if (item->kind == NODE_STR && fits(json_str(v), node_str(item))) {
            return true;
        }
    }
    return false;
}

static bool match_all(struct eval *e, const struct node *list, yyjson_val *v)
{
    for (uint32_t i = 0; i < list->n; i++) {
        if (!match(e, &list->u.first[i], v)) {
            return false;
        }
    }
    return true;
}

static bool match_any(struct eval *e, const struct node *list, yyjson_val *v)
{
    for (uint32_t i = 0; i < list->n && !e->exhausted; i++) {
        if (match(e, &list->u.first[i], v)) {
            return true;
        }
    }
    return false;
}

static bool apply(struct eval *e, const struct node *s, yyjson_val *v)
{
    int order = 0;
    switch ((enum node_op)s->op) {
    case OP_EQ:
        return deep_eq(e, s, v);
    case OP_NEQ:
        return v != NULL && !deep_eq(e, s, v);
    case OP_GT:
        return compare(e, s, v, &order) && order > 0;
    case OP_GTE:
        return compare(e, s, v, &order) && order >= 0;
    case OP_LT:
        return compare(e, s, v, &order) && order < 0;
    case OP_LTE:
        return compare(e, s, v, &order) && order <= 0;
    case OP_IN:
        return op_in(e, s, v) == ANSWER_YES;
    case OP_NIN:
        return op_in(e, s, v) == ANSWER_NO;
    case OP_STARTS_WITH:
        return op_affix(e, s, v, str_starts);
    case OP_ENDS_WITH:
        return op_affix(e, s, v, str_ends);
    case OP_EXIST:
        return s->kind == NODE_BOOL && s->truth == (v != NULL);
    case OP_OR:
        return s->kind == NODE_ARR && match_any(e, s, v);
    case OP_AND:
        return s->kind == NODE_ARR && match_all(e, s, v);
    case OP_NOT:
        return !match(e, s, v);
    case OP_KEY:
        break;
    }
    return true; /* a plain name beside operators is ignored */
}

static bool apply_all(struct eval *e, const struct node *s, yyjson_val *v)
{
    for (uint32_t i = 0; i < s->n; i++) {
        if (!apply(e, &s->u.first[i], v)) {
            return false;
        }
    }
    return true;
}

static bool match_members(struct eval *e, const struct node *s, yyjson_val *v)
{
    for (uint32_t i = 0; i < s->n; i++) {
        const struct node *const m = &s->u.first[i];
        const bool ok = m->op == OP_KEY ? match(e, m, member(e, v, key_of(m))) : apply(e, m, v);
        if (!ok) {
            return false;
        }
    }
    return true;
}

static bool match_some_item(struct eval *e, const struct node *s, yyjson_val *array)
{
    yyjson_arr_iter it = yyjson_arr_iter_with(array);
    yyjson_val *item;
    while (!e->exhausted && (item = yyjson_arr_iter_next(&it)) != NULL) {
        if (match(e, s, item)) {
            return true;
        }
    }
    return false;
}

static bool match_object(struct eval *e, const struct node *s, yyjson_val *v)
{
    if (v == NULL && (s->flags & OBJ_MAY_MISS) != 0) {
        return true;
    }
    /* Logic alone judges the value as a whole: {"$not":"a"} against a list asks for a list
     * without "a", not for an item that is not "a". */
    if ((s->flags & OBJ_HAS_TESTS) != 0 || s->flags == OBJ_HAS_LOGIC) {
        return apply_all(e, s, v);
    }
    if (yyjson_is_arr(v)) {
        return match_some_item(e, s, v);
    }
    return is_object(e, v) && match_members(e, s, v);
}

static bool match_array(struct eval *e, const struct node *s, yyjson_val *v)
{
    if (!yyjson_is_arr(v)) {
        return false;
    }
    for (uint32_t i = 0; i < s->n; i++) {
        if (!match_some_item(e, &s->u.first[i], v)) {
            return false;
        }
    }
    return true;
}

static bool match(struct eval *e, const struct node *s, yyjson_val *v)
{
    if (!spend(e, 1)) {
        return false;
    }
    if (s->kind == NODE_OBJ) {
        return match_object(e, s, v);
    }
    if (s->kind == NODE_ARR) {
        return match_array(e, s, v);
    }
    return yyjson_is_arr(v) ? match_some_item(e, s, v) : scalar_eq(e, s, v);
}

static void set_text(yyjson_val *v, struct str s)
{
    (void)yyjson_set_strn(v, s.p != NULL ? s.p : "", s.n);
}

bool filter_match(const struct filter *f, const struct match_doc *doc)
{
    if (f == NULL) {
        return true;
    }
    struct eval e = {.steps_left = MAX_STEPS, .doc = doc};
    json_set_empty_object(&e.no_metadata);
    set_text(&e.id, doc->id);
    set_text(&e.topic, doc->topic);
    set_text(&e.time, doc->time);
    return match(&e, &f->nodes[0], &e.root) && !e.exhausted;
}
