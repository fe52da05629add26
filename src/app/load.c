/* SPDX-License-Identifier: Apache-2.0 */
#include "load.h"

#include <unistd.h>

#include "longline/check.h"

extern char **environ;

int load_settings(const struct cli *cli, struct config **out, struct err_detail *err)
{
    /* --dev comes first, so that an explicit --set may take a part of it back. */
    static const char *const dev[] = {"egress.allow_loopback=true", "egress.allow_http=true",
                                      "auth.allow_short_keys=true"};
    const char *sets[CLI_MAX_SETS + LL_COUNT(dev)];
    size_t n = 0;
    for (size_t i = 0; cli->dev && i < LL_COUNT(dev); i++) {
        sets[n++] = dev[i];
    }
    for (size_t i = 0; i < cli->n_sets; i++) {
        sets[n++] = cli->sets[i];
    }
    const struct cfg_source src = {
        .file = cli->config_file, .env = environ, .sets = sets, .n_sets = n};
    void *cfg = NULL;
    const int rc = cfg_load(&app_schema, &src, &cfg, err);
    *out = cfg;
    return rc;
}

int load_config(const struct cli *cli, struct config **out, struct err_detail *err)
{
    int rc = load_settings(cli, out, err);
    if (rc == 0) {
        rc = app_config_check_files(*out, err);
    }
    if (rc != 0) {
        cfg_free(&app_schema, *out);
        *out = NULL;
    }
    return rc;
}
