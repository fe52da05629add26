/* SPDX-License-Identifier: Apache-2.0 */
/* The API's form, members in Outpost's order. */
#include "model_internal.h"

void write_map(struct jw *w, const struct kv_map *m)
{
    jw_obj(w);
    for (size_t i = 0; i < m->n; i++) {
        jw_key(w, m->v[i].key);
        jw_str(w, m->v[i].value);
    }
    jw_obj_end(w);
}

void write_strings(struct jw *w, const struct str *v, size_t n)
{
    jw_arr(w);
    for (size_t i = 0; i < n; i++) {
        jw_str(w, v[i]);
    }
    jw_arr_end(w);
}

static void write_optional_map(struct jw *w, struct str key, const struct kv_map *m)
{
    if (m->n > 0) {
        jw_key(w, key);
        write_map(w, m);
    }
}

void tenant_write(struct jw *w, const struct tenant *t, size_t n_destinations,
                  const struct str *topics, size_t n_topics)
{
    jw_obj(w);
    JW_STR(w, "id", t->id);
    jw_key(w, STR("destinations_count"));
    jw_uint(w, n_destinations);
    jw_key(w, STR("topics"));
    write_strings(w, topics, n_topics);
    write_optional_map(w, STR("metadata"), &t->metadata);
    JW_TIME(w, "created_at", t->created_ms);
    JW_TIME(w, "updated_at", t->updated_ms);
    jw_obj_end(w);
}

void write_description(struct jw *w, const struct destination *d)
{
    JW_STR(w, "id", d->id);
    JW_STR(w, "tenant_id", d->tenant_id);
    JW_STR(w, "type", d->type);
    jw_key(w, STR("topics"));
    write_strings(w, d->topics, d->n_topics);
    if (d->filter.n > 0) {
        JW_RAW(w, "filter", d->filter);
    }
}

void destination_write(struct jw *w, const struct destination *d, const struct kv_map *credentials,
                       struct str target, struct str target_url)
{
    jw_obj(w);
    write_description(w, d);
    jw_key(w, STR("config"));
    write_map(w, &d->config);
    jw_key(w, STR("credentials"));
    write_map(w, credentials);
    write_optional_map(w, STR("delivery_metadata"), &d->delivery_metadata);
    write_optional_map(w, STR("metadata"), &d->metadata);
    JW_TIME(w, "created_at", d->created_ms);
    JW_TIME(w, "updated_at", d->updated_ms);
    jw_key(w, STR("disabled_at"));
    if (d->disabled_ms != 0) {
        jw_time_ms(w, d->disabled_ms);
    } else {
        jw_null(w);
    }
    JW_STR(w, "target", target);
    if (target_url.n > 0) {
        JW_STR(w, "target_url", target_url);
    }
    jw_obj_end(w);
}
