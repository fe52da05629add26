/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A compiled filter: one allocation, so that a hundred thousand destinations can have one each.
 *
 *   [ struct filter | nodes[0 .. n_nodes) | text of keys and strings ]
 *
 * nodes[0] is the root; the children of a node are consecutive. The same nodes serve as patterns
 * (where `op` of the members of an object matters) and as literals (below $eq, where it does not).
 */
#ifndef LL_FILTER_INTERNAL_H
#define LL_FILTER_INTERNAL_H

#include <stddef.h>
#include <stdint.h>

#include "longline/str.h"

enum node_kind { NODE_NULL, NODE_BOOL, NODE_NUM, NODE_STR, NODE_ARR, NODE_OBJ };

/* What the name of an object's member means. */
enum node_op {
    OP_KEY, /* no operator: the name of a member */
    OP_EQ,
    OP_NEQ,
    OP_GT,
    OP_GTE,
    OP_LT,
    OP_LTE,
    OP_IN,
    OP_NIN,
    OP_STARTS_WITH,
    OP_ENDS_WITH,
    OP_EXIST, /* the last that looks at the value itself */
    OP_OR,
    OP_AND,
    OP_NOT
};

/* What an object's members are, all together. */
#define OBJ_HAS_KEYS  1U
#define OBJ_HAS_TESTS 2U /* operators up to OP_EXIST */
#define OBJ_HAS_LOGIC 4U /* $or, $and, $not */
#define OBJ_MAY_MISS  8U /* "$exist": false is among them */

struct node {
    uint8_t kind;  /* enum node_kind */
    uint8_t op;    /* enum node_op */
    uint8_t flags; /* OBJ_… */
    bool truth;    /* NODE_BOOL */
    uint32_t n;    /* children, or bytes of the string */
    union {
        double num;
        const char *text;
        const struct node *first; /* child */
    } u;
    const char *key; /* of a member */
    size_t key_n;
};

struct filter {
    size_t n_nodes;
    struct node nodes[];
};

#endif
