/* SPDX-License-Identifier: Apache-2.0 */
/*
 * GET /attempts, /attempts/:id and the same below a destination. Everything runs in one read
 * transaction; the events that a page includes are read once each and count towards its size.
 */
#include "native.h"

#include "longline/map.h"

enum include { INCLUDE_EVENT = 1, INCLUDE_EVENT_DATA = 2, INCLUDE_RESPONSE = 4, INCLUDE_DEST = 8 };

/* Events up to this size cost nothing to have looked at without their data. */
#define SMALL_EVENT  ((size_t)4096)
/* An attempt in JSON without what it includes. */
#define ATTEMPT_SIZE ((size_t)1024)
/* Of a kept response in JSON, where a byte may become six. */
#define RESPONSE_MAX ((size_t)2 << 20)

static int parse_includes(struct call *c, const struct query *q, unsigned *out)
{
    static const struct {
        const char *name;
        unsigned bits;
    } known[] = {
        {"event", INCLUDE_EVENT},
        {"event.data", INCLUDE_EVENT | INCLUDE_EVENT_DATA},
        {"response_data", INCLUDE_RESPONSE},
        {"destination", INCLUDE_DEST},
    };
    struct store_strs list;
    const int rc = query_list(q, STR("include"), call_arena(c), &list);

    *out = 0;
    for (size_t i = 0; rc == 0 && i < LL_COUNT(known); i++) {
        if (query_list_has(&list, str_c(known[i].name))) {
            *out |= known[i].bits;
        }
    }
    return rc;
}

/* All of it, unless that could be too much beside an event and a destination. */
static struct str shown_response(const struct attempt_record *at)
{
    struct str s = at->response;
    if (s.n <= RESPONSE_MAX / 6 || text_json_size(s) <= RESPONSE_MAX) {
        return s;
    }
    s.n = RESPONSE_MAX / 6;
    while (s.n != 0 && ((unsigned char)s.p[s.n] & 0xc0) == 0x80) {
        s.n--; /* not within a character */
    }
    return s;
}

static void response_show(struct jw *w, const struct attempt_record *at)
{
    const struct str body = shown_response(at);
    jw_key(w, STR("response_data"));
    jw_obj(w);
    JW_INT(w, "status", at->http_status);
    JW_STR(w, "body", body);
    if (at->response_truncated || body.n < at->response.n) {
        JW_BOOL(w, "truncated", true);
    }
    jw_obj_end(w);
}

/* event may be NULL: not asked for, or purged already. */
static void attempt_show(struct call *c, struct jw *w, const struct attempt_record *at,
                         unsigned includes, const struct event_record *event)
{
    const struct destination *d;
    char id[ID_LEN];

    store_attempt_id(c->api->sv.store, at->seq, id);
    jw_obj(w);
    JW_STR(w, "id", str_of(id, ID_LEN));
    JW_STR(w, "tenant_id", at->tenant_id);
    JW_STR(w, "status", at->status == ATTEMPT_SUCCESS ? STR("success") : STR("failed"));
    JW_TIME(w, "time", at->time_ms);
    if (at->code.n != 0) {
        JW_STR(w, "code", at->code);
    }
    if ((includes & INCLUDE_RESPONSE) != 0 && at->http_status != 0) {
        response_show(w, at);
    }
    /* Beyond Outpost's: what a person looks for when a delivery failed. */
    if (at->error.n != 0) {
        JW_STR(w, "error", at->error);
    }
    JW_INT(w, "duration_ms", at->duration_us / 1000);
    if (at->next_at_ms != 0) {
        JW_TIME(w, "next_attempt_at", at->next_at_ms);
    }
    JW_INT(w, "attempt_number", at->number);
    JW_BOOL(w, "manual", at->manual);
    if (at->dest_type.n != 0) {
        JW_STR(w, "destination_type", at->dest_type);
    }
    JW_STR(w, "event_id", at->event_id);
    JW_STR(w, "destination_id", at->dest_id);
    if (event != NULL) {
        jw_key(w, STR("event"));
        event_show(w, event, (includes & INCLUDE_EVENT_DATA) != 0 ? EVENT_DATA : 0);
    }
    d = (includes & INCLUDE_DEST) != 0
            ? registry_dest(c->api->sv.registry, at->tenant_id, at->dest_id)
            : NULL;
    if (d != NULL) {
        jw_key(w, STR("destination"));
        destination_show(c, w, d);
    }
    jw_obj_end(w);
}

/* ---- lists ---- */

/* Reads the events of the page's attempts, cutting the page when they grow too large. */
static int load_events(struct call *c, struct page *p, unsigned includes, struct arena *a,
                       struct map64 *events)
{
    size_t bytes = 0;

    for (size_t i = 0; i < p->n; i++) {
        const uint64_t seq = p->rows.attempts[i].event_seq;
        struct event_record *e;
        int rc;
        if (map64_get(events, seq) != NULL) {
            continue;
        }
        e = arena_alloc(a, sizeof(*e));
        rc = e != NULL ? store_get_event(c->api->sv.store, seq, a, e) : ERR_TOO_BIG;
        if (rc == ERR_NOT_FOUND || rc == ERR_CORRUPT) {
            continue; /* purged, or damaged: the attempt is shown without it */
        }
        if (rc != 0) {
            return rc;
        }
        (void)map64_put(events, seq, e);
        if ((includes & INCLUDE_EVENT_DATA) != 0 || e->data.n > SMALL_EVENT) {
            bytes += e->data.n;
        }
        if (bytes >= LIST_MAX_BYTES && i + 1 < p->n) {
            page_cut(p, i + 1);
        }
    }
    return 0;
}

/* What is included comes anew with each attempt, and escaped: the page ends where the reply would
 * become too large. */
static void limit_size(struct call *c, struct page *p, unsigned includes,
                       const struct map64 *events)
{
    const unsigned parts = (includes & INCLUDE_EVENT_DATA) != 0 ? EVENT_DATA : 0;
    size_t bytes = 0;

    for (size_t i = 0; i < p->n; i++) {
        const struct attempt_record *at = &p->rows.attempts[i];
        const struct event_record *e = map64_get(events, at->event_seq);
        const struct destination *d =
            (includes & INCLUDE_DEST) != 0
                ? registry_dest(c->api->sv.registry, at->tenant_id, at->dest_id)
                : NULL;
        size_t size = ATTEMPT_SIZE + text_json_size(at->error);
        if ((includes & INCLUDE_RESPONSE) != 0) {
            size += text_json_size(shown_response(at));
        }
        if (e != NULL) {
            size += event_json_size(e, parts);
        }
        if (d != NULL) {
            size += destination_json_size(d);
        }
        if (!page_add(p, i, size, &bytes)) {
            return;
        }
    }
}

static int show_list(struct call *c, struct page *p, struct store_query *sq, unsigned includes,
                     struct arena *a)
{
    struct map64 events;
    struct jw w;
    int rc = page_run(c, p, sq, a);

    map64_init(&events);
    if (rc == 0 && (includes & INCLUDE_EVENT) != 0) {
        rc = load_events(c, p, includes, a, &events);
    }
    if (rc == 0) {
        limit_size(c, p, includes, &events);
        reply_begin(c, &w);
        jw_obj(&w);
        jw_key(&w, STR("models"));
        jw_arr(&w);
        for (size_t i = 0; i < p->n; i++) {
            const struct attempt_record *at = &p->rows.attempts[page_row(p, i)];
            attempt_show(c, &w, at, includes, map64_get(&events, at->event_seq));
        }
        jw_arr_end(&w);
        damaged_show(c, &w, p, STORE_ATTEMPTS);
        page_show(c, &w, p);
        jw_obj_end(&w);
    }
    map64_fini(&events);
    return rc;
}

static int parse_filters(struct call *c, const struct query *q, struct store_query *sq)
{
    struct arena *a = call_arena(c);
    int rc = query_list(q, STR("event_id"), a, &sq->event_ids);
    if (rc == 0) {
        rc = query_list(q, STR("topic"), a, &sq->topics);
    }
    if (rc == 0) {
        rc = query_list(q, STR("destination_type"), a, &sq->dest_types);
    }
    if (rc == 0 && sq->dest_ids.n == 0) {
        rc = query_list(q, STR("destination_id"), a, &sq->dest_ids);
    }
    return rc;
}

/* False: no attempt has that status. */
static bool parse_status(const struct query *q, int *out)
{
    const struct str status = query_get(q, STR("status"));
    if (status.n == 0) {
        *out = -1;
    } else if (str_eq(status, STR("success"))) {
        *out = ATTEMPT_SUCCESS;
    } else if (str_eq(status, STR("failed"))) {
        *out = ATTEMPT_FAILED;
    } else {
        return false;
    }
    return true;
}

static void reply_no_rows(struct call *c, struct page *p)
{
    struct jw w;
    p->lp.has_cursor = false;
    reply_begin(c, &w);
    jw_obj(&w);
    jw_key(&w, STR("models"));
    jw_arr(&w);
    jw_arr_end(&w);
    page_show(c, &w, p);
    jw_obj_end(&w);
    reply_send(c, 200);
}

/* sq: tenants and, below a destination, the destination are set. */
static void reply_list(struct call *c, const struct query *q, struct store_query *sq)
{
    struct page p;
    struct arena a;
    unsigned includes = 0;
    int rc;

    if (!page_parse(c, q, STR("att"), &p)) {
        return;
    }
    rc = parse_filters(c, q, sq);
    if (rc == 0) {
        rc = parse_includes(c, q, &includes);
    }
    if (rc != 0) {
        reply_failure(c, rc);
        return;
    }
    if (!parse_status(q, &sq->status)) {
        reply_no_rows(c, &p);
        return;
    }
    if (!page_begin(c)) {
        return;
    }
    page_arena(c, &a);
    rc = show_list(c, &p, sq, includes, &a);
    page_end(c, &a, rc);
}

void attempts_list(struct call *c)
{
    struct store_query sq = {.kind = STORE_ATTEMPTS};
    struct query q;
    if (call_query(c, &q) && scope_list(c, &q, &sq.tenant_ids)) {
        reply_list(c, &q, &sq);
    }
}

void destination_attempts_list(struct call *c)
{
    struct store_query sq = {
        .kind = STORE_ATTEMPTS,
        .tenant_ids = {.v = &c->params[0], .n = 1},
        .dest_ids = {.v = &c->params[1], .n = 1},
    };
    struct query q;
    if (call_query(c, &q)) {
        reply_list(c, &q, &sq);
    }
}

/* ---- one ---- */

struct attempt_lookup {
    struct str tenant_id; /* p NULL: any */
    struct str dest_id;   /* p NULL: any */
    struct str id;
    unsigned includes;
};

/* Builds the reply. Within a read transaction. */
static int show_one(struct call *c, const struct attempt_lookup *l, struct arena *a)
{
    struct store *s = c->api->sv.store;
    struct attempt_record at;
    struct event_record e;
    const struct event_record *event = NULL;
    struct jw w;
    int rc = store_find_attempt(s, l->tenant_id, l->id, a, &at);

    if (rc != 0) {
        return rc;
    }
    if (l->dest_id.p != NULL && !str_eq(l->dest_id, at.dest_id)) {
        return ERR_NOT_FOUND;
    }
    if ((l->includes & INCLUDE_EVENT) != 0) {
        rc = store_get_event(s, at.event_seq, a, &e);
        if (rc == 0) {
            event = &e;
        } else if (rc != ERR_NOT_FOUND && rc != ERR_CORRUPT) {
            return rc;
        }
    }
    reply_begin(c, &w);
    attempt_show(c, &w, &at, l->includes, event);
    return 0;
}

static void reply_one(struct call *c, const struct query *q, struct attempt_lookup *l)
{
    struct store *s = c->api->sv.store;
    struct arena a;
    int rc = parse_includes(c, q, &l->includes);

    if (rc != 0) {
        reply_failure(c, rc);
        return;
    }
    page_arena(c, &a);
    rc = store_read_begin(s);
    if (rc == 0) {
        rc = show_one(c, l, &a);
        store_read_end(s);
    }
    arena_fini(&a);
    if (rc == 0) {
        reply_send(c, 200);
    } else {
        reply_not_shown(c, rc, "attempt");
    }
}

void attempts_get(struct call *c)
{
    struct attempt_lookup l = {.id = c->params[0]};
    struct query q;
    if (call_query(c, &q) && scope_one(c, &q, &l.tenant_id)) {
        reply_one(c, &q, &l);
    }
}

void destination_attempts_get(struct call *c)
{
    struct attempt_lookup l = {
        .tenant_id = c->params[0], .dest_id = c->params[1], .id = c->params[2]};
    struct query q;
    if (call_query(c, &q)) {
        reply_one(c, &q, &l);
    }
}
