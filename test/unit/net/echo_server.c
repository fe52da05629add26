/* SPDX-License-Identifier: Apache-2.0 */
#include "echo_server.h"

#include "longline/check.h"
#include "test_wait.h"

#define WAIT_MS 60000

void echo_server_init(struct echo_server *e, struct loop *l)
{
    *e = (struct echo_server){.l = l};
    peer_init(&e->far, l);
}

static void on_stream(void *ctx, struct stream *s)
{
    struct echo_server *e = ctx;
    if (e->far.s != NULL) {
        stream_close(s);
        return;
    }
    peer_fini(&e->far);
    peer_init(&e->far, e->l);
    e->far.echo = true;
    e->far.keep = false;
    e->far.close_on_end = true;
    peer_take(&e->far, s);
}

void echo_server_listen(struct echo_server *e, const union addr *a, struct tls_server *tls)
{
    const struct listener_options o = {.on_stream = on_stream, .ctx = e, .tls = tls, .addr = *a};
    struct err_detail err;
    LL_ASSERT(listener_open(&e->ls, e->l, &o, &err) == 0);
}

static void on_gone(void *ctx)
{
    struct echo_server *e = ctx;
    e->gone = true;
}

static bool no_streams(void *ctx)
{
    const struct echo_server *e = ctx;
    return listener_n_streams(e->ls) == 0;
}

void echo_server_stop(struct echo_server *e)
{
    peer_fini(&e->far);
    peer_init(&e->far, e->l);
    LL_ASSERT(wait_until(e->l, no_streams, e, WAIT_MS));
    e->gone = false;
    listener_close(e->ls, on_gone, e);
    LL_ASSERT(wait_flag(e->l, &e->gone, WAIT_MS));
    e->ls = NULL;
}

void echo_server_fini(struct echo_server *e)
{
    if (e->ls != NULL) {
        echo_server_stop(e);
    }
    peer_fini(&e->far);
}
