/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Strict URLs for delivery targets (RFC 3986 subset): http or https, no userinfo, no fragment, no
 * control characters, spaces or backslashes, no zone id, host at most 253 characters in letters,
 * digits, '-', '.', '_' (A-labels for IDNA) or an IP literal, port 1..65535. A query needs a path
 * before it ("http://h/?q", not "http://h?q"), because the parts point into the text. url_to_ascii
 * makes such text of what people write.
 */
#ifndef LL_URL_H
#define LL_URL_H

#include <stdbool.h>

#include "longline/buf.h"
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

#define URL_PEER_MAX 259 /* a port, a slash, a host of at most 253 characters */

/*
 * The form of a URL that goes on the wire, for url_parse: an international host name becomes its
 * ASCII form (UTS 46, which also turns full-width digits and dots into plain ones), what is not
 * ASCII behind it is percent-encoded, and "http://h?q" gets its slash. What was ASCII stays as it
 * was, so not every result is a URL. `out` is empty, with URL_MAX as its maximum. ERR_SYNTAX,
 * ERR_TOO_BIG; err as below.
 */
int url_to_ascii(struct buf *out, struct str text, struct err_detail *err) LL_MUST_USE;

/* 0, ERR_SYNTAX or ERR_TOO_BIG; err (may be NULL) says what is wrong in one sentence. */
int url_parse(struct url *out, struct str text, struct err_detail *err) LL_MUST_USE;

/* Whom a parsed URL leads to, as "port/host" in one spelling (not terminated); returns its length.
 * The host is in lower case, without the root's dot; an IP literal as inet_ntop writes it, and an
 * IPv4 address inside of an IPv6 one (::ffff:1.2.3.4) as that IPv4 address. This is what whoever
 * counts or keeps things per host goes by: two URLs of one peer cannot be told apart here. */
size_t url_peer(char out[URL_PEER_MAX], const struct url *u);

#endif
