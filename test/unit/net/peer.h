/* SPDX-License-Identifier: Apache-2.0 */
/* A stream's owner in tests: keeps what it gets and counts what happens. */
#ifndef LL_TEST_NET_PEER_H
#define LL_TEST_NET_PEER_H

#include "longline/buf.h"
#include "longline/loop.h"
#include "longline/stream.h"

struct peer {
    struct stream *s; /* NULL once closed */
    struct loop *loop;
    struct buf got;
    bool keep; /* the bytes too, not only their number and sum */
    bool echo;
    size_t n_got;
    uint32_t sum; /* rolling, depends on the order */
    unsigned n_data;
    unsigned n_end;
    int end_err;
    unsigned n_drain;
    unsigned n_closed;
    bool close_on_data;
    bool close_on_end;
    size_t stop_every; /* pauses reading for a turn after so many bytes; 0: never */
    size_t stop_at;
    struct loop_task resume;
};

void peer_init(struct peer *p, struct loop *l);
void peer_take(struct peer *p, struct stream *s); /* owns s, starts to read */
void peer_own(struct peer *p, struct stream *s);  /* owns s, does not read */
int peer_send(struct peer *p, const char *text);
void peer_close(struct peer *p);
/* Closes if open, waits for on_closed, frees. */
void peer_fini(struct peer *p);
bool peer_wait_bytes(struct peer *p, size_t n, int64_t ms);
bool peer_wait_end(struct peer *p, int64_t ms);
bool peer_wait_closed(struct peer *p, int64_t ms);

/* Bytes that depend on their position, and the sum a peer has after getting the first n. */
void pattern_fill(char *p, size_t n, size_t from);
uint32_t pattern_sum(size_t n);

#endif
