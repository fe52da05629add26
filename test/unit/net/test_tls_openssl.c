/* SPDX-License-Identifier: Apache-2.0 */
/* TLS streams against another implementation: `openssl s_server`, which sends two tickets after a
 * TLS 1.3 handshake, in one flight with nothing behind them. Skipped where there is no openssl. */
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <mbedtls/oid.h>
#include <mbedtls/pk.h>
#include <mbedtls/psa_util.h>
#include <mbedtls/x509_crt.h>

#include "longline/check.h"
#include "longline/log.h"
#include "test_wait.h"
#include "tls_fixture.h"

extern char **environ;

struct s_server {
    pid_t pid;
    uint16_t port;
    int out;
};

/* Reads the server's first words until it says where it listens. */
static uint16_t read_port(int fd)
{
    char text[4096];
    size_t n = 0;
    while (n + 1 < sizeof(text)) {
        const ssize_t got = read(fd, text + n, sizeof(text) - 1 - n);
        if (got <= 0) {
            return 0;
        }
        n += (size_t)got;
        text[n] = '\0';
        const char *line = strstr(text, "ACCEPT ");
        const char *end = line != NULL ? strchr(line, '\n') : NULL;
        if (end != NULL) {
            const char *colon = end;
            while (*colon != ':') {
                colon--;
            }
            return (uint16_t)strtoul(colon + 1, NULL, 10);
        }
    }
    return 0;
}

static bool s_server_open(struct s_server *s, char *cert, char *key, const char *const *more)
{
    int fds[2];
    assert_int_equal(pipe(fds), 0);
    posix_spawn_file_actions_t actions;
    assert_int_equal(posix_spawn_file_actions_init(&actions), 0);
    assert_int_equal(posix_spawn_file_actions_adddup2(&actions, fds[1], 1), 0);
    assert_int_equal(posix_spawn_file_actions_addclose(&actions, fds[0]), 0);
    assert_int_equal(posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", 1, 0), 0);
    char words[6][16] = {"openssl", "s_server", "-accept", "127.0.0.1:0", "-cert", "-key"};
    char extra[4][16];
    char *argv[16] = {words[0], words[1], words[2], words[3], words[4], cert, words[5], key};
    size_t n = 8;
    for (size_t i = 0; more[i] != NULL; i++) {
        LL_ASSERT(i < 4 && strlen(more[i]) < sizeof(extra[i]));
        (void)memcpy(extra[i], more[i], strlen(more[i]) + 1);
        argv[n++] = extra[i];
    }
    const int rc = posix_spawnp(&s->pid, "openssl", &actions, NULL, argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    (void)close(fds[1]);
    s->out = fds[0];
    s->port = rc == 0 ? read_port(fds[0]) : 0;
    return s->port != 0;
}

static void s_server_close(struct s_server *s)
{
    (void)kill(s->pid, SIGKILL);
    (void)waitpid(s->pid, NULL, 0);
    (void)close(s->out);
}

struct version {
    const char *flag;
    const char *name;
};

static const struct version versions[] = {{"-tls1_2", "TLSv1.2"}, {"-tls1_3", "TLSv1.3"}};

static const struct test_leaf_options good = {.file = "good", .dns = "hook.test"};

/* One connection: a line there, the line reversed back. */
static void exchange(struct tls_fixture *f, uint16_t port, const char *version, bool resumed)
{
    assert_int_equal(tls_fixture_connect(f, "hook.test", port), 0);
    struct stream_info info;
    stream_get_info(f->s, &info);
    assert_string_equal(info.tls_version, version);
    assert_int_equal(info.resumed, resumed);
    struct peer p;
    peer_init(&p, f->l);
    peer_take(&p, f->s);
    assert_int_equal(peer_send(&p, "abcdef\n"), 0);
    assert_true(peer_wait_bytes(&p, 7, WAIT_MS));
    assert_memory_equal(p.got.p, "fedcba\n", 7);
    stream_close_graceful(p.s);
    assert_true(peer_wait_closed(&p, WAIT_MS));
    peer_fini(&p);
}

static void resumes_with_openssl(void **state)
{
    (void)state;
    for (size_t i = 0; i < LL_COUNT(versions); i++) {
        struct tls_fixture f;
        tls_fixture_open(&f, true);
        struct test_leaf files;
        test_certs_leaf(&f.certs, &good, &files);
        struct s_server s;
        const char *const more[] = {"-rev", versions[i].flag, NULL};
        if (!s_server_open(&s, files.cert, files.key, more)) {
            tls_fixture_close(&f);
            fail_msg("openssl s_server does not start (scripts/deps test installs it)");
        }
        exchange(&f, s.port, versions[i].name, false);
        exchange(&f, s.port, versions[i].name, true);
        exchange(&f, s.port, versions[i].name, true);
        s_server_close(&s);
        tls_fixture_close(&f);
    }
}

static void server_without_tickets_is_not_resumed(void **state)
{
    (void)state;
    for (size_t i = 0; i < LL_COUNT(versions); i++) {
        struct tls_fixture f;
        tls_fixture_open(&f, true);
        struct test_leaf files;
        test_certs_leaf(&f.certs, &good, &files);
        struct s_server s;
        const char *const more[] = {"-rev", versions[i].flag, "-num_tickets", "0"};
        const char *const no_ticket[] = {"-rev", versions[i].flag, "-no_ticket", NULL};
        const char *words[5] = {more[0], more[1], more[2], more[3], NULL};
        if (!s_server_open(&s, files.cert, files.key, i == 0 ? no_ticket : words)) {
            tls_fixture_close(&f);
            fail_msg("openssl s_server does not start (scripts/deps test installs it)");
        }
        exchange(&f, s.port, versions[i].name, false);
        /* TLS 1.2 may still resume by session id. */
        assert_int_equal(tls_fixture_connect(&f, "hook.test", s.port), 0);
        stream_close(f.s);
        s_server_close(&s);
        tls_fixture_close(&f);
    }
}

/* All in one flight, before the first byte of data. */
static void many_tickets_are_fine(void **state)
{
    (void)state;
    struct tls_fixture f;
    tls_fixture_open(&f, true);
    struct test_leaf files;
    test_certs_leaf(&f.certs, &good, &files);
    struct s_server s;
    const char *const more[] = {"-rev", "-num_tickets", "200", NULL};
    if (!s_server_open(&s, files.cert, files.key, more)) {
        tls_fixture_close(&f);
        fail_msg("openssl s_server does not start (scripts/deps test installs it)");
    }
    exchange(&f, s.port, "TLSv1.3", false);
    exchange(&f, s.port, "TLSv1.3", true);
    s_server_close(&s);
    tls_fixture_close(&f);
}

static void old_versions_are_refused(void **state)
{
    (void)state;
    struct tls_fixture f;
    tls_fixture_open(&f, true);
    struct test_leaf files;
    test_certs_leaf(&f.certs, &good, &files);
    struct s_server s;
    const char *const more[] = {"-rev", "-tls1_1", "-cipher", "ALL:@SECLEVEL=0", NULL};
    if (!s_server_open(&s, files.cert, files.key, more)) {
        tls_fixture_close(&f);
        skip();
    }
    assert_int_equal(tls_fixture_connect(&f, "hook.test", s.port), ERR_TLS);
    s_server_close(&s);
    tls_fixture_close(&f);
}

/* ---- what a certificate may be used for ---- */

struct usage_case {
    unsigned key_usage;  /* 0: none stated */
    const char *purpose; /* NULL: none stated */
    size_t purpose_n;
    const char *msg;
};

static const struct usage_case usages[] = {
    {0, NULL, 0, NULL},
    {MBEDTLS_X509_KU_DIGITAL_SIGNATURE, MBEDTLS_OID_SERVER_AUTH,
     MBEDTLS_OID_SIZE(MBEDTLS_OID_SERVER_AUTH), NULL},
    {MBEDTLS_X509_KU_KEY_CERT_SIGN, NULL, 0, "certificate key usage does not allow this"},
    {0, MBEDTLS_OID_CLIENT_AUTH, MBEDTLS_OID_SIZE(MBEDTLS_OID_CLIENT_AUTH),
     "certificate is not for servers"},
};

static void write_pem(mbedtls_x509write_cert *w, const char *path)
{
    unsigned char serial[4] = {1, 2, 3, 4};
    unsigned char pem[8192];
    mbedtls_x509write_crt_set_version(w, MBEDTLS_X509_CRT_VERSION_3);
    mbedtls_x509write_crt_set_md_alg(w, MBEDTLS_MD_SHA256);
    assert_int_equal(mbedtls_x509write_crt_set_serial_raw(w, serial, sizeof(serial)), 0);
    assert_int_equal(mbedtls_x509write_crt_set_validity(w, "20200101000000", "20990101000000"), 0);
    assert_int_equal(mbedtls_x509write_crt_pem(w, pem, sizeof(pem), mbedtls_psa_get_random,
                                               MBEDTLS_PSA_RANDOM_STATE),
                     0);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_true(fputs((const char *)pem, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

/* The certificate of the files, made anew for its key. */
static void rewrite(const struct test_certs *certs, const struct test_leaf *files,
                    const struct usage_case *c)
{
    char name[] = "hook.test";
    mbedtls_pk_context key;
    mbedtls_pk_context ca;
    mbedtls_pk_init(&key);
    mbedtls_pk_init(&ca);
    assert_int_equal(mbedtls_pk_parse_keyfile(&key, files->key, NULL, mbedtls_psa_get_random,
                                              MBEDTLS_PSA_RANDOM_STATE),
                     0);
    assert_int_equal(mbedtls_pk_parse_keyfile(&ca, certs->ca_key, NULL, mbedtls_psa_get_random,
                                              MBEDTLS_PSA_RANDOM_STATE),
                     0);
    mbedtls_x509write_cert w;
    mbedtls_x509write_crt_init(&w);
    mbedtls_x509write_crt_set_subject_key(&w, &key);
    mbedtls_x509write_crt_set_issuer_key(&w, &ca);
    assert_int_equal(mbedtls_x509write_crt_set_subject_name(&w, "CN=hook.test"), 0);
    const mbedtls_x509_san_list san = {
        .node = {.type = MBEDTLS_X509_SAN_DNS_NAME,
                 .san.unstructured_name = {.p = (unsigned char *)name, .len = strlen(name)}}};
    assert_int_equal(mbedtls_x509write_crt_set_subject_alternative_name(&w, &san), 0);
    assert_int_equal(mbedtls_x509write_crt_set_issuer_name(&w, "CN=Test CA,O=Longline test"), 0);
    if (c->key_usage != 0) {
        assert_int_equal(mbedtls_x509write_crt_set_key_usage(&w, c->key_usage), 0);
    }
    unsigned char oid[32];
    mbedtls_asn1_sequence purposes = {.buf = {.tag = MBEDTLS_ASN1_OID, .len = c->purpose_n}};
    if (c->purpose != NULL) {
        assert_true(c->purpose_n <= sizeof(oid));
        memcpy(oid, c->purpose, c->purpose_n);
        purposes.buf.p = oid;
        assert_int_equal(mbedtls_x509write_crt_set_ext_key_usage(&w, &purposes), 0);
    }
    write_pem(&w, files->cert);
    mbedtls_x509write_crt_free(&w);
    mbedtls_pk_free(&key);
    mbedtls_pk_free(&ca);
}

static void usage_of_the_certificate_is_verified(void **state)
{
    (void)state;
    for (size_t i = 0; i < LL_COUNT(usages) * LL_COUNT(versions); i++) {
        const struct usage_case *c = &usages[i / 2];
        if (c->key_usage == MBEDTLS_X509_KU_KEY_CERT_SIGN && i % 2 == 0) {
            continue; /* with TLS 1.2 openssl does not use such a certificate itself */
        }
        const char *const more[] = {"-rev", versions[i % 2].flag, NULL};
        struct tls_fixture f;
        struct test_leaf files;
        struct s_server s;
        tls_fixture_open(&f, true);
        test_certs_leaf(&f.certs, &good, &files);
        rewrite(&f.certs, &files, c);
        if (!s_server_open(&s, files.cert, files.key, more)) {
            tls_fixture_close(&f);
            fail_msg("openssl s_server does not start (scripts/deps test installs it)");
        }
        if (c->msg == NULL) {
            exchange(&f, s.port, versions[i % 2].name, false);
        } else {
            assert_int_equal(tls_fixture_connect(&f, "hook.test", s.port), ERR_TLS);
            assert_string_equal(f.err.msg, c->msg);
        }
        s_server_close(&s);
        tls_fixture_close(&f);
    }
}

int main(void)
{
    log_setup(LOG_ERROR, false);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resumes_with_openssl),
        cmocka_unit_test(server_without_tickets_is_not_resumed),
        cmocka_unit_test(many_tickets_are_fine),
        cmocka_unit_test(old_versions_are_refused),
        cmocka_unit_test(usage_of_the_certificate_is_verified),
    };
    return cmocka_run_group_tests_name("net_tls_openssl", tests, NULL, NULL);
}
