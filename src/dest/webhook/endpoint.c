/* SPDX-License-Identifier: Apache-2.0 */
/* The compiled form of a webhook destination, made once and used for each of its attempts. */
#include "webhook.h"

#include "longline/date.h"
#include "longline/mem.h"

#define ENDPOINT_ARENA_MAX (1u << 20)

struct str webhook_prefix(const struct webhook_cfg *cfg)
{
    const struct str given = str_c(cfg->header_prefix);
    if (given.n != 0) {
        return str_trim(given); /* only white space: no prefix */
    }
    return cfg->mode == WEBHOOK_MODE_STANDARD ? STR("webhook-") : STR("x-outpost-");
}

int webhook_parse_url(struct url *out, struct str text, struct buf *ascii, struct err_detail *err)
{
    const int rc = url_to_ascii(ascii, text, err);
    return rc != 0 ? rc : url_parse(out, buf_str(ascii), err);
}

static int add_key(struct webhook_endpoint *e, struct str secret, int64_t until_ms)
{
    if (secret.n == 0) {
        return 0;
    }
    struct webhook_key *k = &e->keys[e->n_keys];
    k->until_ms = until_ms;
    int rc = sign_key_from_secret(&k->v0, SIGN_MODE_DEFAULT, secret);
    if (rc == 0) {
        rc = sign_key_from_secret(&k->v1, SIGN_MODE_STANDARD, secret);
    }
    e->n_keys += rc == 0;
    return rc;
}

static int compile_keys(struct webhook_endpoint *e, const struct destination *d)
{
    int rc = add_key(e, kv_get(&d->credentials, STR("secret")), INT64_MAX);
    if (rc != 0) {
        return rc;
    }
    if (e->n_keys == 0) {
        return ERR_INVALID;
    }
    int64_t until_ms = 0;
    const struct str until = kv_get(&d->credentials, STR("previous_secret_invalid_at"));
    if (until.n == 0 || date_parse_rfc3339(until, &until_ms) != 0) {
        return 0;
    }
    return add_key(e, kv_get(&d->credentials, STR("previous_secret")), until_ms);
}

static int compile_metadata(struct webhook_endpoint *e, const struct destination *d,
                            const struct webhook_cfg *cfg)
{
    const struct kv_map *m = &d->delivery_metadata;
    if (m->n == 0) {
        return 0;
    }
    const struct str prefix = webhook_prefix(cfg);
    e->metadata = arena_alloc(&e->arena, m->n * sizeof(*e->metadata));
    for (size_t i = 0; e->metadata != NULL && i < m->n; i++) {
        const char *name =
            arena_printf(&e->arena, STR_FMT STR_FMT, STR_ARG(prefix), STR_ARG(m->v[i].key));
        const struct str value = arena_str(&e->arena, m->v[i].value);
        if (name == NULL || value.p == NULL) {
            return ERR_TOO_BIG;
        }
        if (http_is_token(str_c(name)) && http_is_field_value(value) &&
            !webhook_is_forbidden(str_c(name))) {
            e->metadata[e->n_metadata++] = (struct http_header){str_c(name), value};
        }
    }
    return e->metadata != NULL ? 0 : ERR_TOO_BIG;
}

static int compile(struct webhook_endpoint *e, const struct dest_env *env,
                   const struct destination *d, struct err_detail *err)
{
    const struct str url = kv_get(&d->config, STR("url"));
    int rc = webhook_parse_url(&e->url, url, &e->text, err);
    if (rc != 0) {
        err_prefix(err, "config.url");
        return rc;
    }
    rc = compile_keys(e, d);
    if (rc != 0) {
        return err_set(err, rc, 0, "the destination has no usable secret");
    }
    const struct str headers = kv_get(&d->config, STR("custom_headers"));
    if (headers.n != 0) {
        rc = webhook_parse_headers(arena_str(&e->arena, headers), &e->arena, NULL, &e->headers,
                                   &e->n_headers);
    }
    if (rc == 0) {
        rc = compile_metadata(e, d, env->webhook);
    }
    return rc == 0 ? 0 : err_set(err, rc, 0, "the destination's headers are not usable");
}

struct dest_endpoint *webhook_open(const struct dest_env *env, const struct destination *d,
                                   struct err_detail *err)
{
    struct webhook_endpoint *e = mem_zalloc(sizeof(*e));
    e->base.driver = &webhook_driver;
    arena_init(&e->arena, ENDPOINT_ARENA_MAX);
    buf_init(&e->text, URL_MAX);
    if (compile(e, env, d, err) != 0) {
        webhook_close(&e->base);
        return NULL;
    }
    return &e->base;
}

void webhook_close(struct dest_endpoint *ep)
{
    struct webhook_endpoint *e = LL_CONTAINER(ep, struct webhook_endpoint, base);
    for (size_t i = 0; i < e->n_keys; i++) {
        sign_key_fini(&e->keys[i].v0);
        sign_key_fini(&e->keys[i].v1);
    }
    arena_fini(&e->arena);
    buf_fini(&e->text);
    mem_free(e);
}
