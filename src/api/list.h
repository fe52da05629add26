/* SPDX-License-Identifier: Apache-2.0 */
/* The parameters that all lists share: dir, order_by, limit, next, prev and time[…]. Pure. */
#ifndef LL_API_LIST_H
#define LL_API_LIST_H

#include <stdbool.h>
#include <stdint.h>

#include "query.h"

#define LIST_LIMIT_DEFAULT   100
#define LIST_LIMIT_MAX       1000
#define LIST_TENANTS_DEFAULT 20
#define LIST_TENANTS_MAX     100

struct list_params {
    bool ascending;
    size_t limit;
    int64_t from_ms; /* inclusive; INT64_MIN: none */
    int64_t to_ms;   /* inclusive; INT64_MAX: none */
    bool has_cursor;
    bool backward;       /* the cursor came as prev */
    struct str position; /* what the cursor holds */
};

/* Why a list was refused: a plain message, or a field of the query and what is wrong with it. */
struct list_problem {
    int status;
    const char *message;
    const char *field; /* "query.dir"; NULL: only the message */
    const char *detail;
};

/* resource: of the cursor. Returns 0 or ERR_INVALID with the problem filled. */
int list_parse(struct list_params *out, const struct query *q, struct str resource, struct arena *a,
               struct list_problem *problem) LL_MUST_USE;

#endif
