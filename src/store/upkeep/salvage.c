/* SPDX-License-Identifier: Apache-2.0 */
/*
 * longline salvage OLD NEW: every row whose checksum is right, into a new journal.
 *
 *   1. the rows of the snapshot (salvage_root.h), passing over damaged pages; what is missing then,
 *      from an older one when there is one that is whole
 *   2. when rows are missing: what can be read of the damaged pages, and the leaves that no page
 *      names and that are not free. Their branch is lost, their rows are not. A row that is there
 *      already stays: events, attempts and their
 *      chunks are written once, and of the others the snapshot's is the newer.
 *   3. what only shows in the whole: records of several rows, chunks without a record, retries that
 *      came from such leaves and whose delivery has ended
 *
 * LMDB reads nothing of OLD. NEW gets an identity of its own; the index is rebuilt.
 */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "longline/mem.h"
#include "longline/rng.h"

#include "record/record_internal.h"
#include "store_internal.h"
#include "upkeep/check.h"
#include "upkeep/copy.h"
#include "upkeep/offline.h"
#include "upkeep/salvage_root.h"

#define COMMIT_ROWS  20000U
#define MAP_SPARE    ((size_t)256 << 20)
#define DEST_NUM_GAP 1000000U /* above the numbers that were seen, when the last one is lost */
#define RETRY_V1     13U      /* number4 next_at_ms8 manual1 */
#define DOUBTFUL_MAX 1024U
#define LINES_MAX    10000U /* lost rows that are named one by one */

struct pair {
    uint64_t seq;
    uint32_t dest;
};

struct suspect {
    uint64_t page;
    enum journal_tree tree; /* N_JOURNAL_TREES: one of LMDB's own */
};

struct salvage {
    struct offline o;
    struct pg_file file;
    struct salvage_root root;
    struct pg_walk_result walk;
    struct env env; /* the new journal */
    MDB_txn *txn;
    size_t n_put;   /* in this transaction */
    int rc;         /* the first error of the new journal; LMDB's code */
    bool is_orphan; /* rows come from leaves that no page names */
    struct buf run;
    struct suspect *suspects; /* pages that the walk found damaged */
    size_t n_suspects, cap_suspects;
    uint64_t copied[N_JOURNAL_TREES], damaged[N_JOURNAL_TREES], found[N_JOURNAL_TREES];
    bool had_meta_low, had_meta_num, had_id_key;
    uint32_t dest_num;    /* the greatest that was seen */
    struct pair *retries; /* from orphans */
    size_t n_retries, cap_retries;
    struct pair doubtful[DOUBTFUL_MAX]; /* retries whose checksum was wrong */
    size_t n_doubtful;
    size_t n_lines;
};

/* ---- the new journal ---- */

static void commit(struct salvage *s, bool go_on)
{
    if (s->txn != NULL) {
        if (s->rc == 0) {
            s->rc = mdb_txn_commit(s->txn);
        } else {
            mdb_txn_abort(s->txn);
        }
        s->txn = NULL;
    }
    if (go_on && s->rc == 0) {
        s->rc = mdb_txn_begin(s->env.mdb, NULL, 0, &s->txn);
    }
    s->n_put = 0;
}

/* False when the row is there already, or on an error. */
static bool put(struct salvage *s, enum journal_tree tree, struct str key, struct str value)
{
    MDB_val k = val_of(key.p, key.n);
    MDB_val v = val_of(value.p, value.n);
    int rc;

    if (s->rc != 0 || key.n == 0 || key.n > KEY_OBJECT_MAX) {
        return false;
    }
    rc = mdb_put(s->txn, s->env.dbi[tree], &k, &v, MDB_NOOVERWRITE);
    if (rc == MDB_KEYEXIST) {
        return false;
    }
    s->rc = rc;
    if (++s->n_put >= COMMIT_ROWS) {
        commit(s, true);
    }
    return s->rc == 0;
}

static void say_lost(struct salvage *s, const char *tree, struct str key, const char *why)
{
    char text[OFFLINE_KEY_MAX];
    if (s->n_lines++ >= LINES_MAX) {
        return;
    }
    offline_key_text(text, tree, key);
    offline_say(&s->o, "lost: %s: %s", text, why);
}

/* ---- 1, 2: rows ---- */

static void note_num(struct salvage *s, uint32_t num)
{
    s->dest_num = num > s->dest_num ? num : s->dest_num;
}

static void note_retry(struct salvage *s, struct str key)
{
    if (s->n_retries == s->cap_retries) {
        s->cap_retries = s->cap_retries != 0 ? s->cap_retries * 2 : 256;
        s->retries = mem_realloc_array(s->retries, s->cap_retries, sizeof(*s->retries));
    }
    s->retries[s->n_retries++] = (struct pair){.seq = get_be64(key.p), .dest = get_be32(key.p + 8)};
}

static void note_meta(struct salvage *s, struct str key)
{
    s->had_meta_low = s->had_meta_low || str_eq(key, str_c(META_LOW));
    s->had_meta_num = s->had_meta_num || str_eq(key, str_c(META_DEST_NUM));
    s->had_id_key = s->had_id_key || str_eq(key, str_c(META_ID_KEY));
}

/* A record of several rows is judged in step 3, when all that there is of it has been copied. */
static bool is_first_of_several(enum journal_tree tree, struct str value)
{
    struct record_size size;
    const int rc = tree == TREE_EV   ? event_size(value, &size)
                   : tree == TREE_AT ? attempt_size(value, &size)
                                     : ERR_CORRUPT;
    return rc == 0 && value.n == ROW_MAX && size.total > ROW_MAX;
}

static bool take_row(struct salvage *s, enum journal_tree tree, struct str key, struct str value)
{
    if (!put(s, tree, key, value)) {
        return false;
    }
    s->copied[tree]++;
    if (tree == TREE_MT) {
        note_meta(s, key);
    } else if (tree == TREE_RT) {
        note_num(s, get_be32(key.p + 8));
        if (s->is_orphan) {
            note_retry(s, key);
        }
    }
    return true;
}

/* That a delivery is owed is more than when: a retry whose own numbers are lost is due at once,
 * when step 3 finds that its key is one that the event knows. */
static bool take_damaged_retry(struct salvage *s, struct str key)
{
    unsigned char value[SEAL_BYTES + RETRY_V1] = {0};
    if (s->n_doubtful == DOUBTFUL_MAX) {
        return false;
    }
    s->doubtful[s->n_doubtful++] =
        (struct pair){.seq = get_be64(key.p), .dest = get_be32(key.p + 8)};
    put_be32(value + SEAL_BYTES, 1);
    value_seal(value, sizeof(value), journal_trees[TREE_RT], key);
    return take_row(s, TREE_RT, key, str_of((const char *)value, sizeof(value)));
}

/* NULL when the row was sound, or may be. */
static const char *take_sound_row(struct salvage *s, const struct pg_row *row)
{
    const enum journal_tree tree = (enum journal_tree)row->tree;
    struct buf none;
    const char *why = NULL;

    if (!is_first_of_several(tree, row->value)) {
        buf_init(&none, 0);
        why = check_journal_row(tree, row->key, row->value, NULL, NULL, &none);
        buf_fini(&none);
    }
    if (why == NULL) {
        (void)take_row(s, tree, row->key, row->value);
    }
    return why;
}

static void on_older_row(void *ctx, const struct pg_row *row)
{
    (void)take_sound_row(ctx, row);
}

static void on_row(void *ctx, const struct pg_row *row)
{
    struct salvage *s = ctx;
    const enum journal_tree tree = (enum journal_tree)row->tree;
    const char *why;

    s->found[tree]++;
    why = take_sound_row(s, row);
    if (why == NULL) {
        return;
    }
    s->damaged[tree]++;
    say_lost(s, journal_trees[tree], row->key, why);
    if (tree == TREE_RT) {
        (void)take_damaged_retry(s, row->key);
    }
}

static enum journal_tree tree_of(const char *name)
{
    enum journal_tree tree = TREE_EV;
    while (tree != N_JOURNAL_TREES && strcmp(name, journal_trees[tree]) != 0) {
        tree++;
    }
    return tree;
}

static void on_problem(void *ctx, const struct pg_problem *p)
{
    struct salvage *s = ctx;
    check_say_problem(&s->o, check_name(false), false, p);
    if (p->page == PG_NONE || p->page < PG_FIRST) {
        return;
    }
    if (s->n_suspects == s->cap_suspects) {
        s->cap_suspects = s->cap_suspects != 0 ? s->cap_suspects * 2 : 64;
        s->suspects = mem_realloc_array(s->suspects, s->cap_suspects, sizeof(*s->suspects));
    }
    s->suspects[s->n_suspects++] = (struct suspect){.page = p->page, .tree = tree_of(p->tree)};
}

/* ---- 2: leaves that no page names ---- */

/* Which tree a row belongs to, by the length of its key and its checksum; N_JOURNAL_TREES: none. */
static enum journal_tree classify(struct str key, struct str value)
{
    static const char *const names[] = {META_FORMAT,   META_IDENTITY, META_ID_KEY, META_LOW,
                                        META_DEST_NUM, META_SKEW,     META_CLEAN,  META_TIME,
                                        "age",         "ages"};
    struct buf none;
    enum journal_tree found = N_JOURNAL_TREES;

    buf_init(&none, 0);
    for (enum journal_tree t = TREE_EV; t <= TREE_CF && found == N_JOURNAL_TREES; t++) {
        const bool fits = t == TREE_CF ? key.n > 1 && key.n <= KEY_OBJECT_MAX &&
                                             (unsigned char)key.p[0] >= STORE_TENANT &&
                                             (unsigned char)key.p[0] <= STORE_LAST_OBJECT
                                       : key.n == journal_rules[t].n_key;
        if (fits && (is_first_of_several(t, value) ||
                     check_journal_row(t, key, value, NULL, NULL, &none) == NULL)) {
            found = t;
        }
    }
    for (size_t i = 0; i < LL_COUNT(names) && found == N_JOURNAL_TREES; i++) {
        if (str_eq(key, str_c(names[i])) &&
            check_journal_row(TREE_MT, key, value, NULL, NULL, &none) == NULL) {
            found = TREE_MT;
        }
    }
    buf_fini(&none);
    return found;
}

static bool read_value(struct salvage *s, const struct pg_node *node, struct str *out)
{
    const size_t n = (node->n_data + PG_HEAD + s->file.page - 1) / s->file.page;
    unsigned char head[PG_SIZE_MAX];
    struct pg_page page;
    const char *why;

    *out = node->data;
    if (node->run == 0) {
        return true;
    }
    if (node->n_data > RECORD_MAX_BYTES || pg_file_page(&s->file, node->run, head, &page, &why) ||
        page.kind != PG_OVERFLOW || page.pages < n || buf_reserve(&s->run, n * s->file.page) != 0 ||
        pg_file_read(&s->file, node->run, (unsigned char *)s->run.p, n) != 0) {
        return false;
    }
    *out = str_of(s->run.p + PG_HEAD, node->n_data);
    return true;
}

/* Returns the tree whose row the node was, N_JOURNAL_TREES when it is none; with `only`, of that
 * tree. */
static enum journal_tree take_node(struct salvage *s, const struct pg_node *node,
                                   const enum journal_tree *only)
{
    struct str value;
    enum journal_tree tree;

    if (node->is_tree || !read_value(s, node, &value)) {
        return N_JOURNAL_TREES;
    }
    tree = classify(node->key, value);
    if (tree == N_JOURNAL_TREES || (only != NULL && tree != *only)) {
        return N_JOURNAL_TREES;
    }
    (void)take_row(s, tree, node->key, value);
    return tree;
}

/* Node by node: one that is damaged does not take the others of its page with it. */
static enum journal_tree take_leaf(struct salvage *s, const unsigned char *p,
                                   unsigned char *covered)
{
    const size_t n = pg_leaf_slots(p, s->file.page);
    enum journal_tree found = N_JOURNAL_TREES;

    for (size_t i = 0; i < n && s->rc == 0; i++) {
        struct pg_node node;
        enum journal_tree tree;
        if (!pg_leaf_try(p, s->file.page, i, &node)) {
            continue;
        }
        tree = take_node(s, &node, NULL);
        found = tree != N_JOURNAL_TREES ? tree : found;
        if (tree != N_JOURNAL_TREES && covered != NULL) {
            const size_t at = (size_t)(node.key.p - (const char *)p) - PG_NODE_HEAD;
            const size_t bytes = PG_NODE_HEAD + node.key.n + (node.run != 0 ? 8 : node.n_data);
            memset(covered + at, 1, bytes);
        }
    }
    return found;
}

/* Nodes whose offset in the page's head is damaged. From places that nothing points to only rows of
 * the tree that the page belongs to are taken, and not from within other rows: an endpoint's
 * response could be made to look like a row. */
static void take_uncovered(struct salvage *s, const unsigned char *p, const unsigned char *covered,
                           enum journal_tree tree)
{
    size_t at = PG_HEAD;
    while (at < s->file.page && s->rc == 0) {
        struct pg_node node;
        size_t n = 0;
        if (covered[at] == 0 && pg_leaf_try_at(p, s->file.page, at, &node, &n) &&
            take_node(s, &node, &tree) != N_JOURNAL_TREES) {
            at += n;
        } else {
            at += 2;
        }
    }
}

/* May the leaves that no page names be free ones? */
static bool may_be_stale(const struct salvage *s)
{
    return !s->walk.free_is_good || !s->root.found || s->root.is_guess;
}

/* What the offsets name, or what they do not. */
enum how { HOW_NAMED, HOW_UNCOVERED };

/* tree: that of its place; what it holds tells more. */
static void take_page(struct salvage *s, const unsigned char *p, enum journal_tree tree,
                      enum how how)
{
    unsigned char covered[PG_SIZE_MAX];
    enum journal_tree found;

    if (how == HOW_NAMED) {
        (void)take_leaf(s, p, NULL);
        return;
    }
    memset(covered, 0, s->file.page);
    found = take_leaf(s, p, covered); /* the rows are there already */
    take_uncovered(s, p, covered, found != N_JOURNAL_TREES ? found : tree);
}

static int take_suspects(struct salvage *s, enum how how)
{
    unsigned char buf[PG_SIZE_MAX];
    for (size_t i = 0; i < s->n_suspects && s->rc == 0; i++) {
        const int rc = pg_file_read(&s->file, s->suspects[i].page, buf, 1);
        if (rc != 0 && rc != ERR_CORRUPT) {
            return rc;
        }
        if (rc == 0) {
            take_page(s, buf, s->suspects[i].tree, how);
        }
    }
    return 0;
}

/* Only pages that say of themselves that they are leaves: what publishers wrote lies in other pages
 * and must not be taken for rows. */
static int take_orphans(struct salvage *s, enum how how, uint64_t *n_leaves)
{
    const uint64_t n = pg_file_pages(&s->file);
    unsigned char buf[PG_SIZE_MAX];

    *n_leaves = 0;
    for (uint64_t i = PG_FIRST; i < n && s->rc == 0; i++) {
        struct pg_page page;
        int rc;
        if (pg_used(&s->walk, i)) {
            continue;
        }
        rc = pg_file_read(&s->file, i, buf, 1);
        if (rc != 0) {
            return rc;
        }
        if (!pg_is_leaf(buf, i)) {
            continue;
        }
        ++*n_leaves;
        if (how == HOW_NAMED || pg_page_parse(&page, buf, s->file.page, i) != NULL) {
            take_page(s, buf, N_JOURNAL_TREES, how);
        }
    }
    return 0;
}

/* First of all pages what is named: between the nodes of a page lie remains of others, and a part
 * of a large record has no checksum of its own that would tell one that was overwritten. */
static int take_unnamed(struct salvage *s)
{
    uint64_t n_leaves = 0;
    int rc = 0;

    s->is_orphan = true;
    for (enum how how = HOW_NAMED; how <= HOW_UNCOVERED && rc == 0; how++) {
        rc = take_suspects(s, how);
        rc = rc == 0 ? take_orphans(s, how, &n_leaves) : rc;
    }
    s->is_orphan = false;
    if (rc == 0) {
        offline_say(&s->o, "%llu leaves that no sound page names were read as well%s",
                    (unsigned long long)n_leaves,
                    !may_be_stale(s)
                        ? ""
                        : "; free pages may be among them, and with them rows that were deleted");
    }
    return rc;
}

/* ---- 3: what only shows in the whole ---- */

static bool has_row(struct salvage *s, enum journal_tree tree, uint64_t seq)
{
    unsigned char bytes[KEY_SEQ];
    MDB_val key = val_of(bytes, sizeof(bytes));
    MDB_val value;
    key_seq(bytes, seq);
    return mdb_get(s->txn, s->env.dbi[tree], &key, &value) == 0;
}

/* Deletes records that are not whole, and notes the greatest number of a destination. */
static int sift_records(struct salvage *s, enum journal_tree tree)
{
    MDB_cursor *cur;
    MDB_val key;
    MDB_val value;
    struct arena a;
    int rc = mdb_cursor_open(s->txn, s->env.dbi[tree], &cur);

    if (rc != 0) {
        return rc;
    }
    arena_init(&a, 2 * RECORD_MAX_BYTES);
    while ((rc = mdb_cursor_get(cur, &key, &value, MDB_NEXT)) == 0) {
        const uint64_t seq = get_be64(key.mv_data);
        struct event_record e = {0};
        struct attempt_record at = {0};
        int bad;
        arena_reset(&a);
        bad = tree == TREE_EV ? row_event(s->txn, &s->env, seq, str_of_val(&value), false, &a, &e)
                              : row_attempt(s->txn, &s->env, seq, str_of_val(&value), &a, &at);
        if (bad != 0) {
            s->copied[tree]--;
            s->damaged[tree]++;
            say_lost(s, journal_trees[tree], str_of_val(&key),
                     "a part of it is missing or damaged");
            rc = mdb_cursor_del(cur, 0);
            if (rc != 0) {
                break;
            }
            continue;
        }
        note_num(s, at.dest_num);
        for (size_t i = 0; i < e.n_dests; i++) {
            note_num(s, e.dests[i].num);
        }
    }
    arena_fini(&a);
    mdb_cursor_close(cur);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int sift_chunks(struct salvage *s)
{
    MDB_cursor *cur;
    MDB_val key;
    MDB_val value;
    int rc = mdb_cursor_open(s->txn, s->env.dbi[TREE_BD], &cur);

    if (rc != 0) {
        return rc;
    }
    while ((rc = mdb_cursor_get(cur, &key, &value, MDB_NEXT)) == 0) {
        const uint64_t seq = get_be64(key.mv_data);
        if (!has_row(s, TREE_EV, seq) && !has_row(s, TREE_AT, seq)) {
            s->copied[TREE_BD]--;
            rc = mdb_cursor_del(cur, 0);
            if (rc != 0) {
                break;
            }
        }
    }
    mdb_cursor_close(cur);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

static int by_pair(const void *a, const void *b)
{
    const struct pair *x = a;
    const struct pair *y = b;
    if (x->seq != y->seq) {
        return x->seq < y->seq ? -1 : 1;
    }
    return x->dest < y->dest ? -1 : x->dest > y->dest;
}

static int drop_retry(struct salvage *s, const struct pair *p)
{
    unsigned char bytes[KEY_RETRY];
    MDB_val key = val_of(bytes, sizeof(bytes));
    int rc;
    key_retry(bytes, p->seq, p->dest);
    rc = mdb_del(s->txn, s->env.dbi[TREE_RT], &key, NULL);
    s->copied[TREE_RT] -= rc == 0 ? 1 : 0;
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* A retry with a wrong checksum may have a wrong key: it must not send an event to a destination
 * that did not want it. */
static int sift_doubtful(struct salvage *s)
{
    int rc = 0;
    for (size_t i = 0; i < s->n_doubtful && rc == 0; i++) {
        const struct pair *p = &s->doubtful[i];
        if (row_event_wants(s->txn, &s->env, p->seq, p->dest)) {
            offline_say(&s->o, "a retry of event %llu is owed, and becomes due at once",
                        (unsigned long long)p->seq);
        } else {
            rc = drop_retry(s, p);
        }
    }
    return rc;
}

/* A retry from a leaf that no page names may be an old one: it goes when its delivery has ended.
 * One whose event is lost stays, so that the next start records that it was owed. */
static int sift_retries(struct salvage *s)
{
    MDB_cursor *cur;
    MDB_val key;
    MDB_val value;
    int rc;

    if (s->n_retries == 0) {
        return 0;
    }
    qsort(s->retries, s->n_retries, sizeof(*s->retries), by_pair);
    rc = mdb_cursor_open(s->txn, s->env.dbi[TREE_AT], &cur);
    if (rc != 0) {
        return rc;
    }
    while ((rc = mdb_cursor_get(cur, &key, &value, MDB_NEXT)) == 0) {
        struct attempt_record at;
        struct pair p;
        if (value.mv_size >= ROW_MAX ||
            attempt_decode(&at, get_be64(key.mv_data), str_of_val(&value)) != 0 || !at.final) {
            continue;
        }
        p = (struct pair){.seq = at.event_seq, .dest = at.dest_num};
        if (bsearch(&p, s->retries, s->n_retries, sizeof(p), by_pair) != NULL &&
            (rc = drop_retry(s, &p)) != 0) {
            break;
        }
    }
    mdb_cursor_close(cur);
    return rc == MDB_NOTFOUND ? 0 : rc;
}

/* ---- the numbers of the journal ---- */

static int set_meta(struct salvage *s, const char *name, const void *p, size_t n)
{
    return meta_put(s->txn, s->env.dbi[TREE_MT], name, p, n) == 0 ? 0 : EIO;
}

static int fix_meta(struct salvage *s, bool retries_lost)
{
    unsigned char bytes[32];
    int rc;

    rng_fill(rng_system(), bytes, 16);
    rc = set_meta(s, META_IDENTITY, bytes, 16);
    put_be32(bytes, JOURNAL_FORMAT);
    rc = rc == 0 ? set_meta(s, META_FORMAT, bytes, 4) : rc;
    if (rc == 0 && (!s->had_meta_low || retries_lost)) {
        offline_say(&s->o, "which deliveries had ended was lost in part: every event without a "
                           "final attempt is delivered again");
        put_be64(bytes, 0);
        rc = set_meta(s, META_LOW, bytes, 8);
    }
    if (rc == 0 && !s->had_meta_num) {
        put_be32(bytes, s->dest_num < UINT32_MAX - DEST_NUM_GAP ? s->dest_num + DEST_NUM_GAP
                                                                : UINT32_MAX - 1);
        rc = set_meta(s, META_DEST_NUM, bytes, 4);
    }
    if (rc == 0 && !s->had_id_key) {
        offline_say(&s->o, "the key of the attempts' ids was lost: they have new ids");
        rng_fill(rng_system(), bytes, 16);
        rc = set_meta(s, META_ID_KEY, bytes, 16);
    }
    /* Marks of how far times may differ from seqs: unlimited costs a little, too small hides. */
    if (rc == 0) {
        for (size_t i = 0; i < 4; i++) {
            put_be64(bytes + 8 * i, (uint64_t)INT64_MAX / 4);
        }
        rc = set_meta(s, META_SKEW, bytes, 32);
    }
    return rc;
}

/* ---- all of it ---- */

/* A damaged free list is no reason to look further: the new journal has one of its own. */
static bool has_all_rows(const struct salvage *s)
{
    for (size_t i = 0; i < N_JOURNAL_TREES; i++) {
        if (!s->walk.has_tree[i] || s->found[i] < s->walk.trees[i].entries) {
            return false;
        }
    }
    return true;
}

static void ignore_problem(void *ctx, const struct pg_problem *p)
{
    (void)ctx;
    (void)p;
}

/* Its rows may have been deleted since: retries are judged like those of pages that nothing names.
 */
static int fill_gaps(struct salvage *s)
{
    struct pg_walk_result result;
    const struct pg_walk_spec spec = {.file = &s->file,
                                      .meta = &s->root.older,
                                      .rules = journal_rules,
                                      .n_rules = N_JOURNAL_TREES,
                                      .on_problem = ignore_problem,
                                      .on_row = on_older_row,
                                      .ctx = s};
    int rc;

    s->is_orphan = true;
    rc = pg_walk(&spec, &result);
    pg_walk_result_fini(&result);
    s->is_orphan = false;
    return rc;
}

static int copy_rows(struct salvage *s, struct err_detail *err)
{
    bool is_whole = false;
    int rc = salvage_find_root(&s->o, &s->file, &s->root);

    if (rc == 0 && s->root.found) {
        const struct pg_walk_spec spec = {.file = &s->file,
                                          .meta = &s->root.meta,
                                          .rules = journal_rules,
                                          .n_rules = N_JOURNAL_TREES,
                                          .on_problem = on_problem,
                                          .on_row = on_row,
                                          .ctx = s};
        rc = pg_walk(&spec, &s->walk);
        is_whole = rc == 0 && has_all_rows(s);
    }
    if (rc == 0 && !is_whole && s->root.has_older) {
        rc = fill_gaps(s);
    }
    if (rc == 0 && !is_whole) {
        rc = take_unnamed(s);
    }
    return rc == 0 ? 0 : err_set(err, rc, 0, "cannot read the journal: %s", err_text(rc));
}

static bool retries_lost(const struct salvage *s)
{
    return !s->root.found || !s->walk.has_tree[TREE_RT] ||
           s->found[TREE_RT] < s->walk.trees[TREE_RT].entries;
}

static int sift(struct salvage *s, struct err_detail *err)
{
    int rc = s->rc;

    rc = rc == 0 ? sift_records(s, TREE_EV) : rc;
    rc = rc == 0 ? sift_records(s, TREE_AT) : rc;
    rc = rc == 0 ? sift_chunks(s) : rc;
    rc = rc == 0 ? sift_doubtful(s) : rc;
    rc = rc == 0 ? sift_retries(s) : rc;
    rc = rc == 0 ? fix_meta(s, retries_lost(s)) : rc;
    s->rc = rc;
    commit(s, false);
    return s->rc == 0 ? 0
                      : err_set(err, err_from_mdb(s->rc), s->rc, "the new journal: %s",
                                mdb_strerror(s->rc));
}

static void say_counts(const struct salvage *s)
{
    static const char *const names[N_JOURNAL_TREES] = {
        [TREE_EV] = "events",  [TREE_AT] = "attempts",         [TREE_BD] = "parts of large records",
        [TREE_RT] = "retries", [TREE_IK] = "idempotency keys", [TREE_CF] = "configuration objects",
        [TREE_MT] = "values"};
    for (size_t i = 0; i < (size_t)N_JOURNAL_TREES; i++) {
        const uint64_t had = s->walk.has_tree[i] ? s->walk.trees[i].entries : 0;
        const uint64_t lost = had > s->copied[i] ? had - s->copied[i] : 0;
        if (s->walk.has_tree[i]) {
            offline_say(&s->o, "%s: %llu copied, %llu lost", names[i],
                        (unsigned long long)s->copied[i], (unsigned long long)lost);
        } else {
            offline_say(&s->o, "%s: %llu copied, how many were lost is not known", names[i],
                        (unsigned long long)s->copied[i]);
        }
    }
}

static int open_new(struct salvage *s, const char *to, struct err_detail *err)
{
    char dir[ENV_PATH_MAX];
    const struct env_spec spec = {.dir = dir,
                                  .file = CRASH_JOURNAL,
                                  .assert_status = 1,
                                  .map_size = 2 * (size_t)s->file.bytes + MAP_SPARE,
                                  .trees = journal_trees,
                                  .n_trees = N_JOURNAL_TREES};
    int rc = dir_create(to);

    if (rc != 0) {
        return err_set(err, rc, 0, "cannot create %.100s: %s", to, err_text(rc));
    }
    rc = copy_is_empty_dir(to, err);
    if (rc == 0 && path_join(dir, to, "journal") != 0) {
        rc = err_set(err, ERR_TOO_BIG, 0, "the path is too long");
    }
    rc = rc == 0 ? env_open(&s->env, &spec, err) : rc;
    if (rc == 0) {
        commit(s, true);
    }
    return rc;
}

static int run(struct salvage *s, const char *data_dir, const char *to, struct err_detail *err)
{
    int rc = open_new(s, to, err);

    if (rc == 0) {
        rc = copy_rows(s, err);
    }
    if (rc == 0) {
        rc = sift(s, err);
    }
    if (s->txn != NULL) {
        mdb_txn_abort(s->txn);
    }
    env_close(&s->env);
    if (rc == 0) {
        rc = copy_files(data_dir, to, err);
    }
    if (rc == 0) {
        rc = dir_sync(to);
    }
    if (rc == 0) {
        say_counts(s);
    }
    return rc;
}

int store_salvage(const char *data_dir, const char *to, store_say_fn say, void *ctx,
                  struct err_detail *err)
{
    struct salvage *s = mem_zalloc(sizeof(*s));
    char path[ENV_PATH_MAX];
    int rc;

    s->o = (struct offline){.say = say, .ctx = ctx};
    rc = offline_lock(&s->o, data_dir, err);
    if (rc == 0) {
        rc = path_join(path, data_dir, "journal/data.mdb");
        rc = rc == 0 ? pg_file_open(&s->file, path, err) : rc;
        if (rc == ERR_NOT_FOUND) {
            (void)err_set(err, rc, 0, "%.100s holds no journal", data_dir);
        }
        if (rc == 0) {
            check_say_metas(&s->o, check_name(false), &s->file);
            buf_init(&s->run, 2 * RECORD_MAX_BYTES);
            rc = run(s, data_dir, to, err);
            buf_fini(&s->run);
            pg_walk_result_fini(&s->walk);
            pg_file_close(&s->file);
        }
        offline_unlock(&s->o);
    }
    mem_free(s->retries);
    mem_free(s->suspects);
    mem_free(s);
    return rc;
}
