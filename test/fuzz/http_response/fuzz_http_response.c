/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's response parser. The first byte of the input chooses the pieces; the rest is what a
 * server sends. How the bytes are cut must not change what is understood.
 */
#include "http/client/response.h"

#include <stdint.h>

#include "longline/check.h"
#include "longline/mem.h"

static const struct resp_limits wide = {
    .max_head = 1u << 20, .max_body = 1u << 20, .keep_body = 1u << 20};
static const struct resp_limits narrow = {.max_head = 256, .max_body = 32, .keep_body = 8};

static enum resp_state run(struct client_resp *r, const struct resp_limits *l, bool head_request,
                           struct str in, size_t piece)
{
    client_resp_reset(r, l, head_request);
    while (in.n > 0) {
        const size_t n = in.n < piece ? in.n : piece;
        char *copy = mem_strndup(in.p, n);
        client_resp_feed(r, copy, n);
        mem_free(copy);
        in = str_of(in.p + n, in.n - n);
    }
    return client_resp_eof(r);
}

static void check(const struct client_resp *r, const struct resp_limits *l)
{
    LL_ASSERT(r->state == RESP_DONE || r->state == RESP_FAILED);
    LL_ASSERT(r->body.n <= l->keep_body && r->n_fields <= RESP_MAX_HEADERS);
    if (r->state == RESP_FAILED) {
        LL_ASSERT(r->err.code != 0 && r->err.msg[0] != '\0');
        return;
    }
    LL_ASSERT(r->status >= 200 && r->status <= 999);
    size_t total = 0;
    for (size_t i = 0; i < r->n_fields; i++) {
        LL_ASSERT(r->headers[i].name.n != 0);
        total += r->headers[i].name.n + r->headers[i].value.n;
    }
    LL_ASSERT(total <= l->max_head);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct client_resp a;
    struct client_resp b;

    if (size < 1) {
        return 0;
    }
    const bool head_request = (data[0] & 0x80) != 0;
    const size_t piece = (size_t)(data[0] & 0x7f) + 1;
    const struct str in = str_of((const char *)data + 1, size - 1);
    client_resp_init(&a);
    client_resp_init(&b);

    run(&a, &wide, head_request, in, in.n != 0 ? in.n : 1);
    check(&a, &wide);
    run(&b, &wide, head_request, in, piece);
    check(&b, &wide);
    LL_ASSERT(a.state == b.state);
    /* Of two faults close to each other, either may be seen first. */
    LL_ASSERT(a.state == RESP_FAILED || (a.status == b.status && a.n_fields == b.n_fields &&
                                         str_eq(buf_str(&a.body), buf_str(&b.body))));

    run(&b, &narrow, head_request, in, piece); /* after another one: nothing may be left over */
    check(&b, &narrow);
    client_resp_fini(&a);
    client_resp_fini(&b);
    return 0;
}
