/* SPDX-License-Identifier: Apache-2.0 */
/* How many connections each client address has open. */
#include "longline/mem.h"
#include "server.h"

static struct str key_of(const void *item)
{
    const struct peer_count *pc = item;
    return str_of((const char *)pc->ip, sizeof(pc->ip));
}

void peer_table_init(struct http_server *s)
{
    map_init(&s->peers, key_of);
}

void peer_table_fini(struct http_server *s)
{
    map_fini(&s->peers);
}

static void ip_of(unsigned char out[16], const union addr *a)
{
    static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    if (a->sa.sa_family == AF_INET6) {
        memcpy(out, &a->v6.sin6_addr, 16);
    } else {
        memcpy(out, mapped, sizeof(mapped));
        memcpy(out + sizeof(mapped), &a->v4.sin_addr, 4);
    }
}

bool peer_table_enter(struct http_server *s, const union addr *peer, struct peer_count **out)
{
    const size_t limit = (size_t)s->cfg.max_connections_per_ip;
    unsigned char ip[16];
    struct peer_count *pc;

    *out = NULL;
    if (limit == 0) {
        return true;
    }
    ip_of(ip, peer);
    pc = map_get(&s->peers, str_of((const char *)ip, sizeof(ip)));
    if (pc == NULL) {
        pc = mem_zalloc(sizeof(*pc));
        memcpy(pc->ip, ip, sizeof(ip));
        (void)map_put(&s->peers, pc);
    } else if (pc->n >= limit) {
        return false;
    }
    pc->n++;
    *out = pc;
    return true;
}

void peer_table_leave(struct http_server *s, struct peer_count *pc)
{
    if (pc == NULL) {
        return;
    }
    pc->n--;
    if (pc->n == 0) {
        (void)map_del(&s->peers, key_of(pc));
        mem_free(pc);
    }
}
