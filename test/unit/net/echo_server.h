/* SPDX-License-Identifier: Apache-2.0 */
/* A listener that echoes to one stream at a time; others are closed while it is open. */
#ifndef LL_TEST_NET_ECHO_SERVER_H
#define LL_TEST_NET_ECHO_SERVER_H

#include "longline/listener.h"
#include "peer.h"

struct echo_server {
    struct loop *l;
    struct listener *ls; /* NULL while it does not listen */
    struct peer far;
    bool gone;
};

void echo_server_init(struct echo_server *e, struct loop *l);
void echo_server_listen(struct echo_server *e, const union addr *a, struct tls_server *tls);
/* Until the listener and all its streams are gone; they hold the TLS server's context. */
void echo_server_stop(struct echo_server *e);
void echo_server_fini(struct echo_server *e); /* stops it if need be */

#endif
