/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One mbedtls context, its input and its output. It knows neither sockets nor threads: whoever owns
 * the connection fills `in`, calls, and sends what `out` has gathered.
 */
#include <limits.h>

#include "longline/check.h"
#include "longline/mem.h"
#include "tls_impl.h"

/* A result that asks to be called again although there is input must not become an endless loop. */
#define MAX_IDLE_CALLS 64

struct tls_conn *tls_conn_new(void)
{
    struct tls_conn *c = mem_zalloc(sizeof(*c));
    mbedtls_ssl_init(&c->ssl);
    list_init(&c->node);
    c->reads = UINT_MAX; /* for the handshake, which is not on the loop */
    buf_init(&c->hs_in, TLS_HS_MAX);
    buf_init(&c->hs_out, TLS_HS_MAX);
    atomic_init(&c->taken_ns, 0);
    return c;
}

void tls_conn_free(struct tls_conn *c)
{
    if (c == NULL) {
        return;
    }
    mbedtls_ssl_free(&c->ssl);
    tls_identity_unref(c->identity); /* ssl referred to it */
    buf_fini(&c->hs_in);
    buf_fini(&c->hs_out);
    tls_session_unref(c->offer);
    tls_session_unref(c->session);
    mem_free(c);
}

static int bio_send(void *ctx, const unsigned char *p, size_t n)
{
    struct tls_conn *c = ctx;
    if (buf_add(c->out, p, n) != 0) {
        return MBEDTLS_ERR_SSL_ALLOC_FAILED;
    }
    return (int)n; /* a record at most */
}

static int bio_recv(void *ctx, unsigned char *p, size_t n)
{
    struct tls_conn *c = ctx;
    if (c->in.n == 0) {
        c->starved = true;
        return c->in_eof ? 0 : MBEDTLS_ERR_SSL_WANT_READ;
    }
    if (c->reads == 0) {
        c->paused = true;
        return MBEDTLS_ERR_SSL_WANT_READ;
    }
    c->reads--;
    const size_t take = n < c->in.n ? n : c->in.n;
    memcpy(p, c->in.p, take);
    c->in.p += take;
    c->in.n -= take;
    return (int)take;
}

/* As mbedtls_ssl_handshake, except that a chain is verified between the step that reads it and the
 * next one. A handshake takes one state per step, so none passes that state unseen; one that does
 * not come there at all resumes a session whose chain was verified. */
static int client_handshake(struct tls_conn *c)
{
    while (!mbedtls_ssl_is_handshake_over(&c->ssl)) {
        if (c->ssl.MBEDTLS_PRIVATE(state) == MBEDTLS_SSL_SERVER_CERTIFICATE) {
            c->cert_due = true;
        }
        const int rc = mbedtls_ssl_handshake_step(&c->ssl);
        if (c->cert_due && !c->cert_seen &&
            c->ssl.MBEDTLS_PRIVATE(state) != MBEDTLS_SSL_SERVER_CERTIFICATE) {
            tls_conn_verify(c);
        }
        if (rc != 0 || c->err.code != 0) {
            return rc;
        }
    }
    if (!c->cert_seen && (c->cert_due || !c->offered)) {
        (void)err_set(&c->err, ERR_TLS, 0, "no certificate was sent");
    }
    return 0;
}

static void handshake(struct tls_conn *c)
{
    for (int i = 0; i < MAX_IDLE_CALLS; i++) {
        c->starved = false;
        const int rc = c->ca != NULL ? client_handshake(c) : mbedtls_ssl_handshake(&c->ssl);
        if (c->err.code != 0) {
            return;
        }
        if (rc == 0) {
            c->handshaken = true;
            return;
        }
        if (rc == MBEDTLS_ERR_SSL_WANT_READ && c->starved) {
            return;
        }
        if (rc != MBEDTLS_ERR_SSL_WANT_READ && rc != MBEDTLS_ERR_SSL_WANT_WRITE &&
            rc != MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET) {
            (void)err_from_tls(rc, &c->err);
            return;
        }
    }
    (void)err_set(&c->err, ERR_TLS, 0, "TLS handshake makes no progress");
}

/* ---- steps ---- */

static void offer_session(struct tls_conn *c)
{
    mbedtls_ssl_session session;
    mbedtls_ssl_session_init(&session);
    /* A session that does not load costs a full handshake, nothing else. */
    if (mbedtls_ssl_session_load(&session, c->offer->p, c->offer->n) == 0) {
        c->offered = mbedtls_ssl_set_session(&c->ssl, &session) == 0;
    }
    mbedtls_ssl_session_free(&session);
}

static void set_up(struct tls_conn *c)
{
    const bool is_client = c->ca != NULL;
    c->set_up = true;
    int rc = mbedtls_ssl_setup(&c->ssl, c->conf);
    if (rc == 0 && is_client) {
        rc = mbedtls_ssl_set_hostname(&c->ssl, c->ip.sa.sa_family == AF_UNSPEC ? c->host : NULL);
    }
    if (rc != 0) {
        (void)err_from_tls(rc, &c->err);
        return;
    }
    mbedtls_ssl_set_bio(&c->ssl, c, bio_send, bio_recv, NULL);
    if (c->offer != NULL) {
        offer_session(c);
    }
}

void tls_conn_step(struct tls_conn *c)
{
    c->in = buf_str(&c->hs_in);
    c->out = &c->hs_out;
    if (!c->set_up) {
        set_up(c);
    }
    if (c->err.code == 0) {
        handshake(c);
    }
    buf_consume(&c->hs_in, c->hs_in.n - c->in.n);
    c->in = STR_NULL;
    /* A client keeps its ticket, which TLS 1.2 brings in the handshake; TLS 1.3 sends it later, as
     * data. */
    if (c->ca != NULL && c->handshaken &&
        mbedtls_ssl_get_version_number(&c->ssl) == MBEDTLS_SSL_VERSION_TLS1_2) {
        c->session = tls_session_save(&c->ssl, &c->session_ms);
    }
}
