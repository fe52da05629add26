/* SPDX-License-Identifier: Apache-2.0 */
/* A name server on loopback, on the test's own loop. It answers from a table. */
#ifndef LL_TEST_NET_DNS_SERVER_H
#define LL_TEST_NET_DNS_SERVER_H

#include "net/loop_impl.h"

#define DNS_ROW_ADDRS 12

struct dns_row {
    const char *name;
    const char *addrs[DNS_ROW_ADDRS]; /* IPv4 and IPv6 as they come */
    uint32_t ttl;
    unsigned rcode; /* 0, 2 SERVFAIL, 3 NXDOMAIN */
    bool silent;
};

struct dns_server {
    uv_udp_t h;
    const struct dns_row *rows; /* ends with a NULL name; unknown names: NXDOMAIN */
    unsigned n_queries;         /* A and AAAA each count */
    char addr[32];              /* for dns_options.servers */
    bool closed;
    char buf[1024];
};

void dns_server_open(struct dns_server *s, struct loop *l, const struct dns_row *rows);
void dns_server_close(struct dns_server *s); /* sets closed on a later turn */

#endif
