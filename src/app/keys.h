/* SPDX-License-Identifier: Apache-2.0 */
/* Key files in the data directory: made once with mode 0600, then read. */
#ifndef LL_KEYS_H
#define LL_KEYS_H

#include <stdbool.h>

#include "longline/buf.h"
#include "longline/err.h"

#define KEY_FILE_TEXT 64 /* hex digits of a generated key */

/* Reads <data_dir>/<name> into out (trimmed; min characters or more); when it is missing, generates
 * it (*made) and makes it durable. The directory must exist. */
int key_file_load(const char *data_dir, const char *name, size_t min, struct buf *out, bool *made,
                  struct err_detail *err) LL_MUST_USE;

#endif
