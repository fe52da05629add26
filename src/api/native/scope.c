/* SPDX-License-Identifier: Apache-2.0 */
#include "native.h"

static bool query_tenants(struct call *c, const struct query *q, struct store_strs *out)
{
    const int rc = query_list(q, STR("tenant_id"), call_arena(c), out);
    if (rc != 0) {
        reply_failure(c, rc);
    }
    return rc == 0;
}

static bool is_own(const struct call *c, const struct store_strs *tenants)
{
    return tenants->n == 0 || (tenants->n == 1 && str_eq(tenants->v[0], c->token_tenant));
}

bool scope_list(struct call *c, const struct query *q, struct store_strs *out)
{
    if (!query_tenants(c, q, out)) {
        return false;
    }
    if (c->is_admin) {
        return true;
    }
    if (!is_own(c, out)) {
        reply_error(c, 403, "tenant_id query parameter does not match authenticated tenant");
        return false;
    }
    *out = (struct store_strs){.v = &c->token_tenant, .n = 1};
    return true;
}

bool scope_one(struct call *c, const struct query *q, struct str *tenant_id)
{
    struct store_strs tenants;
    if (!c->is_admin) {
        *tenant_id = c->token_tenant;
        return true;
    }
    if (!query_tenants(c, q, &tenants)) {
        return false;
    }
    *tenant_id = tenants.n != 0 ? tenants.v[0] : STR_NULL;
    return true;
}
