/* SPDX-License-Identifier: Apache-2.0 */
/* `longline health`: GET /healthz of a running gateway, for container health checks. */
#ifndef LL_HEALTH_H
#define LL_HEALTH_H

#include "cli.h"

int health_run(const struct cli *cli);

#endif
