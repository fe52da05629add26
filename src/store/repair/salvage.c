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
#include "repair/salvage_internal.h"

#include "longline/mem.h"

#include "upkeep/copy.h"

#define COMMIT_ROWS 20000U
#define MAP_SPARE   ((size_t)256 << 20)
#define LINES_MAX   10000U /* lost rows that are named one by one */

/* ---- the new journal ---- */

void salvage_commit(struct salvage *s, bool go_on)
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
bool salvage_put(struct salvage *s, enum journal_tree tree, struct str key, struct str value)
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
        salvage_commit(s, true);
    }
    return s->rc == 0;
}

void salvage_say_lost(struct salvage *s, const char *tree, struct str key, const char *why)
{
    char text[OFFLINE_KEY_MAX];
    if (s->n_lines++ >= LINES_MAX) {
        return;
    }
    offline_key_text(text, tree, key);
    offline_say(&s->o, "lost: %s: %s", text, why);
}

/* ---- all of it ---- */

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
        salvage_commit(s, true);
    }
    return rc;
}

static int run(struct salvage *s, const char *data_dir, const char *to, struct err_detail *err)
{
    int rc = open_new(s, to, err);

    if (rc == 0) {
        rc = salvage_rows(s, err);
    }
    if (rc == 0) {
        rc = salvage_sift(s, err);
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
