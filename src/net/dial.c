/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Dialing.
 *
 *   LOOKUP  -> addresses
 *   CONNECT    each address is judged by the policy just before connect(2); a further one is tried
 *              250 ms after the last or when it failed; the first that connects wins, the others
 *              are closed
 *   TLS        handshake on a worker
 *
 * One deadline timer, set anew per phase; the wait for a lookup slot or for a worker is given on
 * top, and ends as ERR_BUSY when it takes most of the time all the same. What is given up (losing
 * connections, lookups, streams after a cancel) closes by itself, so a dial is freed at once when
 * it ends; it ends in finish() or in dial_cancel().
 */
#include "longline/dial.h"

#include "longline/check.h"
#include "longline/log.h"
#include "longline/mem.h"
#include "loop_impl.h"
#include "tcp.h"
#include "tls_impl.h"

#define DIAL_MAGIC      0x4449414cu
#define MAX_ATTEMPTS    4
#define NEXT_ADDR_MS    250
#define LOOKUP_SLACK_MS 1000

enum dial_phase { DIAL_START, DIAL_LOOKUP, DIAL_CONNECT, DIAL_TLS };

struct dialer {
    struct loop *loop;
    struct dialer_options o;
    size_t n_dials;
};

struct attempt {
    struct dial *d;
    struct stream *s; /* NULL: not open */
};

struct dial {
    unsigned magic;
    enum dial_phase phase;
    struct dialer *dialer;
    dial_fn fn;
    void *ctx;
    bool use_tls;
    uint16_t port;
    struct dns_query *query;
    struct timer deadline;
    struct timer next; /* starts the next address */
    struct loop_task task;
    union addr addrs[DNS_MAX_ADDRS];
    size_t n_addrs;
    size_t i_addr; /* next to try */
    struct attempt attempts[MAX_ATTEMPTS];
    size_t n_attempts;
    size_t n_open;
    struct stream *stream; /* connected; in the TLS phase, the TLS stream */
    int64_t phase_us;      /* when the phase began */
    int64_t allowed_ms;    /* what the TLS phase was given on top for its wait for a worker */
    struct dial_result result;
    size_t host_n;
    char host[TLS_HOST_MAX + 3];
};

/* ---- ends ---- */

static void close_attempts(struct dial *d)
{
    for (size_t i = 0; i < d->n_attempts; i++) {
        if (d->attempts[i].s != NULL) {
            stream_close(d->attempts[i].s);
            d->attempts[i].s = NULL;
        }
    }
    d->n_open = 0;
}

/* Everything but d->stream. */
static void release(struct dial *d)
{
    timer_stop(&d->deadline);
    timer_stop(&d->next);
    loop_task_cancel(&d->task);
    if (d->query != NULL) {
        dns_cancel(d->query);
    }
    close_attempts(d);
    d->dialer->n_dials--;
    d->magic = 0;
    mem_free(d);
}

/* d->result.err decides. */
static void finish(struct dial *d)
{
    struct dial_result r = d->result;
    const dial_fn fn = d->fn;
    void *const ctx = d->ctx;
    if (r.err.code == 0) {
        r.stream = d->stream;
    } else if (d->stream != NULL) {
        stream_close(d->stream);
    }
    release(d);
    fn(ctx, &r);
}

static int32_t phase_time(struct dial *d)
{
    const int64_t now = loop_mono_us(d->dialer->loop);
    const int64_t us = now - d->phase_us;
    d->phase_us = now;
    return us < INT32_MAX ? (int32_t)us : INT32_MAX;
}

static void set_phase(struct dial *d, enum dial_phase phase, int64_t timeout_ms)
{
    d->phase = phase;
    timer_in(&d->deadline, timeout_ms);
}

/* ---- TLS ---- */

static void on_tls(void *ctx, const struct err_detail *err)
{
    struct dial *d = ctx;
    LL_MAGIC_CHECK(d, DIAL_MAGIC);
    d->result.tls_us = phase_time(d);
    d->result.err = *err;
    finish(d);
}

static void start_tls(struct dial *d)
{
    set_phase(d, DIAL_TLS, d->dialer->o.tls_timeout_ms);
    const struct tls_target to = {.host = str_of(d->host, d->host_n), .port = d->port};
    d->stream = tls_client_wrap(d->dialer->o.tls, d->stream, &to, on_tls, d);
}

/* ---- connecting ---- */

/* The first failure that is not the policy's tells most. */
static void note_failure(struct dial *d, const union addr *a, int code, const char *reason)
{
    struct err_detail *e = &d->result.err;
    if (e->code != 0 && (e->code != ERR_BLOCKED || code == ERR_BLOCKED)) {
        return;
    }
    if (code == ERR_BLOCKED) {
        (void)err_set(e, code, 0, "address not allowed by policy (%s)", reason);
        return;
    }
    char text[ADDR_TEXT_MAX];
    (void)addr_format(text, a);
    (void)err_set(e, code, 0, "connect to %s: %s", text, err_text(code));
}

static void try_next(struct dial *d);

static void on_connect(void *ctx, int err)
{
    struct attempt *a = ctx;
    struct dial *d = a->d;
    LL_MAGIC_CHECK(d, DIAL_MAGIC);
    struct stream *s = a->s;
    if (err != 0) {
        struct stream_info info;
        stream_get_info(s, &info);
        note_failure(d, &info.peer, err, NULL);
        a->s = NULL;
        d->n_open--;
        stream_close(s);
        try_next(d);
        return;
    }
    a->s = NULL;
    d->n_open--;
    d->stream = s;
    timer_stop(&d->next);
    close_attempts(d);
    d->result.connect_us = phase_time(d);
    d->result.err = (struct err_detail){.code = 0};
    if (d->use_tls) {
        start_tls(d);
    } else {
        finish(d);
    }
}

/* Starts to connect to the next address that the policy allows. */
static bool start_attempt(struct dial *d)
{
    while (d->i_addr < d->n_addrs && d->n_attempts < MAX_ATTEMPTS) {
        const union addr *to = &d->addrs[d->i_addr++];
        const char *reason = NULL;
        if (egress_check(d->dialer->o.policy, to, &reason) != 0) {
            note_failure(d, to, ERR_BLOCKED, reason);
            log_debug("dial.blocked", LOG_STR("host", str_of(d->host, d->host_n)),
                      LOG_CSTR("reason", reason));
            continue;
        }
        struct attempt *a = &d->attempts[d->n_attempts];
        a->d = d;
        const int rc = tcp_connect(&a->s, d->dialer->loop, to, on_connect, a);
        if (rc == 0) {
            d->n_attempts++;
            d->n_open++;
            return true;
        }
        a->s = NULL;
        note_failure(d, to, rc, NULL);
    }
    return false;
}

static void try_next(struct dial *d)
{
    if (start_attempt(d)) {
        if (d->i_addr < d->n_addrs && d->n_attempts < MAX_ATTEMPTS) {
            timer_in(&d->next, NEXT_ADDR_MS);
        }
    } else if (d->n_open == 0) {
        d->result.connect_us = phase_time(d);
        finish(d);
    }
}

static void on_next(void *ctx)
{
    struct dial *d = ctx;
    LL_MAGIC_CHECK(d, DIAL_MAGIC);
    try_next(d);
}

static void start_connect(struct dial *d)
{
    set_phase(d, DIAL_CONNECT, d->dialer->o.connect_timeout_ms);
    for (size_t i = 0; i < d->n_addrs; i++) {
        addr_set_port(&d->addrs[i], d->port);
    }
    try_next(d);
}

/* ---- lookup ---- */

static void on_dns(void *ctx, const struct dns_result *r)
{
    struct dial *d = ctx;
    LL_MAGIC_CHECK(d, DIAL_MAGIC);
    d->query = NULL;
    d->result.dns_us = phase_time(d);
    if (r->err != 0 || r->n == 0) {
        (void)err_set(&d->result.err, r->err != 0 ? r->err : ERR_DNS, 0, "lookup: %s", r->msg);
        finish(d);
        return;
    }
    memcpy(d->addrs, r->addrs, sizeof(d->addrs));
    d->n_addrs = r->n;
    start_connect(d);
}

/* The wait for a worker is not the server's, so its time is given back, once. */
static bool extend_tls(struct dial *d)
{
    const int64_t queued_ms = tls_stream_queued_ms(d->stream);
    if (d->allowed_ms != 0 || queued_ms == 0) {
        return false;
    }
    d->allowed_ms = queued_ms;
    timer_in(&d->deadline, queued_ms);
    return true;
}

bool dial_is_held_up(const struct dial *d)
{
    LL_MAGIC_CHECK(d, DIAL_MAGIC);
    if (d->phase == DIAL_LOOKUP) {
        return d->query != NULL && dns_is_queued(d->query);
    }
    const int64_t phase_ms = (loop_mono_us(d->dialer->loop) - d->phase_us) / 1000;
    return d->phase == DIAL_TLS && tls_stream_queued_ms(d->stream) > phase_ms / 2;
}

static void on_deadline(void *ctx)
{
    struct dial *d = ctx;
    LL_MAGIC_CHECK(d, DIAL_MAGIC);
    const char *what = "connecting";
    if (d->phase == DIAL_TLS && extend_tls(d)) {
        return;
    }
    if (d->phase == DIAL_TLS && dial_is_held_up(d)) {
        d->result.tls_us = phase_time(d);
        (void)err_set(&d->result.err, ERR_BUSY, 0, "too many TLS handshakes under way");
        finish(d);
        return;
    }
    if (d->phase == DIAL_LOOKUP) {
        what = "name lookup";
        d->result.dns_us = phase_time(d);
    } else if (d->phase == DIAL_TLS) {
        what = "TLS handshake";
        d->result.tls_us = phase_time(d);
    } else {
        d->result.connect_us = phase_time(d);
    }
    (void)err_set(&d->result.err, ERR_TIMEOUT, 0, "%s timed out", what);
    finish(d);
}

/* ---- starting ---- */

/* For what is known at once and may not be told at once. */
static void on_task(void *ctx)
{
    struct dial *d = ctx;
    LL_MAGIC_CHECK(d, DIAL_MAGIC);
    if (d->result.err.code != 0) {
        finish(d);
    } else {
        start_connect(d);
    }
}

static void check_request(struct dial *d, struct str host)
{
    struct err_detail *e = &d->result.err;
    const struct dialer_options *o = &d->dialer->o;
    if (host.n == 0 || host.n > TLS_HOST_MAX) {
        (void)err_set(e, ERR_INVALID, 0, "host name has a wrong length");
    } else if (d->use_tls && o->tls == NULL) {
        (void)err_set(e, ERR_UNSUPPORTED, 0, "TLS is not set up");
    } else if (!d->use_tls && !o->policy->allow_http) {
        (void)err_set(e, ERR_BLOCKED, 0, "plain http is not allowed by policy");
    } else {
        memcpy(d->host, host.p, host.n);
        d->host_n = host.n;
    }
}

struct dial *dial_start(struct dialer *dialer, struct str host, uint16_t port, bool use_tls,
                        dial_fn fn, void *ctx)
{
    LL_DCHECK(loop_is_own_thread(dialer->loop));
    struct dial *d = mem_zalloc(sizeof(*d));
    d->magic = DIAL_MAGIC;
    d->dialer = dialer;
    d->fn = fn;
    d->ctx = ctx;
    d->use_tls = use_tls;
    d->port = port;
    timer_init(&d->deadline, dialer->loop, on_deadline, d);
    timer_init(&d->next, dialer->loop, on_next, d);
    loop_task_init(&d->task, on_task, d);
    dialer->n_dials++;
    d->phase_us = loop_mono_us(dialer->loop);
    check_request(d, host);
    if (d->result.err.code != 0) {
        loop_defer(dialer->loop, &d->task);
    } else if (addr_parse_ip(&d->addrs[0], host, port) == 0) {
        d->n_addrs = 1;
        loop_defer(dialer->loop, &d->task);
    } else {
        /* The resolver keeps the time, for the wait and for the lookup; this is its net. */
        set_phase(d, DIAL_LOOKUP, time_add(2 * dialer->o.dns_timeout_ms, LOOKUP_SLACK_MS));
        d->query = dns_lookup(dialer->o.dns, host, on_dns, d);
    }
    return d;
}

void dial_cancel(struct dial *d)
{
    LL_MAGIC_CHECK(d, DIAL_MAGIC);
    if (d->stream != NULL) {
        stream_close(d->stream);
    }
    release(d);
}

/* ---- the dialer ---- */

void dialer_open(struct dialer **out, struct loop *l, const struct dialer_options *o)
{
    LL_ASSERT(o->policy != NULL && o->dns != NULL);
    struct dialer *d = mem_zalloc(sizeof(*d));
    d->loop = l;
    d->o = *o;
    dialer_set_timeouts(d, o->dns_timeout_ms, o->connect_timeout_ms, o->tls_timeout_ms);
    *out = d;
}

void dialer_set_timeouts(struct dialer *d, int64_t dns_ms, int64_t connect_ms, int64_t tls_ms)
{
    d->o.dns_timeout_ms = dns_ms > 0 ? dns_ms : 3000;
    dns_set_timeout(d->o.dns, d->o.dns_timeout_ms);
    d->o.connect_timeout_ms = connect_ms > 0 ? connect_ms : 5000;
    d->o.tls_timeout_ms = tls_ms > 0 ? tls_ms : 5000;
}

void dialer_set_policy(struct dialer *d, const struct egress_policy *p)
{
    LL_ASSERT(p != NULL);
    d->o.policy = p;
}

const struct egress_policy *dialer_policy(const struct dialer *d)
{
    return d->o.policy;
}

void dialer_free(struct dialer *d)
{
    if (d != NULL) {
        LL_ASSERT(d->n_dials == 0);
        mem_free(d);
    }
}
