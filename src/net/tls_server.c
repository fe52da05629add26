/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's TLS context: certificate, key, and the keys of its session tickets. Everything runs
 * on the loop. A connection keeps the identity it began with, so that a renewed certificate can
 * take its place while connections are open.
 */
#include <mbedtls/error.h>
#include <mbedtls/psa_util.h>
#include <mbedtls/ssl_ticket.h>
#include <mbedtls/x509_crt.h>
#include <psa/crypto.h>
#include <string.h>

#include "longline/check.h"
#include "longline/mem.h"
#include "tls_file.h"
#include "tls_impl.h"

#define TICKET_LIFETIME_S 7200

struct tls_identity {
    size_t n_refs;
    mbedtls_ssl_config conf;
    mbedtls_x509_crt chain;
    mbedtls_pk_context key;
    mbedtls_ssl_ticket_context tickets;
};

struct tls_server {
    struct tls_identity *identity; /* of connections to come */
};

static int load(struct tls_identity *s, const char *cert_file, const char *key_file,
                struct err_detail *err)
{
    const char *what = "certificate";
    const char *path = cert_file;
    int rc = tls_read_certs(&s->chain, cert_file, err);
    if (rc == 0) {
        what = "key";
        path = key_file;
        rc = tls_read_key(&s->key, key_file, err);
    }
    if (rc == 0) {
        what = "key of the certificate";
        rc = mbedtls_pk_check_pair(&s->chain.pk, &s->key, mbedtls_psa_get_random,
                                   MBEDTLS_PSA_RANDOM_STATE);
    }
    if (rc == 0) {
        return 0;
    }
    if (rc == MBEDTLS_ERR_PK_FILE_IO_ERROR) {
        err_prefix(err, "%s", what);
        return ERR_IO;
    }
    char text[64] = "not all of it could be read";
    if (rc < 0) {
        mbedtls_strerror(rc, text, sizeof(text));
    }
    return err_set(err, ERR_SYNTAX, rc, "%s %.60s: %s", what, path, text);
}

static int set_up_conf(struct tls_identity *s)
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
    struct tls_identity *id = mem_zalloc(sizeof(*id));
    id->n_refs = 1;
    mbedtls_ssl_config_init(&id->conf);
    mbedtls_x509_crt_init(&id->chain);
    mbedtls_pk_init(&id->key);
    mbedtls_ssl_ticket_init(&id->tickets);
    int rc = load(id, cert_file, key_file, err);
    if (rc == 0) {
        rc = err_from_tls(set_up_conf(id), err);
    }
    if (rc != 0) {
        tls_identity_unref(id);
        return rc;
    }
    struct tls_server *s = mem_zalloc(sizeof(*s));
    s->identity = id;
    *out = s;
    return 0;
}

void tls_server_free(struct tls_server *s)
{
    if (s != NULL) {
        tls_identity_unref(s->identity);
        mem_free(s);
    }
}

/* Certificate by certificate; a key belongs to its certificate, so it is the same then. */
static bool same_chain(const mbedtls_x509_crt *a, const mbedtls_x509_crt *b)
{
    while (a != NULL && b != NULL) {
        if (a->raw.len != b->raw.len || memcmp(a->raw.p, b->raw.p, a->raw.len) != 0) {
            return false;
        }
        a = a->next;
        b = b->next;
    }
    return a == NULL && b == NULL;
}

bool tls_server_renew(struct tls_server *s, struct tls_server *fresh)
{
    const bool is_other = !same_chain(&s->identity->chain, &fresh->identity->chain);
    if (is_other) { /* otherwise the ticket keys are worth keeping */
        struct tls_identity *old = s->identity;
        s->identity = fresh->identity;
        fresh->identity = old;
    }
    tls_server_free(fresh);
    return is_other;
}

void tls_identity_unref(struct tls_identity *id)
{
    if (id == NULL || --id->n_refs != 0) {
        return;
    }
    mbedtls_ssl_config_free(&id->conf);
    mbedtls_x509_crt_free(&id->chain);
    mbedtls_pk_free(&id->key);
    mbedtls_ssl_ticket_free(&id->tickets);
    mem_free(id);
}

struct tls_conn *tls_server_conn(struct tls_server *s, struct buf *out)
{
    struct tls_conn *c = tls_conn_new();
    c->out = out;
    c->identity = s->identity;
    c->identity->n_refs++;
    const int rc = mbedtls_ssl_setup(&c->ssl, &c->identity->conf);
    if (rc != 0) {
        (void)err_from_tls(rc, &c->err);
    }
    mbedtls_ssl_set_bio(&c->ssl, c, tls_bio_send, tls_bio_recv, NULL);
    return c;
}

void tls_server_only(struct tls_server *s, const char *version)
{
    const bool v12 = str_eq(str_c(version), STR("TLSv1.2"));
    const mbedtls_ssl_protocol_version v =
        v12 ? MBEDTLS_SSL_VERSION_TLS1_2 : MBEDTLS_SSL_VERSION_TLS1_3;
    mbedtls_ssl_conf_min_tls_version(&s->identity->conf, v);
    mbedtls_ssl_conf_max_tls_version(&s->identity->conf, v);
}
