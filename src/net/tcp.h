/* SPDX-License-Identifier: Apache-2.0 */
/* Streams over TCP sockets: made by connecting (dial) or from an accepted descriptor (listener). */
#ifndef LL_NET_TCP_H
#define LL_NET_TCP_H

#include "longline/loop.h"
#include "longline/stream.h"

/* Starts to connect. `done` comes once, never before this returned, unless the stream is closed
 * first. After a failure the owner must still close. */
int tcp_connect(struct stream **out, struct loop *l, const union addr *to,
                void (*done)(void *ctx, int err), void *ctx) LL_MUST_USE;

/* Takes over a connected, non-blocking descriptor. On failure the descriptor is still the
 * caller's. */
int tcp_from_fd(struct stream **out, struct loop *l, int fd, const union addr *peer) LL_MUST_USE;

/* `fn` is called when the stream has gone, just before on_closed; the listener counts with it. */
void tcp_on_gone(struct stream *s, void (*fn)(void *ctx), void *ctx);

#endif
