/* SPDX-License-Identifier: Apache-2.0 */
#include "tls_fixture.h"

#include <string.h>

#include "longline/check.h"
#include "net/tcp.h"
#include "net/tls_impl.h"
#include "test_wait.h"

void tls_fixture_open(struct tls_fixture *f, bool trust_ca)
{
    memset(f, 0, sizeof(*f));
    LL_ASSERT(loop_open(&f->l, NULL) == 0);
    echo_server_init(&f->echo, f->l);
    test_certs_make(&f->certs);
    struct test_certs other;
    test_certs_make(&other);
    const struct tls_client_options o = {
        .ca_file = trust_ca ? f->certs.ca : other.ca,
        .ca_only = true,
        .n_workers = 2,
    };
    struct err_detail err;
    LL_ASSERT(tls_client_open(&f->client, f->l, &o, &err) == 0);
    test_certs_remove(&other);
}

static void serve(struct tls_fixture *f, const union addr *a)
{
    struct err_detail err;
    const struct tls_server_options o = {.cert_file = f->files.cert,
                                         .key_file = f->files.key,
                                         .n_workers = f->n_workers != 0 ? f->n_workers : 2,
                                         .max_handshakes = f->max_handshakes};
    LL_ASSERT(tls_server_open(&f->server, f->l, &o, &err) == 0);
    if (f->version != NULL) {
        tls_server_only(f->server, f->version);
    }
    echo_server_listen(&f->echo, a, f->server);
}

void tls_fixture_serve(struct tls_fixture *f, const struct test_leaf_options *leaf,
                       const char *version)
{
    test_certs_leaf(&f->certs, leaf, &f->files);
    f->version = version;
    union addr a;
    LL_ASSERT(addr_parse(&a, STR("127.0.0.1:0")) == 0);
    serve(f, &a);
}

void tls_fixture_restart(struct tls_fixture *f)
{
    union addr a;
    listener_addr(f->echo.ls, &a);
    echo_server_stop(&f->echo);
    tls_server_free(f->server);
    serve(f, &a);
}

void tls_fixture_close(struct tls_fixture *f)
{
    echo_server_fini(&f->echo);
    tls_client_free(f->client);
    tls_server_free(f->server);
    loop_free(f->l);
    test_certs_remove(&f->certs);
}

static void on_tls(void *ctx, const struct err_detail *err)
{
    struct tls_fixture *f = ctx;
    LL_ASSERT(!f->over);
    f->over = true;
    f->err = *err;
    if (err->code != 0) {
        stream_close(f->s);
        f->s = NULL;
    }
}

static void on_tcp(void *ctx, int err)
{
    struct tls_fixture *f = ctx;
    LL_ASSERT(err == 0);
    const struct tls_target to = {.host = str_c(f->host), .port = f->port};
    f->s = tls_client_wrap(f->client, f->s, &to, on_tls, f);
}

void tls_fixture_start(struct tls_fixture *f, const char *host, uint16_t port)
{
    union addr a;
    if (port == 0) {
        listener_addr(f->echo.ls, &a);
    } else {
        LL_ASSERT(addr_parse_ip(&a, STR("127.0.0.1"), port) == 0);
    }
    f->host = host;
    f->port = addr_port(&a);
    f->over = false;
    memset(&f->err, 0, sizeof(f->err));
    LL_ASSERT(tcp_connect(&f->s, f->l, &a, on_tcp, f) == 0);
}

int tls_fixture_connect(struct tls_fixture *f, const char *host, uint16_t port)
{
    tls_fixture_start(f, host, port);
    LL_ASSERT(wait_flag(f->l, &f->over, WAIT_MS));
    return f->err.code;
}
