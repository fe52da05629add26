/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Socket addresses, CIDR lists and the egress policy (SSRF protection). The policy judges the
 * address that is given to connect(2), nothing else, so DNS rebinding has no effect.
 * Ranges: IANA special-purpose registries (RFC 6890) plus cloud host addresses.
 */
#ifndef LL_ADDR_H
#define LL_ADDR_H

#include <netinet/in.h>
#include <stdbool.h>

#include "longline/err.h"
#include "longline/str.h"

union addr {
    struct sockaddr sa;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

#define ADDR_TEXT_MAX 64 /* "[v6]:port" */

/* "127.0.0.1:80", "[::1]:80"; strict inet_pton forms only. Port 0 is allowed. */
int addr_parse(union addr *out, struct str s) LL_MUST_USE;
/* An IP literal without port ("1.2.3.4", "::1", also "[::1]"). ERR_SYNTAX when it is not one. */
int addr_parse_ip(union addr *out, struct str host, uint16_t port) LL_MUST_USE;
size_t addr_format(char out[ADDR_TEXT_MAX], const union addr *a);    /* with port; terminated */
size_t addr_format_ip(char out[ADDR_TEXT_MAX], const union addr *a); /* without */
uint16_t addr_port(const union addr *a);
void addr_set_port(union addr *a, uint16_t port);
/* What limits per client go by: the IPv4 address, or the first 64 bits of an IPv6 one, all of which
 * a client has to itself. */
#define ADDR_PEER_KEY 16
void addr_peer_key(unsigned char out[ADDR_PEER_KEY], const union addr *a);

struct cidr {
    unsigned char ip[16]; /* v4 as v4-mapped */
    unsigned bits;        /* of 128 */
};
/* "10.0.0.0/8", "::1/128", or an IP. ERR_INVALID when bits after the prefix are set. */
int cidr_parse(struct cidr *out, struct str s) LL_MUST_USE;
bool cidr_contains(const struct cidr *c, const union addr *a);

/* What egress may reach. Immutable once in use; replace as a whole and bump `version`. */
struct egress_policy {
    bool allow_private;  /* RFC 1918, ULA, CGNAT */
    bool allow_loopback; /* 127/8, ::1 */
    bool allow_http;     /* plain http targets */
    struct cidr *allow;  /* these override every refusal except the own listen address */
    size_t n_allow;
    struct cidr *deny; /* in addition to the built-in list; wins over allow_private/loopback */
    size_t n_deny;
    union addr *own; /* own listen addresses: never connected to; a wildcard means all loopback */
    size_t n_own;
    unsigned version;
};

#define EGRESS_REASON_PORT "port"

/* 0 or ERR_BLOCKED; reason (may be NULL) gets a static word: "loopback", "private", "metadata" … */
int egress_check(const struct egress_policy *p, const union addr *a, const char **reason);
/* Check of a host name or IP literal at registration time, for a helpful early error: refuses
 * odd IPv4 spellings ("0x7f.1", "2130706433"), localhost, *.localhost, *.local, *.internal unless
 * loopback, private networks or some network of the allow list are open, and literals that
 * egress_check refuses. `host` is ASCII. */
int egress_check_host(const struct egress_policy *p, struct str host, const char **reason);
/* The same with the port, which may belong to another protocol: EGRESS_REASON_PORT. */
int egress_check_target(const struct egress_policy *p, struct str host, uint16_t port,
                        const char **reason);

#endif
