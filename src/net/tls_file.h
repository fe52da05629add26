/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates and keys from files, PEM or DER. Private to src/net. */
#ifndef LL_NET_TLS_FILE_H
#define LL_NET_TLS_FILE_H

#include <mbedtls/pk.h>
#include <mbedtls/x509_crt.h>

#include "longline/err.h"

/* What mbedtls_x509_crt_parse and mbedtls_pk_parse_key return. When the file itself cannot be read,
 * MBEDTLS_ERR_PK_FILE_IO_ERROR with *err, which names the path. Unlike the library's own functions
 * these open regular files only (longline/file.h). */
int tls_read_certs(mbedtls_x509_crt *out, const char *path, struct err_detail *err);
int tls_read_key(mbedtls_pk_context *out, const char *path, struct err_detail *err);

#endif
