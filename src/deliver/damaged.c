/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A fresh event whose record is damaged: that it was accepted is known, whom it was for is not in
 * any record that can be read. The index may still tell; what it tells, and what is not pending or
 * ended already, is recorded as a delivery that failed. When nothing tells, one failed attempt
 * without a destination says that the event was there.
 */
#include "deliver_internal.h"

#include "longline/log.h"
#include "longline/mem.h"

#define DAMAGED_MAX 4096U /* events; more are logged by the store only */
#define LOOKUPS_MAX 64U   /* events for which all destinations are asked for */

void damaged_add(struct damaged_events *v, uint64_t seq)
{
    if (v->n == DAMAGED_MAX) {
        return;
    }
    if (v->v == NULL) {
        v->v = mem_alloc(DAMAGED_MAX * sizeof(*v->v));
    }
    v->v[v->n++] = (struct damaged_event){.seq = seq};
}

void damaged_fini(struct damaged_events *v)
{
    mem_free(v->v);
    mem_free(v->pairs);
}

static struct damaged_event *find(struct damaged_events *v, uint64_t seq)
{
    size_t lo = 0;
    size_t hi = v->n;
    while (lo < hi) {
        const size_t mid = (lo + hi) / 2;
        if (v->v[mid].seq < seq) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo < v->n && v->v[lo].seq == seq ? &v->v[lo] : NULL;
}

void damaged_note_attempt(struct damaged_events *v, const struct attempt_record *at)
{
    struct damaged_event *e = find(v, at->event_seq);
    if (e == NULL) {
        return;
    }
    e->is_known = true;
    if (v->n_pairs == v->cap_pairs) {
        v->cap_pairs = v->cap_pairs != 0 ? v->cap_pairs * 2 : 64;
        v->pairs = mem_realloc_array(v->pairs, v->cap_pairs, sizeof(*v->pairs));
    }
    v->pairs[v->n_pairs++] = (struct damaged_pair){.seq = at->event_seq, .dest_num = at->dest_num};
}

static bool has_attempt(const struct damaged_events *v, uint64_t seq, uint32_t dest_num)
{
    for (size_t i = 0; i < v->n_pairs; i++) {
        if (v->pairs[i].seq == seq && v->pairs[i].dest_num == dest_num) {
            return true;
        }
    }
    return false;
}

/* dest may be NULL: not known. */
static void record(struct deliver *d, uint64_t seq, const struct destination *dest)
{
    const struct attempt_record at = {
        .seq = store_next_seq(d->store),
        .event_seq = seq,
        .dest_num = dest != NULL ? dest->num : 0,
        .tenant_id = dest != NULL ? dest->tenant_id : STR_NULL,
        .dest_id = dest != NULL ? dest->id : STR_NULL,
        .dest_type = dest != NULL ? dest->type : STR_NULL,
        .number = 1,
        .final = true,
        .status = ATTEMPT_FAILED,
        .time_ms = loop_wall_ms(d->loop),
        .code = STR(DEST_CODE_CORRUPT),
        .error = STR("the stored event is damaged and was not sent"),
    };
    log_error("event.damaged", LOG_INT("seq", seq), LOG_STR("tenant", at.tenant_id),
              LOG_STR("destination", at.dest_id));
    if (store_put_attempt(d->store, &at) != 0) {
        log_error("attempt.record", LOG_INT("seq", seq));
    }
    metric_inc(&d->metrics.failed, 1);
    metric_inc(&d->metrics.attempts_failed, 1);
}

/* Asks the index for every destination that there is; true when the event was one's. */
static bool record_known(struct deliver *d, struct damaged_events *v, uint64_t seq)
{
    const uint32_t last = store_last_dest_num(d->store);
    bool found = false;

    for (uint32_t num = 1; num != 0 && num <= last; num++) {
        const struct destination *dest = d->source.find(d->source.ctx, num);
        if (dest == NULL || !store_event_had_dest(d->store, seq, dest->tenant_id, dest->id)) {
            continue;
        }
        found = true;
        if (sched_find(d->sched, seq, num) == NULL && !has_attempt(v, seq, num)) {
            record(d, seq, dest);
        }
    }
    return found;
}

/* A retry of it is pending: it ends with a record of its own when it is due. */
static bool is_pending(struct deliver *d, uint64_t seq)
{
    const uint32_t last = store_last_dest_num(d->store);
    for (uint32_t num = 1; num != 0 && num <= last; num++) {
        if (sched_find(d->sched, seq, num) != NULL) {
            return true;
        }
    }
    return false;
}

void damaged_record(struct deliver *d, struct damaged_events *v)
{
    if (v->n == 0 || store_read_begin(d->store) != 0) {
        return;
    }
    for (size_t i = 0; i < v->n; i++) {
        const bool asked = i < LOOKUPS_MAX;
        const bool found = asked && record_known(d, v, v->v[i].seq);
        if (!found && !v->v[i].is_known && !(asked && is_pending(d, v->v[i].seq))) {
            record(d, v->v[i].seq, NULL);
        }
    }
    store_read_end(d->store);
}
