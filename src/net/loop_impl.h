/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of this folder share of the loop. Not for other modules. */
#ifndef LL_NET_LOOP_IMPL_H
#define LL_NET_LOOP_IMPL_H

#include <pthread.h>
#include <uv.h>

#include "longline/buf.h"
#include "longline/loop.h"

#define LOOP_MAX_SIGNALS 8
#define LOOP_READ_BUF    (64u << 10)
#define LOOP_PLAIN_BUF   (16u << 10) /* the most that one TLS record carries */

struct loop_signal {
    uv_signal_t h;
    void (*fn)(void *ctx, int signum);
    void *ctx;
};

/* The clock of the turn, read at its first use. Apart from struct loop because asking for the time
 * takes a const loop. */
struct loop_now {
    const struct clock *clock;
    bool mono_valid;
    bool wall_valid;
    int64_t mono_ms;
    int64_t wall_ms;
};

struct loop {
    uv_loop_t uv;
    uv_prepare_t prepare; /* end of turn */
    uv_idle_t idle;       /* active while tasks wait, or after loop_again */
    uv_timer_t alarm;     /* drives the heap of timers */
    struct loop_signal signals[LOOP_MAX_SIGNALS];
    unsigned n_signals;
    bool closing; /* loop_close_handles was called */
    bool handles_closed;
    pthread_t thread;

    struct heap timers;
    int64_t alarm_due; /* what `alarm` is set to, TIME_NEVER when not active */
    bool firing;       /* timer callbacks are running */

    struct list hooks;
    struct list *hook_next; /* cursor of the hook run, moved on by loop_hook_remove */
    struct list tasks;      /* for the next turn */
    struct list running;    /* being run */

    struct loop_now *now;
    struct loop_stats stats;
    uint64_t turn; /* number of the current turn */
    uint64_t last_ns;
    uint64_t last_idle_ns;
    int64_t last_cpu_ns;

    /* Scratch memory: good until control returns to the loop, or to the caller's caller. */
    char *read_buf;     /* LOOP_READ_BUF: every socket reads into it */
    char *plain_buf;    /* LOOP_PLAIN_BUF: decrypted data on its way to on_data */
    char *gather_buf;   /* LOOP_PLAIN_BUF: small parts on their way into one TLS record */
    struct buf tls_out; /* encrypted records on their way to the socket */

    /* How often TLS streams have been given input in this turn, and in which. */
    uint64_t tls_turn;
    unsigned tls_reads;
};

/* timer.c */
void timers_open(struct loop *l);
bool timers_run(struct loop *l); /* true: some were due */
void timers_rearm(struct loop *l);

/* err_uv.c: libuv's negative code as enum ll_err. */
int err_from_uv(int rc);

#endif
