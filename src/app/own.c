/* SPDX-License-Identifier: Apache-2.0 */
#include "own.h"

#include <ifaddrs.h>
#include <string.h>

#include "longline/log.h"
#include "longline/mem.h"

bool own_is_wildcard(const union addr *bound)
{
    if (bound->sa.sa_family == AF_INET) {
        return bound->v4.sin_addr.s_addr == htonl(INADDR_ANY);
    }
    return IN6_IS_ADDR_UNSPECIFIED(&bound->v6.sin6_addr) != 0;
}

static bool take(union addr *out, const struct sockaddr *from, uint16_t port)
{
    memset(out, 0, sizeof(*out)); /* all of it is compared */
    if (from == NULL) {
        return false;
    }
    if (from->sa_family == AF_INET) {
        memcpy(&out->v4, from, sizeof(out->v4));
    } else if (from->sa_family == AF_INET6) {
        memcpy(&out->v6, from, sizeof(out->v6));
    } else {
        return false;
    }
    addr_set_port(out, port);
    return true;
}

static size_t count(const struct ifaddrs *list)
{
    size_t n = 0;
    for (; list != NULL; list = list->ifa_next) {
        n++;
    }
    return n < OWN_MAX ? n : OWN_MAX;
}

bool own_set(struct own_addresses *own, const union addr *bound, const struct ifaddrs *list)
{
    const size_t room = own_is_wildcard(bound) ? count(list) : 0;
    struct own_addresses now = {.v = mem_array(1 + room, sizeof(*now.v))};
    now.v[now.n++] = *bound;
    for (const struct ifaddrs *i = list; i != NULL && now.n < 1 + room; i = i->ifa_next) {
        if (take(&now.v[now.n], i->ifa_addr, addr_port(bound))) {
            now.n++;
        }
    }
    if (now.n == own->n && memcmp(now.v, own->v, now.n * sizeof(*now.v)) == 0) {
        mem_free(now.v);
        return false;
    }
    own_fini(own);
    *own = now;
    return true;
}

bool own_look(struct own_addresses *own, const union addr *bound)
{
    struct ifaddrs *list = NULL;
    if (own_is_wildcard(bound) && getifaddrs(&list) != 0) {
        log_warn("egress.own_addresses", LOG_CSTR("why", "they cannot be read"));
        return own->n == 0 && own_set(own, bound, NULL);
    }
    const bool changed = own_set(own, bound, list);
    freeifaddrs(list);
    return changed;
}

void own_fini(struct own_addresses *own)
{
    mem_free(own->v);
    *own = (struct own_addresses){0};
}
