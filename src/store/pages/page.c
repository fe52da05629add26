/* SPDX-License-Identifier: Apache-2.0 */
#include "pages/page.h"

#include <string.h>

#include "longline/check.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ && sizeof(size_t) == 8,
               "LMDB's file format is that of the machine: 64-bit and little-endian is read here");

#define MAGIC        0xbeefc0deU
#define DATA_VERSION 1U
#define FREE_FLAGS   0x08U /* MDB_INTEGERKEY; FIXEDMAP would have LMDB map at a stored address */
#define TREE_BYTES   48U
#define META_BYTES   136U
#define BIG_DATA     0x01U
#define SUB_DATA     0x02U
#define SLOTS_MAX    (PG_SIZE_MAX / 2U)

static uint16_t u16(const unsigned char *p)
{
    uint16_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static uint32_t u32(const unsigned char *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static uint64_t u64(const unsigned char *p)
{
    uint64_t v;
    memcpy(&v, p, sizeof(v));
    return v;
}

static void tree_get(const unsigned char *p, struct pg_tree *out)
{
    *out = (struct pg_tree){.pad = u32(p),
                            .flags = u16(p + 4),
                            .depth = u16(p + 6),
                            .branches = u64(p + 8),
                            .leaves = u64(p + 16),
                            .overflows = u64(p + 24),
                            .entries = u64(p + 32),
                            .root = u64(p + 40)};
}

static const char *tree_check(const struct pg_tree *t)
{
    if (t->depth > PG_DEPTH_MAX || (t->depth == 0) != (t->root == PG_NONE) ||
        (t->root == PG_NONE && t->entries != 0)) {
        return "impossible depth of a tree";
    }
    return t->root < PG_FIRST ? "the root of a tree is out of range" : NULL;
}

const char *pg_tree_parse(struct str data, struct pg_tree *out)
{
    if (data.n != TREE_BYTES) {
        return "the description of a tree has a wrong length";
    }
    tree_get((const unsigned char *)data.p, out);
    if (out->flags != 0 || out->pad != 0) {
        return "unknown flags of a tree";
    }
    return tree_check(out);
}

static bool is_page_size(uint32_t n)
{
    return n >= PG_SIZE_MIN && n <= PG_SIZE_MAX && (n & (n - 1)) == 0;
}

const char *pg_meta_parse(const unsigned char *p, size_t n, unsigned which, struct pg_meta *out)
{
    const unsigned char *m = p + PG_HEAD;

    if (n < PG_HEAD + META_BYTES) {
        return "the file ends within it";
    }
    if (u64(p) != which || u16(p + 10) != PG_META || u32(m) != MAGIC) {
        return "it is no meta page";
    }
    if (u32(m + 4) != DATA_VERSION) {
        return "unknown version of the file format";
    }
    tree_get(m + 24, &out->free);
    tree_get(m + 24 + TREE_BYTES, &out->main);
    out->last = u64(m + 120);
    out->txn = u64(m + 128);
    out->page_size = out->free.pad;
    if (!is_page_size(out->page_size)) {
        return "impossible page size";
    }
    /* Commits take turns at the two pages; a new file has two of number 0. */
    return out->txn != 0 && (out->txn & 1) != which ? "the number of its commit does not fit"
                                                    : NULL;
}

const char *pg_meta_check(const struct pg_meta *m)
{
    const char *why;

    if (m->free.flags != FREE_FLAGS || m->main.flags != 0 || m->main.pad != 0) {
        return "unknown flags";
    }
    if (m->last < PG_FIRST - 1 || m->last >= UINT64_MAX / PG_SIZE_MAX) {
        return "impossible number of pages";
    }
    why = tree_check(&m->free);
    why = why != NULL ? why : tree_check(&m->main);
    if (why == NULL && ((m->free.root != PG_NONE && m->free.root > m->last) ||
                        (m->main.root != PG_NONE && m->main.root > m->last))) {
        why = "the root of a tree is out of range";
    }
    return why;
}

uint64_t pg_page_number(const unsigned char *p)
{
    return u64(p);
}

uint64_t pg_number(struct str eight)
{
    return eight.n == 8 ? u64((const unsigned char *)eight.p) : 0;
}

/* Bytes that the node at p takes; 0 when it does not lie within n. */
static size_t node_bytes(enum pg_kind kind, const unsigned char *p, size_t n)
{
    const unsigned flags = n >= PG_NODE_HEAD ? u16(p + 4) : 0;
    size_t total = PG_NODE_HEAD;

    if (n < PG_NODE_HEAD) {
        return 0;
    }
    total += u16(p + 6);
    if (kind == PG_LEAF) {
        const size_t n_data = (size_t)u16(p) | (size_t)u16(p + 2) << 16;
        if (flags > SUB_DATA || n_data > UINT32_MAX) { /* no tree of ours has duplicate keys */
            return 0;
        }
        total += flags == BIG_DATA ? sizeof(uint64_t) : n_data;
    }
    total += total & 1;
    return total <= n ? total : 0;
}

/* LMDB keeps the nodes of a page side by side at its end. */
static const char *check_nodes(const struct pg_page *pg, size_t upper)
{
    unsigned char used[SLOTS_MAX];
    size_t sum = 0;

    memset(used, 0, pg->size / 2);
    for (size_t i = 0; i < pg->n; i++) {
        const size_t at = u16(pg->p + PG_HEAD + 2 * i);
        size_t n;
        if (at < upper || at >= pg->size || at % 2 != 0) {
            return "a node lies outside of the page";
        }
        n = node_bytes(pg->kind, pg->p + at, pg->size - at);
        if (n == 0) {
            return "a node does not fit into the page";
        }
        if (memchr(used + at / 2, 1, n / 2) != NULL) {
            return "two nodes overlap";
        }
        memset(used + at / 2, 1, n / 2);
        sum += n;
    }
    return sum == pg->size - upper ? NULL : "a node is missing";
}

const char *pg_page_parse(struct pg_page *out, const unsigned char *p, size_t size, uint64_t number)
{
    const unsigned flags = u16(p + 10);
    const size_t lower = u16(p + 12);
    const size_t upper = u16(p + 14);

    LL_ASSERT(size >= PG_SIZE_MIN && size <= PG_SIZE_MAX);
    *out = (struct pg_page){.p = p, .size = size};
    if (number != PG_NONE && u64(p) != number) {
        return "the page is not the one that belongs here";
    }
    if (flags == PG_OVERFLOW) {
        out->kind = PG_OVERFLOW;
        out->pages = u32(p + 12);
        return out->pages != 0 ? NULL : "an empty run of pages";
    }
    if (flags != PG_BRANCH && flags != PG_LEAF) {
        return "unknown kind of page";
    }
    out->kind = flags == PG_BRANCH ? PG_BRANCH : PG_LEAF;
    if (lower <= PG_HEAD || lower % 2 != 0 || lower > upper || upper > size) {
        return "impossible bounds of a page";
    }
    out->n = (lower - PG_HEAD) / 2;
    return check_nodes(out, upper);
}

static void node_get(enum pg_kind kind, const unsigned char *p, struct pg_node *out)
{
    const unsigned char *data = p + PG_NODE_HEAD + u16(p + 6);

    *out = (struct pg_node){.key = str_of((const char *)p + PG_NODE_HEAD, u16(p + 6))};
    if (kind == PG_BRANCH) {
        out->child = (uint64_t)u16(p) | (uint64_t)u16(p + 2) << 16 | (uint64_t)u16(p + 4) << 32;
        return;
    }
    out->n_data = (size_t)u16(p) | (size_t)u16(p + 2) << 16;
    out->is_tree = u16(p + 4) == SUB_DATA;
    if (u16(p + 4) == BIG_DATA) {
        out->run = u64(data);
    } else {
        out->data = str_of((const char *)data, out->n_data);
    }
}

void pg_node_get(const struct pg_page *page, size_t i, struct pg_node *out)
{
    LL_ASSERT(i < page->n);
    node_get(page->kind, page->p + u16(page->p + PG_HEAD + 2 * i), out);
}

size_t pg_leaf_slots(const unsigned char *p, size_t size)
{
    const size_t lower = u16(p + 12);
    size_t lowest = size;
    size_t n = 0;

    if (lower > PG_HEAD && lower % 2 == 0 && lower <= size) {
        return (lower - PG_HEAD) / 2;
    }
    /* The offsets end where the nodes begin. */
    for (; PG_HEAD + 2 * (n + 1) <= lowest; n++) {
        const size_t at = u16(p + PG_HEAD + 2 * n);
        lowest = at > PG_HEAD && at < lowest ? at : lowest;
    }
    return n;
}

bool pg_leaf_try(const unsigned char *p, size_t size, size_t i, struct pg_node *out)
{
    size_t n;
    return PG_HEAD + 2 * (i + 1) <= size &&
           pg_leaf_try_at(p, size, u16(p + PG_HEAD + 2 * i), out, &n);
}

bool pg_leaf_try_at(const unsigned char *p, size_t size, size_t at, struct pg_node *out, size_t *n)
{
    *n = at >= PG_HEAD && at < size ? node_bytes(PG_LEAF, p + at, size - at) : 0;
    if (*n == 0) {
        return false;
    }
    node_get(PG_LEAF, p + at, out);
    return true;
}

bool pg_is_leaf(const unsigned char *p, uint64_t number)
{
    return u64(p) == number && u16(p + 10) == PG_LEAF;
}

bool pg_is_branch(const unsigned char *p)
{
    return u16(p + 10) == PG_BRANCH;
}

int pg_key_compare(struct str a, struct str b, bool is_number)
{
    const size_t n = a.n < b.n ? a.n : b.n;
    int c;

    if (is_number) {
        const uint64_t x = pg_number(a);
        const uint64_t y = pg_number(b);
        return x < y ? -1 : x > y;
    }
    c = n != 0 ? memcmp(a.p, b.p, n) : 0;
    return c != 0 ? c : (a.n > b.n) - (a.n < b.n);
}
