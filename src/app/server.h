/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gateway as one object: opens everything in order, wires it, and takes it down again.
 *
 *   STARTING -> READY -> DRAINING (SIGTERM, deadline) -> CLOSING -> gone
 *
 * A second signal, or a failed commit, ends the process at once: recovery is the normal start.
 */
#ifndef LL_SERVER_H
#define LL_SERVER_H

#include "cli.h"

/* Runs until a signal ends it. The exit status of the process. */
int server_run(const struct cli *cli);

#endif
