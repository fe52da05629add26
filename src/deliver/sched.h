/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The scheduler: which delivery starts next, and what follows from how it ended. Pure: no I/O, time
 * comes in as `now` (monotonic milliseconds), randomness through the rng.
 *
 *   tenant ring (deficit round robin)
 *     -> tenant: ring of its runnable destinations
 *          -> destination: `fresh` and `retry` queues (4 : 1), cap, breaker, hold
 *               -> work: one event for one destination
 *
 * States of a work, and who moves it:
 *
 *   sched_add --due now--> READY --sched_next--> INFLIGHT --sched_finish--> freed, or WAITING/READY
 *        \----due later--> WAITING --(time)--> READY
 *
 * A destination is in exactly one place: in its tenant's ring when something of it may start, in
 * its host's `blocked` queue when only the host's cap stands against it, in the `closed` heap while
 * its breaker is open, or nowhere. Destinations without work keep their state in a bounded LRU
 * list.
 *
 * A host's free slots go to those who wait for it in the order of the queue, which gives each
 * tenant there the same share, however many destinations it has; nobody overtakes the queue.
 *
 * Bounds: in flight in all, per tenant, per host, per destination (adaptive), and bytes in
 * flight in all and per tenant. The number of works is bounded by the caller (admission).
 */
#ifndef LL_SCHED_H
#define LL_SCHED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "longline/clock.h"
#include "longline/heap.h"
#include "longline/list.h"
#include "longline/map.h"
#include "longline/rng.h"

struct sched_cfg {
    uint32_t max_inflight;
    uint32_t max_inflight_per_tenant;
    uint32_t max_inflight_per_host;
    uint32_t max_inflight_per_dest; /* ceiling of the adaptive cap */
    uint32_t initial_inflight_per_dest;
    uint64_t max_inflight_kib; /* sum of the costs; 0: no bound. Passed by one work at most. */
    uint64_t max_inflight_kib_per_tenant;
    uint32_t breaker_failures; /* consecutive unreachable outcomes that open it; 0: no breaker */
    int64_t breaker_open_ms;   /* first pause; doubles */
    int64_t breaker_max_ms;
    size_t max_idle_dests; /* state kept for destinations without work */
};

struct sched_tenant;
struct sched_host;
struct sched_share;
struct fresh_event; /* the caller's: see window.h */

enum work_state { WORK_WAITING, WORK_READY, WORK_INFLIGHT };

struct work {
    union {
        struct heap_node due; /* WAITING: key = mono ms */
        struct list ready;    /* READY */
    } u;
    struct work *hash_next; /* private: (event, destination) -> work */
    struct sched_dest *dest;
    struct fresh_event *fresh; /* while the event is in the window of fresh ones */
    uint64_t event_seq;
    uint32_t number; /* of the next attempt, 1-based */
    uint16_t cost;   /* KiB of the event, at least 1; see sched_set_cost */
    uint8_t state;   /* enum work_state */
    bool manual : 1;
    bool again : 1;  /* another manual attempt was asked for while in flight */
    bool stored : 1; /* a retry record stands in the journal */
};

enum breaker_state { BREAKER_CLOSED, BREAKER_OPEN, BREAKER_PROBING };

struct sched_dest {
    uint32_t num;
    bool held;        /* disabled or paused: nothing starts */
    bool gone;        /* deleted: its works are to end */
    uint8_t breaker;  /* enum breaker_state */
    uint8_t where;    /* private: which list `place` is in */
    uint32_t n_works; /* all states */
    uint32_t n_inflight;
    uint32_t cap;
    uint32_t successes;       /* since the cap last changed */
    uint32_t fresh_in_row;    /* fresh works started since the last retry */
    uint32_t unreachable_row; /* consecutive unreachable outcomes */
    uint32_t failures_row;    /* consecutive failed attempts */
    int64_t failing_since_ms; /* first failure of the row */
    int64_t breaker_pause_ms;
    struct list fresh;
    struct list retry;
    struct list place;       /* tenant ring or idle list */
    struct heap_node queued; /* in its host's blocked queue; the key stays while it is let go */
    struct heap_node reopen; /* in `closed` while the breaker is open */
    struct sched_tenant *tenant;
    struct sched_host *host;
    struct sched_share *share; /* once it had to wait for its host */
    void *user;                /* the caller's per-destination state; freed through sched_hooks */
};

struct sched_hooks {
    /* The destination's state is about to be forgotten. */
    void (*dest_gone)(void *ctx, struct sched_dest *d);
    void *ctx;
};

struct sched;

struct sched *sched_new(const struct sched_cfg *cfg, const struct sched_hooks *hooks,
                        const struct rng *rng);
void sched_free(struct sched *s); /* frees all works and destinations */
void sched_set_cfg(struct sched *s, const struct sched_cfg *cfg);

/* The destination's state, made when missing. tenant and host: hashes of their names. */
struct sched_dest *sched_dest_get(struct sched *s, uint32_t num, uint64_t tenant, uint64_t host);
struct sched_dest *sched_dest_find(const struct sched *s, uint32_t num);
/* Its target moved to another host. */
void sched_dest_set_host(struct sched *s, struct sched_dest *d, uint64_t host);
/* Holds back or lets go all work. Letting go resets the breaker and the failure counters. */
void sched_dest_hold(struct sched *s, struct sched_dest *d, bool held);
/* It was deleted: nothing holds its works back from ending. */
void sched_dest_end(struct sched *s, struct sched_dest *d);

/* A new work; due_ms <= now means ready. There must be none for the pair. */
struct work *sched_add(struct sched *s, struct sched_dest *d, uint64_t event_seq, uint32_t number,
                       int64_t due_ms, int64_t now);
struct work *sched_find(const struct sched *s, uint64_t event_seq, uint32_t dest_num);
/* Makes a waiting work ready at once. */
void sched_hasten(struct sched *s, struct work *w);
/* The event's size, once it is known. */
void sched_set_cost(struct sched *s, struct work *w, uint16_t cost);
/* Makes the waiting works of destinations that are gone ready, in `budget` places of the table from
 * *at on. True at the end of the table. */
bool sched_hasten_gone(struct sched *s, size_t *at, size_t budget);
/* Takes a work that is not in flight out and frees it. */
void sched_drop(struct sched *s, struct work *w);

/* Moves a runnable work to INFLIGHT, or NULL. */
struct work *sched_next(struct sched *s, int64_t now);
/* When sched_next may have something only because time passed; TIME_NEVER when never. */
int64_t sched_next_due(const struct sched *s);

struct sched_outcome {
    bool success;
    bool overload;    /* halve the cap */
    bool unreachable; /* counts for the breaker */
    bool neutral;     /* no attempt was made (deleted, purged, shutting down): judge nothing */
};
/* Judges the destination by the outcome (cap, breaker, counters); the work stays in flight. */
void sched_judge(struct sched *s, struct work *w, const struct sched_outcome *o, int64_t now);
/* The work ends. */
void sched_done(struct sched *s, struct work *w);
/* The work goes on with attempt `number` at due_ms. */
void sched_again(struct sched *s, struct work *w, uint32_t number, int64_t due_ms, int64_t now);

struct sched_stats {
    size_t n_works, n_waiting, n_inflight;
    size_t n_dests; /* with state */
    size_t n_open_breakers;
};
void sched_stats(const struct sched *s, struct sched_stats *out);

#endif
