/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <stdio.h>

#include "model_internal.h"

#define ITEM_MAX 512 /* a longer one is cut */

static const char validation_error[] = "validation error";

/* Something is wrong that has no items: nothing said later replaces it. */
static bool is_settled(const struct problem *p)
{
    return p->status != 0 && p->message != validation_error;
}

void problem_set(struct problem *p, int status, const char *message)
{
    if (is_settled(p)) {
        return;
    }
    p->status = status;
    p->message = message;
    p->n_items = 0;
}

void problem_add(struct problem *p, struct arena *a, const char *fmt, ...)
{
    if (is_settled(p)) {
        return;
    }
    p->status = 422;
    p->message = validation_error;
    if (p->n_items == PROBLEM_MAX_ITEMS) {
        return;
    }
    char text[ITEM_MAX];
    va_list ap;
    va_start(ap, fmt);
    const int n = vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    if (n < 0) {
        return;
    }
    const size_t len = (size_t)n < sizeof(text) ? (size_t)n : sizeof(text) - 1;
    const struct str item = arena_str(a, str_of(text, len));
    if (item.p != NULL) {
        p->items[p->n_items++] = item;
    }
}

void problem_from_map(struct problem *p, struct arena *a, int rc, struct str field)
{
    if (rc == ERR_INVALID) {
        problem_set(p, 422, PROBLEM_INVALID_JSON);
    } else if (rc == ERR_LIMIT) {
        problem_add(p, a, STR_FMT " failed maxlength validation", STR_ARG(field));
    } else if (rc != 0) {
        problem_set(p, 413, PROBLEM_TOO_LARGE);
    }
}

bool body_fields(yyjson_val *v, const struct str *names, yyjson_val **fields, size_t n)
{
    memset(fields, 0, n * sizeof(*fields));
    if (v == NULL || yyjson_is_null(v)) {
        return true;
    }
    if (!yyjson_is_obj(v)) {
        return false;
    }
    yyjson_obj_iter it = yyjson_obj_iter_with(v);
    yyjson_val *key;
    while ((key = yyjson_obj_iter_next(&it)) != NULL) {
        for (size_t i = 0; i < n; i++) {
            if (str_eq(json_str(key), names[i])) {
                fields[i] = yyjson_obj_iter_get_val(key);
            }
        }
    }
    return true;
}
