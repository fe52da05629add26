/* SPDX-License-Identifier: Apache-2.0 */
/* What backup and salvage share: a new data directory, and the small files of an old one. */
#ifndef LL_STORE_COPY_H
#define LL_STORE_COPY_H

#include "longline/err.h"

/* ERR_EXISTS when it holds anything. */
int copy_is_empty_dir(const char *path, struct err_detail *err) LL_MUST_USE;
/* The regular files of the directory itself (keys), but for "lock" and those that begin with a
 * dot. */
int copy_files(const char *from, const char *to, struct err_detail *err) LL_MUST_USE;

#endif
