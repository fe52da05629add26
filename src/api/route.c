/* SPDX-License-Identifier: Apache-2.0 */
#include "route.h"

#include <string.h>

#include "longline/check.h"

/* Compares segment by segment. Both begin with '/'. */
static bool matches(const char *pattern, struct str path, struct route_match *m)
{
    struct str rest_pattern = str_c(pattern);
    struct str rest_path = path;
    struct str want;
    struct str got;

    m->n_params = 0;
    while (str_split(&rest_pattern, '/', &want)) {
        if (!str_split(&rest_path, '/', &got)) {
            return false;
        }
        if (want.n > 1 && want.p[0] == ':') {
            if (got.n == 0) {
                return false;
            }
            LL_ASSERT(m->n_params < ROUTE_MAX_PARAMS);
            m->params[m->n_params++] = got;
        } else if (!str_eq(want, got)) {
            return false;
        }
    }
    return !str_split(&rest_path, '/', &got);
}

void route_find(const struct route *routes, size_t n, enum http_method method, struct str path,
                struct route_match *out)
{
    const enum http_method wanted = method == HTTP_METHOD_HEAD ? HTTP_METHOD_GET : method;
    struct route_match m = {.index = n};

    *out = m;
    for (size_t i = 0; i < n; i++) {
        if (!matches(routes[i].pattern, path, &m)) {
            continue;
        }
        out->allowed |= 1U << routes[i].method;
        if (routes[i].method == wanted) {
            m.index = i;
            m.allowed = out->allowed;
            *out = m;
            return;
        }
    }
    if ((out->allowed & 1U << HTTP_METHOD_GET) != 0) {
        out->allowed |= 1U << HTTP_METHOD_HEAD;
    }
}

size_t route_allow(unsigned allowed, char out[ROUTE_ALLOW_MAX])
{
    size_t len = 0;
    for (int m = HTTP_METHOD_GET; m < HTTP_METHOD_OTHER; m++) {
        if ((allowed & 1U << m) == 0) {
            continue;
        }
        const struct str name = str_c(http_method_name((enum http_method)m));
        if (len != 0) {
            out[len++] = ',';
            out[len++] = ' ';
        }
        LL_ASSERT(len + name.n + 2 <= ROUTE_ALLOW_MAX);
        memcpy(out + len, name.p, name.n);
        len += name.n;
    }
    return len;
}
