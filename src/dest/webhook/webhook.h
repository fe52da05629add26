/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The webhook driver: an event as an HTTP POST to a URL, signed (v0=, Standard
 * Webhooks 1.0, or both).
 *
 *   describe.c  what a form for it needs
 *   prepare.c   rules of config and credentials, secret generation and rotation
 *   endpoint.c  the compiled form: URL, prepared keys, headers
 *   send.c      one attempt: headers, signature, exchange
 *   outcome.c   what a response or a failure means
 */
#ifndef LL_WEBHOOK_H
#define LL_WEBHOOK_H

#include "longline/dest.h"
#include "longline/sign.h"
#include "longline/url.h"

extern const struct dest_driver webhook_driver;
extern const char webhook_describe_json[];

/* A secret with the time it is good for, as prepared keys. */
struct webhook_key {
    struct sign_key v0;
    struct sign_key v1;
    int64_t until_ms; /* wall; INT64_MAX: the current one */
};

struct webhook_endpoint {
    struct dest_endpoint base;
    struct buf text; /* the URL in ASCII; `url` points into it */
    struct url url;
    struct webhook_key keys[2];
    size_t n_keys;
    struct arena arena;          /* the headers' text */
    struct http_header *headers; /* custom ones */
    size_t n_headers;
    struct http_header *metadata; /* delivery_metadata, names with prefix */
    size_t n_metadata;
};

/* config.url as it is used; *out points into `ascii`, which is empty, with URL_MAX as maximum. */
int webhook_parse_url(struct url *out, struct str text, struct buf *ascii,
                      struct err_detail *err) LL_MUST_USE;

struct str webhook_prefix(const struct webhook_cfg *cfg);

void webhook_prepare(const struct dest_env *env, struct dest_write *w, struct problem *p);
void webhook_show(const struct destination *d, int64_t now_ms, struct arena *a, struct kv_map *out);

struct dest_endpoint *webhook_open(const struct dest_env *env, const struct destination *d,
                                   struct err_detail *err);
void webhook_close(struct dest_endpoint *ep);

struct dest_send *webhook_send(const struct dest_env *env, struct dest_endpoint *ep,
                               const struct dest_attempt *at, dest_done_fn done, void *ctx,
                               struct err_detail *err);
void webhook_cancel(struct dest_send *s);

/* code_buf holds the status as text while *out is in use. */
void webhook_outcome(const struct webhook_cfg *cfg, const struct http_client_result *r,
                     int64_t now_wall_ms, char code_buf[16], struct dest_outcome *out);

/* Header names that neither a destination nor an event may set. */
bool webhook_is_forbidden(struct str name);

/* Custom headers: a JSON object of name -> text. Fills p (item texts as Outpost has
 * them) when the text is wrong; p may be NULL, then 0 or an error tells. *out is in the arena. */
int webhook_parse_headers(struct str json, struct arena *a, struct problem *p,
                          struct http_header **out, size_t *n);

#endif
