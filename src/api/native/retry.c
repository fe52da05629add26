/* SPDX-License-Identifier: Apache-2.0 */
/*
 * POST /retry: one more attempt at once. The event must have been matched to the destination; one
 * that was not tried yet is merely hastened. Topic and filter are looked at again, because the
 * destination may have changed since.
 */
#include "native.h"

#include "longline/date.h"

struct retry {
    struct str event_id;
    struct str dest_id;
    struct str tenant_id; /* p NULL: any */
    uint64_t event_seq;
    uint32_t dest_num;
    uint32_t number; /* of the attempt to make */
};

/* What there is to say when it cannot be done. */
struct retry_refusal {
    int status; /* 0: go on */
    const char *message;
    const char *error; /* data.error, or NULL */
};

/* A token stands for its own tenant; an admin who names none means any. The empty name is one, too,
 * of which there is no event. */
static bool check_tenant(struct call *c, struct retry *r)
{
    if (r->tenant_id.p == NULL) {
        r->tenant_id = c->token_tenant;
    } else if (!c->is_admin && !str_eq(r->tenant_id, c->token_tenant)) {
        reply_error(c, 403, "tenant_id does not match authenticated tenant");
        return false;
    }
    return true;
}

static bool parse_body(struct call *c, struct retry *r)
{
    static const struct {
        const char *name;
        bool is_required;
    } known[] = {{"event_id", true}, {"destination_id", true}, {"tenant_id", false}};
    struct str *const fields[] = {&r->event_id, &r->dest_id, &r->tenant_id};
    struct problem problem = {.status = 0};
    yyjson_val *body = call_json(c);

    if (body == NULL) {
        return false;
    }
    for (size_t i = 0; i < LL_COUNT(known); i++) {
        yyjson_val *v = yyjson_obj_get(body, known[i].name);
        if (!yyjson_is_obj(body) || (v != NULL && !yyjson_is_null(v) && !yyjson_is_str(v))) {
            reply_error(c, 422, "invalid JSON");
            return false;
        }
        *fields[i] = json_str(v);
        if (fields[i]->n == 0 && known[i].is_required) {
            problem_add(&problem, call_arena(c), "%s is required", known[i].name);
        }
    }
    if (problem.status != 0) {
        reply_problem(c, &problem);
        return false;
    }
    return check_tenant(c, r);
}

static bool was_matched(const struct event_record *e, struct str dest_id)
{
    for (size_t i = 0; i < e->n_dests; i++) {
        if (str_eq(e->dests[i].id, dest_id)) {
            return true;
        }
    }
    return false;
}

/* The newest event of that id which was matched to the destination. Tenants may use the same ids:
 * when the newest one of all is not it, the admin's search goes through the index. */
static int find_event(struct call *c, const struct retry *r, struct arena *a,
                      struct event_record *out)
{
    struct store *s = c->api->sv.store;
    const struct store_query q = {
        .kind = STORE_EVENTS,
        .ids = {.v = &r->event_id, .n = 1},
        .dest_ids = {.v = &r->dest_id, .n = 1},
        .status = -1,
        .from_ms = INT64_MIN,
        .to_ms = INT64_MAX,
        .limit = 1,
    };
    struct store_page page;
    int rc = store_find_event(s, r->tenant_id, r->event_id, a, out);

    if (rc != 0 || was_matched(out, r->dest_id)) {
        return rc;
    }
    if (r->tenant_id.p != NULL) {
        return ERR_NOT_FOUND;
    }
    rc = store_query(s, &q, a, &page);
    if (rc == 0 && page.n == 0) {
        rc = ERR_NOT_FOUND;
    }
    if (rc == 0) {
        *out = page.events[0];
    }
    return rc;
}

/* Does the destination still want it? */
static int wants(struct call *c, const struct destination *d, const struct event_record *e,
                 struct arena *a, bool *out)
{
    char time[DATE_MAX];
    struct match_doc doc = {.id = e->id, .topic = e->topic};
    yyjson_doc *data = json_parse(a, e->data, NULL);
    yyjson_doc *metadata = NULL;

    if (e->metadata.n != 0) {
        metadata = json_parse(a, e->metadata, NULL);
    }
    if (data == NULL || (e->metadata.n != 0 && metadata == NULL)) {
        return ERR_TOO_BIG;
    }
    doc.time = str_of(time, date_rfc3339_s(time, e->time_ms));
    doc.data = yyjson_doc_get_root(data);
    doc.metadata = metadata != NULL ? yyjson_doc_get_root(metadata) : NULL;
    *out = registry_wants(c->api->sv.registry, d, &doc);
    return 0;
}

static int refuse(struct retry_refusal *no, int status, const char *message, const char *error)
{
    *no = (struct retry_refusal){.status = status, .message = message, .error = error};
    return 0;
}

/* Everything that needs the read transaction. */
static int look_up(struct call *c, struct retry *r, struct arena *a, struct retry_refusal *no)
{
    const struct destination *d;
    struct attempt_record last;
    struct event_record e;
    bool wanted;
    int rc = find_event(c, r, a, &e);

    if (rc == ERR_NOT_FOUND) {
        return refuse(no, 404, "event not found", NULL);
    }
    if (rc != 0) {
        return rc;
    }
    rc = store_last_attempt(c->api->sv.store, e.seq, r->dest_id, a, &last);
    if (rc != 0 && rc != ERR_NOT_FOUND) {
        return rc;
    }
    r->number = rc == 0 ? last.number + 1 : 1;
    d = registry_dest(c->api->sv.registry, e.tenant_id, r->dest_id);
    if (d == NULL) {
        return refuse(no, 404, "destination not found", NULL);
    }
    if (d->disabled_ms != 0) {
        return refuse(no, 400, "Destination is disabled", "destination_disabled");
    }
    rc = wants(c, d, &e, a, &wanted);
    if (rc != 0) {
        return rc;
    }
    if (!wanted) {
        return refuse(no, 400, "destination does not match event", NULL);
    }
    r->event_seq = e.seq;
    r->dest_num = d->num;
    return 0;
}

void retry_post(struct call *c)
{
    struct retry_refusal no = {.status = 0};
    struct retry r = {.number = 0};
    struct store *s = c->api->sv.store;
    struct arena a;
    int rc;

    if (!parse_body(c, &r)) {
        return;
    }
    page_arena(c, &a);
    a.max += LIST_ARENA + 32 * (size_t)c->api->max_publish_body; /* parsed JSON is larger */
    rc = store_read_begin(s);
    if (rc == 0) {
        rc = look_up(c, &r, &a, &no);
        store_read_end(s);
    }
    arena_fini(&a);
    if (rc != 0) {
        reply_failure(c, rc);
    } else if (no.error != NULL) {
        reply_field_error(c, no.status, no.message, "error", no.error);
    } else if (no.status != 0) {
        reply_error(c, no.status, no.message);
    } else {
        deliver_retry(c->api->sv.deliver, r.event_seq, r.dest_num, r.number);
        reply_success_durable(c, 202);
    }
}
