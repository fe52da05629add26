/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Routes: rows of {method, pattern, scope, flags, handler, name}. A pattern is a path whose
 * segments may be parameters ("/api/v1/tenants/:tenant"). Looking one up is pure.
 */
#ifndef LL_API_ROUTE_H
#define LL_API_ROUTE_H

#include <stddef.h>

#include "longline/http.h"

#define ROUTE_MAX_PARAMS 3

struct call;

enum route_scope {
    SCOPE_PUBLIC,  /* anybody */
    SCOPE_METRICS, /* anybody or the admin, as configured */
    SCOPE_ADMIN,   /* admin key only */
    SCOPE_ANY      /* admin key or a tenant's token */
};

enum route_flag {
    ROUTE_OF_TENANT = 1,    /* the first parameter names a tenant; a token must be that tenant's */
    ROUTE_NEEDS_TENANT = 2, /* … which must exist */
    ROUTE_PUBLISHES = 4,    /* takes on work: refused while there is no room, larger bodies */
    ROUTE_NOT_LIMITED = 8,  /* does not count for the rate of tokens */
    ROUTE_NEEDS_BODY = 16   /* a request that gives no length is refused with 411 */
};

struct route {
    enum http_method method;
    const char *pattern;
    enum route_scope scope;
    unsigned flags;
    void (*handle)(struct call *c);
    const char *name; /* of the resource and what is done with it; label of metrics */
};

struct route_match {
    size_t index; /* of the row; n when there is none */
    size_t n_params;
    struct str params[ROUTE_MAX_PARAMS]; /* as in the path, not decoded, never empty */
    unsigned
        allowed; /* bit per enum http_method: what the path can be asked with; 0: unknown path */
};

/* HEAD finds the row of GET. */
void route_find(const struct route *routes, size_t n, enum http_method method, struct str path,
                struct route_match *out);
/* "GET, HEAD, PUT" into out of at least ROUTE_ALLOW_MAX bytes; the text's length is returned. */
#define ROUTE_ALLOW_MAX 64
size_t route_allow(unsigned allowed, char out[ROUTE_ALLOW_MAX]);

#endif
