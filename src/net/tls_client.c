/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The client's TLS context: settings and CA certificates (read by the workers, written by nobody
 * once open), the workers, and the session cache, which belongs to the loop. Sessions travel to and
 * from the workers in serialised form, inside the connection.
 */
#include <mbedtls/error.h>
#include <mbedtls/psa_util.h>
#include <mbedtls/x509_crt.h>
#include <psa/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "longline/check.h"
#include "longline/mem.h"
#include "tls_file.h"
#include "tls_impl.h"

#define SYSTEM_BUNDLE "/etc/ssl/certs/ca-certificates.crt"

struct tls_client {
    struct loop *loop;
    mbedtls_ssl_config conf;
    mbedtls_x509_crt ca;
    struct tls_workers *workers; /* NULL before open is complete */
    struct tls_sessions *sessions;
    struct tls_client_stats stats;
};

static const char *alpn[] = {"http/1.1", NULL};

/* ---- settings ---- */

static int load_ca(mbedtls_x509_crt *ca, const char *path, struct err_detail *err)
{
    const int rc = tls_read_certs(ca, path, err);
    if (rc == MBEDTLS_ERR_PK_FILE_IO_ERROR) {
        err_prefix(err, "CA certificates");
        return ERR_IO;
    }
    if (rc < 0) {
        char text[80];
        mbedtls_strerror(rc, text, sizeof(text));
        return err_set(err, ERR_SYNTAX, rc, "CA certificates %.60s: %s", path, text);
    }
    return 0; /* a positive number counts certificates that it could not read */
}

static int load_cas(mbedtls_x509_crt *ca, const struct tls_client_options *o,
                    struct err_detail *err)
{
    if (!o->ca_only) {
        /* Nobody sets variables while the program runs. */
        const char *path = getenv("SSL_CERT_FILE"); /* NOLINT(concurrency-mt-unsafe) */
        if (path == NULL || path[0] == '\0') {
            path = SYSTEM_BUNDLE;
        }
        const bool optional = o->ca_file != NULL && access(path, R_OK) != 0;
        if (!optional) {
            const int rc = load_ca(ca, path, err);
            if (rc != 0) {
                return rc;
            }
        }
    } else if (o->ca_file == NULL) {
        return err_set(err, ERR_INVALID, 0, "ca_only needs a CA file");
    }
    return o->ca_file != NULL ? load_ca(ca, o->ca_file, err) : 0;
}

int tls_client_check(const struct tls_client_options *o, struct err_detail *err)
{
    if (psa_crypto_init() != PSA_SUCCESS) {
        return err_set(err, ERR_TLS, 0, "the crypto library does not start");
    }
    mbedtls_x509_crt ca;
    mbedtls_x509_crt_init(&ca);
    const int rc = load_cas(&ca, o, err);
    mbedtls_x509_crt_free(&ca);
    return rc;
}

static int set_up_conf(struct tls_client *c, struct err_detail *err)
{
    const int rc = mbedtls_ssl_config_defaults(
        &c->conf, MBEDTLS_SSL_IS_CLIENT, MBEDTLS_SSL_TRANSPORT_STREAM, MBEDTLS_SSL_PRESET_DEFAULT);
    if (rc != 0) {
        return err_from_tls(rc, err);
    }
    mbedtls_ssl_conf_rng(&c->conf, mbedtls_psa_get_random, MBEDTLS_PSA_RANDOM_STATE);
    mbedtls_ssl_conf_min_tls_version(&c->conf, MBEDTLS_SSL_VERSION_TLS1_2);
    mbedtls_ssl_conf_max_tls_version(&c->conf, MBEDTLS_SSL_VERSION_TLS1_3);
    mbedtls_ssl_conf_authmode(&c->conf, MBEDTLS_SSL_VERIFY_NONE); /* see tls_verify.c */
    tls_conf_algorithms(&c->conf);
    mbedtls_ssl_conf_session_tickets(&c->conf, MBEDTLS_SSL_SESSION_TICKETS_ENABLED);
    mbedtls_ssl_conf_tls13_enable_signal_new_session_tickets(
        &c->conf, MBEDTLS_SSL_TLS1_3_SIGNAL_NEW_SESSION_TICKETS_ENABLED);
    return err_from_tls(mbedtls_ssl_conf_alpn_protocols(&c->conf, alpn), err);
}

/* ---- opening and closing ---- */

static void client_fini(struct tls_client *c)
{
    if (c->workers != NULL) {
        tls_workers_close(c->workers);
    }
    if (c->sessions != NULL) {
        tls_sessions_free(c->sessions);
    }
    mbedtls_ssl_config_free(&c->conf);
    mbedtls_x509_crt_free(&c->ca);
    mem_free(c);
}

int tls_client_open(struct tls_client **out, struct loop *l, const struct tls_client_options *o,
                    struct err_detail *err)
{
    if (psa_crypto_init() != PSA_SUCCESS) {
        return err_set(err, ERR_TLS, 0, "the crypto library does not start");
    }
    struct tls_client *c = mem_zalloc(sizeof(*c));
    c->loop = l;
    mbedtls_ssl_config_init(&c->conf);
    mbedtls_x509_crt_init(&c->ca);
    int rc = load_cas(&c->ca, o, err);
    if (rc == 0) {
        rc = set_up_conf(c, err);
    }
    if (rc == 0) {
        c->sessions = tls_sessions_new(o->max_sessions != 0 ? o->max_sessions : 10000);
        const struct tls_workers_options wo = {.n_threads = o->n_workers};
        rc = tls_workers_open(&c->workers, l, &wo);
        if (rc != 0) {
            (void)err_set(err, rc, 0, "TLS workers: %s", err_text(rc));
        }
    }
    if (rc != 0) {
        client_fini(c);
        return rc;
    }
    *out = c;
    return 0;
}

void tls_client_free(struct tls_client *c)
{
    if (c != NULL) {
        client_fini(c);
    }
}

void tls_client_stats(const struct tls_client *c, struct tls_client_stats *out)
{
    struct tls_workers_stats ws;
    tls_workers_stats(c->workers, &ws);
    *out = c->stats;
    out->queued = ws.queued;
    out->max_loop_us = ws.max_loop_us;
}

void tls_client_only(struct tls_client *c, const char *version)
{
    const bool v12 = str_eq(str_c(version), STR("TLSv1.2"));
    const mbedtls_ssl_protocol_version v =
        v12 ? MBEDTLS_SSL_VERSION_TLS1_2 : MBEDTLS_SSL_VERSION_TLS1_3;
    mbedtls_ssl_conf_min_tls_version(&c->conf, v);
    mbedtls_ssl_conf_max_tls_version(&c->conf, v);
}

/* ---- for the streams ---- */

struct loop *tls_client_loop(const struct tls_client *c)
{
    return c->loop;
}

struct tls_conn *tls_client_conn(struct tls_client *c, const struct tls_target *to)
{
    struct tls_conn *conn = tls_conn_new();
    conn->conf = &c->conf;
    conn->ca = &c->ca;
    struct str host = to->host;
    if (host.n > 1 && host.p[host.n - 1] == '.') {
        host.n--; /* certificates do not have the dot of the root */
    }
    if (host.n == 0 || host.n > TLS_HOST_MAX) {
        (void)err_set(&conn->err, ERR_INVALID, 0, "host name has a wrong length");
        return conn;
    }
    memcpy(conn->host, host.p, host.n);
    conn->lane = str_of(conn->host, host.n);
    if (addr_parse_ip(&conn->ip, host, 0) != 0) {
        conn->ip.sa.sa_family = AF_UNSPEC;
    }
    (void)snprintf(conn->key, sizeof(conn->key), "%s:%u", conn->host, (unsigned)to->port);
    conn->offer = tls_sessions_get(c->sessions, str_c(conn->key), loop_mono_ms(c->loop));
    return conn;
}

struct tls_workers *tls_client_workers(struct tls_client *c)
{
    return c->workers;
}

void tls_client_settle(struct tls_client *c, struct tls_conn *conn)
{
    const struct str key = str_c(conn->key);
    const bool offered = conn->offer != NULL;
    tls_session_unref(conn->offer);
    conn->offer = NULL;
    c->stats.handshakes++;
    if (conn->err.code != 0) {
        c->stats.failed++;
        if (offered) {
            tls_sessions_drop(c->sessions, key); /* it may be the reason */
        }
        return;
    }
    if (!conn->cert_seen) {
        c->stats.resumed++;
    } else if (offered) {
        tls_sessions_drop(c->sessions, key); /* the server did not want it */
    }
    if (conn->session != NULL) {
        tls_sessions_put(c->sessions, key, conn->session,
                         time_add(loop_mono_ms(c->loop), conn->session_ms));
        conn->session = NULL;
    }
}

void tls_client_ticket(struct tls_client *c, struct tls_conn *conn)
{
    int64_t keep_ms = 0;
    struct blob *session = tls_session_save(&conn->ssl, &keep_ms);
    if (session != NULL) {
        tls_sessions_put(c->sessions, str_c(conn->key), session,
                         time_add(loop_mono_ms(c->loop), keep_ms));
    }
}
