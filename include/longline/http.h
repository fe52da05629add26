/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of HTTP/1.1 (RFC 9110, 9112) that server and client share. */
#ifndef LL_HTTP_H
#define LL_HTTP_H

#include <stdbool.h>

#include "longline/buf.h"
#include "longline/err.h"
#include "longline/str.h"

enum http_method {
    HTTP_METHOD_GET,
    HTTP_METHOD_HEAD,
    HTTP_METHOD_POST,
    HTTP_METHOD_PUT,
    HTTP_METHOD_PATCH,
    HTTP_METHOD_DELETE,
    HTTP_METHOD_OPTIONS,
    HTTP_METHOD_OTHER
};

struct http_header {
    struct str name;
    struct str value;
};

/* Initialises a header from two literals. */
#define HTTP_HEADER(k, v)                                                                          \
    {                                                                                              \
        .name = {.p = (k), .n = sizeof(k) - 1}, .value = {.p = (v), .n = sizeof(v) - 1 }           \
    }

const char *http_method_name(enum http_method m);
/* Reason phrase; "Unknown" when there is none. */
const char *http_status_text(int status);
/* RFC 9110 token (header names) and field value without CTL. */
bool http_is_token(struct str s);
bool http_is_field_value(struct str s);
/* First header of that name (case-insensitive), or STR_NULL. */
struct str http_find(const struct http_header *h, size_t n, struct str name);

/* Query string access: calls fn for each name=value pair, both percent-decoded (valid during the
 * call). ERR_SYNTAX on a bad escape; a non-zero return of fn stops and is returned. */
typedef int (*http_query_fn)(void *ctx, struct str name, struct str value);
int http_query_each(struct str query, http_query_fn fn, void *ctx) LL_MUST_USE;

/* Retry-After (RFC 9110 10.2.3): seconds or HTTP date, as a delay in ms from now; negative and past
 * give 0; ERR_SYNTAX for junk. Capped at 24 h. */
int http_parse_retry_after(struct str v, int64_t now_wall_ms, int64_t *delay_ms) LL_MUST_USE;

#endif
