/* SPDX-License-Identifier: Apache-2.0 */
/* What an open TLS connection can make the loop do: records without end, and alerts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>
#include <mbedtls/psa_util.h>
#include <mbedtls/ssl.h>

#include "longline/check.h"
#include "longline/log.h"
#include "net/tls_impl.h"
#include "test_wait.h"
#include "tls_fixture.h"

#define N_CONNS            40
#define N_RECORDS          1000
/* See tls_stream.c: two reads a record. */
#define RECORDS_TURN       128
#define RECORDS_ALL        1024
#define LEAST              4

#define RENEGOTIATION_DONE 2 /* as in the library's ssl_misc.h */

static const struct test_leaf_options good = {
    .file = "good", .dns = "hook.test", .ip = "127.0.0.1"};

/* The server's side of connections that stay open. */
static struct peer fars[N_CONNS];
static size_t n_fars;

static void on_stream(void *ctx, struct stream *s)
{
    struct tls_fixture *f = ctx;
    peer_init(&fars[n_fars], f->l);
    fars[n_fars].close_on_end = true;
    peer_take(&fars[n_fars], s);
    n_fars++;
}

static void serve(struct tls_fixture *f)
{
    struct listener_options o = {.on_stream = on_stream, .ctx = f};
    const struct tls_server_options so = {.cert_file = f->files.cert, .key_file = f->files.key};
    test_certs_leaf(&f->certs, &good, &f->files);
    assert_int_equal(tls_server_open(&f->server, f->l, &so, &f->err), 0);
    o.tls = f->server;
    assert_int_equal(addr_parse(&o.addr, STR("127.0.0.1:0")), 0);
    assert_int_equal(listener_open(&f->echo.ls, f->l, &o, &f->err), 0);
    n_fars = 0;
}

static size_t n_received(void)
{
    size_t n = 0;
    for (size_t i = 0; i < n_fars; i++) {
        n += fars[i].n_got;
    }
    return n;
}

static bool all_taken(void *ctx)
{
    return n_fars == *(const size_t *)ctx;
}

/* What the turns of the loop have taken. A call of loop_turn begins with the end of one turn and
 * goes on with the next one's poll, so the loop's own count tells them apart. */
struct turns {
    struct loop_hook hook;
    const struct loop *l;
    uint64_t turn;
    size_t before; /* this turn */
    size_t now;
    size_t most; /* in one turn */
};

static void on_turn_end(void *ctx)
{
    struct turns *t = ctx;
    if (t->turn != t->l->turn) {
        t->turn = t->l->turn;
        t->before = t->now;
    }
    t->now = n_received();
    t->most = t->now - t->before > t->most ? t->now - t->before : t->most;
}

static void count_turns(struct turns *t, struct loop *l)
{
    *t = (struct turns){.hook = {.fn = on_turn_end, .ctx = t}, .l = l, .turn = l->turn};
    loop_hook_add(l, &t->hook);
}

/* n_conns send N_RECORDS records of a byte each at once; no turn takes more than most of them. */
static void send_tiny_records(size_t n_conns, size_t most)
{
    static struct peer near[N_CONNS];
    struct tls_fixture f;
    struct turns turns;
    tls_fixture_open(&f, true);
    serve(&f);
    for (size_t i = 0; i < n_conns; i++) {
        assert_int_equal(tls_fixture_connect(&f, "hook.test", 0), 0);
        peer_init(&near[i], f.l);
        peer_take(&near[i], f.s);
    }
    assert_true(wait_until(f.l, all_taken, &n_conns, WAIT_MS));
    for (size_t i = 0; i < n_conns; i++) {
        for (unsigned k = 0; k < N_RECORDS; k++) {
            assert_int_equal(peer_send(&near[i], "x"), 0);
        }
    }
    count_turns(&turns, f.l);
    while (turns.now < n_conns * N_RECORDS) {
        (void)loop_turn(f.l, true);
    }
    loop_hook_remove(f.l, &turns.hook);
    assert_in_range(turns.most, 1, most);
    for (size_t i = 0; i < n_conns; i++) {
        peer_fini(&near[i]);
        peer_fini(&fars[i]);
    }
    tls_fixture_close(&f);
}

static void tiny_records_of_one_have_a_budget(void **state)
{
    (void)state;
    send_tiny_records(1, RECORDS_TURN);
}

static void tiny_records_of_many_have_a_budget(void **state)
{
    (void)state;
    send_tiny_records(N_CONNS, RECORDS_ALL + N_CONNS * LEAST);
}

/* ---- a client of the library itself, which asks for new handshakes ---- */

struct raw_tls {
    struct tls_fixture *f;
    int fd;
    bool cut;
    mbedtls_ssl_config conf;
    mbedtls_ssl_context ssl;
};

static int raw_write(void *ctx, const unsigned char *p, size_t n)
{
    const struct raw_tls *r = ctx;
    return (int)send(r->fd, p, n, MSG_NOSIGNAL);
}

static int raw_read(void *ctx, unsigned char *p, size_t n)
{
    struct raw_tls *r = ctx;
    (void)loop_turn(r->f->l, false);
    const ssize_t got = recv(r->fd, p, n, MSG_DONTWAIT);
    r->cut = r->cut || got == 0;
    return got > 0 ? (int)got : got == 0 ? 0 : MBEDTLS_ERR_SSL_WANT_READ;
}

static void raw_open(struct raw_tls *r, struct tls_fixture *f)
{
    union addr to;
    *r = (struct raw_tls){.f = f};
    listener_addr(f->echo.ls, &to);
    r->fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(r->fd, &to.sa, sizeof(to.v4)), 0);
    mbedtls_ssl_config_init(&r->conf);
    mbedtls_ssl_init(&r->ssl);
    assert_int_equal(mbedtls_ssl_config_defaults(&r->conf, MBEDTLS_SSL_IS_CLIENT,
                                                 MBEDTLS_SSL_TRANSPORT_STREAM,
                                                 MBEDTLS_SSL_PRESET_DEFAULT),
                     0);
    mbedtls_ssl_conf_rng(&r->conf, mbedtls_psa_get_random, MBEDTLS_PSA_RANDOM_STATE);
    mbedtls_ssl_conf_authmode(&r->conf, MBEDTLS_SSL_VERIFY_NONE);
    mbedtls_ssl_conf_max_tls_version(&r->conf, MBEDTLS_SSL_VERSION_TLS1_2);
    mbedtls_ssl_conf_renegotiation(&r->conf, MBEDTLS_SSL_RENEGOTIATION_ENABLED);
    assert_int_equal(mbedtls_ssl_setup(&r->ssl, &r->conf), 0);
    assert_int_equal(mbedtls_ssl_set_hostname(&r->ssl, "hook.test"), 0);
    mbedtls_ssl_set_bio(&r->ssl, r, raw_write, raw_read, NULL);
    int rc = MBEDTLS_ERR_SSL_WANT_READ;
    while (rc == MBEDTLS_ERR_SSL_WANT_READ) {
        rc = mbedtls_ssl_handshake(&r->ssl);
    }
    assert_int_equal(rc, 0);
}

static void raw_close(struct raw_tls *r)
{
    (void)close(r->fd);
    mbedtls_ssl_free(&r->ssl);
    mbedtls_ssl_config_free(&r->conf);
}

/* Says hello anew, whatever was answered before. */
static void renegotiate(struct raw_tls *r)
{
    r->ssl.MBEDTLS_PRIVATE(state) = MBEDTLS_SSL_HANDSHAKE_OVER;
    r->ssl.MBEDTLS_PRIVATE(renego_status) = RENEGOTIATION_DONE;
    (void)mbedtls_ssl_renegotiate(&r->ssl);
}

static void new_handshakes_are_refused_a_few_times(void **state)
{
    (void)state;
    struct tls_fixture f;
    struct raw_tls r;
    char c = 0;
    tls_fixture_open(&f, true);
    tls_fixture_serve(&f, &good, NULL);
    raw_open(&r, &f);
    struct tls_server_stats before;
    tls_server_stats(f.server, &before);
    renegotiate(&r);
    for (int i = 0; i < 50; i++) {
        (void)loop_turn(f.l, false);
    }
    assert_non_null(f.echo.far.s); /* one is no crime */
    for (int i = 0; i < 10000 && f.echo.far.s != NULL; i++) {
        renegotiate(&r);
        (void)loop_turn(f.l, false);
    }
    assert_null(f.echo.far.s);
    struct tls_server_stats after;
    tls_server_stats(f.server, &after);
    assert_int_equal(after.steps, before.steps); /* and none was made */
    while (recv(r.fd, &c, 1, MSG_DONTWAIT) > 0) {
    }
    raw_close(&r);
    tls_fixture_close(&f);
}

int main(void)
{
    log_setup(LOG_ERROR, false);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiny_records_of_one_have_a_budget),
        cmocka_unit_test(tiny_records_of_many_have_a_budget),
        cmocka_unit_test(new_handshakes_are_refused_a_few_times),
    };
    return cmocka_run_group_tests_name("net_tls_flood", tests, NULL, NULL);
}
