/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strict URLs for delivery targets (RFC 3986 subset): http or https, no userinfo, no fragment, no
 * control characters, spaces or backslashes, no zone id, host at most 253 characters in letters,
 * digits, '-', '.', '_' (A-labels for IDNA) or an IP literal, port 1..65535. A query needs a path
 * before it ("http://h/?q", not "http://h?q"), because the parts point into the text.
 */
#ifndef LL_URL_H
#define LL_URL_H

#include <stdbool.h>

#include "longline/err.h"
#include "longline/str.h"

#define URL_MAX 2048

struct url { /* all parts point into the parsed text */
    bool is_https;
    struct str host;      /* without brackets, without trailing dot; case as given */
    uint16_t port;        /* 80 or 443 when absent */
    struct str path;      /* path and query, for the request line; "/" when absent */
    struct str authority; /* host[:port] as given, for the Host header */
};

/* 0, ERR_SYNTAX or ERR_TOO_BIG; err (may be NULL) says what is wrong in one sentence. */
int url_parse(struct url *out, struct str text, struct err_detail *err) LL_MUST_USE;

#endif
