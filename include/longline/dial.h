/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From a host and port to a connected stream: lookup, egress policy on each address, connect with
 * happy eyeballs (RFC 8305: next address after 250 ms or on failure, at most 4), TLS handshake on a
 * worker. One deadline per phase; a phase that mostly waited for slots or workers of ours ends as
 * ERR_BUSY, which says nothing about the other side.
 *
 * Happy path: lookup -> check -> connect -> (handshake) -> done(stream).
 * Ends: done is called exactly once, never before dial_start returned, unless canceled.
 */
#ifndef LL_DIAL_H
#define LL_DIAL_H

#include "longline/addr.h"
#include "longline/dns.h"
#include "longline/loop.h"
#include "longline/stream.h"
#include "longline/tls.h"

struct dialer; /* what connections need: loop, dns, tls, policy */
struct dial;   /* one connection under way */

struct dialer_options {
    struct dns *dns;                    /* borrowed */
    struct tls_client *tls;             /* borrowed; NULL: https fails with ERR_UNSUPPORTED */
    const struct egress_policy *policy; /* borrowed; dialer_set_policy replaces it */
    int64_t dns_timeout_ms;             /* becomes the resolver's */
    int64_t connect_timeout_ms; /* all addresses; one address gets at most 2 s while others wait */
    int64_t tls_timeout_ms;
};

void dialer_open(struct dialer **out, struct loop *l, const struct dialer_options *o);
void dialer_set_policy(struct dialer *d, const struct egress_policy *p);
/* For dials that start from now on; values as in the options. */
void dialer_set_timeouts(struct dialer *d, int64_t dns_ms, int64_t connect_ms, int64_t tls_ms);
const struct egress_policy *dialer_policy(const struct dialer *d);
/* Every dial must be over and every stream closed before. */
void dialer_free(struct dialer *d);

struct dial_result {
    struct stream *stream;              /* owned by the callee; NULL on failure */
    struct err_detail err;              /* code 0 on success */
    int32_t dns_us, connect_us, tls_us; /* time spent per phase; 0 when skipped */
};
typedef void (*dial_fn)(void *ctx, const struct dial_result *r);

/* host: name or IP literal (no brackets); use_tls: SNI and verification name = host. */
struct dial *dial_start(struct dialer *d, struct str host, uint16_t port, bool use_tls, dial_fn fn,
                        void *ctx);
/* Most of the time of its phase was spent waiting for the gateway's own lookups or handshakes. */
bool dial_is_held_up(const struct dial *c);
void dial_cancel(struct dial *c); /* fn will not be called; resources go on later turns */

#endif
