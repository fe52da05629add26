/* SPDX-License-Identifier: Apache-2.0 */
/* The native resources: their handlers, the table of routes, and the JSON forms they share. */
#ifndef LL_API_NATIVE_H
#define LL_API_NATIVE_H

#include "api/api_internal.h"
#include "api/list.h"

extern const struct route native_routes[];
extern const size_t native_n_routes;

/* publish.c, retry.c */
void publish_post(struct call *c);
void retry_post(struct call *c);
/* topics.c */
void topics_get(struct call *c);
void destination_types_list(struct call *c);
void destination_types_get(struct call *c);
/* tenants.c */
void tenants_list(struct call *c);
void tenants_put(struct call *c);
void tenants_get(struct call *c);
void tenants_delete(struct call *c);
void tenants_token(struct call *c);
/* destinations.c */
void destinations_list(struct call *c);
void destinations_get(struct call *c);
void destinations_delete(struct call *c);
/* destination_write.c */
void destinations_create(struct call *c);
void destinations_patch(struct call *c);
void destinations_enable(struct call *c);
void destinations_disable(struct call *c);
/* events.c */
void events_list(struct call *c);
void events_get(struct call *c);
/* attempts.c */
void attempts_list(struct call *c);
void attempts_get(struct call *c);
void destination_attempts_list(struct call *c);
void destination_attempts_get(struct call *c);

/* ---- JSON forms ---- */

/* destinations.c: as returned, with credentials masked. */
void destination_show(struct call *c, struct jw *w, const struct destination *d);
/* events.c */
enum event_part { EVENT_MATCHED = 1, EVENT_DATA = 2 };
void event_show(struct jw *w, const struct event_record *e, unsigned parts);

/* ---- size.c: upper bounds of what they take in JSON, but for a row's fixed part ---- */
size_t text_json_size(struct str s);
size_t map_json_size(const struct kv_map *m);
size_t destination_json_size(const struct destination *d);
size_t event_json_size(const struct event_record *e, unsigned parts);

/* ---- scope.c: which tenants' events and attempts the caller sees ---- */

/* The tenant_id parameters as a filter; a token sees its own tenant only. False: refused and
 * answered. */
bool scope_list(struct call *c, const struct query *q, struct store_strs *out);
/* Whose a single row must be: *tenant_id.p is NULL for any. A token's tenant, whatever the query
 * says; false: answered. */
bool scope_one(struct call *c, const struct query *q, struct str *tenant_id);

/* ---- page.c: pages of events and attempts ---- */

/* One page in walking order, which is the order of display unless the walk goes backward. */
struct page {
    struct list_params lp;
    struct str resource;
    uint64_t cursor; /* position the walk started from; 0: at the end */
    size_t n;
    bool more;
    uint64_t stop; /* seq at which the walk stopped, when there is more */
    struct store_page rows;
};

/* An arena for reading records, large enough for a page. */
void page_arena(const struct call *c, struct arena *a);
/* Ends the read transaction and the arena, and answers with what was written, or with rc. */
void page_end(struct call *c, struct arena *a, int rc);
/* The shared parameters; false: refused, answered. */
bool page_parse(struct call *c, const struct query *q, struct str resource, struct page *p);
/* Fills q from the page's parameters and runs it. Within a read transaction. */
int page_run(struct call *c, struct page *p, struct store_query *q, struct arena *a) LL_MUST_USE;
/* Keeps only the first n rows of the walk; n > 0. */
void page_cut(struct page *p, size_t n);
/* Adds the size in JSON of row i to *bytes; false when the page was ended before it. A row by
 * itself always fits. */
bool page_add(struct page *p, size_t i, size_t size, size_t *bytes);
/* Index into rows of the i-th row to show. */
size_t page_row(const struct page *p, size_t i);
/* The "pagination" member. */
void page_show(struct call *c, struct jw *w, const struct page *p);
/* "damaged": records of this page that cannot be read; left out when there are none. */
void damaged_show(struct call *c, struct jw *w, const struct page *p, enum store_kind kind);
/* Answers a look-up of one record that failed. what: "event", "attempt". */
void reply_not_shown(struct call *c, int rc, const char *what);
void pagination_show(struct jw *w, const struct list_params *lp, struct str order_by,
                     struct str next, struct str prev);
void list_refuse(struct call *c, const struct list_problem *p);
/* Begins reading for a list: false when lists cannot be answered now (answered). */
bool page_begin(struct call *c);

#endif
