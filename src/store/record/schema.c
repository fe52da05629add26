/* SPDX-License-Identifier: Apache-2.0 */
#include "record/schema.h"

#include "longline/check.h"
#include "longline/hash.h"

const char *const journal_trees[N_JOURNAL_TREES] = {
    [TREE_EV] = "ev", [TREE_AT] = "at", [TREE_BD] = "bd", [TREE_RT] = "rt",
    [TREE_IK] = "ik", [TREE_CF] = "cf", [TREE_MT] = "mt"};
const char *const index_trees[N_INDEX_TREES] = {
    [TREE_PO] = "po", [TREE_EA] = "ea", [TREE_ID] = "id", [TREE_IMT] = "mt"};

uint32_t place_crc(uint32_t crc, const char *tree, struct str key)
{
    return crc32c(crc32c(crc, tree, strlen(tree)), key.p, key.n);
}

void value_seal(unsigned char *value, size_t n, const char *tree, struct str key)
{
    LL_ASSERT(n >= SEAL_BYTES);
    value[0] = SEAL_VERSION;
    put_be32(value + 1, place_crc(crc32c(0, value + SEAL_BYTES, n - SEAL_BYTES), tree, key));
}

int value_open(struct str v, const char *tree, struct str key, struct str *payload)
{
    uint32_t crc;

    if (v.n < SEAL_BYTES) {
        return ERR_CORRUPT;
    }
    if (v.p[0] != SEAL_VERSION && v.p[0] != 1) {
        return ERR_VERSION;
    }
    *payload = str_of(v.p + SEAL_BYTES, v.n - SEAL_BYTES);
    crc = crc32c(0, payload->p, payload->n);
    if (v.p[0] != 1) {
        crc = place_crc(crc, tree, key);
    }
    return crc == get_be32(v.p + 1) ? 0 : ERR_CORRUPT;
}

int err_from_mdb(int rc)
{
    switch (rc) {
    case MDB_SUCCESS:
        return 0;
    case MDB_NOTFOUND:
        return ERR_NOT_FOUND;
    case MDB_KEYEXIST:
        return ERR_EXISTS;
    case MDB_MAP_FULL:
    case MDB_TXN_FULL:
        return ERR_FULL;
    case MDB_VERSION_MISMATCH:
        return ERR_VERSION;
    case MDB_INVALID:
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_PAGE_FULL:
    case MDB_CURSOR_FULL:
    case MDB_INCOMPATIBLE:
    case MDB_BAD_DBI:
        return ERR_CORRUPT;
    case MDB_READERS_FULL:
    case MDB_DBS_FULL:
        return ERR_LIMIT;
    case MDB_BAD_VALSIZE:
        return ERR_TOO_BIG;
    case MDB_PANIC:
        return ERR_IO;
    default:
        return rc > 0 ? err_from_errno(rc) : ERR_UNKNOWN;
    }
}

int meta_get(MDB_txn *txn, MDB_dbi dbi, const char *name, void *out, size_t n)
{
    MDB_val key = val_of(name, strlen(name));
    MDB_val value;
    struct str payload;
    int rc = mdb_get(txn, dbi, &key, &value);

    if (rc != 0) {
        return err_from_mdb(rc);
    }
    rc = value_open(str_of_val(&value), "mt", str_c(name), &payload);
    if (rc != 0) {
        return rc;
    }
    if (payload.n != n) {
        return ERR_CORRUPT;
    }
    memcpy(out, payload.p, n);
    return 0;
}

int meta_put(MDB_txn *txn, MDB_dbi dbi, const char *name, const void *p, size_t n)
{
    unsigned char bytes[SEAL_BYTES + META_MAX];
    MDB_val key = val_of(name, strlen(name));
    MDB_val value = val_of(bytes, SEAL_BYTES + n);

    LL_ASSERT(n <= META_MAX);
    memcpy(bytes + SEAL_BYTES, p, n);
    value_seal(bytes, SEAL_BYTES + n, "mt", str_c(name));
    return err_from_mdb(mdb_put(txn, dbi, &key, &value, 0));
}
