/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of the snapshot, of an older one, of damaged pages, and of leaves that no page names. */
#include "repair/salvage_internal.h"

#include "longline/mem.h"

#include "record/record_internal.h"

/* ---- 1, 2: rows ---- */

static void note_retry(struct salvage *s, struct str key)
{
    if (s->n_retries == s->cap_retries) {
        s->cap_retries = s->cap_retries != 0 ? s->cap_retries * 2 : 256;
        s->retries = mem_realloc_array(s->retries, s->cap_retries, sizeof(*s->retries));
    }
    s->retries[s->n_retries++] =
        (struct salvage_pair){.seq = get_be64(key.p), .dest = get_be32(key.p + 8)};
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
    if (!salvage_put(s, tree, key, value)) {
        return false;
    }
    s->copied[tree]++;
    if (tree == TREE_MT) {
        note_meta(s, key);
    } else if (tree == TREE_RT) {
        salvage_note_num(s, get_be32(key.p + 8));
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
    unsigned char value[SEAL_BYTES + RETRY_PAYLOAD_V1] = {0};
    if (s->n_doubtful == SALVAGE_DOUBTFUL_MAX) {
        return false;
    }
    s->doubtful[s->n_doubtful++] =
        (struct salvage_pair){.seq = get_be64(key.p), .dest = get_be32(key.p + 8)};
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
    salvage_say_lost(s, journal_trees[tree], row->key, why);
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
    s->suspects[s->n_suspects++] =
        (struct salvage_suspect){.page = p->page, .tree = tree_of(p->tree)};
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

/* Leaves that are sound; of damaged ones what the offsets name, and what they do not. */
enum how { HOW_SOUND, HOW_NAMED, HOW_UNCOVERED };

/* tree: that of its place; what it holds tells more. The nodes of a branch are no rows, though they
 * may look like some. */
static void take_page(struct salvage *s, const unsigned char *p, enum journal_tree tree,
                      enum how how)
{
    struct pg_page page;
    const bool sound = pg_page_parse(&page, p, s->file.page, PG_NONE) == NULL;

    if (pg_is_branch(p) || sound != (how == HOW_SOUND) || (sound && page.kind != PG_LEAF)) {
        return;
    }
    if (how == HOW_UNCOVERED) {
        unsigned char covered[PG_SIZE_MAX] = {0};
        const enum journal_tree found = take_leaf(s, p, covered); /* its rows are there already */
        take_uncovered(s, p, covered, found != N_JOURNAL_TREES ? found : tree);
    } else {
        (void)take_leaf(s, p, NULL);
    }
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
        int rc;
        if (pg_used(&s->walk, i)) {
            continue;
        }
        rc = pg_file_read(&s->file, i, buf, 1);
        if (rc != 0) {
            return rc;
        }
        if (pg_is_leaf(buf, i)) {
            ++*n_leaves;
            take_page(s, buf, N_JOURNAL_TREES, how);
        }
    }
    return 0;
}

/* What is certain first: a part of a large record has no checksum of its own that would tell it
 * from what only looks like one, such as the remains of other nodes between those of a page. */
static int take_unnamed(struct salvage *s)
{
    uint64_t n_leaves = 0;
    int rc = 0;

    s->is_orphan = true;
    for (enum how how = HOW_SOUND; how <= HOW_UNCOVERED && rc == 0; how++) {
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

/* ---- all of them ---- */

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

int salvage_rows(struct salvage *s, struct err_detail *err)
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
