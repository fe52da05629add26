/* SPDX-License-Identifier: Apache-2.0 */
/* /tenants and /tenants/:id. */
#include "native.h"

#include "api/cursor.h"

#define TOKEN_MAX    ((size_t)8192)
/* The union of one tenant's topics while it is made: more than ever can be stored. */
#define TOPICS_ARENA ((size_t)40 << 20)
/* A tenant in JSON without what was chosen for it. */
#define TENANT_SIZE  ((size_t)256)
/* Of one page. Less than LIST_MAX_BYTES, because topics are not only copied but sorted. */
#define PAGE_SIZE    ((size_t)2 << 20)

static int tenant_show(struct call *c, struct jw *w, const struct tenant *t)
{
    const struct registry *r = c->api->sv.registry;
    struct arena a;
    struct str *topics;
    size_t n_topics;
    int rc;

    arena_init(&a, TOPICS_ARENA);
    rc = registry_tenant_topics(r, t->id, &a, &topics, &n_topics);
    if (rc == 0) {
        tenant_write(w, t, registry_tenant_n_destinations(r, t->id), topics, n_topics);
    }
    arena_fini(&a);
    return rc;
}

void tenants_put(struct call *c)
{
    struct registry *r = c->api->sv.registry;
    const struct tenant *old;
    struct tenant t = {.id = c->params[0]};
    struct problem problem = {.status = 0};
    yyjson_val *body = NULL;
    bool created = false;
    struct jw w;
    int rc;

    if (c->rq->body.n != 0) {
        body = call_json(c);
        if (body == NULL) {
            return;
        }
    }
    tenant_parse(&t, body, call_arena(c), &problem);
    if (problem.status != 0) {
        reply_problem(c, &problem);
        return;
    }
    old = registry_tenant(r, t.id);
    t.id = c->params[0];
    if (old == NULL && str_find(t.id, '/') < t.id.n) {
        reply_error(c, 404, "not found"); /* to Outpost "a%2Fb" is the path a/b */
        return;
    }
    if (old == NULL && !model_id_valid(t.id)) {
        /* It could not be published to, nor be named in a token. */
        problem_add(&problem, call_arena(c), "tenant_id failed pattern validation");
        reply_problem(c, &problem);
        return;
    }
    t.updated_ms = call_now_ms(c);
    t.created_ms = old != NULL ? old->created_ms : t.updated_ms;
    rc = registry_put_tenant(r, &t, &created);
    if (rc == ERR_TOO_BIG) {
        problem_set(&problem, 422, "tenant id or metadata is too long");
        reply_problem(c, &problem);
        return;
    }
    if (rc == 0) {
        audit_change(c, "tenant.put", STR_NULL, created ? "created" : "updated");
        reply_begin(c, &w);
        rc = tenant_show(c, &w, &t);
    }
    if (rc != 0) {
        reply_failure(c, rc);
        return;
    }
    reply_send_durable(c, created ? 201 : 200);
}

void tenants_get(struct call *c)
{
    const struct tenant *t = registry_tenant(c->api->sv.registry, c->params[0]);
    struct jw w;
    int rc = ERR_NOT_FOUND;

    if (t != NULL) {
        reply_begin(c, &w);
        rc = tenant_show(c, &w, t);
    }
    if (rc == 0) {
        reply_send(c, 200);
    } else if (rc == ERR_NOT_FOUND) {
        reply_error(c, 404, "tenant not found");
    } else {
        reply_failure(c, rc);
    }
}

void tenants_delete(struct call *c)
{
    const int rc = registry_del_tenant(c->api->sv.registry, c->params[0], call_now_ms(c));
    if (rc == 0) {
        audit(c, "tenant.delete", STR_NULL);
        reply_success_durable(c, 200);
    } else if (rc == ERR_NOT_FOUND) {
        reply_error(c, 404, "tenant not found");
    } else {
        reply_failure(c, rc);
    }
}

void tenants_token(struct call *c)
{
    const struct api *a = c->api;
    const struct tenant *t = registry_tenant(a->sv.registry, c->params[0]);
    struct auth_token what = {.ttl_ms = a->token_ttl_ms};
    struct buf token;
    struct jw w;
    int rc;

    if (t == NULL) {
        reply_error(c, 404, "tenant not found");
        return;
    }
    what.tenant_id = t->id;
    what.generation = t->generation;
    buf_init(&token, TOKEN_MAX);
    rc = auth_issue(a->sv.auth, &what, call_now_ms(c), &token);
    if (rc == 0) {
        reply_begin(c, &w);
        jw_obj(&w);
        JW_STR(&w, "token", buf_str(&token));
        JW_STR(&w, "tenant_id", c->params[0]);
        jw_obj_end(&w);
        reply_send(c, 200);
    } else {
        reply_failure(c, rc);
    }
    buf_fini(&token);
}

/* ---- list ---- */

struct tenants_page {
    struct list_params lp;
    int64_t cursor_ms;
    struct str cursor_id;
    const struct tenant **rows; /* in walking order */
    size_t n;
    bool more;
    size_t total;
};

/* A token sees its own tenant, as a page of one. */
static int load_own(struct call *c, struct tenants_page *p)
{
    const struct tenant **rows = arena_alloc(call_arena(c), sizeof(const struct tenant *));
    if (rows == NULL) {
        return ERR_TOO_BIG;
    }
    rows[0] = registry_tenant(c->api->sv.registry, c->token_tenant);
    p->rows = rows;
    p->n = rows[0] != NULL ? 1 : 0;
    p->total = p->n;
    return 0;
}

static int load_page(struct call *c, const struct query *q, struct tenants_page *p)
{
    struct registry_tenant_page want = {
        .ascending = p->lp.ascending != p->lp.backward,
        .limit = p->lp.limit,
        .after_ms = p->cursor_ms,
        .after_id = p->cursor_id,
    };
    const int rc = query_list(q, STR("id"), call_arena(c), &want.ids);
    if (rc != 0) {
        return rc;
    }
    return registry_list_tenants(c->api->sv.registry, &want, call_arena(c), &p->rows, &p->n,
                                 &p->more, &p->total);
}

/* Ends the page before the tenant that would make it too large; a tenant alone always fits. */
static void limit_size(struct call *c, struct tenants_page *p)
{
    size_t bytes = 0;
    for (size_t i = 0; i < p->n; i++) {
        const struct tenant *t = p->rows[i];
        bytes += TENANT_SIZE + text_json_size(t->id) + map_json_size(&t->metadata) +
                 registry_tenant_topics_cost(c->api->sv.registry, t->id);
        if (i != 0 && bytes > PAGE_SIZE) {
            p->n = i;
            p->more = true;
            return;
        }
    }
}

static struct str row_cursor(struct call *c, const struct tenants_page *p, size_t shown)
{
    const struct tenant *t = p->rows[p->lp.backward ? p->n - 1 - shown : shown];
    return cursor_encode_tenant(call_arena(c), t->created_ms, t->id);
}

/* An empty page still leads back to where it came from: one millisecond further on lies nothing,
 * else the page would have shown it, so the cursor's own row is seen again. */
static struct str edge_cursor(struct call *c, const struct tenants_page *p, bool first)
{
    const bool walked_up = p->lp.ascending != p->lp.backward;
    if (p->n != 0) {
        return row_cursor(c, p, first ? 0 : p->n - 1);
    }
    if (first == p->lp.backward) {
        return STR_NULL;
    }
    return cursor_encode_tenant(call_arena(c), p->cursor_ms + (walked_up ? 1 : -1), p->cursor_id);
}

static int show_page(struct call *c, const struct tenants_page *p)
{
    struct str next = STR_NULL;
    struct str prev = STR_NULL;
    struct jw w;

    reply_begin(c, &w);
    jw_obj(&w);
    jw_key(&w, STR("models"));
    jw_arr(&w);
    for (size_t i = 0; i < p->n; i++) {
        const int rc = tenant_show(c, &w, p->rows[p->lp.backward ? p->n - 1 - i : i]);
        if (rc != 0) {
            return rc;
        }
    }
    jw_arr_end(&w);
    if (p->lp.backward || p->more) {
        next = edge_cursor(c, p, false);
    }
    if (p->lp.backward ? p->more : p->lp.has_cursor) {
        prev = edge_cursor(c, p, true);
    }
    pagination_show(&w, &p->lp, STR("created_at"), next, prev);
    JW_INT(&w, "count", (int64_t)p->total);
    jw_obj_end(&w);
    return 0;
}

void tenants_list(struct call *c)
{
    struct tenants_page p = {.n = 0};
    struct list_problem problem;
    struct query q;
    int rc;

    if (!call_query(c, &q)) {
        return;
    }
    rc = list_parse(&p.lp, &q, STR("tnt"), call_arena(c), &problem);
    if (rc == 0 && p.lp.has_cursor &&
        cursor_parse_tenant(p.lp.position, &p.cursor_ms, &p.cursor_id) != 0) {
        problem = (struct list_problem){.status = 400, .message = "invalid cursor"};
        rc = ERR_INVALID;
    }
    if (rc != 0) {
        list_refuse(c, &problem);
        return;
    }
    rc = c->is_admin ? load_page(c, &q, &p) : load_own(c, &p);
    if (rc == 0) {
        if (!c->is_admin) {
            p.lp.has_cursor = false;
            p.lp.backward = false;
        }
        limit_size(c, &p);
        rc = show_page(c, &p);
    }
    if (rc == 0) {
        reply_send(c, 200);
    } else {
        reply_failure(c, rc);
    }
}
