/* SPDX-License-Identifier: Apache-2.0 */
/* A listening socket. Accepts in a budget per turn; stops accepting at max_streams open ones and
 * goes on when some have closed; out of file descriptors never spins. */
#ifndef LL_LISTENER_H
#define LL_LISTENER_H

#include "longline/addr.h"
#include "longline/loop.h"
#include "longline/stream.h"
#include "longline/tls.h"

struct listener;

struct listener_options {
    union addr addr;        /* port 0: the kernel chooses */
    int backlog;            /* 0: 1024 */
    size_t max_streams;     /* open accepted streams, 0: 10000 */
    struct tls_server *tls; /* NULL: plain TCP; borrowed, outlives the listener */
    /* A new stream (for TLS: after its handshake), reading not started; the callee owns it. */
    void (*on_stream)(void *ctx, struct stream *s);
    void *ctx;
};

int listener_open(struct listener **out, struct loop *l, const struct listener_options *o,
                  struct err_detail *err) LL_MUST_USE;
void listener_addr(const struct listener *ls, union addr *out); /* the bound address */
/* Stops listening; accepted streams live on. `done` (may be NULL) follows on a later turn. */
void listener_close(struct listener *ls, void (*done)(void *ctx), void *ctx);
size_t listener_n_streams(const struct listener *ls);

#endif
