/* SPDX-License-Identifier: Apache-2.0 */
#include "upkeep/room.h"

#include "record/schema.h"

#define KIB             ((uint64_t)1024)
#define MIB             (1024 * KIB)
#define PAGE            4096U
#define NODE            64U   /* a row's key, its head and its slot in a page */
#define INLINE          1984U /* longer values have a page of their own */

/* Of the map, when no quota is set: deleting needs pages as well. */
#define MAP_PERCENT     90U
/* The index may take this part of all there is, the journal what is left when the index has its
 * share: figures from 0.05 (large events) to 1 (tiny ones with many destinations) were measured. */
#define INDEX_PART_MAX  2U
#define INDEX_SHARE     4U
/* What is kept back in the index is no more than this part of it, each time. */
#define INDEX_KEEP_PART 4U

/* On a small disk a percent is less than what one commit takes. Deleting takes pages before it
 * gives any back; KEEP_MIN is enough for the small slices of a store that is full. */
#define KEEP_MIN        (1 * MIB)
#define CHURNS          2U /* pages that a commit frees can be used by the one after the next */
#define FULL_GAP        (2 * MIB) /* below STOP: for records of attempts at what was accepted */

static const unsigned percents[N_ROOM_MARKS] = {
    [ROOM_HIGH] = 80, [ROOM_FULL] = 90, [ROOM_STOP] = 97};

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t most(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

static uint64_t minus(uint64_t a, uint64_t b)
{
    return a > b ? a - b : 0;
}

/* What both files can hold. A reserve that others have used up takes nothing from the blocks that
 * were taken ahead; without those, every page that the files grow by is missing from the reserve,
 * and the quota must not grow with them. */
static uint64_t total(const struct room *r)
{
    const uint64_t blocks = r->journal.blocks + r->index.blocks;
    if (r->spare >= 0) {
        return blocks + (uint64_t)r->spare;
    }
    return r->is_ahead ? blocks : minus(blocks, (uint64_t)-r->spare);
}

uint64_t room_journal_most(const struct room *r)
{
    const uint64_t all = total(r);
    const uint64_t left = minus(all, r->index.blocks);
    const uint64_t share = all - all / (INDEX_SHARE + 1);
    return r->is_ahead ? most(r->journal.blocks, least(left, share)) : least(left, share);
}

uint64_t room_index_most(const struct room *r)
{
    const uint64_t all = total(r);
    const uint64_t left = minus(all, r->journal.blocks);
    return r->is_ahead ? most(r->index.blocks, least(left, all / INDEX_PART_MAX)) : left;
}

static struct room_budget budget_of(uint64_t used, uint64_t quota, uint64_t keep, uint64_t gap)
{
    struct room_budget b = {.used = used, .quota = quota};
    const uint64_t percent = quota / 100;

    b.marks[ROOM_STOP] = least(percent * percents[ROOM_STOP], minus(quota, keep));
    b.marks[ROOM_FULL] = least(percent * percents[ROOM_FULL], minus(b.marks[ROOM_STOP], gap));
    b.marks[ROOM_HIGH] = least(percent * percents[ROOM_HIGH], minus(b.marks[ROOM_FULL], gap / 2));
    return b;
}

static struct room_budget size_budget(const struct room *r)
{
    const uint64_t map = r->map_size / 100 * MAP_PERCENT;
    const uint64_t quota = r->max_size != 0 ? least(r->max_size, map) : map;
    return budget_of(r->journal.used + r->journal.pinned + r->index.used + r->index_owed, quota, 0,
                     0);
}

/* A commit writes no more pages anew than there are, whatever earlier ones took. */
static uint64_t churn_of(const struct room_file *f)
{
    return least(f->churn, f->used);
}

static struct room_budget journal_budget(const struct room *r)
{
    return budget_of(r->journal.used + r->journal.pinned, room_journal_most(r),
                     KEEP_MIN + CHURNS * churn_of(&r->journal), FULL_GAP);
}

/* The journal may have taken all the disk, and gives no block back. An index that stays small for
 * that reason has to do with what it has, or the store would be full for ever. */
static struct room_budget index_budget(const struct room *r)
{
    const uint64_t quota = room_index_most(r);
    const uint64_t part = quota / INDEX_KEEP_PART;
    return budget_of(r->index.used + r->index_owed, quota,
                     least(KEEP_MIN, part) + churn_of(&r->index), 0);
}

static enum store_level level_in(const struct room_budget *b, uint64_t extra)
{
    static const enum store_level levels[N_ROOM_MARKS] = {[ROOM_HIGH] = STORE_LEVEL_HIGH,
                                                          [ROOM_FULL] = STORE_LEVEL_FULL,
                                                          [ROOM_STOP] = STORE_LEVEL_STOP};
    for (unsigned mark = N_ROOM_MARKS; mark-- > 0;) {
        if (b->used + extra >= b->marks[mark]) {
            return levels[mark];
        }
    }
    return STORE_LEVEL_OK;
}

enum store_level room_level(const struct room *r, uint64_t extra)
{
    const struct room_budget size = size_budget(r);
    const struct room_budget journal = journal_budget(r);
    const struct room_budget index = index_budget(r);
    enum store_level level = level_in(&size, extra);
    const enum store_level in_journal = level_in(&journal, extra);
    enum store_level in_index = level_in(&index, 0);

    /* The index can wait for room, so it refuses nothing: there is only more deleting. */
    in_index = in_index > STORE_LEVEL_HIGH ? STORE_LEVEL_HIGH : in_index;
    level = in_journal > level ? in_journal : level;
    return in_index > level ? in_index : level;
}

/* Down to a percent below the mark, so that not every commit has to delete. */
static uint64_t excess_in(const struct room_budget *b, uint64_t pinned)
{
    const uint64_t used = minus(b->used, pinned);
    const uint64_t high = b->marks[ROOM_HIGH];
    return used >= high ? used - minus(high, b->quota / 100) : 0;
}

uint64_t room_excess(const struct room *now)
{
    struct room held = *now;
    held.index_owed = 0; /* it is an upper bound; what is not there cannot be deleted */
    const struct room *r = &held;
    const struct room_budget size = size_budget(r);
    const struct room_budget journal = journal_budget(r);
    const struct room_budget index = index_budget(r);
    const uint64_t excess =
        most(excess_in(&size, r->journal.pinned), excess_in(&journal, r->journal.pinned));
    uint64_t in_index = excess_in(&index, 0);

    if (r->is_index_behind || index.used == 0) {
        return excess;
    }
    /* The index gets smaller as the journal does, in proportion. */
    in_index = least(in_index, index.used);
    return most(excess,
                (uint64_t)((double)in_index / (double)index.used * (double)r->journal.used));
}

uint64_t room_quota(const struct room *r)
{
    return least(size_budget(r).quota, total(r));
}

uint64_t room_of_record(uint64_t n)
{
    const uint64_t rest = n % ROW_MAX;
    /* Rows that share a page leave less than half of it empty. */
    return n / ROW_MAX * (PAGE + NODE) + (rest > INLINE ? PAGE + NODE : 2 * (rest + NODE));
}
