/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the check at the start had no time for. The index thread is the only one that writes to the
 * index, so the snapshot that it reads between two batches stays as it is.
 */
#include "index/index.h"

#include "longline/log.h"

#include "repair/check.h"
#include "store_internal.h"

#define SLICE_NS INT64_C(20000000)
#define EVERY_NS INT64_C(200000000)

struct slice {
    const char *why; /* the first damage */
    const char *tree;
};

static int64_t mono_ns(void)
{
    return clock_mono_ns(clock_system());
}

static void on_problem(void *ctx, const struct pg_problem *p)
{
    struct slice *sl = ctx;
    if (sl->why == NULL) {
        sl->why = p->what;
        sl->tree = p->tree;
    }
}

static void on_row(void *ctx, const struct pg_row *row)
{
    struct slice *sl = ctx;
    const enum index_tree tree = (enum index_tree)row->tree;
    if (sl->why == NULL) {
        sl->why = check_index_row(tree, row->key, row->value);
        sl->tree = index_trees[tree];
    }
}

/* Goes on to where the next slice begins. */
static void advance(struct index_check *c, const struct pg_walk_result *done)
{
    if (!done->complete && done->n_resume != 0) {
        memcpy(c->below, done->resume, done->n_resume);
        c->n_below = done->n_resume;
    } else if (done->complete) {
        c->n_below = 0;
        c->tree++;
    }
}

static int read_slice(struct index_check *c, const struct pg_file *f, struct slice *sl)
{
    struct pg_walk_result result;
    struct pg_walk_spec spec = {.file = f,
                                .rules = index_rules,
                                .n_rules = N_INDEX_TREES,
                                .deadline_ns = mono_ns() + SLICE_NS,
                                .stop_at_first = true,
                                .is_slice = true,
                                .tree = c->tree,
                                .on_problem = on_problem,
                                .on_row = on_row,
                                .ctx = sl};
    int rc;

    if (f->newest < 0) {
        sl->why = f->doubt;
        sl->tree = "meta pages";
        return 0;
    }
    spec.meta = &f->meta[f->newest];
    if (c->n_below != 0) {
        spec.below = str_of(c->below, c->n_below);
    }
    rc = pg_walk(&spec, &result);
    if (rc == 0) {
        advance(c, &result);
    }
    pg_walk_result_fini(&result);
    return rc;
}

bool index_check_on(struct store *s)
{
    struct index_check *c = &s->index.check;
    struct err_detail err = {0};
    struct slice sl = {0};
    char path[ENV_PATH_MAX];
    struct pg_file f;

    if (c->tree == N_INDEX_TREES || mono_ns() < c->next_ns) {
        return false;
    }
    c->next_ns = mono_ns() + EVERY_NS;
    if (path_join(path, s->index.dir, "data.mdb") != 0 || pg_file_open(&f, path, &err) != 0) {
        return false; /* whether the file is in its place, the thread looks itself */
    }
    if (read_slice(c, &f, &sl) != 0) {
        c->next_ns += EVERY_NS;
    }
    pg_file_close(&f);
    if (sl.why != NULL) {
        log_warn("store.index.rebuild", LOG_ERR(ERR_CORRUPT), LOG_CSTR("tree", sl.tree),
                 LOG_CSTR("detail", sl.why));
    }
    return sl.why != NULL;
}
