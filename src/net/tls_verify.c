/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The server's certificates. mbedtls would verify a chain in the same step that reads it, whatever
 * that costs: one RSA key with an exponent as long as its modulus takes a second. So the context
 * has VERIFY_NONE, and the client stops between the step that reads the chain and the one that
 * first uses its key (tls_conn.c) and comes here: the cost of checking is bounded first, then
 * everything is verified that mbedtls would have.
 */
#include <mbedtls/oid.h>
#include <mbedtls/x509_crt.h>
#include <psa/crypto.h>

#include "longline/check.h"
#include "tls_impl.h"

/* With these no single key costs more than 3 ms to use, and a chain that makes mbedtls try each of
 * its certificates as the issuer of each about 0.1 s. */
#define MAX_CHAIN         10
#define MAX_RSA_BITS      8192
#define MAX_EXPONENT_BITS 32

/* ---- cost ---- */

static bool rsa_is_cheap(const mbedtls_pk_context *pk, size_t bits)
{
    mbedtls_mpi e;
    mbedtls_mpi_init(&e);
    const bool ok = bits <= MAX_RSA_BITS &&
                    mbedtls_rsa_export(mbedtls_pk_rsa(*pk), NULL, NULL, NULL, NULL, &e) == 0 &&
                    mbedtls_mpi_bitlen(&e) <= MAX_EXPONENT_BITS;
    mbedtls_mpi_free(&e);
    return ok;
}

/* P-256, P-384 and P-521 have fast arithmetic; other curves take up to 15 ms and are not offered in
 * the handshake either. */
static bool key_is_cheap(const mbedtls_pk_context *pk)
{
    psa_key_attributes_t attrs = PSA_KEY_ATTRIBUTES_INIT;
    if (mbedtls_pk_get_psa_attributes(pk, PSA_KEY_USAGE_VERIFY_HASH, &attrs) != 0) {
        return false;
    }
    const psa_key_type_t type = psa_get_key_type(&attrs);
    const size_t bits = psa_get_key_bits(&attrs);
    psa_reset_key_attributes(&attrs);
    if (PSA_KEY_TYPE_IS_RSA(type)) {
        return rsa_is_cheap(pk, bits);
    }
    return PSA_KEY_TYPE_IS_ECC(type) && PSA_KEY_TYPE_ECC_GET_FAMILY(type) == PSA_ECC_FAMILY_SECP_R1;
}

static const char *too_costly(const mbedtls_x509_crt *chain)
{
    size_t n = 0;
    for (const mbedtls_x509_crt *crt = chain; crt != NULL; crt = crt->next) {
        if (++n > MAX_CHAIN) {
            return "certificate chain is too long";
        }
        if (!key_is_cheap(&crt->pk)) {
            return "certificate chain has a key of an unusual kind or size";
        }
    }
    return NULL;
}

/* ---- validity ---- */

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

/* What the key is used for in this handshake. */
static unsigned key_usage(const mbedtls_ssl_context *ssl)
{
    if (mbedtls_ssl_get_version_number(ssl) == MBEDTLS_SSL_VERSION_TLS1_2) {
        const mbedtls_ssl_session *s = ssl->MBEDTLS_PRIVATE(session_negotiate);
        const mbedtls_ssl_ciphersuite_t *suite =
            mbedtls_ssl_ciphersuite_from_id(s->MBEDTLS_PRIVATE(ciphersuite));
        if (suite != NULL && suite->MBEDTLS_PRIVATE(key_exchange) == MBEDTLS_KEY_EXCHANGE_RSA) {
            return MBEDTLS_X509_KU_KEY_ENCIPHERMENT;
        }
    }
    return MBEDTLS_X509_KU_DIGITAL_SIGNATURE;
}

static uint32_t leaf_flags(const struct tls_conn *c, const mbedtls_x509_crt *leaf)
{
    uint32_t flags = 0;
    if (c->ip.sa.sa_family != AF_UNSPEC && !cert_has_ip(leaf, &c->ip)) {
        flags |= MBEDTLS_X509_BADCERT_CN_MISMATCH;
    }
    if (mbedtls_x509_crt_check_key_usage(leaf, key_usage(&c->ssl)) != 0) {
        flags |= MBEDTLS_X509_BADCERT_KEY_USAGE;
    }
    if (mbedtls_x509_crt_check_extended_key_usage(leaf, MBEDTLS_OID_SERVER_AUTH,
                                                  MBEDTLS_OID_SIZE(MBEDTLS_OID_SERVER_AUTH)) != 0) {
        flags |= MBEDTLS_X509_BADCERT_EXT_KEY_USAGE;
    }
    return flags;
}

static unsigned char alert_of(uint32_t flags)
{
    if ((flags & MBEDTLS_X509_BADCERT_EXPIRED) != 0) {
        return MBEDTLS_SSL_ALERT_MSG_CERT_EXPIRED;
    }
    return (flags & MBEDTLS_X509_BADCERT_NOT_TRUSTED) != 0 ? MBEDTLS_SSL_ALERT_MSG_UNKNOWN_CA
                                                           : MBEDTLS_SSL_ALERT_MSG_BAD_CERT;
}

static void refuse(struct tls_conn *c, unsigned char alert)
{
    (void)mbedtls_ssl_send_alert_message(&c->ssl, MBEDTLS_SSL_ALERT_LEVEL_FATAL, alert);
}

void tls_conn_verify(struct tls_conn *c)
{
    c->cert_seen = true;
    mbedtls_x509_crt *chain = c->ssl.MBEDTLS_PRIVATE(session_negotiate)->MBEDTLS_PRIVATE(peer_cert);
    if (chain == NULL) {
        (void)err_set(&c->err, ERR_TLS, 0, "no certificate was sent");
        refuse(c, MBEDTLS_SSL_ALERT_MSG_NO_CERT);
        return;
    }
    const char *why = too_costly(chain);
    if (why != NULL) {
        (void)err_set(&c->err, ERR_TLS, 0, "%s", why);
        refuse(c, MBEDTLS_SSL_ALERT_MSG_BAD_CERT);
        return;
    }
    uint32_t flags = 0;
    const char *const name = c->ip.sa.sa_family == AF_UNSPEC ? c->host : NULL;
    const int rc = mbedtls_x509_crt_verify(chain, c->ca, NULL, name, &flags, NULL, NULL);
    if (rc != 0 && rc != MBEDTLS_ERR_X509_CERT_VERIFY_FAILED) {
        (void)err_from_tls(rc, &c->err);
        refuse(c, MBEDTLS_SSL_ALERT_MSG_INTERNAL_ERROR);
        return;
    }
    flags |= leaf_flags(c, chain);
    if (rc != 0 || flags != 0) {
        err_from_verify(flags, &c->err);
        refuse(c, alert_of(flags));
    }
}
