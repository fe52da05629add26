/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The exit statuses. What a restart may cure is EXIT_FAIL; what it cannot cure has a status of its
 * own, which the systemd unit lists in RestartPreventExitStatus= (names and numbers of sysexits.h).
 */
#ifndef LL_EXIT_STATUS_H
#define LL_EXIT_STATUS_H

enum exit_status {
    EXIT_OK = 0,
    EXIT_FAIL = 1,   /* something else: the port is in use, the disk fails, no memory */
    EXIT_USAGE = 2,  /* the command line */
    EXIT_DATA = 65,  /* the store is damaged, or of a version that this program does not know */
    EXIT_CONFIG = 78 /* the configuration, or a file that it names, cannot be used */
};

/* Of a refusal to start with this error (enum ll_err) while the store and what stands on it are
 * opened. A configuration that cannot be loaded is EXIT_CONFIG whatever the error is. */
int exit_status_of(int code);

#endif
