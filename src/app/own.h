/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The addresses at which the gateway itself can be reached, which deliveries must not: where it
 * listens, and with a wildcard address every address of the machine. Those come and go while it
 * runs (a second network, a floating address), so they are read again from time to time.
 */
#ifndef LL_OWN_H
#define LL_OWN_H

#include "longline/addr.h"

#define OWN_MAX     4096 /* addresses */
#define OWN_LOOK_MS 2000 /* a new address is known after this long at most */

struct ifaddrs;

struct own_addresses { /* zeroed: none */
    union addr *v;
    size_t n;
};

/* Whether there is more than one: the addresses of the machine have to be looked at. */
bool own_is_wildcard(const union addr *bound);
/* Takes the listen address and, for a wildcard, all of the list (what getifaddrs gave; may be
 * NULL), with the listener's port. True when anything is different from before. */
bool own_set(struct own_addresses *own, const union addr *bound, const struct ifaddrs *list);
/* The same with the machine's list; nothing changes while that cannot be read. */
bool own_look(struct own_addresses *own, const union addr *bound);
void own_fini(struct own_addresses *own);

#endif
