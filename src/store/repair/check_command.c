/* SPDX-License-Identifier: Apache-2.0 */
/* longline check: every page and every row of a stopped data directory. */
#include "journal/env.h"
#include "repair/check.h"
#include "repair/offline.h"

struct look {
    const struct offline *o;
    bool is_index;
    const char *name; /* as said to the operator */
    size_t n_rows;    /* damaged ones */
    struct check_rows rows;
};

static void on_problem(void *ctx, const struct pg_problem *p)
{
    const struct look *l = ctx;
    check_say_problem(l->o, l->name, l->is_index, p);
}

static void on_row(void *ctx, const struct pg_row *row)
{
    struct look *l = ctx;
    char text[OFFLINE_KEY_MAX];
    const char *why = l->is_index
                          ? check_index_row((enum index_tree)row->tree, row->key, row->value)
                          : check_rows_look(&l->rows, row);
    if (why == NULL) {
        return;
    }
    l->n_rows++;
    if (l->is_index) {
        offline_say(l->o, "%s: tree %s: a row: %s", l->name, index_trees[row->tree], why);
        return;
    }
    offline_key_text(text, journal_trees[row->tree], row->key);
    offline_say(l->o, "%s: %s: %s", l->name, text, why);
}

static int look_at(struct look *l, const struct pg_file *f, bool *damaged, struct err_detail *err)
{
    struct pg_walk_result result;
    const struct pg_walk_spec spec = {.file = f,
                                      .meta = &f->meta[f->newest],
                                      .rules = l->is_index ? index_rules : journal_rules,
                                      .n_rules = l->is_index ? (size_t)N_INDEX_TREES
                                                             : (size_t)N_JOURNAL_TREES,
                                      .on_problem = on_problem,
                                      .on_row = on_row,
                                      .ctx = l};
    int rc;

    check_rows_init(&l->rows, f, &result);
    rc = pg_walk(&spec, &result);
    check_rows_fini(&l->rows);
    if (rc != 0) {
        (void)err_set(err, rc, 0, "cannot read %s: %s", l->name, err_text(rc));
    }
    offline_say(l->o, "%s: %llu pages and %llu rows read; damaged: %zu pages, %zu rows", l->name,
                (unsigned long long)result.n_pages, (unsigned long long)result.n_rows,
                result.n_problems, l->n_rows);
    *damaged = *damaged || result.n_problems != 0 || l->n_rows != 0;
    pg_walk_result_fini(&result);
    return rc;
}

static int check_one(const struct offline *o, const char *path, bool is_index, bool *damaged,
                     struct err_detail *err)
{
    struct look l = {.o = o, .is_index = is_index, .name = check_name(is_index)};
    struct pg_file f;
    int rc = pg_file_open(&f, path, err);

    if (rc != 0) {
        return rc;
    }
    check_say_metas(o, l.name, &f);
    *damaged = *damaged || f.doubt != NULL;
    rc = f.newest >= 0 ? look_at(&l, &f, damaged, err) : 0;
    pg_file_close(&f);
    return rc;
}

int store_check(const char *data_dir, store_say_fn say, void *ctx, struct err_detail *err)
{
    struct offline o = {.say = say, .ctx = ctx};
    char path[ENV_PATH_MAX];
    bool journal = false;
    bool index = false;
    int rc = offline_lock(&o, data_dir, err);

    if (rc != 0) {
        return rc;
    }
    rc = path_join(path, data_dir, "journal/data.mdb");
    rc = rc == 0 ? check_one(&o, path, false, &journal, err) : rc;
    if (rc == ERR_NOT_FOUND) {
        (void)err_set(err, rc, 0, "%.100s holds no journal", data_dir);
    }
    if (rc == 0) {
        rc = path_join(path, data_dir, "index/data.mdb");
        rc = rc == 0 ? check_one(&o, path, true, &index, err) : rc;
        rc = rc == ERR_NOT_FOUND ? 0 : rc;
    }
    offline_unlock(&o);
    if (rc == 0 && journal) {
        rc = err_set(err, ERR_CORRUPT, 0, "journal/data.mdb is damaged: " CHECK_REMEDY);
    } else if (rc == 0 && index) {
        rc = err_set(err, ERR_CORRUPT, 0, "the index is damaged; the next start rebuilds it");
    }
    return rc;
}
