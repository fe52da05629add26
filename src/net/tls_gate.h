/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many handshakes with clients are under way, in all and per client. A place is held from the
 * accept until the handshake is over, whichever way.
 */
#ifndef LL_NET_TLS_GATE_H
#define LL_NET_TLS_GATE_H

#include "longline/addr.h"
#include "longline/list.h"
#include "longline/map.h"

struct tls_gate {
    size_t max;
    size_t max_per_peer;
    size_t n;
    struct map peers;    /* by address */
    struct list waiting; /* places that wait for their client, the longest wait first */
};

struct tls_gate_peer;

struct tls_place {
    struct list node; /* in waiting */
    struct tls_gate_peer *peer;
};

enum tls_verdict { TLS_ADMIT, TLS_FULL, TLS_FULL_FOR_PEER };

void tls_gate_init(struct tls_gate *g, size_t max, size_t max_per_peer);
void tls_gate_fini(struct tls_gate *g); /* every place has been left */
enum tls_verdict tls_gate_judge(const struct tls_gate *g, const unsigned char peer[ADDR_PEER_KEY]);
void tls_gate_enter(struct tls_gate *g, struct tls_place *place,
                    const unsigned char peer[ADDR_PEER_KEY]);
void tls_gate_leave(struct tls_gate *g, struct tls_place *place); /* not inside: nothing happens */
/* It is the client's turn, or ours. */
void tls_gate_waits(struct tls_gate *g, struct tls_place *place);
void tls_gate_works(struct tls_place *place);
/* The one that has waited for its client longest, NULL when none waits. */
struct tls_place *tls_gate_oldest(const struct tls_gate *g);

#endif
