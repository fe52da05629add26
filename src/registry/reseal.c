/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Records of destinations from before version 2 hold the config in clear, with the secrets that
 * stand in custom headers and URLs. After the start they are written anew, sealed: a slice, and
 * when that is durable the next one, so that neither a turn nor a commit grows with their number.
 */
#include "registry_internal.h"

#include "longline/log.h"
#include "longline/mem.h"

#define SLICE_COUNT 64
#define SLICE_BYTES ((size_t)1024 * 1024)

void reseal_note(struct reseal *s, uint32_t num)
{
    if (s->n == s->cap) {
        s->cap = s->cap == 0 ? 64 : s->cap * 2;
        s->nums = mem_realloc_array(s->nums, s->cap, sizeof(*s->nums));
    }
    s->nums[s->n++] = num;
}

void reseal_fini(struct reseal *s)
{
    mem_free(s->nums);
    s->nums = NULL;
    s->n = 0;
    s->cap = 0;
    s->at = 0;
}

/* One that was changed meanwhile is written once more, one that is gone is passed over. */
static int write_slice(struct registry *r)
{
    struct reseal *s = &r->reseal;
    size_t bytes = 0;
    for (size_t i = 0; i < SLICE_COUNT && bytes < SLICE_BYTES && s->at < s->n; i++) {
        const struct destination *d = registry_dest_by_num(r, s->nums[s->at]);
        uint32_t weight = 0;
        const int rc = d != NULL ? dest_save(r, d, SIZE_MAX, &weight) : 0;
        if (rc != 0) {
            return rc;
        }
        bytes += weight;
        s->at++;
    }
    return 0;
}

static void on_durable(void *ctx)
{
    struct registry *r = ctx;
    struct reseal *s = &r->reseal;
    if (s->at == s->n) {
        log_info("registry.resealed", LOG_INT("destinations", s->n));
        reseal_fini(s);
        return;
    }
    int rc = store_admit_replace(r->store);
    if (rc == 0) {
        rc = write_slice(r);
    }
    if (rc != 0) { /* a full store, mostly: the next start goes on */
        log_warn("registry.reseal_failed", LOG_INT("left", s->n - s->at), LOG_ERR(rc));
        reseal_fini(s);
        return;
    }
    store_wait(r->store, &s->waiter);
}

void registry_reseal_start(struct registry *r)
{
    struct reseal *s = &r->reseal;
    if (s->n != 0) {
        s->waiter = (struct store_waiter){.fn = on_durable, .ctx = r};
        list_init(&s->waiter.node);
        store_wait(r->store, &s->waiter);
    }
}

void registry_reseal_stop(struct registry *r)
{
    if (r->reseal.waiter.fn != NULL) {
        store_wait_cancel(&r->reseal.waiter);
    }
    reseal_fini(&r->reseal);
}
