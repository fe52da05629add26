/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handshake threads, of a client or of a server. A connection is handed to them for one step of its
 * handshake (all that can be done with the bytes received so far) and comes back through the
 * mailbox; while it is here the loop does not look at it, except for its atomics. These are threads
 * of our own: the pool of libuv is shared with who knows what and is four threads wide.
 *
 * Hosts (for a server: client addresses) take turns: each has a lane of its own, from which one
 * step is served before the next lane's, so one whose handshakes are many or dear delays the others
 * by a step, not by its queue.
 *
 * Clients without any key may ask a server for handshakes, which cost milliseconds each, so a
 * server's threads give way: by their nice value, and by a rest when they have taken more than
 * their share of a processor that somebody else wants, as a step shows during which the kernel took
 * it away from them. Clients that come now and then find the share saved up. The nice value alone
 * is not enough: a kernel lets a thread go on until the next tick, so each wake-up of the loop or
 * of the writer on that processor came some milliseconds late. SCHED_IDLE is no way out: a thread
 * that gets no time while it holds a lock (of the allocator, of the crypto library) holds up the
 * loop for as long.
 */
#define _GNU_SOURCE /* gettid, RUSAGE_THREAD */
#include <signal.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "longline/check.h"
#include "longline/mailbox.h"
#include "longline/map.h"
#include "longline/mem.h"
#include "tls_impl.h"

#define WAY_NICE  10
#define SHARE     5                  /* a fifth of a processor */
#define SAVED_MAX INT64_C(250000000) /* of its time */

struct tls_workers {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_cond_t ending; /* ends a rest, too */
    /* Under the lock. */
    struct list discards; /* only to be freed */
    struct map lanes;     /* by name */
    struct list turns;    /* the lanes, the next one first */
    size_t n_queued;
    uint64_t n_done;
    bool stop;

    /* Loop only. */
    bool closing;
    int64_t max_loop_us;

    struct mailbox *results;
    bool gives_way;
    int64_t (*n_preempted)(void);
    unsigned n_threads;
    pthread_t threads[TLS_MAX_WORKERS];
};

/* Exists while something waits in it. */
struct lane {
    struct list conns;
    struct list node; /* in turns */
    struct str name;  /* in text */
    char text[];
};

static struct str lane_name(const void *item)
{
    return ((const struct lane *)item)->name;
}

static void put_locked(struct tls_workers *w, struct tls_conn *c)
{
    if (c->discard) {
        list_push_tail(&w->discards, &c->node);
        return;
    }
    struct lane *lane = map_get(&w->lanes, c->lane);
    if (lane == NULL) {
        lane = mem_alloc(sizeof(*lane) + c->lane.n);
        memcpy(lane->text, c->lane.p, c->lane.n);
        lane->name = str_of(lane->text, c->lane.n);
        list_init(&lane->conns);
        list_push_tail(&w->turns, &lane->node);
        (void)map_put(&w->lanes, lane);
    }
    list_push_tail(&lane->conns, &c->node);
    c->queued = true;
    w->n_queued++;
}

static void drop_lane_locked(struct tls_workers *w, struct lane *lane)
{
    list_del(&lane->node);
    (void)map_del(&w->lanes, lane->name);
    mem_free(lane);
}

static struct tls_conn *take_locked(struct tls_workers *w)
{
    struct list *node = list_pop_head(&w->discards);
    if (node != NULL) {
        return LIST_ENTRY(node, struct tls_conn, node);
    }
    struct list *turn = list_pop_head(&w->turns);
    if (turn == NULL) {
        return NULL;
    }
    struct lane *lane = LIST_ENTRY(turn, struct lane, node);
    node = list_pop_head(&lane->conns);
    if (list_empty(&lane->conns)) {
        drop_lane_locked(w, lane);
    } else {
        list_push_tail(&w->turns, &lane->node);
    }
    struct tls_conn *c = LIST_ENTRY(node, struct tls_conn, node);
    c->queued = false;
    w->n_queued--;
    return c;
}

static void serve(struct tls_workers *w, struct tls_conn *c)
{
    if (c->discard) {
        tls_conn_free(c);
        return;
    }
    atomic_store_explicit(&c->taken_ns, clock_mono_ns(clock_system()), memory_order_relaxed);
    tls_conn_step(c);
    mailbox_post(w->results, &c->node);
}

/* How often the kernel took the processor from the calling thread. */
static int64_t n_preempted(void)
{
    struct rusage used;
    return getrusage(RUSAGE_THREAD, &used) == 0 ? used.ru_nivcsw : 0;
}

int64_t tls_pace_rest_ns(struct tls_pace *p, int64_t now_ns, int64_t busy_ns, int64_t n_times)
{
    p->saved_ns += (now_ns - p->at_ns) / SHARE;
    p->saved_ns = p->saved_ns < SAVED_MAX ? p->saved_ns : SAVED_MAX;
    p->at_ns = now_ns;
    if (n_times == 0) {
        return 0;
    }
    p->saved_ns -= busy_ns;
    return p->saved_ns < 0 ? -p->saved_ns * SHARE : 0;
}

/* The same; returns how long to rest. */
static int64_t serve_and_yield(struct tls_workers *w, struct tls_conn *c, struct tls_pace *p)
{
    const int64_t start_ns = clock_thread_cpu_ns();
    const int64_t before = w->n_preempted();
    serve(w, c);
    return tls_pace_rest_ns(p, clock_mono_ns(clock_system()), clock_thread_cpu_ns() - start_ns,
                            w->n_preempted() - before);
}

static void rest_locked(struct tls_workers *w, int64_t ns)
{
    const int64_t end_ns = clock_mono_ns(clock_system()) + ns;
    const struct timespec end = {.tv_sec = (time_t)(end_ns / 1000000000),
                                 .tv_nsec = (long)(end_ns % 1000000000)};
    while (!w->stop && pthread_cond_timedwait(&w->ending, &w->lock, &end) == 0) {
    }
}

/* On Linux the nice value belongs to the thread. Where it cannot be set the work is done anyway. */
static void be_nice(void)
{
    (void)setpriority(PRIO_PROCESS, (id_t)gettid(), WAY_NICE);
}

static void *worker_main(void *arg)
{
    struct tls_workers *w = arg;
    struct tls_pace pace = {.saved_ns = SAVED_MAX, .at_ns = clock_mono_ns(clock_system())};
    if (w->gives_way) {
        be_nice();
    }
    (void)pthread_mutex_lock(&w->lock);
    while (!w->stop) {
        struct tls_conn *c = take_locked(w);
        if (c == NULL) {
            (void)pthread_cond_wait(&w->wake, &w->lock);
            continue;
        }
        int64_t rest_ns = 0;
        const bool yields = w->gives_way && !c->discard;
        w->n_done += c->discard ? 0 : 1;
        (void)pthread_mutex_unlock(&w->lock);
        if (yields) {
            rest_ns = serve_and_yield(w, c, &pace);
        } else {
            serve(w, c);
        }
        (void)pthread_mutex_lock(&w->lock);
        if (rest_ns != 0) {
            rest_locked(w, rest_ns);
        }
    }
    (void)pthread_mutex_unlock(&w->lock);
    return NULL;
}

/* Signals are for the main thread. */
static int start_threads(struct tls_workers *w, unsigned n)
{
    sigset_t all;
    sigset_t old;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = 0;
    while (rc == 0 && w->n_threads < n) {
        rc = pthread_create(&w->threads[w->n_threads], NULL, worker_main, w);
        if (rc == 0) {
            w->n_threads++;
        }
    }
    (void)pthread_sigmask(SIG_SETMASK, &old, NULL);
    return rc == 0 ? 0 : err_from_errno(rc);
}

static void take_results(void *ctx, struct list *msgs)
{
    struct tls_workers *w = ctx;
    struct list *node = list_pop_head(msgs);
    while (node != NULL) {
        struct tls_conn *conn = LIST_ENTRY(node, struct tls_conn, node);
        if (conn->stream != NULL) {
            const int64_t start_ns = clock_thread_cpu_ns();
            tls_stream_step_done(conn->stream);
            tls_workers_note_loop(w, start_ns);
        } else {
            tls_workers_discard(w, conn);
        }
        node = list_pop_head(msgs);
    }
}

/* For waits that a step of the wall clock does not touch. */
static void open_ending(pthread_cond_t *cond)
{
    pthread_condattr_t attr;
    LL_ASSERT(pthread_condattr_init(&attr) == 0);
    LL_ASSERT(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0);
    LL_ASSERT(pthread_cond_init(cond, &attr) == 0);
    (void)pthread_condattr_destroy(&attr);
}

int tls_workers_open(struct tls_workers **out, struct loop *l, const struct tls_workers_options *o)
{
    struct tls_workers *w = mem_zalloc(sizeof(*w));
    LL_ASSERT(pthread_mutex_init(&w->lock, NULL) == 0);
    LL_ASSERT(pthread_cond_init(&w->wake, NULL) == 0);
    open_ending(&w->ending);
    list_init(&w->discards);
    list_init(&w->turns);
    map_init(&w->lanes, lane_name);
    w->gives_way = o->gives_way;
    w->n_preempted = o->n_preempted != NULL ? o->n_preempted : n_preempted;
    const unsigned at_most = o->n_threads < TLS_MAX_WORKERS ? o->n_threads : TLS_MAX_WORKERS;
    int rc = mailbox_open(&w->results, l, take_results, w);
    if (rc == 0) {
        rc = start_threads(w, at_most > 0 ? at_most : 1);
    }
    if (rc != 0) {
        tls_workers_close(w);
        return rc;
    }
    *out = w;
    return 0;
}

static void post(struct tls_workers *w, struct tls_conn *c)
{
    (void)pthread_mutex_lock(&w->lock);
    put_locked(w, c);
    (void)pthread_cond_signal(&w->wake);
    (void)pthread_mutex_unlock(&w->lock);
}

void tls_workers_step(struct tls_workers *w, struct tls_conn *c)
{
    LL_ASSERT(!w->closing);
    c->posted_ns = clock_mono_ns(clock_system());
    atomic_store_explicit(&c->taken_ns, 0, memory_order_relaxed);
    post(w, c);
}

bool tls_workers_cancel(struct tls_workers *w, struct tls_conn *c)
{
    (void)pthread_mutex_lock(&w->lock);
    const bool is_ours = c->queued;
    if (is_ours) {
        struct lane *lane = map_get(&w->lanes, c->lane);
        list_del(&c->node);
        c->queued = false;
        w->n_queued--;
        if (list_empty(&lane->conns)) {
            drop_lane_locked(w, lane);
        }
    }
    (void)pthread_mutex_unlock(&w->lock);
    return is_ours;
}

void tls_workers_discard(struct tls_workers *w, struct tls_conn *c)
{
    if (w->closing) {
        tls_conn_free(c);
        return;
    }
    c->discard = true;
    post(w, c);
}

void tls_workers_note_loop(struct tls_workers *w, int64_t start_ns)
{
    const int64_t us = (clock_thread_cpu_ns() - start_ns) / 1000;
    if (us > w->max_loop_us) {
        w->max_loop_us = us;
    }
}

void tls_workers_stats(struct tls_workers *w, struct tls_workers_stats *out)
{
    (void)pthread_mutex_lock(&w->lock);
    *out = (struct tls_workers_stats){
        .steps = w->n_done, .queued = w->n_queued, .max_loop_us = w->max_loop_us};
    (void)pthread_mutex_unlock(&w->lock);
}

void tls_workers_close(struct tls_workers *w)
{
    w->closing = true;
    (void)pthread_mutex_lock(&w->lock);
    w->stop = true;
    (void)pthread_cond_broadcast(&w->wake);
    (void)pthread_cond_broadcast(&w->ending);
    (void)pthread_mutex_unlock(&w->lock);
    for (unsigned i = 0; i < w->n_threads; i++) {
        (void)pthread_join(w->threads[i], NULL);
    }
    struct tls_conn *c = take_locked(w);
    while (c != NULL) {
        LL_ASSERT(c->stream == NULL);
        tls_conn_free(c);
        c = take_locked(w);
    }
    if (w->results != NULL) {
        mailbox_close(w->results, NULL, NULL);
    }
    map_fini(&w->lanes);
    (void)pthread_cond_destroy(&w->wake);
    (void)pthread_cond_destroy(&w->ending);
    (void)pthread_mutex_destroy(&w->lock);
    mem_free(w);
}
