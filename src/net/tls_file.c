/* SPDX-License-Identifier: Apache-2.0 */
#include "tls_file.h"

#include <psa/crypto.h>

#include <mbedtls/psa_util.h>

#include "longline/file.h"
#include "longline/tls.h"

/* The parsers want PEM with its terminating NUL counted, and DER without. */
static int read_for_parser(struct buf *text, const char *path, struct err_detail *err)
{
    buf_init(text, TLS_FILE_MAX);
    if (file_read(text, path, err) != 0 || buf_add_c(text, '\0') != 0) {
        return MBEDTLS_ERR_PK_FILE_IO_ERROR;
    }
    if (strstr(text->p, "-----BEGIN ") == NULL) {
        text->n--;
    }
    return 0;
}

int tls_read_certs(mbedtls_x509_crt *out, const char *path, struct err_detail *err)
{
    struct buf text;
    int rc = read_for_parser(&text, path, err);
    if (rc == 0) {
        rc = mbedtls_x509_crt_parse(out, (const unsigned char *)text.p, text.n);
    }
    buf_fini(&text);
    return rc;
}

int tls_read_key(mbedtls_pk_context *out, const char *path, struct err_detail *err)
{
    struct buf text;
    int rc = read_for_parser(&text, path, err);
    if (rc == 0) {
        rc = mbedtls_pk_parse_key(out, (const unsigned char *)text.p, text.n, NULL, 0,
                                  mbedtls_psa_get_random, MBEDTLS_PSA_RANDOM_STATE);
    }
    buf_fini_secret(&text);
    return rc;
}
