/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Measuring for room.h, blocks ahead of the files' ends, and admission.
 *
 * What is used is exact after every commit: LMDB counts the pages of its trees. Between two commits
 * the loop adds what it has handed over (pending_room) and what it has promised to put.
 */
#include <sys/statvfs.h>

#include "journal/ahead.h"
#include "store_internal.h"

/* Blocks are taken ahead by a part of the file system, within bounds: enough for some commits on a
 * small one, seldom on a large one. */
#define STEP_PART     64U
#define STEP_MIN      ((uint64_t)2 * 1024 * 1024)
#define STEP_MAX      ((uint64_t)32 * 1024 * 1024)

#define ROW_BYTES_MIN 128U
#define ROW_BYTES_MAX 512U

/* What a commit takes for changed pages is forgotten slowly. */
#define CHURN_DECAY   64U

static uint64_t load(const _Atomic uint64_t *v)
{
    return atomic_load_explicit(v, memory_order_relaxed);
}

static void store_u64(_Atomic uint64_t *v, uint64_t n)
{
    atomic_store_explicit(v, n, memory_order_relaxed);
}

static struct room_file room_of_file(const struct file_gauges *f)
{
    return (struct room_file){.used = load(&f->used),
                              .pinned = load(&f->pinned),
                              .blocks = load(&f->blocks),
                              .churn = load(&f->churn)};
}

static uint64_t rows_behind(const struct gauges *g)
{
    const uint64_t committed = load(&g->rows_committed);
    const uint64_t indexed = load(&g->rows_indexed);
    return committed > indexed ? committed - indexed : 0;
}

static void room_now(const struct store *s, struct room *r)
{
    const struct gauges *g = &s->gauges;
    const int64_t keep = atomic_load_explicit(&s->limits.min_free_disk, memory_order_relaxed);

    *r = (struct room){
        .journal = room_of_file(&g->journal),
        .index = room_of_file(&g->index),
        .index_owed = rows_behind(g) * load(&g->index_row_bytes),
        .spare = (int64_t)load(&g->disk_free) - keep,
        .max_size = (uint64_t)atomic_load_explicit(&s->limits.max_size, memory_order_relaxed),
        .map_size = (uint64_t)s->cfg.map_size,
        .is_ahead = atomic_load_explicit(&g->is_ahead, memory_order_relaxed),
        .is_index_behind = atomic_load_explicit(&g->is_index_behind, memory_order_relaxed)};
}

enum store_level level_of(const struct store *s, uint64_t extra)
{
    struct room r;
    room_now(s, &r);
    return room_level(&r, extra);
}

uint64_t level_excess(const struct store *s)
{
    struct room r;
    room_now(s, &r);
    return room_excess(&r);
}

bool level_may_purge(const struct store *s)
{
    return load(&s->gauges.journal.pinned) == 0 || level_of(s, 0) < STORE_LEVEL_STOP;
}

/* ---- measuring ---- */

static int note_usage(struct env *e, struct file_gauges *f, struct env_usage *usage)
{
    const int rc = env_usage(e, usage);
    if (rc == 0) {
        const uint64_t peak = load(&f->churn);
        const uint64_t faded = peak - peak / CHURN_DECAY;
        store_u64(&f->used, usage->used);
        store_u64(&f->churn, usage->churn > faded ? usage->churn : faded);
        store_u64(&f->blocks, ahead_blocks(e));
    }
    return rc;
}

void level_note_commit(struct store *s)
{
    struct env_usage usage;
    if (note_usage(&s->journal, &s->gauges.journal, &usage) == 0) {
        s->writer.file = usage.file;
        s->writer.scattered = usage.tree[TREE_RT] + usage.tree[TREE_IK] + usage.tree[TREE_CF];
    }
}

static void look_at_disk(struct store *s)
{
    struct statvfs fs;
    if (statvfs(s->cfg.data_dir, &fs) == 0) {
        const uint64_t part = (uint64_t)fs.f_blocks * fs.f_frsize / STEP_PART;
        store_u64(&s->gauges.disk_free, (uint64_t)fs.f_bavail * fs.f_frsize);
        store_u64(&s->gauges.step, part < STEP_MIN ? STEP_MIN : part > STEP_MAX ? STEP_MAX : part);
    }
}

/* Blocks for `need` bytes more than the file has, and a step beyond while there are enough; never
 * more than the file's part of the room. */
static void take_ahead(struct store *s, struct env *e, struct file_gauges *f, uint64_t need,
                       uint64_t most)
{
    const uint64_t file = env_file_bytes(e);
    const uint64_t step = load(&s->gauges.step);
    const uint64_t blocks = ahead_blocks(e);
    uint64_t want = file + need + step;
    int64_t spare;

    want = (want < most ? want : most) / e->page * e->page;
    if (want <= blocks || blocks >= file + need + step / 2 || e->no_ahead) {
        return;
    }
    look_at_disk(s);
    spare = (int64_t)load(&s->gauges.disk_free) - atomic_load(&s->limits.min_free_disk);
    if (spare > 0 && ahead_take(e, want, (uint64_t)spare)) {
        look_at_disk(s);
    }
    store_u64(&f->blocks, ahead_blocks(e));
}

void level_look(struct store *s)
{
    look_at_disk(s);
    atomic_store(&s->gauges.is_ahead, !s->journal.no_ahead);
    level_note_commit(s);
    store_u64(&s->gauges.journal.pinned, env_pinned(&s->journal));
    s->writer.looked_at_file = s->writer.file;
    level_journal_ahead(s, 0);
}

void level_journal_ahead(struct store *s, uint64_t need)
{
    struct room r;
    room_now(s, &r);
    take_ahead(s, &s->journal, &s->gauges.journal, need, room_journal_most(&r));
}

void level_index_ahead(struct store *s, uint64_t need)
{
    struct room r;
    room_now(s, &r);
    take_ahead(s, &s->index.env, &s->gauges.index, need, room_index_most(&r));
}

/* How much a row of the journal takes there, as measured when no rows of purged ones were left, and
 * within bounds while there is little to measure. */
static uint64_t index_row_bytes(const struct sweep *sw)
{
    const uint64_t bytes = sw->row_bytes;
    return bytes < ROW_BYTES_MIN ? ROW_BYTES_MIN : bytes > ROW_BYTES_MAX ? ROW_BYTES_MAX : bytes;
}

void level_index_look(struct store *s)
{
    struct index *x = &s->index;
    struct env_usage usage;

    if (note_usage(&x->env, &s->gauges.index, &usage) == 0) {
        const struct feed *f = &x->feed;
        const struct sweep_size size = {.bytes = usage.used,
                                        .n_indexed = usage.rows[TREE_EA],
                                        .n_attempts = f->n_live[STORE_ATTEMPTS],
                                        .n_events = f->n_live[STORE_EVENTS],
                                        .is_short =
                                            x->is_short || level_of(s, 0) >= STORE_LEVEL_HIGH};
        memcpy(x->tree_bytes, usage.tree, sizeof(x->tree_bytes));
        atomic_store(&s->gauges.is_index_behind, sweep_judge(&x->feed.sweep, &size));
        store_u64(&s->gauges.index_row_bytes, index_row_bytes(&x->feed.sweep));
    }
    level_index_ahead(s, 0);
}

bool level_grew(const struct store *s)
{
    return s->writer.file > s->writer.looked_at_file + load(&s->gauges.step) / 4;
}

uint64_t level_slice(const struct store *s)
{
    return load(&s->gauges.step) / 2;
}

enum store_level store_get_level(const struct store *s)
{
    return level_of(s, s->pending_room + s->owed_retries);
}

size_t store_pending_bytes(const struct store *s)
{
    return s->pending_bytes;
}

bool store_is_behind(const struct store *s)
{
    return s->pending_bytes > (uint64_t)s->cfg.max_pending_bytes;
}

/* Is there room for n bytes of pages below the mark? */
static int admit_below(const struct store *s, size_t n, enum store_level mark)
{
    if (s->is_dead || s->is_closing) {
        return ERR_BUSY;
    }
    if (level_of(s, s->pending_room + s->owed_retries + n) >= mark) {
        return ERR_FULL;
    }
    if (s->pending_bytes != 0 && s->pending_bytes + n > (uint64_t)s->cfg.max_pending_bytes) {
        return ERR_BUSY;
    }
    return 0;
}

int store_admit(const struct store *s, size_t n, size_t n_dests)
{
    return admit_below(s, room_of_record(n) + n_dests * STORE_RETRY_ROOM, STORE_LEVEL_FULL);
}

void store_set_owed(struct store *s, size_t n_retries, size_t attempts)
{
    s->owed_retries = n_retries * STORE_RETRY_ROOM;
    s->owed_attempts = attempts;
}

bool store_has_room_for_attempt(const struct store *s, size_t n)
{
    return level_of(s, s->pending_room + s->owed_retries + s->owed_attempts + n) < STORE_LEVEL_STOP;
}

size_t store_attempt_room(size_t n)
{
    return room_of_record(n);
}

int store_admit_replace(const struct store *s)
{
    return admit_below(s, 0, STORE_LEVEL_STOP);
}

const struct store_stats *store_get_stats(struct store *s)
{
    const struct gauges *g = &s->gauges;
    struct room r;

    room_now(s, &r);
    s->stats.used_bytes = r.journal.used + r.journal.pinned + r.index.used;
    s->stats.quota_bytes = room_quota(&r);
    s->stats.free_disk_bytes = load(&g->disk_free);
    s->stats.purged_events = load(&g->purged_events);
    s->stats.purged_attempts = load(&g->purged_attempts);
    s->stats.index_lag = rows_behind(g);
    s->stats.n_damaged = damage_count(&s->damage);
    return &s->stats;
}
