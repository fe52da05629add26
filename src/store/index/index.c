/* SPDX-License-Identifier: Apache-2.0 */
#include "index/index.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "longline/log.h"

#include "journal/ahead.h"
#include "repair/check.h"
#include "store_internal.h"

#define NS_PER_MS     INT64_C(1000000)
#define NS_PER_S      INT64_C(1000000000)
#define FEED_EVERY_NS (200 * NS_PER_MS) /* or when BEHIND_ROWS are waiting */
#define BEHIND_ROWS   10000U
#define TIDY_EVERY_NS (1 * NS_PER_S)
#define RETRY_NS      (1 * NS_PER_S)
#define LOOK_EVERY_NS (1 * NS_PER_S)
#define FAILURES_MAX  10
#define CHECK_NS      (1 * NS_PER_S) /* of the start */

static int64_t mono_ns(void)
{
    return clock_mono_ns(clock_system());
}

/* ---- the environment ---- */

static int open_env(struct store *s, struct err_detail *err)
{
    const struct env_spec spec = {.dir = s->index.dir,
                                  .file = CRASH_INDEX,
                                  .assert_status = 1,
                                  .map_size = (size_t)s->cfg.map_size,
                                  .trees = index_trees,
                                  .n_trees = N_INDEX_TREES};
    return env_open(&s->index.env, &spec, err);
}

/* What lies beyond the budget, index_check.c reads in the background. */
static int check(struct store *s, struct err_detail *err)
{
    char path[ENV_PATH_MAX];
    struct check_job job = {
        .path = path, .is_index = true, .with_rows = true, .budget_ns = CHECK_NS};
    int rc = path_join(path, s->index.dir, "data.mdb");

    rc = rc != 0 ? rc : check_file_at_start(&job, err);
    s->index.check.tree = rc != 0 || job.complete ? N_INDEX_TREES : 0;
    return rc;
}

static int write_head(struct store *s)
{
    struct index *x = &s->index;
    unsigned char bytes[16] = {0};
    MDB_txn *txn;
    int rc = mdb_txn_begin(x->env.mdb, NULL, 0, &txn);

    if (rc != 0) {
        return err_from_mdb(rc);
    }
    rc = meta_put(txn, x->env.dbi[TREE_IMT], META_UPTO, bytes, sizeof(bytes));
    if (rc == 0) {
        rc = meta_put(txn, x->env.dbi[TREE_IMT], META_IDENTITY, s->identity, sizeof(s->identity));
    }
    put_be32(bytes, INDEX_FORMAT);
    if (rc == 0) {
        rc = meta_put(txn, x->env.dbi[TREE_IMT], META_FORMAT, bytes, 4);
    }
    if (rc != 0) {
        mdb_txn_abort(txn);
        return rc;
    }
    return err_from_mdb(mdb_txn_commit(txn));
}

/* An index of this format that belongs to this journal? */
static int read_head(struct store *s, uint64_t upto[2])
{
    struct index *x = &s->index;
    unsigned char bytes[16];
    MDB_txn *txn;
    int rc = mdb_txn_begin(x->env.mdb, NULL, MDB_RDONLY, &txn);

    if (rc != 0) {
        return err_from_mdb(rc);
    }
    rc = meta_get(txn, x->env.dbi[TREE_IMT], META_FORMAT, bytes, 4);
    if (rc == 0 && get_be32(bytes) != INDEX_FORMAT) {
        rc = ERR_VERSION;
    }
    if (rc == 0) {
        rc = meta_get(txn, x->env.dbi[TREE_IMT], META_IDENTITY, bytes, sizeof(bytes));
    }
    if (rc == 0 && memcmp(bytes, s->identity, sizeof(bytes)) != 0) {
        rc = ERR_NOT_FOUND;
    }
    if (rc == 0) {
        rc = meta_get(txn, x->env.dbi[TREE_IMT], META_UPTO, bytes, sizeof(bytes));
    }
    upto[0] = get_be64(bytes);
    upto[1] = get_be64(bytes + 8);
    mdb_txn_abort(txn);
    return rc;
}

static int wipe_and_create(struct store *s, struct err_detail *err)
{
    static const char *const files[] = {"data.mdb", "lock.mdb"};
    struct index *x = &s->index;
    int rc;

    env_close(&x->env);
    for (size_t i = 0; i < LL_COUNT(files); i++) {
        char path[ENV_PATH_MAX];
        if (path_join(path, x->dir, files[i]) != 0 || (unlink(path) != 0 && errno != ENOENT)) {
            return err_set(err, ERR_IO, errno, "cannot delete the damaged index");
        }
    }
    rc = crash_mark_clear(s->cfg.data_dir, CRASH_INDEX);
    if (rc != 0) {
        return err_set(err, rc, 0, "cannot delete the mark of a crash: %s", err_text(rc));
    }
    rc = open_env(s, err);
    if (rc != 0) {
        return rc;
    }
    rc = write_head(s);
    if (rc != 0) {
        env_close(&x->env);
        return err_set(err, rc, 0, "cannot write the index: %s", err_text(rc));
    }
    x->feed.upto[0] = 0;
    x->feed.upto[1] = 0;
    x->check.tree = N_INDEX_TREES; /* it is new */
    return 0;
}

/* Rows of the tree behind seq; all of them when seq is 0. */
static uint64_t count_behind(MDB_txn *txn, MDB_dbi dbi, uint64_t seq)
{
    unsigned char bytes[KEY_SEQ];
    MDB_val key = val_of(bytes, sizeof(bytes));
    MDB_val value;
    MDB_stat stat;
    MDB_cursor *cur;
    uint64_t n = 0;

    if (seq == 0) {
        return mdb_stat(txn, dbi, &stat) == 0 ? stat.ms_entries : 0;
    }
    if (mdb_cursor_open(txn, dbi, &cur) != 0) {
        return 0;
    }
    key_seq(bytes, seq + 1);
    for (int rc = mdb_cursor_get(cur, &key, &value, MDB_SET_RANGE); rc == 0;
         rc = mdb_cursor_get(cur, &key, &value, MDB_NEXT)) {
        n++;
    }
    mdb_cursor_close(cur);
    return n;
}

static void count_backlog(struct store *s)
{
    struct feed *f = &s->index.feed;
    MDB_txn *txn;
    uint64_t n;

    if (mdb_txn_begin(s->journal.mdb, NULL, MDB_RDONLY, &txn) != 0) {
        return;
    }
    n = count_behind(txn, s->journal.dbi[TREE_EV], f->upto[0]) +
        count_behind(txn, s->journal.dbi[TREE_AT], f->upto[1]);
    mdb_txn_abort(txn);
    atomic_store(&s->gauges.rows_committed, n);
    atomic_store(&s->index.ready, n <= INDEX_TAIL_MAX);
}

/* What stands in the place of the directory is not ours to delete. */
static int check_place(const struct index *x, struct err_detail *err)
{
    struct stat st;
    if (lstat(x->dir, &st) != 0 || (stat(x->dir, &st) == 0 && S_ISDIR(st.st_mode))) {
        return 0;
    }
    return err_set(err, ERR_CORRUPT, 0,
                   "%.80s is no directory nor a link to one: delete it, the index is rebuilt",
                   x->dir);
}

int index_open(struct store *s, struct err_detail *err)
{
    struct index *x = &s->index;
    struct err_detail why = {0};
    int rc;

    feed_init(&x->feed);
    rc = path_join(x->dir, s->cfg.data_dir, "index");
    if (rc != 0) {
        return err_set(err, rc, 0, "the path is too long");
    }
    rc = check_place(x, err);
    if (rc != 0) {
        return rc;
    }
    if (crash_mark_is_set(s->cfg.data_dir, CRASH_INDEX)) {
        rc = err_set(&why, ERR_CORRUPT, 0, "the last run crashed while the index was open");
    } else {
        rc = check(s, &why);
    }
    if (rc == 0) {
        rc = open_env(s, &why);
    }
    if (rc == 0) {
        rc = read_head(s, x->feed.upto);
    }
    if (rc != 0) {
        if (rc != ERR_NOT_FOUND) {
            log_warn("store.index.rebuild", LOG_ERR(rc), LOG_CSTR("detail", why.msg));
        }
        rc = wipe_and_create(s, err);
    }
    if (rc == ERR_FULL) { /* lists can wait for room, deliveries need not wait for lists */
        log_error("store.index.rebuild", LOG_ERR(rc), LOG_CSTR("detail", err->msg));
        x->state = INDEX_LOST;
        return 0;
    }
    if (rc == 0) {
        count_backlog(s);
        level_index_look(s);
    }
    return rc;
}

bool index_make_way(const struct store *s)
{
    char path[ENV_PATH_MAX];
    if (path_join(path, s->cfg.data_dir, "index/data.mdb") != 0 || unlink(path) != 0) {
        return false;
    }
    log_warn("store.index.rebuild",
             LOG_CSTR("detail", "the disk is full: deleted, so that the journal can be opened"));
    return true;
}

/* ---- the thread ---- */

static void wait_until(struct index *x, int64_t until_ns)
{
    const struct timespec ts = {.tv_sec = until_ns / NS_PER_S, .tv_nsec = until_ns % NS_PER_S};
    x->is_waiting = true;
    (void)pthread_cond_timedwait(&x->cv, &x->mu, &ts);
    x->is_waiting = false;
}

static uint64_t rows_behind(const struct store *s)
{
    const uint64_t committed = atomic_load(&s->gauges.rows_committed);
    const uint64_t indexed = atomic_load(&s->gauges.rows_indexed);
    return committed > indexed ? committed - indexed : 0;
}

/* Sleeps until there is enough to do. False when the thread has to end. */
static bool wait_for_work(struct store *s, int64_t last_ns)
{
    struct index *x = &s->index;
    bool go_on;

    (void)pthread_mutex_lock(&x->mu);
    while (!x->stop && x->state == INDEX_OPEN && (x->is_short || rows_behind(s) < BEHIND_ROWS)) {
        const int64_t due_ns = last_ns + (x->n_new != 0 ? FEED_EVERY_NS : TIDY_EVERY_NS);
        if (mono_ns() >= due_ns) {
            break;
        }
        wait_until(x, due_ns);
    }
    x->n_new = 0;
    go_on = !x->stop;
    (void)pthread_mutex_unlock(&x->mu);
    return go_on;
}

/* For retries after errors; ends early when the thread has to. */
static void pause_thread(struct index *x)
{
    const int64_t until_ns = mono_ns() + RETRY_NS;
    (void)pthread_mutex_lock(&x->mu);
    while (!x->stop && mono_ns() < until_ns) {
        wait_until(x, until_ns);
    }
    (void)pthread_mutex_unlock(&x->mu);
}

void index_notify(struct index *x)
{
    (void)pthread_mutex_lock(&x->mu);
    x->n_new++;
    if (x->is_waiting && (x->n_new == 1 || x->n_new % 32 == 0)) {
        (void)pthread_cond_signal(&x->cv);
    }
    (void)pthread_mutex_unlock(&x->mu);
}

/* Waits until the loop has let go of the environment. False when the thread has to end. */
static bool take_from_loop(struct store *s)
{
    struct index *x = &s->index;
    bool go_on;

    (void)pthread_mutex_lock(&x->mu);
    x->state = INDEX_LOST;
    if (x->is_attached && !x->lost_posted) {
        x->lost_posted = true;
        x->lost_msg.kind = MSG_INDEX_LOST;
        mailbox_post(s->mailbox, &x->lost_msg.node);
    }
    while (x->is_attached && !x->stop) {
        (void)pthread_cond_wait(&x->cv, &x->mu);
    }
    go_on = !x->stop;
    (void)pthread_mutex_unlock(&x->mu);
    return go_on;
}

static void rebuild(struct store *s)
{
    struct index *x = &s->index;
    struct err_detail err = {0};

    atomic_store(&x->ready, false);
    if (!take_from_loop(s)) {
        return;
    }
    if (wipe_and_create(s, &err) != 0) {
        log_error("store.index.rebuild", LOG_ERR(err.code), LOG_CSTR("detail", err.msg));
        pause_thread(x);
        return;
    }
    atomic_store(&s->gauges.rows_indexed, 0);
    count_backlog(s);
    (void)pthread_mutex_lock(&x->mu);
    x->state = INDEX_OPEN;
    (void)pthread_mutex_unlock(&x->mu);
}

static void note_progress(struct store *s, uint64_t committed_before)
{
    struct index *x = &s->index;

    atomic_fetch_add(&s->gauges.rows_indexed, x->feed.n_rows);
    if (x->feed.more) {
        env_drop_cache(&s->journal);
        return;
    }
    /* Rows may have been purged before they were indexed. */
    if (atomic_load(&s->gauges.rows_indexed) < committed_before) {
        atomic_store(&s->gauges.rows_indexed, committed_before);
    }
    atomic_store(&x->ready, true);
}

/* Does what was read fit into the blocks that the index has? If not, a smaller part of it is tried
 * next, and this time there are only the sweeps, which make room. */
static bool fit(struct store *s)
{
    struct index *x = &s->index;
    struct feed *f = &x->feed;
    const uint64_t need = feed_room(s);

    level_index_ahead(s, need);
    if (x->env.no_ahead || env_fits(&x->env, need, ahead_blocks(&x->env))) {
        f->max_rows = f->max_rows * 2 < ROWS_MAX ? f->max_rows * 2 : ROWS_MAX;
        return true;
    }
    f->max_rows = f->max_rows / 4 > ROWS_MIN ? f->max_rows / 4 : ROWS_MIN;
    return false;
}

/* One batch; *damaged when the index cannot be used any more. */
static int feed_once(struct store *s, MDB_txn **journal, bool *damaged)
{
    struct index *x = &s->index;
    struct feed *f = &x->feed;
    const uint64_t before[2] = {f->upto[0], f->upto[1]};
    const uint64_t committed = atomic_load(&s->gauges.rows_committed);
    bool fits;
    int rc = *journal == NULL ? mdb_txn_begin(s->journal.mdb, NULL, MDB_RDONLY, journal)
                              : mdb_txn_renew(*journal);

    *damaged = false;
    if (rc != 0) {
        return rc;
    }
    rc = feed_read(s, *journal);
    mdb_txn_reset(*journal);
    fits = rc != 0 || fit(s);
    if (!fits) {
        feed_drop(f);
        f->upto[0] = before[0];
        f->upto[1] = before[1];
    }
    if (rc == 0) {
        rc = feed_write(s, *journal);
        *damaged = err_from_mdb(rc) == ERR_CORRUPT || rc == MDB_PANIC;
    }
    if (rc != 0) {
        f->upto[0] = before[0];
        f->upto[1] = before[1];
        return rc;
    }
    if (fits) {
        note_progress(s, committed);
    }
    level_index_look(s);
    x->is_short = !fits;
    return 0;
}

static bool is_lost(struct index *x)
{
    bool lost;
    (void)pthread_mutex_lock(&x->mu);
    lost = x->state == INDEX_LOST;
    (void)pthread_mutex_unlock(&x->mu);
    return lost;
}

/* Somebody deleted or moved the file: the next start would not find what is written now. */
static bool is_out_of_place(struct index *x)
{
    const int64_t now_ns = mono_ns();
    if (now_ns < x->next_look_ns) {
        return false;
    }
    x->next_look_ns = now_ns + LOOK_EVERY_NS;
    if (ahead_is_in_place(&x->env, x->dir)) {
        return false;
    }
    log_warn("store.index.rebuild",
             LOG_CSTR("detail", "the file of the index was deleted, replaced or moved away"));
    return true;
}

/* One round of the thread's life; *last_ns: when it fed last, 0 to go on at once. */
static void work(struct store *s, MDB_txn **journal, int64_t *last_ns, int *n_failures)
{
    struct index *x = &s->index;
    bool damaged = is_lost(x) || is_out_of_place(x) || index_check_on(s);
    const int rc = damaged ? 0 : feed_once(s, journal, &damaged);

    *last_ns = x->feed.more && !x->is_short ? 0 : mono_ns();
    *n_failures = rc == 0 ? 0 : *n_failures + 1;
    if (rc != 0) {
        log_warn("store.index", LOG_CSTR("detail", mdb_strerror(rc)), LOG_BOOL("damaged", damaged));
    }
    if (damaged || *n_failures >= FAILURES_MAX) {
        *n_failures = 0;
        *last_ns = 0;
        rebuild(s);
    } else if (rc != 0) {
        pause_thread(x);
    }
}

static void *index_main(void *arg)
{
    struct store *s = arg;
    struct index *x = &s->index;
    MDB_txn *journal = NULL;
    int64_t last_ns = 0;
    int n_failures = 0;

    LL_MAGIC_CHECK(s, STORE_MAGIC);
    (void)prctl(PR_SET_NAME, "ll-index", 0, 0, 0);
    while (wait_for_work(s, last_ns)) {
        work(s, &journal, &last_ns, &n_failures);
    }
    if (journal != NULL) {
        mdb_txn_abort(journal);
    }
    x->ended_msg.kind = MSG_INDEX_ENDED;
    mailbox_post(s->mailbox, &x->ended_msg.node);
    return NULL;
}

int index_start(struct store *s, struct err_detail *err)
{
    struct index *x = &s->index;
    pthread_condattr_t attr;
    int rc;

    x->n_new = 1;
    (void)pthread_mutex_init(&x->mu, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&x->cv, &attr);
    (void)pthread_condattr_destroy(&attr);
    rc = pthread_create(&x->thread, NULL, index_main, s);
    if (rc != 0) {
        (void)pthread_cond_destroy(&x->cv);
        (void)pthread_mutex_destroy(&x->mu);
        return err_set(err, err_from_errno(rc), rc, "cannot start the index thread");
    }
    x->running = true;
    return 0;
}

void index_ask_to_end(struct store *s)
{
    struct index *x = &s->index;
    (void)pthread_mutex_lock(&x->mu);
    x->stop = true;
    (void)pthread_cond_broadcast(&x->cv);
    (void)pthread_mutex_unlock(&x->mu);
}

void index_close(struct store *s)
{
    struct index *x = &s->index;
    if (x->running) {
        (void)pthread_join(x->thread, NULL);
        (void)pthread_cond_destroy(&x->cv);
        (void)pthread_mutex_destroy(&x->mu);
        x->running = false;
    }
    if (x->read_txn != NULL) {
        mdb_txn_abort(x->read_txn);
        x->read_txn = NULL;
    }
    env_close(&x->env);
    feed_fini(&x->feed);
}

/* ---- the loop's side ---- */

/* Under mu. */
static void detach(struct index *x)
{
    if (x->read_txn != NULL) {
        mdb_txn_abort(x->read_txn);
        x->read_txn = NULL;
    }
    x->is_reading = false;
    x->is_attached = false;
    x->upto[0] = 0;
    x->upto[1] = 0;
    (void)pthread_cond_signal(&x->cv);
}

void index_read_begin(struct store *s)
{
    struct index *x = &s->index;
    unsigned char bytes[16];
    int rc = MDB_BAD_TXN;

    x->upto[0] = 0;
    x->upto[1] = 0;
    (void)pthread_mutex_lock(&x->mu);
    if (x->state == INDEX_OPEN) {
        rc = x->read_txn == NULL ? mdb_txn_begin(x->env.mdb, NULL, MDB_RDONLY, &x->read_txn)
                                 : mdb_txn_renew(x->read_txn);
        x->is_attached = x->read_txn != NULL;
        x->is_reading = rc == 0;
    }
    (void)pthread_mutex_unlock(&x->mu);
    if (!x->is_reading) {
        return;
    }
    if (meta_get(x->read_txn, x->env.dbi[TREE_IMT], META_UPTO, bytes, sizeof(bytes)) != 0) {
        index_report_lost(s);
        return;
    }
    x->upto[0] = get_be64(bytes);
    x->upto[1] = get_be64(bytes + 8);
}

void index_read_end(struct store *s)
{
    struct index *x = &s->index;
    if (x->is_reading) {
        mdb_txn_reset(x->read_txn);
        x->is_reading = false;
    }
}

void index_report_lost(struct store *s)
{
    struct index *x = &s->index;
    log_warn("store.index.rebuild", LOG_ERR(ERR_CORRUPT));
    atomic_store(&x->ready, false);
    (void)pthread_mutex_lock(&x->mu);
    x->state = INDEX_LOST;
    detach(x);
    (void)pthread_mutex_unlock(&x->mu);
}

void index_on_lost(struct store *s)
{
    struct index *x = &s->index;
    (void)pthread_mutex_lock(&x->mu);
    x->lost_posted = false;
    detach(x);
    (void)pthread_mutex_unlock(&x->mu);
}

void index_drop_cache(struct store *s)
{
    struct index *x = &s->index;
    (void)pthread_mutex_lock(&x->mu);
    if (x->state == INDEX_OPEN) {
        env_drop_cache(&x->env);
    }
    (void)pthread_mutex_unlock(&x->mu);
}

bool store_index_ready(const struct store *s)
{
    return atomic_load(&s->index.ready);
}
