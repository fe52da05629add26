/* SPDX-License-Identifier: Apache-2.0 */
#include "repair/scrub.h"

#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "longline/log.h"
#include "longline/mem.h"

#include "repair/check.h"
#include "store_internal.h"

#define NS_PER_S  INT64_C(1000000000)
#define SLICE_NS  INT64_C(20000000)            /* a snapshot is pinned no longer */
#define RATE      ((uint64_t)32 * 1024 * 1024) /* bytes read in a second */
#define PAUSE_NS  INT64_C(10000000)
#define NICE      19
#define TRIES_MAX 100U /* to meet a snapshot between two commits */

struct pass { /* over one tree */
    struct store *s;
    struct check_rows rows;
    struct pg_walk_result walk;
    int tree;
    char below[512];
    size_t n_below; /* 0: from the end */
    uint64_t n_pages;
};

static int64_t mono_ns(void)
{
    return clock_mono_ns(clock_system());
}

/* Waits; true when the thread has to end. */
static bool pause_for(struct scrub *c, int64_t ns)
{
    const int64_t until = mono_ns() + (ns > PAUSE_NS ? ns : PAUSE_NS);
    const struct timespec ts = {.tv_sec = until / NS_PER_S, .tv_nsec = until % NS_PER_S};
    bool stop;

    (void)pthread_mutex_lock(&c->mu);
    while (!c->stop && mono_ns() < until) {
        (void)pthread_cond_timedwait(&c->cv, &c->mu, &ts);
    }
    stop = c->stop;
    (void)pthread_mutex_unlock(&c->mu);
    return stop;
}

static void on_problem(void *ctx, const struct pg_problem *p)
{
    const struct pass *pass = ctx;
    struct scrub *c = &pass->s->scrub;
    (void)err_set(&c->err, ERR_CORRUPT, 0, "%s is damaged (tree %s, page %llu: %s): " CHECK_REMEDY,
                  check_name(false), p->tree, (unsigned long long)p->page, p->what);
}

static void on_row(void *ctx, const struct pg_row *row)
{
    struct pass *pass = ctx;
    const char *why;

    if (row->tree == TREE_BD) {
        return; /* with its record */
    }
    why = check_rows_look(&pass->rows, row);
    if (why == NULL) {
        return;
    }
    if (row->tree == TREE_EV || row->tree == TREE_AT) {
        damage_note(&pass->s->damage, row->tree == TREE_EV ? STORE_EVENTS : STORE_ATTEMPTS,
                    get_be64(row->key.p), ERR_CORRUPT);
    } else {
        log_error("store.corrupt", LOG_CSTR("tree", journal_trees[row->tree]),
                  LOG_CSTR("detail", why));
    }
}

/* One slice of the snapshot that the transaction pins. ERR_BUSY: its meta page was not met. */
static int read_slice(struct pass *pass, const struct pg_file *f, uint64_t txn)
{
    struct pg_walk_spec spec = {.file = f,
                                .rules = journal_rules,
                                .n_rules = N_JOURNAL_TREES,
                                .deadline_ns = mono_ns() + SLICE_NS,
                                .stop_at_first = true,
                                .is_slice = true,
                                .tree = pass->tree,
                                .on_problem = on_problem,
                                .on_row = on_row,
                                .ctx = pass};
    int rc;

    for (unsigned i = 0; i < 2; i++) {
        if (f->bad[i] == NULL && f->meta[i].txn == txn) {
            spec.meta = &f->meta[i];
        }
    }
    if (spec.meta == NULL) {
        return ERR_BUSY;
    }
    if (pass->n_below != 0) {
        spec.below = str_of(pass->below, pass->n_below);
    }
    check_rows_init(&pass->rows, f, &pass->walk);
    rc = pg_walk(&spec, &pass->walk);
    check_rows_fini(&pass->rows);
    pass->n_pages = pass->walk.n_pages;
    if (pass->walk.n_resume != 0) {
        memcpy(pass->below, pass->walk.resume, pass->walk.n_resume);
        pass->n_below = pass->walk.n_resume;
    }
    pg_walk_result_fini(&pass->walk);
    return rc == 0 && pass->walk.n_problems != 0 ? ERR_CORRUPT : rc;
}

static int pinned_slice(struct pass *pass, const char *path)
{
    struct err_detail ignored = {0};
    struct pg_file f;
    MDB_txn *txn;
    int rc = mdb_txn_begin(pass->s->journal.mdb, NULL, MDB_RDONLY, &txn);

    if (rc != 0) {
        return err_from_mdb(rc);
    }
    rc = pg_file_open(&f, path, &ignored);
    if (rc == 0) {
        rc = read_slice(pass, &f, mdb_txn_id(txn));
        pg_file_close(&f);
    }
    mdb_txn_abort(txn);
    return rc;
}

/* 0: the tree is read; ERR_CANCELED. */
static int read_tree(struct store *s, struct pass *pass, const char *path)
{
    unsigned n_busy = 0;

    for (;;) {
        int rc;
        int64_t ns;
        pass->n_pages = 0;
        rc = pinned_slice(pass, path);
        if (rc != 0 && (rc != ERR_BUSY || n_busy++ >= TRIES_MAX)) {
            return rc;
        }
        if (rc == 0 && pass->walk.complete) {
            return 0;
        }
        n_busy = rc == 0 ? 0 : n_busy;
        ns = (int64_t)(pass->n_pages * s->journal.page * (uint64_t)NS_PER_S / RATE);
        if (pause_for(&s->scrub, ns)) {
            return ERR_CANCELED;
        }
    }
}

static void *scrub_main(void *arg)
{
    struct store *s = arg;
    struct pass *pass = mem_zalloc(sizeof(*pass));
    char path[ENV_PATH_MAX];
    int rc = path_join(path, s->cfg.data_dir, "journal/data.mdb");

    (void)prctl(PR_SET_NAME, "ll-check", 0, 0, 0);
    (void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), NICE);
    for (int tree = N_JOURNAL_TREES - 1; tree >= 0 && rc == 0; tree--) {
        *pass = (struct pass){.s = s, .tree = tree};
        rc = read_tree(s, pass, path);
    }
    mem_free(pass);
    if (rc == ERR_CORRUPT) {
        log_error("store.damaged", LOG_CSTR("detail", s->scrub.err.msg));
        crash_mark_set(CRASH_JOURNAL); /* the next start looks at all of it, and refuses */
        s->scrub.msg.kind = MSG_DAMAGED;
        mailbox_post(s->mailbox, &s->scrub.msg.node);
    } else if (rc == 0) {
        log_info("store.checked", LOG_INT("damaged", damage_count(&s->damage)));
    } else if (rc != ERR_CANCELED) {
        log_warn("store.check", LOG_ERR(rc));
    }
    return NULL;
}

int scrub_start(struct store *s, struct err_detail *err)
{
    struct scrub *c = &s->scrub;
    pthread_condattr_t attr;
    int rc;

    if (s->is_checked) {
        return 0;
    }
    (void)pthread_mutex_init(&c->mu, NULL);
    (void)pthread_condattr_init(&attr);
    (void)pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&c->cv, &attr);
    (void)pthread_condattr_destroy(&attr);
    rc = pthread_create(&c->thread, NULL, scrub_main, s);
    if (rc != 0) {
        (void)pthread_cond_destroy(&c->cv);
        (void)pthread_mutex_destroy(&c->mu);
        return err_set(err, err_from_errno(rc), rc, "cannot start the thread of the check");
    }
    c->running = true;
    return 0;
}

void scrub_stop(struct store *s)
{
    struct scrub *c = &s->scrub;
    if (!c->running) {
        return;
    }
    (void)pthread_mutex_lock(&c->mu);
    c->stop = true;
    (void)pthread_cond_signal(&c->cv);
    (void)pthread_mutex_unlock(&c->mu);
    (void)pthread_join(c->thread, NULL);
    (void)pthread_cond_destroy(&c->cv);
    (void)pthread_mutex_destroy(&c->mu);
    c->running = false;
}
