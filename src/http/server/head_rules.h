/* SPDX-License-Identifier: Apache-2.0 */
/* What a request head must satisfy beyond what llhttp checks (RFC 9110, RFC 9112). */
#ifndef LL_HTTP_SERVER_HEAD_RULES_H
#define LL_HTTP_SERVER_HEAD_RULES_H

#include "longline/http_server.h"

struct head_facts {
    bool is_http11;        /* else HTTP/1.0 */
    bool expects_continue; /* out */
    bool is_chunked;       /* out */
};

/* Looks at rq->target and rq->headers; fills path, query, has_length, content_length and the facts.
 * 0, or the status to refuse the request with. */
int head_rules_check(struct http_request *rq, struct head_facts *facts);

#endif
