/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How full the store is. The quota is compared with the bytes in pages that are not free, because
 * the files never shrink; a disk that fills up lowers it, so that one set of marks serves both.
 *
 * Free pages that a backup still reads cannot be used before it ends. They count as used where it
 * is about room, so that publishes are refused in time; not where it is about how much to delete,
 * for deleting more would not bring them back.
 */
#include <sys/statvfs.h>

#include "store_internal.h"

#define HIGH_PERCENT 80U
#define FULL_PERCENT 90U
#define STOP_PERCENT 97U
/* Of the map, when no quota is set: deleting needs pages as well. */
#define MAP_PERCENT  90U

static uint64_t load(const _Atomic uint64_t *v)
{
    return atomic_load_explicit(v, memory_order_relaxed);
}

static uint64_t used_bytes(const struct gauges *g)
{
    const uint64_t pages = load(&g->journal_used) + load(&g->journal_pinned) + load(&g->index_used);
    const int64_t since = atomic_load_explicit(&g->since_scan, memory_order_relaxed);
    if (since >= 0) {
        return pages + (uint64_t)since;
    }
    return pages > (uint64_t)-since ? pages - (uint64_t)-since : 0;
}

static uint64_t quota_bytes(const struct store *s)
{
    const struct gauges *g = &s->gauges;
    const int64_t max_size = atomic_load_explicit(&s->limits.max_size, memory_order_relaxed);
    const uint64_t map = (uint64_t)s->cfg.map_size / 100 * MAP_PERCENT;
    const uint64_t keep =
        (uint64_t)atomic_load_explicit(&s->limits.min_free_disk, memory_order_relaxed);
    const uint64_t disk = load(&g->disk_free);
    const uint64_t files = load(&g->journal_file) + load(&g->index_file);
    const uint64_t pages = load(&g->journal_used) + load(&g->journal_pinned) + load(&g->index_used);
    uint64_t quota = max_size > 0 && (uint64_t)max_size < map ? (uint64_t)max_size : map;
    uint64_t room = disk > keep ? disk - keep : 0;

    room += files > pages ? files - pages : 0; /* free pages need no disk */
    /* From what was used when the disk was looked at: what came since has taken of the room. */
    if (pages + room < quota) {
        quota = pages + room;
    }
    return quota;
}

enum store_level level_of(const struct store *s, uint64_t extra)
{
    const uint64_t used = used_bytes(&s->gauges);
    const uint64_t percent = quota_bytes(s) / 100;

    if (used + extra >= percent * STOP_PERCENT) {
        return STORE_LEVEL_STOP;
    }
    if (used + extra >= percent * FULL_PERCENT) {
        return STORE_LEVEL_FULL;
    }
    return used + extra >= percent * HIGH_PERCENT ? STORE_LEVEL_HIGH : STORE_LEVEL_OK;
}

uint64_t level_excess(const struct store *s)
{
    const uint64_t all = used_bytes(&s->gauges);
    const uint64_t pinned = load(&s->gauges.journal_pinned);
    const uint64_t used = all > pinned ? all - pinned : 0;
    const uint64_t percent = quota_bytes(s) / 100;
    const uint64_t mark = percent * (HIGH_PERCENT - 1);
    return used >= percent * HIGH_PERCENT && used > mark ? used - mark : 0;
}

bool level_may_purge(const struct store *s)
{
    return load(&s->gauges.journal_pinned) == 0 || level_of(s, 0) < STORE_LEVEL_STOP;
}

void level_look(struct store *s)
{
    struct env_usage usage;
    struct statvfs fs;

    if (env_usage(&s->journal, &usage) == 0) {
        atomic_store(&s->gauges.journal_used, usage.used);
        atomic_store(&s->gauges.journal_pinned, usage.pinned);
        atomic_store(&s->gauges.journal_file, usage.file);
        atomic_store(&s->gauges.since_scan, 0);
    }
    if (statvfs(s->cfg.data_dir, &fs) == 0) {
        atomic_store(&s->gauges.disk_free, (uint64_t)fs.f_bavail * fs.f_frsize);
    }
}

enum store_level store_get_level(const struct store *s)
{
    return level_of(s, s->pending_bytes);
}

size_t store_pending_bytes(const struct store *s)
{
    return s->pending_bytes;
}

bool store_is_behind(const struct store *s)
{
    return s->pending_bytes > (uint64_t)s->cfg.max_pending_bytes;
}

/* Is there room for n bytes below the mark? */
static int admit_below(const struct store *s, size_t n, enum store_level mark)
{
    if (s->is_dead || s->is_closing) {
        return ERR_BUSY;
    }
    if (level_of(s, s->pending_bytes + n) >= mark) {
        return ERR_FULL;
    }
    if (s->pending_bytes != 0 && s->pending_bytes + n > (uint64_t)s->cfg.max_pending_bytes) {
        return ERR_BUSY;
    }
    return 0;
}

int store_admit(const struct store *s, size_t n)
{
    return admit_below(s, n, STORE_LEVEL_FULL);
}

int store_admit_replace(const struct store *s)
{
    return admit_below(s, 0, STORE_LEVEL_STOP);
}

const struct store_stats *store_get_stats(struct store *s)
{
    const struct gauges *g = &s->gauges;
    const uint64_t committed = load(&g->rows_committed);
    const uint64_t indexed = load(&g->rows_indexed);

    s->stats.used_bytes = used_bytes(g);
    s->stats.quota_bytes = quota_bytes(s);
    s->stats.free_disk_bytes = load(&g->disk_free);
    s->stats.purged_events = load(&g->purged_events);
    s->stats.purged_attempts = load(&g->purged_attempts);
    s->stats.index_lag = committed > indexed ? committed - indexed : 0;
    return &s->stats;
}
