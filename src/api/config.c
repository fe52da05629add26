/* SPDX-License-Identifier: Apache-2.0 */
/* Section [api] of the configuration. */
#include "longline/api.h"
#include "longline/check.h"

#define AT(ctype, f) CFG_AT(ctype, struct api_cfg, f)

const struct cfg_key api_cfg_keys[] = {
    {.name = "topics",
     .kind = CFG_LIST,
     .flags = CFG_RELOAD,
     .offset = AT(struct cfg_list, topics),
     .def = "",
     .help = "Topics that may be published and subscribed to; empty: all."},
    {.name = "topics_allow_wildcards",
     .kind = CFG_BOOL,
     .flags = CFG_RELOAD,
     .offset = AT(bool, topics_allow_wildcards),
     .def = "false",
     .help = "Allow destinations to subscribe to patterns such as user.*"},
    {.name = "max_destinations_per_tenant",
     .kind = CFG_INT,
     .flags = CFG_RELOAD,
     .offset = AT(int64_t, max_destinations_per_tenant),
     .def = "20",
     .min = 1,
     .max = 4096,
     .help = "Most destinations of one tenant, disabled ones included."},
    {.name = "token_ttl",
     .kind = CFG_DURATION,
     .flags = CFG_RELOAD,
     .offset = AT(int64_t, token_ttl_ms),
     .def = "24h",
     .min = 1000,
     .max = 31536000000,
     .help = "How long a tenant's token is valid."},
    {.name = "tenant_rate",
     .kind = CFG_INT,
     .flags = CFG_RELOAD,
     .offset = AT(int64_t, tenant_rate),
     .def = "200",
     .min = 0,
     .max = 1000000,
     .help = "Most requests per second with the tokens of one tenant; 0: no limit."},
    {.name = "metrics_public",
     .kind = CFG_BOOL,
     .flags = CFG_RELOAD,
     .offset = AT(bool, metrics_public),
     .def = "true",
     .help = "Answer /metrics without the admin key; it names no tenant and no destination."},
};
const size_t api_cfg_n_keys = LL_COUNT(api_cfg_keys);
