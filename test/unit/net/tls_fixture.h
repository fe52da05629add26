/* SPDX-License-Identifier: Apache-2.0 */
/* A TLS client, a CA of its own, and connections to any port of this machine. */
#ifndef LL_TEST_NET_TLS_FIXTURE_H
#define LL_TEST_NET_TLS_FIXTURE_H

#include "echo_server.h"
#include "longline/tls.h"
#include "test_certs.h"

#define WAIT_MS 60000

struct tls_fixture {
    struct loop *l;
    struct test_certs certs;
    struct tls_client *client;
    struct tls_server *server; /* NULL until tls_fixture_serve */
    struct echo_server echo;
    struct test_leaf files;
    const char *version;
    size_t max_handshakes; /* of the server, 0: the default */
    unsigned n_workers;    /* of the server, 0: 2 */

    /* The connection under way. */
    struct stream *s;
    const char *host;
    uint16_t port;
    bool over;
    struct err_detail err;
};

void tls_fixture_open(struct tls_fixture *f, bool trust_ca);
void tls_fixture_close(struct tls_fixture *f);
/* Opens a server with such a certificate; version: NULL, "TLSv1.2" or "TLSv1.3". */
void tls_fixture_serve(struct tls_fixture *f, const struct test_leaf_options *leaf,
                       const char *version);
/* The server starts again with new ticket keys, on the same port. No stream may be open. */
void tls_fixture_restart(struct tls_fixture *f);
/* Connects to 127.0.0.1:port (0: the fixture's own server) and verifies `host`. The result is in
 * f->err; f->s is the stream, NULL after a failure. */
int tls_fixture_connect(struct tls_fixture *f, const char *host, uint16_t port);
/* The same without waiting. */
void tls_fixture_start(struct tls_fixture *f, const char *host, uint16_t port);

#endif
