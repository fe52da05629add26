/* SPDX-License-Identifier: Apache-2.0 */
/* The whole configuration: the sections of the modules, put together. */
#ifndef LL_APP_CONFIG_H
#define LL_APP_CONFIG_H

#include "longline/api.h"
#include "longline/config.h"
#include "longline/deliver.h"
#include "longline/dest.h"
#include "longline/http_client.h"
#include "longline/http_server.h"
#include "longline/store.h"

struct auth_cfg { /* section [auth] */
    char *admin_key;
    char *jwt_secret;
    bool require_exp;
    bool allow_short_keys;
};

struct secrets_cfg { /* section [secrets] */
    char *key;
    struct cfg_list old_keys;
};

struct egress_cfg { /* section [egress] */
    bool allow_loopback;
    bool allow_private;
    bool allow_http;
    struct cfg_list allow;
    struct cfg_list deny;
    char *ca_file;
    bool ca_only;
    int64_t tls_workers;
    char *dns_servers;
};

struct log_cfg { /* section [log] */
    int level;   /* enum log_level */
    int format;  /* 0 text, 1 json */
};

struct process_cfg { /* section [process] */
    int64_t shutdown_timeout_ms;
};

struct config {
    struct http_server_cfg server;
    struct auth_cfg auth;
    struct secrets_cfg secrets;
    struct api_cfg api;
    struct store_cfg store;
    struct deliver_cfg delivery;
    struct http_client_cfg client;
    struct webhook_cfg webhook;
    struct egress_cfg egress;
    struct log_cfg log;
    struct process_cfg process;
};

/* Valid after app_config_setup. */
extern const struct cfg_schema app_schema;
void app_config_setup(void);

/* app_check.c. What the tables of keys cannot say, for cfg_load: values as such, and several keys
 * together. */
int app_config_check(const void *config, struct err_detail *err) LL_MUST_USE;
/* Whether the files that the configuration names can be used. */
int app_config_check_files(const struct config *c, struct err_detail *err) LL_MUST_USE;

#define NAME_SERVERS_MAX 4096

/* The servers of dns_servers as "ip:port,ip:port", terminated; empty: the system's. out takes
 * NAME_SERVERS_MAX bytes. ERR_INVALID with the bad one. */
int egress_name_servers(const struct egress_cfg *cfg, struct buf *out,
                        struct err_detail *err) LL_MUST_USE;

/* Builds the policy from the section; *out owns its lists: egress_policy_fini. own: listen
 * addresses (copied). ERR_INVALID with the bad entry. */
int egress_policy_init(struct egress_policy *out, const struct egress_cfg *cfg,
                       const union addr *own, size_t n_own, struct err_detail *err) LL_MUST_USE;
void egress_policy_fini(struct egress_policy *p);

#endif
