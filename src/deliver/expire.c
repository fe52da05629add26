/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of deliveries whose event is older than the retention. The store deletes no event that is
 * owed: here each one gets a last record, an attempt that failed with the code "expired", and a
 * line in the log; then its retry record goes, and the store may delete the event.
 *
 * What is owed and too old has a retry record, and those stand in the order of events. So a walk
 * over the front of them finds all, also what is held for a disabled destination. It takes a slice
 * per tick and starts over when it has come to events that are young enough. What is in flight is
 * passed over and looked at when the attempt has ended: with short delays between the attempts, a
 * walk would find it in flight again and again.
 *
 * This also goes on while the store is too full for attempts, because each end makes room.
 *
 * Each end has a line of its own in the log, and such lines are not limited, as warnings are. An
 * operator who logs only those is told how many there were.
 */
#include "deliver_internal.h"

#include "longline/log.h"

#define EXPIRE_PER_TICK 200

struct slice {
    uint64_t cutoff;
    size_t n;
    struct retry_key {
        uint64_t event_seq;
        uint32_t dest_num;
    } v[EXPIRE_PER_TICK];
};

static int on_retry(void *ctx, const struct retry_record *rt)
{
    struct slice *sl = ctx;
    if (rt->event_seq >= sl->cutoff) {
        return 1;
    }
    sl->v[sl->n++] = (struct retry_key){.event_seq = rt->event_seq, .dest_num = rt->dest_num};
    return sl->n == EXPIRE_PER_TICK;
}

static void expire_slice(struct deliver *d)
{
    struct slice sl = {.cutoff = store_cutoff(d->store)};
    if (sl.cutoff == 0 || d->draining || store_is_behind(d->store)) {
        return;
    }
    (void)store_each_retry(d->store, d->expire_seq, d->expire_dest, on_retry, &sl);
    for (size_t i = 0; i < sl.n; i++) {
        struct work *w = sched_find(d->sched, sl.v[i].event_seq, sl.v[i].dest_num);
        /* NULL: it has ended, and the commit that deletes its record is on its way. */
        if (w != NULL && w->state != WORK_INFLIGHT) {
            deliver_end_expired(d, w);
        }
    }
    d->expire_seq = 0;
    d->expire_dest = 0;
    if (sl.n == EXPIRE_PER_TICK) { /* numbers of destinations never reach the greatest */
        d->expire_seq = sl.v[sl.n - 1].event_seq;
        d->expire_dest = sl.v[sl.n - 1].dest_num + 1;
    }
}

void deliver_expire(struct deliver *d)
{
    expire_slice(d);
    if (d->n_expired != 0) {
        log_warn("deliveries.expired", LOG_INT("n", d->n_expired));
        d->n_expired = 0;
    }
}

void deliver_expire_work(struct deliver *d, struct work *w)
{
    if (w->event_seq < store_cutoff(d->store)) {
        deliver_end_expired(d, w);
    }
}
