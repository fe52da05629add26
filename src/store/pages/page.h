/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pages of an LMDB file (0.9, 64-bit, little-endian), read as bytes that nobody has vouched
 * for. LMDB itself trusts its pages: a damaged one makes it divide by zero, follow offsets out of
 * its map, or give wrong answers. So they are looked at here before LMDB is let near them. All of
 * this file is pure and bounds-checked; a fuzz target feeds it arbitrary bytes.
 *
 *   page   number8 pad2 flags2 lower2 upper2 | offsets of nodes, 2 each … gap … nodes
 *          (of an overflow run: number8 pad2 flags2 pages4 | bytes)
 *   node   lo2 hi2 flags2 n_key2 | key | leaf: value, its number of the run, or a struct of a tree
 *   meta   (behind the page's head) magic4 version4 address8 map_size8 free48 main48 last8 txn8
 *   tree   pad4 flags2 depth2 branches8 leaves8 overflows8 entries8 root8
 */
#ifndef LL_STORE_PAGE_H
#define LL_STORE_PAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "longline/str.h"

#define PG_SIZE_MIN  4096U
#define PG_SIZE_MAX  32768U
#define PG_DEPTH_MAX 32U /* LMDB's own bound */
#define PG_FIRST     2U  /* behind the two meta pages */
#define PG_NONE      UINT64_MAX
#define PG_HEAD      16U
#define PG_NODE_HEAD 8U

enum pg_kind { PG_BRANCH = 1, PG_LEAF = 2, PG_OVERFLOW = 4, PG_META = 8 };

struct pg_tree {
    uint32_t pad; /* of the free list: the page size */
    uint16_t flags;
    uint16_t depth;
    uint64_t branches, leaves, overflows, entries;
    uint64_t root; /* PG_NONE: empty */
};

struct pg_meta {
    uint64_t txn;  /* the commit that wrote it */
    uint64_t last; /* the last page that was ever used */
    uint32_t page_size;
    struct pg_tree free, main;
};

/* Both return NULL, or what is wrong in a few words. Parses page `which` (0, 1). */
const char *pg_meta_parse(const unsigned char *p, size_t n, unsigned which, struct pg_meta *out);
/* Are the roots and counts possible in a file of this kind? */
const char *pg_meta_check(const struct pg_meta *m);

struct pg_page {
    const unsigned char *p;
    size_t size;
    enum pg_kind kind;
    size_t n;       /* nodes of a branch or leaf */
    uint64_t pages; /* of an overflow run */
};

/* Head and every node of a branch, leaf or overflow page; NULL, or what is wrong. The bytes must
 * live as long as *out. number PG_NONE: any. */
const char *pg_page_parse(struct pg_page *out, const unsigned char *p, size_t size,
                          uint64_t number);
uint64_t pg_page_number(const unsigned char *p); /* as its head says */

struct pg_node {
    struct str key;
    uint64_t child;  /* of a branch */
    struct str data; /* of a leaf; STR_NULL when it lies in an overflow run */
    size_t n_data;
    uint64_t run; /* the first page of that run, or 0 */
    bool is_tree; /* the data is a struct pg_tree */
};
/* The node i < n of a page that was parsed. */
void pg_node_get(const struct pg_page *page, size_t i, struct pg_node *out);
/* For salvage, of a page that did not pass: how many nodes a leaf may have had, and node i when it
 * fits into the page. Whether it means anything, its checksum has to tell. */
size_t pg_leaf_slots(const unsigned char *p, size_t size);
bool pg_leaf_try(const unsigned char *p, size_t size, size_t i, struct pg_node *out);
/* The same for a node at a place that no offset names; *n is what it takes. */
bool pg_leaf_try_at(const unsigned char *p, size_t size, size_t at, struct pg_node *out, size_t *n);
/* As its head says. */
bool pg_is_leaf(const unsigned char *p, uint64_t number);
bool pg_is_branch(const unsigned char *p);
/* NULL, or what is wrong. */
const char *pg_tree_parse(struct str data, struct pg_tree *out);

/* LMDB's order of keys: by bytes, the shorter first; those of the free list are numbers. */
int pg_key_compare(struct str a, struct str b, bool is_number);
uint64_t pg_number(struct str eight); /* native */

#endif
