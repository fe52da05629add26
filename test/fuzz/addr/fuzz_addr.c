/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Addresses, CIDR blocks and the egress policy on any text: what parses prints back to something
 * that parses to the same address, and nothing that the policy must refuse gets through it.
 */
#include <arpa/inet.h>

#include "longline/addr.h"
#include "longline/check.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool same(const union addr *a, const union addr *b)
{
    if (a->sa.sa_family != b->sa.sa_family || addr_port(a) != addr_port(b)) {
        return false;
    }
    return a->sa.sa_family == AF_INET ? a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr
                                      : memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, 16) == 0;
}

/* A second, cruder statement of the policy. */
static bool surely_forbidden(const union addr *a)
{
    uint32_t v4 = 0;
    if (a->sa.sa_family == AF_INET) {
        v4 = ntohl(a->v4.sin_addr.s_addr);
    } else {
        const unsigned char *ip = a->v6.sin6_addr.s6_addr;
        if (!IN6_IS_ADDR_V4MAPPED(&a->v6.sin6_addr)) {
            const bool nat64 = ip[0] == 0 && ip[1] == 0x64;
            return !nat64 && (ip[0] & 0xe0) != 0x20;
        }
        v4 = (uint32_t)ip[12] << 24 | (uint32_t)ip[13] << 16 | (uint32_t)ip[14] << 8 | ip[15];
    }
    const uint32_t top = v4 >> 24;
    return top == 0 || top == 10 || top == 127 || top >= 224 || v4 >> 16 == 0xa9fe ||
           v4 >> 16 == 0xc0a8 || v4 >> 20 == 0xac1;
}

static void check_policy(const union addr *a)
{
    static const struct egress_policy strict = {.version = 1};
    const char *reason = NULL;
    if (egress_check(&strict, a, &reason) == 0) {
        LL_ASSERT(!surely_forbidden(a));
    } else {
        LL_ASSERT(reason != NULL);
    }
}

static void check_cidr(struct str s)
{
    struct cidr c;
    if (cidr_parse(&c, s) != 0) {
        return;
    }
    LL_ASSERT(c.bits <= 128);
    union addr a;
    struct str rest = s;
    struct str ip = STR_NULL;
    LL_ASSERT(str_split(&rest, '/', &ip));
    LL_ASSERT(addr_parse_ip(&a, ip, 0) == 0);
    if (a.sa.sa_family == AF_INET || !IN6_IS_ADDR_V4MAPPED(&a.v6.sin6_addr) || c.bits >= 96) {
        LL_ASSERT(cidr_contains(&c, &a));
    }
    struct egress_policy deny = {.allow_private = true, .allow_loopback = true};
    deny.deny = &c;
    deny.n_deny = 1;
    LL_ASSERT(!cidr_contains(&c, &a) || egress_check(&deny, &a, NULL) == ERR_BLOCKED);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct str s = str_of((const char *)data, size);
    union addr a;
    char text[ADDR_TEXT_MAX];
    if (addr_parse(&a, s) == 0) {
        union addr again;
        const size_t n = addr_format(text, &a);
        LL_ASSERT(addr_parse(&again, str_of(text, n)) == 0);
        LL_ASSERT(same(&a, &again));
        check_policy(&a);
    }
    if (addr_parse_ip(&a, s, 80) == 0) {
        union addr again;
        const size_t n = addr_format_ip(text, &a);
        LL_ASSERT(addr_parse_ip(&again, str_of(text, n), 80) == 0);
        LL_ASSERT(same(&a, &again));
        check_policy(&a);
    }
    check_cidr(s);
    const struct egress_policy strict = {.version = 1};
    const char *reason = NULL;
    const int rc = egress_check_host(&strict, s, &reason);
    LL_ASSERT((rc == 0) == (reason == NULL));
    return 0;
}
