/* SPDX-License-Identifier: Apache-2.0 */
/* How large things become in JSON, so that a page can end before a reply grows too large. */
#include "native.h"

#include "longline/enc.h"

#define PAIR_SIZE 8 /* quotes, colon, comma */

size_t text_json_size(struct str s)
{
    size_t n = s.n;
    size_t n_high = 0;
    for (size_t i = 0; i < s.n; i++) {
        const unsigned char c = (unsigned char)s.p[i];
        n += c < 0x20 || c == '"' || c == '\\' ? 5 : 0;
        n_high += c >> 7;
    }
    /* Every byte that is no text becomes U+FFFD, of three bytes. */
    return n_high == 0 || utf8_valid(s) ? n : n + 2 * n_high;
}

size_t map_json_size(const struct kv_map *m)
{
    size_t n = 0;
    for (size_t i = 0; i < m->n; i++) {
        n += text_json_size(m->v[i].key) + text_json_size(m->v[i].value) + PAIR_SIZE;
    }
    return n;
}

size_t destination_json_size(const struct destination *d)
{
    size_t n = d->filter.n + 2 * map_json_size(&d->config); /* the target repeats a part of it */
    for (size_t i = 0; i < d->n_topics; i++) {
        n += text_json_size(d->topics[i]) + PAIR_SIZE;
    }
    return n + map_json_size(&d->credentials) + map_json_size(&d->delivery_metadata) +
           map_json_size(&d->metadata);
}

size_t event_json_size(const struct event_record *e, unsigned parts)
{
    size_t n = text_json_size(e->id) + text_json_size(e->tenant_id) + text_json_size(e->topic) +
               e->metadata.n;
    for (size_t i = 0; (parts & EVENT_MATCHED) != 0 && i < e->n_dests; i++) {
        n += text_json_size(e->dests[i].id) + PAIR_SIZE;
    }
    return n + ((parts & EVENT_DATA) != 0 ? e->data.n : 0);
}
