/* SPDX-License-Identifier: Apache-2.0 */
/* The webhook row of the driver table and section [webhook] of the configuration. */
#include "webhook.h"

#include "longline/check.h"
#include "longline/hash.h"

#define AT(ctype, f) CFG_AT(ctype, struct webhook_cfg, f)

const struct cfg_key webhook_cfg_keys[] = {
    {.name = "mode",
     .kind = CFG_ENUM,
     .offset = AT(int, mode),
     .def = "default",
     .choices = "default standard both",
     .help = "How deliveries are signed: v0= over the body (default), as in Standard Webhooks, or "
             "both. In the last two a secret that is set must be whsec_ and base64."},
    {.name = "header_prefix",
     .kind = CFG_STRING,
     .flags = CFG_NONE,
     .offset = AT(char *, header_prefix),
     .def = "",
     .help =
         "Prefix of the metadata headers; empty: x-outpost- (mode standard: webhook-); none, or "
         "white space in the environment or --set: no prefix."},
    {.name = "user_agent",
     .kind = CFG_STRING,
     .offset = AT(char *, user_agent),
     .def = "Longline",
     .help = "User-Agent header of deliveries."},
    {.name = "success_below_400",
     .kind = CFG_BOOL,
     .offset = AT(bool, success_below_400),
     .def = "false",
     .help = "Count every status below 400 as delivered, not only 2xx."},
    {.name = "secret_overlap",
     .kind = CFG_DURATION,
     .offset = AT(int64_t, secret_overlap_ms),
     .def = "24h",
     .min = 0,
     .max = INT64_C(365) * 86400000,
     .help = "How long deliveries are also signed with the previous secret after a rotation."},
    {.name = "max_custom_headers",
     .kind = CFG_INT,
     .offset = AT(int64_t, max_custom_headers),
     .def = "32",
     .min = 0,
     .max = 48,
     .help = "Most custom headers of one destination."},
};
const size_t webhook_cfg_n_keys = LL_COUNT(webhook_cfg_keys);

static void webhook_target(const struct destination *d, struct str *target, struct str *target_url)
{
    *target = kv_get(&d->config, STR("url"));
    *target_url = STR_NULL;
}

/* By host and port: the services behind the ports of a host may be strangers to each other, while
 * http and https on one port are the same service. */
static uint64_t webhook_host(const struct destination *d)
{
    char peer[URL_PEER_MAX];
    struct buf ascii;
    struct url url;
    uint64_t key = 0; /* nothing can be sent there */
    buf_init(&ascii, URL_MAX);
    if (webhook_parse_url(&url, kv_get(&d->config, STR("url")), &ascii, NULL) == 0) {
        key = hash_stable(str_of(peer, url_peer(peer, &url)));
    }
    buf_fini(&ascii);
    return key;
}

const struct dest_driver webhook_driver = {
    .type = "webhook",
    .label = "Webhook",
    .prepare = webhook_prepare,
    .show = webhook_show,
    .target = webhook_target,
    .host = webhook_host,
    .open = webhook_open,
    .close = webhook_close,
    .send = webhook_send,
    .cancel = webhook_cancel,
    .describe_json = webhook_describe_json,
};
