/* SPDX-License-Identifier: Apache-2.0 */
/* The gateway's parts, in the order in which they are opened; closed in reverse. */
#ifndef LL_SERVER_INTERNAL_H
#define LL_SERVER_INTERNAL_H

#include "longline/auth.h"
#include "longline/dial.h"
#include "longline/metrics.h"
#include "longline/publish.h"
#include "longline/registry.h"
#include "longline/vault.h"

#include "app_config.h"
#include "cli.h"
#include "own.h"

#define SERVER_MAX_METRICS 15

enum server_state { SERVER_STARTING, SERVER_READY, SERVER_DRAINING, SERVER_CLOSING };

struct server {
    enum server_state state;
    const struct cli *cli;
    struct config *config;
    struct loop *loop;
    struct metrics metrics;
    struct metric net[SERVER_MAX_METRICS]; /* connections and handshakes */
    struct store *store;
    struct vault *vault;
    struct auth *auth;
    struct registry *registry;
    struct tls_client *tls;
    struct dns *dns;
    struct egress_policy *policy;
    unsigned policy_version;
    struct dialer *dialer;
    struct http_client *client;
    struct dest_env dest_env;
    struct deliver *deliver;
    struct topic_rules topics; /* what publish reads; follows the api's */
    struct publish *publish;
    struct api *api;
    struct http_server *http;
    union addr bound;
    struct own_addresses own; /* for the egress policy */
    struct timer own_timer;
    bool admin_key_generated;
    uint64_t admin_mark; /* hashes of what is in force, to know a file that has changed */
    uint64_t jwt_mark;
    uint64_t ca_mark;
    struct timer drain_timer;
    int64_t drain_deadline_ms;
    struct timer watchdog;
    int exit_status;
};

/* startup.c: opens everything; on failure err says what. */
int server_open(struct server *s, struct err_detail *err) LL_MUST_USE;
/* Frees what is left when everything asynchronous is closed, or after a failed start. */
void server_free(struct server *s);
/* What replaces parts of a running server, made before anything is replaced. */
struct server_auth {
    struct auth *auth;
    uint64_t admin_mark;
    uint64_t jwt_mark;
    bool admin_key_generated;
};
int server_make_auth(const struct config *cfg, struct server_auth *out,
                     struct err_detail *err) LL_MUST_USE;
void server_set_auth(struct server *s, const struct server_auth *a);
uint64_t server_ca_mark(const struct config *cfg);   /* of the contents of egress.ca_file */
size_t server_max_event(const struct config *cfg);   /* bytes of an encoded event */
size_t server_max_attempt(const struct config *cfg); /* of the record of an attempt */
struct egress_policy *server_make_policy(const struct server *s, const struct config *cfg,
                                         struct err_detail *err) LL_MUST_USE;
/* Takes it over, in the place of the old one. */
void server_set_policy(struct server *s, struct egress_policy *fresh);
void server_free_policy(struct egress_policy *p); /* NULL is fine */

/* Lowers what the process may not have open at once. */
void server_fit_to_files(struct config *cfg);

/* app_metrics.c: registers the metrics of all parts. */
void server_add_metrics(struct server *s);

/* reload.c */
void server_reload(struct server *s);

/* shutdown.c */
void server_shutdown(struct server *s);
/* Closes without draining, for a failed start. */
void server_close(struct server *s);

#endif
