/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One mbedtls context, its input and its output. It knows neither sockets nor threads: whoever owns
 * the connection fills `in`, calls, and sends what `out` has gathered.
 */
#include <mbedtls/error.h>
#include <mbedtls/x509_crt.h>

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
    buf_init(&c->hs_in, TLS_HS_MAX);
    buf_init(&c->hs_out, TLS_HS_MAX);
    atomic_init(&c->abandoned, false);
    return c;
}

void tls_conn_free(struct tls_conn *c)
{
    if (c == NULL) {
        return;
    }
    mbedtls_ssl_free(&c->ssl);
    buf_fini(&c->hs_in);
    buf_fini(&c->hs_out);
    tls_session_unref(c->offer);
    tls_session_unref(c->session);
    mem_free(c);
}

int tls_bio_send(void *ctx, const unsigned char *p, size_t n)
{
    struct tls_conn *c = ctx;
    if (buf_add(c->out, p, n) != 0) {
        return MBEDTLS_ERR_SSL_ALLOC_FAILED;
    }
    return (int)n; /* a record at most */
}

int tls_bio_recv(void *ctx, unsigned char *p, size_t n)
{
    struct tls_conn *c = ctx;
    if (c->in.n == 0) {
        c->starved = true;
        return c->in_eof ? 0 : MBEDTLS_ERR_SSL_WANT_READ;
    }
    const size_t take = n < c->in.n ? n : c->in.n;
    memcpy(p, c->in.p, take);
    c->in.p += take;
    c->in.n -= take;
    return (int)take;
}

void tls_conn_handshake(struct tls_conn *c)
{
    for (int i = 0; i < MAX_IDLE_CALLS; i++) {
        c->starved = false;
        const int rc = mbedtls_ssl_handshake(&c->ssl);
        if (rc == 0) {
            c->handshaken = true;
            return;
        }
        if (rc == MBEDTLS_ERR_SSL_WANT_READ && c->starved) {
            return;
        }
        if (rc != MBEDTLS_ERR_SSL_WANT_READ && rc != MBEDTLS_ERR_SSL_WANT_WRITE &&
            rc != MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET) {
            (void)err_from_tls(rc, &c->ssl, &c->err);
            return;
        }
    }
    (void)err_set(&c->err, ERR_TLS, 0, "TLS handshake makes no progress");
}

/* ---- clients ---- */

/* mbedtls would send an IP literal as SNI, which RFC 6066 forbids, so for those it is given no name
 * and the address is compared here. */
static bool cert_has_ip(const mbedtls_x509_crt *crt, const union addr *ip)
{
    const bool v4 = ip->sa.sa_family == AF_INET;
    const void *const bytes = v4 ? (const void *)&ip->v4.sin_addr : &ip->v6.sin6_addr;
    const size_t n = v4 ? 4 : 16;
    for (const mbedtls_x509_sequence *san = &crt->subject_alt_names; san != NULL; san = san->next) {
        if (san->buf.tag == (MBEDTLS_ASN1_CONTEXT_SPECIFIC | MBEDTLS_X509_SAN_IP_ADDRESS) &&
            san->buf.len == n && memcmp(san->buf.p, bytes, n) == 0) {
            return true;
        }
    }
    return false;
}

int tls_conn_verify(void *ctx, mbedtls_x509_crt *crt, int depth, uint32_t *flags)
{
    struct tls_conn *c = ctx;
    c->cert_seen = true;
    if (depth == 0 && c->ip.sa.sa_family != AF_UNSPEC && !cert_has_ip(crt, &c->ip)) {
        *flags |= MBEDTLS_X509_BADCERT_CN_MISMATCH;
    }
    return 0;
}

static void offer_session(struct tls_conn *c)
{
    mbedtls_ssl_session session;
    mbedtls_ssl_session_init(&session);
    /* A session that does not load costs a full handshake, nothing else. */
    if (mbedtls_ssl_session_load(&session, c->offer->p, c->offer->n) == 0) {
        (void)mbedtls_ssl_set_session(&c->ssl, &session);
    }
    mbedtls_ssl_session_free(&session);
}

static void set_up_client(struct tls_conn *c, const mbedtls_ssl_config *conf)
{
    c->set_up = true;
    int rc = mbedtls_ssl_setup(&c->ssl, conf);
    if (rc == 0) {
        rc = mbedtls_ssl_set_hostname(&c->ssl, c->ip.sa.sa_family == AF_UNSPEC ? c->host : NULL);
    }
    if (rc != 0) {
        (void)err_from_tls(rc, NULL, &c->err);
        return;
    }
    mbedtls_ssl_set_verify(&c->ssl, tls_conn_verify, c);
    mbedtls_ssl_set_bio(&c->ssl, c, tls_bio_send, tls_bio_recv, NULL);
    if (c->offer != NULL) {
        offer_session(c);
    }
}

void tls_conn_client_step(struct tls_conn *c, const mbedtls_ssl_config *conf)
{
    c->in = buf_str(&c->hs_in);
    c->out = &c->hs_out;
    if (!c->set_up) {
        set_up_client(c, conf);
    }
    if (c->err.code == 0) {
        tls_conn_handshake(c);
    }
    buf_consume(&c->hs_in, c->hs_in.n - c->in.n);
    c->in = STR_NULL;
    /* TLS 1.2 brings its ticket in the handshake; TLS 1.3 sends it later, as data. */
    if (c->handshaken && mbedtls_ssl_get_version_number(&c->ssl) == MBEDTLS_SSL_VERSION_TLS1_2) {
        c->session = tls_session_save(&c->ssl, &c->session_ms);
    }
}
