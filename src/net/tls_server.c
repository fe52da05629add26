/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's TLS context: certificate, key, and the keys of its session tickets. Everything runs
 * on the loop.
 */
#include <mbedtls/error.h>
#include <mbedtls/psa_util.h>
#include <mbedtls/ssl_ticket.h>
#include <mbedtls/x509_crt.h>
#include <psa/crypto.h>

#include "longline/check.h"
#include "longline/mem.h"
#include "tls_impl.h"

#define TICKET_LIFETIME_S 7200

struct tls_server {
    mbedtls_ssl_config conf;
    mbedtls_x509_crt chain;
    mbedtls_pk_context key;
    mbedtls_ssl_ticket_context tickets;
};

static int load(struct tls_server *s, const char *cert_file, const char *key_file,
                struct err_detail *err)
{
    const char *what = "certificate";
    const char *path = cert_file;
    int rc = mbedtls_x509_crt_parse_file(&s->chain, cert_file);
    if (rc == 0) {
        what = "key";
        path = key_file;
        rc = mbedtls_pk_parse_keyfile(&s->key, key_file, NULL, mbedtls_psa_get_random,
                                      MBEDTLS_PSA_RANDOM_STATE);
    }
    if (rc == 0) {
        what = "key of the certificate";
        rc = mbedtls_pk_check_pair(&s->chain.pk, &s->key, mbedtls_psa_get_random,
                                   MBEDTLS_PSA_RANDOM_STATE);
    }
    if (rc == 0) {
        return 0;
    }
    char text[64] = "not all of it could be read";
    if (rc < 0) {
        mbedtls_strerror(rc, text, sizeof(text));
    }
    return err_set(err, rc == MBEDTLS_ERR_PK_FILE_IO_ERROR ? ERR_IO : ERR_SYNTAX, rc,
                   "%s %.60s: %s", what, path, text);
}

static int set_up_conf(struct tls_server *s)
{
    int rc = mbedtls_ssl_config_defaults(&s->conf, MBEDTLS_SSL_IS_SERVER,
                                         MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT);
    if (rc != 0) {
        return rc;
    }
    mbedtls_ssl_conf_rng(&s->conf, mbedtls_psa_get_random, MBEDTLS_PSA_RANDOM_STATE);
    mbedtls_ssl_conf_min_tls_version(&s->conf, MBEDTLS_SSL_VERSION_TLS1_2);
    mbedtls_ssl_conf_max_tls_version(&s->conf, MBEDTLS_SSL_VERSION_TLS1_3);
    rc = mbedtls_ssl_conf_own_cert(&s->conf, &s->chain, &s->key);
    if (rc != 0) {
        return rc;
    }
    rc = mbedtls_ssl_ticket_setup(&s->tickets, mbedtls_psa_get_random, MBEDTLS_PSA_RANDOM_STATE,
                                  MBEDTLS_CIPHER_AES_256_GCM, TICKET_LIFETIME_S);
    if (rc != 0) {
        return rc;
    }
    mbedtls_ssl_conf_session_tickets_cb(&s->conf, mbedtls_ssl_ticket_write,
                                        mbedtls_ssl_ticket_parse, &s->tickets);
    mbedtls_ssl_conf_new_session_tickets(&s->conf, 1);
    return 0;
}

int tls_server_open(struct tls_server **out, const char *cert_file, const char *key_file,
                    struct err_detail *err)
{
    if (psa_crypto_init() != PSA_SUCCESS) {
        return err_set(err, ERR_TLS, 0, "the crypto library does not start");
    }
    struct tls_server *s = mem_zalloc(sizeof(*s));
    mbedtls_ssl_config_init(&s->conf);
    mbedtls_x509_crt_init(&s->chain);
    mbedtls_pk_init(&s->key);
    mbedtls_ssl_ticket_init(&s->tickets);
    int rc = load(s, cert_file, key_file, err);
    if (rc == 0) {
        rc = err_from_tls(set_up_conf(s), NULL, err);
    }
    if (rc != 0) {
        tls_server_free(s);
        return rc;
    }
    *out = s;
    return 0;
}

void tls_server_free(struct tls_server *s)
{
    if (s == NULL) {
        return;
    }
    mbedtls_ssl_config_free(&s->conf);
    mbedtls_x509_crt_free(&s->chain);
    mbedtls_pk_free(&s->key);
    mbedtls_ssl_ticket_free(&s->tickets);
    mem_free(s);
}

struct tls_conn *tls_server_conn(struct tls_server *s, struct buf *out)
{
    struct tls_conn *c = tls_conn_new();
    c->out = out;
    const int rc = mbedtls_ssl_setup(&c->ssl, &s->conf);
    if (rc != 0) {
        (void)err_from_tls(rc, NULL, &c->err);
    }
    mbedtls_ssl_set_bio(&c->ssl, c, tls_bio_send, tls_bio_recv, NULL);
    return c;
}

void tls_server_only(struct tls_server *s, const char *version)
{
    const bool v12 = str_eq(str_c(version), STR("TLSv1.2"));
    const mbedtls_ssl_protocol_version v =
        v12 ? MBEDTLS_SSL_VERSION_TLS1_2 : MBEDTLS_SSL_VERSION_TLS1_3;
    mbedtls_ssl_conf_min_tls_version(&s->conf, v);
    mbedtls_ssl_conf_max_tls_version(&s->conf, v);
}
