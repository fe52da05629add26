/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SIGHUP: the whole configuration is read again, with the certificate and the key files. When
 * something is wrong, or a key has changed that only a restart can change, everything stays as it
 * was.
 */
#include "longline/log.h"

#include "load.h"
#include "notify.h"
#include "server_internal.h"

struct diff {
    size_t n_changed;
    size_t n_fixed; /* changed, but not reloadable */
};

static void on_diff(void *ctx, const struct cfg_section *sec, const struct cfg_key *key)
{
    struct diff *d = ctx;
    d->n_changed++;
    if ((key->flags & CFG_RELOAD) == 0) {
        d->n_fixed++;
        log_error("reload.needs_restart", LOG_CSTR("section", sec->name),
                  LOG_CSTR("key", key->name));
    }
}

/* What may fail, made before anything is replaced. */
struct parts {
    struct server_auth auth;
    struct egress_policy *policy;
    struct tls_identity *tls; /* NULL: http */
};

static void drop_parts(struct parts *p)
{
    auth_free(p->auth.auth);
    server_free_policy(p->policy);
    tls_identity_unref(p->tls);
}

static int make_parts(const struct server *s, const struct config *fresh, struct parts *out,
                      struct err_detail *err)
{
    *out = (struct parts){0};
    int rc = server_make_auth(fresh, &out->auth, err);
    if (rc == 0 && fresh->server.tls_cert[0] != '\0') {
        rc = tls_identity_open(&out->tls, fresh->server.tls_cert, fresh->server.tls_key, err);
    }
    if (rc == 0) {
        out->policy = server_make_policy(s, fresh, err);
        rc = out->policy != NULL ? 0 : ERR_INVALID;
    }
    if (rc != 0) {
        drop_parts(out);
    }
    return rc;
}

/* Returns how many files have changed whose names have not. */
static size_t set_parts(struct server *s, const struct config *fresh, struct parts *p)
{
    const struct auth_cfg *old = &s->config->auth;
    size_t n = 0;
    if (old->admin_key[0] == '\0' && fresh->auth.admin_key[0] == '\0') {
        n += s->admin_mark != p->auth.admin_mark;
    }
    if (old->jwt_secret[0] == '\0' && fresh->auth.jwt_secret[0] == '\0') {
        n += s->jwt_mark != p->auth.jwt_mark;
    }
    server_set_auth(s, &p->auth);
    server_set_policy(s, p->policy);
    if (p->tls != NULL && http_server_renew_tls(s->http, p->tls)) {
        log_info("reload.certificate", LOG_CSTR("file", fresh->server.tls_cert));
        n++;
    }
    return n;
}

/* Handshakes under way use the authorities on other threads, so these stay until a restart. */
static void note_ca(const struct server *s)
{
    if (server_ca_mark(s->config) != s->ca_mark) {
        log_warn("reload.needs_restart", LOG_CSTR("section", "egress"), LOG_CSTR("key", "ca_file"),
                 LOG_CSTR("why", "the file has changed"));
    }
}

static void apply(struct server *s, struct config *fresh)
{
    log_setup((enum log_level)fresh->log.level, fresh->log.format != 0);
    http_server_reload(s->http, &fresh->server);
    store_reload(s->store, &fresh->store);
    http_client_reload(s->client, &fresh->client);
    dialer_set_timeouts(s->dialer, fresh->client.dns_timeout_ms, fresh->client.connect_timeout_ms,
                        fresh->client.tls_timeout_ms);
    deliver_reload(s->deliver, &fresh->delivery);
    deliver_set_max_record(s->deliver, server_max_attempt(fresh));
    registry_set_limit(s->registry, (size_t)fresh->api.max_destinations_per_tenant);
    api_reload(s->api, &fresh->api);
    api_set_http(s->api, &fresh->server);
    publish_set_max_event(s->publish, server_max_event(fresh));
    s->topics = *api_topic_rules(s->api);
    s->dest_env.webhook = &fresh->webhook;
    struct config *old = s->config;
    s->config = fresh;
    cfg_free(&app_schema, old);
}

void server_reload(struct server *s)
{
    if (s->state != SERVER_READY) {
        return;
    }
    struct err_detail err = {0};
    struct config *fresh = NULL;
    if (load_config(s->cli, &fresh, &err) != 0) {
        log_error("reload.refused", LOG_CSTR("why", err.msg));
        return;
    }
    server_fit_to_files(fresh);
    struct diff d = {0};
    struct parts parts;
    cfg_diff(&app_schema, s->config, fresh, on_diff, &d);
    if (d.n_fixed != 0 || make_parts(s, fresh, &parts, &err) != 0) {
        log_error("reload.refused", LOG_CSTR("why", d.n_fixed != 0 ? "needs a restart" : err.msg));
        cfg_free(&app_schema, fresh);
        return;
    }
    notify_send("RELOADING=1");
    d.n_changed += set_parts(s, fresh, &parts);
    apply(s, fresh);
    note_ca(s);
    notify_send("READY=1");
    log_info("reload.done", LOG_INT("changed", d.n_changed));
}
