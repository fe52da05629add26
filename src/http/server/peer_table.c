/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How many connections each client has open. A few above the limit are told so; further ones are
 * closed without a word, because also a connection that is told so stays for a moment.
 */
#include "longline/mem.h"
#include "server.h"

/* A server that takes only a few connections lets any client have them. */
#define SHARE_MIN         64
#define OVERFLOW_PER_PEER 8

static struct str key_of(const void *item)
{
    const struct peer_count *pc = item;
    return str_of((const char *)pc->key, sizeof(pc->key));
}

void peer_table_init(struct http_server *s)
{
    map_init(&s->peers, key_of);
}

void peer_table_fini(struct http_server *s)
{
    map_fini(&s->peers);
}

static size_t limit_of(const struct http_server *s)
{
    const size_t share = (size_t)s->cfg.max_connections / 2;
    if (s->cfg.max_connections_per_ip != 0) {
        return (size_t)s->cfg.max_connections_per_ip;
    }
    return share > SHARE_MIN ? share : SHARE_MIN;
}

enum peer_verdict peer_table_enter(struct http_server *s, const union addr *peer,
                                   struct peer_count **out)
{
    const size_t limit = limit_of(s);
    unsigned char key[ADDR_PEER_KEY];
    struct peer_count *pc;

    *out = NULL;
    addr_peer_key(key, peer);
    pc = map_get(&s->peers, str_of((const char *)key, sizeof(key)));
    if (pc == NULL) {
        pc = mem_zalloc(sizeof(*pc));
        memcpy(pc->key, key, sizeof(key));
        (void)map_put(&s->peers, pc);
    } else if (pc->n >= limit + OVERFLOW_PER_PEER) {
        return PEER_CUT;
    }
    pc->n++;
    *out = pc;
    return pc->n <= limit ? PEER_WELCOME : PEER_TOLD;
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
