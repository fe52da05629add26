/* SPDX-License-Identifier: Apache-2.0 */
/* Tenants and destinations to and from the store. What a destination keeps secret, its config among
 * it, is sealed by the vault. */
#include "registry_internal.h"

#include <inttypes.h>
#include <stdio.h>

#include "longline/log.h"

#define OBJECT_MAX   (1u << 20) /* what is read back */
/* What is written: they live in memory, and lists of them must fit into a reply. */
#define TENANT_MAX   (64u << 10)
#define DEST_MAX     (256u << 10)           /* before sealing */
#define SEALED_MAX   ((size_t)2 * DEST_MAX) /* base64 takes a third more */
#define KEY_MAX      1024

/* Beside its stored form a destination shows dates in full and its target, a value of the config.
 * A topic is also a row of the sorted union. */
#define SHOWN_MORE   192
#define TARGET_MAX   4096
#define TOPIC_WEIGHT 32

int tenant_save(struct registry *r, const struct tenant *t)
{
    struct buf text;
    buf_init(&text, TENANT_MAX);
    struct jw w;
    jw_init(&w, &text);
    tenant_write_stored(&w, t);
    const int rc =
        text.failed ? ERR_TOO_BIG : store_put_object(r->store, STORE_TENANT, t->id, buf_str(&text));
    buf_fini(&text);
    return rc;
}

/* plain_n: length of the text before it was sealed. */
static int seal(struct registry *r, const struct destination *d, struct str context,
                struct buf *sealed, size_t *plain_n)
{
    struct buf plain;
    buf_init(&plain, DEST_MAX);
    struct jw w;
    jw_init(&w, &plain);
    destination_write_secrets(&w, d);
    const int rc =
        plain.failed ? ERR_TOO_BIG : vault_seal(r->vault, context, buf_str(&plain), sealed);
    *plain_n = plain.n;
    buf_fini_secret(&plain);
    return rc;
}

/* n: length of the stored form with the plain text in the place of the sealed one. Disabled or not,
 * a destination weighs the same. */
static uint32_t weigh(const struct destination *d, size_t n)
{
    const int date_n = snprintf(NULL, 0, "%" PRId64, d->disabled_ms);
    size_t target = 0;
    for (size_t i = 0; i < d->config.n; i++) {
        const size_t value_n = json_length(d->config.v[i].value);
        target = value_n > target ? value_n : target;
    }
    if (target > TARGET_MAX) {
        target = TARGET_MAX;
    }
    return (uint32_t)(n - (size_t)date_n + target + SHOWN_MORE + TOPIC_WEIGHT * d->n_topics);
}

/* The stored form, in text. */
static int encode(struct registry *r, const struct destination *d, struct str key, struct buf *text,
                  uint32_t *weight)
{
    struct buf sealed;
    size_t plain_n = 0;
    buf_init(&sealed, SEALED_MAX);
    int rc = seal(r, d, key, &sealed, &plain_n);
    if (rc == 0) {
        struct jw w;
        jw_init(&w, text);
        destination_write_stored(&w, d, buf_str(&sealed));
        const size_t n = text->n - sealed.n + plain_n;
        rc = text->failed || n > DEST_MAX ? ERR_TOO_BIG : 0;
        *weight = rc == 0 ? weigh(d, n) : 0;
    }
    buf_fini(&sealed);
    return rc;
}

int dest_save(struct registry *r, const struct destination *d, size_t max_weight, uint32_t *weight)
{
    struct buf key;
    struct buf text;
    buf_init(&key, KEY_MAX);
    buf_init(&text, SEALED_MAX + DEST_MAX);
    int rc = dest_key(&key, d->tenant_id, d->id);
    if (rc == 0) {
        rc = encode(r, d, buf_str(&key), &text, weight);
    }
    if (rc == 0) {
        rc = *weight > max_weight
                 ? ERR_RANGE
                 : store_put_object(r->store, STORE_DESTINATION, buf_str(&key), buf_str(&text));
    }
    buf_fini(&key);
    buf_fini(&text);
    return rc;
}

struct load {
    struct registry *r;
    struct arena arena;
    struct err_detail *err;
    int rc; /* why it stopped: one of the store's own codes means the end of the list to it */
};

static int stop(struct load *l, int rc)
{
    l->rc = rc;
    return rc;
}

static int on_tenant(void *ctx, struct str key, struct str value)
{
    struct load *l = ctx;
    struct tenant t = {0};
    arena_reset(&l->arena);
    const int rc = tenant_parse_stored(&t, value, &l->arena);
    if (rc != 0) {
        (void)err_set(l->err, rc, 0, "the stored tenant \"" STR_FMT "\" cannot be read",
                      STR_ARG(key));
        return stop(l, rc);
    }
    (void)tenant_entry_put(l->r, tenant_copy(&t));
    return 0;
}

/* The plain text is appended to plain. */
static int open_secrets(struct load *l, struct str key, const struct stored_secrets *secrets,
                        struct destination *d, struct buf *plain)
{
    if (secrets->sealed.p == NULL) {
        return 0;
    }
    const int rc = vault_open(l->r->vault, key, secrets->sealed, plain);
    return rc != 0 ? rc
                   : destination_parse_secrets(d, secrets->with_config, buf_str(plain), &l->arena);
}

static int on_tombstone(void *ctx, struct str key, struct str value)
{
    struct load *l = ctx;
    int64_t tokens_after_s = 0;
    arena_reset(&l->arena);
    const int rc = tombstone_parse_stored(&tokens_after_s, value, &l->arena);
    if (rc != 0) {
        (void)err_set(l->err, rc, 0,
                      "the stored mark of the deleted tenant \"" STR_FMT "\" cannot be read",
                      STR_ARG(key));
        return stop(l, rc);
    }
    tombstone_load(l->r, key, tokens_after_s);
    return 0;
}

static int load_dest(struct load *l, struct str key, struct str value)
{
    struct destination d = {0};
    struct stored_secrets secrets;
    int rc = destination_parse_stored(&d, &secrets, value, &l->arena);
    if (rc != 0) {
        return rc;
    }
    struct buf plain;
    buf_init(&plain, OBJECT_MAX);
    rc = open_secrets(l, key, &secrets, &d, &plain);
    struct tenant_entry *te = rc == 0 ? tenant_entry_find(l->r, d.tenant_id) : NULL;
    if (rc == 0 && te == NULL) {
        rc = ERR_CORRUPT;
    }
    if (rc == 0) {
        const size_t n = value.n - secrets.sealed.n + plain.n;
        (void)dest_entry_add(l->r, te, destination_copy(&d), weigh(&d, n));
        if (!secrets.with_config) {
            reseal_note(&l->r->reseal, d.num);
        }
    }
    buf_fini_secret(&plain);
    return rc;
}

static int on_dest(void *ctx, struct str key, struct str value)
{
    struct load *l = ctx;
    arena_reset(&l->arena);
    const int rc = load_dest(l, key, value);
    if (rc == 0) {
        return 0;
    }
    const size_t cut = str_find(key, '\0');
    const char *why = rc == ERR_NOT_FOUND
                          ? "its credentials were sealed with another key (secrets.key)"
                          : err_text(rc);
    (void)err_set(l->err, rc, 0,
                  "a stored destination of tenant \"" STR_FMT "\" cannot be read: %s", (int)cut,
                  key.p, why);
    return stop(l, rc);
}

int registry_load(struct registry *r, struct err_detail *err)
{
    struct load l = {.r = r, .err = err};
    arena_init(&l.arena, 8 * (size_t)OBJECT_MAX);
    int rc = store_each_object(r->store, STORE_TENANT, on_tenant, &l);
    if (rc == 0 && l.rc == 0) {
        rc = store_each_object(r->store, STORE_DESTINATION, on_dest, &l);
    }
    if (rc == 0 && l.rc == 0) {
        rc = store_each_object(r->store, STORE_TOMBSTONE, on_tombstone, &l);
    }
    arena_fini(&l.arena);
    if (rc != 0 || l.rc != 0) {
        return l.rc != 0 ? l.rc : rc;
    }
    log_info("registry.loaded", LOG_INT("tenants", r->tenants.n),
             LOG_INT("destinations", r->dests.n));
    return 0;
}
