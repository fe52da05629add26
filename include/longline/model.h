/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Tenants and destinations: plain structs, their JSON forms and the rules for writing them. No I/O.
 *
 * Two lives of an object: while a request edits it, its fields point into the request's arena;
 * tenant_copy / destination_copy make the compact immutable object that the registry keeps (one
 * allocation each, so that 100,000 destinations fit in a few tens of megabytes).
 *
 * The rules, messages and codes are Outpost's: problems are collected, not returned
 * one by one.
 */
#ifndef LL_MODEL_H
#define LL_MODEL_H

#include <stdbool.h>
#include <stdint.h>

#include "longline/arena.h"
#include "longline/err.h"
#include "longline/json.h"
#include "longline/str.h"

#define MODEL_MAX_ID     255 /* bytes of an id that a caller chose */
#define MODEL_MAX_TOPICS 512 /* of one destination */
#define MODEL_MAX_TOPIC  255 /* bytes of one topic or pattern */
#define MODEL_MAX_KV     256 /* entries of config, metadata and the like */

/* 1 to 255 bytes of UTF-8 without control characters: safe in keys, headers and logs. */
bool model_id_valid(struct str id);

struct kv {
    struct str key;
    struct str value;
};
struct kv_map {
    size_t n;
    struct kv *v; /* in the order of writing */
};
struct str kv_get(const struct kv_map *m, struct str key); /* STR_NULL when absent */

struct tenant {
    struct str id;
    struct kv_map metadata;
    int64_t created_ms;
    int64_t updated_ms;
    /* Which of the tenants that had this id one after the other; named by the tokens issued for it.
     * Other tokens must have an iat later than tokens_after_s, unless that is 0. */
    int64_t generation;
    int64_t tokens_after_s;
};
#define TENANT_MAX_GENERATION (INT64_C(1) << 53) /* JSON numbers are exact up to here */

struct destination {
    uint32_t num; /* storage number, never reused */
    struct str id;
    struct str tenant_id;
    struct str type;
    size_t n_topics;
    struct str *topics; /* normalised; {"*"} matches all */
    struct str filter;  /* JSON object text; empty: none */
    struct kv_map config;
    struct kv_map credentials;
    struct kv_map delivery_metadata;
    struct kv_map metadata;
    int64_t created_ms;
    int64_t updated_ms;
    int64_t disabled_ms; /* 0: enabled */
};

struct tenant *tenant_copy(const struct tenant *src); /* freed with mem_free */
struct destination *destination_copy(const struct destination *src);
void destination_free(struct destination *d); /* wipes credentials; NULL is fine */

/*
 * What is wrong with a request body. `message` becomes the answer's message; `items` (may be empty)
 * its data array. status is the HTTP status that Outpost answers (422, 403), or 413 when the arena
 * is used up.
 */
#define PROBLEM_MAX_ITEMS 32
struct problem {
    int status; /* 0: no problem */
    const char *message;
    size_t n_items;
    struct str items[PROBLEM_MAX_ITEMS]; /* in the arena */
};
/* "validation error" with one more item, formatted into the arena. */
void problem_add(struct problem *p, struct arena *a, const char *fmt, ...) LL_PRINTF(3, 4);
/* A problem without items. It replaces a validation error; of several the first one stays. */
void problem_set(struct problem *p, int status, const char *message);

/* Which topics exist (config; empty list: any) and whether patterns are allowed on destinations. */
struct topic_rules {
    const struct str *topics;
    size_t n_topics;
    bool allow_wildcards;
};

/* string -> string map; every other value becomes text; of a key that stands twice the last one
 * counts. ERR_INVALID when v is no object, ERR_LIMIT above MODEL_MAX_KV, ERR_TOO_BIG when the arena
 * is used up. */
int kv_map_parse(struct kv_map *out, yyjson_val *v, struct arena *a) LL_MUST_USE;

struct model_caller {
    bool is_admin;
    int64_t now_ms;
    const struct topic_rules *topics;
};

/* Body of PUT /tenants/:id (v may be NULL: no body). Fills metadata only. */
void tenant_parse(struct tenant *out, yyjson_val *v, struct arena *a, struct problem *p);
/* Body of POST destinations; fills all but num, tenant_id (and id when not given: empty), without
 * the per-type rules of config and credentials. That a filter compiles is for the caller to check
 * (filter_compile). */
void destination_parse_create(struct destination *out, yyjson_val *v, const struct model_caller *c,
                              struct arena *a, struct problem *p);
/* RFC 7396 one level for the maps, replacement for topics and filter. *out starts
 * as a shallow copy of old; updated_ms becomes now. *touched_type_fields: config or credentials
 * stood in the patch. */
void destination_parse_patch(struct destination *out, const struct destination *old, yyjson_val *v,
                             const struct model_caller *c, bool *touched_type_fields,
                             struct arena *a, struct problem *p);

/* API form. destinations_count and topics are computed by the caller. */
void tenant_write(struct jw *w, const struct tenant *t, size_t n_destinations,
                  const struct str *topics, size_t n_topics);
/* `credentials` is what may be shown (masked by the driver); target/target_url may be empty. */
void destination_write(struct jw *w, const struct destination *d, const struct kv_map *credentials,
                       struct str target, struct str target_url);

/* Stored form: JSON with a "v" member. Of a destination config, credentials and delivery_metadata
 * are given as the sealed text that the vault made of them. */
void tenant_write_stored(struct jw *w, const struct tenant *t);
int tenant_parse_stored(struct tenant *out, struct str json, struct arena *a) LL_MUST_USE;
/* What is kept of a deleted tenant. */
void tombstone_write_stored(struct jw *w, int64_t tokens_after_s);
int tombstone_parse_stored(int64_t *tokens_after_s, struct str json, struct arena *a) LL_MUST_USE;
void destination_write_stored(struct jw *w, const struct destination *d, struct str sealed);
/* What of a stored destination the caller has to open and to read by destination_parse_secrets. */
struct stored_secrets {
    struct str sealed; /* STR_NULL: nothing was sealed, which only records of version 1 allow */
    bool with_config;  /* since version 2; in version 1 config stood in clear, and has been read */
};
int destination_parse_stored(struct destination *out, struct stored_secrets *secrets,
                             struct str json, struct arena *a) LL_MUST_USE;
/* {"config":{…},"credentials":{…},"delivery_metadata":{…}}: the text that is sealed, and back. */
void destination_write_secrets(struct jw *w, const struct destination *d);
int destination_parse_secrets(struct destination *d, bool with_config, struct str json,
                              struct arena *a) LL_MUST_USE;

#endif
