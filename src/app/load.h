/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration as the command line asks for it: file, environment, --dev, --set. */
#ifndef LL_LOAD_H
#define LL_LOAD_H

#include "app_config.h"
#include "cli.h"

/* For what runs the gateway or stands in for it: everything that can be known to be wrong is an
 * error. *out is freed with cfg_free(&app_schema, …). */
int load_config(const struct cli *cli, struct config **out, struct err_detail *err) LL_MUST_USE;
/* The same without a look at the files that the configuration names: a backup needs none of them,
 * and whoever makes it may not be allowed to read them. */
int load_settings(const struct cli *cli, struct config **out, struct err_detail *err) LL_MUST_USE;

#endif
