/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening the gateway. The order is the dependency order; what is pending is rebuilt before the
 * first connection is accepted.
 */
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "longline/file.h"
#include "longline/hash.h"
#include "longline/log.h"
#include "longline/mem.h"
#include "longline/version.h"

#include "keys.h"
#include "server_internal.h"

#define MAX_CACHED_FILTERS 20000
#define ATTEMPT_TEXTS      ((size_t)2 << 10) /* ids, topic and error of an attempt's record */

/* As many file descriptors as the system lets us have. */
static void raise_file_limit(void)
{
    struct rlimit lim;
    if (getrlimit(RLIMIT_NOFILE, &lim) == 0 && lim.rlim_cur < lim.rlim_max) {
        lim.rlim_cur = lim.rlim_max;
        (void)setrlimit(RLIMIT_NOFILE, &lim);
    }
}

static void fit(int64_t *connections, rlim_t share, const char *key)
{
    if ((uint64_t)*connections > share) {
        *connections = share > 0 ? (int64_t)share : 1;
        log_warn("limits.files", LOG_CSTR("lowered", key), LOG_INT("to", *connections));
    }
}

/* Clients get half of the descriptors and endpoints four tenths, so that neither can take
 * those that the other side and the store need. */
void server_fit_to_files(struct config *cfg)
{
    struct rlimit lim;
    if (getrlimit(RLIMIT_NOFILE, &lim) != 0 || lim.rlim_cur == RLIM_INFINITY) {
        return;
    }
    fit(&cfg->server.max_connections, lim.rlim_cur / 2, "server.max_connections");
    fit(&cfg->client.max_connections, lim.rlim_cur / 10 * 4, "client.max_connections");
    if (cfg->delivery.max_inflight > cfg->client.max_connections) {
        cfg->delivery.max_inflight = cfg->client.max_connections; /* more would only wait */
    }
}

/* Nothing may be acknowledged any more; what was acknowledged is on disk. Whoever waits is
 * told that the outcome is not known. */
static void on_store_fatal(void *ctx, const struct err_detail *err)
{
    struct server *s = ctx;
    static const struct http_header retry_after = HTTP_HEADER("Retry-After", "5");
    const struct http_reply unknown = {
        .status = 503,
        .content_type = "application/json",
        .body = STR("{\"status\":503,\"message\":\"the store failed; whether this was done is not "
                    "known, try again\"}"),
        .headers = &retry_after,
        .n_headers = 1,
        .close = true};
    log_error("store.fatal", LOG_CSTR("why", err->msg), LOG_INT("code", err->foreign));
    if (s->http != NULL) {
        http_server_abandon(s->http, &unknown);
    }
    _exit(err->code == ERR_CORRUPT ? EXIT_DATA : EXIT_FAIL);
}

/* The configured text, or the key file's. */
static int key_text(const struct config *cfg, const char *configured, const char *file,
                    struct buf *out, bool *made, struct err_detail *err)
{
    const size_t min = cfg->auth.allow_short_keys ? 1 : AUTH_MIN_KEY;
    *made = false;
    if (configured[0] != '\0') {
        return buf_add_str(out, str_c(configured));
    }
    return key_file_load(cfg->store.data_dir, file, min, out, made, err);
}

static void warn_if_short(const char *key, const struct buf *text)
{
    if (text->n < AUTH_MIN_KEY) {
        log_warn("keys.short", LOG_CSTR("key", key), LOG_INT("should_have", AUTH_MIN_KEY));
    }
}

int server_make_auth(const struct config *cfg, struct server_auth *out, struct err_detail *err)
{
    struct buf admin;
    struct buf jwt;
    buf_init(&admin, 4096);
    buf_init(&jwt, 4096);
    bool made_jwt = false;
    *out = (struct server_auth){0};
    int rc =
        key_text(cfg, cfg->auth.admin_key, "admin.key", &admin, &out->admin_key_generated, err);
    if (rc == 0) {
        rc = key_text(cfg, cfg->auth.jwt_secret, "jwt.key", &jwt, &made_jwt, err);
    }
    if (rc == 0) {
        const struct auth_options o = {.admin_key = buf_str(&admin),
                                       .jwt_secret = buf_str(&jwt),
                                       .allow_short_keys = cfg->auth.allow_short_keys,
                                       .allow_no_exp = !cfg->auth.require_exp};
        rc = auth_new(&out->auth, &o, err);
    }
    if (rc == 0) {
        warn_if_short("auth.admin_key", &admin);
        warn_if_short("auth.jwt_secret", &jwt);
        out->admin_mark = hash_random(buf_str(&admin));
        out->jwt_mark = hash_random(buf_str(&jwt));
    }
    buf_fini_secret(&admin);
    buf_fini_secret(&jwt);
    return rc;
}

void server_set_auth(struct server *s, const struct server_auth *a)
{
    if (s->api != NULL) {
        api_set_auth(s->api, a->auth);
    }
    auth_free(s->auth);
    s->auth = a->auth;
    s->admin_mark = a->admin_mark;
    s->jwt_mark = a->jwt_mark;
    s->admin_key_generated = a->admin_key_generated;
}

static int open_vault(struct server *s, struct err_detail *err)
{
    struct buf key;
    buf_init(&key, 4096);
    bool made = false;
    int rc = key_text(s->config, s->config->secrets.key, "secret.key", &key, &made, err);
    if (rc == 0) {
        rc = vault_new(&s->vault, buf_str(&key), err);
    }
    buf_fini_secret(&key);
    const struct cfg_list *old = &s->config->secrets.old_keys;
    for (size_t i = 0; rc == 0 && i < old->n; i++) {
        rc = vault_add_old(s->vault, str_c(old->v[i]), err);
    }
    return rc;
}

static int open_storage(struct server *s, struct err_detail *err)
{
    const struct store_options so = {.cfg = &s->config->store,
                                     .on_fatal = on_store_fatal,
                                     .ctx = s,
                                     .damaged_status = EXIT_DATA};
    int rc = store_open(&s->store, s->loop, &so, err);
    if (rc != 0) {
        err_prefix(err, "store");
        return rc;
    }
    struct server_auth auth;
    rc = server_make_auth(s->config, &auth, err);
    if (rc != 0) {
        return rc;
    }
    server_set_auth(s, &auth);
    rc = open_vault(s, err);
    if (rc != 0) {
        return rc;
    }
    const struct registry_options ro = {.store = s->store,
                                        .vault = s->vault,
                                        .max_destinations_per_tenant =
                                            (size_t)s->config->api.max_destinations_per_tenant,
                                        .max_cached_filters = MAX_CACHED_FILTERS,
                                        .max_tombstones = REGISTRY_MAX_TOMBSTONES};
    return registry_open(&s->registry, &ro, err);
}

struct egress_policy *server_make_policy(const struct server *s, const struct config *cfg,
                                         struct err_detail *err)
{
    struct egress_policy *fresh = mem_zalloc(sizeof(*fresh));
    if (egress_policy_init(fresh, &cfg->egress, s->own.v, s->own.n, err) != 0) {
        mem_free(fresh);
        return NULL;
    }
    return fresh;
}

void server_free_policy(struct egress_policy *p)
{
    if (p != NULL) {
        egress_policy_fini(p);
        mem_free(p);
    }
}

void server_set_policy(struct server *s, struct egress_policy *fresh)
{
    fresh->version = ++s->policy_version;
    if (s->dialer != NULL) {
        dialer_set_policy(s->dialer, fresh);
    }
    s->dest_env.policy = fresh;
    server_free_policy(s->policy);
    s->policy = fresh;
}

/* From the configuration and the addresses we listen on. */
static int renew_policy(struct server *s, struct err_detail *err)
{
    struct egress_policy *fresh = server_make_policy(s, s->config, err);
    if (fresh == NULL) {
        return ERR_INVALID; /* err says what */
    }
    server_set_policy(s, fresh);
    return 0;
}

uint64_t server_ca_mark(const struct config *cfg)
{
    struct buf text;
    uint64_t mark = 0;
    buf_init(&text, TLS_FILE_MAX);
    if (cfg->egress.ca_file[0] != '\0' && file_read(&text, cfg->egress.ca_file, NULL) == 0) {
        mark = hash_random(buf_str(&text));
    }
    buf_fini(&text);
    return mark;
}

static int open_dns(struct server *s, struct err_detail *err)
{
    struct buf servers;
    buf_init(&servers, NAME_SERVERS_MAX);
    int rc = egress_name_servers(&s->config->egress, &servers, err);
    if (rc == 0) {
        const struct dns_options o = {.servers = servers.p[0] != '\0' ? servers.p : NULL,
                                      .timeout_ms = s->config->client.dns_timeout_ms};
        rc = dns_open(&s->dns, s->loop, &o, err);
        if (rc != 0) {
            err_prefix(err, "name resolution");
        }
    }
    buf_fini(&servers);
    return rc;
}

static int open_network(struct server *s, struct err_detail *err)
{
    const struct config *c = s->config;
    const struct tls_client_options to = {
        .ca_file = c->egress.ca_file[0] != '\0' ? c->egress.ca_file : NULL,
        .ca_only = c->egress.ca_only,
        .n_workers = (unsigned)c->egress.tls_workers};
    int rc = tls_client_open(&s->tls, s->loop, &to, err);
    if (rc != 0) {
        err_prefix(err, "certificate authorities");
        return rc;
    }
    s->ca_mark = server_ca_mark(c);
    rc = open_dns(s, err);
    if (rc != 0) {
        return rc;
    }
    rc = renew_policy(s, err);
    if (rc != 0) {
        return rc;
    }
    const struct dialer_options d = {.dns = s->dns,
                                     .tls = s->tls,
                                     .policy = s->policy,
                                     .dns_timeout_ms = c->client.dns_timeout_ms,
                                     .connect_timeout_ms = c->client.connect_timeout_ms,
                                     .tls_timeout_ms = c->client.tls_timeout_ms};
    dialer_open(&s->dialer, s->loop, &d);
    return http_client_open(&s->client, s->loop, s->dialer, &c->client);
}

static const struct destination *find_dest(void *ctx, uint32_t num)
{
    const struct server *s = ctx;
    return registry_dest_by_num(s->registry, num);
}

static int disable_dest(void *ctx, uint32_t num)
{
    struct server *s = ctx;
    const struct destination *d = registry_dest_by_num(s->registry, num);
    if (d == NULL) {
        return ERR_NOT_FOUND;
    }
    struct destination changed = *d;
    changed.disabled_ms = loop_wall_ms(s->loop);
    return registry_put_dest(s->registry, &changed);
}

static void on_dest_changed(void *ctx, uint32_t num)
{
    struct server *s = ctx;
    deliver_dest_changed(s->deliver, num);
}

/* The longest body, and what the record of an event adds to it. */
size_t server_max_event(const struct config *cfg)
{
    return (size_t)cfg->server.max_publish_body + (64u << 10);
}

size_t server_max_attempt(const struct config *cfg)
{
    return (size_t)cfg->client.keep_response_body + ATTEMPT_TEXTS;
}

static int open_services(struct server *s)
{
    s->dest_env.loop = s->loop;
    s->dest_env.http = s->client;
    s->dest_env.rng = rng_system();
    s->dest_env.webhook = &s->config->webhook;
    const struct deliver_options dv = {
        .loop = s->loop,
        .store = s->store,
        .env = &s->dest_env,
        .source = {.find = find_dest, .disable = disable_dest, .ctx = s},
        .rng = rng_system(),
        .cfg = &s->config->delivery};
    deliver_open(&s->deliver, &dv);
    deliver_set_max_record(s->deliver, server_max_attempt(s->config));
    registry_set_hook(s->registry, on_dest_changed, s);
    const struct publish_options po = {.loop = s->loop,
                                       .store = s->store,
                                       .registry = s->registry,
                                       .deliver = s->deliver,
                                       .rng = rng_system(),
                                       .topics = &s->topics,
                                       .ids_without_dots =
                                           s->config->webhook.mode != WEBHOOK_MODE_DEFAULT,
                                       .max_event = server_max_event(s->config)};
    publish_open(&s->publish, &po);
    const struct api_services as = {.loop = s->loop,
                                    .store = s->store,
                                    .registry = s->registry,
                                    .deliver = s->deliver,
                                    .publish = s->publish,
                                    .auth = s->auth,
                                    .metrics = &s->metrics,
                                    .dest_env = &s->dest_env,
                                    .http = &s->config->server,
                                    .version = LL_VERSION};
    api_open(&s->api, &as, &s->config->api);
    s->topics = *api_topic_rules(s->api);
    const int rc = deliver_recover(s->deliver);
    if (rc == 0) {
        registry_reseal_start(s->registry);
    }
    return rc;
}

/* A policy that cannot be renewed stays: the configuration was good, so only memory can lack. */
static void on_own_look(void *ctx)
{
    struct server *s = ctx;
    struct err_detail err = {0};
    if (own_look(&s->own, &s->bound)) {
        const int rc = renew_policy(s, &err);
        log_info("egress.own_addresses", LOG_INT("n", s->own.n), LOG_BOOL("renewed", rc == 0));
    }
    timer_in(&s->own_timer, OWN_LOOK_MS);
}

static int note_own_addresses(struct server *s, struct err_detail *err)
{
    http_server_addr(s->http, &s->bound);
    (void)own_look(&s->own, &s->bound);
    if (own_is_wildcard(&s->bound)) {
        timer_in(&s->own_timer, OWN_LOOK_MS);
    }
    return renew_policy(s, err);
}

int server_open(struct server *s, struct err_detail *err)
{
    raise_file_limit();
    server_fit_to_files(s->config);
    metrics_init(&s->metrics);
    int rc = loop_open(&s->loop, NULL);
    if (rc != 0) {
        return err_set(err, rc, 0, "the event loop cannot be opened");
    }
    timer_init(&s->own_timer, s->loop, on_own_look, s);
    rc = open_storage(s, err);
    if (rc == 0) {
        rc = open_network(s, err);
    }
    if (rc == 0) {
        rc = open_services(s);
    }
    if (rc != 0) {
        return rc;
    }
    rc = http_server_open(&s->http, s->loop, &s->config->server, api_handler(s->api), err);
    if (rc != 0) {
        err_prefix(err, "server.listen");
        return rc;
    }
    rc = note_own_addresses(s, err);
    server_add_metrics(s);
    return rc;
}

void server_free(struct server *s)
{
    server_free_policy(s->policy);
    own_fini(&s->own);
    api_free(s->api);
    publish_free(s->publish);
    registry_free(s->registry);
    auth_free(s->auth);
    vault_free(s->vault);
    loop_free(s->loop);
    cfg_free(&app_schema, s->config);
}
