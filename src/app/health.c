/* SPDX-License-Identifier: Apache-2.0 */
#include "health.h"

#include <stdio.h>

#include "longline/http_client.h"
#include "longline/log.h"

#define TIMEOUT_MS 4000

struct probe {
    struct loop *loop;
    struct dns *dns;
    struct tls_client *tls;
    struct dialer *dialer;
    struct http_client *client;
    int status;
};

/* The handshake workers hold a handle of the loop: they go before it runs out of the rest. */
static void on_dns_closed(void *ctx)
{
    struct probe *p = ctx;
    dialer_free(p->dialer);
    tls_client_free(p->tls);
    loop_close_handles(p->loop);
}

static void on_client_closed(void *ctx)
{
    struct probe *p = ctx;
    dns_close(p->dns, on_dns_closed, p);
}

static void on_answer(void *ctx, const struct http_client_result *r)
{
    struct probe *p = ctx;
    if (r->err.code != 0) {
        (void)fprintf(stderr, "longline: health: %s\n", r->err.msg);
    } else {
        (void)fprintf(stdout, STR_FMT "\n", STR_ARG(r->body));
    }
    p->status = r->status == 200 ? EXIT_OK : EXIT_FAIL;
    http_client_close(p->client, on_client_closed, p);
}

static int open_client(struct probe *p, const struct cli *cli, bool https,
                       const struct egress_policy *policy, struct err_detail *err)
{
    int rc = loop_open(&p->loop, NULL);
    if (rc != 0) {
        return rc;
    }
    const struct dns_options dns = {.timeout_ms = TIMEOUT_MS};
    rc = dns_open(&p->dns, p->loop, &dns, err);
    if (rc != 0) {
        return rc;
    }
    if (https) {
        const struct tls_client_options tls = {
            .ca_file = cli->ca_file, .ca_only = cli->ca_file != NULL, .n_workers = 1};
        rc = tls_client_open(&p->tls, p->loop, &tls, err);
        if (rc != 0) {
            return rc;
        }
    }
    const struct dialer_options d = {.dns = p->dns,
                                     .tls = p->tls,
                                     .policy = policy,
                                     .dns_timeout_ms = TIMEOUT_MS,
                                     .connect_timeout_ms = TIMEOUT_MS,
                                     .tls_timeout_ms = TIMEOUT_MS};
    dialer_open(&p->dialer, p->loop, &d);
    const struct http_client_cfg cfg = {.total_timeout_ms = TIMEOUT_MS,
                                        .dns_timeout_ms = TIMEOUT_MS,
                                        .connect_timeout_ms = TIMEOUT_MS,
                                        .tls_timeout_ms = TIMEOUT_MS,
                                        .first_byte_timeout_ms = TIMEOUT_MS,
                                        .write_timeout_ms = TIMEOUT_MS,
                                        .max_response_head = 16 << 10,
                                        .max_response_body = 64 << 10,
                                        .keep_response_body = 4 << 10,
                                        .max_connections = 1,
                                        .max_connections_per_origin = 1,
                                        .max_idle = 1,
                                        .idle_timeout_ms = TIMEOUT_MS,
                                        .max_uses = 1,
                                        .max_age_ms = TIMEOUT_MS};
    return http_client_open(&p->client, p->loop, p->dialer, &cfg);
}

/* The ready line of a gateway that listens on every address names none to connect to: loopback
 * is one of them. *host is replaced in that case. */
static void name_loopback(const struct url *url, struct str *host)
{
    union addr a;
    if (addr_parse_ip(&a, url->host, 0) != 0) {
        return;
    }
    if (a.sa.sa_family == AF_INET && a.v4.sin_addr.s_addr == htonl(INADDR_ANY)) {
        *host = STR("127.0.0.1");
    } else if (a.sa.sa_family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&a.v6.sin6_addr)) {
        *host = STR("[::1]");
    }
}

/* The URL to ask, in text. */
static int health_url(char text[URL_MAX], struct str base, struct url *url, struct err_detail *err)
{
    while (str_ends(base, STR("/"))) {
        base.n--;
    }
    int n = snprintf(text, URL_MAX, STR_FMT "/healthz", STR_ARG(base));
    if (n < 0 || n >= URL_MAX) {
        return err_set(err, ERR_TOO_BIG, 0, "the URL is too long");
    }
    int rc = url_parse(url, str_of(text, (size_t)n), err);
    struct str host = STR_NULL;
    if (rc == 0) {
        name_loopback(url, &host);
    }
    if (host.p == NULL) {
        return rc;
    }
    char path[URL_MAX];
    (void)snprintf(path, sizeof(path), STR_FMT, STR_ARG(url->path));
    n = snprintf(text, URL_MAX, "%s://" STR_FMT ":%u%s", url->is_https ? "https" : "http",
                 STR_ARG(host), (unsigned)url->port, path);
    if (n < 0 || n >= URL_MAX) {
        return err_set(err, ERR_TOO_BIG, 0, "the URL is too long");
    }
    return url_parse(url, str_of(text, (size_t)n), err);
}

int health_run(const struct cli *cli)
{
    log_setup(LOG_ERROR, false);
    char text[URL_MAX];
    const struct str base = cli->url != NULL ? str_c(cli->url) : STR("http://127.0.0.1:3333");
    struct err_detail err = {0};
    struct url url = {0};
    if (health_url(text, base, &url, &err) != 0) {
        (void)fprintf(stderr, "longline: health: --url: %s\n", err.msg);
        return EXIT_USAGE;
    }
    const struct egress_policy policy = {
        .allow_private = true, .allow_loopback = true, .allow_http = true};
    struct probe p = {.status = EXIT_FAIL};
    const int rc = open_client(&p, cli, url.is_https, &policy, &err);
    if (rc != 0) { /* the process ends here; there is nothing to close politely */
        (void)fprintf(stderr, "longline: health: %s\n",
                      err.msg[0] != '\0' ? err.msg : err_text(rc));
        return EXIT_FAIL;
    }
    const struct http_client_request rq = {.method = HTTP_METHOD_GET, .url = &url};
    (void)http_exchange_start(p.client, &rq, on_answer, &p);
    (void)loop_run(p.loop);
    loop_free(p.loop);
    return p.status;
}
