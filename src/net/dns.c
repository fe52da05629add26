/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Name resolution with c-ares on the loop.
 *
 *   lookup --> literal, localhost, cached: answered on the next turn
 *          --> job of that name under way: waits for it
 *          --> new job: ares_getaddrinfo (A and AAAA)
 *   job ends: c-ares calls back, or the deadline passes. Its queries are answered on the next turn,
 *   never from inside c-ares, so a query's callback may do anything, closing the resolver included.
 *   A job whose deadline has passed is forgotten by name but stays until c-ares has called back
 *   (single requests cannot be canceled there); its late answer still goes into the cache.
 *
 * Holds of the resolver: each socket handle until closed, and one until the task after dns_close.
 */
#include "longline/dns.h"

#include <ares.h>
#include <stdio.h>

#include "dns_cache.h"
#include "longline/check.h"
#include "longline/mem.h"
#include "loop_impl.h"

#define DNS_MAGIC   0x444e5352u
#define QUERY_MAGIC 0x444e5351u

struct dns {
    unsigned magic;
    bool closing;
    struct loop *loop;
    ares_channel channel;
    struct dns_cache cache;
    struct map jobs; /* by name; not those that are late */
    size_t n_jobs;   /* also those that are late */
    size_t max_jobs;
    int64_t timeout_ms;
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

struct dns_job {
    struct dns *d;
    struct list queries;
    struct timer deadline;
    bool late;
    struct str name; /* in text, terminated */
    char text[DNS_NAME_MAX + 1];
};

struct dns_query {
    unsigned magic;
    struct dns *d;
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

static void job_forget(struct dns_job *j)
{
    timer_stop(&j->deadline);
    if (!j->late) {
        j->late = true;
        (void)map_del(&j->d->jobs, j->name);
    }
}

static void on_ares(void *arg, int status, int timeouts, struct ares_addrinfo *ai)
{
    (void)timeouts;
    struct dns_job *j = arg;
    struct dns *d = j->d;
    const int64_t now = loop_mono_ms(d->loop);
    struct dns_result r;
    memset(&r, 0, sizeof(r));
    if (status == ARES_SUCCESS) {
        const int64_t ttl_s = set_addrs(&r, ai);
        dns_cache_put(&d->cache, j->name, &r, ttl_s, now);
    } else if (set_ares_error(&r, status)) {
        const struct dns_result *old = dns_cache_stale(&d->cache, j->name, now);
        if (old != NULL) {
            r = *old;
        } else {
            dns_cache_put(&d->cache, j->name, &r, 0, now);
        }
    } else if (r.err != ERR_CANCELED) {
        dns_cache_put(&d->cache, j->name, &r, 0, now);
    }
    if (ai != NULL) {
        ares_freeaddrinfo(ai);
    }
    answer_all(j, &r);
    job_forget(j);
    d->n_jobs--;
    mem_free(j);
}

static void on_job_late(void *ctx)
{
    struct dns_job *j = ctx;
    const struct dns_result *old = dns_cache_stale(&j->d->cache, j->name, loop_mono_ms(j->d->loop));
    struct dns_result r;
    memset(&r, 0, sizeof(r));
    if (old != NULL) {
        r = *old;
    } else {
        set_error(&r, ERR_TIMEOUT, "name lookup timed out");
    }
    answer_all(j, &r);
    job_forget(j);
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
    map_fini(&d->jobs);
    d->magic = 0;
    mem_free(d);
    if (done != NULL) {
        done(ctx);
    }
}

static void set_retry(struct dns *d)
{
    struct timeval tv;
    const struct timeval *left = d->n_jobs != 0 ? ares_timeout(d->channel, NULL, &tv) : NULL;
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

static void job_start(struct dns *d, struct dns_query *q, struct str name)
{
    struct dns_job *j = mem_zalloc(sizeof(*j));
    j->d = d;
    list_init(&j->queries);
    memcpy(j->text, name.p, name.n);
    j->name = str_of(j->text, name.n);
    timer_init(&j->deadline, d->loop, on_job_late, j);
    timer_in(&j->deadline, d->timeout_ms);
    list_push_tail(&j->queries, &q->node);
    (void)map_put(&d->jobs, j);
    d->n_jobs++;
    const struct ares_addrinfo_hints hints = {
        .ai_flags = ARES_AI_NOSORT,
        .ai_family = AF_UNSPEC,
        .ai_socktype = SOCK_STREAM,
    };
    /* May call back at once, which ends the job. */
    ares_getaddrinfo(d->channel, j->text, NULL, &hints, on_ares, j);
    set_retry(d);
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
        list_push_tail(&j->queries, &q->node);
    } else if (d->n_jobs >= d->max_jobs) {
        set_error(&r, ERR_BUSY, "too many name lookups under way");
        answer(q, &r);
    } else {
        job_start(d, q, name);
    }
    return q;
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

static int open_channel(struct dns *d, const struct dns_options *o, struct err_detail *err)
{
    int rc = ares_library_init(ARES_LIB_INIT_ALL);
    if (rc != ARES_SUCCESS) {
        return err_set(err, ERR_DNS, rc, "resolver library: %s", ares_strerror(rc));
    }
    /* The deadline of the job bounds all tries; one server that is dead should not use it up. */
    struct ares_options opts = {
        .timeout = (int)(d->timeout_ms / 3 > 0 ? d->timeout_ms / 3 : 1),
        .tries = 3,
        .sock_state_cb = on_socket_state,
        .sock_state_cb_data = d,
    };
    rc = ares_init_options(&d->channel, &opts,
                           ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB);
    if (rc != ARES_SUCCESS) {
        ares_library_cleanup();
        return err_set(err, ERR_DNS, rc, "resolver: %s", ares_strerror(rc));
    }
    if (o->servers != NULL && o->servers[0] != '\0') {
        rc = ares_set_servers_ports_csv(d->channel, o->servers);
        if (rc != ARES_SUCCESS) {
            ares_destroy(d->channel);
            ares_library_cleanup();
            return err_set(err, ERR_SYNTAX, rc, "name servers \"%.80s\": %s", o->servers,
                           ares_strerror(rc));
        }
    }
    return 0;
}

int dns_open(struct dns **out, struct loop *l, const struct dns_options *o, struct err_detail *err)
{
    struct dns *d = mem_zalloc(sizeof(*d));
    d->magic = DNS_MAGIC;
    d->loop = l;
    d->holds = 1;
    d->timeout_ms = o->timeout_ms > 0 ? o->timeout_ms : 3000;
    d->max_jobs = o->max_active != 0 ? o->max_active : 200;
    const int rc = open_channel(d, o, err);
    if (rc != 0) {
        mem_free(d);
        return rc;
    }
    dns_cache_init(&d->cache, o->max_cache != 0 ? o->max_cache : 10000);
    map_init(&d->jobs, job_name);
    list_init(&d->answered);
    list_init(&d->sockets);
    timer_init(&d->retry, l, on_retry, d);
    *out = d;
    return 0;
}

static void on_final(void *ctx)
{
    struct dns *d = ctx;
    LL_MAGIC_CHECK(d, DNS_MAGIC);
    release(d);
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
    ares_destroy(d->channel); /* ends every job */
    ares_library_cleanup();
    LL_ASSERT(d->n_jobs == 0);
    struct list *node = list_pop_head(&d->answered);
    while (node != NULL) {
        struct dns_query *q = LIST_ENTRY(node, struct dns_query, node);
        loop_task_cancel(&q->task);
        set_error(&q->result, ERR_CANCELED, "canceled");
        deliver(q);
        node = list_pop_head(&d->answered);
    }
}
