/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From bytes to one request: llhttp in strict mode for head and chunked framing, the rules of
 * head_rules.c on top, all limits. No I/O, no clock: tests and the fuzzer drive it alone.
 *
 *   parser_start -> parser_feed ... PARSER_HEAD -> parser_begin_body -> parser_feed ... PARSER_DONE
 *
 * The head is kept as it came, in one buffer; everything in the request points into it. The body is
 * collected in a second buffer. Both stay as they are until the next parser_start.
 * After PARSER_ERROR only parser_start is allowed, and only for another connection's worth of
 * bytes: there is no resynchronisation after an error.
 */
#ifndef LL_HTTP_SERVER_PARSER_H
#define LL_HTTP_SERVER_PARSER_H

#include <llhttp.h>

#include "longline/arena.h"
#include "longline/buf.h"
#include "longline/http_server.h"

#define PARSER_LINE_MAX 8192 /* request target with its method, bytes */
#define PARSER_EXT_MAX  256  /* chunk extensions of one request, bytes */

enum parser_event {
    PARSER_MORE,  /* all bytes used, more are needed */
    PARSER_HEAD,  /* the head is complete and accepted; parser_begin_body next */
    PARSER_DONE,  /* the request is complete */
    PARSER_ERROR, /* answer parser.status and close */
};

enum parser_phase { PARSER_IN_HEAD, PARSER_AT_BODY, PARSER_IN_BODY, PARSER_ENDED };

struct parser_limits {
    size_t max_head;
    size_t max_headers;
};

struct parser_span {
    uint32_t at; /* offset in the head buffer */
    uint32_t n;
};

struct parser_header {
    struct parser_span name;
    struct parser_span value;
};

struct parser {
    llhttp_t ll;
    struct parser_limits limits;
    enum parser_phase phase;
    int status; /* after PARSER_ERROR */

    /* What the head says, valid from PARSER_HEAD on (keep_alive and is_head as soon as known). */
    bool is_http11;
    bool keep_alive;
    bool expects_continue;
    bool has_body;
    bool is_chunked;
    bool discard; /* the body is read and dropped */
    bool name_open;
    bool target_done;

    struct buf head;
    struct buf body;
    size_t max_body;
    uint64_t body_left; /* of a body with Content-Length */
    uint64_t body_seen; /* bytes of content so far */
    size_t n_ext;       /* bytes of chunk extensions */
    size_t n_trailer;   /* bytes of trailer fields, which are dropped */

    struct parser_span method;
    struct parser_span target;
    struct parser_header *headers; /* in the arena */
    size_t n_headers;
    size_t cap_headers;
    struct http_request *rq; /* filled here; its arena is used */
};

/* max_bytes: no head or body buffer grows beyond this. rq lives as long as the parser. */
void parser_init(struct parser *p, struct http_request *rq, size_t max_bytes);
void parser_fini(struct parser *p);
/* Ready for the next request. rq->arena must be empty. */
void parser_start(struct parser *p, const struct parser_limits *limits);
/* Gives the buffers' memory back beyond `keep` bytes each; only between requests. */
void parser_shrink(struct parser *p, size_t keep);
/* True when bytes of a request have been seen. */
bool parser_is_started(const struct parser *p);

/* Takes bytes; *used says how many. Returns after the first event. */
enum parser_event parser_feed(struct parser *p, const char *data, size_t n, size_t *used);
/* After PARSER_HEAD: sets the limit. PARSER_DONE when there is no body. `discard`: the body is not
 * kept, the limit still holds. */
enum parser_event parser_begin_body(struct parser *p, size_t max_body, bool discard);

#endif
