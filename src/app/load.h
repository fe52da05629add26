/* SPDX-License-Identifier: Apache-2.0 */
/* The configuration as the command line asks for it: file, environment, --dev, --set. */
#ifndef LL_LOAD_H
#define LL_LOAD_H

#include "app_config.h"
#include "cli.h"

/* *out is freed with cfg_free(&app_schema, …). */
int load_config(const struct cli *cli, struct config **out, struct err_detail *err) LL_MUST_USE;

#endif
