/* SPDX-License-Identifier: Apache-2.0 */
#include "upkeep/ages.h"

#include <string.h>

#include "longline/enc.h"

#include "upkeep/age_clock.h"

#define ROW         ((size_t)16) /* bytes of a mark on disk: seq, time */
#define PART_MIN_MS 1000

static void drop(struct ages *a, size_t at, size_t n)
{
    a->n -= n;
    memmove(a->v + at, a->v + at + n, (a->n - at) * sizeof(a->v[0]));
}

/* Of the marks that are too old the last one says it for all rows below the others. */
static bool drop_old(struct ages *a, int64_t now_ms, int64_t retention_ms)
{
    size_t n = 0;
    while (n + 1 < a->n && now_ms - a->v[n + 1].ms >= retention_ms) {
        n++;
    }
    drop(a, 0, n);
    return n != 0;
}

/* The retention was raised: the marks are closer than they need to be. */
static bool thin_out(struct ages *a, int64_t part_ms)
{
    const size_t before = a->n;
    size_t i = 1;
    while (i + 1 < a->n) {
        if (a->v[i + 1].ms - a->v[i - 1].ms <= part_ms) {
            drop(a, i, 1);
        } else {
            i++;
        }
    }
    return a->n != before;
}

static bool take_mark(struct ages *a, uint64_t last, int64_t now_ms, int64_t part_ms)
{
    const struct age_mark *newest = a->n != 0 ? &a->v[a->n - 1] : NULL;

    if (last == 0 || a->n == AGES_MAX ||
        (newest != NULL && (newest->seq >= last || now_ms - newest->ms < part_ms))) {
        return false;
    }
    a->v[a->n++] = (struct age_mark){.seq = last, .ms = now_ms};
    return true;
}

bool ages_note(struct ages *a, uint64_t last, int64_t now_ms, int64_t retention_ms)
{
    const int64_t part = retention_ms / AGES_PARTS;
    const int64_t part_ms = part > PART_MIN_MS ? part : PART_MIN_MS;
    bool changed = drop_old(a, now_ms, retention_ms);

    changed = thin_out(a, part_ms) || changed;
    changed = take_mark(a, last, now_ms, part_ms) || changed;
    return changed;
}

uint64_t ages_cutoff(const struct ages *a, int64_t now_ms, int64_t retention_ms)
{
    uint64_t cutoff = 0;
    for (size_t i = 0; i < a->n && now_ms - a->v[i].ms >= retention_ms; i++) {
        cutoff = a->v[i].seq + 1;
    }
    return cutoff;
}

bool ages_are_unsaved(const struct ages *a, int64_t now_ms)
{
    return now_ms - a->saved_ms >= AGE_SAVE_MS;
}

uint64_t ages_last(const struct ages *a)
{
    return a->n != 0 ? a->v[a->n - 1].seq : 0;
}

void ages_write(struct ages *a, int64_t now_ms, unsigned char out[AGES_BYTES])
{
    memset(out, 0, AGES_BYTES);
    put_be64(out, (uint64_t)now_ms);
    for (size_t i = 0; i < a->n; i++) {
        put_be64(out + 8 + ROW * i, a->v[i].seq);
        put_be64(out + 8 + ROW * i + 8, (uint64_t)a->v[i].ms);
    }
    a->saved_ms = now_ms;
}

void ages_read(struct ages *a, const unsigned char bytes[AGES_BYTES])
{
    *a = (struct ages){.saved_ms = (int64_t)get_be64(bytes)};
    while (a->n < AGES_MAX && get_be64(bytes + 8 + ROW * a->n) != 0) {
        a->v[a->n] = (struct age_mark){.seq = get_be64(bytes + 8 + ROW * a->n),
                                       .ms = (int64_t)get_be64(bytes + 8 + ROW * a->n + 8)};
        a->n++;
    }
}
