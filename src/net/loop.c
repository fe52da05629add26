/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The loop and its turn. libuv runs, in this order: its timers, idle handles, prepare handles, the
 * poll with the callbacks of sockets, closing callbacks. The end of our turn is the prepare handle:
 * by then everything that the last poll caused has been called, closing callbacks included, and the
 * time to sleep has not been computed yet. (A check handle would come before closing callbacks.)
 *
 *   poll -> callbacks -> [idle: tasks] -> [prepare: due timers, hooks, alarm, statistics] -> poll
 *
 * The turn's clock is read when somebody first asks for it after a poll.
 */
#include "loop_impl.h"

#include <signal.h>

#include "longline/check.h"
#include "longline/mem.h"

static void account_cpu(struct loop *l)
{
    const int64_t ns = clock_thread_cpu_ns();
    const int64_t us = (ns - l->last_cpu_ns) / 1000;
    l->last_cpu_ns = ns;
    if (us > l->stats.max_turn_cpu_us) {
        l->stats.max_turn_cpu_us = us;
    }
}

static void account_turn(struct loop *l)
{
    account_cpu(l);
    const uint64_t ns = uv_hrtime();
    const uint64_t idle_ns = uv_metrics_idle_time(&l->uv);
    const int64_t busy_us =
        ((int64_t)(ns - l->last_ns) - (int64_t)(idle_ns - l->last_idle_ns)) / 1000;
    l->last_ns = ns;
    l->last_idle_ns = idle_ns;
    l->turn++;
    l->stats.turns++;
    if (busy_us > 0) {
        l->stats.busy_us += busy_us;
        if (busy_us > l->stats.max_turn_us) {
            l->stats.max_turn_us = busy_us;
        }
    }
}

static void run_hooks(struct loop *l)
{
    struct list *it = l->hooks.next;
    while (it != &l->hooks) {
        l->hook_next = it->next;
        struct loop_hook *h = LIST_ENTRY(it, struct loop_hook, node);
        h->fn(h->ctx);
        it = l->hook_next;
    }
    l->hook_next = NULL;
}

static void close_handle(uv_handle_t *h)
{
    if (!uv_is_closing(h)) {
        uv_close(h, NULL);
    }
}

/* Whoever asked for the close may still have tasks and timers under way: they end first. */
static void close_when_done(struct loop *l)
{
    if (!l->closing || l->handles_closed || !list_empty(&l->tasks) || l->timers.n != 0) {
        return;
    }
    l->handles_closed = true;
    close_handle((uv_handle_t *)&l->prepare);
    close_handle((uv_handle_t *)&l->idle);
    close_handle((uv_handle_t *)&l->alarm);
}

static void on_prepare(uv_prepare_t *handle)
{
    struct loop *l = handle->data;
    if (timers_run(l)) {
        loop_again(l); /* whoever runs single turns must not be left in the poll */
    }
    run_hooks(l);
    timers_rearm(l);
    account_turn(l);
    l->now->mono_valid = false;
    l->now->wall_valid = false;
    close_when_done(l);
}

static void on_idle(uv_idle_t *handle)
{
    struct loop *l = handle->data;
    (void)uv_idle_stop(handle);
    list_splice_tail(&l->running, &l->tasks);
    struct list *node = list_pop_head(&l->running);
    while (node != NULL) {
        struct loop_task *t = LIST_ENTRY(node, struct loop_task, node);
        t->fn(t->ctx);
        node = list_pop_head(&l->running);
    }
}

/* Writing to a socket that the peer has closed must be an error, not the end of the process. */
static void ignore_sigpipe(void)
{
    struct sigaction sa = {.sa_handler = SIG_IGN};
    (void)sigemptyset(&sa.sa_mask);
    (void)sigaction(SIGPIPE, &sa, NULL);
}

static void open_handles(struct loop *l)
{
    LL_ASSERT(uv_prepare_init(&l->uv, &l->prepare) == 0);
    l->prepare.data = l;
    LL_ASSERT(uv_prepare_start(&l->prepare, on_prepare) == 0);
    uv_unref((uv_handle_t *)&l->prepare);
    LL_ASSERT(uv_idle_init(&l->uv, &l->idle) == 0);
    l->idle.data = l;
    timers_open(l);
}

int loop_open(struct loop **out, const struct clock *clock)
{
    struct loop *l = mem_zalloc(sizeof(*l));
    const int rc = uv_loop_init(&l->uv);
    if (rc != 0) {
        mem_free(l);
        return err_from_uv(rc);
    }
    /* Keeps account of the time spent in the poll; see account_turn. */
    (void)uv_loop_configure(&l->uv, UV_METRICS_IDLE_TIME);
    ignore_sigpipe();
    l->thread = pthread_self();
    list_init(&l->hooks);
    list_init(&l->tasks);
    list_init(&l->running);
    l->now = mem_zalloc(sizeof(*l->now));
    l->now->clock = clock != NULL ? clock : clock_system();
    l->read_buf = mem_alloc(LOOP_READ_BUF);
    l->plain_buf = mem_alloc(LOOP_PLAIN_BUF);
    l->gather_buf = mem_alloc(LOOP_PLAIN_BUF);
    buf_init(&l->tls_out, 256u << 10);
    l->last_ns = uv_hrtime();
    open_handles(l);
    *out = l;
    return 0;
}

int loop_run(struct loop *l)
{
    l->thread = pthread_self();
    l->last_ns = uv_hrtime();
    l->last_idle_ns = uv_metrics_idle_time(&l->uv);
    l->last_cpu_ns = clock_thread_cpu_ns();
    (void)uv_run(&l->uv, UV_RUN_DEFAULT);
    return 0;
}

bool loop_turn(struct loop *l, bool wait)
{
    LL_DCHECK(loop_is_own_thread(l));
    /* Time has passed since the last turn, and nothing has told us. */
    l->now->mono_valid = false;
    l->now->wall_valid = false;
    (void)uv_run(&l->uv, wait ? UV_RUN_ONCE : UV_RUN_NOWAIT);
    /* uv_run returns after the poll; a turn includes its end. */
    if (!l->handles_closed) {
        (void)timers_run(l);
        run_hooks(l);
    }
    return uv_loop_alive(&l->uv) != 0;
}

void loop_close_handles(struct loop *l)
{
    if (l->closing) {
        return;
    }
    l->closing = true;
    for (unsigned i = 0; i < l->n_signals; i++) {
        close_handle((uv_handle_t *)&l->signals[i].h);
    }
    loop_again(l); /* the rest goes at the end of the first turn that leaves nothing to do */
}

void loop_free(struct loop *l)
{
    /* A few turns for closing callbacks that are due; anything that needs more was leaked. */
    for (int i = 0; i < 16; i++) {
        if (!loop_turn(l, false)) {
            break;
        }
    }
    loop_close_handles(l);
    for (int i = 0; i < 16; i++) {
        if (uv_run(&l->uv, UV_RUN_NOWAIT) == 0) {
            break;
        }
    }
    LL_ASSERT(l->timers.n == 0); /* an armed timer belongs to something that was not closed */
    LL_ASSERT(list_empty(&l->tasks));
    LL_ASSERT(uv_loop_close(&l->uv) == 0);
    heap_fini(&l->timers);
    buf_fini(&l->tls_out);
    mem_free(l->read_buf);
    mem_free(l->plain_buf);
    mem_free(l->gather_buf);
    mem_free(l->now);
    mem_free(l);
}

int64_t loop_mono_ms(const struct loop *l)
{
    struct loop_now *now = l->now;
    if (!now->mono_valid) {
        now->mono_ms = clock_mono_ms(now->clock);
        now->mono_valid = true;
    }
    return now->mono_ms;
}

int64_t loop_wall_ms(const struct loop *l)
{
    struct loop_now *now = l->now;
    if (!now->wall_valid) {
        now->wall_ms = clock_wall_ms(now->clock);
        now->wall_valid = true;
    }
    return now->wall_ms;
}

int64_t loop_mono_us(const struct loop *l)
{
    return clock_mono_ns(l->now->clock) / 1000;
}

void loop_refresh(struct loop *l)
{
    l->now->mono_valid = false;
    l->now->wall_valid = false;
    uv_update_time(&l->uv);
}

bool loop_is_own_thread(const struct loop *l)
{
    return pthread_equal(l->thread, pthread_self()) != 0;
}

void loop_hook_add(struct loop *l, struct loop_hook *h)
{
    struct list *after = &l->hooks;
    LIST_FOREACH (it, &l->hooks) {
        if (LIST_ENTRY(it, struct loop_hook, node)->order > h->order) {
            break;
        }
        after = it;
    }
    list_insert(after, &h->node);
}

void loop_hook_remove(struct loop *l, struct loop_hook *h)
{
    if (l->hook_next == &h->node) {
        l->hook_next = h->node.next;
    }
    list_del(&h->node);
}

static int start_idle(struct loop *l)
{
    LL_ASSERT(!l->handles_closed);
    return uv_idle_start(&l->idle, on_idle);
}

void loop_again(struct loop *l)
{
    (void)start_idle(l);
}

void loop_task_init(struct loop_task *t, void (*fn)(void *ctx), void *ctx)
{
    t->fn = fn;
    t->ctx = ctx;
    list_init(&t->node);
}

void loop_defer(struct loop *l, struct loop_task *t)
{
    LL_DCHECK(loop_is_own_thread(l));
    if (!list_linked(&t->node)) {
        list_push_tail(&l->tasks, &t->node);
        (void)start_idle(l);
    }
}

void loop_task_cancel(struct loop_task *t)
{
    list_del(&t->node);
}

void loop_stats_take(struct loop *l, struct loop_stats *out)
{
    *out = l->stats;
    l->stats = (struct loop_stats){0};
}

static void on_signal(uv_signal_t *h, int signum)
{
    struct loop_signal *s = h->data;
    s->fn(s->ctx, signum);
}

int loop_on_signal(struct loop *l, int signum, void (*fn)(void *ctx, int signum), void *ctx)
{
    if (l->n_signals == LOOP_MAX_SIGNALS) {
        return ERR_LIMIT;
    }
    struct loop_signal *s = &l->signals[l->n_signals];
    LL_ASSERT(uv_signal_init(&l->uv, &s->h) == 0);
    s->fn = fn;
    s->ctx = ctx;
    s->h.data = s;
    l->n_signals++;
    return err_from_uv(uv_signal_start(&s->h, on_signal, signum));
}
