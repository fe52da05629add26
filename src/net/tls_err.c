/* SPDX-License-Identifier: Apache-2.0 */
/* Translation of mbedtls error codes and certificate flags, in words for an attempt's record. */
#include <mbedtls/error.h>
#include <mbedtls/x509_crt.h>
#include <psa/crypto.h>

#include "longline/check.h"
#include "tls_impl.h"

struct flag_text {
    uint32_t flag;
    const char *text;
};

static const struct flag_text flag_texts[] = {
    {MBEDTLS_X509_BADCERT_EXPIRED, "certificate has expired"},
    {MBEDTLS_X509_BADCERT_FUTURE, "certificate is not valid yet"},
    {MBEDTLS_X509_BADCERT_CN_MISMATCH, "certificate is for another name"},
    {MBEDTLS_X509_BADCERT_NOT_TRUSTED, "certificate issuer is not trusted"},
    {MBEDTLS_X509_BADCERT_REVOKED, "certificate was revoked"},
    {MBEDTLS_X509_BADCERT_MISSING, "no certificate was sent"},
    {MBEDTLS_X509_BADCERT_BAD_MD, "certificate signature uses a weak hash"},
    {MBEDTLS_X509_BADCERT_BAD_KEY, "certificate key is too weak"},
    {MBEDTLS_X509_BADCERT_BAD_PK, "certificate uses a weak kind of key"},
    {MBEDTLS_X509_BADCERT_KEY_USAGE, "certificate key usage does not allow this"},
    {MBEDTLS_X509_BADCERT_EXT_KEY_USAGE, "certificate is not for servers"},
};

struct code_text {
    int rc;
    int code;
    const char *text;
};

static const struct code_text code_texts[] = {
    {MBEDTLS_ERR_SSL_CONN_EOF, ERR_CLOSED, "peer closed the connection during the TLS handshake"},
    {MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY, ERR_CLOSED, "peer closed the TLS connection"},
    {MBEDTLS_ERR_SSL_FATAL_ALERT_MESSAGE, ERR_TLS, "peer refused with a TLS alert"},
    {MBEDTLS_ERR_SSL_BAD_PROTOCOL_VERSION, ERR_TLS, "no TLS version in common"},
    {MBEDTLS_ERR_SSL_HANDSHAKE_FAILURE, ERR_TLS, "no TLS parameters in common"},
    {MBEDTLS_ERR_SSL_NO_APPLICATION_PROTOCOL, ERR_TLS, "peer does not speak HTTP/1.1 (ALPN)"},
    {MBEDTLS_ERR_SSL_INVALID_RECORD, ERR_TLS, "peer sent something that is not TLS"},
    {MBEDTLS_ERR_SSL_INVALID_MAC, ERR_TLS, "TLS record was damaged"},
    {MBEDTLS_ERR_SSL_ALLOC_FAILED, ERR_NOMEM, "out of memory"},
};

void err_from_verify(uint32_t flags, struct err_detail *err)
{
    const char *first = NULL;
    const char *second = NULL;
    for (size_t i = 0; i < LL_COUNT(flag_texts); i++) {
        if ((flags & flag_texts[i].flag) != 0) {
            if (first == NULL) {
                first = flag_texts[i].text;
            } else if (second == NULL) {
                second = flag_texts[i].text;
            }
        }
    }
    (void)err_set(err, ERR_TLS, MBEDTLS_ERR_X509_CERT_VERIFY_FAILED, "%s%s%s",
                  first != NULL ? first : "certificate could not be verified",
                  second != NULL ? ", " : "", second != NULL ? second : "");
}

int err_from_tls(int rc, struct err_detail *err)
{
    if (rc == 0) {
        return 0;
    }
    for (size_t i = 0; i < LL_COUNT(code_texts); i++) {
        if (rc == code_texts[i].rc) {
            return err_set(err, code_texts[i].code, rc, "%s", code_texts[i].text);
        }
    }
    char text[120];
    mbedtls_strerror(rc, text, sizeof(text));
    return err_set(err, ERR_TLS, rc, "TLS: %s", text);
}
