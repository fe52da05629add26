/* SPDX-License-Identifier: Apache-2.0 */

#include "sink.h"

static void add_delivered(struct ledger *l, const struct arrival *a, int64_t now)
{
    l->delivered++;
    if (!a->is_marked) {
        l->unmarked++;
        return;
    }
    if (!bitmap_add(&l->unique, a->mark.seq)) {
        l->duplicates++;
        return;
    }
    if (!a->mark.is_measured) {
        return;
    }
    l->measured++;
    if (!a->follows_mode) {
        return;
    }
    if (l->first_ns == 0) {
        l->first_ns = now;
    }
    l->last_ns = now;
    const int64_t us = (now - a->mark.intended_ns) / 1000;
    hdr_record(&l->delivery, us > 0 ? (uint64_t)us : 0);
}

void ledger_add(struct ledger *l, const struct arrival *a, int64_t now)
{
    l->posts++;
    if (a->status == 0) {
        l->never++;
    } else if (a->status >= 200 && a->status < 300) {
        add_delivered(l, a, now);
    } else {
        l->refused++;
    }
}

void ledger_reset(struct ledger *l)
{
    bitmap_fini(&l->unique);
    *l = (struct ledger){0};
}
