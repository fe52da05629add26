/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Response parser: llhttp with every lenient flag off, plus limits. No I/O.
 *
 * Happy path: client_resp_reset, then client_resp_feed with the bytes as they come until it says
 * RESP_DONE; a body without length ends with client_resp_eof.
 *
 * 1xx responses are skipped and count against the head limit; 101 fails. One that speaks against
 * keep-alive (Connection: close, HTTP/1.0) only costs the connection. A body beyond max_body, or
 * one that is cut, ends the response early: RESP_DONE with body_truncated and without keep_alive.
 */
#ifndef LL_HTTP_CLIENT_RESPONSE_H
#define LL_HTTP_CLIENT_RESPONSE_H

#include <llhttp.h>

#include "longline/buf.h"
#include "longline/http.h"

#define RESP_MAX_HEADERS 100

enum resp_state {
    RESP_HEAD, /* nothing or a part of the head was seen */
    RESP_BODY, /* the head is complete */
    RESP_DONE,
    RESP_FAILED
};

struct resp_limits {
    size_t max_head;
    size_t max_body;
    size_t keep_body;
};

struct resp_field { /* offsets into `text`, which moves while it grows */
    uint32_t name_at, name_n;
    uint32_t value_at, value_n;
};

struct client_resp {
    enum resp_state state;
    bool started;        /* a byte of the response was seen */
    bool keep_alive;     /* RESP_DONE: the connection may carry another request */
    bool body_truncated; /* RESP_DONE: more came than is in `body` */
    int status;
    struct err_detail err; /* RESP_FAILED */
    struct buf body;
    struct http_header *headers; /* RESP_DONE: n_fields of them */
    size_t n_fields;

    /* private */
    llhttp_t parser;
    struct resp_limits limits;
    bool head_request;  /* the response has no body whatever it says */
    bool single_use;    /* a 1xx said that the connection ends */
    bool after_interim; /* the parser is to start again */
    bool in_field;
    struct buf text;
    struct resp_field *fields;
    size_t cap_fields;
    size_t head_seen; /* bytes of heads and trailers */
    size_t body_seen;
    size_t body_raw; /* with the chunk framing */
};

/* Value object: init/fini; reset before each response. */
void client_resp_init(struct client_resp *r);
void client_resp_fini(struct client_resp *r);
void client_resp_reset(struct client_resp *r, const struct resp_limits *limits, bool head_request);
/* Drops the content and all memory above `keep` bytes per buffer. */
void client_resp_shrink(struct client_resp *r, size_t keep);

enum resp_state client_resp_feed(struct client_resp *r, const char *p, size_t n);
/* The rest of the body is not waited for: RESP_BODY becomes RESP_DONE. */
void client_resp_cut(struct client_resp *r);
/* The peer closed its side in an orderly way. RESP_DONE or RESP_FAILED. */
enum resp_state client_resp_eof(struct client_resp *r);

#endif
