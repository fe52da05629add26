/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Marks in the data directory that say: the process ended by a fatal signal, or by an assertion of
 * LMDB, while this file was open. LMDB trusts its pages, so a damaged one may raise SIGSEGV, SIGBUS
 * or SIGABRT anywhere, and would again at every start. So the next start makes a new index, and
 * checks the whole journal before LMDB reads it. Where the faulting address lies in the map of one
 * of the two, only that one is marked; both when it cannot be told. Neither a kill nor a power loss
 * leaves a mark: they damage nothing.
 */
#ifndef LL_STORE_CRASH_MARK_H
#define LL_STORE_CRASH_MARK_H

#include <stdbool.h>
#include <stddef.h>

#include "longline/err.h"

enum crash_file { CRASH_JOURNAL, CRASH_INDEX, N_CRASH_FILES };

/* Crashes in the journal's map, each after a check that found nothing, before a start is refused:
 * whatever the reason is, another start does not cure it. */
#define CRASH_MAX 3U

/* From now on the signals leave the marks in this directory, then take their course. One directory
 * at a time; what handled the signals before still does. */
int crash_mark_arm(const char *data_dir) LL_MUST_USE;
void crash_mark_disarm(void);
/* Where the file is mapped; n = 0: not any more. */
void crash_mark_map(enum crash_file which, const void *start, size_t n);
/* Leaves the mark now. Safe in a signal handler. */
void crash_mark_set(enum crash_file which);

bool crash_mark_is_set(const char *data_dir, enum crash_file which);
int crash_mark_clear(const char *data_dir, enum crash_file which) LL_MUST_USE;

/* Crashes in the journal's map since the last orderly stop. */
unsigned crash_count(const char *data_dir);
/* The check after a crash found nothing: the journal's mark goes, its count is kept. */
int crash_checked(const char *data_dir) LL_MUST_USE;
/* An orderly stop: what happened before does not count any more. */
void crash_forget(const char *data_dir);

#endif
