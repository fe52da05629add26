/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The index environment and the thread that feeds it from the journal.
 *
 * Life of the environment: OPEN, until somebody meets damage: LOST. Then the loop ends its read
 * transaction (at once when it saw the damage itself, else on MSG_INDEX_LOST), the thread deletes
 * the files and makes new ones: OPEN again, filled from the beginning of the journal. While it is
 * LOST, and for what it does not hold yet, queries read the journal. Damage that nobody meets in
 * good order ends the process once: see crash_mark.h.
 */
#ifndef LL_STORE_INDEX_H
#define LL_STORE_INDEX_H

#include <pthread.h>
#include <stdatomic.h>

#include "index/sweep.h"
#include "index/terms.h"
#include "journal/batch.h"
#include "journal/env.h"
#include "record/schema.h"

struct store;

/* Rows of the journal that are searched one by one where the index does not reach yet: some
 * milliseconds. Further behind than this, the index counts as not ready. */
#define INDEX_TAIL_MAX 50000U

#define ROWS_MAX       10000U /* per tree and batch of the index … */
#define ROWS_MIN       16U    /* … while room is short */

enum index_state { INDEX_OPEN, INDEX_LOST };

struct index_pair { /* a row of ea or id */
    uint64_t a, b;
};
struct index_pairs {
    struct index_pair *v;
    size_t n, cap;
};

/* What one batch takes from the journal and writes to the index. Index thread only. */
struct feed {
    struct terms terms;
    struct index_pairs attempts; /* event seq, attempt seq */
    struct index_pairs ids;      /* hash, seq */
    uint64_t upto[2];            /* the last seq that was read */
    uint64_t oldest;             /* what the journal still begins with */
    uint64_t purged_below;       /* `oldest` of the last purge */
    uint64_t n_live[2];          /* rows of the journal; by enum store_kind */
    size_t n_rows;
    size_t max_rows; /* per tree and batch: fewer while room is short */
    bool more;       /* a limit was reached */
    struct sweep sweep;
};

/* How far the check has come that goes on behind the one at the start. */
struct index_check {
    _Atomic int tree; /* N_INDEX_TREES: it has ended */
    char below[512];
    size_t n_below; /* 0: from the tree's end */
    int64_t next_ns;
};

struct index {
    pthread_t thread;
    bool running;
    pthread_mutex_t mu;
    pthread_cond_t cv;
    /* under mu */
    enum index_state state;
    bool is_attached; /* the loop has a read transaction */
    bool lost_posted;
    bool is_waiting;
    bool stop;
    size_t n_new; /* commits with rows since the thread last looked */
    /* loop */
    MDB_txn *read_txn;
    bool is_reading;
    uint64_t upto[2]; /* what the read transaction's snapshot holds; by enum store_kind */
    struct store_msg lost_msg, ended_msg;
    /* any */
    _Atomic bool ready;
    /* thread */
    struct env env;
    uint64_t tree_bytes[ENV_TREES_MAX];
    int64_t next_look_ns;
    bool is_short; /* of room: rows wait */
    struct index_check check;
    struct feed feed;
    char dir[ENV_PATH_MAX];
};

/* Opens, or deletes and creates. The journal is open. */
int index_open(struct store *s, struct err_detail *err) LL_MUST_USE;
/* Before the journal is open: deletes the file, which is rebuilt, to give its room to the journal.
 * False when there was none. */
bool index_make_way(const struct store *s);
int index_start(struct store *s, struct err_detail *err) LL_MUST_USE;
void index_ask_to_end(struct store *s); /* MSG_INDEX_ENDED follows when the thread runs */
void index_close(struct store *s);      /* the thread has ended or was never started */
void index_notify(struct index *x);     /* rows were committed; any thread */

/* Loop: begins to read when there is an index; else is_reading stays false and upto is zero. */
void index_read_begin(struct store *s);
void index_read_end(struct store *s);
void index_report_lost(struct store *s); /* damage was met while reading; ends the reading */
void index_on_lost(struct store *s);     /* MSG_INDEX_LOST */
void index_drop_cache(struct store *s);

/* index_check.c. Reads a slice further, when it is time; true when damage was found. */
bool index_check_on(struct store *s);

/* index_feed.c. These return LMDB's codes. */
void feed_init(struct feed *f);
void feed_fini(struct feed *f);
int feed_read(struct store *s, MDB_txn *journal) LL_MUST_USE;
int feed_write(struct store *s,
               MDB_txn *journal) LL_MUST_USE; /* journal: a reader that was reset */
/* Room that the batch may take at most. Dropped: nothing of it is written, the sweeps go on. */
uint64_t feed_room(const struct store *s);
void feed_drop(struct feed *f);

#endif
