/* SPDX-License-Identifier: Apache-2.0 */
/* Shared by the files of the scheduler: the tables of works, destinations, tenants and hosts. */
#ifndef LL_SCHED_INTERNAL_H
#define LL_SCHED_INTERNAL_H

#include "sched.h"

enum dest_where { DEST_NOWHERE, DEST_IN_RING, DEST_BLOCKED, DEST_IDLE };

/* Lives while a destination refers to it. */
struct sched_tenant {
    uint64_t key;
    uint32_t n_dests;
    uint32_t n_inflight;
    uint64_t inflight_kib;
    int64_t deficit;   /* KiB it may still start in this round; below zero: waits */
    struct list dests; /* runnable ones, round robin */
    struct list ring;  /* in sched.ring */
};

struct sched_host {
    uint64_t key;
    uint32_t n_dests;
    uint32_t n_inflight;
    struct heap blocked; /* destinations that only this host's cap held back, by turn */
    int64_t turn;        /* of the last one that was let go */
    struct list loose;   /* in sched.loose: below its cap, and somebody is blocked */
};

/* A tenant's part of a host. Each time one of its destinations queues up there it gets the turn
 * after the one that the tenant got last, but none before the host's own (start-time fair
 * queueing): a tenant with many destinations there waits for its own, not the others for them. */
struct sched_share {
    uint64_t key;
    uint32_t n_dests;
    int64_t turn;
};

/* Works come from chunks, since there may be a million of them. */
struct work_chunk;
struct work_table {
    struct work **buckets;
    size_t n_buckets; /* a power of two */
    size_t n;
    struct work *spare; /* free ones, linked by hash_next */
    struct work_chunk *chunks;
};

struct sched {
    struct sched_cfg cfg;
    struct sched_hooks hooks;
    const struct rng *rng;
    struct work_table works;
    struct heap waiting; /* works by due time */
    struct heap closed;  /* destinations by the time their breaker reopens */
    struct list ring;    /* tenants with something runnable and below their cap */
    struct list loose;   /* hosts with a free slot for one of their blocked destinations */
    struct list idle;    /* destinations without work, oldest first */
    size_t n_idle;
    struct map64 dests;
    struct map64 tenants;
    struct map64 hosts;
    struct map64 shares;
    uint32_t n_inflight;
    uint64_t inflight_kib;
    size_t n_open;
};

void work_table_init(struct work_table *t);
void work_table_fini(struct work_table *t);
struct work *work_table_add(struct work_table *t, uint64_t event_seq, struct sched_dest *d);
struct work *work_table_find(const struct work_table *t, uint64_t event_seq, uint32_t dest_num);
void work_table_del(struct work_table *t, struct work *w);

/* Puts the destination where its state says it belongs; call after every change of it. */
void sched_place(struct sched *s, struct sched_dest *d);
/* Its host filled up before it could start: back to its turn in the queue. */
void sched_block(struct sched *s, struct sched_dest *d);
/* The counts of a work's destination, tenant and host, up or down, and what follows for their
 * lists. */
void sched_count_start(struct sched *s, const struct work *w);
void sched_count_end(struct sched *s, const struct work *w);
/* Lets one blocked destination of a host that has room go on. A destination that is let go need not
 * use the slot: its tenant may be at its cap, or its work may end otherwise. So the slot stays on
 * offer to the next one until it is taken. */
void sched_unblock(struct sched *s);
/* After the caps changed. */
void sched_place_all(struct sched *s);
void sched_dest_free(struct sched *s, struct sched_dest *d);
/* Breakers whose pause is over become PROBING. */
void sched_reopen(struct sched *s, int64_t now);

#endif
