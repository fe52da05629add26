/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The TLS stream: a stream on a stream. All of it runs on the loop; the steps of a handshake are
 * handed to a worker together with the connection, as soon as a whole record has come.
 *
 *   HANDSHAKE --step done--> OPEN --close--> CLOSING (until the stream below has closed)
 *       |                      |
 *       +-- FAILED ------------+--> CLOSING
 *
 * On the server's side a handshake holds a place at the gate (tls_gate.h) until it is over.
 *
 * Encrypted input goes to mbedtls straight from the socket's buffer. What cannot be consumed at
 * once (a worker has the connection, or the owner stopped reading) waits in `rest`, and the stream
 * below is told to stop, so `rest` stays small.
 *
 * Reading goes on until the receive function itself has found nothing (conn->starved): mbedtls
 * returns WANT_READ also when a message that is not data, such as a session ticket, was dealt with
 * and more is waiting inside it.
 *
 * A record costs some microseconds, however small it is, and the other side decides how small. So
 * what one stream, and what all together, may take in a turn of the loop is bounded; the rest waits
 * in `rest` until the next turn.
 *
 * loop->tls_out is shared by all streams and therefore empty whenever other code may run.
 */
#include "longline/check.h"
#include "longline/mem.h"
#include "tls_impl.h"

#define TLS_MAGIC      0x544c5353u
#define REST_PAUSE     (16u << 10) /* handshake input waiting before the socket is left alone */
#define OUT_FLUSH      (64u << 10) /* encrypted output gathered before it goes down */
#define MAX_IDLE_CALLS 64
/* Calls of the receive function, two a record. */
#define READS_A_TURN   256  /* of a stream */
#define READS_ALL      2048 /* of all streams; then each still gets ... */
#define READS_LEAST    8
/* Alerts that reading has made us send. An old client may ask once for a new handshake. */
#define MAX_ANSWERS    8
/* Session tickets of TLS 1.3 come as often as the server likes; each costs the loop some 20 us. */
#define TICKETS_A_TURN 16
#define TICKETS_KEPT   8 /* of one connection; later ones are read and dropped */
#define MAX_TICKETS    1000
#define RECORD_HEADER  5
#define MAX_RECORD     (RECORD_HEADER + (16u << 10) + 2048)

enum tls_state { TLS_HANDSHAKE, TLS_OPEN, TLS_FAILED, TLS_CLOSING };

struct tls_stream {
    struct stream s; /* first */
    unsigned magic;
    enum tls_state state;
    bool with_worker; /* hands off conn */
    bool heard;       /* the peer has said something */
    bool not_tls;     /* and it was not TLS */
    bool answered;    /* and we have answered */
    bool too_long;    /* more came than a handshake may need */
    bool want_read;
    bool ended;
    bool lower_ended;
    bool choked; /* input waits for the next turn, and the stream below is stopped */
    int lower_err;
    struct loop *loop;
    struct stream *lower;
    struct tls_client *client; /* NULL on the server's side */
    struct tls_server *server; /* NULL on the client's side, and once the handshake is over */
    struct tls_place place;
    struct tls_workers *workers; /* of either; NULL when it may be gone */
    struct tls_conn *conn;
    unsigned n_tickets;
    unsigned n_answers;
    uint64_t turn;  /* of the loop, in which input was last taken ... */
    unsigned reads; /* ... by so many calls */
    struct buf rest;
    struct loop_task pump_task;
    tls_done_fn done;
    void *done_ctx;
};

static struct tls_stream *tls_of(struct stream *s)
{
    struct tls_stream *t = (struct tls_stream *)s;
    LL_MAGIC_CHECK(t, TLS_MAGIC);
    return t;
}

/* Sends what mbedtls has put into `out`. */
static int flush(struct tls_stream *t, struct buf *out)
{
    int rc = 0;
    if (out->n != 0) {
        const struct str part = buf_str(out);
        rc = stream_write(t->lower, &part, 1);
        buf_reset(out);
    }
    return rc;
}

/* ---- handshake ---- */

static void report(struct tls_stream *t, const struct err_detail *err)
{
    const tls_done_fn done = t->done;
    t->done = NULL;
    done(t->done_ctx, err);
}

/* The handshake is over, one way or another. A server may be gone before its connections. */
static void settle(struct tls_stream *t, int code)
{
    if (t->client != NULL) {
        tls_client_settle(t->client, t->conn);
    } else {
        tls_server_settle(t->server, code);
        tls_gate_leave(tls_server_gate(t->server), &t->place);
        t->server = NULL;
    }
}

static void fail(struct tls_stream *t, const struct err_detail *err)
{
    const struct err_detail copy = *err;
    t->state = TLS_FAILED;
    stream_read_stop(t->lower);
    t->conn->err = copy;
    settle(t, copy.code);
    report(t, &copy);
}

static void fail_text(struct tls_stream *t, int code, const char *text)
{
    struct err_detail err;
    (void)err_set(&err, code, 0, "%s", text);
    fail(t, &err);
}

static void opened(struct tls_stream *t)
{
    struct tls_conn *c = t->conn;
    t->state = TLS_OPEN;
    c->out = &t->loop->tls_out;
    settle(t, 0);
    if (t->client == NULL) {
        t->workers = NULL;
    }
    stream_read_stop(t->lower); /* until the owner reads */
    const struct err_detail ok = {.code = 0};
    report(t, &ok);
}

static void handshake_ended_early(struct tls_stream *t)
{
    if (t->lower_err != 0) {
        fail_text(t, t->lower_err, "connection failed during the TLS handshake");
    } else {
        fail_text(t, ERR_CLOSED, "peer closed the connection during the TLS handshake");
    }
}

/* The first byte of a record is 20 to 23. */
static bool not_tls(struct str first)
{
    return (unsigned char)first.p[0] < 20 || (unsigned char)first.p[0] > 23;
}

/* How many bytes of s are whole records. One that is longer than records may be counts as whole:
 * mbedtls will say so. */
static size_t whole_records(struct str s)
{
    size_t done = 0;
    while (s.n - done >= RECORD_HEADER) {
        const unsigned char *p = (const unsigned char *)s.p + done;
        const size_t n = RECORD_HEADER + ((size_t)p[3] << 8 | p[4]);
        if (n > MAX_RECORD) {
            return s.n;
        }
        if (n > s.n - done) {
            break;
        }
        done += n;
    }
    return done;
}

/* Hands the first n bytes of `rest` to a worker. */
static void step(struct tls_stream *t, size_t n)
{
    struct tls_conn *c = t->conn;
    if (t->too_long || buf_add(&c->hs_in, t->rest.p, n) != 0) {
        fail_text(t, ERR_TLS, "TLS handshake is too long");
        return;
    }
    buf_consume(&t->rest, n);
    t->with_worker = true;
    if (t->server != NULL) {
        tls_gate_works(&t->place);
    }
    tls_workers_step(t->workers, c);
}

/* Of the step that is under way or has just ended. */
static int64_t step_queued_ns(const struct tls_conn *c)
{
    const int64_t taken = atomic_load_explicit(&c->taken_ns, memory_order_relaxed);
    return (taken != 0 ? taken : clock_mono_ns(clock_system())) - c->posted_ns;
}

int64_t tls_stream_queued_ms(const struct stream *s)
{
    const struct tls_stream *t = (const struct tls_stream *)s;
    LL_MAGIC_CHECK(t, TLS_MAGIC);
    const struct tls_conn *c = t->conn;
    return (c->queued_ns + (t->with_worker ? step_queued_ns(c) : 0)) / 1000000;
}

void tls_stream_step_done(struct tls_stream *t)
{
    LL_MAGIC_CHECK(t, TLS_MAGIC);
    struct tls_conn *c = t->conn;
    c->queued_ns += step_queued_ns(c);
    t->with_worker = false;
    t->answered = true;
    if (t->server != NULL) {
        tls_gate_waits(tls_server_gate(t->server), &t->place);
    }
    const int rc = flush(t, &c->hs_out); /* a failed handshake has an alert to send */
    const size_t n_next = whole_records(buf_str(&t->rest));
    if (t->not_tls) {
        fail_text(t, ERR_TLS, "peer does not speak TLS");
    } else if (c->err.code != 0) {
        fail(t, &c->err);
    } else if (rc != 0) {
        fail_text(t, rc, "connection failed during the TLS handshake");
    } else if (c->handshaken) {
        /* Bytes behind the handshake go in front of those that have come since. */
        if (t->too_long || buf_add(&c->hs_in, t->rest.p, t->rest.n) != 0) {
            fail_text(t, ERR_TLS, "TLS handshake is too long");
            return;
        }
        buf_fini(&t->rest);
        t->rest = c->hs_in;
        buf_init(&c->hs_in, TLS_HS_MAX);
        buf_fini(&c->hs_out);
        opened(t);
    } else if (n_next != 0) {
        step(t, n_next);
        if (t->with_worker && !t->lower_ended) {
            (void)stream_read_start(t->lower);
        }
    } else if (t->lower_ended) {
        handshake_ended_early(t);
    } else {
        (void)stream_read_start(t->lower);
    }
}

static void handshake_input(struct tls_stream *t, struct str data)
{
    struct tls_workers *const w = t->workers;
    const int64_t start_ns = clock_thread_cpu_ns();
    if (!t->heard) {
        t->heard = true;
        t->not_tls = not_tls(data);
    }
    if (buf_add(&t->rest, data.p, data.n) != 0) {
        t->too_long = true;
    }
    if (t->with_worker) {
        if (t->too_long || t->rest.n >= REST_PAUSE) {
            stream_read_stop(t->lower);
        }
    } else if (t->not_tls) {
        fail_text(t, ERR_TLS, "peer does not speak TLS");
    } else {
        const size_t n = whole_records(buf_str(&t->rest));
        if (n != 0) {
            step(t, n);
        }
    }
    tls_workers_note_loop(w, start_ns);
}

/* A client that goes before it was answered spares us the answer. */
static bool cancel_answer(struct tls_stream *t)
{
    if (t->server == NULL || t->answered || !tls_workers_cancel(t->workers, t->conn)) {
        return false;
    }
    t->with_worker = false;
    return true;
}

void tls_stream_evict(struct tls_place *place)
{
    struct tls_stream *t = LL_CONTAINER(place, struct tls_stream, place);
    LL_MAGIC_CHECK(t, TLS_MAGIC);
    LL_ASSERT(!t->with_worker);
    fail_text(t, ERR_BUSY, "gave its place to another handshake");
}

/* ---- reading ---- */

static void end(struct tls_stream *t, int err)
{
    if (t->ended || t->state != TLS_OPEN) {
        return;
    }
    t->ended = true;
    t->want_read = false;
    stream_read_stop(t->lower);
    if (t->s.ev != NULL) {
        t->s.ev->on_end(t->s.ctx, err);
    }
}

static int end_code(const struct tls_stream *t, int rc)
{
    if (rc == MBEDTLS_ERR_SSL_PEER_CLOSE_NOTIFY) {
        return 0;
    }
    if (rc == 0 || rc == MBEDTLS_ERR_SSL_CONN_EOF) {
        /* No close_notify: the stream may have been cut. */
        return t->lower_err != 0 ? t->lower_err : ERR_CLOSED;
    }
    return ERR_TLS;
}

/* False: that was too many. */
static bool take_ticket(struct tls_stream *t)
{
    if (t->client != NULL && t->n_tickets < TICKETS_KEPT) {
        tls_client_ticket(t->client, t->conn);
    }
    return ++t->n_tickets <= MAX_TICKETS;
}

/* Goes on in the next turn; the others have theirs first. */
static void choke(struct tls_stream *t)
{
    t->choked = true;
    stream_read_stop(t->lower);
    loop_defer(t->loop, &t->pump_task);
}

static unsigned budget(const struct tls_stream *t)
{
    const unsigned all = t->loop->tls_reads < READS_ALL ? READS_ALL - t->loop->tls_reads : 0;
    const unsigned own = READS_A_TURN - t->reads;
    const unsigned least = t->reads < READS_LEAST ? READS_LEAST - t->reads : 0;
    const unsigned n = all > least ? all : least;
    return n < own ? n : own;
}

/* A turn may call for the same stream twice: from the poll, and for what was put off there. */
static void take_budget(struct tls_stream *t)
{
    struct loop *l = t->loop;
    if (l->tls_turn != l->turn) {
        l->tls_turn = l->turn;
        l->tls_reads = 0;
    }
    if (t->turn != l->turn) {
        t->turn = l->turn;
        t->reads = 0;
    }
    const unsigned n = budget(t);
    t->conn->reads = n;
    t->conn->paused = false;
    t->reads += n;
    l->tls_reads += n;
}

static void give_back_budget(struct tls_stream *t)
{
    t->reads -= t->conn->reads;
    t->loop->tls_reads -= t->conn->reads;
}

/* Reading makes mbedtls send nothing but alerts, which nobody needs to be sent for ever. */
static bool answers_too_much(struct tls_stream *t)
{
    if (t->conn->out->n != 0) {
        t->n_answers++;
    }
    (void)flush(t, t->conn->out);
    return t->n_answers > MAX_ANSWERS;
}

/* Decrypts and delivers what conn->in holds, while somebody wants it. */
static void read_all(struct tls_stream *t)
{
    struct tls_conn *c = t->conn;
    unsigned idle = 0;
    unsigned tickets = 0;
    while (t->state == TLS_OPEN && t->want_read && idle < MAX_IDLE_CALLS) {
        c->starved = false;
        const int rc =
            mbedtls_ssl_read(&c->ssl, (unsigned char *)t->loop->plain_buf, LOOP_PLAIN_BUF);
        if (answers_too_much(t)) {
            end(t, ERR_TLS);
        } else if (rc > 0) {
            idle = 0;
            t->s.ev->on_data(t->s.ctx, t->loop->plain_buf, (size_t)rc);
        } else if (rc == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET) {
            if (!take_ticket(t)) {
                end(t, ERR_TLS);
            } else if (++tickets == TICKETS_A_TURN) {
                choke(t);
                return;
            }
        } else if (rc == MBEDTLS_ERR_SSL_WANT_READ && c->paused) {
            choke(t);
            return;
        } else if (rc == MBEDTLS_ERR_SSL_WANT_READ || rc == MBEDTLS_ERR_SSL_WANT_WRITE) {
            idle++;
            if (c->starved) {
                return;
            }
        } else {
            end(t, end_code(t, rc));
        }
    }
    if (idle == MAX_IDLE_CALLS) {
        end(t, ERR_TLS);
    }
}

/* `fresh` comes from the socket, behind what waits in `rest`. */
static void pump(struct tls_stream *t, struct str fresh)
{
    struct tls_conn *c = t->conn;
    const bool from_rest = t->rest.n != 0;
    if (from_rest && buf_add(&t->rest, fresh.p, fresh.n) != 0) {
        end(t, ERR_TOO_BIG);
        return;
    }
    c->in = from_rest ? buf_str(&t->rest) : fresh;
    c->in_eof = t->lower_ended;
    t->choked = false;
    take_budget(t);
    read_all(t);
    if (t->state != TLS_OPEN) {
        return; /* closed by its owner; c has gone */
    }
    give_back_budget(t);
    const struct str left = c->in;
    c->in = STR_NULL;
    if (from_rest) {
        buf_consume(&t->rest, t->rest.n - left.n);
        if (t->rest.n == 0) {
            buf_fini(&t->rest);
            buf_init(&t->rest, TLS_HS_MAX);
        }
    } else if (left.n != 0 && !t->ended && buf_add(&t->rest, left.p, left.n) != 0) {
        end(t, ERR_TOO_BIG);
    }
}

static void on_pump(void *ctx)
{
    struct tls_stream *t = ctx;
    LL_MAGIC_CHECK(t, TLS_MAGIC);
    if (t->state == TLS_OPEN && t->want_read) {
        pump(t, STR_NULL);
    }
    if (t->state == TLS_OPEN && t->want_read && !t->choked && !t->lower_ended) {
        (void)stream_read_start(t->lower);
    }
}

static int tls_read_start(struct stream *s)
{
    struct tls_stream *t = tls_of(s);
    if (t->state != TLS_OPEN) {
        return ERR_CLOSED;
    }
    LL_ASSERT(s->ev != NULL);
    if (t->ended || t->want_read) {
        return 0;
    }
    t->want_read = true;
    /* No event of the socket will announce what is already here. */
    if (t->rest.n != 0 || t->lower_ended || mbedtls_ssl_check_pending(&t->conn->ssl) != 0) {
        loop_defer(t->loop, &t->pump_task); /* and then reading goes on below */
        return 0;
    }
    return stream_read_start(t->lower);
}

static void tls_read_stop(struct stream *s)
{
    struct tls_stream *t = tls_of(s);
    t->want_read = false;
    loop_task_cancel(&t->pump_task);
    if (t->state == TLS_OPEN) {
        stream_read_stop(t->lower);
    }
}

/* ---- writing ---- */

static int write_record(struct tls_stream *t, const char *p, size_t n)
{
    struct tls_conn *c = t->conn;
    unsigned idle = 0;
    while (n != 0) {
        const int rc = mbedtls_ssl_write(&c->ssl, (const unsigned char *)p, n);
        if (rc > 0) {
            p += rc;
            n -= (size_t)rc;
            idle = 0;
        } else if (rc == MBEDTLS_ERR_SSL_RECEIVED_NEW_SESSION_TICKET && take_ticket(t)) {
            continue;
        } else if ((rc != MBEDTLS_ERR_SSL_WANT_READ && rc != MBEDTLS_ERR_SSL_WANT_WRITE) ||
                   ++idle == MAX_IDLE_CALLS) {
            buf_reset(c->out);
            return ERR_TLS;
        }
        if (c->out->n >= OUT_FLUSH) {
            const int rc_flush = flush(t, c->out);
            if (rc_flush != 0) {
                return rc_flush;
            }
        }
    }
    return 0;
}

/* Small parts are put together: a request is one record and one segment. */
static int write_parts(struct tls_stream *t, const struct str *parts, size_t n_parts)
{
    char *const gather = t->loop->gather_buf;
    size_t used = 0;
    for (size_t i = 0; i < n_parts; i++) {
        struct str part = parts[i];
        while (part.n != 0) {
            int rc = 0;
            if (used == 0 && part.n >= LOOP_PLAIN_BUF) {
                rc = write_record(t, part.p, LOOP_PLAIN_BUF);
                part = str_of(part.p + LOOP_PLAIN_BUF, part.n - LOOP_PLAIN_BUF);
            } else {
                const size_t room = LOOP_PLAIN_BUF - used;
                const size_t take = part.n < room ? part.n : room;
                memcpy(gather + used, part.p, take);
                used += take;
                part = str_of(part.p + take, part.n - take);
                if (used == LOOP_PLAIN_BUF) {
                    rc = write_record(t, gather, used);
                    used = 0;
                }
            }
            if (rc != 0) {
                return rc;
            }
        }
    }
    return write_record(t, gather, used);
}

static int tls_write(struct stream *s, const struct str *parts, size_t n_parts)
{
    struct tls_stream *t = tls_of(s);
    if (t->state != TLS_OPEN) {
        return ERR_CLOSED;
    }
    size_t total = 0;
    for (size_t i = 0; i < n_parts; i++) {
        total += parts[i].n;
    }
    if (total > STREAM_MAX_PENDING || stream_pending(t->lower) > STREAM_MAX_PENDING - total) {
        return ERR_TOO_BIG;
    }
    int rc = write_parts(t, parts, n_parts);
    const int rc_flush = flush(t, t->conn->out);
    if (rc == 0) {
        rc = rc_flush;
    }
    return rc;
}

static size_t tls_pending(const struct stream *s)
{
    const struct tls_stream *t = (const struct tls_stream *)s;
    LL_MAGIC_CHECK(t, TLS_MAGIC);
    return stream_pending(t->lower);
}

/* ---- events of the stream below ---- */

static void on_lower_data(void *ctx, const char *p, size_t n)
{
    struct tls_stream *t = ctx;
    LL_MAGIC_CHECK(t, TLS_MAGIC);
    if (t->state == TLS_OPEN) {
        pump(t, str_of(p, n));
    } else if (t->state == TLS_HANDSHAKE) {
        handshake_input(t, str_of(p, n));
    }
}

static void on_lower_end(void *ctx, int err)
{
    struct tls_stream *t = ctx;
    LL_MAGIC_CHECK(t, TLS_MAGIC);
    t->lower_ended = true;
    t->lower_err = err;
    if (t->state == TLS_HANDSHAKE && (!t->with_worker || cancel_answer(t))) {
        handshake_ended_early(t);
    } else if (t->state == TLS_OPEN && t->want_read) {
        pump(t, STR_NULL);
    } else if (t->state == TLS_OPEN && err != 0) {
        end(t, err);
    }
}

static void on_lower_drain(void *ctx)
{
    struct tls_stream *t = ctx;
    LL_MAGIC_CHECK(t, TLS_MAGIC);
    if (t->state == TLS_OPEN && t->s.ev != NULL && t->s.ev->on_drain != NULL) {
        t->s.ev->on_drain(t->s.ctx);
    }
}

static void on_lower_closed(void *ctx)
{
    struct tls_stream *t = ctx;
    LL_MAGIC_CHECK(t, TLS_MAGIC);
    const struct stream_events *ev = t->s.ev;
    void *const ev_ctx = t->s.ctx;
    t->magic = 0;
    mem_free(t);
    if (ev != NULL && ev->on_closed != NULL) {
        ev->on_closed(ev_ctx);
    }
}

static const struct stream_events lower_events = {
    .on_data = on_lower_data,
    .on_end = on_lower_end,
    .on_drain = on_lower_drain,
    .on_closed = on_lower_closed,
};

/* ---- closing ---- */

static void let_conn_go(struct tls_stream *t)
{
    struct tls_conn *c = t->conn;
    t->conn = NULL;
    c->stream = NULL; /* for a step that has begun */
    if (t->with_worker && !tls_workers_cancel(t->workers, c)) {
        return;
    }
    if (t->workers != NULL) {
        tls_workers_discard(t->workers, c);
    } else {
        tls_conn_free(c);
    }
}

static void tls_close(struct stream *s, bool graceful)
{
    struct tls_stream *t = tls_of(s);
    if (t->state != TLS_CLOSING) {
        if (graceful && t->state == TLS_OPEN && t->lower_err == 0) {
            (void)mbedtls_ssl_close_notify(&t->conn->ssl);
            (void)flush(t, t->conn->out);
        }
        if (t->server != NULL) {
            settle(t, ERR_CLOSED);
        }
        t->state = TLS_CLOSING;
        t->want_read = false;
        loop_task_cancel(&t->pump_task);
        buf_fini(&t->rest);
        let_conn_go(t);
    }
    if (graceful) {
        stream_close_graceful(t->lower);
    } else {
        stream_close(t->lower);
    }
}

static void tls_info(const struct stream *s, struct stream_info *out)
{
    const struct tls_stream *t = (const struct tls_stream *)s;
    LL_MAGIC_CHECK(t, TLS_MAGIC);
    stream_get_info(t->lower, out);
    out->is_tls = true;
    if (t->state == TLS_OPEN) {
        out->resumed = t->client != NULL && !t->conn->cert_seen;
        out->tls_version = mbedtls_ssl_get_version(&t->conn->ssl);
    }
}

/* ---- making ---- */

static const struct stream_ops tls_ops = {
    .write = tls_write,
    .pending = tls_pending,
    .read_start = tls_read_start,
    .read_stop = tls_read_stop,
    .close = tls_close,
    .info = tls_info,
};

static struct tls_stream *tls_new(struct loop *l, struct stream *lower, tls_done_fn done, void *ctx)
{
    struct tls_stream *t = mem_zalloc(sizeof(*t));
    t->s.ops = &tls_ops;
    t->magic = TLS_MAGIC;
    t->loop = l;
    t->lower = lower;
    t->done = done;
    t->done_ctx = ctx;
    buf_init(&t->rest, TLS_HS_MAX);
    loop_task_init(&t->pump_task, on_pump, t);
    lower->ev = &lower_events;
    lower->ctx = t;
    return t;
}

struct stream *tls_client_wrap(struct tls_client *c, struct stream *lower,
                               const struct tls_target *to, tls_done_fn done, void *ctx)
{
    const int64_t start_ns = clock_thread_cpu_ns();
    struct tls_stream *t = tls_new(tls_client_loop(c), lower, done, ctx);
    t->client = c;
    t->workers = tls_client_workers(c);
    t->conn = tls_client_conn(c, to);
    t->conn->stream = t;
    step(t, 0);
    /* A failure shows when the client hello is written. */
    (void)stream_read_start(lower);
    tls_workers_note_loop(t->workers, start_ns);
    return &t->s;
}

struct stream *tls_server_wrap(struct tls_server *s, struct stream *lower, tls_done_fn done,
                               void *ctx)
{
    struct stream_info info;
    stream_get_info(lower, &info);
    struct tls_stream *t = tls_new(tls_server_loop(s), lower, done, ctx);
    t->server = s;
    t->workers = tls_server_workers(s);
    t->conn = tls_server_conn(s, &info.peer);
    t->conn->stream = t;
    tls_gate_enter(tls_server_gate(s), &t->place, t->conn->peer);
    (void)stream_read_start(lower);
    return &t->s;
}
