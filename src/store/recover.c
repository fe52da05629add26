/* SPDX-License-Identifier: Apache-2.0 */
/* Reading everything at start: objects, retries, and the records from `low` on. */
#include "longline/check.h"
#include "longline/log.h"

#include "query/read.h"
#include "record/record_internal.h"

#define HEADS_MAX  ((size_t)64 * 1024 * 1024)
#define DROP_EVERY 16384U /* rows between two releases of mapped memory */

struct scan {
    struct store *s;
    enum journal_tree tree;
    MDB_txn *txn;
    struct arena arena; /* one record */
    int (*row)(struct scan *sc, const MDB_val *key, const MDB_val *value);
    /* what the caller wants to hear */
    enum store_object object;
    store_object_fn on_object;
    store_retry_fn on_retry;
    store_event_fn on_event;
    store_damaged_fn on_damaged;
    store_attempt_fn on_attempt;
    void *ctx;
    bool at_end; /* the row that ended the scan was only the first beyond it */
    size_t n_lost;
};

static void log_row(const struct scan *sc, const char *tree, const MDB_val *key, int rc)
{
    const size_t n = key->mv_size;
    (void)sc;
    log_error("store.corrupt", LOG_CSTR("tree", tree),
              LOG_INT("seq", n >= KEY_SEQ ? get_be64(key->mv_data) : 0), LOG_ERR(rc));
}

/* Calls sc->row for every row from `first` on, until it returns non-zero. */
static int scan_run(struct scan *sc, struct str first)
{
    MDB_val key = val_of(first.p, first.n);
    MDB_val value;
    MDB_cursor *cur;
    size_t n = 0;
    int stopped = 0;
    int rc = mdb_txn_begin(sc->s->journal.mdb, NULL, MDB_RDONLY, &sc->txn);

    if (rc != 0) {
        return err_from_mdb(rc);
    }
    arena_init(&sc->arena, HEADS_MAX);
    rc = mdb_cursor_open(sc->txn, sc->s->journal.dbi[sc->tree], &cur);
    if (rc == 0) {
        for (rc = mdb_cursor_get(cur, &key, &value, MDB_SET_RANGE); rc == 0 && stopped == 0;
             rc = mdb_cursor_get(cur, &key, &value, MDB_NEXT)) {
            arena_reset(&sc->arena);
            stopped = sc->row(sc, &key, &value);
            if (++n % DROP_EVERY == 0) {
                env_drop_cache(&sc->s->journal);
            }
            if (stopped != 0) {
                break;
            }
        }
        mdb_cursor_close(cur);
    }
    arena_fini(&sc->arena);
    mdb_txn_abort(sc->txn);
    if (n >= DROP_EVERY) {
        env_drop_cache(&sc->s->journal);
    }
    if (stopped != 0) {
        return stopped;
    }
    return rc == MDB_NOTFOUND ? 0 : err_from_mdb(rc);
}

static int object_row(struct scan *sc, const MDB_val *key, const MDB_val *value)
{
    const struct str k = str_of_val(key);
    struct str payload;
    int rc;

    if (k.n < 1 || (unsigned char)k.p[0] != (unsigned char)sc->object) {
        sc->at_end = true; /* of this kind */
        return ERR_NOT_FOUND;
    }
    rc = value_open(str_of_val(value), journal_trees[TREE_CF], k, &payload);
    if (rc != 0) {
        log_error("store.corrupt", LOG_CSTR("tree", "cf"), LOG_STR("key", str_of(k.p + 1, k.n - 1)),
                  LOG_ERR(rc));
        return rc;
    }
    return sc->on_object(sc->ctx, str_of(k.p + 1, k.n - 1), payload);
}

/* A configuration object that is passed over would end its deliveries as if it had been deleted. */
static int checked_row(struct scan *sc, const MDB_val *key, const MDB_val *value)
{
    static const char *const kinds[STORE_LAST_OBJECT + 1] = {[STORE_TENANT] = "tenant",
                                                             [STORE_DESTINATION] = "destination",
                                                             [STORE_KEY] = "key",
                                                             [STORE_TOPIC] = "topic",
                                                             [STORE_TOMBSTONE] =
                                                                 "mark of a deleted tenant"};
    struct str k = str_of_val(key);
    struct str id = STR_NULL;
    struct str owner = STR_NULL;
    struct str payload;
    const int rc = value_open(str_of_val(value), journal_trees[TREE_CF], k, &payload);
    size_t kind;

    if (rc == 0) {
        return 0;
    }
    kind = k.n != 0 ? (unsigned char)k.p[0] : 0;
    id = k.n != 0 ? str_of(k.p + 1, k.n - 1) : k;
    if (str_find(id, '\0') < id.n) { /* a destination: tenant, 0, id */
        (void)str_split(&id, '\0', &owner);
    }
    return err_set(sc->ctx, rc, 0,
                   "a stored %s is damaged, restore the backup or try longline salvage: " STR_FMT
                   "%s" STR_FMT,
                   kind < LL_COUNT(kinds) && kinds[kind] != NULL ? kinds[kind] : "object",
                   STR_ARG(id), owner.n != 0 ? " of tenant " : "", STR_ARG(owner));
}

int recover_check_objects(struct store *s, struct err_detail *err)
{
    static const char first[1] = {0};
    struct scan sc = {.s = s, .tree = TREE_CF, .row = checked_row, .ctx = err};
    return scan_run(&sc, str_of(first, sizeof(first)));
}

int store_each_object(struct store *s, enum store_object kind, store_object_fn fn, void *ctx)
{
    const char first = (char)kind;
    struct scan sc = {
        .s = s, .tree = TREE_CF, .row = object_row, .object = kind, .on_object = fn, .ctx = ctx};
    const int rc = scan_run(&sc, str_of(&first, 1));
    return sc.at_end ? 0 : rc;
}

static int retry_row(struct scan *sc, const MDB_val *key, const MDB_val *value)
{
    struct retry_record rt;
    struct str p;
    int rc = value_open(str_of_val(value), journal_trees[TREE_RT], str_of_val(key), &p);

    if (key->mv_size != KEY_RETRY) {
        log_row(sc, "rt", key, ERR_CORRUPT);
        sc->n_lost++;
        return 0;
    }
    rt = (struct retry_record){
        .event_seq = get_be64(key->mv_data),
        .dest_num = get_be32((const unsigned char *)key->mv_data + 8),
        .number = 1,
    };
    if (rc == 0) {
        rc = retry_decode(&rt, p);
    }
    if (rc != 0) {
        log_row(sc, "rt", key, rc);
        /* When and how often is lost; that it is owed is not: due at once. But the key may be wrong
         * as well, and nobody may get an event that was not for him. */
        if (!row_event_wants(sc->txn, &sc->s->journal, rt.event_seq, rt.dest_num)) {
            sc->n_lost++;
            return 0;
        }
    }
    return sc->on_retry(sc->ctx, &rt);
}

int store_each_retry(struct store *s, uint64_t from_seq, uint32_t from_dest, store_retry_fn fn,
                     void *ctx)
{
    unsigned char first[KEY_RETRY];
    struct scan sc = {.s = s, .tree = TREE_RT, .row = retry_row, .on_retry = fn, .ctx = ctx};
    int rc;

    key_retry(first, from_seq, from_dest);
    rc = scan_run(&sc, str_of((const char *)first, sizeof(first)));
    if (rc == 0 && sc.n_lost != 0) { /* there may be more lines of rows than the log takes */
        log_error("store.retries_lost", LOG_INT("n", sc.n_lost));
    }
    return rc;
}

static int event_row(struct scan *sc, const MDB_val *key, const MDB_val *value)
{
    struct event_record e;
    const int rc = row_event(sc->txn, &sc->s->journal, get_be64(key->mv_data), str_of_val(value),
                             true, &sc->arena, &e);
    if (rc != 0) {
        damage_note(&sc->s->damage, STORE_EVENTS, get_be64(key->mv_data), rc);
        return sc->on_damaged != NULL ? sc->on_damaged(sc->ctx, get_be64(key->mv_data)) : 0;
    }
    return sc->on_event(sc->ctx, &e);
}

int store_each_event(struct store *s, uint64_t from, store_event_fn fn, store_damaged_fn damaged,
                     void *ctx)
{
    unsigned char first[KEY_SEQ];
    struct scan sc = {.s = s,
                      .tree = TREE_EV,
                      .row = event_row,
                      .on_event = fn,
                      .on_damaged = damaged,
                      .ctx = ctx};
    key_seq(first, from);
    return scan_run(&sc, str_of((const char *)first, sizeof(first)));
}

static int attempt_row(struct scan *sc, const MDB_val *key, const MDB_val *value)
{
    struct attempt_record at;
    const int rc = row_attempt(sc->txn, &sc->s->journal, get_be64(key->mv_data), str_of_val(value),
                               &sc->arena, &at);
    if (rc != 0) {
        damage_note(&sc->s->damage, STORE_ATTEMPTS, get_be64(key->mv_data), rc);
        return 0;
    }
    return sc->on_attempt(sc->ctx, &at);
}

int store_each_attempt(struct store *s, uint64_t from, store_attempt_fn fn, void *ctx)
{
    unsigned char first[KEY_SEQ];
    struct scan sc = {.s = s, .tree = TREE_AT, .row = attempt_row, .on_attempt = fn, .ctx = ctx};
    key_seq(first, from);
    return scan_run(&sc, str_of((const char *)first, sizeof(first)));
}
