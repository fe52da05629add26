/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Socket addresses and CIDR blocks. Only the forms that inet_pton takes are addresses; the odd
 * spellings of the BSD tools ("127.1", "0x7f.1") are not, and neither are zone ids.
 */
#include "addr_impl.h"

#include <arpa/inet.h>
#include <stdio.h>

#define IP_TEXT_MAX 46

static const unsigned char v4_mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

int addr_parse_ip(union addr *out, struct str host, uint16_t port)
{
    struct str s = host;
    const bool bracketed = s.n >= 2 && s.p[0] == '[' && s.p[s.n - 1] == ']';
    if (bracketed) {
        s = str_of(s.p + 1, s.n - 2);
    }
    char text[IP_TEXT_MAX];
    if (s.n == 0 || s.n >= sizeof(text) || memchr(s.p, '\0', s.n) != NULL) {
        return ERR_SYNTAX;
    }
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    memset(out, 0, sizeof(*out));
    if (!bracketed && inet_pton(AF_INET, text, &out->v4.sin_addr) == 1) {
        out->v4.sin_family = AF_INET;
        out->v4.sin_port = htons(port);
        return 0;
    }
    if (inet_pton(AF_INET6, text, &out->v6.sin6_addr) == 1) {
        out->v6.sin6_family = AF_INET6;
        out->v6.sin6_port = htons(port);
        return 0;
    }
    return ERR_SYNTAX;
}

int addr_parse(union addr *out, struct str s)
{
    size_t colon = s.n;
    while (colon > 0 && s.p[colon - 1] != ':') {
        colon--;
    }
    if (colon < 2) {
        return ERR_SYNTAX;
    }
    const struct str host = str_of(s.p, colon - 1);
    const struct str digits = str_of(s.p + colon, s.n - colon);
    /* An IPv6 address without brackets cannot be told from one with a port. */
    if (host.p[0] != '[' && str_find(host, ':') != host.n) {
        return ERR_SYNTAX;
    }
    uint64_t port = 0;
    if (digits.n == 0 || digits.n > 5 || str_to_u64(digits, &port) != 0 || port > UINT16_MAX) {
        return ERR_SYNTAX;
    }
    return addr_parse_ip(out, host, (uint16_t)port);
}

size_t addr_format_ip(char out[ADDR_TEXT_MAX], const union addr *a)
{
    const char *text = NULL;
    if (a->sa.sa_family == AF_INET) {
        text = inet_ntop(AF_INET, &a->v4.sin_addr, out, ADDR_TEXT_MAX);
    } else if (a->sa.sa_family == AF_INET6) {
        text = inet_ntop(AF_INET6, &a->v6.sin6_addr, out, ADDR_TEXT_MAX);
    }
    if (text == NULL) {
        out[0] = '-';
        out[1] = '\0';
    }
    return strlen(out);
}

size_t addr_format(char out[ADDR_TEXT_MAX], const union addr *a)
{
    char ip[ADDR_TEXT_MAX];
    (void)addr_format_ip(ip, a);
    const unsigned port = addr_port(a);
    if (a->sa.sa_family == AF_INET6) {
        (void)snprintf(out, ADDR_TEXT_MAX, "[%.45s]:%u", ip, port);
    } else {
        (void)snprintf(out, ADDR_TEXT_MAX, "%.45s:%u", ip, port);
    }
    return strlen(out);
}

uint16_t addr_port(const union addr *a)
{
    if (a->sa.sa_family == AF_INET) {
        return ntohs(a->v4.sin_port);
    }
    return a->sa.sa_family == AF_INET6 ? ntohs(a->v6.sin6_port) : 0;
}

void addr_set_port(union addr *a, uint16_t port)
{
    if (a->sa.sa_family == AF_INET) {
        a->v4.sin_port = htons(port);
    } else if (a->sa.sa_family == AF_INET6) {
        a->v6.sin6_port = htons(port);
    }
}

/* ---- blocks ---- */

bool addr_ip16(const union addr *a, unsigned char out[16])
{
    if (a->sa.sa_family == AF_INET) {
        memcpy(out, v4_mapped, sizeof(v4_mapped));
        memcpy(out + sizeof(v4_mapped), &a->v4.sin_addr, 4);
        return true;
    }
    if (a->sa.sa_family == AF_INET6) {
        memcpy(out, &a->v6.sin6_addr, 16);
        return true;
    }
    return false;
}

void addr_peer_key(unsigned char out[ADDR_PEER_KEY], const union addr *a)
{
    memset(out, 0, ADDR_PEER_KEY);
    if (addr_ip16(a, out) && memcmp(out, v4_mapped, sizeof(v4_mapped)) != 0) {
        memset(out + 8, 0, 8);
    }
}

static bool ip16_is_v4(const unsigned char ip[16])
{
    return memcmp(ip, v4_mapped, sizeof(v4_mapped)) == 0;
}

bool ip16_in(const unsigned char ip[16], const unsigned char net[16], unsigned bits)
{
    const size_t whole = bits / 8;
    if (memcmp(ip, net, whole) != 0) {
        return false;
    }
    const unsigned rest = bits % 8;
    if (rest == 0) {
        return true;
    }
    const unsigned mask = (0xff00u >> rest) & 0xffu;
    return (ip[whole] & mask) == (net[whole] & mask);
}

/* True when every bit after the first `bits` is zero. */
static bool host_bits_clear(const unsigned char ip[16], unsigned bits)
{
    for (unsigned i = bits; i < 128; i++) {
        if ((ip[i / 8] & (0x80u >> (i % 8))) != 0) {
            return false;
        }
    }
    return true;
}

int cidr_parse(struct cidr *out, struct str s)
{
    struct str rest = s;
    struct str ip = STR_NULL;
    if (!str_split(&rest, '/', &ip)) {
        return ERR_SYNTAX;
    }
    union addr a;
    const int rc = addr_parse_ip(&a, ip, 0);
    if (rc != 0) {
        return rc;
    }
    const bool v4 = a.sa.sa_family == AF_INET;
    const uint64_t max = v4 ? 32 : 128;
    uint64_t bits = max;
    if (rest.p != NULL) {
        if (rest.n == 0 || rest.n > 3 || str_to_u64(rest, &bits) != 0) {
            return ERR_SYNTAX;
        }
        if (bits > max) {
            return ERR_RANGE;
        }
    }
    struct cidr c = {.bits = (unsigned)(v4 ? bits + 96 : bits)};
    (void)addr_ip16(&a, c.ip);
    /* "10.0.0.1/8" is more often a slip than a way to write 10.0.0.0/8. */
    if (!host_bits_clear(c.ip, c.bits)) {
        return ERR_INVALID;
    }
    *out = c;
    return 0;
}

bool cidr_has_ip16(const struct cidr *c, const unsigned char ip[16])
{
    /* "::/0" means all of IPv6 and nothing of IPv4, though IPv4 is stored inside ::/0. */
    if (ip16_is_v4(ip) && c->bits < 96) {
        return false;
    }
    return ip16_in(ip, c->ip, c->bits);
}

bool cidr_contains(const struct cidr *c, const union addr *a)
{
    unsigned char ip[16];
    return addr_ip16(a, ip) && cidr_has_ip16(c, ip);
}
