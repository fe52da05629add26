/* SPDX-License-Identifier: Apache-2.0 */
#include "repair/check.h"

#include "longline/clock.h"

#include "index/postings.h"
#include "record/record_internal.h"
#include "repair/offline.h"

const struct pg_rule journal_rules[N_JOURNAL_TREES] = {
    [TREE_EV] = {"ev", KEY_SEQ},   [TREE_AT] = {"at", KEY_SEQ},  [TREE_BD] = {"bd", KEY_CHUNK},
    [TREE_RT] = {"rt", KEY_RETRY}, [TREE_IK] = {"ik", KEY_IDEM}, [TREE_CF] = {"cf", 0},
    [TREE_MT] = {"mt", 0}};
const struct pg_rule index_rules[N_INDEX_TREES] = {[TREE_PO] = {"po", KEY_PAIR},
                                                   [TREE_EA] = {"ea", KEY_PAIR},
                                                   [TREE_ID] = {"id", KEY_PAIR},
                                                   [TREE_IMT] = {"mt", 0}};

/* ---- rows ---- */

static const char bad_checksum[] = "the checksum is wrong";

/* All bytes of a record, in place or in scratch. */
static const char *join(struct str first, size_t total, uint64_t seq, check_chunk_fn chunk,
                        void *ctx, struct buf *scratch, struct str *out)
{
    if (total <= first.n) {
        *out = first;
        return total == first.n ? NULL : "the length is wrong";
    }
    if (first.n != ROW_MAX) {
        return "the length is wrong";
    }
    buf_reset(scratch);
    if (buf_add(scratch, first.p, first.n) != 0) {
        return "no memory";
    }
    for (unsigned i = 1; scratch->n < total; i++) {
        char piece[ROW_MAX];
        size_t n = 0;
        if (i > CHUNK_MAX || chunk == NULL || chunk(ctx, seq, i, piece, sizeof(piece), &n) != 0 ||
            n == 0 || n > total - scratch->n) {
            return "a part of it is missing";
        }
        if (buf_add(scratch, piece, n) != 0) {
            return "no memory";
        }
    }
    *out = buf_str(scratch);
    return NULL;
}

static const char *check_record(bool is_event, struct str key, struct str value,
                                check_chunk_fn chunk, void *ctx, struct buf *scratch)
{
    const uint64_t seq = get_be64(key.p);
    struct record_size size;
    struct event_record e;
    struct attempt_record at;
    struct str bytes = STR_NULL;
    int rc = is_event ? event_size(value, &size) : attempt_size(value, &size);
    const char *why;

    if (rc != 0) {
        return rc == ERR_VERSION ? "unknown version" : "its head is damaged";
    }
    why = join(value, size.total, seq, chunk, ctx, scratch, &bytes);
    if (why != NULL) {
        return why;
    }
    rc = is_event ? event_decode(&e, seq, bytes, NULL) : attempt_decode(&at, seq, bytes);
    return rc == 0 ? NULL : bad_checksum;
}

const char *check_journal_row(enum journal_tree tree, struct str key, struct str value,
                              check_chunk_fn chunk, void *ctx, struct buf *scratch)
{
    struct str payload = STR_NULL;

    switch (tree) {
    case TREE_EV:
    case TREE_AT:
        return key.n == KEY_SEQ ? check_record(tree == TREE_EV, key, value, chunk, ctx, scratch)
                                : "the key has a wrong length";
    case TREE_BD:
        return value.n != 0 && value.n <= ROW_MAX ? NULL : "the length is wrong";
    case TREE_RT:
    case TREE_IK:
    case TREE_CF:
    case TREE_MT:
        break;
    case N_JOURNAL_TREES:
        return "no such tree";
    }
    return value_open(value, journal_trees[tree], key, &payload) == 0 ? NULL : bad_checksum;
}

const char *check_index_row(enum index_tree tree, struct str key, struct str value)
{
    const MDB_val k = val_of(key.p, key.n);
    const MDB_val v = val_of(value.p, value.n);
    struct str payload;
    uint64_t last;
    bool sound;

    if (tree == TREE_IMT) {
        sound = value_open(value, index_trees[tree], key, &payload) == 0;
    } else if (tree == TREE_PO) {
        sound = posting_last(&k, &v, &last);
    } else {
        sound = pair_is_sound(tree, &k, &v);
    }
    return sound ? NULL : bad_checksum;
}

static int find_chunk(void *ctx, uint64_t seq, unsigned chunk, char *out, size_t cap, size_t *n)
{
    struct check_rows *r = ctx;
    unsigned char key[KEY_CHUNK];
    if (!r->walk->has_tree[TREE_BD]) {
        return ERR_NOT_FOUND;
    }
    key_chunk(key, seq, chunk);
    return pg_file_value(r->file, &r->walk->trees[TREE_BD], str_of((const char *)key, KEY_CHUNK),
                         r->page, out, cap, n);
}

void check_rows_init(struct check_rows *r, const struct pg_file *f,
                     const struct pg_walk_result *walk)
{
    r->file = f;
    r->walk = walk;
    buf_init(&r->scratch, RECORD_MAX_BYTES);
}

void check_rows_fini(struct check_rows *r)
{
    buf_fini(&r->scratch);
}

const char *check_rows_look(struct check_rows *r, const struct pg_row *row)
{
    return check_journal_row((enum journal_tree)row->tree, row->key, row->value, find_chunk, r,
                             &r->scratch);
}

/* ---- for people ---- */

const char *check_name(bool is_index)
{
    return is_index ? "index/data.mdb" : "journal/data.mdb";
}

void check_say_problem(const struct offline *o, const char *name, bool is_index,
                       const struct pg_problem *p)
{
    if (p->page == PG_NONE) {
        offline_say(o, "%s: tree %s: %s", name, p->tree, p->what);
    } else {
        offline_say(o, "%s: tree %s, page %llu: %s", name, p->tree, (unsigned long long)p->page,
                    p->what);
    }
    if (!is_index && (p->lo.p != NULL || p->hi.p != NULL)) {
        char lo[OFFLINE_KEY_MAX] = "the beginning";
        char hi[OFFLINE_KEY_MAX] = "the end";
        if (p->lo.p != NULL) {
            offline_key_text(lo, p->tree, p->lo);
        }
        if (p->hi.p != NULL) {
            offline_key_text(hi, p->tree, p->hi);
        }
        offline_say(o, "    its place: from %s to %s", lo, hi);
    }
}

void check_say_metas(const struct offline *o, const char *name, const struct pg_file *f)
{
    for (unsigned i = 0; i < 2; i++) {
        if (f->bad[i] != NULL) {
            offline_say(o, "%s: meta page %u: %s", name, i, f->bad[i]);
        }
    }
    if (f->doubt != NULL) {
        offline_say(o, "%s: the two meta pages: %s", name, f->doubt);
    }
}

/* ---- at the start ---- */

struct start {
    struct check_job *job;
    struct check_rows rows;
    struct err_detail *err;
    const char *bad_index_row;
};

static void on_problem(void *ctx, const struct pg_problem *p)
{
    struct start *st = ctx;
    const char *name = check_name(st->job->is_index);
    if (p->page == PG_NONE) {
        (void)err_set(st->err, ERR_CORRUPT, 0, "%s is damaged (tree %s: %s): " CHECK_REMEDY, name,
                      p->tree, p->what);
        return;
    }
    (void)err_set(st->err, ERR_CORRUPT, 0, "%s is damaged (tree %s, page %llu: %s): " CHECK_REMEDY,
                  name, p->tree, (unsigned long long)p->page, p->what);
}

static void on_row(void *ctx, const struct pg_row *row)
{
    struct start *st = ctx;
    const char *why;

    if (st->job->is_index) {
        why = check_index_row((enum index_tree)row->tree, row->key, row->value);
        st->bad_index_row = why != NULL ? why : st->bad_index_row;
        return;
    }
    if (row->tree != TREE_EV && row->tree != TREE_AT) {
        return; /* read as a whole when the store opens, or checked where it is used */
    }
    why = check_rows_look(&st->rows, row);
    if (why != NULL && st->job->on_bad_row != NULL) {
        const struct check_bad_row bad = {.kind =
                                              row->tree == TREE_EV ? STORE_EVENTS : STORE_ATTEMPTS,
                                          .seq = get_be64(row->key.p)};
        st->job->on_bad_row(st->job->ctx, &bad);
    }
}

static int walk_file(struct start *st, const struct pg_file *f)
{
    struct check_job *job = st->job;
    struct pg_walk_result result;
    const struct pg_walk_spec spec = {
        .file = f,
        .meta = &f->meta[f->newest],
        .rules = job->is_index ? index_rules : journal_rules,
        .n_rules = job->is_index ? (size_t)N_INDEX_TREES : (size_t)N_JOURNAL_TREES,
        .deadline_ns = job->budget_ns != 0 ? clock_mono_ns(clock_system()) + job->budget_ns : 0,
        .stop_at_first = true,
        .on_problem = on_problem,
        .on_row = job->with_rows ? on_row : NULL,
        .ctx = st};
    int rc;

    check_rows_init(&st->rows, f, &result);
    rc = pg_walk(&spec, &result);
    check_rows_fini(&st->rows);
    job->complete = result.complete;
    if (rc == 0 && result.n_problems != 0) {
        rc = ERR_CORRUPT;
    } else if (rc == 0 && st->bad_index_row != NULL) {
        rc = err_set(st->err, ERR_CORRUPT, 0, "a row of the index: %s", st->bad_index_row);
    } else if (rc != 0) {
        (void)err_set(st->err, rc, 0, "cannot read %.100s: %s", job->path, err_text(rc));
    }
    pg_walk_result_fini(&result);
    return rc;
}

int check_file_at_start(struct check_job *job, struct err_detail *err)
{
    struct start st = {.job = job, .err = err};
    struct pg_file f;
    int rc = pg_file_open(&f, job->path, err);

    job->complete = true;
    if (rc != 0) {
        return rc == ERR_NOT_FOUND ? 0 : rc;
    }
    if (f.doubt != NULL) {
        const char *why = f.bad[0] != NULL ? f.bad[0] : f.bad[1] != NULL ? f.bad[1] : f.doubt;
        rc = err_set(err, ERR_CORRUPT, 0, "%s is damaged (meta pages: %s): " CHECK_REMEDY,
                     check_name(job->is_index), why);
    } else {
        rc = walk_file(&st, &f);
    }
    pg_file_close(&f);
    return rc;
}
