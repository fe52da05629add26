/* SPDX-License-Identifier: Apache-2.0 */
#include "pages/walk.h"

#include <string.h>

#include "longline/check.h"
#include "longline/clock.h"
#include "longline/mem.h"

#define CLOCK_EVERY 64U         /* pages between two looks at the clock */
#define RUN_MAX     (64U << 20) /* bytes of one overflow run */

/* What the pass over a tree does at its leaves. */
enum leaf_mode {
    LEAF_CLAIM, /* notes that they are in use */
    LEAF_READ,  /* reads what was noted */
    LEAF_CLAIM_AND_READ
};

enum { TREE_FREE = -1, TREE_MAIN = -2 };

struct frame { /* one page on the way down */
    unsigned char *buf;
    struct pg_page page;
    uint64_t number;
    size_t next;       /* children still to be visited, from the right */
    struct str lo, hi; /* keys below it: lo <= key < hi; p NULL: no bound */
};

struct walk {
    const struct pg_walk_spec *spec;
    struct pg_walk_result *out;
    const struct pg_file *file;
    struct frame frames[PG_DEPTH_MAX];
    unsigned char *run; /* of an overflow value */
    size_t run_cap;
    uint64_t next_look; /* pages at which the clock is looked at */
    bool is_late;
    int rc;
    /* of the tree under way */
    int tree;
    const struct pg_tree *t;
    struct str lo, hi; /* of the page under way */
    enum leaf_mode mode;
    bool is_whole;
    uint64_t n_branches, n_leaves, n_overflows, n_entries;
    uint64_t n_claimed; /* pages, of all trees */
};

static const char *tree_name(const struct walk *w)
{
    return w->tree == TREE_FREE   ? "free"
           : w->tree == TREE_MAIN ? "main"
                                  : w->spec->rules[w->tree].name;
}

static void problem(struct walk *w, uint64_t page, const char *what)
{
    const struct pg_problem p = {
        .tree = tree_name(w), .page = page, .what = what, .lo = w->lo, .hi = w->hi};
    w->out->n_problems++;
    w->is_whole = false;
    if (w->tree == TREE_FREE) {
        w->out->free_is_good = false;
    }
    w->spec->on_problem(w->spec->ctx, &p);
}

static bool is_over(struct walk *w)
{
    if (w->rc != 0 || w->is_late || (w->spec->stop_at_first && w->out->n_problems != 0)) {
        return true;
    }
    if (w->spec->deadline_ns != 0 && w->out->n_pages >= w->next_look &&
        clock_mono_ns(clock_system()) >= w->spec->deadline_ns) {
        w->is_late = true;
    } else if (w->out->n_pages >= w->next_look) {
        w->next_look = w->out->n_pages + CLOCK_EVERY;
    }
    return w->is_late;
}

/* Takes a run of pages for one use; false (reported) when it is out of range or taken. */
static bool claim(struct walk *w, uint64_t first, uint64_t n, uint64_t from)
{
    struct pg_walk_result *r = w->out;

    if (first < PG_FIRST || first >= r->n_used || n > r->n_used - first) {
        problem(w, from, "it names a page that is out of range");
        return false;
    }
    if (w->spec->is_slice) {
        return true;
    }
    for (uint64_t i = first; i < first + n; i++) {
        if (pg_used(r, i)) {
            problem(w, i,
                    w->tree == TREE_FREE ? "the page is free and in use"
                                         : "the page is reached twice");
            return false;
        }
    }
    for (uint64_t i = first; i < first + n; i++) {
        r->used[i / 8] |= (unsigned char)(1U << i % 8);
    }
    w->n_claimed += n;
    return true;
}

/* ---- leaves ---- */

/* Brings the value of an overflow run into memory; false when it is damaged. */
static bool load_run(struct walk *w, const struct pg_node *node, uint64_t from, struct str *out)
{
    const size_t size = w->file->page;
    const uint64_t n = (node->n_data + PG_HEAD + size - 1) / size;
    unsigned char head[PG_SIZE_MAX];
    struct pg_page page;
    const char *why;

    if (n * size > RUN_MAX) {
        problem(w, from, "a value is impossibly long");
        return false;
    }
    if (pg_file_page(w->file, node->run, head, &page, &why) != 0 || page.kind != PG_OVERFLOW ||
        page.pages < n) {
        problem(w, node->run, why != NULL ? why : "it is not the run of pages that belongs here");
        return false;
    }
    (void)claim(w, node->run, page.pages, from); /* its head fits: the value is read all the same */
    if (n * size > w->run_cap) {
        w->run_cap = n * size;
        w->run = mem_realloc_array(w->run, w->run_cap, 1);
    }
    w->n_overflows += page.pages;
    w->out->n_pages += n;
    w->rc = pg_file_read(w->file, node->run, w->run, n);
    *out = str_of((const char *)w->run + PG_HEAD, node->n_data);
    return w->rc == 0;
}

/* A value of the free list: a count and as many page numbers, descending. */
static void take_free(struct walk *w, uint64_t page, struct str key, struct str value)
{
    const uint64_t txn = pg_number(key);
    const uint64_t n = value.n >= 8 ? pg_number(str_of(value.p, 8)) : 0;
    uint64_t above = PG_NONE;

    if (key.n != 8 || txn > w->spec->meta->txn || value.n < 8 || n > value.n / 8 - 1) {
        problem(w, page, "a row of the free list is impossible");
        return;
    }
    for (uint64_t i = 1; i <= n && !is_over(w); i++) {
        const uint64_t number = pg_number(str_of(value.p + 8 * i, 8));
        if (number >= above) {
            problem(w, page, "a row of the free list is out of order");
            return;
        }
        above = number;
        (void)claim(w, number, 1, page);
    }
}

static void take_tree(struct walk *w, uint64_t page, const struct pg_node *node)
{
    for (size_t i = 0; i < w->spec->n_rules; i++) {
        if (!str_eq(node->key, str_c(w->spec->rules[i].name))) {
            continue;
        }
        const char *why = node->is_tree ? pg_tree_parse(node->data, &w->out->trees[i])
                                        : "a named tree is a plain value";
        if (why != NULL) {
            problem(w, page, why);
        }
        w->out->has_tree[i] = why == NULL;
        return;
    }
    problem(w, page, "an unknown tree");
}

static void take_node(struct walk *w, const struct frame *f, const struct pg_node *node)
{
    const size_t n_key = w->tree >= 0 ? w->spec->rules[w->tree].n_key : 0;
    struct str value = node->data;

    if (n_key != 0 && node->key.n != n_key) {
        problem(w, f->number, "a key has a wrong length");
        return;
    }
    if (node->run != 0 && !load_run(w, node, f->number, &value)) {
        return;
    }
    if (w->tree == TREE_FREE) {
        take_free(w, f->number, node->key, value);
    } else if (w->tree == TREE_MAIN) {
        take_tree(w, f->number, node);
    } else if (node->is_tree) {
        problem(w, f->number, "a tree within a tree");
    } else if (w->mode != LEAF_CLAIM && w->spec->on_row != NULL) {
        const struct pg_row row = {
            .tree = w->tree, .page = f->number, .key = node->key, .value = value};
        w->out->n_rows++;
        w->spec->on_row(w->spec->ctx, &row);
    }
}

/* ---- the way down ---- */

/* Keys of a page: ascending, and within what the branches above it say. */
static bool check_keys(struct walk *w, const struct frame *f)
{
    const bool is_number = w->tree == TREE_FREE;
    struct str last = f->lo;
    bool is_strict = false; /* the first key may equal the bound */

    /* The first key of a branch stands for the lower bound and is never read. */
    for (size_t i = f->page.kind == PG_BRANCH ? 1 : 0; i < f->page.n; i++) {
        struct pg_node node;
        int c;
        pg_node_get(&f->page, i, &node);
        c = last.p != NULL ? pg_key_compare(last, node.key, is_number) : -1;
        if (node.key.n == 0 || (is_number && node.key.n != 8) || c > 0 || (c == 0 && is_strict)) {
            problem(w, f->number, "the keys are out of order");
            return false;
        }
        last = node.key;
        is_strict = true;
    }
    if (f->hi.p != NULL && is_strict && pg_key_compare(last, f->hi, is_number) >= 0) {
        problem(w, f->number, "a key belongs to another page");
        return false;
    }
    return true;
}

static bool enter(struct walk *w, unsigned depth, uint64_t number, struct str lo, struct str hi)
{
    struct frame *f = &w->frames[depth];
    const bool is_leaf = depth + 1U == w->t->depth;
    const char *why;
    const int rc = pg_file_page(w->file, number, f->buf, &f->page, &why);

    w->out->n_pages++;
    f->number = number;
    f->lo = lo;
    f->hi = hi;
    if (rc != 0) {
        problem(w, number, why);
        return false;
    }
    if (f->page.kind != (is_leaf ? PG_LEAF : PG_BRANCH)) {
        problem(w, number, "the page is of another kind than its place in the tree");
        return false;
    }
    /* LMDB asserts it, but for the free list. */
    if (!is_leaf && f->page.n < 2 && w->tree != TREE_FREE) {
        problem(w, number, "a branch with one child");
        return false;
    }
    w->n_branches += is_leaf ? 0 : 1;
    f->next = is_leaf ? 0 : f->page.n;
    return check_keys(w, f);
}

static void read_leaf(struct walk *w, const struct frame *f)
{
    w->n_entries += f->page.n;
    w->lo = f->lo;
    w->hi = f->hi;
    /* A slice ends between two leaves, so that every one brings it further. */
    for (size_t i = 0; i < f->page.n && (w->spec->is_slice ? w->rc == 0 : !is_over(w)); i++) {
        struct pg_node node;
        pg_node_get(&f->page, i, &node);
        take_node(w, f, &node);
    }
}

/* Visits the next child of the branch at `depth`; true when there is one to go down to. */
static bool next_child(struct walk *w, unsigned depth)
{
    struct frame *f = &w->frames[depth];
    const bool to_leaf = depth + 2U == w->t->depth;
    struct pg_node node;
    struct pg_node after = {0};
    struct str lo;
    struct str hi;

    f->next--;
    pg_node_get(&f->page, f->next, &node);
    lo = f->next != 0 ? node.key : f->lo;
    if (f->next + 1 < f->page.n) {
        pg_node_get(&f->page, f->next + 1, &after);
    }
    hi = f->next + 1 < f->page.n ? after.key : f->hi;
    w->lo = lo;
    w->hi = hi;
    if (w->mode != LEAF_READ && !claim(w, node.child, 1, f->number)) {
        return false;
    }
    if (w->spec->is_slice && w->spec->below.p != NULL && w->tree >= 0 && lo.p != NULL &&
        pg_key_compare(lo, w->spec->below, false) >= 0) {
        return false; /* an earlier slice has read it */
    }
    w->n_leaves += to_leaf ? 1 : 0;
    if (to_leaf && w->mode == LEAF_CLAIM) {
        return false;
    }
    return enter(w, depth + 1, node.child, lo, hi);
}

/* Where the next slice goes on: what lies at or above the bound of this leaf has been read. */
static void note_resume(struct walk *w, struct str lo)
{
    if (w->spec->is_slice && lo.p != NULL && lo.n <= sizeof(w->out->resume)) {
        memcpy(w->out->resume, lo.p, lo.n);
        w->out->n_resume = lo.n;
    }
}

/* From the right, so that what is newest comes first: keys grow with time. */
static void walk_pages(struct walk *w, int tree, const struct pg_tree *t, enum leaf_mode mode)
{
    unsigned depth = 0;

    w->tree = tree;
    w->t = t;
    w->mode = mode;
    w->is_whole = true;
    w->n_branches = 0;
    w->n_leaves = t->depth == 1 ? 1 : 0;
    w->n_overflows = 0;
    w->n_entries = 0;
    w->lo = STR_NULL;
    w->hi = STR_NULL;
    if (is_over(w)) {
        w->is_whole = false;
        return;
    }
    if (t->root == PG_NONE || (mode != LEAF_READ && !claim(w, t->root, 1, PG_NONE))) {
        return;
    }
    if ((mode == LEAF_CLAIM && t->depth == 1) || !enter(w, 0, t->root, STR_NULL, STR_NULL)) {
        return;
    }
    for (;;) {
        struct frame *f = &w->frames[depth];
        if (is_over(w)) {
            w->is_whole = false;
            return;
        }
        if (f->page.kind == PG_LEAF) {
            read_leaf(w, f);
            note_resume(w, f->lo);
        } else if (f->next != 0) {
            depth += next_child(w, depth) ? 1 : 0;
            continue;
        }
        if (depth == 0) {
            return;
        }
        depth--;
    }
}

/* The counts tell how full the store is: one that is too great would have it purged. */
static void walk_tree(struct walk *w, int tree, const struct pg_tree *t, enum leaf_mode mode)
{
    walk_pages(w, tree, t, mode);
    if (!w->is_whole || w->spec->is_slice) {
        return;
    }
    if (w->n_branches != t->branches || w->n_leaves != t->leaves ||
        (mode != LEAF_CLAIM && w->n_overflows != t->overflows)) {
        problem(w, PG_NONE, "the count of its pages is wrong");
    } else if (mode != LEAF_CLAIM && w->n_entries != t->entries) {
        problem(w, PG_NONE, "the count of its rows is wrong");
    }
}

/* What is neither claimed by the first pass nor free has to be enough for the large values, which a
 * walk that is bounded in time may not come to. */
static void check_sum(struct walk *w)
{
    const struct pg_walk_result *r = w->out;
    uint64_t left = r->n_used - PG_FIRST - w->n_claimed;

    for (size_t i = 0; i < w->spec->n_rules && r->n_problems == 0; i++) {
        if (!r->has_tree[i]) {
            continue;
        }
        w->tree = (int)i;
        if (r->trees[i].overflows > left) {
            problem(w, PG_NONE, "the count of its pages is impossible");
        } else {
            left -= r->trees[i].overflows;
        }
    }
}

/* LMDB's own two trees in whole; of the others the branches, which name all leaves. */
static void first_pass(struct walk *w)
{
    struct pg_walk_result *r = w->out;

    walk_tree(w, TREE_MAIN, &w->spec->meta->main, LEAF_CLAIM_AND_READ);
    for (size_t i = 0; i < w->spec->n_rules && !is_over(w); i++) {
        w->tree = (int)i;
        if (r->has_tree[i]) {
            walk_tree(w, (int)i, &r->trees[i], LEAF_CLAIM);
        } else if (w->spec->meta->main.root != PG_NONE) {
            problem(w, PG_NONE, "the tree is missing");
        }
    }
    walk_tree(w, TREE_FREE, &w->spec->meta->free, LEAF_CLAIM_AND_READ);
    if (!is_over(w) && r->n_problems == 0) {
        w->lo = STR_NULL;
        w->hi = STR_NULL;
        check_sum(w);
    }
}

/* The smallest tree that was not read yet, or -1: what is read at every start comes first. */
static int next_tree(const struct walk *w, const bool *done)
{
    int best = -1;
    for (size_t i = 0; i < w->spec->n_rules; i++) {
        if (w->out->has_tree[i] && !done[i] &&
            (best < 0 || w->out->trees[i].leaves < w->out->trees[best].leaves)) {
            best = (int)i;
        }
    }
    return best;
}

static void second_pass(struct walk *w)
{
    struct pg_walk_result *r = w->out;
    bool done[PG_WALK_TREES] = {false};

    for (int i = next_tree(w, done); i >= 0 && !is_over(w); i = next_tree(w, done)) {
        done[i] = true;
        walk_tree(w, i, &r->trees[i], LEAF_READ);
    }
}

static void slice(struct walk *w)
{
    struct pg_walk_result *r = w->out;
    const int tree = w->spec->tree;

    walk_tree(w, TREE_MAIN, &w->spec->meta->main, LEAF_CLAIM_AND_READ);
    if (r->n_problems == 0 && r->has_tree[tree]) {
        walk_tree(w, tree, &r->trees[tree], LEAF_READ);
    }
}

int pg_walk(const struct pg_walk_spec *spec, struct pg_walk_result *out)
{
    struct walk w = {.spec = spec, .out = out, .file = spec->file};
    const size_t page = spec->file->page;
    unsigned char *bufs = mem_alloc(PG_DEPTH_MAX * page);

    LL_ASSERT(spec->n_rules <= PG_WALK_TREES);
    *out = (struct pg_walk_result){.free_is_good = true, .n_used = spec->meta->last + 1};
    out->used = mem_zalloc(out->n_used / 8 + 1);
    for (size_t i = 0; i < PG_DEPTH_MAX; i++) {
        w.frames[i].buf = bufs + i * page;
    }
    if (spec->is_slice) {
        slice(&w);
    } else {
        first_pass(&w);
        second_pass(&w);
    }
    out->complete = !w.is_late;
    mem_free(w.run);
    mem_free(bufs);
    return w.rc;
}

void pg_walk_result_fini(struct pg_walk_result *r)
{
    mem_free(r->used);
    r->used = NULL;
}
