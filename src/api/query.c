/* SPDX-License-Identifier: Apache-2.0 */
#include "query.h"

#include "longline/enc.h"
#include "longline/http.h"

struct parse {
    struct query *q;
    struct arena *arena;
    size_t cap;
};

static int on_pair(void *ctx, struct str name, struct str value)
{
    struct parse *p = ctx;
    struct query_param param;

    if (name.n == 0 && value.n == 0) {
        return 0; /* between two ampersands */
    }
    if (!utf8_valid(name) || !utf8_valid(value)) {
        return ERR_SYNTAX;
    }
    if (p->q->n == QUERY_MAX_PARAMS) {
        return ERR_LIMIT;
    }
    param.name = arena_str(p->arena, name);
    param.value = arena_str(p->arena, value);
    if (param.name.p == NULL || param.value.p == NULL) {
        return ERR_TOO_BIG;
    }
    p->q->v[p->q->n++] = param;
    return 0;
}

/* An upper bound, so that the array is allocated once. */
static size_t count_pieces(struct str raw)
{
    size_t n = 1;
    for (size_t i = 0; i < raw.n; i++) {
        if (raw.p[i] == '&') {
            n++;
        }
    }
    return n < QUERY_MAX_PARAMS ? n : QUERY_MAX_PARAMS;
}

int query_parse(struct query *q, struct str raw, struct arena *a)
{
    struct parse p = {.q = q, .arena = a};

    *q = (struct query){.n = 0};
    if (raw.n == 0) {
        return 0;
    }
    p.cap = count_pieces(raw);
    q->v = arena_alloc(a, p.cap * sizeof(*q->v));
    if (q->v == NULL) {
        return ERR_TOO_BIG;
    }
    return http_query_each(raw, on_pair, &p);
}

struct str query_get(const struct query *q, struct str name)
{
    for (size_t i = 0; i < q->n; i++) {
        if (str_eq(q->v[i].name, name)) {
            return q->v[i].value;
        }
    }
    return STR_NULL;
}

enum spelling { SPELLING_OTHER, SPELLING_INDEXED, SPELLING_BRACKETS, SPELLING_PLAIN };

/* How `param` names the list `name`; *index for SPELLING_INDEXED. */
static enum spelling spelling_of(struct str param, struct str name, uint64_t *index)
{
    if (!str_starts(param, name)) {
        return SPELLING_OTHER;
    }
    if (param.n == name.n) {
        return SPELLING_PLAIN;
    }
    if (param.n < name.n + 2 || param.p[name.n] != '[' || param.p[param.n - 1] != ']') {
        return SPELLING_OTHER;
    }
    if (param.n == name.n + 2) {
        return SPELLING_BRACKETS;
    }
    return str_to_u64(str_of(param.p + name.n + 1, param.n - name.n - 2), index) == 0
               ? SPELLING_INDEXED
               : SPELLING_OTHER;
}

struct indexed {
    uint64_t index;
    struct str value;
};

/* Insertion sort: stable, and the usual input is sorted already. QUERY_MAX_PARAMS bounds it. */
static void insert_sorted(struct indexed *v, size_t n, struct indexed item)
{
    size_t at = n;
    while (at > 0 && v[at - 1].index > item.index) {
        v[at] = v[at - 1];
        at--;
    }
    v[at] = item;
}

static int list_indexed(const struct query *q, struct str name, struct arena *a, size_t n,
                        struct str *values)
{
    struct indexed *sorted = arena_alloc(a, n * sizeof(*sorted));
    size_t at = 0;

    if (sorted == NULL) {
        return ERR_TOO_BIG;
    }
    for (size_t i = 0; i < q->n; i++) {
        struct indexed item = {.value = q->v[i].value};
        if (spelling_of(q->v[i].name, name, &item.index) == SPELLING_INDEXED) {
            insert_sorted(sorted, at++, item);
        }
    }
    for (size_t i = 0; i < n; i++) {
        values[i] = sorted[i].value;
    }
    return 0;
}

int query_list(const struct query *q, struct str name, struct arena *a, struct store_strs *out)
{
    size_t counts[SPELLING_PLAIN + 1] = {0};
    enum spelling use = SPELLING_INDEXED;
    uint64_t index;
    struct str *values;
    size_t at = 0;

    *out = (struct store_strs){.n = 0};
    for (size_t i = 0; i < q->n; i++) {
        counts[spelling_of(q->v[i].name, name, &index)]++;
    }
    while (use < SPELLING_PLAIN && counts[use] == 0) {
        use++;
    }
    if (counts[use] == 0) {
        return 0;
    }
    values = arena_alloc(a, counts[use] * sizeof(*values));
    if (values == NULL) {
        return ERR_TOO_BIG;
    }
    *out = (struct store_strs){.v = values, .n = counts[use]};
    if (use == SPELLING_INDEXED) {
        return list_indexed(q, name, a, counts[use], values);
    }
    for (size_t i = 0; i < q->n; i++) {
        if (spelling_of(q->v[i].name, name, &index) == use) {
            values[at++] = q->v[i].value;
        }
    }
    return 0;
}

bool query_list_has(const struct store_strs *list, struct str value)
{
    for (size_t i = 0; i < list->n; i++) {
        if (str_eq(list->v[i], value)) {
            return true;
        }
    }
    return false;
}
