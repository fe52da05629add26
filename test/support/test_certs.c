/* SPDX-License-Identifier: Apache-2.0 */
#include "test_certs.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <mbedtls/pk.h>
#include <mbedtls/psa_util.h>
#include <mbedtls/x509_crt.h>
#include <psa/crypto.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "longline/check.h"

#define PEM_MAX 8192
#define CA_NAME "CN=Test CA,O=Longline test"

static void write_file(const char *path, const unsigned char *pem)
{
    FILE *f = fopen(path, "w");
    LL_ASSERT(f != NULL);
    LL_ASSERT(fputs((const char *)pem, f) >= 0);
    LL_ASSERT(fclose(f) == 0);
}

static void make_key(mbedtls_pk_context *pk, const char *path)
{
    mbedtls_pk_init(pk);
    LL_ASSERT(mbedtls_pk_setup(pk, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY)) == 0);
    LL_ASSERT(mbedtls_ecp_gen_key(MBEDTLS_ECP_DP_SECP256R1, mbedtls_pk_ec(*pk),
                                  mbedtls_psa_get_random, MBEDTLS_PSA_RANDOM_STATE) == 0);
    unsigned char pem[PEM_MAX];
    LL_ASSERT(mbedtls_pk_write_key_pem(pk, pem, sizeof(pem)) == 0);
    write_file(path, pem);
}

static void set_names(mbedtls_x509write_cert *w, const struct test_leaf_options *o)
{
    mbedtls_x509_san_list list[2];
    memset(list, 0, sizeof(list));
    size_t n = 0;
    char dns[128];
    unsigned char ip[4];
    if (o->dns != NULL) {
        (void)snprintf(dns, sizeof(dns), "%s", o->dns);
        list[n].node.type = MBEDTLS_X509_SAN_DNS_NAME;
        list[n].node.san.unstructured_name.p = (unsigned char *)dns;
        list[n].node.san.unstructured_name.len = strlen(dns);
        n++;
    }
    if (o->ip != NULL) {
        LL_ASSERT(inet_pton(AF_INET, o->ip, ip) == 1);
        list[n].node.type = MBEDTLS_X509_SAN_IP_ADDRESS;
        list[n].node.san.unstructured_name.p = ip;
        list[n].node.san.unstructured_name.len = sizeof(ip);
        n++;
    }
    if (n == 2) {
        list[0].next = &list[1];
    }
    if (n != 0) {
        LL_ASSERT(mbedtls_x509write_crt_set_subject_alternative_name(w, list) == 0);
    }
}

static void write_cert(mbedtls_x509write_cert *w, const char *path)
{
    unsigned char serial[8];
    LL_ASSERT(psa_generate_random(serial, sizeof(serial)) == PSA_SUCCESS);
    serial[0] = 1; /* positive, no leading zero */
    mbedtls_x509write_crt_set_version(w, MBEDTLS_X509_CRT_VERSION_3);
    mbedtls_x509write_crt_set_md_alg(w, MBEDTLS_MD_SHA256);
    LL_ASSERT(mbedtls_x509write_crt_set_serial_raw(w, serial, sizeof(serial)) == 0);
    unsigned char pem[PEM_MAX];
    LL_ASSERT(mbedtls_x509write_crt_pem(w, pem, sizeof(pem), mbedtls_psa_get_random,
                                        MBEDTLS_PSA_RANDOM_STATE) == 0);
    write_file(path, pem);
}

void test_certs_make(struct test_certs *c)
{
    LL_ASSERT(psa_crypto_init() == PSA_SUCCESS);
    (void)snprintf(c->dir, sizeof(c->dir), "/tmp/ll-certs-XXXXXX");
    LL_ASSERT(mkdtemp(c->dir) != NULL);
    (void)snprintf(c->ca, sizeof(c->ca), "%s/ca.crt", c->dir);
    (void)snprintf(c->ca_key, sizeof(c->ca_key), "%s/ca.key", c->dir);
    mbedtls_pk_context key;
    make_key(&key, c->ca_key);
    mbedtls_x509write_cert w;
    mbedtls_x509write_crt_init(&w);
    mbedtls_x509write_crt_set_subject_key(&w, &key);
    mbedtls_x509write_crt_set_issuer_key(&w, &key);
    LL_ASSERT(mbedtls_x509write_crt_set_subject_name(&w, CA_NAME) == 0);
    LL_ASSERT(mbedtls_x509write_crt_set_issuer_name(&w, CA_NAME) == 0);
    LL_ASSERT(mbedtls_x509write_crt_set_validity(&w, "20200101000000", "20990101000000") == 0);
    LL_ASSERT(mbedtls_x509write_crt_set_basic_constraints(&w, 1, -1) == 0);
    write_cert(&w, c->ca);
    mbedtls_x509write_crt_free(&w);
    mbedtls_pk_free(&key);
}

void test_certs_leaf(const struct test_certs *c, const struct test_leaf_options *o,
                     struct test_leaf *out)
{
    (void)snprintf(out->cert, sizeof(out->cert), "%s/%.40s.crt", c->dir, o->file);
    (void)snprintf(out->key, sizeof(out->key), "%s/%.40s.key", c->dir, o->file);
    mbedtls_pk_context ca_key;
    mbedtls_pk_init(&ca_key);
    LL_ASSERT(mbedtls_pk_parse_keyfile(&ca_key, c->ca_key, NULL, mbedtls_psa_get_random,
                                       MBEDTLS_PSA_RANDOM_STATE) == 0);
    mbedtls_pk_context key;
    make_key(&key, out->key);
    mbedtls_x509write_cert w;
    mbedtls_x509write_crt_init(&w);
    mbedtls_x509write_crt_set_subject_key(&w, &key);
    mbedtls_x509write_crt_set_issuer_key(&w, &ca_key);
    LL_ASSERT(mbedtls_x509write_crt_set_subject_name(&w, "CN=leaf,O=Longline test") == 0);
    LL_ASSERT(mbedtls_x509write_crt_set_issuer_name(&w, CA_NAME) == 0);
    LL_ASSERT(mbedtls_x509write_crt_set_validity(
                  &w, "20200101000000", o->expired ? "20210101000000" : "20990101000000") == 0);
    LL_ASSERT(mbedtls_x509write_crt_set_basic_constraints(&w, 0, -1) == 0);
    set_names(&w, o);
    write_cert(&w, out->cert);
    mbedtls_x509write_crt_free(&w);
    mbedtls_pk_free(&key);
    mbedtls_pk_free(&ca_key);
}

void test_certs_remove(struct test_certs *c)
{
    DIR *dir = opendir(c->dir);
    LL_ASSERT(dir != NULL);
    const struct dirent *e = readdir(dir);
    while (e != NULL) {
        char path[512];
        (void)snprintf(path, sizeof(path), "%s/%s", c->dir, e->d_name);
        (void)unlink(path); /* fails for "." and ".." */
        e = readdir(dir);
    }
    (void)closedir(dir);
    LL_ASSERT(rmdir(c->dir) == 0);
}
