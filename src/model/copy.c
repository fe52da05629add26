/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The registry's copies: one block that holds the struct, its arrays and all text.
 *
 *   [ struct | struct str topics[] | struct kv config[] … | bytes of all strings ]
 */
#include "longline/check.h"
#include "longline/mem.h"
#include "model_internal.h"

struct block {
    char *arrays; /* next free place for an array; sizes are multiples of its alignment */
    char *text;
};

_Static_assert(sizeof(struct str) % _Alignof(struct str) == 0, "arrays follow one another");
_Static_assert(sizeof(struct kv) % _Alignof(struct kv) == 0, "arrays follow one another");
_Static_assert(sizeof(struct tenant) % _Alignof(struct kv) == 0, "arrays follow the struct");
_Static_assert(sizeof(struct destination) % _Alignof(struct kv) == 0, "arrays follow the struct");

static size_t map_arrays(const struct kv_map *m)
{
    return m->n * sizeof(*m->v);
}

static size_t map_text(const struct kv_map *m)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n; i++) {
        n += m->v[i].key.n + m->v[i].value.n;
    }
    return n;
}

static struct str put_str(struct block *b, struct str s)
{
    if (s.n == 0) {
        return STR("");
    }
    char *const at = b->text;
    memcpy(at, s.p, s.n);
    b->text += s.n;
    return str_of(at, s.n);
}

static struct kv_map put_map(struct block *b, const struct kv_map *m)
{
    struct kv_map out = {.n = m->n};
    if (m->n == 0) {
        return out;
    }
    out.v = (struct kv *)(void *)b->arrays;
    b->arrays += map_arrays(m);
    for (size_t i = 0; i < m->n; i++) {
        out.v[i].key = put_str(b, m->v[i].key);
        out.v[i].value = put_str(b, m->v[i].value);
    }
    return out;
}

struct tenant *tenant_copy(const struct tenant *src)
{
    const size_t fixed = sizeof(*src) + map_arrays(&src->metadata);
    const size_t size = fixed + src->id.n + map_text(&src->metadata);
    struct tenant *t = mem_alloc(size);
    struct block b = {.arrays = (char *)(t + 1), .text = (char *)t + fixed};
    *t = *src;
    t->id = put_str(&b, src->id);
    t->metadata = put_map(&b, &src->metadata);
    LL_ASSERT(b.text == (char *)t + size);
    return t;
}

static size_t destination_arrays(const struct destination *d)
{
    return d->n_topics * sizeof(*d->topics) + map_arrays(&d->config) + map_arrays(&d->credentials) +
           map_arrays(&d->delivery_metadata) + map_arrays(&d->metadata);
}

static size_t destination_text(const struct destination *d)
{
    size_t n = d->id.n + d->tenant_id.n + d->type.n + d->filter.n + map_text(&d->config) +
               map_text(&d->credentials) + map_text(&d->delivery_metadata) + map_text(&d->metadata);
    for (size_t i = 0; i < d->n_topics; i++) {
        n += d->topics[i].n;
    }
    return n;
}

struct destination *destination_copy(const struct destination *src)
{
    const size_t fixed = sizeof(*src) + destination_arrays(src);
    const size_t size = fixed + destination_text(src);
    struct destination *d = mem_alloc(size);
    struct block b = {.arrays = (char *)(d + 1), .text = (char *)d + fixed};
    *d = *src;
    d->id = put_str(&b, src->id);
    d->tenant_id = put_str(&b, src->tenant_id);
    d->type = put_str(&b, src->type);
    d->filter = put_str(&b, src->filter);
    d->topics = NULL;
    if (src->n_topics > 0) {
        d->topics = (struct str *)(void *)b.arrays;
        b.arrays += src->n_topics * sizeof(*d->topics);
        for (size_t i = 0; i < src->n_topics; i++) {
            d->topics[i] = put_str(&b, src->topics[i]);
        }
    }
    d->config = put_map(&b, &src->config);
    d->credentials = put_map(&b, &src->credentials);
    d->delivery_metadata = put_map(&b, &src->delivery_metadata);
    d->metadata = put_map(&b, &src->metadata);
    LL_ASSERT(b.arrays == (char *)d + fixed && b.text == (char *)d + size);
    return d;
}

void destination_free(struct destination *d)
{
    if (d == NULL) {
        return;
    }
    /* The whole block: delivery metadata is as secret as the credentials. */
    mem_wipe(d, sizeof(*d) + destination_arrays(d) + destination_text(d));
    mem_free(d);
}
