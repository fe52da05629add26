/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening, the end-of-turn hand-over, results of commits, and closing.
 *
 * Closing: the open batch is marked as the last and goes to the writer; when it is back and its
 * waiters were called, the writer is joined; the index thread is asked to end and says so; then
 * the mailbox closes, and its close callback frees the rest.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "longline/log.h"
#include "longline/mem.h"
#include "longline/turn.h"

#include "repair/check.h"
#include "store_internal.h"

#define LOOK_MS    250
#define CHECK_NS   INT64_C(2000000000) /* of the journal at the start; the rest in the background */
#define MAPPED_MAX ((size_t)48 * 1024 * 1024)

/* ---- results of commits ---- */

static void call_waiters(struct list *waiters)
{
    struct list *node;
    while ((node = list_pop_head(waiters)) != NULL) {
        struct store_waiter *w = LIST_ENTRY(node, struct store_waiter, node);
        w->fn(w->ctx);
    }
}

static void finish_close(struct store *s);

static void recycle(struct store *s, struct batch *b)
{
    s->pending_bytes -= b->bytes;
    s->pending_room -= b->room;
    if (s->last == b) {
        s->last = NULL;
    }
    idem_done(s, b);
    batch_reset(b);
    list_push_head(&s->spare, &b->node);
}

static void on_commit_failed(struct store *s, struct batch *b)
{
    struct err_detail err = {.code = b->result.rc, .foreign = b->result.foreign};

    idem_done(s, b);
    list_push_tail(&s->spare, &b->node); /* its waiters must not be called: freed at the end */
    if (s->is_dead) {
        return;
    }
    s->is_dead = true;
    if (b->result.is_gone) {
        (void)snprintf(err.msg, sizeof(err.msg),
                       "the file of the journal was deleted, replaced or moved away: put it back, "
                       "or restore the backup, then start again");
    } else {
        (void)snprintf(err.msg, sizeof(err.msg), "commit failed: %s%s", mdb_strerror(err.foreign),
                       err.code == ERR_CORRUPT ? ": " CHECK_REMEDY : "");
    }
    if (err.code == ERR_CORRUPT) {
        crash_mark_set(CRASH_JOURNAL); /* the next start checks all of it */
    }
    log_error("store.commit", LOG_ERR(err.code), LOG_CSTR("detail", err.msg));
    s->on_fatal(s->fatal_ctx, &err);
    if (s->is_closing) {
        index_ask_to_end(s);
    }
}

static void on_batch(struct store *s, struct batch *b)
{
    struct list waiters;
    const bool last = b->last;

    if (b->result.rc != 0) {
        on_commit_failed(s, b);
        return;
    }
    s->stats.commits++;
    s->stats.events += b->n_events;
    s->stats.attempts += b->n_attempts;
    s->stats.n_retries = b->result.n_retries;
    metric_observe_us(&s->stats.commit_latency, b->result.commit_us);
    list_init(&waiters);
    list_splice_tail(&waiters, &b->waiters);
    recycle(s, b);
    call_waiters(&waiters);
    if (last) {
        index_ask_to_end(s);
    }
}

/* A page that LMDB would sooner or later walk into. What was acknowledged stays on disk; going on
 * could write over more of it. */
static void on_damaged(struct store *s)
{
    if (!s->is_dead) {
        s->is_dead = true;
        s->on_fatal(s->fatal_ctx, &s->scrub.err);
    }
}

static void on_messages(void *ctx, struct list *msgs)
{
    struct store *s = ctx;
    struct list *node;

    LL_MAGIC_CHECK(s, STORE_MAGIC);
    while ((node = list_pop_head(msgs)) != NULL) {
        struct store_msg *m = LIST_ENTRY(node, struct store_msg, node);
        switch (m->kind) {
        case MSG_BATCH:
            on_batch(s, LIST_ENTRY(m, struct batch, msg));
            break;
        case MSG_ROOM: /* the end of the turn starts what waited for it */
            atomic_store(&s->writer.room_posted, false);
            break;
        case MSG_INDEX_LOST:
            index_on_lost(s);
            break;
        case MSG_DAMAGED:
            on_damaged(s);
            break;
        case MSG_INDEX_ENDED:
            s->index_ended = true;
            finish_close(s);
            break;
        }
    }
}

/* ---- hooks and timers ---- */

static void on_turn_end(void *ctx)
{
    struct store *s = ctx;
    LL_MAGIC_CHECK(s, STORE_MAGIC);

    struct batch *b = s->open;
    if (b == NULL || s->is_dead || (batch_is_empty(b) && list_empty(&b->waiters))) {
        return;
    }
    s->open = NULL;
    writer_push(s, b);
}

static void on_idle(void *ctx)
{
    struct store *s = ctx;
    struct list waiters;

    LL_MAGIC_CHECK(s, STORE_MAGIC);
    if (s->is_dead) {
        return;
    }
    list_init(&waiters);
    list_splice_tail(&waiters, &s->idle_waiters);
    call_waiters(&waiters);
}

/* Bytes of mapped files in resident memory; 0 when the system does not say. */
static size_t mapped_bytes(void)
{
    char text[128];
    struct str rest;
    struct str piece = STR_NULL;
    uint64_t pages = 0;
    ssize_t n;
    const int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        return 0;
    }
    n = read(fd, text, sizeof(text));
    (void)close(fd);
    rest = str_of(text, n > 0 ? (size_t)n : 0);
    for (int i = 0; i < 3; i++) {
        if (!str_split(&rest, ' ', &piece)) {
            return 0;
        }
    }
    return str_to_u64(piece, &pages) == 0 ? (size_t)pages * (size_t)sysconf(_SC_PAGESIZE) : 0;
}

static void on_look(void *ctx)
{
    struct store *s = ctx;

    LL_MAGIC_CHECK(s, STORE_MAGIC);
    (void)store_now_ms(s); /* sees whether a step of the wall clock holds */
    atomic_store(&s->gauges.age_ms, store_age_ms(s));
    if (mapped_bytes() > MAPPED_MAX) {
        env_drop_cache(&s->journal);
        index_drop_cache(s);
    }
    timer_in(&s->look, LOOK_MS);
}

/* ---- opening ---- */

static int take_lock(struct store *s, struct err_detail *err)
{
    char path[ENV_PATH_MAX];
    if (path_join(path, s->cfg.data_dir, "lock") != 0) {
        return err_set(err, ERR_TOO_BIG, 0, "the path is too long");
    }
    s->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (s->lock_fd < 0) {
        return err_set(err, err_from_errno(errno), errno, "cannot open %.100s", path);
    }
    if (flock(s->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        const int e = errno;
        return err_set(err, e == EWOULDBLOCK ? ERR_BUSY : err_from_errno(e), e,
                       "%.80s is in use by another process", s->cfg.data_dir);
    }
    /* The file may be deleted while we run, the directory may not. Some file systems lock no
     * directories: there the file has to do. */
    s->dir_fd = open(s->cfg.data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (s->dir_fd >= 0 && flock(s->dir_fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        return err_set(err, ERR_BUSY, errno, "%.80s is in use by another process", s->cfg.data_dir);
    }
    return 0;
}

/* The 16-byte value `name`, made when missing. */
static int get_or_make(MDB_txn *txn, const struct env *env, const char *name, unsigned char *out)
{
    const int rc = meta_get(txn, env->dbi[TREE_MT], name, out, 16);
    if (rc != ERR_NOT_FOUND) {
        return rc;
    }
    rng_fill(rng_system(), out, 16);
    return meta_put(txn, env->dbi[TREE_MT], name, out, 16);
}

static int load_numbers(struct store *s, MDB_txn *txn)
{
    const MDB_dbi mt = s->journal.dbi[TREE_MT];
    unsigned char bytes[32];
    int rc = meta_get(txn, mt, META_LOW, bytes, 8);

    s->low = rc == 0 ? get_be64(bytes) : 0;
    if (rc == 0 || rc == ERR_NOT_FOUND) {
        rc = meta_get(txn, mt, META_DEST_NUM, bytes, 4);
        s->dest_num = rc == 0 ? get_be32(bytes) : 0;
    }
    if (rc == 0 || rc == ERR_NOT_FOUND) {
        rc = meta_get(txn, mt, META_SKEW, bytes, 32);
        for (size_t i = 0; i < 2 && rc == 0; i++) {
            s->skew.ahead[i] = (int64_t)get_be64(bytes + 16 * i);
            s->skew.behind[i] = (int64_t)get_be64(bytes + 16 * i + 8);
        }
    }
    if (rc == 0 || rc == ERR_NOT_FOUND) {
        rc = meta_get(txn, mt, META_TIME, bytes, 8);
        s->closed_ms = rc == 0 ? (int64_t)get_be64(bytes) : 0;
    }
    return rc == ERR_NOT_FOUND ? 0 : rc;
}

/* In a new directory the age clock begins at 0. In one from before there was this clock, the
 * idempotency keys are in buckets of the wall clock, the newest of which ends now. */
static int load_age(struct store *s, MDB_txn *txn)
{
    const MDB_dbi mt = s->journal.dbi[TREE_MT];
    unsigned char bytes[AGES_BYTES];
    MDB_cursor *cur;
    MDB_val key;
    MDB_val value;
    int64_t newest_ms = 0;
    int rc = meta_get(txn, mt, META_AGE, bytes, sizeof(bytes));

    if (rc == 0) {
        ages_read(&s->writer.ages, bytes);
    }
    if (rc != ERR_NOT_FOUND) {
        return rc;
    }
    rc = mdb_cursor_open(txn, s->journal.dbi[TREE_IK], &cur);
    if (rc == 0) {
        if (mdb_cursor_get(cur, &key, &value, MDB_LAST) == 0) {
            newest_ms = get_be32(key.mv_data) * IDEM_HOUR_MS;
        }
        mdb_cursor_close(cur);
    }
    ages_write(&s->writer.ages, newest_ms, bytes);
    return meta_put(txn, mt, META_AGE, bytes, sizeof(bytes));
}

/* A new journal beside an index: there was an earlier one, which is lost or was cut to nothing. */
static int check_new(const struct store *s, struct err_detail *err)
{
    char path[ENV_PATH_MAX];
    struct stat st;
    if (path_join(path, s->cfg.data_dir, "index/data.mdb") == 0 && stat(path, &st) == 0) {
        return err_set(err, ERR_CORRUPT, 0,
                       "the journal is empty but an index is there: restore journal/ from the "
                       "backup, or delete journal/ and index/ to begin anew");
    }
    return 0;
}

static int check_format(struct store *s, MDB_txn *txn, struct err_detail *err)
{
    const MDB_dbi mt = s->journal.dbi[TREE_MT];
    unsigned char bytes[4];
    int rc = meta_get(txn, mt, META_FORMAT, bytes, 4);

    if (rc == ERR_NOT_FOUND) {
        rc = check_new(s, err);
        if (rc != 0) {
            return rc;
        }
        put_be32(bytes, JOURNAL_FORMAT);
        rc = meta_put(txn, mt, META_FORMAT, bytes, 4);
    } else if (rc == 0 && get_be32(bytes) < JOURNAL_FORMAT) {
        /* Old rows are read; an older program must not take new ones for damage. */
        put_be32(bytes, JOURNAL_FORMAT);
        rc = meta_put(txn, mt, META_FORMAT, bytes, 4);
    } else if (rc == 0 && get_be32(bytes) != JOURNAL_FORMAT) {
        return err_set(err, ERR_VERSION, 0, "the journal has format %u, this program knows %u",
                       get_be32(bytes), JOURNAL_FORMAT);
    }
    return rc;
}

static uint64_t last_key(MDB_txn *txn, MDB_dbi dbi)
{
    MDB_cursor *cur;
    MDB_val key;
    MDB_val value;
    uint64_t seq = 0;
    if (mdb_cursor_open(txn, dbi, &cur) == 0) {
        if (mdb_cursor_get(cur, &key, &value, MDB_LAST) == 0) {
            seq = get_be64(key.mv_data);
        }
        mdb_cursor_close(cur);
    }
    return seq;
}

static int load_meta(struct store *s, struct err_detail *err)
{
    MDB_stat retries = {0};
    unsigned char clean = 0;
    MDB_txn *txn;
    int rc = mdb_txn_begin(s->journal.mdb, NULL, 0, &txn);

    if (rc != 0) {
        return err_set(err, err_from_mdb(rc), rc, "journal: %s", mdb_strerror(rc));
    }
    rc = check_format(s, txn, err);
    if (rc == 0) {
        rc = get_or_make(txn, &s->journal, META_IDENTITY, s->identity);
    }
    if (rc == 0) {
        rc = get_or_make(txn, &s->journal, META_ID_KEY, s->id_key);
    }
    if (rc == 0) {
        rc = load_numbers(s, txn);
    }
    if (rc == 0) {
        rc = load_age(s, txn);
    }
    if (rc == 0) {
        s->last_event = last_key(txn, s->journal.dbi[TREE_EV]);
        s->last_attempt = last_key(txn, s->journal.dbi[TREE_AT]);
        (void)mdb_stat(txn, s->journal.dbi[TREE_RT], &retries);
        s->stats.n_retries = retries.ms_entries;
        if (meta_get(txn, s->journal.dbi[TREE_MT], META_CLEAN, &clean, 1) == 0 && clean == 0) {
            log_info("store.unclean", LOG_CSTR("detail", "the last run did not end in good order"));
        }
        rc = meta_put(txn, s->journal.dbi[TREE_MT], META_CLEAN, "\0", 1);
    }
    if (rc != 0) {
        mdb_txn_abort(txn);
        return err != NULL && err->code != 0
                   ? rc
                   : err_set(err, rc, 0, "journal/data.mdb, its own numbers: %s: " CHECK_REMEDY,
                             err_text(rc));
    }
    rc = mdb_txn_commit(txn);
    return rc == 0 ? 0 : err_set(err, err_from_mdb(rc), rc, "journal: %s", mdb_strerror(rc));
}

static void set_limits(struct store *s, const struct store_cfg *cfg)
{
    atomic_store(&s->limits.max_size, cfg->max_size);
    atomic_store(&s->limits.min_free_disk, cfg->min_free_disk);
    atomic_store(&s->limits.retention_ms, cfg->retention_ms);
    atomic_store(&s->limits.interval_us_max, cfg->commit_interval_us_max);
    atomic_store(&s->limits.idempotency_ttl_ms, cfg->idempotency_ttl_ms);
    s->cfg.max_pending_bytes = cfg->max_pending_bytes;
}

void store_reload(struct store *s, const struct store_cfg *cfg)
{
    set_limits(s, cfg);
}

static struct store *create(struct loop *l, const struct store_options *o)
{
    struct store *s = mem_zalloc(sizeof(*s));
    s->magic = STORE_MAGIC;
    s->loop = l;
    s->cfg = *o->cfg;
    s->cfg.data_dir = mem_strndup(o->cfg->data_dir, strlen(o->cfg->data_dir));
    s->on_fatal = o->on_fatal;
    s->fatal_ctx = o->ctx;
    s->lock_fd = -1;
    s->dir_fd = -1;
    s->damaged_status = o->damaged_status != 0 ? o->damaged_status : 1;
    damage_init(&s->damage);
    set_limits(s, o->cfg);
    list_init(&s->spare);
    list_init(&s->idle_waiters);
    list_init(&s->spare_idems);
    timer_init(&s->look, l, on_look, s);
    timer_init(&s->idle, l, on_idle, s);
    s->hook = (struct loop_hook){.fn = on_turn_end, .ctx = s, .order = TURN_STORE};
    s->stats.commit_latency =
        (struct metric){.kind = METRIC_HISTOGRAM,
                        .name = "longline_store_commit_seconds",
                        .help = "Time from the start of a commit until it is on disk"};
    return s;
}

static void destroy(struct store *s)
{
    struct list *node;

    if (s->read_txn != NULL) {
        mdb_txn_abort(s->read_txn);
    }
    if (s->index.dir[0] != '\0') {
        index_close(s);
    }
    env_close(&s->journal);
    crash_mark_disarm();
    while ((node = list_pop_head(&s->spare)) != NULL) {
        batch_free(LIST_ENTRY(node, struct batch, node));
    }
    idem_fini(s);
    damage_fini(&s->damage);
    if (s->lock_fd >= 0) {
        (void)close(s->lock_fd); /* gives the lock back */
    }
    if (s->dir_fd >= 0) {
        (void)close(s->dir_fd);
    }
    mem_free(s->cfg.data_dir);
    s->magic = 0;
    mem_free(s);
}

static int open_journal(struct store *s, const struct env_spec *spec, struct err_detail *err)
{
    int rc = env_open(&s->journal, spec, err);
    if (rc == 0) {
        rc = load_meta(s, err);
        if (rc != 0) {
            env_close(&s->journal);
            return rc;
        }
        level_look(s);
    }
    return rc;
}

static void note_bad_row(void *ctx, const struct check_bad_row *row)
{
    struct store *s = ctx;
    damage_note(&s->damage, row->kind, row->seq, ERR_CORRUPT);
}

/* Before LMDB opens the journal: see check.h. After a crash the check is whole, so that a start
 * that crashes is followed by one that refuses. */
static int check_journal(struct store *s, const char *dir, struct err_detail *err)
{
    const bool has_crashed = crash_mark_is_set(s->cfg.data_dir, CRASH_JOURNAL);
    char path[ENV_PATH_MAX];
    struct check_job job = {.path = path,
                            .budget_ns = has_crashed ? 0 : CHECK_NS,
                            .with_rows = true,
                            .on_bad_row = note_bad_row,
                            .ctx = s};
    int rc = path_join(path, dir, "data.mdb");

    rc = rc == 0 ? check_file_at_start(&job, err) : rc;
    if (rc != 0 || !has_crashed) {
        s->is_checked = job.complete;
        return rc;
    }
    if (crash_count(s->cfg.data_dir) >= CRASH_MAX) {
        return err_set(err, ERR_CORRUPT, 0,
                       "%u crashes while reading journal/data.mdb, in which no damage is found: "
                       "delete .journal-crashed to try again",
                       CRASH_MAX);
    }
    s->is_checked = true;
    log_warn("store.journal.checked", LOG_CSTR("detail", "after a crash; no page is damaged"));
    return crash_checked(s->cfg.data_dir);
}

static int open_files(struct store *s, struct err_detail *err)
{
    char dir[ENV_PATH_MAX];
    const struct env_spec spec = {.dir = dir,
                                  .file = CRASH_JOURNAL,
                                  .assert_status = s->damaged_status,
                                  .map_size = (size_t)s->cfg.map_size,
                                  .trees = journal_trees,
                                  .n_trees = N_JOURNAL_TREES};
    int rc = dir_create(s->cfg.data_dir);

    if (rc != 0) {
        return err_set(err, rc, 0, "cannot create %.100s: %s", s->cfg.data_dir, err_text(rc));
    }
    rc = take_lock(s, err);
    if (rc == 0 && path_join(dir, s->cfg.data_dir, "journal") != 0) {
        rc = err_set(err, ERR_TOO_BIG, 0, "the path is too long");
    }
    if (rc == 0 && (rc = crash_mark_arm(s->cfg.data_dir)) != 0) {
        (void)err_set(err, rc, 0, "cannot open %.100s: %s", s->cfg.data_dir, err_text(rc));
    }
    if (rc == 0) {
        rc = check_journal(s, dir, err);
    }
    if (rc == 0) {
        rc = open_journal(s, &spec, err);
        if (rc == ERR_FULL && index_make_way(s)) {
            *err = (struct err_detail){0};
            rc = open_journal(s, &spec, err);
        }
    }
    if (rc == 0) {
        rc = recover_check_objects(s, err);
    }
    if (rc == 0) {
        rc = index_open(s, err);
    }
    if (rc == 0) {
        rc = idem_load(s);
        if (rc != 0) {
            return err_set(err, rc, 0, "journal: %s", err_text(rc));
        }
    }
    return rc != 0 ? rc : dir_sync(s->cfg.data_dir);
}

static uint64_t greatest(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* Seqs go on from the newest of what is known: a row, or the last orderly end. */
static void start_clocks(struct store *s)
{
    const int64_t row_ms = SEQ_MS(s->seqgen.last);
    steady_init(&s->steady, loop_wall_ms(s->loop), loop_mono_ms(s->loop),
                row_ms > s->closed_ms ? row_ms : s->closed_ms);
    age_clock_init(&s->age, s->writer.ages.saved_ms, loop_mono_us(s->loop) / 1000);
    atomic_store(&s->gauges.age_ms, s->age.now_ms);
}

int store_open(struct store **out, struct loop *l, const struct store_options *o,
               struct err_detail *err)
{
    struct store *s = create(l, o);
    struct err_detail ignored = {0};
    int rc;

    err = err != NULL ? err : &ignored;
    *err = (struct err_detail){0};
    rc = open_files(s, err);
    if (rc != 0) {
        goto err_destroy;
    }
    s->seqgen.last = greatest(greatest(s->last_event, s->last_attempt),
                              greatest(s->index.feed.upto[0], s->index.feed.upto[1]));
    s->seqgen.last = greatest(s->seqgen.last, s->low);
    s->seqgen.last = greatest(s->seqgen.last, ages_last(&s->writer.ages));
    start_clocks(s);
    rc = mailbox_open(&s->mailbox, l, on_messages, s);
    if (rc != 0) {
        (void)err_set(err, rc, 0, "cannot open the mailbox");
        goto err_destroy;
    }
    rc = index_start(s, err);
    if (rc != 0) {
        goto err_mailbox;
    }
    rc = writer_start(s, err);
    if (rc != 0) {
        index_ask_to_end(s);
        goto err_mailbox;
    }
    rc = scrub_start(s, err);
    if (rc != 0) {
        writer_stop(s);
        index_ask_to_end(s);
        goto err_mailbox;
    }
    loop_hook_add(l, &s->hook);
    timer_in(&s->look, LOOK_MS);
    *out = s;
    return 0;

err_mailbox:
    index_close(s); /* joins */
    mailbox_close(s->mailbox, NULL, NULL);
err_destroy:
    destroy(s);
    return rc;
}

/* ---- closing ---- */

static void on_mailbox_closed(void *ctx)
{
    struct store *s = ctx;
    LL_MAGIC_CHECK(s, STORE_MAGIC);

    void (*done)(void *) = s->close_done;
    void *done_ctx = s->close_ctx;
    destroy(s);
    if (done != NULL) {
        done(done_ctx);
    }
}

/* Both threads are through. Batches that were never committed go without a word. */
static void finish_close(struct store *s)
{
    struct list *node;

    writer_stop(s);
    if (!s->is_dead) {
        crash_forget(s->cfg.data_dir);
    }
    while ((node = list_pop_head(&s->writer.queue)) != NULL) {
        list_push_tail(&s->spare, node);
    }
    if (s->open != NULL) {
        list_push_tail(&s->spare, &s->open->node);
        s->open = NULL;
    }
    LIST_FOREACH (it, &s->spare) {
        struct batch *b = LIST_ENTRY(it, struct batch, node);
        idem_done(s, b);
        while (!list_empty(&b->waiters)) {
            list_del(b->waiters.next);
        }
    }
    mailbox_close(s->mailbox, on_mailbox_closed, s);
}

void store_close(struct store *s, void (*done)(void *ctx), void *ctx)
{
    LL_ASSERT(!s->is_closing && !s->is_reading);
    s->close_done = done;
    s->close_ctx = ctx;
    timer_stop(&s->look);
    timer_stop(&s->idle);
    loop_hook_remove(s->loop, &s->hook);
    scrub_stop(s);
    if (s->is_dead) {
        s->is_closing = true;
        index_ask_to_end(s);
        return;
    }
    struct batch *b = store_batch(s);
    while (!list_empty(&s->idle_waiters)) {
        struct list *node = list_pop_head(&s->idle_waiters);
        list_push_tail(&b->waiters, node);
    }
    b->last = true;
    b->closed_ms = store_now_ms(s);
    s->open = NULL;
    s->is_closing = true;
    writer_push(s, b);
}
