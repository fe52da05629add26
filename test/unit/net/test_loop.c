/* SPDX-License-Identifier: Apache-2.0 */
/* The turn, the timers, and the mailbox. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "longline/check.h"
#include "longline/mailbox.h"
#include "longline/mem.h"
#include "test_wait.h"

/* ---- a clock that stands still ---- */

struct still_clock {
    int64_t ns;
    unsigned n_reads;
};

static int64_t still_ns(void *ctx)
{
    struct still_clock *c = ctx;
    c->n_reads++;
    return c->ns;
}

static struct clock still(struct still_clock *c)
{
    return (struct clock){.wall_ns = still_ns, .mono_ns = still_ns, .ctx = c};
}

static struct loop *open_loop(const struct clock *clock)
{
    struct loop *l = NULL;
    assert_int_equal(loop_open(&l, clock), 0);
    return l;
}

/* ---- notes in the order of events ---- */

struct notes {
    char text[64];
    size_t n;
};

struct note {
    struct notes *notes;
    char c;
    struct loop_hook *remove; /* when set, taken out as well */
    struct loop *loop;
    struct timer *rearm;
};

static void take_note(void *ctx)
{
    struct note *n = ctx;
    if (n->notes->n + 1 < sizeof(n->notes->text)) {
        n->notes->text[n->notes->n++] = n->c;
    }
    if (n->remove != NULL) {
        loop_hook_remove(n->loop, n->remove);
        n->remove = NULL;
    }
    if (n->rearm != NULL) {
        timer_in(n->rearm, 0);
    }
}

static void hooks_run_in_order(void **state)
{
    (void)state;
    struct loop *l = open_loop(NULL);
    struct notes notes = {.n = 0};
    struct note n[4];
    struct loop_hook h[4];
    const int order[4] = {30, 10, 20, 20};
    for (int i = 0; i < 4; i++) {
        n[i] = (struct note){.notes = &notes, .c = (char)('a' + i), .loop = l};
        h[i] = (struct loop_hook){.fn = take_note, .ctx = &n[i], .order = order[i]};
        loop_hook_add(l, &h[i]);
    }
    loop_again(l);
    assert_int_equal(loop_run(l), 0); /* one turn: nothing is left */
    assert_string_equal(notes.text, "bcda");
    /* A hook takes out the next one, then itself, while hooks run. */
    n[1].remove = &h[2];
    n[3].remove = &h[3];
    loop_again(l);
    assert_int_equal(loop_run(l), 0); /* one turn: nothing is left */
    assert_string_equal(notes.text, "bcdabda");
    loop_again(l);
    assert_int_equal(loop_run(l), 0); /* one turn: nothing is left */
    assert_string_equal(notes.text, "bcdabdaba");
    loop_hook_remove(l, &h[0]);
    loop_hook_remove(l, &h[1]);
    loop_free(l);
}

static void timers_run_in_time_order(void **state)
{
    (void)state;
    struct still_clock sc = {.ns = 5000000};
    const struct clock clock = still(&sc);
    struct loop *l = open_loop(&clock);
    struct notes notes = {.n = 0};
    struct note n[4];
    struct timer t[4];
    const int64_t delay[4] = {30, 10, 20, 1000};
    for (int i = 0; i < 4; i++) {
        n[i] = (struct note){.notes = &notes, .c = (char)('a' + i)};
        timer_init(&t[i], l, take_note, &n[i]);
        assert_false(timer_armed(&t[i]));
        timer_stop(&t[i]);
        timer_in(&t[i], delay[i]);
        assert_true(timer_armed(&t[i]));
    }
    (void)loop_turn(l, false);
    assert_int_equal(notes.n, 0);
    sc.ns += 19 * 1000000;
    (void)loop_turn(l, false);
    assert_string_equal(notes.text, "b");
    sc.ns += 100 * 1000000;
    (void)loop_turn(l, false);
    assert_string_equal(notes.text, "bca");
    timer_at(&t[3], loop_mono_ms(l));
    (void)loop_turn(l, false);
    assert_string_equal(notes.text, "bcad");
    loop_free(l);
}

static void timer_that_rearms_itself_does_not_hold_the_loop(void **state)
{
    (void)state;
    struct still_clock sc = {.ns = 5000000};
    const struct clock clock = still(&sc);
    struct loop *l = open_loop(&clock);
    struct notes notes = {.n = 0};
    struct timer t;
    struct note n = {.notes = &notes, .c = 'x', .rearm = &t};
    timer_init(&t, l, take_note, &n);
    timer_in(&t, 0);
    for (int i = 0; i < 3; i++) {
        sc.ns += 1000000;
        (void)loop_turn(l, false);
    }
    assert_string_equal(notes.text, "xxx");
    timer_stop(&t);
    loop_free(l);
}

static void run_ends_when_nothing_is_left(void **state)
{
    (void)state;
    struct loop *l = open_loop(NULL);
    struct notes notes = {.n = 0};
    struct note n = {.notes = &notes, .c = 'x'};
    struct timer t;
    struct timer never;
    timer_init(&t, l, take_note, &n);
    timer_init(&never, l, take_note, &n);
    timer_in(&t, 5);
    timer_in(&never, 3600000);
    timer_stop(&never);
    assert_int_equal(loop_run(l), 0);
    assert_string_equal(notes.text, "x");
    loop_free(l);
}

static void clock_is_read_once_per_turn(void **state)
{
    (void)state;
    struct still_clock sc = {.ns = 5000000};
    const struct clock clock = still(&sc);
    struct loop *l = open_loop(&clock);
    (void)loop_turn(l, false);
    const unsigned before = sc.n_reads;
    for (int i = 0; i < 10; i++) {
        (void)loop_mono_ms(l);
    }
    assert_int_equal(sc.n_reads, before + 1);
    sc.ns += 7000000;
    assert_int_equal(loop_mono_ms(l), 5);
    loop_refresh(l);
    assert_int_equal(loop_mono_ms(l), 12);
    assert_int_equal(loop_wall_ms(l), 12);
    loop_free(l);
}

struct chain {
    struct loop *l;
    struct loop_task task;
    struct loop_task other;
    unsigned n;
};

static void on_chain(void *ctx)
{
    struct chain *c = ctx;
    c->n++;
    loop_task_cancel(&c->other);
    if (c->n < 3) {
        loop_defer(c->l, &c->task);
    }
}

static void on_other(void *ctx)
{
    (void)ctx;
    fail_msg("canceled task ran");
}

static void deferred_tasks_run_on_the_next_turn(void **state)
{
    (void)state;
    struct loop *l = open_loop(NULL);
    struct chain c = {.l = l};
    loop_task_init(&c.task, on_chain, &c);
    loop_task_init(&c.other, on_other, &c);
    loop_defer(l, &c.task);
    loop_defer(l, &c.task);
    loop_defer(l, &c.other); /* canceled by the first, in the same run */
    assert_int_equal(c.n, 0);
    (void)loop_turn(l, false);
    assert_int_equal(c.n, 1);
    (void)loop_turn(l, false);
    assert_int_equal(c.n, 2);
    assert_int_equal(loop_run(l), 0);
    assert_int_equal(c.n, 3);
    loop_free(l);
}

#define BURN_MS 20
#define IDLE_MS 200 /* in the poll, before it */

static void burn(void *ctx)
{
    (void)ctx;
    const int64_t until = clock_mono_ms(clock_system()) + BURN_MS;
    while (clock_mono_ms(clock_system()) < until) {
    }
}

/* A machine that lets the process stand makes work of its wait; that spoils a round, not all. */
static void statistics_count_work_not_waiting(void **state)
{
    (void)state;
    struct loop *l = open_loop(NULL);
    struct timer t;
    struct loop_stats s;
    timer_init(&t, l, burn, NULL);
    bool waited = false;
    for (int round = 0; round < 50 && !waited; round++) {
        timer_in(&t, IDLE_MS);
        assert_int_equal(loop_run(l), 0);
        loop_stats_take(l, &s);
        assert_true(s.turns > 0);
        assert_true(s.max_turn_us >= (BURN_MS - 5) * 1000);
        assert_true(s.busy_us >= s.max_turn_us);
        waited = s.busy_us < IDLE_MS * 1000 / 2;
    }
    assert_true(waited);
    loop_stats_take(l, &s);
    assert_int_equal(s.turns, 0);
    assert_int_equal(s.max_turn_us, 0);
    loop_free(l);
}

static void on_usr1(void *ctx, int signum)
{
    bool *got = ctx;
    *got = signum == SIGUSR1;
}

static void signals_arrive_on_the_loop(void **state)
{
    (void)state;
    struct loop *l = open_loop(NULL);
    bool got = false;
    assert_int_equal(loop_on_signal(l, SIGUSR1, on_usr1, &got), 0);
    assert_int_equal(kill(getpid(), SIGUSR1), 0);
    assert_true(wait_flag(l, &got, 5000));
    loop_close_handles(l);
    assert_int_equal(loop_run(l), 0);
    loop_free(l);
}

static void closing_lets_tasks_and_timers_end(void **state)
{
    (void)state;
    struct loop *l = open_loop(NULL);
    struct notes notes = {.n = 0};
    struct note n = {.notes = &notes, .c = 't'};
    struct timer t;
    timer_init(&t, l, take_note, &n);
    timer_in(&t, 20);
    struct chain c = {.l = l};
    loop_task_init(&c.task, on_chain, &c);
    loop_task_init(&c.other, on_other, &c);
    loop_defer(l, &c.task);
    loop_close_handles(l);
    loop_close_handles(l);
    assert_int_equal(loop_run(l), 0);
    assert_int_equal(c.n, 3);
    assert_string_equal(notes.text, "t");
    loop_free(l);
}

/* ---- mailbox ---- */

#define N_THREADS 4
#define N_EACH    500

struct message {
    struct list node;
    unsigned thread;
    unsigned number;
};

struct sender {
    struct mailbox *m;
    unsigned thread;
};

struct receiver {
    unsigned next[N_THREADS];
    unsigned n;
    bool all;
    bool closed;
};

static void *send_many(void *arg)
{
    const struct sender *s = arg;
    for (unsigned i = 0; i < N_EACH; i++) {
        struct message *msg = mem_zalloc(sizeof(*msg));
        list_init(&msg->node);
        msg->thread = s->thread;
        msg->number = i;
        mailbox_post(s->m, &msg->node);
    }
    return NULL;
}

static void take_messages(void *ctx, struct list *msgs)
{
    struct receiver *r = ctx;
    assert_false(r->closed);
    struct list *node = list_pop_head(msgs);
    while (node != NULL) {
        struct message *msg = LIST_ENTRY(node, struct message, node);
        assert_int_equal(msg->number, r->next[msg->thread]);
        r->next[msg->thread]++;
        r->n++;
        mem_free(msg);
        node = list_pop_head(msgs);
    }
    r->all = r->n == N_THREADS * N_EACH;
}

static void on_mailbox_closed(void *ctx)
{
    struct receiver *r = ctx;
    r->closed = true;
}

static void mailbox_keeps_order_per_thread(void **state)
{
    (void)state;
    struct loop *l = open_loop(NULL);
    struct receiver r = {.n = 0};
    struct mailbox *m = NULL;
    assert_int_equal(mailbox_open(&m, l, take_messages, &r), 0);
    pthread_t threads[N_THREADS];
    struct sender senders[N_THREADS];
    for (unsigned i = 0; i < N_THREADS; i++) {
        senders[i] = (struct sender){.m = m, .thread = i};
        assert_int_equal(pthread_create(&threads[i], NULL, send_many, &senders[i]), 0);
    }
    assert_true(wait_flag(l, &r.all, 20000));
    for (unsigned i = 0; i < N_THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    mailbox_close(m, on_mailbox_closed, &r);
    assert_false(r.closed);
    assert_true(wait_flag(l, &r.closed, 5000));
    loop_free(l);
}

static void closing_takes_what_was_posted(void **state)
{
    (void)state;
    for (int turns = 0; turns < 4; turns++) {
        struct loop *l = open_loop(NULL);
        struct receiver r = {.n = 0};
        struct mailbox *m = NULL;
        assert_int_equal(mailbox_open(&m, l, take_messages, &r), 0);
        struct sender s = {.m = m};
        (void)send_many(&s);
        for (int i = 0; i < turns; i++) {
            (void)loop_turn(l, false);
        }
        mailbox_close(m, on_mailbox_closed, &r);
        assert_int_equal(r.n, N_EACH);
        assert_true(wait_flag(l, &r.closed, 5000));
        loop_free(l);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hooks_run_in_order),
        cmocka_unit_test(timers_run_in_time_order),
        cmocka_unit_test(timer_that_rearms_itself_does_not_hold_the_loop),
        cmocka_unit_test(run_ends_when_nothing_is_left),
        cmocka_unit_test(clock_is_read_once_per_turn),
        cmocka_unit_test(deferred_tasks_run_on_the_next_turn),
        cmocka_unit_test(statistics_count_work_not_waiting),
        cmocka_unit_test(signals_arrive_on_the_loop),
        cmocka_unit_test(closing_lets_tasks_and_timers_end),
        cmocka_unit_test(mailbox_keeps_order_per_thread),
        cmocka_unit_test(closing_takes_what_was_posted),
    };
    return cmocka_run_group_tests_name("net_loop", tests, NULL, NULL);
}
