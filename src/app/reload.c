/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SIGHUP: the whole configuration is read again. When it is wrong, or changes a key that only a
 * restart can change, everything stays as it was.
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

static void apply(struct server *s, struct config *fresh)
{
    log_setup((enum log_level)fresh->log.level, fresh->log.format != 0);
    http_server_reload(s->http, &fresh->server);
    store_reload(s->store, &fresh->store);
    http_client_reload(s->client, &fresh->client);
    dialer_set_timeouts(s->dialer, fresh->client.dns_timeout_ms, fresh->client.connect_timeout_ms,
                        fresh->client.tls_timeout_ms);
    deliver_reload(s->deliver, &fresh->delivery);
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
    cfg_diff(&app_schema, s->config, fresh, on_diff, &d);
    /* What may fail comes before what cannot. */
    if (d.n_fixed != 0 || server_load_auth(s, fresh, &err) != 0 ||
        server_set_policy(s, fresh, &err) != 0) {
        log_error("reload.refused", LOG_CSTR("why", d.n_fixed != 0 ? "needs a restart" : err.msg));
        cfg_free(&app_schema, fresh);
        return;
    }
    notify_send("RELOADING=1");
    apply(s, fresh);
    notify_send("READY=1");
    log_info("reload.done", LOG_INT("changed", d.n_changed));
}
