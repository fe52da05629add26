/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deliveries: takes durable events and their destinations, decides when each attempt starts (pure
 * scheduler, src/deliver/sched.h), lets the destination's driver send it, records the attempt and
 * plans the next one.
 *
 * Nothing is written to say that work is pending: an event above the low mark without a final
 * attempt *is* pending. Work that outlives the moment (first try failed, or not resolved within
 * seconds) has a retry record. deliver_recover rebuilds the exact set from the store.
 *
 * Loop thread only.
 */
#ifndef LL_DELIVER_H
#define LL_DELIVER_H

#include "longline/config.h"
#include "longline/dest.h"
#include "longline/loop.h"
#include "longline/metrics.h"
#include "longline/store.h"

struct deliver;

struct deliver_cfg { /* section [delivery] */
    int64_t max_inflight;
    int64_t max_inflight_per_tenant;
    int64_t max_inflight_per_host;
    int64_t max_inflight_per_destination;
    int64_t initial_inflight;
    int64_t retry_interval_ms;
    int64_t retry_max_delay_ms;
    int64_t retry_limit;
    int64_t retry_jitter; /* per cent */
    struct cfg_list retry_schedule;
    int64_t breaker_failures;
    int64_t breaker_open_ms;
    int64_t breaker_max_ms;
    int64_t disable_after_failures; /* 0: never */
    int64_t disable_after_ms;       /* … and failing for at least this long */
    bool retry_gone;                /* 410 Gone is retried like any failure */
    int64_t max_pending;            /* deliveries; publishes are refused above */
    int64_t fresh_memory;           /* bytes of new events kept in memory until sent */
    int64_t inflight_memory;        /* bytes of events in attempts under way */
};
extern const struct cfg_key deliver_cfg_keys[];
extern const size_t deliver_cfg_n_keys;
/* Checks retry_schedule: for the configuration's cross-checks. */
int deliver_cfg_check(const struct deliver_cfg *cfg, struct err_detail *err);

/* Where destinations come from; app binds it to the registry. */
struct deliver_source {
    /* By number; NULL when deleted. Valid until the loop turns or the destination changes. */
    const struct destination *(*find)(void *ctx, uint32_t num);
    /* Too many failures: disable it (durably). An error: it stays enabled, the next failure asks
     * again. */
    int (*disable)(void *ctx, uint32_t num);
    void *ctx;
};

struct deliver_options {
    struct loop *loop;
    struct store *store;
    const struct dest_env *env; /* borrowed */
    struct deliver_source source;
    const struct rng *rng;
    const struct deliver_cfg *cfg; /* copied */
};

struct deliver_metrics {
    struct metric success; /* deliveries ended well */
    struct metric failed;  /* ended for good without success */
    struct metric attempts_success, attempts_failed;
    struct metric pending; /* deliveries not ended */
    struct metric inflight;
    struct metric open_breakers;
    struct metric oldest_pending_s; /* age of the oldest undelivered event, seconds */
    struct metric duration;         /* histogram of attempts */
};

void deliver_open(struct deliver **out, const struct deliver_options *o);
void deliver_reload(struct deliver *d, const struct deliver_cfg *cfg);
/* Bytes of an attempt's record, at most: none starts without room for it. */
void deliver_set_max_record(struct deliver *d, size_t n);
struct deliver_metrics *deliver_get_metrics(struct deliver *d);

/* Rebuilds what is pending from the store; before anything else. */
int deliver_recover(struct deliver *d) LL_MUST_USE;

/* May n more deliveries be taken on? 0 or ERR_BUSY. */
int deliver_admit(const struct deliver *d, size_t n) LL_MUST_USE;
/* An event that is durable: queues it for those of its destinations that have no work for it yet.
 * References the blob; with NULL (found in the journal at start) it is read back when it is sent.
 * Events must come in the order of their seq, also those without destinations. */
void deliver_event(struct deliver *d, const struct event_record *e, struct blob *encoded);

/* One more attempt at once, whatever the schedule says; durable when the store's open batch is.
 * `number`: of this attempt, used when nothing is pending for the pair. */
void deliver_retry(struct deliver *d, uint64_t event_seq, uint32_t dest_num, uint32_t number);

/* The destination was changed, disabled, enabled or deleted. */
void deliver_dest_changed(struct deliver *d, uint32_t num);

/* Starts no more attempts; deliver_n_inflight falls to zero. */
void deliver_drain(struct deliver *d);
size_t deliver_n_inflight(const struct deliver *d);
/* Cancels what is in flight (stays pending) and frees everything. */
void deliver_free(struct deliver *d);

#endif
