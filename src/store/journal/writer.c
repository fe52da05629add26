/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The writer thread: takes the oldest queued batch, applies it, deletes a slice of old rows,
 * commits (LMDB's default mode: two flushes), and posts the batch back. Ends after a batch marked
 * `last`, after a failed commit, or when told to stop.
 *
 * Spacing. A commit costs about the same whether it holds one event or fifty. When little happens
 * the next one starts at once; above BUSY_RATE operations per second commits start at least
 * max(1 ms, 3 x their own median duration) apart, and never more than commit_interval_us_max.
 *
 * A failed commit is final. What it left on disk is not known, and repeating an fsync that failed
 * proves nothing: the process has to start again and look.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/prctl.h>

#include "longline/log.h"

#include "journal/ahead.h"
#include "store_internal.h"

#define NS_PER_US        1000
#define NS_PER_MS        INT64_C(1000000)
#define NS_PER_S         INT64_C(1000000000)
#define BUSY_RATE        2000.0 /* operations per second */
#define SPACING_MIN_US   1000.0
#define SPACING_FLUSHES  3.0
#define URGENT_BATCHES   2U /* queued full ones: no spacing */
#define PURGE_MAX_ROWS   1000U
#define PURGE_MIN_ROWS   64U
#define PURGE_MAX_NS     (2 * NS_PER_MS)
#define PURGE_EVERY_NS   (100 * NS_PER_MS)
#define PURGE_FULL_NS    (10 * NS_PER_MS) /* attempts wait for the room */
#define LOOK_EVERY_NS    (1 * NS_PER_S)
#define LOOK_HIGH_NS     (100 * NS_PER_MS)
#define LOOK_FULL_NS     (20 * NS_PER_MS)
#define READERS_EVERY_NS (60 * NS_PER_S)
#define COMMIT_PAGES     64U /* on the way to rows, and of the free list */
#define WAIT_ROOM_NS     (10 * NS_PER_S)
#define WAIT_STEP_NS     (10 * NS_PER_MS)
#define DROP_AFTER_BYTES ((size_t)48 * 1024 * 1024)

static int64_t mono_ns(void)
{
    return clock_mono_ns(clock_system());
}

static void wait_until(struct writer *w, int64_t until_ns)
{
    const struct timespec ts = {.tv_sec = until_ns / NS_PER_S, .tv_nsec = until_ns % NS_PER_S};
    (void)pthread_cond_timedwait(&w->cv, &w->mu, &ts);
}

/* The next batch, or NULL when it is time to tidy up or to stop (*stop). */
static struct batch *next_batch(struct writer *w, bool *stop)
{
    struct batch *b = NULL;

    (void)pthread_mutex_lock(&w->mu);
    for (;;) {
        const int64_t now = mono_ns();
        if (w->n_queued != 0 && (now >= w->next_ns || w->n_queued >= URGENT_BATCHES || w->stop)) {
            b = LIST_ENTRY(list_pop_head(&w->queue), struct batch, node);
            w->n_queued--;
            break;
        }
        if (w->stop || (w->n_queued == 0 && now >= w->next_look_ns)) {
            *stop = w->stop;
            break;
        }
        w->is_waiting = w->n_queued == 0;
        w->is_spacing = !w->is_waiting;
        wait_until(w, w->is_waiting ? w->next_look_ns : w->next_ns);
        w->is_waiting = false;
        w->is_spacing = false;
        w->is_woken = false;
    }
    (void)pthread_mutex_unlock(&w->mu);
    return b;
}

void writer_push(struct store *s, struct batch *b)
{
    struct writer *w = &s->writer;
    bool wake;

    atomic_store(&s->gauges.age_ms, store_age_ms(s)); /* later than all that is in b */
    (void)pthread_mutex_lock(&w->mu);
    list_push_tail(&w->queue, &b->node);
    w->n_queued++;
    wake = w->is_waiting || (w->is_spacing && (w->n_queued >= URGENT_BATCHES || b->last));
    if (b->last) {
        w->next_ns = 0;
    }
    if (wake) {
        /* Under load the loop comes back for the batch before the thread is awake, again and again,
         * if it is let: only what is not due yet may be filled further. */
        w->is_woken = mono_ns() >= w->next_ns;
        w->is_waiting = false;
        (void)pthread_cond_signal(&w->cv);
    }
    (void)pthread_mutex_unlock(&w->mu);
}

struct batch *writer_take_back(struct store *s)
{
    struct writer *w = &s->writer;
    struct batch *b = NULL;

    (void)pthread_mutex_lock(&w->mu);
    if (w->n_queued > (w->is_woken ? 1U : 0U)) {
        b = LIST_ENTRY(w->queue.prev, struct batch, node);
        if (batch_is_full(b)) {
            b = NULL;
        } else {
            list_del(&b->node);
            w->n_queued--;
        }
    }
    (void)pthread_mutex_unlock(&w->mu);
    return b;
}

/* ---- one commit ---- */

static int last_seq(struct wtxn *t, enum journal_tree tree, uint64_t *last)
{
    MDB_cursor *cur;
    MDB_val key;
    MDB_val value;
    int rc = wtxn_cursor(t, tree, &cur);

    rc = rc == 0 ? mdb_cursor_get(cur, &key, &value, MDB_LAST) : rc;
    if (rc == 0 && get_be64(key.mv_data) > *last) {
        *last = get_be64(key.mv_data);
    }
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int save_age(struct store *s, struct wtxn *t, int64_t age_ms)
{
    unsigned char bytes[AGES_BYTES];
    ages_write(&s->writer.ages, age_ms, bytes);
    return meta_put(t->txn, t->env->dbi[TREE_MT], META_AGE, bytes, sizeof(bytes)) == 0
               ? 0
               : MDB_CORRUPTED;
}

static int note_age(struct store *s, struct wtxn *t, int64_t age_ms, bool *has_mark)
{
    struct ages *a = &s->writer.ages;
    const int64_t retention_ms = atomic_load(&s->limits.retention_ms);
    uint64_t last = 0;
    MDB_stat keys = {0};
    int rc = last_seq(t, TREE_EV, &last);

    rc = rc == 0 ? last_seq(t, TREE_AT, &last) : rc;
    rc = rc == 0 ? mdb_stat(t->txn, t->env->dbi[TREE_IK], &keys) : rc;
    if (rc != 0) {
        return rc;
    }
    *has_mark = ages_note(a, last, age_ms, retention_ms) ||
                ((last != 0 || keys.ms_entries != 0) && ages_are_unsaved(a, age_ms));
    atomic_store(&s->gauges.cutoff_seq, ages_cutoff(a, age_ms, retention_ms));
    return *has_mark ? save_age(s, t, age_ms) : 0;
}

static bool purge_is_due(struct store *s, int64_t now_ns)
{
    struct writer *w = &s->writer;
    if (!w->purge.more && now_ns < w->next_purge_ns) {
        return false;
    }
    w->next_purge_ns =
        now_ns + (level_of(s, 0) >= STORE_LEVEL_FULL ? PURGE_FULL_NS : PURGE_EVERY_NS);
    return true;
}

/* At least what arrived since the last slice, and a little more. */
static size_t max_rows_of(const struct writer *w, uint64_t excess, size_t n_arrived)
{
    const size_t wanted = 2 * n_arrived + PURGE_MIN_ROWS;
    if (w->is_pressed) {
        return PURGE_MIN_ROWS;
    }
    return excess != 0 || n_arrived == 0 || wanted > PURGE_MAX_ROWS ? PURGE_MAX_ROWS : wanted;
}

static int purge_in(struct store *s, struct wtxn *t, const struct batch *b, struct purge_job *job)
{
    const size_t n_arrived = b != NULL ? b->n_events + b->n_attempts : 0;
    struct writer *w = &s->writer;
    const int64_t age_ms = atomic_load(&s->gauges.age_ms);
    const uint64_t excess = level_excess(s);
    bool has_mark = false;
    int rc;

    w->purge.more = false;
    if (!level_may_purge(s)) {
        return 0;
    }
    rc = note_age(s, t, age_ms, &has_mark);
    if (rc != 0) {
        return rc;
    }
    *job = (struct purge_job){
        .cutoff_seq = atomic_load(&s->gauges.cutoff_seq),
        .cutoff_hour = idem_expired_hour(s, age_ms),
        .excess = excess,
        .is_full = level_of(s, 0) >= STORE_LEVEL_FULL,
        .has_mark = has_mark,
        .low = w->low,
        .max_rows = max_rows_of(w, excess, n_arrived),
        .max_bytes = level_slice(s) + (b != NULL ? 2 * b->room : 0), /* more than arrives */
        .deadline_ns = mono_ns() + PURGE_MAX_NS,
    };
    return purge_slice(t, &w->purge, job);
}

static bool is_made_to_fail(struct store *s)
{
    const int n = atomic_load(&s->gauges.fail_commit_in);
    if (n > 0) {
        atomic_store(&s->gauges.fail_commit_in, n - 1);
    }
    return n == 1;
}

/* b may be NULL: only purging. Returns LMDB's code. */
static int commit(struct store *s, struct batch *b, struct purge_job *job)
{
    struct wtxn t;
    MDB_stat retries;
    int rc = wtxn_begin(&t, &s->journal);

    if (rc != 0) {
        return rc;
    }
    if (b != NULL) {
        rc = wtxn_apply(&t, b);
    }
    if (rc == 0 && (b == NULL || purge_is_due(s, mono_ns()))) {
        rc = purge_in(s, &t, b, job);
    }
    if (rc == 0 && b != NULL && b->last) {
        rc = save_age(s, &t, atomic_load(&s->gauges.age_ms));
    }
    if (rc == 0 && b != NULL) {
        rc = mdb_stat(t.txn, s->journal.dbi[TREE_RT], &retries);
        b->result.n_retries = rc == 0 ? retries.ms_entries : 0;
    }
    if (rc == 0 && b != NULL && is_made_to_fail(s)) {
        rc = EIO;
    }
    if (rc != 0 || (b == NULL && job->n_rows == 0 && !job->has_mark)) {
        wtxn_abort(&t);
        return rc;
    }
    rc = wtxn_commit(&t);
    if (rc == 0) {
        atomic_fetch_add(&s->gauges.purged_events, job->n_events);
        atomic_fetch_add(&s->gauges.purged_attempts, job->n_attempts);
        level_note_commit(s);
    }
    return rc;
}

static void post(struct store *s, struct batch *b, int foreign)
{
    b->result.foreign = foreign;
    b->result.rc = err_from_mdb(foreign);
    b->msg.kind = MSG_BATCH;
    mailbox_post(s->mailbox, &b->msg.node);
}

/* ---- pace ---- */

static void note_pace(struct writer *w, size_t n_ops, int64_t start_ns, int64_t end_ns,
                      int64_t max_us)
{
    const double us = (double)(end_ns - start_ns) / NS_PER_US;
    const double gap_s = (double)(start_ns - w->last_start_ns + 1) / NS_PER_S;
    double spacing = 0;

    w->rate += ((double)n_ops / gap_s - w->rate) * (gap_s > 0.1 ? 1.0 : 0.1);
    w->flush_us *= us > w->flush_us ? 1.05 : 0.95; /* settles where half are longer */
    w->flush_us = w->flush_us < 10 ? 10 : w->flush_us;
    if (w->rate > BUSY_RATE) {
        spacing = w->flush_us * SPACING_FLUSHES;
        spacing = spacing < SPACING_MIN_US ? SPACING_MIN_US : spacing;
        spacing = spacing > (double)max_us ? (double)max_us : spacing;
    }
    w->last_start_ns = start_ns;
    w->next_ns = start_ns + (int64_t)(spacing * NS_PER_US);
}

/* In a burst the index thread reads what was just written; the timer on the loop is too slow. */
static void drop_cache_after(struct store *s, size_t bytes)
{
    struct writer *w = &s->writer;
    w->since_drop += bytes;
    if (w->since_drop >= DROP_AFTER_BYTES) {
        w->since_drop = 0;
        env_drop_cache(&s->journal);
    }
}

/* ---- room ---- */

/* What the batch may take at most: its rows, a page for each that may go to any place of its tree,
 * and the pages on the way to them. */
static uint64_t room_of_batch(const struct store *s, const struct batch *b)
{
    const uint64_t places = b->n_ops * (uint64_t)s->journal.page;
    const uint64_t scattered = s->writer.scattered;
    return b->room + (places < scattered ? places : scattered) + COMMIT_PAGES * s->journal.page;
}

static bool fits(struct store *s, uint64_t need)
{
    level_journal_ahead(s, need);
    return env_fits(&s->journal, need, ahead_blocks(&s->journal));
}

/* Deletes in slices so small that they fit into what is kept back for them. */
static int make_room(struct store *s)
{
    struct purge_job job = {0};
    const int rc = commit(s, NULL, &job);
    level_look(s);
    return rc;
}

/* A batch that does not fit into the blocks that the file has would end in a failed commit when the
 * disk is full: it waits until deleting has made room. What was admitted fits, so this is for those
 * who filled the disk in the meantime. When waiting does not help, the reserve is for this. */
static int wait_for_room(struct store *s, const struct batch *b)
{
    const uint64_t need = room_of_batch(s, b);
    const int64_t until_ns = mono_ns() + WAIT_ROOM_NS;
    int rc = 0;

    if (s->journal.no_ahead || fits(s, need)) {
        return 0;
    }
    s->writer.is_pressed = true;
    while (rc == 0 && mono_ns() < until_ns && !fits(s, need)) {
        const struct timespec pause = {.tv_nsec = WAIT_STEP_NS};
        rc = make_room(s);
        (void)nanosleep(&pause, NULL);
    }
    s->writer.is_pressed = false;
    if (rc == 0 && !fits(s, need)) {
        log_warn("store.room", LOG_INT("bytes", need),
                 LOG_CSTR("detail", "deleting made no room for a commit: the reserve is used"));
        (void)ahead_take(&s->journal, env_file_bytes(&s->journal) + need, UINT64_MAX);
    }
    return rc;
}

/* Returns false when the thread has to end. */
static bool do_batch(struct store *s, struct batch *b)
{
    struct writer *w = &s->writer;
    struct purge_job job = {0};
    const int64_t start_ns = mono_ns();
    const size_t n_rows = b->n_events + b->n_attempts;
    const size_t bytes = b->bytes;
    const size_t n_ops = b->n_ops;
    const uint64_t low = b->low;
    const bool last = b->last;
    int rc = wait_for_room(s, b);
    int64_t end_ns;

    rc = rc == 0 ? commit(s, b, &job) : rc;
    end_ns = mono_ns();

    b->result.commit_us = (end_ns - start_ns) / NS_PER_US;
    b->result.purged_events = job.n_events;
    b->result.purged_attempts = job.n_attempts;
    if (rc == 0) {
        drop_cache_after(s, bytes);
        atomic_fetch_add(&s->gauges.rows_committed, n_rows);
        w->low = low != 0 ? low : w->low;
        w->next_look_ns = level_grew(s) ? 0 : w->next_look_ns; /* only this thread changes it */
    }
    (void)pthread_mutex_lock(&w->mu);
    note_pace(w, n_ops, start_ns, end_ns, atomic_load(&s->limits.interval_us_max));
    (void)pthread_mutex_unlock(&w->mu);
    post(s, b, rc); /* b belongs to the loop from here on */
    if (rc == 0 && n_rows != 0) {
        index_notify(&s->index);
    }
    return rc == 0 && !last;
}

/* ---- between the batches ---- */

/* What is committed to a file that nobody will find again must not be acknowledged. */
static bool is_in_place(struct store *s)
{
    char dir[ENV_PATH_MAX];
    struct batch *b;

    if (path_join(dir, s->cfg.data_dir, "journal") != 0 || ahead_is_in_place(&s->journal, dir)) {
        return true;
    }
    b = batch_new();
    b->result.is_gone = true;
    post(s, b, EIO);
    return false;
}

static int64_t look_pause_ns(enum store_level level)
{
    return level >= STORE_LEVEL_FULL   ? LOOK_FULL_NS
           : level >= STORE_LEVEL_HIGH ? LOOK_HIGH_NS
                                       : LOOK_EVERY_NS;
}

static void look(struct store *s, int64_t now_ns)
{
    struct writer *w = &s->writer;
    int dead = 0;

    /* A backup that was killed left its reader behind. */
    if (now_ns >= w->next_readers_ns || atomic_load(&s->gauges.journal.pinned) != 0) {
        (void)mdb_reader_check(s->journal.mdb, &dead);
        w->next_readers_ns = now_ns + READERS_EVERY_NS;
    }
    level_look(s);
    (void)pthread_mutex_lock(&w->mu);
    w->next_look_ns = mono_ns() + look_pause_ns(level_of(s, 0));
    (void)pthread_mutex_unlock(&w->mu);
}

static bool has_queued(struct writer *w)
{
    bool yes;
    (void)pthread_mutex_lock(&w->mu);
    yes = w->n_queued != 0 || w->stop;
    (void)pthread_mutex_unlock(&w->mu);
    return yes;
}

/* Attempts that wait for room are started by the loop, which no batch wakes then. */
static void tell_of_room(struct store *s)
{
    struct writer *w = &s->writer;
    if (!atomic_exchange(&w->room_posted, true)) {
        w->room_msg.kind = MSG_ROOM;
        mailbox_post(s->mailbox, &w->room_msg.node);
    }
}

/* Purges while nothing else is to be done. A failure is reported like one of a batch. */
static bool purge_idle(struct store *s)
{
    int rc;
    do {
        struct purge_job job = {0};
        rc = commit(s, NULL, &job);
        if (rc == 0 && job.n_rows != 0) {
            tell_of_room(s);
        }
    } while (rc == 0 && s->writer.purge.more && !has_queued(&s->writer));
    if (rc != 0) {
        post(s, batch_new(), rc);
    }
    return rc == 0;
}

static void *writer_main(void *arg)
{
    struct store *s = arg;
    struct writer *w = &s->writer;
    bool go_on = true;

    LL_MAGIC_CHECK(s, STORE_MAGIC);
    (void)prctl(PR_SET_NAME, "ll-writer", 0, 0, 0);
    while (go_on) {
        bool stop = false;
        struct batch *b = next_batch(w, &stop);
        int64_t now_ns;

        if (b != NULL) {
            go_on = do_batch(s, b);
        } else if (stop) {
            break;
        } else {
            go_on = purge_idle(s);
        }
        now_ns = mono_ns();
        if (go_on && now_ns >= w->next_look_ns) {
            look(s, now_ns);
            go_on = is_in_place(s);
        }
    }
    return NULL;
}

int writer_start(struct store *s, struct err_detail *err)
{
    struct writer *w = &s->writer;
    pthread_condattr_t attr;
    int rc;

    list_init(&w->queue);
    w->low = s->low;
    w->flush_us = SPACING_MIN_US / SPACING_FLUSHES;
    (void)pthread_mutex_init(&w->mu, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&w->cv, &attr);
    (void)pthread_condattr_destroy(&attr);
    rc = pthread_create(&w->thread, NULL, writer_main, s);
    if (rc != 0) {
        (void)pthread_cond_destroy(&w->cv);
        (void)pthread_mutex_destroy(&w->mu);
        return err_set(err, err_from_errno(rc), rc, "cannot start the writer thread");
    }
    w->running = true;
    return 0;
}

void writer_stop(struct store *s)
{
    struct writer *w = &s->writer;
    if (!w->running) {
        return;
    }
    (void)pthread_mutex_lock(&w->mu);
    w->stop = true;
    (void)pthread_cond_signal(&w->cv);
    (void)pthread_mutex_unlock(&w->mu);
    (void)pthread_join(w->thread, NULL);
    (void)pthread_cond_destroy(&w->cv);
    (void)pthread_mutex_destroy(&w->mu);
    w->running = false;
}
