/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS 1.2 and 1.3 through Mbed TLS. Contexts hold certificates, settings and the client's session
 * cache; they are shared by many streams. Handshakes, which cost milliseconds, run on worker
 * threads: the loop only moves bytes (see src/net/tls_worker.c). Client and server have threads of
 * their own, so that a crowd on one side does not hold up the other.
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
struct tls_identity; /* a server's certificate chain and key */

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

/* Reads PEM files. */
int tls_identity_open(struct tls_identity **out, const char *cert_file, const char *key_file,
                      struct err_detail *err) LL_MUST_USE;
void tls_identity_unref(struct tls_identity *id); /* NULL is fine */

#define TLS_MAX_HANDSHAKES 1000

struct tls_server_options {
    const char *cert_file;
    const char *key_file;
    unsigned n_workers;    /* handshake threads, 1..4 */
    size_t max_handshakes; /* under way; a quarter of them from one address; 0: the above */
};

int tls_server_open(struct tls_server **out, struct loop *l, const struct tls_server_options *o,
                    struct err_detail *err) LL_MUST_USE;
/* Joins the workers. Handshakes are over or their streams closed; connections may still be open. */
void tls_server_free(struct tls_server *s);
/* Connections to come get the certificate and key of `fresh`, a reference that is taken over. False
 * when they are those that s has already. */
bool tls_server_renew(struct tls_server *s, struct tls_identity *fresh);

struct tls_server_stats {
    uint64_t handshakes; /* that succeeded */
    uint64_t failed;
    uint64_t refused; /* there were too many; those that had to go for others too */
    uint64_t steps;   /* of handshakes, done by the workers */
    size_t in_progress;
    size_t queued;       /* steps that wait for a worker */
    int64_t max_loop_us; /* most processor time that one step of a handshake took on the loop */
};
void tls_server_stats(const struct tls_server *s, struct tls_server_stats *out);

#endif
