/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The HTTP API: routing, authentication and the native resources under /api/v1, /healthz, /readyz
 * and /metrics. Translates between requests and the services below; holds no logic of theirs.
 */
#ifndef LL_API_H
#define LL_API_H

#include "longline/auth.h"
#include "longline/config.h"
#include "longline/deliver.h"
#include "longline/dest.h"
#include "longline/http_server.h"
#include "longline/metrics.h"
#include "longline/publish.h"
#include "longline/registry.h"
#include "longline/store.h"

struct api;

struct api_cfg {                 /* section [api] */
    struct cfg_list topics;      /* known topics; empty: any */
    bool topics_allow_wildcards; /* patterns in destination topics */
    int64_t max_destinations_per_tenant;
    int64_t token_ttl_ms; /* of tenant tokens */
    int64_t tenant_rate;  /* requests per second of one tenant token; 0: no limit */
    bool metrics_public;  /* /metrics without a key */
};
extern const struct cfg_key api_cfg_keys[];
extern const size_t api_cfg_n_keys;

struct api_services { /* all borrowed */
    struct loop *loop;
    struct store *store;
    struct registry *registry;
    struct deliver *deliver;
    struct publish *publish;
    struct auth *auth;
    struct metrics *metrics;
    const struct dest_env *dest_env;
    const struct http_server_cfg *http; /* limits; copied */
    const char *version;
};

void api_open(struct api **out, const struct api_services *sv, const struct api_cfg *cfg);
void api_reload(struct api *a, const struct api_cfg *cfg);
void api_set_auth(struct api *a, struct auth *auth);
/* After a reload of [server]: the limits follow. */
void api_set_http(struct api *a, const struct http_server_cfg *http);
/* The rules that publish and model use; valid as long as the api, content follows reloads. */
const struct topic_rules *api_topic_rules(const struct api *a);
/* What the HTTP server calls. */
const struct http_handler *api_handler(struct api *a);
/* Not ready: /readyz answers 503 and publishes are refused with 503. */
void api_set_ready(struct api *a, bool ready);
void api_free(struct api *a);

#endif
