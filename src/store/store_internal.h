/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store's own state. Who touches what:
 *
 *   loop thread    struct store but for the parts below; the two read transactions
 *   writer thread  struct writer "private"; the journal's only write transaction
 *   check thread   struct scrub; reads the journal
 *   index thread   struct index "private" (index.h); the index's only write transaction
 *   any            struct limits, struct gauges: atomics; the queue of the writer under its mutex
 */
#ifndef LL_STORE_INTERNAL_H
#define LL_STORE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "longline/id.h"
#include "longline/mailbox.h"
#include "longline/map.h"
#include "longline/store.h"

#include "index/index.h"
#include "journal/batch.h"
#include "journal/env.h"
#include "record/schema.h"
#include "repair/damage.h"
#include "repair/scrub.h"
#include "upkeep/age_clock.h"
#include "upkeep/ages.h"
#include "upkeep/idem_time.h"
#include "upkeep/room.h"
#include "upkeep/steady.h"

#define STORE_MAGIC 0x53544f52U

struct limits { /* from the configuration; may change while running */
    _Atomic int64_t max_size;
    _Atomic int64_t min_free_disk;
    _Atomic int64_t retention_ms;
    _Atomic int64_t interval_us_max;
    _Atomic int64_t idempotency_ttl_ms;
};

struct file_gauges { /* see struct room_file */
    _Atomic uint64_t used, pinned, blocks, churn;
};

struct gauges {
    struct file_gauges journal, index;
    _Atomic uint64_t index_row_bytes; /* what a row of the journal takes in the index */
    _Atomic uint64_t disk_free;
    _Atomic uint64_t step; /* by which blocks are taken ahead */
    _Atomic bool is_ahead;
    _Atomic bool is_index_behind;
    _Atomic int64_t age_ms;      /* store_age_ms, at least as late as any row in the queue */
    _Atomic uint64_t cutoff_seq; /* see store_cutoff */
    _Atomic uint64_t purged_events, purged_attempts; /* outside of batches */
    _Atomic uint64_t rows_committed, rows_indexed;
    _Atomic int fail_commit_in; /* tests: the n-th commit of a batch from now fails; 0: none */
};

struct purge {          /* where the walks stand */
    uint64_t old_pos;   /* by age */
    uint64_t event_pos; /* by size */
    uint64_t attempt_pos;
    bool more; /* the last slice ended for lack of budget, not of rows */
};

/* One write transaction on the journal with a cursor per tree. */
struct wtxn {
    MDB_txn *txn;
    const struct env *env;
    MDB_cursor *cur[N_JOURNAL_TREES];
};

struct writer {
    pthread_t thread;
    bool running;
    pthread_mutex_t mu;
    pthread_cond_t cv;
    struct list queue; /* batches, oldest first */
    size_t n_queued;
    bool is_waiting; /* the thread sleeps until something is queued */
    bool is_spacing; /* it sleeps until the next commit is due */
    bool is_woken;   /* called for a batch and has not looked yet: the oldest one is its own */
    bool stop;
    /* private */
    int64_t next_ns; /* no commit before, monotonic */
    int64_t last_start_ns;
    double rate;          /* operations per second, smoothed */
    double flush_us;      /* running median of a commit's duration */
    int64_t next_look_ns; /* when used bytes and disk are looked at again */
    int64_t next_purge_ns;
    int64_t next_readers_ns;
    uint64_t low;
    size_t since_drop;             /* bytes */
    uint64_t file, looked_at_file; /* size of the journal, now and when room was looked at */
    uint64_t scattered;            /* bytes of trees where rows go to any place */
    struct store_msg room_msg;     /* deleting has made room */
    _Atomic bool room_posted;
    bool is_pressed; /* a batch waits for room */
    struct purge purge;
    struct ages ages;
};

struct idem {
    unsigned char hash[16];
    uint64_t seq;
    struct list node; /* in its batch, or spare */
};

struct store {
    unsigned magic;
    struct loop *loop;
    struct store_cfg cfg; /* own copy; numbers that may change are in limits */
    void (*on_fatal)(void *ctx, const struct err_detail *err);
    void *fatal_ctx;
    int lock_fd;
    int dir_fd; /* of the data directory, locked as well: the file "lock" may get lost */
    struct env journal;
    struct limits limits;
    struct gauges gauges;
    struct writer writer;
    struct index index;
    struct mailbox *mailbox;
    struct loop_hook hook;
    struct timer look; /* four times a second: the age clock, resident memory */
    struct timer idle; /* calls waiters that had nothing to wait for */

    struct batch *open; /* being filled in this turn */
    struct batch *last; /* the newest batch that is not durable yet */
    struct list spare;  /* batches for reuse */
    struct list idle_waiters;
    size_t pending_bytes;
    size_t pending_room;  /* what that takes in pages, at most */
    size_t owed_retries;  /* room for retry records of what is neither ended nor stored */
    size_t owed_attempts; /* and for records of the attempts under way */

    struct damage damage;
    struct scrub scrub;
    bool is_checked;    /* the whole journal, at the start */
    int damaged_status; /* of the exit when LMDB finds the journal impossible */

    struct age_clock age;
    struct steady steady;
    int64_t closed_ms; /* when the last run ended in good order; 0: not known */
    struct seqgen seqgen;
    uint64_t last_event, last_attempt; /* put so far: order is checked */
    uint64_t low;
    uint32_t dest_num;
    struct skew skew;
    unsigned char id_key[16];
    unsigned char identity[16];

    struct map idems; /* not durable yet */
    struct list spare_idems;
    uint32_t *idem_hours; /* buckets that exist, ascending */
    size_t n_idem_hours;

    MDB_txn *read_txn; /* reset between reads */
    bool is_reading;

    bool is_dead; /* a commit failed */
    bool is_closing;
    bool index_ended;
    void (*close_done)(void *ctx);
    void *close_ctx;
    struct store_stats stats;
};

/* ---- writer.c ---- */
int writer_start(struct store *s, struct err_detail *err) LL_MUST_USE;
void writer_stop(struct store *s); /* joins; the thread must be idle, ended or about to end */
void writer_push(struct store *s, struct batch *b);
/* The youngest queued batch, when more may be added to it, else NULL. */
struct batch *writer_take_back(struct store *s);

/* ---- wtxn.c ---- */
int wtxn_begin(struct wtxn *t, const struct env *env) LL_MUST_USE; /* these return LMDB's codes */
int wtxn_commit(struct wtxn *t) LL_MUST_USE;
void wtxn_abort(struct wtxn *t);
int wtxn_cursor(struct wtxn *t, enum journal_tree tree, MDB_cursor **out) LL_MUST_USE;
int wtxn_apply(struct wtxn *t, const struct batch *b) LL_MUST_USE;

/* ---- purge.c ---- */
struct purge_job {
    uint64_t cutoff_seq;  /* rows below are too old */
    uint32_t cutoff_hour; /* idempotency buckets that ended before are too old */
    uint64_t excess;      /* bytes to be freed by size */
    bool is_full;         /* so much that the log of what is pending may go too */
    uint64_t low;
    size_t max_rows;
    uint64_t max_bytes; /* what a commit frees cannot be used by the next one */
    int64_t deadline_ns;
    uint64_t n_events, n_attempts, n_rows, bytes; /* deleted */
    bool has_mark;                                /* of a row's age: to be committed */
};
int purge_slice(struct wtxn *t, struct purge *p, struct purge_job *job) LL_MUST_USE;

/* ---- level.c ---- */
/* extra: bytes of pages that come on top in the journal. */
enum store_level level_of(const struct store *s, uint64_t extra);
uint64_t level_excess(const struct store *s); /* bytes above the mark HIGH that can be freed */
/* Deleting takes pages too, and gives none back while they are pinned. */
bool level_may_purge(const struct store *s);
/* Writer thread (or before it runs): after a commit; everything, and takes blocks ahead; blocks
 * ahead for `need` bytes; has the file grown so that it is time for a look? */
void level_note_commit(struct store *s);
void level_look(struct store *s);
void level_journal_ahead(struct store *s, uint64_t need);
bool level_grew(const struct store *s);
uint64_t level_slice(const struct store *s); /* bytes to be deleted in one commit, at most */
/* Index thread (or before it runs): the same for the index. */
void level_index_look(struct store *s);
void level_index_ahead(struct store *s, uint64_t need);

/* ---- recover.c ---- */
/* Every configuration object is readable? ERR_CORRUPT with a text for the operator. */
int recover_check_objects(struct store *s, struct err_detail *err) LL_MUST_USE;

/* ---- idem.c ---- */
int idem_load(struct store *s) LL_MUST_USE; /* the buckets that exist */
void idem_fini(struct store *s);
void idem_done(struct store *s, struct batch *b); /* b is durable or given up */
uint32_t idem_expired_hour(const struct store *s, int64_t age_ms);

/* ---- put.c ---- */
int64_t store_now_ms(struct store *s);      /* loop thread; see steady.h */
struct batch *store_batch(struct store *s); /* the open batch, with its place in the order */
/* n bytes more are in the batch: what they take in memory, and in pages. */
void store_account(struct store *s, struct batch *b, size_t n);

/* ---- row.c ---- */
/* The first `need` bytes (or more) of the record that begins with row `first`: in place, or put
 * together in the arena. ERR_CORRUPT, ERR_TOO_BIG. */
int row_join(MDB_txn *txn, const struct env *journal, uint64_t seq, struct str first, size_t need,
             struct arena *a, struct str *out) LL_MUST_USE;
/* Row as found in ev or at, to record. With head_only the event's data stays unread. */
int row_event(MDB_txn *txn, const struct env *journal, uint64_t seq, struct str first,
              bool head_only, struct arena *a, struct event_record *out) LL_MUST_USE;
/* Is the event there, readable, and was it for this destination? */
bool row_event_wants(MDB_txn *txn, const struct env *journal, uint64_t seq, uint32_t dest_num);
int row_attempt(MDB_txn *txn, const struct env *journal, uint64_t seq, struct str first,
                struct arena *a, struct attempt_record *out) LL_MUST_USE;

#endif
