/* SPDX-License-Identifier: Apache-2.0 */
/* Certificate chains that would be dear to verify; offers to resume that are not taken. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>
#include <mbedtls/pk.h>
#include <mbedtls/psa_util.h>
#include <mbedtls/x509_crt.h>

#include "longline/check.h"
#include "longline/log.h"
#include "test_wait.h"
#include "tls_fixture.h"

#define PEM_MAX 16384

static const struct test_leaf_options good = {.file = "good", .dns = "hook.test"};
static const struct test_leaf_options expired = {
    .file = "old", .dns = "hook.test", .expired = true};
static const char *const versions[] = {"TLSv1.2", "TLSv1.3"};

struct key_kind {
    size_t rsa_bits; /* 0: EC */
    size_t exponent_bits;
    mbedtls_ecp_group_id curve;
};

static void random_odd(unsigned char *p, size_t bits)
{
    const size_t n = (bits + 7) / 8;
    assert_int_equal(psa_generate_random(p, n), PSA_SUCCESS);
    p[0] = (unsigned char)(1u << ((bits - 1) % 8));
    p[n - 1] |= 1;
}

/* An RSA key of which nobody knows the other half: it has to be read only. */
static void make_key(mbedtls_pk_context *pk, const struct key_kind *k)
{
    mbedtls_pk_init(pk);
    if (k->rsa_bits == 0) {
        assert_int_equal(mbedtls_pk_setup(pk, mbedtls_pk_info_from_type(MBEDTLS_PK_ECKEY)), 0);
        assert_int_equal(mbedtls_ecp_gen_key(k->curve, mbedtls_pk_ec(*pk), mbedtls_psa_get_random,
                                             MBEDTLS_PSA_RANDOM_STATE),
                         0);
        return;
    }
    unsigned char n[1100];
    unsigned char e[1100];
    random_odd(n, k->rsa_bits);
    random_odd(e, k->exponent_bits);
    assert_int_equal(mbedtls_pk_setup(pk, mbedtls_pk_info_from_type(MBEDTLS_PK_RSA)), 0);
    mbedtls_rsa_context *rsa = mbedtls_pk_rsa(*pk);
    assert_int_equal(mbedtls_rsa_import_raw(rsa, n, k->rsa_bits / 8, NULL, 0, NULL, 0, NULL, 0, e,
                                            (k->exponent_bits + 7) / 8),
                     0);
    assert_int_equal(mbedtls_rsa_complete(rsa), 0);
}

static void write_pem(mbedtls_x509write_cert *w, const char *path, const char *mode)
{
    unsigned char serial[4] = {1, 2, 3, 4};
    unsigned char pem[PEM_MAX];
    mbedtls_x509write_crt_set_version(w, MBEDTLS_X509_CRT_VERSION_3);
    mbedtls_x509write_crt_set_md_alg(w, MBEDTLS_MD_SHA256);
    assert_int_equal(mbedtls_x509write_crt_set_serial_raw(w, serial, sizeof(serial)), 0);
    assert_int_equal(mbedtls_x509write_crt_set_validity(w, "20200101000000", "20990101000000"), 0);
    assert_int_equal(mbedtls_x509write_crt_pem(w, pem, sizeof(pem), mbedtls_psa_get_random,
                                               MBEDTLS_PSA_RANDOM_STATE),
                     0);
    FILE *f = fopen(path, mode);
    assert_non_null(f);
    assert_true(fputs((const char *)pem, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

/* A further certificate behind the server's. */
static void append(struct tls_fixture *f, const struct key_kind *kind)
{
    static const struct key_kind p256 = {.curve = MBEDTLS_ECP_DP_SECP256R1};
    mbedtls_pk_context subject;
    mbedtls_pk_context issuer;
    make_key(&subject, kind);
    make_key(&issuer, &p256);
    mbedtls_x509write_cert w;
    mbedtls_x509write_crt_init(&w);
    mbedtls_x509write_crt_set_subject_key(&w, &subject);
    mbedtls_x509write_crt_set_issuer_key(&w, &issuer);
    assert_int_equal(mbedtls_x509write_crt_set_subject_name(&w, "CN=Middle"), 0);
    assert_int_equal(mbedtls_x509write_crt_set_issuer_name(&w, "CN=Top"), 0);
    assert_int_equal(mbedtls_x509write_crt_set_basic_constraints(&w, 1, -1), 0);
    write_pem(&w, f->files.cert, "a");
    mbedtls_x509write_crt_free(&w);
    mbedtls_pk_free(&subject);
    mbedtls_pk_free(&issuer);
}

struct chain_case {
    struct key_kind kind;
    unsigned n; /* such certificates behind the leaf */
    const char *msg;
};

#define ODD_KEY "certificate chain has a key of an unusual kind or size"

static const struct chain_case chains[] = {
    {{.curve = MBEDTLS_ECP_DP_SECP256R1}, 9, NULL},
    {{.curve = MBEDTLS_ECP_DP_SECP256R1}, 10, "certificate chain is too long"},
    {{.curve = MBEDTLS_ECP_DP_SECP521R1}, 1, NULL},
    {{.curve = MBEDTLS_ECP_DP_BP512R1}, 1, ODD_KEY},
    {{.rsa_bits = 4096, .exponent_bits = 17}, 1, NULL},
    {{.rsa_bits = 8192, .exponent_bits = 32}, 1, NULL},
    {{.rsa_bits = 2048, .exponent_bits = 33}, 1, ODD_KEY},
    {{.rsa_bits = 4096, .exponent_bits = 4090}, 1, ODD_KEY},
};

static void dear_chains_are_refused_unseen(void **state)
{
    (void)state;
    for (size_t i = 0; i < LL_COUNT(chains) * LL_COUNT(versions); i++) {
        const struct chain_case *c = &chains[i / 2];
        struct tls_fixture f;
        tls_fixture_open(&f, true);
        tls_fixture_serve(&f, &good, versions[i % 2]);
        for (unsigned k = 0; k < c->n; k++) {
            append(&f, &c->kind);
        }
        tls_fixture_restart(&f);
        const int rc = tls_fixture_connect(&f, "hook.test", 0);
        if (c->msg == NULL) {
            assert_int_equal(rc, 0);
            stream_close(f.s);
        } else {
            assert_int_equal(rc, ERR_TLS);
            assert_string_equal(f.err.msg, c->msg);
        }
        tls_fixture_close(&f);
    }
}

/* A session of a server that was trusted does not vouch for the certificate of another one. */
static void a_refused_offer_is_verified_in_full(void **state)
{
    (void)state;
    for (size_t i = 0; i < LL_COUNT(versions); i++) {
        struct tls_fixture f;
        struct peer p;
        tls_fixture_open(&f, true);
        tls_fixture_serve(&f, &good, versions[i]);
        assert_int_equal(tls_fixture_connect(&f, "hook.test", 0), 0);
        peer_init(&p, f.l);
        peer_take(&p, f.s);
        assert_int_equal(peer_send(&p, "x"), 0); /* its echo brings the ticket */
        assert_true(peer_wait_bytes(&p, 1, WAIT_MS));
        peer_fini(&p);
        test_certs_leaf(&f.certs, &expired, &f.files);
        tls_fixture_restart(&f);
        assert_int_equal(tls_fixture_connect(&f, "hook.test", 0), ERR_TLS);
        assert_string_equal(f.err.msg, "certificate has expired");
        tls_fixture_close(&f);
    }
}

int main(void)
{
    log_setup(LOG_ERROR, false);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dear_chains_are_refused_unseen),
        cmocka_unit_test(a_refused_offer_is_verified_in_full),
    };
    return cmocka_run_group_tests_name("net_tls_chain", tests, NULL, NULL);
}
