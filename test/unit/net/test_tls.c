/* SPDX-License-Identifier: Apache-2.0 */
/* TLS streams against our own server side. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "longline/check.h"
#include "longline/log.h"
#include "longline/mem.h"
#include "net/tcp.h"
#include "net/tls_impl.h"
#include "test_wait.h"
#include "tls_fixture.h"

#define BIG (5u << 20)

static const struct test_leaf_options good = {
    .file = "good", .dns = "hook.test", .ip = "127.0.0.1"};
static const char *const versions[] = {"TLSv1.2", "TLSv1.3"};

/* Sends text and waits for its echo; this also lets a TLS 1.3 ticket arrive. */
static void echo(struct peer *p, const char *text)
{
    const size_t before = p->n_got;
    assert_int_equal(peer_send(p, text), 0);
    assert_true(peer_wait_bytes(p, before + strlen(text), WAIT_MS));
}

static void speaks_each_version(void **state)
{
    (void)state;
    for (size_t i = 0; i < LL_COUNT(versions); i++) {
        struct tls_fixture f;
        tls_fixture_open(&f, true);
        tls_fixture_serve(&f, &good, versions[i]);
        assert_int_equal(tls_fixture_connect(&f, "hook.test", 0), 0);
        struct stream_info info;
        stream_get_info(f.s, &info);
        assert_true(info.is_tls);
        assert_false(info.resumed);
        assert_string_equal(info.tls_version, versions[i]);
        struct peer p;
        peer_init(&p, f.l);
        peer_take(&p, f.s);
        echo(&p, "hello");
        assert_memory_equal(p.got.p, "hello", 5);
        peer_fini(&p);
        struct tls_client_stats stats;
        tls_client_stats(f.client, &stats);
        assert_int_equal(stats.handshakes, 1);
        assert_int_equal(stats.failed, 0);
        tls_fixture_close(&f);
    }
}

static void client_of_one_version_meets_the_other(void **state)
{
    (void)state;
    struct tls_fixture f;
    tls_fixture_open(&f, true);
    tls_client_only(f.client, "TLSv1.3");
    tls_fixture_serve(&f, &good, "TLSv1.2");
    assert_int_equal(tls_fixture_connect(&f, "hook.test", 0), ERR_TLS);
    assert_true(f.err.msg[0] != '\0');
    tls_fixture_close(&f);
}

static void ip_literals_are_verified(void **state)
{
    (void)state;
    struct tls_fixture f;
    tls_fixture_open(&f, true);
    tls_fixture_serve(&f, &good, NULL);
    assert_int_equal(tls_fixture_connect(&f, "127.0.0.1", 0), 0);
    stream_close(f.s);
    assert_int_equal(tls_fixture_connect(&f, "127.0.0.2", 0), ERR_TLS);
    assert_string_equal(f.err.msg, "certificate is for another name");
    assert_int_equal(tls_fixture_connect(&f, "::1", 0), ERR_TLS);
    assert_int_equal(tls_fixture_connect(&f, "hook.test.", 0), 0); /* the root's dot is not part */
    stream_close(f.s);
    tls_fixture_close(&f);
}

struct bad_case {
    const char *name;
    struct test_leaf_options leaf;
    bool trust;
    const char *host;
    const char *msg;
};

static const struct bad_case bad_cases[] = {
    {"wrong name",
     {.file = "x", .dns = "other.test"},
     true,
     "hook.test",
     "certificate is for another name"},
    {"untrusted",
     {.file = "x", .dns = "hook.test"},
     false,
     "hook.test",
     "certificate issuer is not trusted"},
    {"expired",
     {.file = "x", .dns = "hook.test", .expired = true},
     true,
     "hook.test",
     "certificate has expired"},
    {"no name", {.file = "x"}, true, "hook.test", "certificate is for another name"},
    {"both",
     {.file = "x", .dns = "other.test", .expired = true},
     true,
     "hook.test",
     "certificate has expired, certificate is for another name"},
};

static void bad_certificates_are_refused_with_a_reason(void **state)
{
    (void)state;
    for (size_t i = 0; i < LL_COUNT(bad_cases); i++) {
        for (size_t v = 0; v < LL_COUNT(versions); v++) {
            const struct bad_case *c = &bad_cases[i];
            struct tls_fixture f;
            tls_fixture_open(&f, c->trust);
            tls_fixture_serve(&f, &c->leaf, versions[v]);
            if (tls_fixture_connect(&f, c->host, 0) != ERR_TLS) {
                fail_msg("%s: not refused", c->name);
            }
            assert_string_equal(f.err.msg, c->msg);
            assert_int_not_equal(f.err.foreign, 0);
            struct tls_client_stats stats;
            tls_client_stats(f.client, &stats);
            assert_int_equal(stats.failed, 1);
            tls_fixture_close(&f);
        }
    }
}

static void second_connection_is_resumed(void **state)
{
    (void)state;
    for (size_t i = 0; i < LL_COUNT(versions); i++) {
        struct tls_fixture f;
        tls_fixture_open(&f, true);
        tls_fixture_serve(&f, &good, versions[i]);
        for (int round = 0; round < 4; round++) {
            assert_int_equal(tls_fixture_connect(&f, "hook.test", 0), 0);
            struct stream_info info;
            stream_get_info(f.s, &info);
            assert_int_equal(info.resumed, round > 0);
            assert_string_equal(info.tls_version, versions[i]);
            struct peer p;
            peer_init(&p, f.l);
            peer_take(&p, f.s);
            echo(&p, "hello");
            stream_close_graceful(p.s);
            assert_true(peer_wait_closed(&p, WAIT_MS));
            peer_fini(&p);
        }
        /* Another name on the same port is another key. */
        assert_int_equal(tls_fixture_connect(&f, "127.0.0.1", 0), 0);
        struct stream_info info;
        stream_get_info(f.s, &info);
        assert_false(info.resumed);
        stream_close(f.s);
        struct tls_client_stats stats;
        tls_client_stats(f.client, &stats);
        assert_int_equal(stats.handshakes, 5);
        assert_int_equal(stats.resumed, 3);
        tls_fixture_close(&f);
    }
}

/* A server that lost its ticket keys: full handshake, no failure, and a new ticket. */
static void refused_ticket_falls_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < LL_COUNT(versions); i++) {
        struct tls_fixture f;
        tls_fixture_open(&f, true);
        tls_fixture_serve(&f, &good, versions[i]);
        for (int round = 0; round < 3; round++) {
            assert_int_equal(tls_fixture_connect(&f, "hook.test", 0), 0);
            struct stream_info info;
            stream_get_info(f.s, &info);
            assert_int_equal(info.resumed, round == 2);
            struct peer p;
            peer_init(&p, f.l);
            peer_take(&p, f.s);
            echo(&p, "hello");
            peer_fini(&p);
            if (round == 0) {
                tls_fixture_restart(&f);
            }
        }
        tls_fixture_close(&f);
    }
}

static void large_transfers_both_ways(void **state)
{
    (void)state;
    char *data = mem_alloc(BIG);
    pattern_fill(data, BIG, 0);
    const uint32_t sum = pattern_sum(BIG);
    for (size_t i = 0; i < LL_COUNT(versions); i++) {
        struct tls_fixture f;
        tls_fixture_open(&f, true);
        tls_fixture_serve(&f, &good, versions[i]);
        assert_int_equal(tls_fixture_connect(&f, "hook.test", 0), 0);
        struct peer p;
        peer_init(&p, f.l);
        p.keep = false;
        p.stop_every = 50000; /* pauses in the middle of records */
        p.stop_at = 1;
        peer_take(&p, f.s);
        const struct str parts[4] = {str_of(data, 10), str_of(data + 10, 100),
                                     str_of(data + 110, 40000), str_of(data + 40110, BIG - 40110)};
        assert_int_equal(stream_write(p.s, parts, 4), 0);
        assert_true(peer_wait_bytes(&p, BIG, WAIT_MS));
        assert_int_equal(f.echo.far.n_got, BIG);
        assert_int_equal(f.echo.far.sum, sum);
        assert_int_equal(p.n_got, BIG);
        assert_int_equal(p.sum, sum);
        assert_int_equal(stream_pending(p.s), 0);
        const struct str empty = STR("");
        assert_int_equal(stream_write(p.s, &empty, 1), 0);
        peer_fini(&p);
        tls_fixture_close(&f);
    }
    mem_free(data);
}

static void goodbye_and_truncation_are_told_apart(void **state)
{
    (void)state;
    for (size_t i = 0; i < LL_COUNT(versions); i++) {
        for (int graceful = 0; graceful < 2; graceful++) {
            struct tls_fixture f;
            tls_fixture_open(&f, true);
            tls_fixture_serve(&f, &good, versions[i]);
            assert_int_equal(tls_fixture_connect(&f, "hook.test", 0), 0);
            struct peer p;
            peer_init(&p, f.l);
            peer_take(&p, f.s);
            echo(&p, "hello");
            if (graceful != 0) {
                stream_close_graceful(f.echo.far.s);
            } else {
                stream_close(f.echo.far.s); /* FIN without close_notify */
            }
            assert_true(peer_wait_end(&p, WAIT_MS));
            assert_int_equal(p.end_err, graceful != 0 ? 0 : ERR_CLOSED);
            peer_fini(&p);
            tls_fixture_close(&f);
        }
    }
}

/* ---- servers that do not do what they should ---- */

struct odd_server {
    struct loop *l;
    struct listener *ls;
    uint16_t port;
    struct peer peer;
    const char *says;
    bool says_at_once;
    bool closes;
};

static void on_odd_stream(void *ctx, struct stream *s)
{
    struct odd_server *o = ctx;
    peer_init(&o->peer, o->l);
    peer_take(&o->peer, s);
    if (o->says != NULL) {
        (void)peer_send(&o->peer, o->says);
    }
    if (o->closes) {
        stream_close_graceful(s);
    }
}

static void odd_open(struct odd_server *o, struct loop *l)
{
    o->l = l;
    peer_init(&o->peer, l);
    struct listener_options lo = {.on_stream = on_odd_stream, .ctx = o};
    assert_int_equal(addr_parse(&lo.addr, STR("127.0.0.1:0")), 0);
    struct err_detail err;
    assert_int_equal(listener_open(&o->ls, l, &lo, &err), 0);
    union addr a;
    listener_addr(o->ls, &a);
    o->port = addr_port(&a);
}

static void odd_close(struct odd_server *o)
{
    peer_fini(&o->peer);
    listener_close(o->ls, NULL, NULL);
}

struct odd_case {
    const char *says;
    bool closes;
    int code;
    const char *msg; /* NULL: any */
};

static const struct odd_case odd_cases[] = {
    {"HTTP/1.1 400 Bad Request\r\n\r\n", false, ERR_TLS, "peer does not speak TLS"},
    {"220 mail.test ESMTP\r\n", true, ERR_TLS, "peer does not speak TLS"},
    {NULL, true, ERR_CLOSED, "peer closed the connection during the TLS handshake"},
    {"\x16\x03\x03", true, ERR_CLOSED, "peer closed the connection during the TLS handshake"},
    {"\x15\x03\x03\x01\x02\x02\x28", false, ERR_TLS, NULL}, /* length of 0x102: waits */
    {"\x16\x03\x03\x7f\x7f\x02 too long a record", false, ERR_TLS, NULL},
};

static void odd_servers_fail_cleanly(void **state)
{
    (void)state;
    struct tls_fixture f;
    tls_fixture_open(&f, true);
    for (size_t i = 0; i < LL_COUNT(odd_cases); i++) {
        const struct odd_case *c = &odd_cases[i];
        if (i == 4) {
            continue; /* see silent_server_waits */
        }
        struct odd_server o = {.says = c->says, .closes = c->closes};
        odd_open(&o, f.l);
        assert_int_equal(tls_fixture_connect(&f, "hook.test", o.port), c->code);
        if (c->msg != NULL) {
            assert_string_equal(f.err.msg, c->msg);
        }
        odd_close(&o);
    }
    tls_fixture_close(&f);
}

static void silent_server_waits_for_the_owner_to_give_up(void **state)
{
    (void)state;
    struct tls_fixture f;
    tls_fixture_open(&f, true);
    struct odd_server o = {.says = odd_cases[4].says};
    odd_open(&o, f.l);
    tls_fixture_start(&f, "hook.test", o.port);
    wait_ms(f.l, 50);
    assert_false(f.over);
    stream_close(f.s);
    wait_ms(f.l, 20);
    assert_false(f.over);
    odd_close(&o);
    tls_fixture_close(&f);
}

/* Closes after n turns, in the handshake or later, with and without ceremony. */
static void close_at_every_step(void **state)
{
    (void)state;
    struct tls_fixture f;
    tls_fixture_open(&f, true);
    tls_fixture_serve(&f, &good, NULL);
    for (int graceful = 0; graceful < 2; graceful++) {
        for (int turns = 0; turns < 25; turns++) {
            tls_fixture_start(&f, "hook.test", 0);
            struct peer p;
            peer_init(&p, f.l);
            bool taken = false;
            for (int i = 0; i < turns; i++) {
                (void)loop_turn(f.l, true);
                if (f.over && !taken) {
                    taken = true;
                    assert_int_equal(f.err.code, 0);
                    peer_take(&p, f.s);
                    (void)peer_send(&p, "ping");
                }
                if (p.n_got != 0) {
                    break;
                }
            }
            const bool over = f.over;
            if (!taken) {
                peer_own(&p, f.s);
            }
            if (graceful != 0) {
                stream_close_graceful(f.s);
            } else {
                stream_close(f.s);
            }
            assert_int_equal(p.n_closed, 0);
            assert_true(peer_wait_closed(&p, WAIT_MS));
            assert_int_equal(f.over, over);
            peer_fini(&p);
        }
    }
    tls_fixture_close(&f);
}

/* ---- many at the same time ---- */

#define N_MANY 40

struct many {
    struct tls_fixture *f;
    struct stream *s;
    bool over;
    int code;
    unsigned *n_over;
    struct peer far;
};

static void on_many_tls(void *ctx, const struct err_detail *err)
{
    struct many *m = ctx;
    m->over = true;
    m->code = err->code;
    (*m->n_over)++;
}

static void on_many_tcp(void *ctx, int err)
{
    struct many *m = ctx;
    LL_ASSERT(err == 0);
    const struct tls_target to = {.host = STR("hook.test"), .port = 443};
    m->s = tls_client_wrap(m->f->client, m->s, &to, on_many_tls, m);
}

static bool many_over(void *ctx)
{
    return *(const unsigned *)ctx == N_MANY / 2;
}

/* The server's side of N_MANY connections that stay open. */
static struct peer fars[N_MANY];
static size_t n_fars;

static void on_many_stream(void *ctx, struct stream *s)
{
    struct tls_fixture *f = ctx;
    peer_init(&fars[n_fars], f->l);
    fars[n_fars].close_on_end = true; /* one may come when its client has gone */
    peer_take(&fars[n_fars], s);
    n_fars++;
}

static bool all_taken(void *ctx)
{
    const struct tls_fixture *f = ctx;
    size_t n_open = 0;
    for (size_t i = 0; i < n_fars; i++) {
        n_open += fars[i].s != NULL ? 1 : 0;
    }
    return listener_n_streams(f->echo.ls) == n_open;
}

static void workers_serve_many_and_forget_the_abandoned(void **state)
{
    (void)state;
    struct tls_fixture f;
    tls_fixture_open(&f, true);
    struct test_leaf files;
    test_certs_leaf(&f.certs, &good, &files);
    struct err_detail err;
    const struct tls_server_options so = {.cert_file = files.cert, .key_file = files.key};
    assert_int_equal(tls_server_open(&f.server, f.l, &so, &err), 0);
    struct listener_options o = {.on_stream = on_many_stream, .ctx = &f, .tls = f.server};
    assert_int_equal(addr_parse(&o.addr, STR("127.0.0.1:0")), 0);
    assert_int_equal(listener_open(&f.echo.ls, f.l, &o, &err), 0);
    union addr a;
    listener_addr(f.echo.ls, &a);
    n_fars = 0;
    unsigned n_over = 0;
    static struct many many[N_MANY];
    for (size_t i = 0; i < N_MANY; i++) {
        many[i] = (struct many){.f = &f, .n_over = &n_over};
        assert_int_equal(tcp_connect(&many[i].s, f.l, &a, on_many_tcp, &many[i]), 0);
    }
    for (int i = 0; i < 3; i++) {
        (void)loop_turn(f.l, true);
    }
    for (size_t i = 0; i < N_MANY; i += 2) {
        if (many[i].over) {
            n_over--;
        }
        stream_close(many[i].s);
    }
    assert_true(wait_until(f.l, many_over, &n_over, WAIT_MS));
    for (size_t i = 1; i < N_MANY; i += 2) {
        assert_int_equal(many[i].code, 0);
        stream_close(many[i].s);
    }
    assert_true(wait_until(f.l, all_taken, &f, WAIT_MS));
    for (size_t i = 0; i < n_fars; i++) {
        peer_fini(&fars[i]);
    }
    tls_fixture_close(&f);
}

/* ---- files ---- */

static void unusable_files_are_explained(void **state)
{
    (void)state;
    struct tls_fixture f;
    tls_fixture_open(&f, true);
    struct tls_client *c = NULL;
    struct tls_identity *s = NULL;
    struct err_detail err;
    struct tls_client_options o = {.ca_only = true, .n_workers = 1};
    assert_int_equal(tls_client_open(&c, f.l, &o, &err), ERR_INVALID);
    o.ca_file = "/nonexistent/ca.pem";
    assert_int_equal(tls_client_open(&c, f.l, &o, &err), ERR_IO);
    assert_non_null(strstr(err.msg, "/nonexistent/ca.pem"));
    o.ca_file = f.certs.ca_key; /* not a certificate */
    assert_int_equal(tls_client_open(&c, f.l, &o, &err), ERR_SYNTAX);
    struct test_leaf a;
    struct test_leaf b;
    test_certs_leaf(&f.certs, &good, &a);
    const struct test_leaf_options other = {.file = "other", .dns = "other.test"};
    test_certs_leaf(&f.certs, &other, &b);
    assert_int_equal(tls_identity_open(&s, "/nonexistent/x", a.key, &err), ERR_IO);
    assert_int_equal(tls_identity_open(&s, a.cert, a.cert, &err), ERR_SYNTAX);
    assert_int_not_equal(tls_identity_open(&s, a.cert, b.key, &err), 0);
    assert_non_null(strstr(err.msg, "key of the certificate"));
    tls_fixture_close(&f);
}

/* ---- the cache of sessions ---- */

static struct blob *session(char c)
{
    struct blob *b = blob_new(1);
    assert_non_null(b);
    b->p[0] = (unsigned char)c;
    return b;
}

static char cached(struct tls_sessions *s, const char *key, int64_t now)
{
    struct blob *b = tls_sessions_get(s, str_c(key), now);
    const char c = b != NULL ? (char)b->p[0] : '-';
    tls_session_unref(b);
    return c;
}

static void sessions_are_bounded_and_expire(void **state)
{
    (void)state;
    struct tls_sessions *s = tls_sessions_new(2);
    tls_sessions_put(s, STR("a:1"), session('a'), 100);
    tls_sessions_put(s, STR("b:1"), session('b'), 200);
    assert_int_equal(cached(s, "a:1", 0), 'a');
    tls_sessions_put(s, STR("c:1"), session('c'), 300); /* b was used least recently */
    assert_int_equal(tls_sessions_count(s), 2);
    assert_int_equal(cached(s, "b:1", 0), '-');
    tls_sessions_put(s, STR("a:1"), session('A'), 100); /* the newest replaces */
    assert_int_equal(cached(s, "a:1", 99), 'A');
    assert_int_equal(cached(s, "a:1", 100), '-');
    assert_int_equal(tls_sessions_count(s), 1);
    tls_sessions_drop(s, STR("c:1"));
    tls_sessions_drop(s, STR("c:1"));
    assert_int_equal(tls_sessions_count(s), 0);
    tls_sessions_put(s, STR("d:1"), session('d'), 100);
    tls_sessions_free(s);
}

int main(void)
{
    log_setup(LOG_ERROR, false);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(speaks_each_version),
        cmocka_unit_test(client_of_one_version_meets_the_other),
        cmocka_unit_test(ip_literals_are_verified),
        cmocka_unit_test(bad_certificates_are_refused_with_a_reason),
        cmocka_unit_test(second_connection_is_resumed),
        cmocka_unit_test(refused_ticket_falls_back),
        cmocka_unit_test(large_transfers_both_ways),
        cmocka_unit_test(goodbye_and_truncation_are_told_apart),
        cmocka_unit_test(odd_servers_fail_cleanly),
        cmocka_unit_test(silent_server_waits_for_the_owner_to_give_up),
        cmocka_unit_test(close_at_every_step),
        cmocka_unit_test(workers_serve_many_and_forget_the_abandoned),
        cmocka_unit_test(unusable_files_are_explained),
        cmocka_unit_test(sessions_are_bounded_and_expire),
    };
    return cmocka_run_group_tests_name("net_tls", tests, NULL, NULL);
}
