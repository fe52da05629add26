/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of deliver: the object itself, its destinations and its attempts. */
#ifndef LL_DELIVER_INTERNAL_H
#define LL_DELIVER_INTERNAL_H

#include "longline/deliver.h"

#include "retry.h"
#include "sched.h"
#include "window.h"

/* A compiled endpoint, shared by the attempts that use it; replaced when the destination
 * changes. */
struct endpoint {
    struct dest_endpoint *ep;
    uint32_t refs;
};

/* One attempt under way. Reused through deliver.spare. */
struct attempt {
    unsigned magic;
    struct deliver *d;
    struct work *work;
    struct blob *blob; /* the encoded event; `event` points into it */
    struct event_record event;
    struct arena arena;
    struct endpoint *endpoint;
    struct dest_send *send;
    uint32_t number; /* what was sent; the work may be changed meanwhile */
    bool manual;
    struct list node; /* in deliver.attempts or deliver.spare */
};

struct deliver {
    struct loop *loop;
    struct store *store;
    const struct dest_env *env;
    struct deliver_source source;
    const struct rng *rng;
    struct deliver_cfg cfg; /* numbers only: lists are parsed into `retry` */
    struct retry_policy retry;
    struct sched *sched;
    struct window window;
    uint64_t stored_low;
    size_t attempt_room; /* what the record of one takes in the store, at most */
    bool draining;
    bool is_sweeping;    /* works of deleted destinations are being looked for … */
    size_t sweep_at;     /* … from this place of the table on */
    uint64_t expire_seq; /* where the walk over the retry records of old events goes on */
    uint32_t expire_dest;
    size_t n_expired; /* since an operator was warned */
    struct list attempts;
    struct list spare;
    size_t n_spare;
    struct loop_hook hook;
    struct timer wake;  /* the scheduler's next due time */
    struct timer spill; /* events that stay fresh too long */
    struct deliver_metrics metrics;
};

void deliver_policy_from_cfg(struct retry_policy *out, const struct deliver_cfg *cfg);
void deliver_sched_cfg(struct sched_cfg *out, const struct deliver_cfg *cfg);
void deliver_metrics_init(struct deliver *d);

/* The scheduler's state for a destination; dest may be NULL (deleted). */
struct sched_dest *deliver_dest_state(struct deliver *d, uint32_t num,
                                      const struct destination *dest);
/* The compiled endpoint with one more reference, or NULL with err. */
struct endpoint *deliver_endpoint_get(struct deliver *d, struct sched_dest *sd,
                                      const struct destination *dest, struct err_detail *err);
void deliver_endpoint_put(struct endpoint *e); /* NULL is fine */
/* Forgets the compiled form; attempts under way keep theirs. */
void deliver_endpoint_drop(struct sched_dest *sd);

/* What an event of that size counts in the scheduler: KiB. */
uint16_t deliver_cost(size_t bytes);
/* Starts the attempt of a work that sched_next gave. */
void deliver_start(struct deliver *d, struct work *w);
/* Ends a work that is not in flight and whose event is too old, with a record that says so. */
void deliver_end_expired(struct deliver *d, struct work *w);
/* Gives the work back as pending; nothing is recorded. */
void deliver_cancel(struct attempt *a);
void deliver_free_spare(struct deliver *d);

/* damaged.c: fresh events whose records cannot be read, while the pending set is rebuilt. */
struct damaged_events {
    struct damaged_event {
        uint64_t seq;
        bool is_known; /* an attempt or a retry names it */
    } * v;             /* ascending */
    size_t n;
    struct damaged_pair { /* deliveries of theirs that have an attempt */
        uint64_t seq;
        uint32_t dest_num;
    } * pairs;
    size_t n_pairs, cap_pairs;
};
void damaged_add(struct damaged_events *v, uint64_t seq);
void damaged_note_attempt(struct damaged_events *v, const struct attempt_record *at);
/* Records a failed delivery for each destination that can be known and is not pending otherwise. */
void damaged_record(struct deliver *d, struct damaged_events *v);
void damaged_fini(struct damaged_events *v);

/* Writes retry records for events that stayed fresh too long, so that the low mark advances. */
void deliver_spill(struct deliver *d);
/* Ends a slice of the deliveries whose event is older than the retention. */
void deliver_expire(struct deliver *d);
/* Ends this one, which waits for its next attempt, when its event is older than the retention. */
void deliver_expire_work(struct deliver *d, struct work *w);
void deliver_release_fresh(struct deliver *d, struct work *w);

#endif
