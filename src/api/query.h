/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Query parameters, decoded into the request's arena. Lists of values come in three spellings, of
 * which the first that is there counts:
 *
 *   f[0]=a&f[1]=b   by index        f[]=a&f[]=b        f=a&f=b
 *
 * A parameter without a value has the empty value, which is a value like any other: a filter that
 * holds it asks for rows with an empty field. Taking it for absent would show everything to a
 * client that forgot to fill in whose rows it wants.
 */
#ifndef LL_API_QUERY_H
#define LL_API_QUERY_H

#include "longline/arena.h"
#include "longline/store.h"

#define QUERY_MAX_PARAMS 256

struct query_param {
    struct str name;
    struct str value; /* may be empty; p is never NULL */
};
struct query {
    size_t n;
    struct query_param *v;
};

/* ERR_SYNTAX (escapes, UTF-8), ERR_LIMIT (too many), ERR_TOO_BIG (arena). */
int query_parse(struct query *q, struct str raw, struct arena *a) LL_MUST_USE;
/* The first value of that exact name, which may be empty, or STR_NULL. */
struct str query_get(const struct query *q, struct str name);
/* All values of a list parameter, in the arena. ERR_TOO_BIG. */
int query_list(const struct query *q, struct str name, struct arena *a,
               struct store_strs *out) LL_MUST_USE;
bool query_list_has(const struct store_strs *list, struct str value);

#endif
