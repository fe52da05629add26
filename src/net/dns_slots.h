/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which name may be asked for next: a bounded number of slots, shared fairly.
 *
 * Names are grouped by their last two labels, roughly by who runs them. Groups take turns; none has
 * more than a quarter of the slots, and those in which a name has timed out within the last half
 * minute come after the others and have half of the slots together. So whoever makes up names that
 * nobody answers for competes with himself.
 *
 * Value object, no I/O and no clock.
 */
#ifndef LL_NET_DNS_SLOTS_H
#define LL_NET_DNS_SLOTS_H

#include "longline/list.h"
#include "longline/map.h"

struct dns_group;

struct dns_turn { /* embedded in what wants a slot */
    struct list node;
    struct dns_group *group; /* NULL: neither waiting nor in a slot */
    bool in_slot;
    bool suspect; /* its slot is one of those for such groups */
};

struct dns_slots {
    size_t max;
    size_t n_used;
    size_t n_suspect; /* of them */
    struct map groups;
    struct list turns[2]; /* groups that wait and may have a slot; [1]: suspects */
    struct list idle;     /* suspect groups without a turn, the longest idle first */
    size_t n_idle;
};

void dns_slots_init(struct dns_slots *s, size_t max);
void dns_slots_fini(struct dns_slots *s); /* no turn may be left */
void dns_slots_wait(struct dns_slots *s, struct dns_turn *t, struct str name, int64_t now_ms);
/* The turn that has a slot from now on, or NULL. */
struct dns_turn *dns_slots_next(struct dns_slots *s, int64_t now_ms);
/* Out of the queue or of its slot; nothing when it is in neither. */
void dns_slots_leave(struct dns_slots *s, struct dns_turn *t, bool timed_out, int64_t now_ms);

#endif
