/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Connections and the clock that drives them.
 *
 * All connections are opened first; when the last is up (or the connect time is over) the warm-up
 * begins, then the measured window, then the grace time for the last answers. Idle connections are
 * a stack. In open loop a timer of 100 us looks for events that are due; an event that finds no
 * idle connection is simply sent later, with its intended time. In closed loop the answer sends
 * the next.
 *
 * One read buffer and one request buffer serve all connections: what is read is parsed before the
 * callback returns, and a request goes to the kernel in one call unless the socket is full.
 */

#include "load.h"

#include <errno.h>
#include <llhttp.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define TICK_NS         100000 /* open loop: how often to look for due events */
#define HOUSEKEEPING_MS 10     /* reconnects, back-off, end of the phases */
#define CONNECT_NS      10000000000
#define RETRY_NS        50000000 /* before connecting again */
#define BACK_OFF_NS     10000000 /* after 429 or 5xx, closed loop */
#define READ_SIZE       65536u

enum conn_state { CONN_DOWN, CONN_CONNECTING, CONN_IDLE, CONN_BUSY, CONN_RESTING, CONN_CLOSING };

struct conn {
    uv_tcp_t tcp;
    uv_connect_t connect;
    llhttp_t parser;
    struct load *load;
    enum conn_state state;
    bool was_up;
    int64_t wake_ns;  /* CONN_DOWN and CONN_RESTING */
    struct mark mark; /* the event in flight */
    struct conn *next_idle;
};

struct load {
    uv_loop_t loop;
    uv_timer_t housekeeping;
    uv_poll_t tick;
    int tick_fd;
    const struct load_options *o;
    struct load_result *result;
    struct request request;
    llhttp_settings_t settings;
    struct sockaddr_storage addr;
    struct conn *conns;
    struct conn *idle;
    uint32_t n_up;
    uint64_t in_flight;
    uint64_t next_seq;
    int64_t opened_ns;
    int64_t start_ns; /* of the warm-up; 0 until then */
    int64_t measure_ns;
    int64_t end_ns;
    double next_due_ns; /* open loop, since start_ns */
    uint64_t random;
    bool is_measuring; /* the start of the window was announced */
    bool is_done;
    char read_buffer[READ_SIZE];
};

struct pending_write {
    uv_write_t req;
    char bytes[];
};

static void send_next(struct conn *c, int64_t intended_ns);
static void finish(struct load *l);

/* --- arrivals --------------------------------------------------------------------------------- */

/* xorshift64*: a uniform number in (0, 1]. The same arrivals in every run. */
static double next_uniform(struct load *l)
{
    l->random ^= l->random >> 12;
    l->random ^= l->random << 25;
    l->random ^= l->random >> 27;
    return (double)((l->random * UINT64_C(2685821657736338717) >> 11) + 1) * 0x1p-53;
}

static void advance_due(struct load *l)
{
    const double mean_ns = 1e9 / l->o->rate;
    l->next_due_ns += l->o->is_poisson ? -log(next_uniform(l)) * mean_ns : mean_ns;
}

static bool may_send(const struct load *l, int64_t now)
{
    if (l->start_ns == 0 || l->is_done) {
        return false;
    }
    if (l->o->accepted != 0 && l->result->accepted.set + l->in_flight >= l->o->accepted) {
        return false;
    }
    return l->o->rate > 0 || now < l->end_ns;
}

/* Sends what is due, as long as there are idle connections. */
static void pump(struct load *l)
{
    const int64_t now = bench_now_ns();
    while (l->idle != NULL && may_send(l, now)) {
        int64_t intended = now;
        if (l->o->rate > 0) {
            intended = l->start_ns + (int64_t)l->next_due_ns;
            if (intended > now || intended >= l->end_ns) {
                return;
            }
            advance_due(l);
        }
        struct conn *c = l->idle;
        l->idle = c->next_idle;
        send_next(c, intended);
    }
}

/* --- connections ------------------------------------------------------------------------------ */

static void on_closed(uv_handle_t *handle)
{
    struct conn *c = handle->data;
    c->state = CONN_DOWN;
    c->wake_ns = bench_now_ns() + RETRY_NS;
}

/* An event in flight is then of unknown outcome. */
static void conn_close(struct conn *c)
{
    struct load *l = c->load;
    if (c->state == CONN_CLOSING || c->state == CONN_DOWN) {
        return;
    }
    if (c->state == CONN_BUSY) {
        l->in_flight--;
        (void)bitmap_add(&l->result->unknown, c->mark.seq);
    }
    for (struct conn **at = &l->idle; *at != NULL; at = &(*at)->next_idle) {
        if (*at == c) {
            *at = c->next_idle;
            break;
        }
    }
    c->state = CONN_CLOSING;
    uv_close((uv_handle_t *)&c->tcp, on_closed);
}

static void become_idle(struct conn *c)
{
    c->state = CONN_IDLE;
    c->next_idle = c->load->idle;
    c->load->idle = c;
}

static void on_written(uv_write_t *req, int status)
{
    struct conn *c = req->data;
    free(req);
    if (status != 0) {
        conn_close(c);
    }
}

static void send_rest(struct conn *c, size_t done)
{
    const struct request *r = &c->load->request;
    struct pending_write *w = bench_alloc(sizeof *w + r->len - done);
    memcpy(w->bytes, r->bytes + done, r->len - done);
    w->req.data = c;
    const uv_buf_t buf = uv_buf_init(w->bytes, (unsigned)(r->len - done));
    if (uv_write(&w->req, (uv_stream_t *)&c->tcp, &buf, 1, on_written) != 0) {
        free(w);
        conn_close(c);
    }
}

static void send_next(struct conn *c, int64_t intended_ns)
{
    struct load *l = c->load;
    c->state = CONN_BUSY;
    c->mark = (struct mark){
        .is_measured = intended_ns >= l->measure_ns,
        .seq = l->next_seq++,
        .intended_ns = intended_ns,
    };
    l->in_flight++;
    l->result->sent++;
    l->result->measured_sent += c->mark.is_measured;
    request_patch(&l->request, &c->mark);
    const uv_buf_t buf = uv_buf_init(l->request.bytes, (unsigned)l->request.len);
    const int n = uv_try_write((uv_stream_t *)&c->tcp, &buf, 1);
    if (n < 0 && n != UV_EAGAIN) {
        conn_close(c);
    } else if (n < 0 || (size_t)n < l->request.len) {
        send_rest(c, n < 0 ? 0 : (size_t)n);
    }
}

static int on_answer(llhttp_t *parser)
{
    struct conn *c = parser->data;
    struct load *l = c->load;
    if (c->state != CONN_BUSY) {
        return -1; /* nothing was asked */
    }
    const unsigned status = parser->status_code;
    const int64_t now = bench_now_ns();
    l->in_flight--;
    l->result->statuses[status < LOAD_STATUSES ? status : 0]++;
    if (status == 202) {
        (void)bitmap_add(&l->result->accepted, c->mark.seq);
        if (c->mark.is_measured) {
            l->result->measured_accepted++;
            l->result->last_answer_ns = now;
            hdr_record(&l->result->publish, (uint64_t)(now - c->mark.intended_ns) / 1000);
        }
    }
    if (llhttp_should_keep_alive(parser) == 0) {
        c->state = CONN_IDLE;
        conn_close(c);
    } else if (l->o->rate <= 0 && (status == 429 || status >= 500)) {
        c->state = CONN_RESTING;
        c->wake_ns = now + BACK_OFF_NS;
    } else if (l->o->rate <= 0 && may_send(l, now)) {
        send_next(c, now);
    } else {
        become_idle(c);
    }
    return 0;
}

static void on_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *buf)
{
    (void)wanted;
    struct conn *c = handle->data;
    *buf = uv_buf_init(c->load->read_buffer, READ_SIZE);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct conn *c = stream->data;
    if (n == 0 || c->state == CONN_CLOSING) {
        return;
    }
    if (n < 0 || llhttp_execute(&c->parser, buf->base, (size_t)n) != HPE_OK) {
        conn_close(c);
        return;
    }
    if (c->load->o->rate > 0) {
        pump(c->load);
    }
}

static void on_connected(uv_connect_t *req, int status)
{
    struct conn *c = req->data;
    if (status == UV_ECANCELED) {
        return;
    }
    if (status != 0 || uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) != 0) {
        c->load->result->connect_errors++;
        conn_close(c);
        return;
    }
    (void)uv_tcp_nodelay(&c->tcp, 1);
    llhttp_init(&c->parser, HTTP_RESPONSE, &c->load->settings);
    c->parser.data = c;
    c->load->n_up += !c->was_up;
    c->was_up = true;
    become_idle(c);
    if (c->load->start_ns != 0) {
        pump(c->load);
    }
}

static void conn_open(struct conn *c)
{
    c->state = CONN_CONNECTING;
    c->connect.data = c;
    if (uv_tcp_init(&c->load->loop, &c->tcp) != 0) {
        bench_die("connect", "uv_tcp_init failed");
    }
    c->tcp.data = c;
    if (uv_tcp_connect(&c->connect, &c->tcp, (const struct sockaddr *)&c->load->addr,
                       on_connected) != 0) {
        c->load->result->connect_errors++;
        conn_close(c);
    }
}

/* --- time ------------------------------------------------------------------------------------- */

static void begin(struct load *l, int64_t now)
{
    l->start_ns = now;
    l->measure_ns = now + (int64_t)(l->o->warmup_s * 1e9);
    l->end_ns = l->measure_ns + (int64_t)(l->o->duration_s * 1e9);
    l->result->measure_start_ns = l->measure_ns;
    l->result->measure_end_ns = l->end_ns;
    if (l->o->rate > 0) {
        advance_due(l);
    }
    printf("{\"event\":\"begin\",\"connections\":%u}\n", l->n_up);
    (void)fflush(stdout);
    pump(l);
}

/* True when everything that was to be sent is sent and answered. */
static bool is_complete(const struct load *l, int64_t now)
{
    if (l->in_flight != 0) {
        return false;
    }
    if (l->o->accepted != 0 && l->result->accepted.set >= l->o->accepted) {
        return true;
    }
    return now >= l->end_ns &&
           (l->o->rate <= 0 || l->start_ns + (int64_t)l->next_due_ns >= l->end_ns);
}

static void wake_conns(struct load *l, int64_t now)
{
    for (uint32_t i = 0; i < l->o->connections; i++) {
        struct conn *c = &l->conns[i];
        if (c->state == CONN_DOWN && now >= c->wake_ns) {
            conn_open(c);
        } else if (c->state == CONN_RESTING && now >= c->wake_ns) {
            become_idle(c);
        }
    }
}

static void on_housekeeping(uv_timer_t *timer)
{
    struct load *l = timer->data;
    const int64_t now = bench_now_ns();
    if (l->is_done) {
        return;
    }
    wake_conns(l, now);
    if (l->start_ns == 0) {
        const bool late = now - l->opened_ns > CONNECT_NS;
        if (late && l->n_up == 0) {
            bench_die("connect", "nobody answers");
        }
        if (late || l->n_up == l->o->connections) {
            begin(l, now);
        }
        return;
    }
    if (!l->is_measuring && now >= l->measure_ns) {
        l->is_measuring = true;
        printf("{\"event\":\"measure\"}\n");
        (void)fflush(stdout);
    }
    const bool is_late = now >= l->end_ns + (int64_t)(l->o->grace_s * 1e9);
    if (is_complete(l, now) || is_late) {
        l->result->timed_out = l->o->accepted != 0 && l->result->accepted.set < l->o->accepted;
        finish(l);
        return;
    }
    pump(l);
}

static void on_tick(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    struct load *l = poll->data;
    uint64_t expirations = 0;
    if (read(l->tick_fd, &expirations, sizeof expirations) > 0) {
        pump(l);
    }
}

static void tick_start(struct load *l)
{
    l->tick_fd = -1;
    if (l->o->rate <= 0) {
        return;
    }
    const struct itimerspec every = {.it_interval.tv_nsec = TICK_NS, .it_value.tv_nsec = TICK_NS};
    l->tick_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (l->tick_fd < 0 || timerfd_settime(l->tick_fd, 0, &every, NULL) != 0 ||
        uv_poll_init(&l->loop, &l->tick, l->tick_fd) != 0) {
        bench_die("timerfd", strerror(errno));
    }
    l->tick.data = l;
    if (uv_poll_start(&l->tick, UV_READABLE, on_tick) != 0) {
        bench_die("timerfd", "cannot be polled");
    }
}

/* Counts what could not be sent, and closes everything. */
static void finish(struct load *l)
{
    l->is_done = true;
    while (l->o->rate > 0 && l->start_ns + (int64_t)l->next_due_ns < l->end_ns &&
           l->o->accepted == 0) {
        l->result->unsent++;
        advance_due(l);
    }
    uv_close((uv_handle_t *)&l->housekeeping, NULL);
    if (l->tick_fd >= 0) {
        uv_close((uv_handle_t *)&l->tick, NULL);
    }
    for (uint32_t i = 0; i < l->o->connections; i++) {
        conn_close(&l->conns[i]);
    }
}

static void resolve(struct load *l)
{
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    if (uv_ip4_addr(l->o->host, l->o->port, &v4) == 0) {
        memcpy(&l->addr, &v4, sizeof v4);
    } else if (uv_ip6_addr(l->o->host, l->o->port, &v6) == 0) {
        memcpy(&l->addr, &v6, sizeof v6);
    } else {
        bench_die("--host", "not an address");
    }
}

void load_run(const struct load_options *o, struct load_result *result)
{
    struct load *l = bench_alloc(sizeof *l);
    memset(l, 0, sizeof *l);
    l->o = o;
    l->result = result;
    l->next_seq = o->first_seq;
    l->random = UINT64_C(0x9e3779b97f4a7c15);
    request_init(&l->request, o);
    resolve(l);
    llhttp_settings_init(&l->settings);
    l->settings.on_message_complete = on_answer;
    if (uv_loop_init(&l->loop) != 0 || uv_timer_init(&l->loop, &l->housekeeping) != 0) {
        bench_die("uv_loop_init", "failed");
    }
    l->housekeeping.data = l;
    l->opened_ns = bench_now_ns();
    l->conns = bench_alloc(o->connections * sizeof *l->conns);
    memset(l->conns, 0, o->connections * sizeof *l->conns);
    for (uint32_t i = 0; i < o->connections; i++) {
        l->conns[i].load = l;
        conn_open(&l->conns[i]);
    }
    tick_start(l);
    (void)uv_timer_start(&l->housekeeping, on_housekeeping, HOUSEKEEPING_MS, HOUSEKEEPING_MS);
    (void)uv_run(&l->loop, UV_RUN_DEFAULT);
    if (l->tick_fd >= 0) {
        (void)close(l->tick_fd);
    }
    (void)uv_loop_close(&l->loop);
    request_fini(&l->request);
    free(l->conns);
    free(l);
}
