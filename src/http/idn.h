/* SPDX-License-Identifier: Apache-2.0 */
/* Host names in other scripts to what stands in the DNS. Private to src/http. */
#ifndef LL_HTTP_IDN_H
#define LL_HTTP_IDN_H

#include "longline/buf.h"

/* Appends the ASCII form of a host name that is not ASCII (UTF-8, without NUL): UTS 46, as browsers
 * do it before a lookup, so that full-width letters, digits and dots become plain ones. Whatever
 * comes out consists of characters of a host name, and is for the caller to judge: it may be an
 * address. ERR_SYNTAX, ERR_TOO_BIG. */
int idn_to_ascii(struct buf *out, struct str host, struct err_detail *err) LL_MUST_USE;

#endif
