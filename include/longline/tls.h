/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS 1.2 and 1.3 through Mbed TLS. Contexts hold certificates, settings and the client's session
 * cache; they are shared by many streams and outlive them. Handshakes, which cost milliseconds,
 * run on worker threads: the loop only moves bytes (see src/net/tls_worker.c).
 */
#ifndef LL_TLS_H
#define LL_TLS_H

#include <stdbool.h>

#include "longline/err.h"
#include "longline/loop.h"
#include "longline/str.h"

#define TLS_FILE_MAX ((size_t)16 << 20) /* bytes of a file with certificates or a key */

struct tls_client;
struct tls_server;

struct tls_client_options {
    const char *ca_file; /* PEM bundle in addition to (or, with ca_only, instead of) the system's */
    bool ca_only;
    unsigned n_workers;  /* handshake threads, 1..4 */
    size_t max_sessions; /* cached sessions, 0: 10000 */
};

/* Loads the CA certificates (system bundle: SSL_CERT_FILE or /etc/ssl/certs/ca-certificates.crt;
 * a missing system bundle is an error only when there is no ca_file). */
int tls_client_open(struct tls_client **out, struct loop *l, const struct tls_client_options *o,
                    struct err_detail *err) LL_MUST_USE;
/* All streams must be closed before. Joins the workers. */
void tls_client_free(struct tls_client *c);
/* Whether tls_client_open would find its certificates. */
int tls_client_check(const struct tls_client_options *o, struct err_detail *err) LL_MUST_USE;

struct tls_client_stats {
    uint64_t handshakes;
    uint64_t resumed;
    uint64_t failed;
    size_t queued;       /* waiting for a worker */
    int64_t max_loop_us; /* most processor time that one step of a handshake took on the loop */
};
void tls_client_stats(const struct tls_client *c, struct tls_client_stats *out);

/* A server identity: PEM certificate chain and key. Handshakes run on the loop: it serves the
 * receiver and small admin traffic. */
int tls_server_open(struct tls_server **out, const char *cert_file, const char *key_file,
                    struct err_detail *err) LL_MUST_USE;
void tls_server_free(struct tls_server *s); /* connections may still be open */
/* Connections to come get the certificate and key of `fresh`, which goes. False when they are those
 * that s has already. */
bool tls_server_renew(struct tls_server *s, struct tls_server *fresh);

#endif
