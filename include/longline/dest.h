/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Destination types: a table of drivers (src/dest/registry.c). Deliver sees only this header.
 *
 * A driver checks a destination's config and credentials, compiles what it needs to send
 * (dest_endpoint: URL, keys, headers) and sends attempts.
 */
#ifndef LL_DEST_H
#define LL_DEST_H

#include "longline/config.h"
#include "longline/http_client.h"
#include "longline/loop.h"
#include "longline/model.h"
#include "longline/record.h"
#include "longline/rng.h"

/* What drivers share; owned by app. */
struct dest_env {
    struct loop *loop;
    struct http_client *http;
    const struct rng *rng;
    const struct webhook_cfg *webhook;
    const struct egress_policy *policy; /* for checks at registration; may change on reload */
};

struct webhook_cfg {     /* section [webhook] */
    int mode;            /* enum webhook_mode */
    char *header_prefix; /* "": the mode's default, x-outpost- or webhook-; " ": none */
    char *user_agent;
    bool success_below_400;    /* as Outpost does; default: 2xx only */
    int64_t secret_overlap_ms; /* how long the previous secret stays valid after a rotation */
    int64_t max_custom_headers;
};
enum webhook_mode { WEBHOOK_MODE_DEFAULT, WEBHOOK_MODE_STANDARD, WEBHOOK_MODE_BOTH };
extern const struct cfg_key webhook_cfg_keys[];
extern const size_t webhook_cfg_n_keys;

struct dest_endpoint { /* compiled destination, driver-specific; embedded first */
    const struct dest_driver *driver;
};

/* How a final outcome is named in an attempt's code when nothing was sent. */
#define DEST_CODE_DELETED "destination_deleted"
#define DEST_CODE_INVALID "destination_invalid"
#define DEST_CODE_UNFIT   "event_unfit"
#define DEST_CODE_CORRUPT "event_corrupt"
#define DEST_CODE_EXPIRED "expired"
#define DEST_CODE_MISSING "event_missing"

struct dest_outcome {
    bool success;
    int32_t http_status; /* 0: none */
    struct str code;     /* "200", "timeout" …; valid during the call, like all here */
    struct str error;    /* a sentence; empty on success */
    struct str response; /* first bytes of the response body */
    bool response_truncated;
    bool canceled;    /* shutting down, or nothing of ours was free in time: not an attempt */
    bool overload;    /* 429, 502, 503, 504 or timeout: send less */
    bool unreachable; /* no answer at all (DNS, connect, TLS, timeout): counts for the breaker*/
    bool blocked;     /* refused by the egress policy: the operator is told */
    int64_t retry_after_ms; /* from Retry-After; -1: none */
    bool gone;              /* 410 */
    int32_t duration_us;
};
typedef void (*dest_done_fn)(void *ctx, const struct dest_outcome *o);

struct dest_attempt {
    const struct event_record *event; /* valid until done */
    struct str dest_id;
    uint32_t number; /* 1-based */
    int64_t now_wall_ms;
};

struct dest_send; /* one attempt under way */

/* Per-type problems and side effects of a write. `old` is NULL on create. */
struct dest_write {
    struct destination *dest; /* edited in place; new text in the arena */
    const struct destination *old;
    bool is_admin;
    bool check; /* config or credentials were in the request: validate them */
    int64_t now_ms;
    struct arena *arena;
};

struct dest_driver {
    const char *type;
    const char *label;
    /* Validates and completes (generates or rotates secrets, drops unknown credentials). */
    void (*prepare)(const struct dest_env *env, struct dest_write *w, struct problem *p);
    /* What may be shown of the credentials now (masking, expired secrets hidden). */
    void (*show)(const struct destination *d, int64_t now_ms, struct arena *a, struct kv_map *out);
    void (*target)(const struct destination *d, struct str *target, struct str *target_url);
    /* Equal for destinations that one server serves, however they spell its name: they share
     * delivery.max_inflight_per_host. */
    uint64_t (*host)(const struct destination *d);
    /* Compiles; NULL with err when the stored destination cannot be used. */
    struct dest_endpoint *(*open)(const struct dest_env *env, const struct destination *d,
                                  struct err_detail *err);
    void (*close)(struct dest_endpoint *ep); /* no send is under way */
    /* done follows exactly once, never before this returned, unless canceled. NULL with err (and
     * no done) when this event cannot be sent this way. */
    struct dest_send *(*send)(const struct dest_env *env, struct dest_endpoint *ep,
                              const struct dest_attempt *at, dest_done_fn done, void *ctx,
                              struct err_detail *err);
    void (*cancel)(struct dest_send *s); /* done will not be called */
    /* JSON object for GET /destination-types/:type: what a form needs. */
    const char *describe_json;
};

const struct dest_driver *dest_find(struct str type); /* NULL when unknown */
const struct dest_driver *const *dest_all(size_t *n);

#endif
