/* SPDX-License-Identifier: Apache-2.0 */
/* String maps: a handful of entries in the order of writing, searched from the front. */
#include "longline/enc.h"
#include "model_internal.h"

#define JSON_TEXT_MAX ((size_t)1024 * 1024)

struct str kv_get(const struct kv_map *m, struct str key)
{
    for (size_t i = 0; i < m->n; i++) {
        if (str_eq(m->v[i].key, key)) {
            return m->v[i].value;
        }
    }
    return STR_NULL;
}

/* STR_NULL with a NULL p when the arena is used up. */
static struct str json_text(yyjson_val *v, struct arena *a)
{
    struct buf b;
    buf_init(&b, JSON_TEXT_MAX);
    struct str out = STR_NULL;
    if (json_write_val(&b, v) == 0 && !b.failed) {
        out = arena_str(a, buf_str(&b));
    }
    buf_fini(&b);
    return out;
}

static struct str coerce(yyjson_val *v, struct arena *a)
{
    if (yyjson_is_str(v)) {
        return arena_str(a, json_str(v));
    }
    if (yyjson_is_bool(v)) {
        return yyjson_get_bool(v) ? STR("true") : STR("false");
    }
    if (yyjson_is_num(v)) {
        char text[NUMBER_MAX];
        return arena_str(a, str_of(text, number_text(text, yyjson_get_num(v))));
    }
    return yyjson_is_null(v) ? STR("") : json_text(v, a);
}

static struct kv *find(const struct kv_map *m, struct str key)
{
    for (size_t i = 0; i < m->n; i++) {
        if (str_eq(m->v[i].key, key)) {
            return &m->v[i];
        }
    }
    return NULL;
}

/* The map has room for one more. */
static int set(struct kv_map *m, struct str key, yyjson_val *v, struct arena *a)
{
    const struct str value = coerce(v, a);
    if (value.p == NULL) {
        return ERR_TOO_BIG;
    }
    struct kv *entry = find(m, key);
    if (entry != NULL) {
        entry->value = value;
        return 0;
    }
    if (m->n == MODEL_MAX_KV) {
        return ERR_LIMIT;
    }
    const struct str own_key = arena_str(a, key);
    if (own_key.p == NULL) {
        return ERR_TOO_BIG;
    }
    m->v[m->n++] = (struct kv){.key = own_key, .value = value};
    return 0;
}

static void unset(struct kv_map *m, struct str key)
{
    struct kv *entry = find(m, key);
    if (entry != NULL) {
        struct kv *end = m->v + m->n;
        memmove(entry, entry + 1, (size_t)(end - entry - 1) * sizeof(*entry));
        m->n--;
    }
}

/* An empty map with room for `room` entries, at most MODEL_MAX_KV. */
static int make(struct kv_map *m, size_t room, struct arena *a)
{
    *m = (struct kv_map){0};
    if (room > MODEL_MAX_KV) {
        room = MODEL_MAX_KV;
    }
    if (room == 0) {
        return 0;
    }
    m->v = arena_alloc(a, room * sizeof(*m->v));
    return m->v != NULL ? 0 : ERR_TOO_BIG;
}

static int apply(struct kv_map *m, yyjson_val *v, bool null_removes, struct arena *a)
{
    yyjson_obj_iter it = yyjson_obj_iter_with(v);
    yyjson_val *k;
    while ((k = yyjson_obj_iter_next(&it)) != NULL) {
        yyjson_val *value = yyjson_obj_iter_get_val(k);
        if (null_removes && yyjson_is_null(value)) {
            unset(m, json_str(k));
            continue;
        }
        const int rc = set(m, json_str(k), value, a);
        if (rc != 0) {
            return rc;
        }
    }
    return 0;
}

int kv_map_parse(struct kv_map *out, yyjson_val *v, struct arena *a)
{
    *out = (struct kv_map){0};
    if (!yyjson_is_obj(v)) {
        return ERR_INVALID;
    }
    const int rc = make(out, yyjson_obj_size(v), a);
    return rc == 0 ? apply(out, v, false, a) : rc;
}

int kv_map_merge(struct kv_map *out, const struct kv_map *old, yyjson_val *v, struct arena *a)
{
    struct kv_map merged;
    int rc = make(&merged, old->n + yyjson_obj_size(v), a);
    if (rc != 0) {
        return rc;
    }
    if (old->n > MODEL_MAX_KV) {
        return ERR_LIMIT;
    }
    if (old->n > 0) {
        memcpy(merged.v, old->v, old->n * sizeof(*old->v));
        merged.n = old->n;
    }
    rc = apply(&merged, v, true, a);
    *out = merged;
    return rc;
}

bool text_is_clean(struct str s)
{
    for (size_t i = 0; i < s.n; i++) {
        const unsigned char c = (unsigned char)s.p[i];
        if (c < 0x20 || c == 0x7f) {
            return false;
        }
        /* C1: U+0080 to U+009F */
        if (c == 0xc2 && i + 1 < s.n && (unsigned char)s.p[i + 1] < 0xa0) {
            return false;
        }
    }
    return true;
}

bool model_id_valid(struct str id)
{
    /* Clients take "." and ".." out of a path, so no URL could name them. */
    return id.n > 0 && id.n <= MODEL_MAX_ID && utf8_valid(id) && text_is_clean(id) &&
           !str_eq(id, STR(".")) && !str_eq(id, STR(".."));
}
