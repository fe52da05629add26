/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sessions to resume: one per host and port, the newest, in memory only (tickets are secrets), in
 * least-recently-used order up to a maximum. A ticket is offered as often as connections are
 * opened; a server that wants each used once refuses and does a full handshake, which costs what
 * having no ticket costs.
 */
#include "longline/check.h"
#include "longline/map.h"
#include "longline/mem.h"
#include "tls_impl.h"

#define SESSION_MAX_BYTES (32u << 10)
#define KEEP_UNSTATED_MS  INT64_C(3600000) /* the server gave no lifetime */
#define KEEP_MAX_MS       INT64_C(86400000)

struct tls_sessions {
    struct map map;
    struct list lru; /* most recently used first */
    size_t max;
};

struct entry {
    struct list node;
    struct blob *session;
    int64_t expires_ms;
    struct str key; /* in text */
    char text[];
};

static struct str entry_key(const void *item)
{
    return ((const struct entry *)item)->key;
}

void tls_session_unref(struct blob *session)
{
    if (session != NULL && atomic_load(&session->refs) == 1) {
        mem_wipe(session->p, session->n);
    }
    blob_unref(session);
}

struct tls_sessions *tls_sessions_new(size_t max)
{
    struct tls_sessions *s = mem_zalloc(sizeof(*s));
    map_init(&s->map, entry_key);
    list_init(&s->lru);
    s->max = max;
    return s;
}

static void entry_free(struct tls_sessions *s, struct entry *e)
{
    (void)map_del(&s->map, e->key);
    list_del(&e->node);
    tls_session_unref(e->session);
    mem_free(e);
}

void tls_sessions_free(struct tls_sessions *s)
{
    while (!list_empty(&s->lru)) {
        entry_free(s, LIST_ENTRY(s->lru.next, struct entry, node));
    }
    map_fini(&s->map);
    mem_free(s);
}

struct blob *tls_sessions_get(struct tls_sessions *s, struct str key, int64_t now_ms)
{
    struct entry *e = map_get(&s->map, key);
    if (e == NULL) {
        return NULL;
    }
    if (e->expires_ms <= now_ms) {
        entry_free(s, e);
        return NULL;
    }
    list_del(&e->node);
    list_push_head(&s->lru, &e->node);
    return blob_ref(e->session);
}

void tls_sessions_put(struct tls_sessions *s, struct str key, struct blob *session,
                      int64_t expires_ms)
{
    struct entry *e = map_get(&s->map, key);
    if (e == NULL) {
        if (s->map.n >= s->max) {
            entry_free(s, LIST_ENTRY(s->lru.prev, struct entry, node));
        }
        LL_ASSERT(key.n < TLS_KEY_MAX);
        e = mem_zalloc(sizeof(*e) + key.n);
        memcpy(e->text, key.p, key.n);
        e->key = str_of(e->text, key.n);
        list_init(&e->node);
        (void)map_put(&s->map, e);
    }
    tls_session_unref(e->session);
    e->session = session;
    e->expires_ms = expires_ms;
    list_del(&e->node);
    list_push_head(&s->lru, &e->node);
}

void tls_sessions_drop(struct tls_sessions *s, struct str key)
{
    struct entry *e = map_get(&s->map, key);
    if (e != NULL) {
        entry_free(s, e);
    }
}

size_t tls_sessions_count(const struct tls_sessions *s)
{
    return s->map.n;
}

/* ---- serialised sessions ---- */

static struct blob *serialise(const mbedtls_ssl_session *session)
{
    size_t n = 0;
    (void)mbedtls_ssl_session_save(session, NULL, 0, &n);
    if (n == 0 || n > SESSION_MAX_BYTES) {
        return NULL;
    }
    struct blob *b = blob_new(n);
    if (b != NULL && mbedtls_ssl_session_save(session, b->p, b->n, &n) != 0) {
        tls_session_unref(b);
        b = NULL;
    }
    return b;
}

struct blob *tls_session_save(const mbedtls_ssl_context *ssl, int64_t *keep_ms)
{
    mbedtls_ssl_session session;
    mbedtls_ssl_session_init(&session);
    struct blob *b = NULL;
    if (mbedtls_ssl_get_session(ssl, &session) == 0) {
        /* There is no public way to ask for these two. */
        const bool ticket = session.MBEDTLS_PRIVATE(ticket_len) != 0;
        const int64_t lifetime_s = session.MBEDTLS_PRIVATE(ticket_lifetime);
        if (ticket || mbedtls_ssl_session_get_id_len(&session) != 0) {
            b = serialise(&session);
        }
        *keep_ms = ticket && lifetime_s != 0 ? lifetime_s * 1000 : KEEP_UNSTATED_MS;
        *keep_ms = *keep_ms < KEEP_MAX_MS ? *keep_ms : KEEP_MAX_MS;
    }
    mbedtls_ssl_session_free(&session);
    return b;
}
