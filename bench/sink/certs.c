/* SPDX-License-Identifier: Apache-2.0 */
/* A throw-away CA and a server certificate, made at every start: nothing to expire in the tree. */

#include "sink.h"

#include <mbedtls/ecp.h>
#include <mbedtls/error.h>
#include <psa/crypto.h>
#include <stdio.h>
#include <string.h>

#define PEM_MAX 4096u
#define CA_NAME "CN=Bench CA,O=Bench"

static int on_random(void *ctx, unsigned char *out, size_t n)
{
    (void)ctx;
    return psa_generate_random(out, n) == PSA_SUCCESS ? 0 : MBEDTLS_ERR_PK_BAD_INPUT_DATA;
}

static void need(int rc, const char *what)
{
    if (rc < 0) {
        char text[128];
        mbedtls_strerror(rc, text, sizeof text);
        bench_die(what, text);
    }
}

static void make_key(mbedtls_pk_context *key)
{
    mbedtls_pk_init(key);
    need(mbedtls_pk_setup(key, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY)), "key");
    need(mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(*key), on_random, NULL),
         "key");
}

static void set_common(mbedtls_x509write_cert *crt, mbedtls_pk_context *subject,
                       mbedtls_pk_context *issuer, unsigned char number)
{
    mbedtls_x509write_crt_init(crt);
    mbedtls_x509write_crt_set_md_alg(crt, MBEDTLS_MD_SHA256);
    mbedtls_x509write_crt_set_subject_key(crt, subject);
    mbedtls_x509write_crt_set_issuer_key(crt, issuer);
    need(mbedtls_x509write_crt_set_issuer_name(crt, CA_NAME), "issuer");
    need(mbedtls_x509write_crt_set_serial_raw(crt, &number, 1), "serial");
    need(mbedtls_x509write_crt_set_validity(crt, "20240101000000", "20491231235959"), "validity");
}

static void write_pem(mbedtls_x509write_cert *crt, unsigned char *pem)
{
    need(mbedtls_x509write_crt_pem(crt, pem, PEM_MAX, on_random, NULL), "certificate");
    mbedtls_x509write_crt_free(crt);
}

static void make_ca(mbedtls_pk_context *key, const char *file)
{
    mbedtls_x509write_cert crt;
    unsigned char pem[PEM_MAX];
    make_key(key);
    set_common(&crt, key, key, 1);
    need(mbedtls_x509write_crt_set_subject_name(&crt, CA_NAME), "subject");
    need(mbedtls_x509write_crt_set_basic_constraints(&crt, 1, 0), "constraints");
    need(mbedtls_x509write_crt_set_key_usage(&crt, MBEDTLS_X509_KU_KEY_CERT_SIGN), "usage");
    write_pem(&crt, pem);
    FILE *out = fopen(file, "wb");
    if (out == NULL || fputs((const char *)pem, out) < 0 || fclose(out) != 0) {
        bench_die(file, "cannot be written");
    }
}

void certs_make(struct tls_server *server, const char *ca_file)
{
    mbedtls_pk_context ca_key;
    mbedtls_x509write_cert crt;
    unsigned char pem[PEM_MAX];
    static char localhost[] = "localhost";
    static unsigned char loopback4[] = {127, 0, 0, 1};
    static unsigned char loopback6[16] = {[15] = 1};
    mbedtls_x509_san_list names[3];
    memset(names, 0, sizeof names);

    make_ca(&ca_key, ca_file);
    mbedtls_pk_free(&server->key);
    make_key(&server->key);
    set_common(&crt, &server->key, &ca_key, 2);
    need(mbedtls_x509write_crt_set_subject_name(&crt, "CN=localhost"), "subject");
    need(mbedtls_x509write_crt_set_basic_constraints(&crt, 0, -1), "constraints");
    names[0].node.type = MBEDTLS_X509_SAN_DNS_NAME;
    names[0].node.san.unstructured_name.p = (unsigned char *)localhost;
    names[0].node.san.unstructured_name.len = sizeof localhost - 1;
    names[0].next = &names[1];
    names[1].node.type = MBEDTLS_X509_SAN_IP_ADDRESS;
    names[1].node.san.unstructured_name.p = loopback4;
    names[1].node.san.unstructured_name.len = sizeof loopback4;
    names[1].next = &names[2];
    names[2].node.type = MBEDTLS_X509_SAN_IP_ADDRESS;
    names[2].node.san.unstructured_name.p = loopback6;
    names[2].node.san.unstructured_name.len = sizeof loopback6;
    need(mbedtls_x509write_crt_set_subject_alternative_name(&crt, names), "names");
    write_pem(&crt, pem);
    need(mbedtls_x509_crt_parse(&server->chain, pem, strlen((const char *)pem) + 1), "certificate");
    mbedtls_pk_free(&ca_key);
}
