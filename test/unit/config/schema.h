/* SPDX-License-Identifier: Apache-2.0 */
/* A schema with a key of every kind, shared by the tests of this folder. */
#ifndef LL_TEST_CONFIG_SCHEMA_H
#define LL_TEST_CONFIG_SCHEMA_H

#include "longline/config.h"

struct server_cfg {
    char *listen;
    int64_t port;
    int64_t max_body;
    int64_t timeout;
    bool compress;
    char *name;
    int mode; /* fast safe slow */
};

struct auth_cfg {
    char *root_key;
    struct cfg_list keys;
    struct cfg_list allow;
};

struct test_cfg {
    struct server_cfg server;
    struct auth_cfg auth;
};

extern const struct cfg_schema test_schema;

#endif
