/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Handshake threads. A client connection is handed to them for one step of its handshake (all that
 * can be done with the bytes received so far) and comes back through the mailbox; while it is here
 * the loop does not look at it, except for its atomics. These are threads of our own: the pool of
 * libuv is shared with who knows what and is four threads wide.
 *
 * Hosts take turns: each has a lane of its own, from which one step is served before the next
 * lane's, so one whose handshakes are many or dear delays the others by a step, not by its queue.
 */
#include <signal.h>

#include "longline/check.h"
#include "longline/map.h"
#include "longline/mem.h"
#include "tls_impl.h"

#define MAX_WORKERS 4

struct tls_workers {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    /* Under the lock. */
    struct list discards; /* only to be freed */
    struct map lanes;     /* by host */
    struct list turns;    /* the lanes, the next one first */
    size_t n_steps;
    bool stop;

    struct mailbox *results;
    const mbedtls_ssl_config *conf;
    unsigned n_threads;
    pthread_t threads[MAX_WORKERS];
};

/* Exists while something waits in it. */
struct lane {
    struct list conns;
    struct list node; /* in turns */
    struct str host;  /* in text */
    char text[];
};

static struct str lane_host(const void *item)
{
    return ((const struct lane *)item)->host;
}

static void put_locked(struct tls_workers *w, struct tls_conn *c)
{
    if (c->discard) {
        list_push_tail(&w->discards, &c->node);
        return;
    }
    const struct str host = str_c(c->host);
    struct lane *lane = map_get(&w->lanes, host);
    if (lane == NULL) {
        lane = mem_alloc(sizeof(*lane) + host.n);
        memcpy(lane->text, host.p, host.n);
        lane->host = str_of(lane->text, host.n);
        list_init(&lane->conns);
        list_push_tail(&w->turns, &lane->node);
        (void)map_put(&w->lanes, lane);
    }
    list_push_tail(&lane->conns, &c->node);
    w->n_steps++;
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
        (void)map_del(&w->lanes, lane->host);
        mem_free(lane);
    } else {
        list_push_tail(&w->turns, &lane->node);
    }
    w->n_steps--;
    return LIST_ENTRY(node, struct tls_conn, node);
}

static void serve(struct tls_workers *w, struct tls_conn *c)
{
    if (c->discard) {
        tls_conn_free(c);
        return;
    }
    atomic_store_explicit(&c->taken_ns, clock_mono_ns(clock_system()), memory_order_relaxed);
    if (!atomic_load_explicit(&c->abandoned, memory_order_relaxed)) {
        tls_conn_client_step(c, w->conf);
    }
    mailbox_post(w->results, &c->node);
}

static void *worker_main(void *arg)
{
    struct tls_workers *w = arg;
    (void)pthread_mutex_lock(&w->lock);
    while (!w->stop) {
        struct tls_conn *c = take_locked(w);
        if (c == NULL) {
            (void)pthread_cond_wait(&w->wake, &w->lock);
            continue;
        }
        (void)pthread_mutex_unlock(&w->lock);
        serve(w, c);
        (void)pthread_mutex_lock(&w->lock);
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

int tls_workers_open(struct tls_workers **out, unsigned n, struct mailbox *results,
                     const mbedtls_ssl_config *conf)
{
    struct tls_workers *w = mem_zalloc(sizeof(*w));
    LL_ASSERT(pthread_mutex_init(&w->lock, NULL) == 0);
    LL_ASSERT(pthread_cond_init(&w->wake, NULL) == 0);
    list_init(&w->discards);
    list_init(&w->turns);
    map_init(&w->lanes, lane_host);
    w->results = results;
    w->conf = conf;
    const unsigned at_most = n < MAX_WORKERS ? n : MAX_WORKERS;
    const int rc = start_threads(w, at_most > 0 ? at_most : 1);
    if (rc != 0) {
        tls_workers_close(w);
        return rc;
    }
    *out = w;
    return 0;
}

void tls_workers_post(struct tls_workers *w, struct tls_conn *c)
{
    (void)pthread_mutex_lock(&w->lock);
    put_locked(w, c);
    (void)pthread_cond_signal(&w->wake);
    (void)pthread_mutex_unlock(&w->lock);
}

size_t tls_workers_queued(struct tls_workers *w)
{
    (void)pthread_mutex_lock(&w->lock);
    const size_t n = w->n_steps;
    (void)pthread_mutex_unlock(&w->lock);
    return n;
}

void tls_workers_close(struct tls_workers *w)
{
    (void)pthread_mutex_lock(&w->lock);
    w->stop = true;
    (void)pthread_cond_broadcast(&w->wake);
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
    map_fini(&w->lanes);
    (void)pthread_cond_destroy(&w->wake);
    (void)pthread_mutex_destroy(&w->lock);
    mem_free(w);
}
