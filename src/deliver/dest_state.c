/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What deliver keeps for a destination beside the scheduler's state: its compiled endpoint,
 * made when first needed and shared by the attempts that use it.
 */
#include "deliver_internal.h"

#include "longline/hash.h"
#include "longline/mem.h"

static uint64_t host_key(const struct destination *dest)
{
    const struct dest_driver *driver = dest_find(dest->type);
    return driver != NULL ? driver->host(dest) : 0;
}

struct sched_dest *deliver_dest_state(struct deliver *d, uint32_t num,
                                      const struct destination *dest)
{
    struct sched_dest *sd = sched_dest_find(d->sched, num);
    if (sd != NULL) {
        return sd;
    }
    if (dest == NULL) { /* deleted: its work ends as soon as it is looked at */
        return sched_dest_get(d->sched, num, 0, 0);
    }
    sd = sched_dest_get(d->sched, num, hash_stable(dest->tenant_id), host_key(dest));
    sched_dest_hold(d->sched, sd, dest->disabled_ms != 0);
    return sd;
}

struct endpoint *deliver_endpoint_get(struct deliver *d, struct sched_dest *sd,
                                      const struct destination *dest, struct err_detail *err)
{
    struct endpoint *e = sd->user;
    if (e == NULL) {
        const struct dest_driver *driver = dest_find(dest->type);
        if (driver == NULL) {
            (void)err_set(err, ERR_UNSUPPORTED, 0, "unknown destination type");
            return NULL;
        }
        struct dest_endpoint *ep = driver->open(d->env, dest, err);
        if (ep == NULL) {
            return NULL;
        }
        e = mem_alloc(sizeof(*e));
        *e = (struct endpoint){.ep = ep, .refs = 1};
        sd->user = e;
    }
    e->refs++;
    return e;
}

void deliver_endpoint_put(struct endpoint *e)
{
    if (e != NULL && --e->refs == 0) {
        e->ep->driver->close(e->ep);
        mem_free(e);
    }
}

void deliver_endpoint_drop(struct sched_dest *sd)
{
    struct endpoint *e = sd->user;
    sd->user = NULL;
    deliver_endpoint_put(e);
}

void deliver_dest_changed(struct deliver *d, uint32_t num)
{
    struct sched_dest *sd = sched_dest_find(d->sched, num);
    if (sd == NULL) {
        return;
    }
    deliver_endpoint_drop(sd);
    const struct destination *dest = d->source.find(d->source.ctx, num);
    if (dest == NULL) {
        sched_dest_end(d->sched, sd);
        d->is_sweeping = true; /* what waits for a later time has nothing to wait for */
        d->sweep_at = 0;
        return;
    }
    sched_dest_set_host(d->sched, sd, host_key(dest));
    sched_dest_hold(d->sched, sd, dest->disabled_ms != 0);
}
