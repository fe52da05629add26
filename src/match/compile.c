/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From JSON text to a compiled filter: parse, measure, allocate once, fill in. Nothing is refused
 * that Outpost accepts; what makes no sense compiles to something that never matches.
 */
#include "longline/match.h"

#include "filter_internal.h"
#include "longline/arena.h"
#include "longline/check.h"
#include "longline/mem.h"

#define FILTER_MAX_DEPTH 32
#define FILTER_MAX_NODES 4096
#define FILTER_MAX_BYTES ((size_t)256 * 1024)
#define PARSE_MAX_BYTES  ((size_t)8 * 1024 * 1024)

static const struct {
    struct str name;
    enum node_op op;
} operators[] = {
    {{"$eq", 3}, OP_EQ},
    {{"$neq", 4}, OP_NEQ},
    {{"$gt", 3}, OP_GT},
    {{"$gte", 4}, OP_GTE},
    {{"$lt", 3}, OP_LT},
    {{"$lte", 4}, OP_LTE},
    {{"$in", 3}, OP_IN},
    {{"$nin", 4}, OP_NIN},
    {{"$startsWith", 11}, OP_STARTS_WITH},
    {{"$endsWith", 9}, OP_ENDS_WITH},
    {{"$exist", 6}, OP_EXIST},
    {{"$or", 3}, OP_OR},
    {{"$and", 4}, OP_AND},
    {{"$not", 4}, OP_NOT},
};

static enum node_op op_of(struct str key)
{
    if (key.n == 0 || key.p[0] != '$') {
        return OP_KEY;
    }
    for (size_t i = 0; i < LL_COUNT(operators); i++) {
        if (str_eq(operators[i].name, key)) {
            return operators[i].op;
        }
    }
    return OP_KEY;
}

struct size {
    size_t n_nodes;
    size_t n_bytes;
};

static int measure(struct size *size, yyjson_val *v, int depth)
{
    if (depth > FILTER_MAX_DEPTH || ++size->n_nodes > FILTER_MAX_NODES) {
        return ERR_TOO_BIG;
    }
    if (yyjson_is_obj(v)) {
        yyjson_obj_iter it = yyjson_obj_iter_with(v);
        yyjson_val *key;
        while ((key = yyjson_obj_iter_next(&it)) != NULL) {
            size->n_bytes += yyjson_get_len(key);
            const int rc = measure(size, yyjson_obj_iter_get_val(key), depth + 1);
            if (rc != 0) {
                return rc;
            }
        }
    } else if (yyjson_is_arr(v)) {
        yyjson_arr_iter it = yyjson_arr_iter_with(v);
        yyjson_val *item;
        while ((item = yyjson_arr_iter_next(&it)) != NULL) {
            const int rc = measure(size, item, depth + 1);
            if (rc != 0) {
                return rc;
            }
        }
    } else if (yyjson_is_str(v)) {
        size->n_bytes += yyjson_get_len(v);
    }
    return 0;
}

/* Where the next nodes and bytes go; measure() made sure that they suffice. */
struct filler {
    struct node *node;
    char *text;
};

static const char *put_text(struct filler *f, struct str s)
{
    char *const at = f->text;
    if (s.n > 0) {
        memcpy(at, s.p, s.n);
        f->text += s.n;
    }
    return at;
}

static unsigned flags_of(const struct node *member)
{
    switch ((enum node_op)member->op) {
    case OP_KEY:
        return OBJ_HAS_KEYS;
    case OP_OR:
    case OP_AND:
    case OP_NOT:
        return OBJ_HAS_LOGIC;
    case OP_EXIST:
        return OBJ_HAS_TESTS | (member->kind == NODE_BOOL && !member->truth ? OBJ_MAY_MISS : 0U);
    case OP_EQ:
    case OP_NEQ:
    case OP_GT:
    case OP_GTE:
    case OP_LT:
    case OP_LTE:
    case OP_IN:
    case OP_NIN:
    case OP_STARTS_WITH:
    case OP_ENDS_WITH:
        break;
    }
    return OBJ_HAS_TESTS;
}

static void fill(struct filler *f, struct node *out, yyjson_val *v);

static void fill_object(struct filler *f, struct node *out, yyjson_val *v)
{
    struct node *const members = f->node;
    out->kind = NODE_OBJ;
    out->n = (uint32_t)yyjson_obj_size(v);
    out->u.first = members;
    f->node += out->n;
    yyjson_obj_iter it = yyjson_obj_iter_with(v);
    for (uint32_t i = 0; i < out->n; i++) {
        yyjson_val *const key = yyjson_obj_iter_next(&it);
        const struct str name = json_str(key);
        members[i].op = (uint8_t)op_of(name);
        members[i].key = put_text(f, name);
        members[i].key_n = name.n;
        fill(f, &members[i], yyjson_obj_iter_get_val(key));
        out->flags = (uint8_t)(out->flags | flags_of(&members[i]));
    }
}

static void fill_array(struct filler *f, struct node *out, yyjson_val *v)
{
    struct node *const items = f->node;
    out->kind = NODE_ARR;
    out->n = (uint32_t)yyjson_arr_size(v);
    out->u.first = items;
    f->node += out->n;
    yyjson_arr_iter it = yyjson_arr_iter_with(v);
    for (uint32_t i = 0; i < out->n; i++) {
        fill(f, &items[i], yyjson_arr_iter_next(&it));
    }
}

static void fill(struct filler *f, struct node *out, yyjson_val *v)
{
    if (yyjson_is_obj(v)) {
        fill_object(f, out, v);
    } else if (yyjson_is_arr(v)) {
        fill_array(f, out, v);
    } else if (yyjson_is_str(v)) {
        out->kind = NODE_STR;
        out->n = (uint32_t)yyjson_get_len(v);
        out->u.text = put_text(f, json_str(v));
    } else if (yyjson_is_num(v)) {
        out->kind = NODE_NUM;
        out->u.num = yyjson_get_num(v);
    } else if (yyjson_is_bool(v)) {
        out->kind = NODE_BOOL;
        out->truth = yyjson_get_bool(v);
    } else {
        out->kind = NODE_NULL;
    }
}

static int build(struct filter **out, yyjson_val *root)
{
    if (yyjson_is_null(root) || (yyjson_is_obj(root) && yyjson_obj_size(root) == 0)) {
        return 0;
    }
    if (!yyjson_is_obj(root)) {
        return ERR_SYNTAX;
    }
    struct size size = {0};
    const int rc = measure(&size, root, 1);
    if (rc != 0) {
        return rc;
    }
    const size_t nodes_size = size.n_nodes * sizeof(struct node);
    struct filter *f = mem_try_alloc(sizeof(*f) + nodes_size + size.n_bytes);
    if (f == NULL) {
        return ERR_NOMEM;
    }
    f->n_nodes = size.n_nodes;
    memset(f->nodes, 0, nodes_size);
    struct filler filler = {.node = f->nodes + 1, .text = (char *)(f->nodes + size.n_nodes)};
    fill(&filler, &f->nodes[0], root);
    LL_ASSERT(filler.node == f->nodes + size.n_nodes);
    *out = f;
    return 0;
}

int filter_compile(struct filter **out, struct str text)
{
    *out = NULL;
    if (text.n > FILTER_MAX_BYTES) {
        return ERR_TOO_BIG;
    }
    struct arena a;
    arena_init(&a, PARSE_MAX_BYTES);
    struct err_detail err = {0};
    yyjson_doc *doc = json_parse(&a, text, &err);
    int rc = err.code != 0 ? err.code : ERR_SYNTAX;
    if (doc != NULL) {
        rc = build(out, yyjson_doc_get_root(doc));
    }
    arena_fini(&a);
    return rc;
}

void filter_free(struct filter *f)
{
    mem_free(f);
}
