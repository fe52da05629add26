/* SPDX-License-Identifier: Apache-2.0 */
#include "tls_gate.h"

#include "longline/check.h"
#include "longline/mem.h"

/* Exists while it has a place. */
struct tls_gate_peer {
    unsigned char key[ADDR_PEER_KEY];
    size_t n;
};

static struct str peer_key(const void *item)
{
    const struct tls_gate_peer *p = item;
    return str_of((const char *)p->key, sizeof(p->key));
}

void tls_gate_init(struct tls_gate *g, size_t max, size_t max_per_peer)
{
    *g = (struct tls_gate){.max = max, .max_per_peer = max_per_peer};
    map_init(&g->peers, peer_key);
    list_init(&g->waiting);
}

void tls_gate_fini(struct tls_gate *g)
{
    LL_ASSERT(g->n == 0 && list_empty(&g->waiting));
    map_fini(&g->peers);
}

static struct tls_gate_peer *find(const struct tls_gate *g, const unsigned char key[ADDR_PEER_KEY])
{
    return map_get(&g->peers, str_of((const char *)key, ADDR_PEER_KEY));
}

enum tls_verdict tls_gate_judge(const struct tls_gate *g, const unsigned char peer[ADDR_PEER_KEY])
{
    const struct tls_gate_peer *p = find(g, peer);
    if (p != NULL && p->n >= g->max_per_peer) {
        return TLS_FULL_FOR_PEER;
    }
    return g->n >= g->max ? TLS_FULL : TLS_ADMIT;
}

void tls_gate_enter(struct tls_gate *g, struct tls_place *place,
                    const unsigned char peer[ADDR_PEER_KEY])
{
    struct tls_gate_peer *p = find(g, peer);
    if (p == NULL) {
        p = mem_zalloc(sizeof(*p));
        memcpy(p->key, peer, sizeof(p->key));
        (void)map_put(&g->peers, p);
    }
    p->n++;
    g->n++;
    place->peer = p;
    list_init(&place->node);
    tls_gate_waits(g, place);
}

void tls_gate_leave(struct tls_gate *g, struct tls_place *place)
{
    struct tls_gate_peer *p = place->peer;
    if (p == NULL) {
        return;
    }
    place->peer = NULL;
    list_del(&place->node);
    g->n--;
    if (--p->n == 0) {
        (void)map_del(&g->peers, peer_key(p));
        mem_free(p);
    }
}

void tls_gate_waits(struct tls_gate *g, struct tls_place *place)
{
    list_push_tail(&g->waiting, &place->node);
}

void tls_gate_works(struct tls_place *place)
{
    list_del(&place->node);
}

struct tls_place *tls_gate_oldest(const struct tls_gate *g)
{
    return list_empty(&g->waiting) ? NULL : LIST_ENTRY(g->waiting.next, struct tls_place, node);
}
