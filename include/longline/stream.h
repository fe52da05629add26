/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A connected byte stream: plain TCP, TLS over it, or an in-memory pair in tests.
 *
 * Async object. The owner sets `ev` and `ctx` before starting to read. Rules:
 *  - No event is delivered before the call that caused it has returned.
 *  - on_data: the bytes are valid during the call only.
 *  - on_end comes at most once, when the peer ended (err 0) or the stream failed (err < 0); nothing
 *    is read after it, the owner must still close.
 *  - stream_close may be called at any time, from any event of the stream, more than once. After it
 *    no event but on_closed comes, exactly once, on a later turn; then the stream is gone.
 */
#ifndef LL_STREAM_H
#define LL_STREAM_H

#include <stdbool.h>
#include <stddef.h>

#include "longline/addr.h"
#include "longline/err.h"
#include "longline/str.h"

struct stream;
struct loop;

struct stream_events {
    void (*on_data)(void *ctx, const char *p, size_t n);
    void (*on_end)(void *ctx, int err);
    void (*on_drain)(void *ctx); /* pending output fell to zero after stream_write left some */
    void (*on_closed)(void *ctx);
};

struct stream_info {
    union addr peer;
    bool is_tls;
    bool resumed;            /* TLS session was resumed */
    const char *tls_version; /* "TLSv1.3" or NULL */
};

/* The functions an implementation provides; see the inline wrappers for their contracts. */
struct stream_ops {
    int (*write)(struct stream *s, const struct str *parts, size_t n_parts);
    size_t (*pending)(const struct stream *s);
    int (*read_start)(struct stream *s);
    void (*read_stop)(struct stream *s);
    void (*close)(struct stream *s, bool graceful);
    void (*info)(const struct stream *s, struct stream_info *out);
};

struct stream { /* embedded first in each implementation */
    const struct stream_ops *ops;
    const struct stream_events *ev;
    void *ctx;
};

/* Sends all parts, copying what the socket does not take now. 0, or an error after which the owner
 * should close (ERR_TOO_BIG when more than STREAM_MAX_PENDING would be waiting). */
#define STREAM_MAX_PENDING (8u << 20)
static inline int stream_write(struct stream *s, const struct str *parts, size_t n_parts)
{
    return s->ops->write(s, parts, n_parts);
}
/* Bytes accepted by stream_write and not yet given to the kernel. */
static inline size_t stream_pending(const struct stream *s)
{
    return s->ops->pending(s);
}
static inline int stream_read_start(struct stream *s)
{
    return s->ops->read_start(s);
}
static inline void stream_read_stop(struct stream *s)
{
    s->ops->read_stop(s);
}
/* Flushes pending output, says goodbye (TLS close_notify, TCP FIN) and reads on to the peer's end,
 * throwing away, so that a peer that is still sending gets to see what was written. Closes 1 s
 * after the peer has last taken or sent something, at the latest after 10 s or 64 MiB. */
static inline void stream_close_graceful(struct stream *s)
{
    s->ops->close(s, true);
}
static inline void stream_close(struct stream *s)
{
    s->ops->close(s, false);
}
static inline void stream_get_info(const struct stream *s, struct stream_info *out)
{
    s->ops->info(s, out);
}

/* Two connected in-memory streams for tests (in test/support), delivering on the next turn. */
void stream_pair(struct loop *l, struct stream **a, struct stream **b);

#endif
