/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small files that people put in place: keys, certificates, the configuration. Only a regular file
 * is opened, or a link to one (container secrets are links): opening a FIFO would wait for whoever
 * writes to it, and a device may never end.
 */
#ifndef LL_FILE_H
#define LL_FILE_H

#include "longline/buf.h"

/* Opens for reading. ERR_INVALID when it is no regular file; *err names the path. */
int file_open(int *fd, const char *path, struct err_detail *err) LL_MUST_USE;
/* Appends all of the file. ERR_TOO_BIG above the buffer's maximum. */
int file_read(struct buf *out, const char *path, struct err_detail *err) LL_MUST_USE;

#endif
