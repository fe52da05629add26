/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The store: two LMDB environments in one data directory.
 *
 *   journal  the truth. Written by one writer thread, in commits that are on disk before anyone is
 *            told. Whatever was queued while the last commit ran is the next commit.
 *   index    derived from the journal by a second thread; may be deleted, is rebuilt: also when it
 *            is damaged, and after a run that ended by a fatal signal.
 *
 * Writing: store_put_* and store_del_* add to the open batch; at the end of the turn it goes to
 * the writer. A waiter added after them is called when they are durable. Order is kept: what was
 * added first is never durable later than what was added after it. What is added in one turn after
 * an event or an attempt, up to the next one, is durable together with it.
 *
 * Reading: between store_read_begin and store_read_end, which stand in one callback. What was put
 * but not committed yet is not seen. Returned strings are valid until store_read_end.
 *
 * A commit error is fatal, and so is a journal file that is not in its place any more: on_fatal is
 * called once, no waiter is called any more, and the process is expected to exit. All functions
 * are for the loop thread.
 */
#ifndef LL_STORE_H
#define LL_STORE_H

#include "longline/arena.h"
#include "longline/config.h"
#include "longline/id.h"
#include "longline/loop.h"
#include "longline/metrics.h"
#include "longline/record.h"

struct store;

struct store_cfg { /* section [store] */
    char *data_dir;
    int64_t map_size;               /* virtual address space for the journal, bytes */
    int64_t max_size;               /* quota on used bytes (journal and index); 0: map_size */
    int64_t min_free_disk;          /* bytes that stay free on the file system */
    int64_t retention_ms;           /* age at which rows are purged, see store_age_ms */
    int64_t commit_interval_us_max; /* longest spacing of commits under load; 0: none */
    int64_t max_pending_bytes;      /* handed over and not committed; publishes are refused above */
    int64_t idempotency_ttl_ms;
};
extern const struct cfg_key store_cfg_keys[];
extern const size_t store_cfg_n_keys;

struct store_options {
    const struct store_cfg *cfg; /* copied */
    void (*on_fatal)(void *ctx, const struct err_detail *err);
    void *ctx;
    int damaged_status; /* of the exit when LMDB finds its journal impossible; 0: 1 */
};

/* Opens or creates; checks format version; takes the directory's lock (ERR_BUSY when another
 * process has it); starts the threads. ERR_CORRUPT, with what to do: a damaged object, an empty
 * journal beside an index. Installs handlers for fatal signals: see crash_mark.h. */
int store_open(struct store **out, struct loop *l, const struct store_options *o,
               struct err_detail *err) LL_MUST_USE;
void store_reload(struct store *s, const struct store_cfg *cfg);
/* Commits the open batch, calls its waiters, marks a clean shutdown, stops the threads. Nothing may
 * be put any more; done follows on a later turn. */
void store_close(struct store *s, void (*done)(void *ctx), void *ctx);

/* ---- admission ---- */
enum store_level {
    STORE_LEVEL_OK,
    STORE_LEVEL_HIGH, /* above 80 % of quota or room: publishes go on, purge works harder */
    STORE_LEVEL_FULL, /* above 90 %: publishes and new configuration are refused; pages that a
                         backup still reads count as used */
    STORE_LEVEL_STOP  /* above 97 %: only purging; attempts wait */
};
enum store_level store_get_level(const struct store *s);
size_t store_pending_bytes(const struct store *s);
bool store_is_behind(const struct store *s); /* pending bytes are above max_pending_bytes */
/* 0, ERR_FULL (level) or ERR_BUSY (pending bytes): may a publish of about n bytes for n_dests be
 * put now? */
int store_admit(const struct store *s, size_t n, size_t n_dests) LL_MUST_USE;
/* What will be put without being asked for: retry records, and records of attempts under way, as
 * bytes of store_attempt_room. */
#define STORE_RETRY_ROOM ((size_t)256)
void store_set_owed(struct store *s, size_t n_retries, size_t attempts);
/* May an attempt start whose record takes n bytes of room? Below STORE_LEVEL_STOP with all that is
 * owed. */
bool store_has_room_for_attempt(const struct store *s, size_t n);
size_t store_attempt_room(size_t n); /* at most what a record of n bytes takes */
/* The same for an object that takes the place of an older one: goes on to STORE_LEVEL_STOP, so that
 * the destination that fills the store can be disabled or put right. */
int store_admit_replace(const struct store *s) LL_MUST_USE;

/* ---- writing ---- */
struct store_waiter {
    void (*fn)(void *ctx); /* the batch is durable */
    void *ctx;
    struct list node; /* private */
};
/* Called when all that was put before is durable; when it is already, on a later turn. */
void store_wait(struct store *s, struct store_waiter *w);
void store_wait_cancel(struct store_waiter *w); /* harmless after it was called */

uint64_t store_next_seq(struct store *s);
/* The clock that ages are measured with: milliseconds for which a gateway ran on this directory. It
 * never jumps and knows nothing of the wall clock. */
int64_t store_age_ms(struct store *s);
/* For showing: how long ago a row of that seq was put. Right to the millisecond but while a step of
 * the wall clock has been taken over and the row is from before it. */
int64_t store_seq_age_ms(struct store *s, uint64_t seq);
/* Events with a smaller seq are older than the retention; 0: none. Those that are owed are not
 * purged by the store: deliver ends them. */
uint64_t store_cutoff(const struct store *s);
/* Events are put in the order of their seqs, and so are attempts: take the seq when the record is
 * put. store_put_event asserts it, store_put_attempt returns ERR_INVALID. Nothing is refused for
 * lack of room: ask store_admit before a publish. */
/* Encoded with this seq; takes a reference. */
void store_put_event(struct store *s, uint64_t seq, struct blob *encoded);
int store_put_attempt(struct store *s, const struct attempt_record *at);
void store_put_retry(struct store *s, const struct retry_record *rt);
void store_del_retry(struct store *s, uint64_t event_seq, uint32_t dest_num);
/* All events below seq are resolved or have retry records. */
void store_set_low(struct store *s, uint64_t seq);

/* Idempotency: remembers (tenant, event id) for the configured time. */
void store_put_idempotency(struct store *s, struct str tenant_id, struct str event_id,
                           uint64_t seq);
/* The remembered seq, committed or not. 0, ERR_NOT_FOUND, or why it cannot be known. */
int store_find_idempotency(struct store *s, struct str tenant_id, struct str event_id,
                           uint64_t *seq) LL_MUST_USE;

/* Configuration objects: small values under a kind and a key of at most 400 bytes. */
enum store_object {
    STORE_TENANT = 1,
    STORE_DESTINATION = 2,
    STORE_KEY = 3,
    STORE_TOPIC = 4,
    STORE_TOMBSTONE = 5,
    STORE_LAST_OBJECT = STORE_TOMBSTONE
};
int store_put_object(struct store *s, enum store_object kind, struct str key, struct str value);
void store_del_object(struct store *s, enum store_object kind, struct str key);
/* A new destination number (durable with the next batch). */
uint32_t store_next_dest_num(struct store *s);
uint32_t store_last_dest_num(const struct store *s);

/* ---- recovery, before anything is put ---- */
typedef int (*store_object_fn)(void *ctx, struct str key, struct str value); /* non-zero stops */
/* ERR_CORRUPT at an object that cannot be read. */
int store_each_object(struct store *s, enum store_object kind, store_object_fn fn, void *ctx);
typedef int (*store_retry_fn)(void *ctx, const struct retry_record *rt);
/* In the order of events, from this key on; also at any other time. */
int store_each_retry(struct store *s, uint64_t from_seq, uint32_t from_dest, store_retry_fn fn,
                     void *ctx);
uint64_t store_low(const struct store *s);
/* Events with seq >= from, each once, and attempts with seq >= from, in order. Data is not read:
 * event.data is empty. */
typedef int (*store_event_fn)(void *ctx, const struct event_record *e);
/* An event or an attempt from the low mark on that cannot be read. */
typedef int (*store_damaged_fn)(void *ctx, uint64_t seq);
typedef int (*store_attempt_fn)(void *ctx, const struct attempt_record *at);
int store_each_event(struct store *s, uint64_t from, store_event_fn fn, store_damaged_fn damaged,
                     void *ctx); /* damaged may be NULL: logged only */
int store_each_attempt(struct store *s, uint64_t from, store_attempt_fn fn, void *ctx);

/* ---- reading ---- */
int store_read_begin(struct store *s) LL_MUST_USE;
void store_read_end(struct store *s);
/* 0, ERR_NOT_FOUND, ERR_CORRUPT. Chunked records are put together in the arena. */
int store_get_event(struct store *s, uint64_t seq, struct arena *a,
                    struct event_record *out) LL_MUST_USE;
/* Without its data. */
int store_get_event_head(struct store *s, uint64_t seq, struct arena *a,
                         struct event_record *out) LL_MUST_USE;
int store_get_attempt(struct store *s, uint64_t seq, struct arena *a,
                      struct attempt_record *out) LL_MUST_USE;
/* An attempt's public id is derived from its seq under a key of the data directory: a UUIDv7 that
 * need not be stored and cannot be guessed. out is not terminated. */
void store_attempt_id(const struct store *s, uint64_t seq, char out[ID_LEN]);
/* By public id; tenant_id may be STR_NULL (any). The newest one when an id was used again.
 * ERR_BUSY: not found, but the index that is being rebuilt does not reach back far enough. */
int store_find_event(struct store *s, struct str tenant_id, struct str id, struct arena *a,
                     struct event_record *out) LL_MUST_USE;
int store_find_attempt(struct store *s, struct str tenant_id, struct str id, struct arena *a,
                       struct attempt_record *out) LL_MUST_USE;
/* Does the index say that the event was one of this tenant's that this destination wanted? For
 * events whose own record is damaged. Between store_read_begin and store_read_end. */
bool store_event_had_dest(struct store *s, uint64_t seq, struct str tenant_id, struct str dest_id);
/* The latest attempt for the pair, also when it is not indexed yet. ERR_BUSY as above. */
int store_last_attempt(struct store *s, uint64_t event_seq, struct str dest_id, struct arena *a,
                       struct attempt_record *out) LL_MUST_USE;

/*
 * Lists, newest or oldest first, from the index plus the tail that is not indexed yet.
 * Filters: a list of strings is an OR; different filters are ANDed; n = 0 means no filter.
 */
enum store_kind { STORE_EVENTS, STORE_ATTEMPTS };
struct store_strs {
    const struct str *v;
    size_t n;
};
struct store_query {
    enum store_kind kind;
    struct store_strs tenant_ids, ids, dest_ids, topics;
    struct store_strs event_ids, dest_types; /* attempts only */
    int status;                              /* attempts: -1 any, else enum attempt_status */
    int64_t from_ms, to_ms;                  /* time filter, both inclusive; INT64_MIN/MAX: none */
    bool ascending;
    uint64_t after_seq; /* cursor: start beyond this one in walking order; 0: at the end */
    size_t limit;
    size_t max_bytes; /* stop early when the records returned exceed this; 0: 4 MiB */
    size_t max_scan;  /* records looked at before stopping early; 0: 20000 */
    /* Name damaged records also where nothing tells whose they are: not for a tenant's eyes. */
    bool all_damaged;
};
struct store_page {
    size_t n;
    struct event_record *events;     /* in the arena, STORE_EVENTS */
    struct attempt_record *attempts; /* in the arena, STORE_ATTEMPTS */
    uint64_t
        *damaged; /* seqs of records in this part of the walk that cannot be read and may match,
                          in walking order; as many as limit allows */
    size_t n_damaged;
    bool more; /* more may follow (limit, bytes or scan budget reached) */
    uint64_t
        last_seq; /* where the walk stopped: the cursor of the next page; 0 when nothing was seen */
};
int store_query(struct store *s, const struct store_query *q, struct arena *a,
                struct store_page *out) LL_MUST_USE;
bool store_index_ready(const struct store *s); /* false while a rebuild is far behind */

/* ---- operations ---- */
struct store_stats {
    uint64_t used_bytes, quota_bytes, free_disk_bytes;
    uint64_t commits, events, attempts, purged_events, purged_attempts;
    uint64_t n_retries;
    uint64_t index_lag;           /* journal rows not indexed yet */
    uint64_t n_damaged;           /* events and attempts known to be damaged */
    struct metric commit_latency; /* histogram */
};
const struct store_stats *store_get_stats(struct store *s);

/* A consistent copy of the journal into the new or empty directory `to`, also while a gateway runs
 * on data_dir. Blocking; for the command line. */
int store_backup(const char *data_dir, const char *to, struct err_detail *err) LL_MUST_USE;

/* The commands on a directory that no gateway runs on (ERR_BUSY). Each finding is a line. Blocking.
 * Check reads every page and row of journal and index: ERR_CORRUPT when something is damaged.
 * Salvage copies what is sound into the new or empty directory `to`. */
typedef void (*store_say_fn)(void *ctx, const char *line);
int store_check(const char *data_dir, store_say_fn say, void *ctx,
                struct err_detail *err) LL_MUST_USE;
int store_salvage(const char *data_dir, const char *to, store_say_fn say, void *ctx,
                  struct err_detail *err) LL_MUST_USE;

#endif
