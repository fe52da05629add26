/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages of events and attempts. One row more than asked for is fetched, to know whether there is a
 * next page. The store may also stop early (bytes, rows looked at): the page is then short or even
 * empty, and its cursor leads on.
 *
 * Ahead of a walk there is a cursor while there is more; behind it, on every page that was reached
 * through a cursor. So the first page has no `prev`, however it was reached.
 */
#include "native.h"

#include <string.h>

#include "api/cursor.h"

void list_refuse(struct call *c, const struct list_problem *p)
{
    if (p->field != NULL) {
        reply_field_error(c, p->status, p->message, p->field, p->detail);
    } else {
        reply_error(c, p->status, p->message);
    }
}

void page_arena(const struct call *c, struct arena *a)
{
    arena_init(a, LIST_ARENA + 2 * (size_t)c->api->max_publish_body);
}

void page_end(struct call *c, struct arena *a, int rc)
{
    store_read_end(c->api->sv.store);
    arena_fini(a);
    if (rc == 0) {
        reply_send(c, 200);
    } else {
        reply_failure(c, rc);
    }
}

bool page_parse(struct call *c, const struct query *q, struct str resource, struct page *p)
{
    struct list_problem problem;
    int rc;

    *p = (struct page){.resource = resource};
    rc = list_parse(&p->lp, q, resource, call_arena(c), &problem);
    if (rc == 0 && p->lp.has_cursor && cursor_parse_seq(p->lp.position, &p->cursor) != 0) {
        problem = (struct list_problem){.status = 400, .message = "invalid cursor"};
        rc = ERR_INVALID;
    }
    if (rc != 0) {
        list_refuse(c, &problem);
        return false;
    }
    return true;
}

bool page_begin(struct call *c)
{
    int rc;
    if (!store_index_ready(c->api->sv.store)) {
        reply_error(c, 503, "the index is being rebuilt");
        return false;
    }
    rc = store_read_begin(c->api->sv.store);
    if (rc != 0) {
        reply_failure(c, rc);
        return false;
    }
    return true;
}

static uint64_t seq_at(const struct page *p, size_t i)
{
    return p->rows.events != NULL ? p->rows.events[i].seq : p->rows.attempts[i].seq;
}

void page_cut(struct page *p, size_t n)
{
    p->n = n;
    p->more = true;
    p->stop = seq_at(p, n - 1);
}

bool page_add(struct page *p, size_t i, size_t size, size_t *bytes)
{
    *bytes += size;
    if (i == 0 || *bytes <= LIST_MAX_BYTES) {
        return true;
    }
    page_cut(p, i);
    return false;
}

int page_run(struct call *c, struct page *p, struct store_query *q, struct arena *a)
{
    int rc;

    q->from_ms = p->lp.from_ms;
    q->to_ms = p->lp.to_ms;
    q->ascending = p->lp.ascending != p->lp.backward;
    q->after_seq = p->cursor;
    q->limit = p->lp.limit + 1;
    q->max_bytes = LIST_MAX_BYTES;
    q->all_damaged = c->is_admin;
    rc = store_query(c->api->sv.store, q, a, &p->rows);
    if (rc != 0) {
        return rc;
    }
    p->n = p->rows.n;
    p->more = p->rows.more;
    p->stop = p->rows.last_seq;
    if (p->n > p->lp.limit) {
        page_cut(p, p->lp.limit);
    }
    return 0;
}

size_t page_row(const struct page *p, size_t i)
{
    return p->lp.backward ? p->n - 1 - i : i;
}

void pagination_show(struct jw *w, const struct list_params *lp, struct str order_by,
                     struct str next, struct str prev)
{
    jw_key(w, STR("pagination"));
    jw_obj(w);
    JW_STR(w, "order_by", order_by);
    JW_STR(w, "dir", lp->ascending ? STR("asc") : STR("desc"));
    JW_INT(w, "limit", (int64_t)lp->limit);
    jw_key(w, STR("next"));
    if (next.p != NULL) {
        jw_str(w, next);
    } else {
        jw_null(w);
    }
    jw_key(w, STR("prev"));
    if (prev.p != NULL) {
        jw_str(w, prev);
    } else {
        jw_null(w);
    }
    jw_obj_end(w);
}

static void fill_zero(void *ctx, void *p, size_t n)
{
    (void)ctx;
    memset(p, 0, n);
}

void damaged_show(struct call *c, struct jw *w, const struct page *p, enum store_kind kind)
{
    const struct rng zeros = {.fill = fill_zero};

    if (p->rows.n_damaged == 0) {
        return;
    }
    jw_key(w, STR("damaged"));
    jw_arr(w);
    for (size_t i = 0; i < p->rows.n_damaged; i++) {
        const size_t at = p->lp.backward ? p->rows.n_damaged - 1 - i : i;
        const uint64_t seq = p->rows.damaged[at];
        char id[ID_LEN];
        /* An event's own id went with its record; this one stands for it. */
        if (kind == STORE_EVENTS) {
            id_from_seq(id, seq, &zeros);
        } else {
            store_attempt_id(c->api->sv.store, seq, id);
        }
        jw_obj(w);
        JW_STR(w, "kind", kind == STORE_EVENTS ? STR("event") : STR("attempt"));
        JW_STR(w, "id", str_of(id, ID_LEN));
        JW_TIME(w, "time", SEQ_MS(seq));
        jw_obj_end(w);
    }
    jw_arr_end(w);
}

void reply_not_shown(struct call *c, int rc, const char *what)
{
    struct buf text;

    if (rc != ERR_NOT_FOUND && rc != ERR_CORRUPT) {
        reply_failure(c, rc);
        return;
    }
    buf_init(&text, 256);
    if (rc == ERR_NOT_FOUND) {
        (void)buf_printf(&text, "%s not found", what);
        reply_error(c, 404, text.p);
    } else {
        (void)buf_printf(&text, "the stored %s is damaged and cannot be read", what);
        reply_error(c, 500, text.p);
    }
    buf_fini(&text);
}

/* Where to go on in the direction of the walk; 0: nowhere. */
static uint64_t onward(const struct page *p)
{
    return p->more ? p->stop : 0;
}

/* Where to go on in the other direction, so that the row of the cursor itself is seen again. */
static uint64_t return_path(const struct page *p)
{
    const bool walks_up = p->lp.ascending != p->lp.backward;
    if (!p->lp.has_cursor) {
        return 0;
    }
    if (p->n != 0) {
        return seq_at(p, 0);
    }
    return walks_up ? p->cursor + 1 : p->cursor - 1;
}

void page_show(struct call *c, struct jw *w, const struct page *p)
{
    const uint64_t on = onward(p);
    const uint64_t back = return_path(p);
    const struct str on_text =
        on != 0 ? cursor_encode_seq(call_arena(c), p->resource, on) : STR_NULL;
    const struct str back_text =
        back != 0 ? cursor_encode_seq(call_arena(c), p->resource, back) : STR_NULL;

    pagination_show(w, &p->lp, STR("time"), p->lp.backward ? back_text : on_text,
                    p->lp.backward ? on_text : back_text);
}
