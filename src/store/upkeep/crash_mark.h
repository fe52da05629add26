/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A mark in the data directory that says: the process ended by a fatal signal while the index was
 * open. LMDB trusts its pages, so a damaged index may raise SIGSEGV, SIGBUS or SIGABRT anywhere,
 * and would again at every start. The index is derived, so the next start makes a new one. Neither
 * a kill nor a power loss leaves the mark: they damage no index.
 */
#ifndef LL_STORE_CRASH_MARK_H
#define LL_STORE_CRASH_MARK_H

#include <stdbool.h>

#include "longline/err.h"

#define CRASH_MARK_FILE ".index-crashed"

/* From now on the signals leave the mark in this directory, then take their course. One directory
 * at a time; what handled the signals before still does. */
int crash_mark_arm(const char *data_dir) LL_MUST_USE;
void crash_mark_disarm(void);

bool crash_mark_is_set(const char *data_dir);
int crash_mark_clear(const char *data_dir) LL_MUST_USE;

#endif
