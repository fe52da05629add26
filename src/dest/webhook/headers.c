/* SPDX-License-Identifier: Apache-2.0 */
/* Custom headers of a destination: which names and values are allowed. */
#include "longline/check.h"

#include "webhook.h"

/* Framing and identity are ours, and the client refuses to send the first group at all. */
static const struct str forbidden[] = {
    {"host", 4},
    {"content-length", 14},
    {"transfer-encoding", 17},
    {"connection", 10},
    {"keep-alive", 10},
    {"upgrade", 7},
    {"proxy-connection", 16},
    {"expect", 6},
    {"te", 2},
    {"trailer", 7},

    {"content-type", 12},
    {"user-agent", 10},
};

bool webhook_is_forbidden(struct str name)
{
    for (size_t i = 0; i < LL_COUNT(forbidden); i++) {
        if (str_eq_ci(name, forbidden[i])) {
            return true;
        }
    }
    return false;
}

/* ^[A-Za-z0-9][A-Za-z0-9_-]*$ */
static bool name_is_fit(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        const char c = s.p[i];
        const bool alnum =
            (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!alnum && (i == 0 || (c != '_' && c != '-'))) {
            return false;
        }
    }
    return s.n != 0;
}

static int refuse(struct problem *p, struct arena *a, struct str name, const char *what)
{
    if (p != NULL) {
        if (name.p == NULL) {
            problem_add(p, a, "config.custom_headers %s", what);
        } else {
            problem_add(p, a, "config.custom_headers." STR_FMT " %s", STR_ARG(name), what);
        }
    }
    return ERR_INVALID;
}

static int take_one(struct str name, struct str value, struct arena *a, struct problem *p)
{
    if (!name_is_fit(name)) {
        return refuse(p, a, STR_NULL, "failed pattern validation");
    }
    if (webhook_is_forbidden(name)) {
        return refuse(p, a, name, "is forbidden");
    }
    if (value.p == NULL) {
        return refuse(p, a, name, "failed type validation");
    }
    if (value.n == 0) {
        return refuse(p, a, name, "is required");
    }
    return http_is_field_value(value) ? 0 : refuse(p, a, name, "failed pattern validation");
}

int webhook_parse_headers(struct str json, struct arena *a, struct problem *p,
                          struct http_header **out, size_t *n)
{
    *out = NULL;
    *n = 0;
    yyjson_doc *doc = json_parse(a, json, NULL);
    yyjson_val *root = doc != NULL ? yyjson_doc_get_root(doc) : NULL;
    if (!yyjson_is_obj(root)) {
        return refuse(p, a, STR_NULL, "failed invalid validation");
    }
    struct http_header *v = arena_alloc(a, (yyjson_obj_size(root) + 1) * sizeof(*v));
    if (v == NULL) {
        return ERR_TOO_BIG;
    }
    int rc = 0;
    yyjson_obj_iter it = yyjson_obj_iter_with(root);
    for (yyjson_val *key = yyjson_obj_iter_next(&it); key != NULL;
         key = yyjson_obj_iter_next(&it)) {
        const struct str name = json_str(key);
        const struct str value = json_str(yyjson_obj_iter_get_val(key));
        const int one = take_one(name, value, a, p);
        if (one == 0) {
            v[(*n)++] = (struct http_header){name, value};
        } else {
            rc = one;
        }
    }
    *out = v;
    return rc;
}
