/* SPDX-License-Identifier: Apache-2.0 */
#include "upkeep/ages.h"

#include <string.h>

#include "longline/enc.h"
#include "longline/id.h"

#define ROW      ((size_t)16) /* bytes of a mark on disk: seq, time */

#define SLACK_MS 60000 /* seqs this little ahead are as good as the time */
#define PARTS    4     /* marks per retention: rows go at most a quarter of it late */

/* Forgets what a later mark says as well. */
static bool drop_first(struct ages *a, size_t n)
{
    a->n -= n;
    memmove(a->v, a->v + n, a->n * sizeof(a->v[0]));
    return n != 0;
}

bool ages_note(struct ages *a, uint64_t last, int64_t now_ms, int64_t retention_ms)
{
    const struct age_mark *newest;
    bool changed = false;

    if (SEQ_MS(last) <= now_ms + SLACK_MS) {
        return drop_first(a, a->n);
    }
    for (size_t i = 0; i < a->n; i++) {
        if (a->v[i].ms > now_ms) { /* the clock was set back since */
            a->v[i].ms = now_ms;
            changed = true;
        }
    }
    while (a->n > 1 && now_ms - a->v[1].ms >= retention_ms) {
        changed = drop_first(a, 1);
    }
    newest = a->n != 0 ? &a->v[a->n - 1] : NULL;
    if (a->n < AGES_MAX &&
        (newest == NULL || (newest->seq < last && now_ms - newest->ms >= retention_ms / PARTS))) {
        a->v[a->n++] = (struct age_mark){.seq = last, .ms = now_ms};
        changed = true;
    }
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

void ages_write(const struct ages *a, unsigned char out[AGES_BYTES])
{
    memset(out, 0, AGES_BYTES);
    for (size_t i = 0; i < a->n; i++) {
        put_be64(out + ROW * i, a->v[i].seq);
        put_be64(out + ROW * i + 8, (uint64_t)a->v[i].ms);
    }
}

void ages_read(struct ages *a, const unsigned char bytes[AGES_BYTES])
{
    a->n = 0;
    while (a->n < AGES_MAX && get_be64(bytes + ROW * a->n) != 0) {
        a->v[a->n] = (struct age_mark){.seq = get_be64(bytes + ROW * a->n),
                                       .ms = (int64_t)get_be64(bytes + ROW * a->n + 8)};
        a->n++;
    }
}
