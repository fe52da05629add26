/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's TLS context. An identity is the certificate with its key, the settings, and the keys
 * of the session tickets; the workers read it, and what changes in it (ticket keys, the blinding of
 * an RSA key) mbedtls locks. A connection keeps the identity it began with, so that a renewed
 * certificate can take its place while connections are open.
 *
 * Clients without any key may ask for handshakes, so these pass a gate (tls_gate.h). When all its
 * places are taken, the handshake that has waited longest for its client goes, so that silent
 * clients cannot keep the places.
 */
#include "longline/tls.h"

#include <mbedtls/error.h>
#include <mbedtls/psa_util.h>
#include <mbedtls/ssl_ticket.h>
#include <mbedtls/x509_crt.h>
#include <psa/crypto.h>
#include <string.h>

#include "longline/check.h"
#include "longline/log.h"
#include "longline/mem.h"
#include "tls_file.h"
#include "tls_impl.h"

#define TICKET_LIFETIME_S 7200
/* Client addresses take turns at the threads, so an address with this part of the places slows only
 * itself; and a proxy that brings all clients has room. */
#define PEER_SHARE        4

struct tls_identity {
    atomic_size_t n_refs;
    mbedtls_ssl_config conf;
    mbedtls_x509_crt chain;
    mbedtls_pk_context key;
    mbedtls_ssl_ticket_context tickets;
};

struct tls_server {
    struct loop *loop;
    struct tls_identity *identity; /* of connections to come */
    struct tls_workers *workers;
    struct tls_gate gate;
    struct tls_server_stats stats;
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
    tls_conf_algorithms(&s->conf);
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

int tls_identity_open(struct tls_identity **out, const char *cert_file, const char *key_file,
                      struct err_detail *err)
{
    if (psa_crypto_init() != PSA_SUCCESS) {
        return err_set(err, ERR_TLS, 0, "the crypto library does not start");
    }
    struct tls_identity *id = mem_zalloc(sizeof(*id));
    atomic_init(&id->n_refs, 1);
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
    *out = id;
    return 0;
}

int tls_server_open(struct tls_server **out, struct loop *l, const struct tls_server_options *o,
                    struct err_detail *err)
{
    struct tls_server *s = mem_zalloc(sizeof(*s));
    const size_t max = o->max_handshakes != 0 ? o->max_handshakes : TLS_MAX_HANDSHAKES;
    const struct tls_workers_options wo = {.n_threads = o->n_workers, .gives_way = true};
    s->loop = l;
    tls_gate_init(&s->gate, max, (max + PEER_SHARE - 1) / PEER_SHARE);
    int rc = tls_identity_open(&s->identity, o->cert_file, o->key_file, err);
    if (rc == 0) {
        rc = tls_workers_open(&s->workers, l, &wo);
        if (rc != 0) {
            (void)err_set(err, rc, 0, "TLS workers: %s", err_text(rc));
        }
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
    if (s->workers != NULL) {
        tls_workers_close(s->workers);
    }
    tls_gate_fini(&s->gate);
    tls_identity_unref(s->identity);
    mem_free(s);
}

void tls_server_stats(const struct tls_server *s, struct tls_server_stats *out)
{
    struct tls_workers_stats ws;
    tls_workers_stats(s->workers, &ws);
    *out = s->stats;
    out->in_progress = s->gate.n;
    out->steps = ws.steps;
    out->queued = ws.queued;
    out->max_loop_us = ws.max_loop_us;
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

bool tls_server_renew(struct tls_server *s, struct tls_identity *fresh)
{
    const bool is_other = !same_chain(&s->identity->chain, &fresh->chain);
    if (is_other) { /* otherwise the ticket keys are worth keeping */
        struct tls_identity *old = s->identity;
        s->identity = fresh;
        fresh = old;
    }
    tls_identity_unref(fresh);
    return is_other;
}

void tls_identity_unref(struct tls_identity *id)
{
    if (id == NULL || atomic_fetch_sub(&id->n_refs, 1) != 1) {
        return;
    }
    mbedtls_ssl_config_free(&id->conf);
    mbedtls_x509_crt_free(&id->chain);
    mbedtls_pk_free(&id->key);
    mbedtls_ssl_ticket_free(&id->tickets);
    mem_free(id);
}

/* ---- for the streams ---- */

struct loop *tls_server_loop(const struct tls_server *s)
{
    return s->loop;
}

struct tls_workers *tls_server_workers(struct tls_server *s)
{
    return s->workers;
}

struct tls_gate *tls_server_gate(struct tls_server *s)
{
    return &s->gate;
}

struct tls_conn *tls_server_conn(struct tls_server *s, const union addr *peer)
{
    struct tls_conn *c = tls_conn_new();
    c->identity = s->identity;
    (void)atomic_fetch_add(&c->identity->n_refs, 1);
    c->conf = &c->identity->conf;
    addr_peer_key(c->peer, peer);
    c->lane = str_of((const char *)c->peer, sizeof(c->peer));
    return c;
}

static void note_refusal(struct tls_server *s, const union addr *peer, const char *why)
{
    char text[ADDR_TEXT_MAX];
    const size_t n = addr_format_ip(text, peer);
    s->stats.refused++;
    log_warn("tls.refused", LOG_STR("peer", str_of(text, n)), LOG_CSTR("why", why),
             LOG_INT("in_progress", s->gate.n));
}

bool tls_server_may_evict(const struct tls_server *s)
{
    return tls_gate_oldest(&s->gate) != NULL;
}

bool tls_server_admit(struct tls_server *s, const union addr *peer, bool is_full)
{
    unsigned char key[ADDR_PEER_KEY];
    addr_peer_key(key, peer);
    enum tls_verdict verdict = tls_gate_judge(&s->gate, key);
    if (is_full && verdict == TLS_ADMIT) {
        verdict = TLS_FULL;
    }
    switch (verdict) {
    case TLS_ADMIT:
        return true;
    case TLS_FULL: {
        struct tls_place *oldest = tls_gate_oldest(&s->gate);
        note_refusal(s, peer, "too many handshakes");
        if (oldest != NULL) {
            tls_stream_evict(oldest);
        }
        return oldest != NULL;
    }
    case TLS_FULL_FOR_PEER:
    default:
        note_refusal(s, peer, "too many handshakes of this address");
        return false;
    }
}

void tls_server_settle(struct tls_server *s, int code)
{
    if (code == 0) {
        s->stats.handshakes++;
    } else {
        s->stats.failed++;
    }
}

void tls_server_only(struct tls_server *s, const char *version)
{
    const bool v12 = str_eq(str_c(version), STR("TLSv1.2"));
    const mbedtls_ssl_protocol_version v =
        v12 ? MBEDTLS_SSL_VERSION_TLS1_2 : MBEDTLS_SSL_VERSION_TLS1_3;
    mbedtls_ssl_conf_min_tls_version(&s->identity->conf, v);
    mbedtls_ssl_conf_max_tls_version(&s->identity->conf, v);
}
