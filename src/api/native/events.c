/* SPDX-License-Identifier: Apache-2.0 */
/* GET /events and /events/:id. */
#include "native.h"

/* An event in JSON without what the publisher chose. */
#define EVENT_SIZE ((size_t)512)

/* Outpost leaves empty metadata out. The text is a JSON object. */
static bool has_members(struct str object)
{
    for (size_t i = 1; i < object.n; i++) {
        if (object.p[i] == '"') {
            return true;
        }
    }
    return false;
}

void event_show(struct jw *w, const struct event_record *e, unsigned parts)
{
    jw_obj(w);
    JW_STR(w, "id", e->id);
    JW_STR(w, "tenant_id", e->tenant_id);
    if ((parts & EVENT_MATCHED) != 0) {
        jw_key(w, STR("matched_destination_ids"));
        jw_arr(w);
        for (size_t i = 0; i < e->n_dests; i++) {
            jw_str(w, e->dests[i].id);
        }
        jw_arr_end(w);
    }
    JW_STR(w, "topic", e->topic);
    JW_TIME(w, "time", e->time_ms);
    JW_BOOL(w, "eligible_for_retry", e->eligible_for_retry);
    if (has_members(e->metadata)) {
        JW_RAW(w, "metadata", e->metadata);
    }
    if ((parts & EVENT_DATA) != 0 && e->data.n != 0) {
        JW_RAW(w, "data", e->data);
    }
    jw_obj_end(w);
}

static int parse_filters(struct call *c, const struct query *q, struct store_query *sq)
{
    struct arena *a = call_arena(c);
    int rc = query_list(q, STR("id"), a, &sq->ids);
    if (rc == 0) {
        rc = query_list(q, STR("destination_id"), a, &sq->dest_ids);
    }
    if (rc == 0) {
        rc = query_list(q, STR("topic"), a, &sq->topics);
    }
    return rc;
}

static void limit_size(struct page *p)
{
    size_t bytes = 0;
    for (size_t i = 0; i < p->n; i++) {
        const size_t size = event_json_size(&p->rows.events[i], EVENT_MATCHED | EVENT_DATA);
        if (!page_add(p, i, EVENT_SIZE + size, &bytes)) {
            return;
        }
    }
}

static int show_list(struct call *c, struct page *p, struct store_query *sq, struct arena *a)
{
    struct jw w;
    const int rc = page_run(c, p, sq, a);
    if (rc != 0) {
        return rc;
    }
    limit_size(p);
    reply_begin(c, &w);
    jw_obj(&w);
    jw_key(&w, STR("models"));
    jw_arr(&w);
    for (size_t i = 0; i < p->n; i++) {
        event_show(&w, &p->rows.events[page_row(p, i)], EVENT_MATCHED | EVENT_DATA);
    }
    jw_arr_end(&w);
    damaged_show(c, &w, p, STORE_EVENTS);
    page_show(c, &w, p);
    jw_obj_end(&w);
    return 0;
}

void events_list(struct call *c)
{
    struct store_query sq = {.kind = STORE_EVENTS, .status = -1};
    struct page p;
    struct query q;
    struct arena a;
    int rc;

    if (!call_query(c, &q) || !page_parse(c, &q, STR("evt"), &p) ||
        !scope_list(c, &q, &sq.tenant_ids)) {
        return;
    }
    rc = parse_filters(c, &q, &sq);
    if (rc != 0) {
        reply_failure(c, rc);
        return;
    }
    if (!page_begin(c)) {
        return;
    }
    page_arena(c, &a);
    rc = show_list(c, &p, &sq, &a);
    page_end(c, &a, rc);
}

void events_get(struct call *c)
{
    struct store *s = c->api->sv.store;
    struct event_record e;
    struct str tenant_id;
    struct query q;
    struct arena a;
    struct jw w;
    int rc;

    if (!call_query(c, &q) || !scope_one(c, &q, &tenant_id)) {
        return;
    }
    page_arena(c, &a);
    rc = store_read_begin(s);
    if (rc == 0) {
        rc = store_find_event(s, tenant_id, c->params[0], &a, &e);
        if (rc == 0) {
            reply_begin(c, &w);
            event_show(&w, &e, EVENT_MATCHED | EVENT_DATA);
        }
        store_read_end(s);
    }
    arena_fini(&a);
    if (rc == 0) {
        reply_send(c, 200);
    } else {
        reply_not_shown(c, rc, "event");
    }
}
