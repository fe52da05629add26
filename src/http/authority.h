/* SPDX-License-Identifier: Apache-2.0 */
/* host[:port], as it stands in a URL and in the Host header. Private to src/http. */
#ifndef LL_HTTP_AUTHORITY_H
#define LL_HTTP_AUTHORITY_H

#include <stdbool.h>

#include "longline/err.h"
#include "longline/str.h"

struct authority {
    struct str host; /* without brackets, without trailing dot */
    bool is_ipv6;
    bool has_port;
    uint16_t port; /* when has_port */
};

/* Takes "http://" or "https://", in any case, off the front. ERR_SYNTAX when neither is there. */
int authority_take_scheme(struct str *rest, bool *is_https) LL_MUST_USE;
/* How much of what follows the scheme is the authority. */
size_t authority_end(struct str s);
/* Only characters of a host name: ASCII letters and digits, '-', '.', '_'. */
bool authority_is_plain_name(struct str host);

/* 0 or ERR_SYNTAX; *why (may be NULL) gets a static sentence. */
int authority_parse(struct authority *out, struct str text, const char **why) LL_MUST_USE;

#endif
