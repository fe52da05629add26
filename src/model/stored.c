/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stored form. Reading is strict about what it knows (ERR_CORRUPT) and passes over members it
 * does not know, so that a later version may add some; a change of meaning raises "v".
 *
 * Destinations, version 2: everything of config is sealed with the credentials, for custom headers
 * and URLs hold secrets as well. In version 1 config stood beside the sealed text.
 */
#include "model_internal.h"

#define STORED_VERSION         1 /* tenants */

#define DEST_VERSION           2
#define DEST_VERSION_CLEAR_CFG 1

void tenant_write_stored(struct jw *w, const struct tenant *t)
{
    jw_obj(w);
    JW_INT(w, "v", STORED_VERSION);
    JW_STR(w, "id", t->id);
    jw_key(w, STR("metadata"));
    write_map(w, &t->metadata);
    JW_INT(w, "created_at", t->created_ms);
    JW_INT(w, "updated_at", t->updated_ms);
    JW_INT(w, "generation", t->generation);
    JW_INT(w, "tokens_after", t->tokens_after_s);
    jw_obj_end(w);
}

void tombstone_write_stored(struct jw *w, int64_t tokens_after_s)
{
    jw_obj(w);
    JW_INT(w, "v", STORED_VERSION);
    JW_INT(w, "tokens_after", tokens_after_s);
    jw_obj_end(w);
}

void destination_write_stored(struct jw *w, const struct destination *d, struct str sealed)
{
    jw_obj(w);
    JW_INT(w, "v", DEST_VERSION);
    JW_INT(w, "num", d->num);
    write_description(w, d);
    jw_key(w, STR("metadata"));
    write_map(w, &d->metadata);
    JW_INT(w, "created_at", d->created_ms);
    JW_INT(w, "updated_at", d->updated_ms);
    JW_INT(w, "disabled_at", d->disabled_ms);
    JW_STR(w, "sealed", sealed);
    jw_obj_end(w);
}

void destination_write_secrets(struct jw *w, const struct destination *d)
{
    jw_obj(w);
    jw_key(w, STR("config"));
    write_map(w, &d->config);
    jw_key(w, STR("credentials"));
    write_map(w, &d->credentials);
    jw_key(w, STR("delivery_metadata"));
    write_map(w, &d->delivery_metadata);
    jw_obj_end(w);
}

/* A record being read; the first thing that is wrong stays in rc. */
struct reader {
    yyjson_val *root;
    struct arena *a;
    int rc;
};

static int open_record(struct reader *r, struct str json, struct arena *a)
{
    struct err_detail err = {0};
    *r = (struct reader){.a = a};
    yyjson_doc *doc = json_parse(a, json, &err);
    if (doc == NULL) {
        return err.code == ERR_TOO_BIG || err.code == ERR_NOMEM ? err.code : ERR_CORRUPT;
    }
    r->root = yyjson_doc_get_root(doc);
    return yyjson_is_obj(r->root) ? 0 : ERR_CORRUPT;
}

static void fail(struct reader *r, int rc)
{
    if (r->rc == 0) {
        r->rc = rc;
    }
}

/* The text is in the arena already: the document lies there. */
static struct str read_str(struct reader *r, const char *name)
{
    const struct str s = json_str(yyjson_obj_get(r->root, name));
    if (s.p == NULL) {
        fail(r, ERR_CORRUPT);
    }
    return s;
}

static int64_t read_int(struct reader *r, const char *name)
{
    yyjson_val *v = yyjson_obj_get(r->root, name);
    if (!yyjson_is_int(v) || (yyjson_is_uint(v) && yyjson_get_uint(v) > INT64_MAX)) {
        fail(r, ERR_CORRUPT);
        return 0;
    }
    return yyjson_get_sint(v);
}

static struct kv_map read_map(struct reader *r, const char *name)
{
    struct kv_map m = {0};
    const int rc = kv_map_parse(&m, yyjson_obj_get(r->root, name), r->a);
    if (rc != 0) {
        fail(r, rc == ERR_INVALID ? ERR_CORRUPT : rc);
    }
    return m;
}

static void read_topics(struct reader *r, struct destination *d)
{
    yyjson_val *list = yyjson_obj_get(r->root, "topics");
    const size_t n = yyjson_arr_size(list);
    if (!yyjson_is_arr(list) || n == 0 || n > MODEL_MAX_TOPICS) {
        fail(r, ERR_CORRUPT);
        return;
    }
    d->topics = arena_alloc(r->a, n * sizeof(*d->topics));
    if (d->topics == NULL) {
        fail(r, ERR_TOO_BIG);
        return;
    }
    yyjson_arr_iter it = yyjson_arr_iter_with(list);
    for (size_t i = 0; i < n; i++) {
        d->topics[i] = json_str(yyjson_arr_iter_next(&it));
        if (d->topics[i].p == NULL) {
            fail(r, ERR_CORRUPT);
        }
    }
    d->n_topics = n;
}

/* The text as it was written, not as a parser understood it. */
static void read_filter(struct reader *r, struct str json, struct str *out)
{
    const struct str name = STR("filter");
    struct str span;
    if (yyjson_obj_get(r->root, "filter") == NULL) {
        return;
    }
    if (json_spans(json, &name, &span, 1) != 0 || span.n == 0 || span.p[0] != '{') {
        fail(r, ERR_CORRUPT);
        return;
    }
    *out = arena_str(r->a, span);
    if (out->p == NULL) {
        fail(r, ERR_TOO_BIG);
    }
}

static int64_t read_version(struct reader *r, int64_t oldest, int64_t newest)
{
    const int64_t v = read_int(r, "v");
    if (r->rc == 0 && (v < oldest || v > newest)) {
        fail(r, ERR_VERSION);
    }
    return v;
}

static void check_version(struct reader *r)
{
    (void)read_version(r, STORED_VERSION, STORED_VERSION);
}

int tenant_parse_stored(struct tenant *out, struct str json, struct arena *a)
{
    struct reader r;
    *out = (struct tenant){0};
    const int rc = open_record(&r, json, a);
    if (rc != 0) {
        return rc;
    }
    check_version(&r);
    out->id = read_str(&r, "id");
    out->metadata = read_map(&r, "metadata");
    out->created_ms = read_int(&r, "created_at");
    out->updated_ms = read_int(&r, "updated_at");
    if (yyjson_obj_get(r.root, "generation") != NULL) {
        out->generation = read_int(&r, "generation");
        out->tokens_after_s = read_int(&r, "tokens_after");
    } else {
        out->generation = out->created_ms; /* of an earlier version: no other will have this one */
    }
    return r.rc;
}

int tombstone_parse_stored(int64_t *tokens_after_s, struct str json, struct arena *a)
{
    struct reader r;
    const int rc = open_record(&r, json, a);
    if (rc != 0) {
        return rc;
    }
    check_version(&r);
    *tokens_after_s = read_int(&r, "tokens_after");
    return r.rc;
}

int destination_parse_stored(struct destination *out, struct stored_secrets *secrets,
                             struct str json, struct arena *a)
{
    struct reader r;
    *out = (struct destination){0};
    *secrets = (struct stored_secrets){.sealed = STR_NULL};
    const int rc = open_record(&r, json, a);
    if (rc != 0) {
        return rc;
    }
    const int64_t version = read_version(&r, DEST_VERSION_CLEAR_CFG, DEST_VERSION);
    secrets->with_config = version != DEST_VERSION_CLEAR_CFG;
    const int64_t num = read_int(&r, "num");
    if (num < 0 || num > UINT32_MAX) {
        fail(&r, ERR_CORRUPT);
    }
    out->num = (uint32_t)num;
    out->id = read_str(&r, "id");
    out->tenant_id = read_str(&r, "tenant_id");
    out->type = read_str(&r, "type");
    read_topics(&r, out);
    read_filter(&r, json, &out->filter);
    if (!secrets->with_config) {
        out->config = read_map(&r, "config");
    }
    out->metadata = read_map(&r, "metadata");
    out->created_ms = read_int(&r, "created_at");
    out->updated_ms = read_int(&r, "updated_at");
    out->disabled_ms = read_int(&r, "disabled_at");
    if (secrets->with_config || yyjson_obj_get(r.root, "sealed") != NULL) {
        secrets->sealed = read_str(&r, "sealed");
    }
    return r.rc;
}

int destination_parse_secrets(struct destination *d, bool with_config, struct str json,
                              struct arena *a)
{
    struct reader r;
    const int rc = open_record(&r, json, a);
    if (rc != 0) {
        return rc;
    }
    if (with_config) {
        d->config = read_map(&r, "config");
    }
    d->credentials = read_map(&r, "credentials");
    d->delivery_metadata = read_map(&r, "delivery_metadata");
    return r.rc;
}
