/* SPDX-License-Identifier: Apache-2.0 */
/* The algorithms that both sides speak. What the other side may choose must not be dear: it is the
 * processor of this one that pays. */
#include <pthread.h>

#include "longline/check.h"
#include "tls_impl.h"

#define MAX_SUITES 200

/* P-256 first: with mbedtls it is cheaper than X25519. Its defaults have finite fields of up to
 * 8192 bits and curves without fast code, some a hundred times as dear. */
static const uint16_t groups[] = {
    MBEDTLS_SSL_IANA_TLS_GROUP_SECP256R1, MBEDTLS_SSL_IANA_TLS_GROUP_X25519,
    MBEDTLS_SSL_IANA_TLS_GROUP_SECP384R1, MBEDTLS_SSL_IANA_TLS_GROUP_SECP521R1,
    MBEDTLS_SSL_IANA_TLS_GROUP_NONE,
};

/* Written once; terminated by a zero. */
static int suites[MAX_SUITES];
static pthread_once_t suites_once = PTHREAD_ONCE_INIT;

/* Those of the library, in its order, but for key exchanges that nobody needs: DHE lets the server
 * choose numbers that take seconds, and what uses a shared key has no certificate. */
static void list_suites(void)
{
    size_t n = 0;
    for (const int *id = mbedtls_ssl_list_ciphersuites(); *id != 0 && n < MAX_SUITES - 1; id++) {
        switch (mbedtls_ssl_ciphersuite_from_id(*id)->MBEDTLS_PRIVATE(key_exchange)) {
        case MBEDTLS_KEY_EXCHANGE_NONE: /* TLS 1.3 */
        case MBEDTLS_KEY_EXCHANGE_ECDHE_ECDSA:
        case MBEDTLS_KEY_EXCHANGE_ECDHE_RSA:
        case MBEDTLS_KEY_EXCHANGE_RSA:
            suites[n++] = *id;
            break;
        default:
            break;
        }
    }
}

void tls_conf_algorithms(mbedtls_ssl_config *conf)
{
    LL_ASSERT(pthread_once(&suites_once, list_suites) == 0);
    mbedtls_ssl_conf_ciphersuites(conf, suites);
    mbedtls_ssl_conf_groups(conf, groups);
}
