/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the API share.
 *
 * A request's life: api.c finds the route and makes a struct call in the request's arena; gate.c
 * decides who is asking and whether there is room; the body is read; the route's handler runs and
 * ends in exactly one reply_* call, or in one that answers when the store is durable.
 */
#ifndef LL_API_INTERNAL_H
#define LL_API_INTERNAL_H

#include "longline/api.h"
#include "longline/json.h"
#include "longline/stream.h"
#include "query.h"
#include "rate.h"
#include "route.h"

#define API_MAGIC  0x41504921U /* "API!" */
#define CALL_MAGIC 0x43414c4cU /* "CALL" */

/* Largest reply: what a stream takes at once. Lists stop early at LIST_MAX_BYTES. */
#define REPLY_MAX  ((size_t)STREAM_MAX_PENDING - ((size_t)64 << 10))
/* A tenant with all its topics and its metadata, and the list of its destinations, fit. */
_Static_assert(REGISTRY_MAX_TENANT_WEIGHT + (256U << 10) <= REPLY_MAX, "replies would not fit");
/* Records of one page, and the memory for reading them besides the largest single one. */
#define LIST_MAX_BYTES ((size_t)4 << 20)
#define LIST_ARENA     ((size_t)16 << 20)

struct ops;

struct audit {
    int64_t second;
    unsigned n_passed; /* in that second */
    int64_t n_held;    /* lines since that were held back */
};

struct api {
    unsigned magic;
    struct api_services sv; /* auth: the one in force */
    struct http_handler handler;
    bool is_ready;
    bool metrics_public;
    int64_t token_ttl_ms;
    int64_t tenant_rate;
    int64_t max_publish_body;
    struct topic_rules topics; /* owned strings */
    struct str *topic_names;
    struct ops *ops;
    struct buf out; /* the reply being built; used up within one callback */
    struct rate_table rates;
    struct audit audit;
};

/* One request. Lives in its arena. */
struct call {
    unsigned magic;
    struct api *api;
    struct http_request *rq;
    const struct route *route;
    struct str params[ROUTE_MAX_PARAMS]; /* decoded */
    bool is_admin;
    struct str token_tenant; /* whose token it is; p is NULL for the admin */
    int64_t generation;      /* of that tenant when the head came */
    struct store_waiter waiter;
    int pending_status; /* of the answer that waits for the store */
    struct str pending_body;
};

static inline struct arena *call_arena(const struct call *c)
{
    return c->rq->arena;
}
int64_t call_now_ms(const struct call *c);
/* The body as JSON; NULL when it was refused (and answered): 422 "invalid JSON". */
yyjson_val *call_json(struct call *c);
/* The query; false when it was refused and answered. */
bool call_query(struct call *c, struct query *q);

/* ---- gate.c ---- */
/* 0, or the refusal is filled. */
int gate_check(struct call *c, struct http_reply *refusal) LL_MUST_USE;
/* Once more when the body has come: 0, or the refusal is filled because the token's tenant has been
 * deleted meanwhile, and perhaps made anew. */
int gate_check_again(const struct call *c, struct http_reply *refusal) LL_MUST_USE;

/* ---- audit.c ---- */
/* Logs a change of the tenant in the path, or of one of its destinations (p NULL: none). Before the
 * reply. */
void audit(struct call *c, const char *action, struct str dest_id);
void audit_change(struct call *c, const char *action, struct str dest_id, const char *detail);

/* ---- reply.c ---- */
/* Starts a JSON body in api.out. */
void reply_begin(struct call *c, struct jw *w);
/* Sends api.out. */
void reply_send(struct call *c, int status);
/* Sends it once everything put into the store so far is durable. */
void reply_send_durable(struct call *c, int status);
/* 200 with any other kind of body. */
void reply_text(struct call *c, const char *content_type, struct str body);
void reply_error(struct call *c, int status, const char *message);
/* {"status":422,"message":"validation error","data":{field: detail}} */
void reply_field_error(struct call *c, int status, const char *message, const char *field,
                       const char *detail);
void reply_problem(struct call *c, const struct problem *p);
/* A failure of a service below, by its code: 503 with Retry-After, 500 … */
void reply_failure(struct call *c, int rc);
/* {"success":true}, once durable. */
void reply_success_durable(struct call *c, int status);

/* The same for refusals before the body was read; text lives in the arena (may be NULL). */
void refusal_error(struct arena *a, int status, const char *message, struct http_reply *out);
void refusal_busy(const struct api *api, struct arena *a, const char *message,
                  struct http_reply *out);

/* ---- health.c, ops.c ---- */
void health_get(struct call *c);
void readiness_get(struct call *c);
void metrics_get(struct call *c);

void ops_open(struct ops **out, struct api *a);
void ops_free(struct ops *o);
/* Counts a reply; route NULL: none was found. */
void ops_count(struct ops *o, const struct route *route, int status);

#endif
