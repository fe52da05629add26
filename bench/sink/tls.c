/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Server side of TLS, on one connection each. What was read from the socket lies in the caller's
 * buffer while mbedTLS takes it through on_recv; it keeps partial records itself, so the buffer is
 * always used up. What mbedTLS sends goes straight to the socket.
 */

#include "sink.h"

#include <mbedtls/error.h>
#include <psa/crypto.h>
#include <stdlib.h>
#include <string.h>

#define TICKET_LIFETIME_S 86400u

struct tls_session {
    mbedtls_ssl_context ssl;
    struct sink *sink;
    struct peer *peer;
    const char *in;
    size_t in_len;
    bool is_up;
};

static int on_random(void *ctx, unsigned char *out, size_t n)
{
    (void)ctx;
    return psa_generate_random(out, n) == PSA_SUCCESS ? 0 : MBEDTLS_ERR_SSL_INTERNAL_ERROR;
}

static void need(int rc, const char *what)
{
    if (rc != 0) {
        char text[128];
        mbedtls_strerror(rc, text, sizeof text);
        bench_die(what, text);
    }
}

void tls_server_init(struct tls_server *t, const char *ca_file)
{
    need(psa_crypto_init() == PSA_SUCCESS ? 0 : MBEDTLS_ERR_SSL_INTERNAL_ERROR, "psa_crypto_init");
    mbedtls_ssl_config_init(&t->config);
    mbedtls_ssl_ticket_init(&t->tickets);
    mbedtls_x509_crt_init(&t->chain);
    mbedtls_pk_init(&t->key);
    certs_make(t, ca_file);
    need(mbedtls_ssl_config_defaults(&t->config, MBEDTLS_SSL_IS_SERVER,
                                     MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT),
         "tls defaults");
    mbedtls_ssl_conf_rng(&t->config, on_random, NULL);
    need(mbedtls_ssl_conf_own_cert(&t->config, &t->chain, &t->key), "own certificate");
    need(mbedtls_ssl_ticket_setup(&t->tickets, on_random, NULL, MBEDTLS_CIPHER_AES_256_GCM,
                                  TICKET_LIFETIME_S),
         "session tickets");
    mbedtls_ssl_conf_session_tickets_cb(&t->config, mbedtls_ssl_ticket_write,
                                        mbedtls_ssl_ticket_parse, &t->tickets);
}

static int on_recv(void *ctx, unsigned char *out, size_t cap)
{
    struct tls_session *t = ctx;
    if (t->in_len == 0) {
        return MBEDTLS_ERR_SSL_WANT_READ;
    }
    const size_t n = t->in_len < cap ? t->in_len : cap;
    memcpy(out, t->in, n);
    t->in += n;
    t->in_len -= n;
    return (int)n;
}

static int on_send(void *ctx, const unsigned char *bytes, size_t n)
{
    struct tls_session *t = ctx;
    peer_send_raw(t->peer, (const char *)bytes, n);
    return (int)n;
}

struct tls_session *tls_session_new(struct sink *s, struct peer *p)
{
    struct tls_session *t = bench_alloc(sizeof *t);
    memset(t, 0, sizeof *t);
    t->sink = s;
    t->peer = p;
    mbedtls_ssl_init(&t->ssl);
    need(mbedtls_ssl_setup(&t->ssl, &s->tls_server.config), "tls session");
    mbedtls_ssl_set_bio(&t->ssl, t, on_send, on_recv, NULL);
    return t;
}

void tls_session_free(struct tls_session *t)
{
    if (t != NULL) {
        mbedtls_ssl_free(&t->ssl);
        free(t);
    }
}

void tls_input(struct tls_session *t, const char *bytes, size_t n)
{
    unsigned char plain[16384];
    t->in = bytes;
    t->in_len = n;
    if (!t->is_up) {
        const int rc = mbedtls_ssl_handshake(&t->ssl);
        if (rc == MBEDTLS_ERR_SSL_WANT_READ || rc == MBEDTLS_ERR_SSL_WANT_WRITE) {
            return;
        }
        if (rc != 0) {
            t->sink->handshake_failures++;
            peer_close(t->peer);
            return;
        }
        t->is_up = true;
        t->sink->handshakes++;
    }
    for (;;) {
        const int got = mbedtls_ssl_read(&t->ssl, plain, sizeof plain);
        if (got > 0) {
            peer_input(t->peer, (const char *)plain, (size_t)got);
        } else if (got == MBEDTLS_ERR_SSL_WANT_READ || got == MBEDTLS_ERR_SSL_WANT_WRITE) {
            return;
        } else {
            peer_close(t->peer);
            return;
        }
    }
}

void tls_output(struct tls_session *t, const char *bytes, size_t n)
{
    const int rc = mbedtls_ssl_write(&t->ssl, (const unsigned char *)bytes, n);
    if (rc != (int)n) {
        peer_close(t->peer);
    }
}

void tls_notify_close(struct tls_session *t)
{
    (void)mbedtls_ssl_close_notify(&t->ssl);
}
