/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Creating and changing destinations. Order of checks: JSON, role and dates, topics (model), the
 * type's own rules (driver), then the store's (duplicate, limit).
 */
#include "native.h"

#include "longline/match.h"

static struct model_caller caller_of(const struct call *c)
{
    return (struct model_caller){
        .is_admin = c->is_admin, .now_ms = call_now_ms(c), .topics = &c->api->topics};
}

/* What a filter says is the tenant's business, but one that is never evaluated would lose events
 * without a word. */
static void check_filter(struct call *c, const struct destination *d, const struct destination *old,
                         struct problem *p)
{
    struct filter *f = NULL;

    if (d->filter.n == 0 || (old != NULL && str_eq(old->filter, d->filter))) {
        return;
    }
    if (filter_compile(&f, d->filter) != 0) {
        problem_add(p, call_arena(c), "filter failed maxlength validation");
    }
    filter_free(f);
}

/* The driver's part; fills p when it refuses. */
static void prepare(struct call *c, struct destination *d, const struct destination *old,
                    bool check, struct problem *p)
{
    const struct dest_driver *driver = dest_find(d->type);
    struct dest_write dw = {
        .dest = d,
        .old = old,
        .is_admin = c->is_admin,
        .check = check,
        .now_ms = call_now_ms(c),
        .arena = call_arena(c),
    };
    const char *message;

    if (driver != NULL) {
        driver->prepare(c->api->sv.dest_env, &dw, p);
        return;
    }
    message = arena_printf(call_arena(c), "no provider registered for destination type: " STR_FMT,
                           STR_ARG(d->type));
    problem_set(p, 422, message != NULL ? message : "unknown destination type");
}

/* Answers with the destination as it is now, or with what the registry refused. */
static void finish(struct call *c, int rc, struct str id, int status)
{
    static const struct {
        int rc;
        int status;
        const char *message;
    } known[] = {
        {ERR_EXISTS, 400, "destination already exists"},
        {ERR_LIMIT, 400, "maximum number of destinations per tenant reached"},
        {ERR_TOO_BIG, 422, "destination is too large"},
        {ERR_RANGE, 422, "the tenant's destinations are too large together"},
    };
    const struct registry *r = c->api->sv.registry;
    const struct destination *d;
    struct jw w;

    for (size_t i = 0; i < LL_COUNT(known); i++) {
        if (known[i].rc == rc) {
            reply_error(c, known[i].status, known[i].message);
            return;
        }
    }
    if (rc == ERR_NOT_FOUND) {
        reply_error(c, 404,
                    registry_tenant(r, c->params[0]) == NULL ? "tenant not found"
                                                             : "destination not found");
        return;
    }
    if (rc != 0) {
        reply_failure(c, rc);
        return;
    }
    d = registry_dest(r, c->params[0], id);
    LL_ASSERT(d != NULL);
    reply_begin(c, &w);
    destination_show(c, &w, d);
    reply_send_durable(c, status);
}

void destinations_create(struct call *c)
{
    const struct model_caller caller = caller_of(c);
    struct destination d = {.num = 0};
    struct problem problem = {.status = 0};
    yyjson_val *body = call_json(c);

    if (body == NULL) {
        return;
    }
    destination_parse_create(&d, body, &caller, call_arena(c), &problem);
    d.tenant_id = c->params[0];
    if (problem.status == 0) {
        check_filter(c, &d, NULL, &problem);
    }
    if (problem.status == 0) {
        prepare(c, &d, NULL, true, &problem);
    }
    if (problem.status != 0) {
        reply_problem(c, &problem);
        return;
    }
    const int rc = registry_add_dest(c->api->sv.registry, &d, call_arena(c)); /* gives d its id */
    if (rc == 0) {
        audit(c, "destination.create", d.id);
    }
    finish(c, rc, d.id, 201);
}

static bool same_map(const struct kv_map *x, const struct kv_map *y)
{
    bool same = x->n == y->n;
    for (size_t i = 0; i < x->n && same; i++) {
        same = str_eq(x->v[i].key, y->v[i].key) && str_eq(x->v[i].value, y->v[i].value);
    }
    return same;
}

/* Stores what became of old, which is gone then. */
static void replace(struct call *c, const struct destination *old, const struct destination *d,
                    const char *action)
{
    const bool same_credentials = same_map(&old->credentials, &d->credentials);
    const int rc = registry_put_dest(c->api->sv.registry, d);

    if (rc == 0) {
        audit_change(c, action, c->params[1], same_credentials ? NULL : "credentials changed");
    }
    finish(c, rc, c->params[1], 200);
}

void destinations_patch(struct call *c)
{
    struct registry *r = c->api->sv.registry;
    const struct destination *old = registry_dest(r, c->params[0], c->params[1]);
    const struct model_caller caller = caller_of(c);
    struct destination d;
    struct problem problem = {.status = 0};
    bool touched = false;
    yyjson_val *body;

    if (old == NULL) {
        reply_error(c, 404, "destination not found");
        return;
    }
    body = call_json(c);
    if (body == NULL) {
        return;
    }
    d = *old;
    destination_parse_patch(&d, old, body, &caller, &touched, call_arena(c), &problem);
    if (problem.status == 0) {
        check_filter(c, &d, old, &problem);
    }
    if (problem.status == 0) {
        prepare(c, &d, old, touched, &problem);
    }
    if (problem.status != 0) {
        reply_problem(c, &problem);
        return;
    }
    d.updated_ms = caller.now_ms;
    replace(c, old, &d, "destination.update");
}

/* Idempotent, and written every time: the answer must not come before an earlier one is durable. */
static void set_enabled(struct call *c, bool enabled)
{
    struct registry *r = c->api->sv.registry;
    const struct destination *old = registry_dest(r, c->params[0], c->params[1]);
    struct destination d;

    if (old == NULL) {
        reply_error(c, 404, "destination not found");
        return;
    }
    d = *old;
    if (enabled) {
        d.disabled_ms = 0;
    } else if (d.disabled_ms == 0) {
        d.disabled_ms = call_now_ms(c);
    }
    replace(c, old, &d, enabled ? "destination.enable" : "destination.disable");
}

void destinations_enable(struct call *c)
{
    set_enabled(c, true);
}

void destinations_disable(struct call *c)
{
    set_enabled(c, false);
}
