/* SPDX-License-Identifier: Apache-2.0 */
/* TCP streams over loopback: both ends are in this process, on one loop. Time is moved by hand, and
 * the sockets' buffers are bounded, so neither the machine's speed nor its settings matter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "longline/check.h"
#include "longline/listener.h"
#include "longline/mem.h"
#include "net/tcp.h"
#include "peer.h"
#include "test_sockets.h"
#include "test_wait.h"

#define WAIT_MS 30000
#define BIG     (6u << 20) /* beyond BOUNDED_MAX, within STREAM_MAX_PENDING */

static int64_t now_ns;

static int64_t still_ns(void *ctx)
{
    (void)ctx;
    return now_ns;
}

static const struct clock still = {.wall_ns = still_ns, .mono_ns = still_ns};

/* A connected pair of sockets: `a` dialed, `b` was accepted. */
struct fixture {
    struct loop *l;
    struct listener *ls;
    union addr addr;
    struct peer a;
    struct peer b;
    struct stream *dialed;
    struct stream *accepted;
    int connect_err;
    bool connect_done;
    bool listener_gone;
};

static void on_stream(void *ctx, struct stream *s)
{
    struct fixture *f = ctx;
    LL_ASSERT(f->accepted == NULL);
    f->accepted = s;
}

static void on_connect(void *ctx, int err)
{
    struct fixture *f = ctx;
    LL_ASSERT(!f->connect_done);
    f->connect_done = true;
    f->connect_err = err;
}

static void on_listener_gone(void *ctx)
{
    struct fixture *f = ctx;
    f->listener_gone = true;
}

static void open_fixture(struct fixture *f)
{
    memset(f, 0, sizeof(*f));
    assert_int_equal(loop_open(&f->l, &still), 0);
    peer_init(&f->a, f->l);
    peer_init(&f->b, f->l);
    struct listener_options o = {.on_stream = on_stream, .ctx = f};
    assert_int_equal(addr_parse(&o.addr, STR("127.0.0.1:0")), 0);
    struct err_detail err;
    assert_int_equal(listener_open(&f->ls, f->l, &o, &err), 0);
    listener_addr(f->ls, &f->addr);
    assert_true(addr_port(&f->addr) != 0);
    test_sockets_bound(addr_port(&f->addr));
}

static bool both_ends(void *ctx)
{
    const struct fixture *f = ctx;
    return f->connect_done && f->accepted != NULL;
}

static void connect_fixture(struct fixture *f)
{
    open_fixture(f);
    assert_int_equal(tcp_connect(&f->dialed, f->l, &f->addr, on_connect, f), 0);
    assert_false(f->connect_done);
    assert_true(wait_until(f->l, both_ends, f, WAIT_MS));
    assert_int_equal(f->connect_err, 0);
    test_sockets_bound(addr_port(&f->addr));
    f->a.s = f->dialed;
    f->b.s = f->accepted;
}

static void close_fixture(struct fixture *f)
{
    peer_fini(&f->a);
    peer_fini(&f->b);
    listener_close(f->ls, on_listener_gone, f);
    assert_true(wait_flag(f->l, &f->listener_gone, WAIT_MS));
    loop_free(f->l);
}

/* Whatever is due happens, then time moves. */
static void advance_ms(struct fixture *f, int64_t ms)
{
    for (int i = 0; i < 3; i++) {
        (void)loop_turn(f->l, false);
    }
    now_ns += ms * 1000000;
    for (int i = 0; i < 3; i++) {
        (void)loop_turn(f->l, false);
    }
}

static bool all_has_come(void *ctx)
{
    const struct fixture *f = ctx;
    return test_sockets_unacked(addr_port(&f->addr)) == 0;
}

static bool all_is_read(void *ctx)
{
    const struct fixture *f = ctx;
    return all_has_come(ctx) && test_sockets_unread(addr_port(&f->addr)) == 0;
}

/* ---- tests ---- */

static void bytes_go_both_ways(void **state)
{
    (void)state;
    struct fixture f;
    connect_fixture(&f);
    peer_take(&f.a, f.dialed);
    peer_take(&f.b, f.accepted);
    assert_int_equal(listener_n_streams(f.ls), 1);
    const struct str parts[3] = {STR("one "), STR(""), STR("two")};
    assert_int_equal(stream_write(f.a.s, parts, 3), 0);
    assert_int_equal(stream_pending(f.a.s), 0);
    assert_true(peer_wait_bytes(&f.b, 7, WAIT_MS));
    assert_memory_equal(f.b.got.p, "one two", 7);
    assert_int_equal(peer_send(&f.b, "answer"), 0);
    assert_true(peer_wait_bytes(&f.a, 6, WAIT_MS));
    struct stream_info info;
    stream_get_info(f.a.s, &info);
    assert_false(info.is_tls);
    assert_int_equal(addr_port(&info.peer), addr_port(&f.addr));
    stream_get_info(f.b.s, &info);
    assert_int_equal(info.peer.v4.sin_addr.s_addr, htonl(INADDR_LOOPBACK));
    close_fixture(&f);
}

static void many_parts_keep_their_order(void **state)
{
    (void)state;
    struct fixture f;
    connect_fixture(&f);
    peer_take(&f.b, f.accepted);
    char text[100];
    pattern_fill(text, sizeof(text), 0);
    struct str parts[100];
    for (size_t i = 0; i < 100; i++) {
        parts[i] = str_of(text + i, 1);
    }
    peer_own(&f.a, f.dialed);
    assert_int_equal(stream_write(f.a.s, parts, 100), 0);
    assert_true(peer_wait_bytes(&f.b, 100, WAIT_MS));
    assert_memory_equal(f.b.got.p, text, 100);
    close_fixture(&f);
}

static void large_output_waits_and_drains(void **state)
{
    (void)state;
    struct fixture f;
    connect_fixture(&f);
    peer_own(&f.a, f.dialed);
    f.b.keep = false;
    f.b.stop_every = 100000; /* a reader that pauses */
    f.b.stop_at = 100000;
    peer_take(&f.b, f.accepted);
    char *data = mem_alloc(BIG);
    pattern_fill(data, BIG, 0);
    const struct str parts[2] = {str_of(data, 1000), str_of(data + 1000, BIG - 2000)};
    assert_int_equal(stream_write(f.a.s, parts, 2), 0);
    assert_true(stream_pending(f.a.s) >= BIG - BOUNDED_MAX);
    const struct str tail = str_of(data + (BIG - 1000), 1000);
    assert_int_equal(stream_write(f.a.s, &tail, 1), 0); /* behind what waits */
    assert_true(peer_wait_bytes(&f.b, BIG, WAIT_MS));
    assert_int_equal(f.b.n_got, BIG);
    assert_int_equal(f.b.sum, pattern_sum(BIG));
    assert_int_equal(stream_pending(f.a.s), 0);
    assert_int_equal(f.a.n_drain, 1);
    mem_free(data);
    close_fixture(&f);
}

static void too_much_waiting_is_refused(void **state)
{
    (void)state;
    struct fixture f;
    connect_fixture(&f);
    peer_own(&f.a, f.dialed);
    peer_own(&f.b, f.accepted); /* never reads */
    char *data = mem_zalloc(STREAM_MAX_PENDING);
    const struct str all = str_of(data, STREAM_MAX_PENDING);
    assert_int_equal(stream_write(f.a.s, &all, 1), 0);
    int rc = 0;
    for (int i = 0; i < 16 && rc == 0; i++) {
        rc = stream_write(f.a.s, &all, 1);
    }
    assert_int_equal(rc, ERR_TOO_BIG);
    assert_true(stream_pending(f.a.s) <= STREAM_MAX_PENDING);
    mem_free(data);
    close_fixture(&f);
}

static void stopped_stream_gets_nothing(void **state)
{
    (void)state;
    struct fixture f;
    connect_fixture(&f);
    peer_own(&f.a, f.dialed);
    peer_take(&f.b, f.accepted);
    stream_read_stop(f.b.s);
    assert_int_equal(peer_send(&f.a, "x"), 0);
    stream_close_graceful(f.a.s);
    wait_ms(f.l, 30);
    assert_int_equal(f.b.n_data, 0);
    assert_int_equal(f.b.n_end, 0);
    assert_int_equal(stream_read_start(f.b.s), 0);
    assert_true(peer_wait_end(&f.b, WAIT_MS));
    assert_int_equal(f.b.n_got, 1);
    assert_int_equal(f.b.end_err, 0);
    close_fixture(&f);
}

static void graceful_close_flushes_first(void **state)
{
    (void)state;
    struct fixture f;
    connect_fixture(&f);
    peer_own(&f.a, f.dialed);
    f.b.keep = false;
    f.b.close_on_end = true;
    peer_take(&f.b, f.accepted);
    char *data = mem_alloc(BIG);
    pattern_fill(data, BIG, 0);
    const struct str part = str_of(data, BIG);
    assert_int_equal(stream_write(f.a.s, &part, 1), 0);
    stream_close_graceful(f.a.s);
    stream_close_graceful(f.a.s);
    assert_int_equal(peer_send(&f.a, "late"), ERR_CLOSED);
    assert_int_equal(f.a.n_closed, 0);
    assert_true(peer_wait_closed(&f.b, WAIT_MS));
    assert_int_equal(f.b.n_got, BIG);
    assert_int_equal(f.b.sum, pattern_sum(BIG));
    assert_int_equal(f.b.end_err, 0);
    assert_true(peer_wait_closed(&f.a, WAIT_MS));
    assert_int_equal(f.a.n_drain, 0);
    mem_free(data);
    close_fixture(&f);
}

/* What the peer still sends after our goodbye must not become a reset that destroys it. */
static void goodbye_survives_late_input(void **state)
{
    (void)state;
    struct fixture f;
    connect_fixture(&f);
    peer_own(&f.a, f.dialed);
    peer_own(&f.b, f.accepted);
    assert_int_equal(peer_send(&f.a, "unread request"), 0);
    assert_int_equal(peer_send(&f.b, "answer"), 0);
    stream_close_graceful(f.b.s);
    wait_ms(f.l, 20);
    assert_int_equal(peer_send(&f.a, "more of the request"), 0);
    wait_ms(f.l, 20);
    assert_int_equal(stream_read_start(f.a.s), 0);
    assert_true(peer_wait_end(&f.a, WAIT_MS));
    assert_int_equal(f.a.end_err, 0);
    assert_int_equal(f.a.n_got, 6);
    close_fixture(&f);
}

struct sender {
    struct stream *s;
    const char *chunk;
    size_t left;
};

#define CHUNK (256u << 10)

/* Sends as the socket takes it, so that the far end always has something to read. */
static bool all_sent(void *ctx)
{
    struct sender *sd = ctx;
    while (sd->left > 0 && stream_pending(sd->s) == 0) {
        const struct str part = str_of(sd->chunk, CHUNK);
        if (stream_write(sd->s, &part, 1) != 0) {
            return true;
        }
        sd->left -= CHUNK;
    }
    return sd->left == 0 && stream_pending(sd->s) == 0;
}

/* A client that sends a large request to the end before it looks for the answer gets the answer. */
static void goodbye_waits_for_a_large_request(void **state)
{
    (void)state;
    struct fixture f;
    connect_fixture(&f);
    peer_own(&f.a, f.dialed);
    peer_own(&f.b, f.accepted);
    char *chunk = mem_zalloc(CHUNK);
    struct sender sd = {.s = f.a.s, .chunk = chunk};
    assert_int_equal(peer_send(&f.b, "answer"), 0);
    stream_close_graceful(f.b.s);
    for (int i = 0; i < 3; i++) { /* longer in all than the silence that is waited out */
        sd.left = BIG;
        assert_true(wait_until(f.l, all_sent, &sd, WAIT_MS));
        assert_int_equal(sd.left, 0);
        advance_ms(&f, 600);
    }
    assert_int_equal(stream_read_start(f.a.s), 0);
    assert_true(peer_wait_end(&f.a, WAIT_MS));
    assert_int_equal(f.a.end_err, 0);
    assert_int_equal(f.a.n_got, 6);
    mem_free(chunk);
    close_fixture(&f);
}

/* One that does not come to an end is not read for ever: by what it sends, ... */
struct endless {
    struct sender sd;
    const struct peer *far;
};

static bool is_cut_off(void *ctx)
{
    struct endless *e = ctx;
    (void)all_sent(&e->sd);
    return e->far->n_closed != 0;
}

static void goodbye_has_a_bound_in_bytes(void **state)
{
    (void)state;
    struct fixture f;
    connect_fixture(&f);
    peer_own(&f.a, f.dialed);
    peer_own(&f.b, f.accepted);
    char *chunk = mem_zalloc(CHUNK);
    struct endless e = {.sd = {.s = f.a.s, .chunk = chunk, .left = 1u << 30}, .far = &f.b};
    stream_close_graceful(f.b.s);
    assert_true(wait_until(f.l, is_cut_off, &e, WAIT_MS));
    assert_in_range(e.sd.left, 1, (1u << 30) - (64u << 20));
    mem_free(chunk);
    close_fixture(&f);
}

/* ... and by time, when it is never silent for long. */
static void goodbye_has_a_bound_in_time(void **state)
{
    (void)state;
    struct fixture f;
    connect_fixture(&f);
    peer_own(&f.a, f.dialed);
    peer_own(&f.b, f.accepted);
    stream_close_graceful(f.b.s);
    for (int64_t ms = 0; ms < 9900; ms += 900) {
        assert_int_equal(f.b.n_closed, 0);
        assert_int_equal(peer_send(&f.a, "x"), 0);
        assert_true(wait_until(f.l, all_is_read, &f, WAIT_MS));
        advance_ms(&f, 900);
    }
    assert_int_equal(f.b.n_closed, 0);
    assert_int_equal(peer_send(&f.a, "x"), 0);
    assert_true(wait_until(f.l, all_is_read, &f, WAIT_MS));
    advance_ms(&f, 100);
    assert_true(peer_wait_closed(&f.b, WAIT_MS));
    close_fixture(&f);
}

static void graceful_close_gives_a_silent_peer_a_second(void **state)
{
    (void)state;
    struct fixture f;
    connect_fixture(&f);
    peer_own(&f.a, f.dialed);
    peer_own(&f.b, f.accepted); /* never reads */
    char *data = mem_zalloc(BIG);
    const struct str part = str_of(data, BIG);
    assert_int_equal(stream_write(f.a.s, &part, 1), 0);
    assert_true(stream_pending(f.a.s) >= BIG - BOUNDED_MAX);
    stream_close_graceful(f.a.s);
    advance_ms(&f, 999);
    assert_int_equal(f.a.n_closed, 0);
    /* A second after its kernel took the last of it, which may have been late. */
    for (int64_t ms = 1000; ms < 9900 && f.a.n_closed == 0; ms += 100) {
        advance_ms(&f, 100);
    }
    assert_true(peer_wait_closed(&f.a, WAIT_MS));
    mem_free(data);
    close_fixture(&f);
}

static void reset_is_an_error(void **state)
{
    (void)state;
    struct fixture f;
    connect_fixture(&f);
    peer_take(&f.a, f.dialed);
    peer_own(&f.b, f.accepted);
    assert_int_equal(peer_send(&f.a, "unread"), 0);
    assert_true(wait_until(f.l, all_has_come, &f, WAIT_MS));
    stream_close(f.b.s); /* with unread input: the kernel sends a reset */
    assert_true(peer_wait_end(&f.a, WAIT_MS));
    assert_int_equal(f.a.end_err, ERR_RESET);
    close_fixture(&f);
}

static void closing_in_an_event_is_allowed(void **state)
{
    (void)state;
    struct fixture f;
    connect_fixture(&f);
    peer_own(&f.a, f.dialed);
    f.b.close_on_data = true;
    peer_take(&f.b, f.accepted);
    assert_int_equal(peer_send(&f.a, "x"), 0);
    assert_true(peer_wait_closed(&f.b, WAIT_MS));
    assert_int_equal(f.b.n_data, 1);
    assert_int_equal(f.b.n_end, 0);
    close_fixture(&f);
}

static void refused_connection_is_reported_once(void **state)
{
    (void)state;
    struct fixture f;
    open_fixture(&f);
    /* A port that is bound but does not listen. */
    const int fd = socket(AF_INET, SOCK_STREAM, 0);
    union addr a;
    socklen_t len = sizeof(a);
    assert_int_equal(addr_parse(&a, STR("127.0.0.1:0")), 0);
    assert_int_equal(bind(fd, &a.sa, sizeof(a.v4)), 0);
    assert_int_equal(getsockname(fd, &a.sa, &len), 0);
    assert_int_equal(tcp_connect(&f.dialed, f.l, &a, on_connect, &f), 0);
    peer_own(&f.a, f.dialed);
    assert_true(wait_flag(f.l, &f.connect_done, WAIT_MS));
    assert_int_equal(f.connect_err, ERR_REFUSED);
    (void)close(fd);
    close_fixture(&f);
}

/* Runs the life of a connection for n turns, then closes everything, in two ways. */
static void close_at_every_step(void **state)
{
    (void)state;
    for (int graceful = 0; graceful < 2; graceful++) {
        for (int turns = 0; turns < 12; turns++) {
            struct fixture f;
            open_fixture(&f);
            assert_int_equal(tcp_connect(&f.dialed, f.l, &f.addr, on_connect, &f), 0);
            peer_own(&f.a, f.dialed);
            bool started = false;
            for (int i = 0; i < turns; i++) {
                (void)loop_turn(f.l, false);
                if (f.connect_done && f.accepted != NULL && !started) {
                    started = true;
                    peer_take(&f.a, f.dialed);
                    f.b.echo = true;
                    peer_take(&f.b, f.accepted);
                    (void)peer_send(&f.a, "ping");
                }
            }
            const bool done_before = f.connect_done;
            if (graceful != 0) {
                stream_close_graceful(f.a.s);
            } else {
                stream_close(f.a.s);
            }
            stream_close(f.a.s);
            assert_int_equal(f.a.n_closed, 0);
            assert_true(peer_wait_closed(&f.a, WAIT_MS));
            assert_int_equal(f.connect_done, done_before);
            if (f.accepted == NULL) {
                wait_ms(f.l, 10);
            }
            if (f.accepted != NULL && f.b.s == NULL) {
                peer_own(&f.b, f.accepted);
            }
            close_fixture(&f);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_go_both_ways),
        cmocka_unit_test(many_parts_keep_their_order),
        cmocka_unit_test(large_output_waits_and_drains),
        cmocka_unit_test(too_much_waiting_is_refused),
        cmocka_unit_test(stopped_stream_gets_nothing),
        cmocka_unit_test(graceful_close_flushes_first),
        cmocka_unit_test(goodbye_survives_late_input),
        cmocka_unit_test(goodbye_waits_for_a_large_request),
        cmocka_unit_test(goodbye_has_a_bound_in_bytes),
        cmocka_unit_test(goodbye_has_a_bound_in_time),
        cmocka_unit_test(graceful_close_gives_a_silent_peer_a_second),
        cmocka_unit_test(reset_is_an_error),
        cmocka_unit_test(closing_in_an_event_is_allowed),
        cmocka_unit_test(refused_connection_is_reported_once),
        cmocka_unit_test(close_at_every_step),
    };
    return cmocka_run_group_tests_name("net_stream", tests, NULL, NULL);
}
