/* SPDX-License-Identifier: Apache-2.0 */
#include "repair/salvage_root.h"

#include "longline/enc.h"
#include "longline/mem.h"

#include "record/schema.h"
#include "repair/check.h"

#define CANDIDATES_MAX 1024U
#define EMPTY_TREE                                                                                 \
    {                                                                                              \
        .root = PG_NONE                                                                            \
    }

struct candidate {
    struct pg_meta meta;
    uint64_t newest; /* seq of the newest row */
    uint64_t rows;   /* events and attempts, to choose among equals: later ones were purged more */
    uint64_t txn;    /* of the meta page that names it; 0: none does */
};

struct search {
    const struct pg_file *f;
    struct candidate *v;
    size_t n;
};

static void ignore_problem(void *ctx, const struct pg_problem *p)
{
    (void)ctx;
    (void)p;
}

/* Are all of its trees whole? */
static int try_root(const struct pg_file *f, struct pg_meta meta, bool *whole)
{
    struct pg_walk_result result;
    const struct pg_walk_spec spec = {.file = f,
                                      .meta = &meta,
                                      .rules = journal_rules,
                                      .n_rules = N_JOURNAL_TREES,
                                      .stop_at_first = true,
                                      .on_problem = ignore_problem};
    int rc;

    meta.free = (struct pg_tree)EMPTY_TREE;
    rc = pg_walk(&spec, &result);
    *whole = rc == 0 && result.n_problems == 0;
    pg_walk_result_fini(&result);
    return rc;
}

/* An old root may name a page that has become another one since, of the free list for example,
 * whose keys are of the same length: a key is a seq when its row is one of that tree. */
static bool is_row(const struct pg_file *f, enum journal_tree tree, const struct pg_tree *t,
                   struct str key)
{
    unsigned char buf[PG_SIZE_MAX];
    char value[ROW_MAX];
    struct buf scratch;
    size_t n = 0;

    if (key.n != KEY_SEQ || pg_file_value(f, t, key, buf, value, sizeof(value), &n) != 0) {
        return false;
    }
    if (n == ROW_MAX) { /* the rest is in chunks, which may be damaged */
        return true;
    }
    buf_init(&scratch, RECORD_MAX_BYTES);
    const bool sound = check_journal_row(tree, key, str_of(value, n), NULL, NULL, &scratch) == NULL;
    buf_fini(&scratch);
    return sound;
}

/* The seq of the last sound row in the last leaf of a tree of records, 0 when there is none. */
static uint64_t last_seq(const struct pg_file *f, enum journal_tree tree, const struct pg_tree *t)
{
    unsigned char buf[PG_SIZE_MAX];
    struct pg_page page;
    struct pg_node node = {0};
    uint64_t number = t->root;
    const char *why;

    for (unsigned depth = 1; depth <= t->depth; depth++) {
        if (pg_file_page(f, number, buf, &page, &why) != 0 ||
            page.kind != (depth == t->depth ? PG_LEAF : PG_BRANCH)) {
            return 0;
        }
        pg_node_get(&page, page.n - 1, &node);
        number = node.child;
    }
    for (size_t i = t->depth != 0 ? page.n : 0; i-- > 0;) {
        pg_node_get(&page, i, &node);
        if (is_row(f, tree, t, node.key)) {
            return get_be64(node.key.p);
        }
    }
    return 0;
}

/* A leaf that describes all trees of a journal is, or was, the root of the tree of trees. */
static bool describes_all(const struct pg_page *page, struct pg_tree trees[N_JOURNAL_TREES])
{
    if (page->kind != PG_LEAF || page->n != N_JOURNAL_TREES) {
        return false;
    }
    for (size_t i = 0; i < page->n; i++) {
        struct pg_node node;
        size_t tree = 0;
        pg_node_get(page, i, &node);
        while (tree < N_JOURNAL_TREES && !str_eq(node.key, str_c(journal_trees[tree]))) {
            tree++;
        }
        if (tree == N_JOURNAL_TREES || !node.is_tree ||
            pg_tree_parse(node.data, &trees[tree]) != NULL) {
            return false;
        }
    }
    return true;
}

static void add(struct search *s, uint64_t number, const struct pg_tree trees[N_JOURNAL_TREES])
{
    const struct pg_tree empty = EMPTY_TREE;
    struct candidate c = {
        .meta = {.txn = UINT64_MAX,
                 .last = pg_file_pages(s->f),
                 .page_size = (uint32_t)s->f->page,
                 .free = empty,
                 .main = {.depth = 1, .leaves = 1, .entries = N_JOURNAL_TREES, .root = number}}};
    uint64_t other;

    c.newest = last_seq(s->f, TREE_EV, &trees[TREE_EV]);
    other = last_seq(s->f, TREE_AT, &trees[TREE_AT]);
    c.newest = other > c.newest ? other : c.newest;
    c.rows = trees[TREE_EV].entries + trees[TREE_AT].entries;
    for (unsigned i = 0; i < 2; i++) {
        if ((s->f->bad[i] == NULL || s->f->is_unproven[i]) && s->f->meta[i].main.root == number) {
            c.meta = s->f->meta[i];
            c.txn = c.meta.txn;
        }
    }
    if (s->n < CANDIDATES_MAX) {
        s->v[s->n++] = c;
    }
}

static int collect(struct search *s)
{
    const uint64_t n = pg_file_pages(s->f);
    unsigned char buf[PG_SIZE_MAX];

    for (uint64_t i = PG_FIRST; i < n; i++) {
        struct pg_tree trees[N_JOURNAL_TREES];
        struct pg_page page;
        const char *why;
        const int rc = pg_file_page(s->f, i, buf, &page, &why);
        if (rc != 0 && rc != ERR_CORRUPT) {
            return rc;
        }
        if (rc == 0 && describes_all(&page, trees)) {
            add(s, i, trees);
        }
    }
    return 0;
}

static bool is_newer(const struct candidate *a, const struct candidate *b)
{
    if (a->newest != b->newest) {
        return a->newest > b->newest;
    }
    return a->rows != b->rows ? a->rows < b->rows : a->txn > b->txn;
}

/* The newest candidate; when it is not whole, the newest that is whole as well. */
static int choose(struct search *s, struct salvage_root *out)
{
    for (size_t left = s->n; left != 0; left--) {
        size_t best = 0;
        bool whole = false;
        int rc;
        for (size_t i = 1; i < left; i++) {
            best = is_newer(&s->v[i], &s->v[best]) ? i : best;
        }
        rc = try_root(s->f, s->v[best].meta, &whole);
        if (rc != 0) {
            return rc;
        }
        if (!out->found) {
            out->meta = s->v[best].meta;
            out->is_guess = s->v[best].txn == 0;
            out->found = true;
        } else if (whole) {
            out->older = s->v[best].meta;
            out->has_older = true;
        }
        if (whole) {
            return 0;
        }
        s->v[best] = s->v[left - 1];
    }
    return 0;
}

int salvage_find_root(const struct offline *o, const struct pg_file *f, struct salvage_root *out)
{
    struct search s = {.f = f};
    int rc;

    *out = (struct salvage_root){0};
    if (f->doubt == NULL) {
        out->meta = f->meta[f->newest];
        out->found = true;
        return 0;
    }
    s.v = mem_alloc(CANDIDATES_MAX * sizeof(*s.v));
    rc = collect(&s);
    if (rc == 0) {
        rc = choose(&s, out);
    }
    if (rc == 0 && !out->found && f->newest >= 0) {
        out->meta = f->meta[f->newest];
        out->found = true;
    }
    offline_say(o, "the meta pages do not tell which snapshot is the last: %s%s",
                !out->found     ? "every page is read by itself"
                : out->is_guess ? "the newest one is taken"
                                : "the newest one is that of a meta page",
                out->has_older ? ", and the newest one that is whole fills its gaps" : "");
    mem_free(s.v);
    return rc;
}
