/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is wrong with a configuration beyond single values. check-config, serve and SIGHUP all come
 * through here, so that what the first calls good is not refused by the others.
 */
#include "longline/auth.h"
#include "longline/check.h"
#include "longline/vault.h"

#include "app_config.h"

static int check_listen(const struct config *c, struct err_detail *err)
{
    union addr listen;
    if (addr_parse(&listen, str_c(c->server.listen)) != 0) {
        return err_set(err, ERR_INVALID, 0,
                       "server.listen = %s is not an address and port such as "
                       "127.0.0.1:3333",
                       c->server.listen);
    }
    if ((c->server.tls_cert[0] == '\0') != (c->server.tls_key[0] == '\0')) {
        return err_set(err, ERR_INVALID, 0, "server.tls_cert and server.tls_key go together");
    }
    return 0;
}

static int check_auth_key(const struct auth_options *o, const char *key, struct err_detail *err)
{
    struct auth *auth = NULL;
    const int rc = auth_new(&auth, o, err);
    if (rc != 0) {
        err_prefix(err, "%s", key);
        return rc;
    }
    auth_free(auth);
    return 0;
}

static int check_vault(const struct secrets_cfg *s, struct err_detail *err)
{
    const struct str stand_in =
        STR("0000000000000000000000000000000000000000000000000000000000000000");
    const struct str key = str_c(s->key);
    struct vault *vault = NULL;
    int rc = vault_new(&vault, key.n != 0 ? key : stand_in, err);
    if (rc != 0) {
        err_prefix(err, "secrets.key");
        return rc;
    }
    for (size_t i = 0; rc == 0 && i < s->old_keys.n; i++) {
        rc = vault_add_old(vault, str_c(s->old_keys.v[i]), err);
    }
    if (rc != 0) {
        err_prefix(err, "secrets.old_keys");
    }
    vault_free(vault);
    return rc;
}

/* Keys that are given must be usable; the others are generated. */
static int check_keys(const struct config *c, struct err_detail *err)
{
    const struct str stand_in = STR("0000000000000000");
    const struct auth_options admin = {.admin_key = str_c(c->auth.admin_key),
                                       .jwt_secret = stand_in,
                                       .allow_short_keys = c->auth.allow_short_keys};
    const struct auth_options jwt = {.admin_key = stand_in,
                                     .jwt_secret = str_c(c->auth.jwt_secret),
                                     .allow_short_keys = c->auth.allow_short_keys};
    int rc = admin.admin_key.n != 0 ? check_auth_key(&admin, "auth.admin_key", err) : 0;
    if (rc == 0 && jwt.jwt_secret.n != 0) {
        rc = check_auth_key(&jwt, "auth.jwt_secret", err);
    }
    return rc != 0 ? rc : check_vault(&c->secrets, err);
}

/* A publish must name a topic of the list exactly, so one that no publish may name is a mistake. */
static int check_topics(const struct cfg_list *topics, struct err_detail *err)
{
    for (size_t i = 0; i < topics->n; i++) {
        const struct str topic = str_c(topics->v[i]);
        if (str_eq(topic, STR("*"))) {
            return err_set(err, ERR_INVALID, 0,
                           "api.topics: \"*\" is not a topic; leave the list empty to allow any");
        }
        if (str_find(topic, '*') < topic.n) {
            return err_set(err, ERR_INVALID, 0,
                           "api.topics: \"%.60s\" is a pattern; the list takes whole topics only",
                           topics->v[i]);
        }
        if (topic.n > MODEL_MAX_TOPIC) {
            return err_set(err, ERR_INVALID, 0, "api.topics: \"%.40s...\" is longer than %d bytes",
                           topics->v[i], MODEL_MAX_TOPIC);
        }
    }
    return 0;
}

#define PREFIX_MAX 64

/* No header of HTTP's own (Host, Content-Type, Connection ...) ends in one of our names, so only
 * those of Standard Webhooks can be hit. In mode standard they are sent alone. */
static int check_prefix(const struct webhook_cfg *w, struct err_detail *err)
{
    const struct str prefix = str_trim(str_c(w->header_prefix));
    if (prefix.n != 0 && !http_is_token(prefix)) {
        return err_set(err, ERR_INVALID, 0,
                       "webhook.header_prefix holds characters that header names cannot have");
    }
    if (prefix.n > PREFIX_MAX) {
        return err_set(err, ERR_INVALID, 0, "webhook.header_prefix is longer than %d bytes",
                       PREFIX_MAX);
    }
    if (w->mode == WEBHOOK_MODE_BOTH && str_eq_ci(prefix, STR("webhook-"))) {
        return err_set(err, ERR_INVALID, 0,
                       "webhook.header_prefix = " STR_FMT " makes webhook-timestamp and "
                       "webhook-signature, which webhook.mode = both sends with other values",
                       STR_ARG(prefix));
    }
    return 0;
}

/* All of it ends up in every request: something bad would fail every delivery. */
static int check_webhook(const struct config *c, struct err_detail *err)
{
    if (!http_is_field_value(str_c(c->webhook.user_agent))) {
        return err_set(err, ERR_INVALID, 0, "webhook.user_agent holds control characters");
    }
    return check_prefix(&c->webhook, err);
}

static int check_egress(const struct config *c, struct err_detail *err)
{
    struct egress_policy policy;
    int rc = egress_policy_init(&policy, &c->egress, NULL, 0, err);
    if (rc != 0) {
        return rc;
    }
    egress_policy_fini(&policy);
    if (c->egress.ca_only && c->egress.ca_file[0] == '\0') {
        return err_set(err, ERR_INVALID, 0, "egress.ca_only needs egress.ca_file");
    }
    struct buf servers;
    buf_init(&servers, NAME_SERVERS_MAX);
    rc = egress_name_servers(&c->egress, &servers, err);
    buf_fini(&servers);
    return rc;
}

int app_config_check(const void *config, struct err_detail *err)
{
    const struct config *c = config;
    int rc = check_listen(c, err);
    if (rc == 0 && c->store.data_dir[0] == '\0') {
        rc = err_set(err, ERR_INVALID, 0, "store.data_dir is empty");
    }
    if (rc == 0) {
        rc = check_keys(c, err);
    }
    if (rc == 0) {
        rc = deliver_cfg_check(&c->delivery, err);
    }
    if (rc == 0) {
        rc = check_topics(&c->api.topics, err);
    }
    if (rc == 0) {
        rc = check_webhook(c, err);
    }
    return rc != 0 ? rc : check_egress(c, err);
}

static int check_certificate(const struct config *c, struct err_detail *err)
{
    struct tls_identity *tls = NULL;
    const int rc = tls_identity_open(&tls, c->server.tls_cert, c->server.tls_key, err);
    if (rc != 0) {
        const bool is_key = err != NULL && str_starts(str_c(err->msg), STR("key"));
        err_prefix(err, is_key ? "server.tls_key" : "server.tls_cert");
        return rc;
    }
    tls_identity_unref(tls);
    return 0;
}

int app_config_check_files(const struct config *c, struct err_detail *err)
{
    int rc = c->server.tls_cert[0] != '\0' ? check_certificate(c, err) : 0;
    if (rc != 0) {
        return rc;
    }
    const bool has_ca = c->egress.ca_file[0] != '\0';
    const struct tls_client_options o = {.ca_file = has_ca ? c->egress.ca_file : NULL,
                                         .ca_only = c->egress.ca_only};
    rc = tls_client_check(&o, err);
    if (rc != 0) {
        err_prefix(err, has_ca ? "egress.ca_file" : "egress");
    }
    return rc;
}
