/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Name resolution with c-ares on the loop.
 *
 *   lookup --> literal, localhost, cached: answered on the next turn
 *          --> job of that name under way: waits for it
 *          --> new job, QUEUED for a slot (dns_slots.c); an old answer serves instead of the wait
 *   QUEUED --slot--> ASKING: ares_getaddrinfo (A and AAAA)
 *   job ends: c-ares calls back, or the deadline passes, one for each of the two states. Its
 *   queries are answered on the next turn, never from inside c-ares, so a query's callback may do
 *   anything, closing the resolver included.
 *   A job whose deadline has passed while ASKING gives its slot back and is forgotten by name. It
 *   is LATE until c-ares has called back (single requests cannot be canceled there), which is set
 *   up to happen soon; its late answer still goes into the cache. When there are as many late ones
 *   as slots all the same, a new channel gets rid of them.
 *
 * Holds of the resolver: each socket handle until closed, and one until the task after dns_close.
 */
#include "longline/dns.h"

#include <ares.h>
#include <stdio.h>

#include "dns_cache.h"
#include "dns_slots.h"
#include "longline/check.h"
#include "longline/log.h"
#include "longline/mem.h"
#include "loop_impl.h"

#define DNS_MAGIC   0x444e5352u
#define QUERY_MAGIC 0x444e5351u
#define DEFAULT_MS  3000
#define TRIES       2 /* of each server; c-ares waits twice as long in the second round */
#define MAX_SERVERS 4 /* that share the time */

/* What c-ares sets by itself when it is given no flags. */
#if ARES_VERSION >= 0x011600
#define DEFAULT_FLAGS ARES_FLAG_EDNS
#else
#define DEFAULT_FLAGS 0
#endif

struct dns {
    unsigned magic;
    bool closing;
    bool replacing; /* the channel; what its end cuts off goes to `cut` */
    struct loop *loop;
    ares_channel channel;
    char *servers; /* NULL: the system's */
    struct dns_cache cache;
    struct dns_slots slots;
    struct map jobs; /* by name; not those that are late */
    struct list queued;
    struct list cut;
    size_t n_late;
    int64_t timeout_ms;
    struct loop_task start_task;
    struct list answered; /* queries whose task is due */
    struct list sockets;
    struct timer retry; /* when c-ares wants to look at its own timeouts */
    unsigned holds;
    struct loop_task final;
    void (*done)(void *ctx);
    void *done_ctx;
};

struct dns_socket {
    struct dns *d;
    ares_socket_t fd;
    uv_poll_t poll;
    struct list node;
};

enum job_state { JOB_QUEUED, JOB_ASKING, JOB_LATE };

struct dns_job {
    struct dns *d;
    enum job_state state;
    struct list node; /* QUEUED: d->queued; else d->cut */
    struct dns_turn turn;
    struct list queries;
    struct timer deadline;
    struct str name; /* in text, terminated */
    char text[DNS_NAME_MAX + 1];
};

struct dns_query {
    unsigned magic;
    struct dns *d;
    struct dns_job *job; /* NULL: answered */
    dns_fn fn;
    void *ctx;
    struct list node; /* in job->queries, then in d->answered */
    struct loop_task task;
    struct dns_result result;
};

/* ---- answering ---- */

static void deliver(struct dns_query *q)
{
    const struct dns_result r = q->result;
    const dns_fn fn = q->fn;
    void *const ctx = q->ctx;
    list_del(&q->node);
    q->magic = 0;
    mem_free(q);
    fn(ctx, &r);
}

static void on_query_task(void *ctx)
{
    struct dns_query *q = ctx;
    LL_MAGIC_CHECK(q, QUERY_MAGIC);
    deliver(q);
}

static void answer(struct dns_query *q, const struct dns_result *r)
{
    q->result = *r;
    q->job = NULL;
    list_del(&q->node);
    list_push_tail(&q->d->answered, &q->node);
    loop_defer(q->d->loop, &q->task);
}

static void answer_all(struct dns_job *j, const struct dns_result *r)
{
    struct list *node = list_pop_head(&j->queries);
    while (node != NULL) {
        answer(LIST_ENTRY(node, struct dns_query, node), r);
        node = list_pop_head(&j->queries);
    }
}

static void set_error(struct dns_result *r, int err, const char *msg)
{
    r->err = err;
    r->n = 0;
    (void)snprintf(r->msg, sizeof(r->msg), "%s", msg);
}

/* ---- results of c-ares ---- */

struct ares_row {
    int status;
    int err;
    bool servers_failed; /* says nothing about the name: an old answer is better */
    const char *msg;
};

static const struct ares_row ares_rows[] = {
    {ARES_ENOTFOUND, ERR_DNS, false, "host name does not exist"},
    {ARES_ENODATA, ERR_DNS, false, "host name has no address"},
    {ARES_EBADNAME, ERR_DNS, false, "not a valid host name"},
    {ARES_ETIMEOUT, ERR_TIMEOUT, true, "name servers do not answer"},
    {ARES_ENOMEM, ERR_NOMEM, true, "out of memory"},
    {ARES_EDESTRUCTION, ERR_CANCELED, false, "canceled"},
    {ARES_ECANCELLED, ERR_CANCELED, false, "canceled"},
};

static bool set_ares_error(struct dns_result *r, int status)
{
    for (size_t i = 0; i < LL_COUNT(ares_rows); i++) {
        if (ares_rows[i].status == status) {
            set_error(r, ares_rows[i].err, ares_rows[i].msg);
            return ares_rows[i].servers_failed;
        }
    }
    (void)snprintf(r->msg, sizeof(r->msg), "name servers failed: %.60s", ares_strerror(status));
    r->err = ERR_DNS;
    return true;
}

/* Copies the addresses of one family into every second place. */
static size_t collect(const struct ares_addrinfo *ai, int family, union addr out[DNS_MAX_ADDRS],
                      int64_t *ttl_s)
{
    size_t n = 0;
    for (const struct ares_addrinfo_node *it = ai->nodes; it != NULL; it = it->ai_next) {
        if (it->ai_family != family || n == DNS_MAX_ADDRS) {
            continue;
        }
        const size_t len =
            family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6);
        memset(&out[n], 0, sizeof(out[n]));
        memcpy(&out[n], it->ai_addr, len);
        addr_set_port(&out[n], 0);
        n++;
        if (it->ai_ttl < *ttl_s) {
            *ttl_s = it->ai_ttl;
        }
    }
    return n;
}

static int64_t set_addrs(struct dns_result *r, const struct ares_addrinfo *ai)
{
    union addr v6[DNS_MAX_ADDRS];
    union addr v4[DNS_MAX_ADDRS];
    int64_t ttl_s = INT32_MAX;
    const size_t n6 = collect(ai, AF_INET6, v6, &ttl_s);
    const size_t n4 = collect(ai, AF_INET, v4, &ttl_s);
    for (size_t i = 0; (i < n6 || i < n4) && r->n < DNS_MAX_ADDRS; i++) {
        if (i < n6) {
            r->addrs[r->n++] = v6[i];
        }
        if (i < n4 && r->n < DNS_MAX_ADDRS) {
            r->addrs[r->n++] = v4[i];
        }
    }
    if (r->n == 0) {
        set_error(r, ERR_DNS, "host name has no address");
    }
    return ttl_s;
}

/* ---- jobs ---- */

static void job_free(struct dns_job *j)
{
    timer_stop(&j->deadline);
    list_del(&j->node);
    if (j->state == JOB_LATE) {
        j->d->n_late--;
    } else {
        (void)map_del(&j->d->jobs, j->name);
    }
    mem_free(j);
}

/* Stale, when the cache has such an answer; else r. */
static bool answer_stale_or(struct dns_job *j, const struct dns_result *r)
{
    const struct dns_result *old = dns_cache_stale(&j->d->cache, j->name, loop_mono_ms(j->d->loop));
    answer_all(j, old != NULL ? old : r);
    return old != NULL;
}

static void on_ares(void *arg, int status, int timeouts, struct ares_addrinfo *ai)
{
    (void)timeouts;
    struct dns_job *j = arg;
    struct dns *d = j->d;
    const int64_t now = loop_mono_ms(d->loop);
    struct dns_result r;
    if (d->replacing && j->state == JOB_ASKING) {
        list_push_tail(&d->cut, &j->node);
        return;
    }
    memset(&r, 0, sizeof(r));
    if (status == ARES_SUCCESS) {
        const int64_t ttl_s = set_addrs(&r, ai);
        dns_cache_put(&d->cache, j->name, &r, ttl_s, now);
        answer_all(j, &r);
    } else {
        const bool servers_failed = set_ares_error(&r, status);
        const bool is_stale = servers_failed && answer_stale_or(j, &r);
        answer_all(j, &r);
        if (!is_stale && r.err != ERR_CANCELED) {
            dns_cache_put(&d->cache, j->name, &r, 0, now);
        }
    }
    if (ai != NULL) {
        ares_freeaddrinfo(ai);
    }
    dns_slots_leave(&d->slots, &j->turn, status == ARES_ETIMEOUT, now);
    job_free(j);
    if (!d->closing && !d->replacing) {
        loop_defer(d->loop, &d->start_task); /* not from inside c-ares */
    }
}

static void replace_channel(struct dns *d);
static void start_jobs(struct dns *d);

static void job_late(struct dns_job *j)
{
    struct dns *d = j->d;
    const int64_t now = loop_mono_ms(d->loop);
    struct dns_result r;
    memset(&r, 0, sizeof(r));
    set_error(&r, ERR_TIMEOUT, "name lookup timed out");
    if (!answer_stale_or(j, &r)) {
        dns_cache_put(&d->cache, j->name, &r, 0, now);
    }
    dns_slots_leave(&d->slots, &j->turn, true, now);
    (void)map_del(&d->jobs, j->name);
    j->state = JOB_LATE;
    if (++d->n_late >= d->slots.max) {
        replace_channel(d);
    }
    start_jobs(d);
}

static void on_job_deadline(void *ctx)
{
    struct dns_job *j = ctx;
    if (j->state == JOB_ASKING) {
        job_late(j);
        return;
    }
    struct dns_result r;
    memset(&r, 0, sizeof(r));
    set_error(&r, ERR_BUSY, "too many name lookups under way");
    (void)answer_stale_or(j, &r);
    dns_slots_leave(&j->d->slots, &j->turn, false, loop_mono_ms(j->d->loop));
    job_free(j);
}

/* ---- sockets ---- */

static void release(struct dns *d)
{
    LL_ASSERT(d->holds > 0);
    if (--d->holds != 0) {
        return;
    }
    void (*const done)(void *) = d->done;
    void *const ctx = d->done_ctx;
    dns_cache_fini(&d->cache);
    dns_slots_fini(&d->slots);
    map_fini(&d->jobs);
    mem_free(d->servers);
    d->magic = 0;
    mem_free(d);
    if (done != NULL) {
        done(ctx);
    }
}

static void set_retry(struct dns *d)
{
    struct timeval tv;
    const struct timeval *left = ares_timeout(d->channel, NULL, &tv);
    if (left == NULL) {
        timer_stop(&d->retry);
    } else {
        timer_in(&d->retry, (int64_t)left->tv_sec * 1000 + (int64_t)left->tv_usec / 1000 + 1);
    }
}

static void on_retry(void *ctx)
{
    struct dns *d = ctx;
    LL_MAGIC_CHECK(d, DNS_MAGIC);
    ares_process_fd(d->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
    set_retry(d);
}

static void on_socket(uv_poll_t *h, int status, int events)
{
    struct dns_socket *s = h->data;
    struct dns *d = s->d;
    LL_MAGIC_CHECK(d, DNS_MAGIC);
    const bool failed = status != 0;
    const ares_socket_t fd = s->fd; /* c-ares may close the socket */
    ares_process_fd(d->channel, failed || (events & UV_READABLE) != 0 ? fd : ARES_SOCKET_BAD,
                    failed || (events & UV_WRITABLE) != 0 ? fd : ARES_SOCKET_BAD);
    set_retry(d);
}

static void on_socket_closed(uv_handle_t *h)
{
    struct dns_socket *s = h->data;
    struct dns *d = s->d;
    mem_free(s);
    release(d);
}

static struct dns_socket *socket_find(struct dns *d, ares_socket_t fd)
{
    LIST_FOREACH (it, &d->sockets) {
        struct dns_socket *s = LIST_ENTRY(it, struct dns_socket, node);
        if (s->fd == fd) {
            return s;
        }
    }
    return NULL;
}

static struct dns_socket *socket_new(struct dns *d, ares_socket_t fd)
{
    struct dns_socket *s = mem_zalloc(sizeof(*s));
    if (uv_poll_init(&d->loop->uv, &s->poll, fd) != 0) {
        mem_free(s); /* then the timeouts of c-ares end the request */
        return NULL;
    }
    s->d = d;
    s->fd = fd;
    s->poll.data = s;
    list_push_tail(&d->sockets, &s->node);
    d->holds++;
    return s;
}

/* c-ares tells what it waits for; neither means that it is about to close the socket. */
static void on_socket_state(void *ctx, ares_socket_t fd, int readable, int writable)
{
    struct dns *d = ctx;
    LL_MAGIC_CHECK(d, DNS_MAGIC);
    struct dns_socket *s = socket_find(d, fd);
    const int events = (readable != 0 ? UV_READABLE : 0) | (writable != 0 ? UV_WRITABLE : 0);
    if (events == 0) {
        if (s != NULL) {
            list_del(&s->node);
            (void)uv_poll_stop(&s->poll);
            uv_close((uv_handle_t *)&s->poll, on_socket_closed);
        }
        return;
    }
    if (s == NULL) {
        s = socket_new(d, fd);
    }
    if (s != NULL) {
        (void)uv_poll_start(&s->poll, events, on_socket);
    }
}

/* ---- lookups ---- */

static struct str job_name(const void *item)
{
    return ((const struct dns_job *)item)->name;
}

/* May call back at once, which ends the job. */
static void job_ask(struct dns_job *j)
{
    const struct ares_addrinfo_hints hints = {
        .ai_flags = ARES_AI_NOSORT,
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
    };
    struct dns *d = j->d;
    ares_getaddrinfo(d->channel, j->text, NULL, &hints, on_ares, j);
    set_retry(d);
}

static void start_jobs(struct dns *d)
{
    struct dns_turn *t = dns_slots_next(&d->slots, loop_mono_ms(d->loop));
    while (t != NULL) {
        struct dns_job *j = LL_CONTAINER(t, struct dns_job, turn);
        j->state = JOB_ASKING;
        list_del(&j->node);
        timer_in(&j->deadline, d->timeout_ms);
        job_ask(j);
        t = dns_slots_next(&d->slots, loop_mono_ms(d->loop));
    }
}

static void on_start(void *ctx)
{
    struct dns *d = ctx;
    LL_MAGIC_CHECK(d, DNS_MAGIC);
    start_jobs(d);
}

static struct dns_job *job_new(struct dns *d, struct str name)
{
    struct dns_job *j = mem_zalloc(sizeof(*j));
    j->d = d;
    list_init(&j->queries);
    memcpy(j->text, name.p, name.n);
    j->name = str_of(j->text, name.n);
    timer_init(&j->deadline, d->loop, on_job_deadline, j);
    timer_in(&j->deadline, d->timeout_ms);
    list_init(&j->turn.node);
    list_init(&j->node);
    list_push_tail(&d->queued, &j->node);
    (void)map_put(&d->jobs, j);
    dns_slots_wait(&d->slots, &j->turn, j->name, loop_mono_ms(d->loop));
    return j;
}

static void job_add(struct dns_job *j, struct dns_query *q)
{
    q->job = j;
    list_push_tail(&j->queries, &q->node);
}

/* Into the queue, and out of it at once when a slot is free. */
static void job_start(struct dns *d, struct dns_query *q, struct str name)
{
    job_add(job_new(d, name), q);
    start_jobs(d);
    struct dns_job *j = map_get(&d->jobs, name); /* it may be over already */
    if (j == NULL || j->state != JOB_QUEUED) {
        return;
    }
    const struct dns_result *old = dns_cache_stale(&d->cache, name, loop_mono_ms(d->loop));
    if (old != NULL) {
        answer_all(j, old);
        dns_slots_leave(&d->slots, &j->turn, false, loop_mono_ms(d->loop));
        job_free(j);
    }
}

static bool is_localhost(struct str name)
{
    return str_eq(name, STR("localhost")) || str_ends(name, STR(".localhost"));
}

static void set_localhost(struct dns_result *r)
{
    r->n = 2;
    r->addrs[0].v6.sin6_family = AF_INET6;
    r->addrs[0].v6.sin6_addr = in6addr_loopback;
    r->addrs[1].v4.sin_family = AF_INET;
    r->addrs[1].v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
}

/* Lower case, without the root's dot. */
static bool canonical(struct str host, char out[DNS_NAME_MAX + 1], struct str *name)
{
    if (host.n > 1 && host.p[host.n - 1] == '.') {
        host.n--;
    }
    if (host.n == 0 || host.n > DNS_NAME_MAX || memchr(host.p, '\0', host.n) != NULL) {
        return false;
    }
    for (size_t i = 0; i < host.n; i++) {
        out[i] = host.p[i];
        if (out[i] >= 'A' && out[i] <= 'Z') {
            out[i] |= 0x20;
        }
    }
    out[host.n] = '\0';
    *name = str_of(out, host.n);
    return true;
}

struct dns_query *dns_lookup(struct dns *d, struct str host, dns_fn fn, void *ctx)
{
    LL_MAGIC_CHECK(d, DNS_MAGIC);
    LL_ASSERT(!d->closing);
    struct dns_query *q = mem_zalloc(sizeof(*q));
    q->magic = QUERY_MAGIC;
    q->d = d;
    q->fn = fn;
    q->ctx = ctx;
    list_init(&q->node);
    loop_task_init(&q->task, on_query_task, q);

    char text[DNS_NAME_MAX + 1];
    struct str name = STR_NULL;
    struct dns_result r;
    memset(&r, 0, sizeof(r));
    if (addr_parse_ip(&r.addrs[0], host, 0) == 0) {
        r.n = 1;
        answer(q, &r);
        return q;
    }
    if (!canonical(host, text, &name)) {
        set_error(&r, ERR_DNS, "not a valid host name");
        answer(q, &r);
        return q;
    }
    if (is_localhost(name)) {
        set_localhost(&r);
        answer(q, &r);
        return q;
    }
    const struct dns_result *cached = dns_cache_fresh(&d->cache, name, loop_mono_ms(d->loop));
    struct dns_job *j = map_get(&d->jobs, name);
    if (cached != NULL) {
        answer(q, cached);
    } else if (j != NULL) {
        job_add(j, q);
    } else {
        job_start(d, q, name);
    }
    return q;
}

bool dns_is_queued(const struct dns_query *q)
{
    LL_MAGIC_CHECK(q, QUERY_MAGIC);
    return q->job != NULL && q->job->state == JOB_QUEUED;
}

void dns_cancel(struct dns_query *q)
{
    LL_MAGIC_CHECK(q, QUERY_MAGIC);
    list_del(&q->node);
    loop_task_cancel(&q->task);
    q->magic = 0;
    mem_free(q);
}

/* ---- opening and closing ---- */

static int init_channel(struct dns *d, size_t n_servers, ares_channel *out, struct err_detail *err)
{
    /* All servers are tried within the time of a job, after which c-ares gives up by itself: n
     * times t in the first round and twice that in the second. */
    const int64_t timeout_ms = d->timeout_ms / ((int64_t)n_servers * ((1 << TRIES) - 1));
    /* Names come from tenants and mean what they say: neither the machine's search domains (or
     * LOCALDOMAIN, or ndots) nor its HOSTALIASES make others of them. */
    struct ares_options opts = {
        .flags = ARES_FLAG_NOSEARCH | ARES_FLAG_NOALIASES | DEFAULT_FLAGS,
        .ndomains = 0,
        .timeout = (int)(timeout_ms > 0 ? timeout_ms : 1),
        .tries = TRIES,
        .sock_state_cb = on_socket_state,
        .sock_state_cb_data = d,
    };
    int rc = ares_init_options(out, &opts,
                               ARES_OPT_FLAGS | ARES_OPT_DOMAINS | ARES_OPT_TIMEOUTMS |
                                   ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB);
    if (rc != ARES_SUCCESS) {
        return err_set(err, ERR_DNS, rc, "resolver: %s", ares_strerror(rc));
    }
    if (d->servers != NULL) {
        rc = ares_set_servers_ports_csv(*out, d->servers);
        if (rc != ARES_SUCCESS) {
            ares_destroy(*out);
            return err_set(err, ERR_SYNTAX, rc, "name servers \"%.80s\": %s", d->servers,
                           ares_strerror(rc));
        }
    }
    return 0;
}

/* c-ares 1.24 (not in Debian 12) has a new function for it and deprecates the old one. */
static size_t count_servers(ares_channel ch)
{
    size_t n = 0;
#if ARES_VERSION >= 0x011800
    char *csv = ares_get_servers_csv(ch);
    n = csv != NULL && csv[0] != '\0' ? 1 : 0;
    for (const char *p = csv; n != 0 && *p != '\0'; p++) {
        n += *p == ',' ? 1 : 0;
    }
    ares_free_string(csv);
#else
    struct ares_addr_port_node *first = NULL;
    if (ares_get_servers_ports(ch, &first) == ARES_SUCCESS) {
        for (const struct ares_addr_port_node *it = first; it != NULL; it = it->next) {
            n++;
        }
        ares_free_data(first);
    }
#endif
    return n < MAX_SERVERS ? n : MAX_SERVERS;
}

/* The channel tells how many servers there are, and needs to know beforehand. */
static int open_channel(struct dns *d, ares_channel *out, struct err_detail *err)
{
    int rc = init_channel(d, 1, out, err);
    const size_t n = rc == 0 ? count_servers(*out) : 0;
    if (n > 1) {
        ares_destroy(*out);
        rc = init_channel(d, n, out, err);
    }
    return rc;
}

/* The only way to get rid of single requests, and to change the timeouts. What is not late is asked
 * again. Not from inside c-ares. */
static void replace_channel(struct dns *d)
{
    ares_channel fresh = NULL;
    struct err_detail err;
    if (open_channel(d, &fresh, &err) != 0) {
        log_warn("dns.channel", LOG_CSTR("why", err.msg));
        return; /* the old one still works */
    }
    d->replacing = true;
    ares_destroy(d->channel);
    d->replacing = false;
    d->channel = fresh;
    struct list *node = list_pop_head(&d->cut);
    while (node != NULL) {
        job_ask(LIST_ENTRY(node, struct dns_job, node));
        node = list_pop_head(&d->cut);
    }
}

void dns_set_timeout(struct dns *d, int64_t timeout_ms)
{
    LL_MAGIC_CHECK(d, DNS_MAGIC);
    const int64_t ms = timeout_ms > 0 ? timeout_ms : DEFAULT_MS;
    if (ms != d->timeout_ms && !d->closing) {
        d->timeout_ms = ms;
        replace_channel(d);
    }
}

int dns_open(struct dns **out, struct loop *l, const struct dns_options *o, struct err_detail *err)
{
    int rc = ares_library_init(ARES_LIB_INIT_ALL);
    if (rc != ARES_SUCCESS) {
        return err_set(err, ERR_DNS, rc, "resolver library: %s", ares_strerror(rc));
    }
    struct dns *d = mem_zalloc(sizeof(*d));
    d->magic = DNS_MAGIC;
    d->loop = l;
    d->holds = 1;
    d->timeout_ms = o->timeout_ms > 0 ? o->timeout_ms : DEFAULT_MS;
    if (o->servers != NULL && o->servers[0] != '\0') {
        d->servers = mem_strndup(o->servers, strlen(o->servers));
    }
    rc = open_channel(d, &d->channel, err);
    if (rc != 0) {
        ares_library_cleanup();
        mem_free(d->servers);
        mem_free(d);
        return rc;
    }
    dns_cache_init(&d->cache, o->max_cache != 0 ? o->max_cache : 10000);
    dns_slots_init(&d->slots, o->max_active != 0 ? o->max_active : 200);
    map_init(&d->jobs, job_name);
    list_init(&d->queued);
    list_init(&d->cut);
    list_init(&d->answered);
    list_init(&d->sockets);
    timer_init(&d->retry, l, on_retry, d);
    loop_task_init(&d->start_task, on_start, d);
    *out = d;
    return 0;
}

static void on_final(void *ctx)
{
    struct dns *d = ctx;
    LL_MAGIC_CHECK(d, DNS_MAGIC);
    release(d);
}

static void end_queued(struct dns *d)
{
    struct dns_result r;
    memset(&r, 0, sizeof(r));
    set_error(&r, ERR_CANCELED, "canceled");
    while (!list_empty(&d->queued)) {
        struct dns_job *j = LIST_ENTRY(d->queued.next, struct dns_job, node);
        answer_all(j, &r);
        dns_slots_leave(&d->slots, &j->turn, false, loop_mono_ms(d->loop));
        job_free(j);
    }
}

void dns_close(struct dns *d, void (*done)(void *ctx), void *ctx)
{
    LL_MAGIC_CHECK(d, DNS_MAGIC);
    LL_ASSERT(!d->closing);
    d->closing = true;
    d->done = done;
    d->done_ctx = ctx;
    loop_task_init(&d->final, on_final, d);
    loop_defer(d->loop, &d->final);
    timer_stop(&d->retry);
    loop_task_cancel(&d->start_task);
    ares_destroy(d->channel); /* ends every job that is not queued */
    ares_library_cleanup();
    end_queued(d);
    LL_ASSERT(d->n_late == 0 && d->jobs.n == 0);
    struct list *node = list_pop_head(&d->answered);
    while (node != NULL) {
        struct dns_query *q = LIST_ENTRY(node, struct dns_query, node);
        loop_task_cancel(&q->task);
        set_error(&q->result, ERR_CANCELED, "canceled");
        deliver(q);
        node = list_pop_head(&d->answered);
    }
}
