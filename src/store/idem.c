/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Idempotency keys: a 128-bit hash of tenant and event id, in buckets of time, so that the old ones
 * are a range at the front of the tree. A bucket is a sixth of the time to live, so a look-up asks
 * a handful of buckets, newest first. Keys that are not durable yet are also in a map.
 *
 * All times are of the age clock: a wall clock that is wrong makes no key forgotten or kept. A key
 * is remembered for its time to live from the age that is stored with it; those of the first
 * version have none and are remembered while their bucket is.
 */
#include "store_internal.h"

#include "longline/hash.h"
#include "longline/log.h"
#include "longline/mem.h"

#define V1_N 8U /* bytes of a key's value that has no age */

static struct str idem_key(const void *item)
{
    const struct idem *i = item;
    return str_of((const char *)i->hash, sizeof(i->hash));
}

static void hash_id(unsigned char out[16], struct str tenant_id, struct str event_id)
{
    /* Part of the format on disk. Two hashes of each text: a tenant cannot move the boundary. */
    static const unsigned char keys[4][16] = {"longline/idem/t1", "longline/idem/t2",
                                              "longline/idem/e1", "longline/idem/e2"};
    for (size_t i = 0; i < 2; i++) {
        unsigned char pair[16];
        put_be64(pair, siphash(keys[i], tenant_id.p, tenant_id.n));
        put_be64(pair + 8, siphash(keys[2 + i], event_id.p, event_id.n));
        put_be64(out + 8 * i, siphash(keys[i], pair, sizeof(pair)));
    }
}

static int64_t ttl_ms(const struct store *s)
{
    return atomic_load_explicit(&s->limits.idempotency_ttl_ms, memory_order_relaxed);
}

uint32_t idem_expired_hour(const struct store *s, int64_t age_ms)
{
    return idem_expired(age_ms, ttl_ms(s));
}

static void add_hour(struct store *s, uint32_t hour)
{
    size_t at = s->n_idem_hours;
    while (at > 0 && s->idem_hours[at - 1] > hour) {
        at--;
    }
    if (at > 0 && s->idem_hours[at - 1] == hour) {
        return;
    }
    s->idem_hours = mem_realloc_array(s->idem_hours, s->n_idem_hours + 1, sizeof(*s->idem_hours));
    memmove(s->idem_hours + at + 1, s->idem_hours + at,
            (s->n_idem_hours - at) * sizeof(*s->idem_hours));
    s->idem_hours[at] = hour;
    s->n_idem_hours++;
}

static void forget_hours(struct store *s, uint32_t expired)
{
    size_t n = 0;
    while (n < s->n_idem_hours && s->idem_hours[n] < expired) {
        n++;
    }
    if (n != 0) {
        s->n_idem_hours -= n;
        memmove(s->idem_hours, s->idem_hours + n, s->n_idem_hours * sizeof(*s->idem_hours));
    }
}

int idem_load(struct store *s)
{
    MDB_txn *txn;
    MDB_cursor *cur;
    uint32_t next = 0;
    int rc;

    map_init(&s->idems, idem_key);
    list_init(&s->spare_idems);
    rc = mdb_txn_begin(s->journal.mdb, NULL, MDB_RDONLY, &txn);
    if (rc != 0) {
        return err_from_mdb(rc);
    }
    rc = mdb_cursor_open(txn, s->journal.dbi[TREE_IK], &cur);
    if (rc != 0) {
        mdb_txn_abort(txn);
        return err_from_mdb(rc);
    }
    for (;;) {
        unsigned char bytes[4];
        MDB_val key = val_of(bytes, sizeof(bytes));
        MDB_val value;
        uint32_t hour;
        put_be32(bytes, next);
        rc = mdb_cursor_get(cur, &key, &value, MDB_SET_RANGE);
        if (rc != 0 || key.mv_size != KEY_IDEM) {
            break;
        }
        hour = get_be32(key.mv_data);
        add_hour(s, hour);
        if (hour == UINT32_MAX) {
            break;
        }
        next = hour + 1;
    }
    mdb_cursor_close(cur);
    mdb_txn_abort(txn);
    return rc == MDB_NOTFOUND ? 0 : err_from_mdb(rc);
}

static void drop(struct store *s, struct idem *i)
{
    const struct str key = idem_key(i);
    if (map_get(&s->idems, key) == i) {
        (void)map_del(&s->idems, key);
    }
    list_del(&i->node);
    list_push_head(&s->spare_idems, &i->node);
}

void idem_done(struct store *s, struct batch *b)
{
    while (!list_empty(&b->idems)) {
        drop(s, LIST_ENTRY(b->idems.next, struct idem, node));
    }
}

void idem_fini(struct store *s)
{
    struct list *node;
    while ((node = list_pop_head(&s->spare_idems)) != NULL) {
        mem_free(LIST_ENTRY(node, struct idem, node));
    }
    map_fini(&s->idems);
    mem_free(s->idem_hours);
    s->idem_hours = NULL;
    s->n_idem_hours = 0;
}

void store_put_idempotency(struct store *s, struct str tenant_id, struct str event_id, uint64_t seq)
{
    struct batch *b = store_batch(s);
    struct op *op = batch_add(b, OP_PUT_IDEM);
    struct list *node = list_pop_head(&s->spare_idems);
    struct idem *i = node != NULL ? LIST_ENTRY(node, struct idem, node) : mem_zalloc(sizeof(*i));
    const int64_t now = store_age_ms(s);
    unsigned char bytes[KEY_IDEM + IDEM_BYTES];
    const uint32_t hour = idem_bucket(now, ttl_ms(s));

    list_init(&i->node);
    hash_id(i->hash, tenant_id, event_id);
    i->seq = seq;
    list_push_tail(&b->idems, &i->node);
    /* A replaced item stays in the list of its batch and is dropped with it. */
    (void)map_put(&s->idems, i);

    put_be32(bytes, hour);
    memcpy(bytes + 4, i->hash, sizeof(i->hash));
    put_be64(bytes + KEY_IDEM + SEAL_BYTES, seq);
    put_be64(bytes + KEY_IDEM + SEAL_BYTES + 8, (uint64_t)now);
    value_seal(bytes + KEY_IDEM, IDEM_BYTES, journal_trees[TREE_IK],
               str_of((const char *)bytes, KEY_IDEM));
    op->offset = b->data.n;
    op->n = sizeof(bytes);
    op->n_key = KEY_IDEM;
    LL_ASSERT(buf_add(&b->data, bytes, sizeof(bytes)) == 0);
    store_account(s, b, sizeof(bytes));
    forget_hours(s, idem_expired_hour(s, now));
    add_hour(s, hour);
}

static int find_durable(struct store *s, const unsigned char hash[16], uint64_t *seq)
{
    const int64_t now = store_age_ms(s);

    forget_hours(s, idem_expired_hour(s, now));
    for (size_t i = s->n_idem_hours; i-- > 0;) {
        unsigned char bytes[KEY_IDEM];
        MDB_val key = val_of(bytes, sizeof(bytes));
        MDB_val value;
        struct str payload = STR_NULL;
        int rc;

        put_be32(bytes, s->idem_hours[i]);
        memcpy(bytes + 4, hash, 16);
        rc = mdb_get(s->read_txn, s->journal.dbi[TREE_IK], &key, &value);
        if (rc == MDB_NOTFOUND) {
            continue;
        }
        rc = rc != 0 ? err_from_mdb(rc)
                     : value_open(str_of_val(&value), journal_trees[TREE_IK], str_of_val(&key),
                                  &payload);
        if (rc == 0 && payload.n != V1_N && payload.n != IDEM_BYTES - SEAL_BYTES) {
            rc = ERR_CORRUPT;
        }
        if (rc != 0) {
            log_error("store.corrupt", LOG_CSTR("tree", "ik"), LOG_ERR(rc));
            return rc;
        }
        /* One that has expired may hide another: what a longer time to live left in a bucket of
         * the future was put before what is in those of today. */
        if (payload.n == V1_N || idem_is_alive((int64_t)get_be64(payload.p + 8), now, ttl_ms(s))) {
            *seq = get_be64(payload.p);
            return 0;
        }
    }
    return ERR_NOT_FOUND;
}

int store_find_idempotency(struct store *s, struct str tenant_id, struct str event_id,
                           uint64_t *seq)
{
    const bool was_reading = s->is_reading;
    unsigned char hash[16];
    const struct idem *i;
    int rc;

    hash_id(hash, tenant_id, event_id);
    i = map_get(&s->idems, str_of((const char *)hash, sizeof(hash)));
    if (i != NULL) {
        *seq = i->seq;
        return 0;
    }
    if (s->n_idem_hours == 0) {
        return ERR_NOT_FOUND;
    }
    rc = was_reading ? 0 : store_read_begin(s);
    if (rc != 0) {
        return rc;
    }
    rc = find_durable(s, hash, seq);
    if (!was_reading) {
        store_read_end(s);
    }
    return rc;
}
