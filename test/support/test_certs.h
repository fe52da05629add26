/* SPDX-License-Identifier: Apache-2.0 */
/* Certificates made while the test runs: a CA of its own and leaves below it, in a temporary
 * folder. Any failure ends the test program. */
#ifndef LL_TEST_CERTS_H
#define LL_TEST_CERTS_H

#include <stdbool.h>

#define CERT_PATH_MAX 128

struct test_certs {
    char dir[64];
    char ca[CERT_PATH_MAX];     /* PEM file of the CA's certificate */
    char ca_key[CERT_PATH_MAX]; /* and of its key */
};

struct test_leaf {
    char cert[CERT_PATH_MAX];
    char key[CERT_PATH_MAX];
};

struct test_leaf_options {
    const char *file; /* base name of the files */
    const char *dns;  /* subject alternative name, NULL for none */
    const char *ip;   /* IPv4, NULL for none */
    bool expired;
};

void test_certs_make(struct test_certs *c);
void test_certs_leaf(const struct test_certs *c, const struct test_leaf_options *o,
                     struct test_leaf *out);
void test_certs_remove(struct test_certs *c);

#endif
