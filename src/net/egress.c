/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What deliveries may reach. The first matching row of the table decides the class of an address;
 * an IPv6 address without a row is refused unless it is global unicast (2000::/3), so ranges that
 * will be given out tomorrow are closed today.
 *
 * Addresses that carry an IPv4 address are judged by it: v4-mapped, and the well-known NAT64 prefix
 * 64:ff9b::/96, without which hosts that only have IPv6 could not send to IPv4 at all.
 */
#include "addr_impl.h"

#include "longline/check.h"

enum ip_class { IP_PUBLIC, IP_LOOPBACK, IP_PRIVATE, IP_NEVER };

struct ip_row {
    unsigned char ip[16];
    unsigned bits;
    enum ip_class class;
    const char *reason;
};

/* clang-format off */
#define V4(a, b, c, d, n, class, reason)                                                           \
    {{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, (a), (b), (c), (d)}, 96 + (n), class, reason}
#define H(w) ((w) >> 8) & 0xff, (w) & 0xff
#define V6(a, b, c, d, last, n, class, reason)                                                     \
    {{H(a), H(b), H(c), H(d), 0, 0, 0, 0, 0, 0, H(last)}, (n), class, reason}

static const struct ip_row table[] = {
    /* Cloud metadata and host agents: single addresses that no option for whole networks opens. */
    V4(169, 254, 169, 254, 32, IP_NEVER, "metadata"),
    V4(169, 254, 170, 2, 32, IP_NEVER, "metadata"),
    V4(169, 254, 170, 23, 32, IP_NEVER, "metadata"),
    V4(169, 254, 42, 42, 32, IP_NEVER, "metadata"),
    V4(100, 100, 100, 200, 32, IP_NEVER, "metadata"),
    V4(192, 0, 0, 192, 32, IP_NEVER, "metadata"),
    V4(168, 63, 129, 16, 32, IP_NEVER, "metadata"),
    V6(0xfd00, 0x0ec2, 0, 0, 0x0254, 128, IP_NEVER, "metadata"),
    V6(0xfd00, 0x0ec2, 0, 0, 0x0023, 128, IP_NEVER, "metadata"),
    V6(0xfd20, 0x00ce, 0, 0, 0x0254, 128, IP_NEVER, "metadata"),
    V6(0xfd00, 0x0042, 0, 0, 0x0042, 128, IP_NEVER, "metadata"),

    V4(0, 0, 0, 0, 8, IP_NEVER, "unspecified"),
    V4(10, 0, 0, 0, 8, IP_PRIVATE, "private"),
    V4(100, 64, 0, 0, 10, IP_PRIVATE, "private"),
    V4(127, 0, 0, 0, 8, IP_LOOPBACK, "loopback"),
    V4(169, 254, 0, 0, 16, IP_NEVER, "link-local"),
    V4(172, 16, 0, 0, 12, IP_PRIVATE, "private"),
    V4(192, 0, 0, 0, 24, IP_NEVER, "reserved"),
    V4(192, 0, 2, 0, 24, IP_NEVER, "documentation"),
    V4(192, 31, 196, 0, 24, IP_NEVER, "reserved"),
    V4(192, 52, 193, 0, 24, IP_NEVER, "reserved"),
    V4(192, 88, 99, 0, 24, IP_NEVER, "6to4"),
    V4(192, 168, 0, 0, 16, IP_PRIVATE, "private"),
    V4(192, 175, 48, 0, 24, IP_NEVER, "reserved"),
    V4(198, 18, 0, 0, 15, IP_NEVER, "benchmarking"),
    V4(198, 51, 100, 0, 24, IP_NEVER, "documentation"),
    V4(203, 0, 113, 0, 24, IP_NEVER, "documentation"),
    V4(224, 0, 0, 0, 4, IP_NEVER, "multicast"),
    V4(255, 255, 255, 255, 32, IP_NEVER, "broadcast"),
    V4(240, 0, 0, 0, 4, IP_NEVER, "reserved"),
    V4(0, 0, 0, 0, 0, IP_PUBLIC, "public"),

    V6(0, 0, 0, 0, 0, 128, IP_NEVER, "unspecified"),
    V6(0, 0, 0, 0, 1, 128, IP_LOOPBACK, "loopback"),
    V6(0, 0, 0, 0, 0, 8, IP_NEVER, "reserved"), /* v4-compatible, v4-translated, NAT64 but /96 */
    V6(0x0100, 0, 0, 0, 0, 64, IP_NEVER, "discard"),
    V6(0x0100, 0, 0, 1, 0, 64, IP_NEVER, "reserved"),
    V6(0x2001, 0, 0, 0, 0, 32, IP_NEVER, "teredo"),
    V6(0x2001, 0, 0, 0, 0, 23, IP_NEVER, "reserved"),
    V6(0x2001, 0x0db8, 0, 0, 0, 32, IP_NEVER, "documentation"),
    V6(0x2002, 0, 0, 0, 0, 16, IP_NEVER, "6to4"),
    V6(0x2620, 0x004f, 0x8000, 0, 0, 48, IP_NEVER, "reserved"),
    V6(0x3fff, 0, 0, 0, 0, 20, IP_NEVER, "documentation"),
    V6(0x5f00, 0, 0, 0, 0, 16, IP_NEVER, "reserved"),
    V6(0xfc00, 0, 0, 0, 0, 7, IP_PRIVATE, "private"),
    V6(0xfe80, 0, 0, 0, 0, 10, IP_NEVER, "link-local"),
    V6(0xfec0, 0, 0, 0, 0, 10, IP_NEVER, "site-local"),
    V6(0xff00, 0, 0, 0, 0, 8, IP_NEVER, "multicast"),
    V6(0x2000, 0, 0, 0, 0, 3, IP_PUBLIC, "public"),
    V6(0, 0, 0, 0, 0, 0, IP_NEVER, "not global"),
};
/* clang-format on */

/* The address that decides: the IPv4 address inside one of the NAT64 prefix, else `ip` itself. */
static void judged_ip(const unsigned char ip[16], unsigned char out[16])
{
    static const unsigned char nat64[12] = {0x00, 0x64, 0xff, 0x9b};
    memcpy(out, ip, 16);
    if (memcmp(ip, nat64, sizeof(nat64)) == 0) {
        memset(out, 0, 10);
        out[10] = 0xff;
        out[11] = 0xff;
    }
}

static const struct ip_row *classify(const unsigned char ip[16])
{
    const size_t last = sizeof(table) / sizeof(table[0]) - 1;
    for (size_t i = 0; i < last; i++) {
        if (ip16_in(ip, table[i].ip, table[i].bits)) {
            return &table[i];
        }
    }
    return &table[last];
}

static bool in_list(const struct cidr *list, size_t n, const unsigned char ip[16])
{
    for (size_t i = 0; i < n; i++) {
        if (cidr_has_ip16(&list[i], ip)) {
            return true;
        }
    }
    return false;
}

static bool is_wildcard(const unsigned char ip[16])
{
    static const unsigned char zero[16] = {0};
    static const unsigned char v4_any[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    return memcmp(ip, zero, 16) == 0 || memcmp(ip, v4_any, 16) == 0;
}

/* A listener on a wildcard address is reached through any loopback address. */
static bool is_own(const struct egress_policy *p, const union addr *a, const unsigned char ip[16],
                   enum ip_class class)
{
    const uint16_t port = addr_port(a);
    for (size_t i = 0; i < p->n_own && port != 0; i++) {
        unsigned char own[16];
        if (addr_port(&p->own[i]) != port || !addr_ip16(&p->own[i], own)) {
            continue;
        }
        if (memcmp(own, ip, 16) == 0 || (is_wildcard(own) && class == IP_LOOPBACK)) {
            return true;
        }
    }
    return false;
}

static int blocked(const char **reason, const char *word)
{
    if (reason != NULL) {
        *reason = word;
    }
    return ERR_BLOCKED;
}

/* Ports of other protocols, which an HTTP request could be made to speak: the "bad ports" of the
 * Fetch standard, and two databases that act on lines of text. In ascending order. */
static const uint16_t bad_ports[] = {
    1,    7,    9,    11,   13,   15,   17,   19,   20,   21,   22,   23,   25,    37,
    42,   43,   53,   69,   77,   79,   87,   95,   101,  102,  103,  104,  109,   110,
    111,  113,  115,  117,  119,  123,  135,  137,  139,  143,  161,  179,  389,   427,
    465,  512,  513,  514,  515,  526,  530,  531,  532,  540,  548,  554,  556,   563,
    587,  601,  636,  989,  990,  993,  995,  1719, 1720, 1723, 2049, 3659, 4045,  4190,
    5060, 5061, 6000, 6379, 6566, 6665, 6666, 6667, 6668, 6669, 6679, 6697, 10080, 11211};

static bool is_bad_port(uint16_t port)
{
    for (size_t i = 0; i < LL_COUNT(bad_ports) && bad_ports[i] <= port; i++) {
        if (bad_ports[i] == port) {
            return true;
        }
    }
    return false;
}

int egress_check(const struct egress_policy *p, const union addr *a, const char **reason)
{
    unsigned char ip[16];
    if (!addr_ip16(a, ip)) {
        return blocked(reason, "not an IP address");
    }
    unsigned char judged[16];
    judged_ip(ip, judged);
    const struct ip_row *row = classify(judged);
    if (is_own(p, a, ip, row->class)) {
        return blocked(reason, "own address");
    }
    if (in_list(p->allow, p->n_allow, ip) || in_list(p->allow, p->n_allow, judged)) {
        return 0;
    }
    if (row->class != IP_LOOPBACK && is_bad_port(addr_port(a))) {
        return blocked(reason, EGRESS_REASON_PORT); /* loopback is for development, on any port */
    }
    if (in_list(p->deny, p->n_deny, ip) || in_list(p->deny, p->n_deny, judged)) {
        return blocked(reason, "denied");
    }
    if (row->class == IP_PUBLIC || (row->class == IP_LOOPBACK && p->allow_loopback) ||
        (row->class == IP_PRIVATE && p->allow_private)) {
        return 0;
    }
    return blocked(reason, row->reason);
}

/* ---- names ---- */

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_hex(char c)
{
    return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

/* True when resolvers may take the name for an IPv4 address: its last label is a number. */
static bool ends_in_number(struct str host)
{
    size_t start = host.n;
    while (start > 0 && host.p[start - 1] != '.') {
        start--;
    }
    const struct str label = str_of(host.p + start, host.n - start);
    if (label.n == 0) {
        return false;
    }
    const bool hex = label.n >= 2 && label.p[0] == '0' && (label.p[1] == 'x' || label.p[1] == 'X');
    for (size_t i = hex ? 2 : 0; i < label.n; i++) {
        if (hex ? !is_hex(label.p[i]) : !is_digit(label.p[i])) {
            return false;
        }
    }
    return true;
}

/* `host` is `domain` or ends in "." and domain. */
static bool in_domain(struct str host, struct str domain)
{
    if (host.n < domain.n || !str_eq_ci(str_of(host.p + (host.n - domain.n), domain.n), domain)) {
        return false;
    }
    return host.n == domain.n || host.p[host.n - domain.n - 1] == '.';
}

static bool allows(const struct egress_policy *p, const char *ip)
{
    union addr a;
    return addr_parse_ip(&a, str_c(ip), 0) == 0 && egress_check(p, &a, NULL) == 0;
}

/* Names that lead inside wherever they are looked up: refused unless something inside is allowed,
 * and then the address that they have at an attempt decides. NULL: no such name. */
static const char *inside(const struct egress_policy *p, struct str host)
{
    if (in_domain(host, STR("metadata.google.internal"))) {
        return allows(p, "169.254.169.254") ? NULL : "metadata";
    }
    if (in_domain(host, STR("localhost"))) {
        return allows(p, "127.0.0.1") || allows(p, "::1") ? NULL : "loopback";
    }
    if (in_domain(host, STR("local")) || in_domain(host, STR("internal"))) {
        return p->allow_private || p->n_allow != 0 ? NULL : "private";
    }
    return NULL;
}

int egress_check_host(const struct egress_policy *p, struct str host, const char **reason)
{
    union addr a;
    if (addr_parse_ip(&a, host, 0) == 0) {
        return egress_check(p, &a, reason);
    }
    if (host.n > 1 && host.p[host.n - 1] == '.') {
        host.n--;
    }
    if (host.n == 0 || str_find(host, ':') != host.n || str_find(host, '[') != host.n) {
        return blocked(reason, "not a host name");
    }
    if (ends_in_number(host)) {
        return blocked(reason, "odd IPv4 spelling");
    }
    const char *const why = inside(p, host);
    return why != NULL ? blocked(reason, why) : 0;
}

int egress_check_target(const struct egress_policy *p, struct str host, uint16_t port,
                        const char **reason)
{
    union addr a;
    const int rc = egress_check_host(p, host, reason);
    if (rc != 0 || !is_bad_port(port)) {
        return rc;
    }
    if (addr_parse_ip(&a, host, port) == 0) {
        return egress_check(p, &a, reason);
    }
    /* A name may lead where every port is open: its attempts will tell. */
    if (p->n_allow != 0 || p->allow_loopback) {
        return 0;
    }
    return blocked(reason, EGRESS_REASON_PORT);
}
