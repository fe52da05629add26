/* SPDX-License-Identifier: Apache-2.0 */
#include "repair/damage.h"

#include <string.h>

#include "longline/log.h"
#include "longline/mem.h"

void damage_init(struct damage *d)
{
    *d = (struct damage){0};
    (void)pthread_mutex_init(&d->mu, NULL);
}

void damage_fini(struct damage *d)
{
    mem_free(d->seqs[0]);
    mem_free(d->seqs[1]);
    (void)pthread_mutex_destroy(&d->mu);
}

/* Place of the first one that is not below seq. */
static size_t place(const struct damage *d, enum store_kind kind, uint64_t seq)
{
    size_t lo = 0;
    size_t hi = d->n[kind];
    while (lo < hi) {
        const size_t mid = (lo + hi) / 2;
        if (d->seqs[kind][mid] < seq) {
            lo = mid + 1;
        } else {
            hi = mid;
        }
    }
    return lo;
}

/* Under mu. False when it was known. */
static bool add(struct damage *d, enum store_kind kind, uint64_t seq)
{
    const size_t at = place(d, kind, seq);
    const size_t n = d->n[kind];
    uint64_t *v;

    if (at < n && d->seqs[kind][at] == seq) {
        return false;
    }
    if (n == DAMAGE_MAX) {
        d->n_beyond++;
        return true;
    }
    if (d->seqs[kind] == NULL) {
        d->seqs[kind] = mem_alloc(DAMAGE_MAX * sizeof(*v));
    }
    v = d->seqs[kind];
    memmove(v + at + 1, v + at, (n - at) * sizeof(*v));
    v[at] = seq;
    d->n[kind]++;
    return true;
}

void damage_note(struct damage *d, enum store_kind kind, uint64_t seq, int rc)
{
    bool is_new;
    (void)pthread_mutex_lock(&d->mu);
    is_new = add(d, kind, seq);
    (void)pthread_mutex_unlock(&d->mu);
    if (is_new) {
        log_error("store.corrupt", LOG_CSTR("tree", kind == STORE_EVENTS ? "ev" : "at"),
                  LOG_INT("seq", seq), LOG_ERR(rc));
    }
}

size_t damage_count(struct damage *d)
{
    size_t n;
    (void)pthread_mutex_lock(&d->mu);
    n = d->n[0] + d->n[1] + d->n_beyond;
    (void)pthread_mutex_unlock(&d->mu);
    return n;
}

size_t damage_range(struct damage *d, enum store_kind kind, uint64_t lo, uint64_t hi,
                    bool ascending, uint64_t *out, size_t cap)
{
    size_t n = 0;
    size_t from;
    size_t to;

    (void)pthread_mutex_lock(&d->mu);
    from = place(d, kind, lo);
    to = hi == UINT64_MAX ? d->n[kind] : place(d, kind, hi + 1);
    while (from < to && n < cap) {
        out[n++] = d->seqs[kind][ascending ? from++ : --to];
    }
    (void)pthread_mutex_unlock(&d->mu);
    return n;
}
