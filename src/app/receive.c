/* SPDX-License-Identifier: Apache-2.0 */
#include "receive.h"

#include <signal.h>
#include <stdio.h>

#include "longline/date.h"
#include "longline/enc.h"
#include "longline/http_server.h"
#include "longline/json.h"
#include "longline/log.h"
#include "longline/mem.h"
#include "longline/sign.h"

#define MAX_BODY ((size_t)16 << 20)

struct receiver {
    const struct cli *cli;
    struct loop *loop;
    struct http_server *http;
    struct sign_key v0[CLI_MAX_SECRETS];
    struct sign_key v1[CLI_MAX_SECRETS];
    size_t n_keys;
    int status;
    uint64_t count; /* 0: for ever */
    uint64_t seen;
    uint64_t bad;
    bool closing;
};

enum verdict { VERDICT_NO_SECRET, VERDICT_UNSIGNED, VERDICT_VALID, VERDICT_INVALID };

static const char *const verdict_text[] = {"not checked (no --secret given)", "missing", "valid",
                                           "INVALID"};

static const char *const verdict_word[] = {"unchecked", "missing", "valid", "invalid"};

/* A header whose name ends in -signature and is not webhook-signature holds v0=. */
static struct str find_v0(const struct http_request *rq)
{
    for (size_t i = 0; i < rq->n_headers; i++) {
        const struct http_header *h = &rq->headers[i];
        if (str_starts(h->value, STR("v0=")) && h->name.n >= 9 &&
            str_eq_ci(str_of(h->name.p + h->name.n - 9, 9), STR("signature"))) {
            return h->value;
        }
    }
    return STR_NULL;
}

static enum verdict verify(const struct receiver *r, const struct http_request *rq,
                           const char **scheme)
{
    const struct sign_standard_headers std = {
        .id = http_find(rq->headers, rq->n_headers, STR("webhook-id")),
        .timestamp = http_find(rq->headers, rq->n_headers, STR("webhook-timestamp")),
        .signature = http_find(rq->headers, rq->n_headers, STR("webhook-signature"))};
    const struct str v0 = find_v0(rq);
    *scheme = v0.p != NULL ? "v0" : "v1";
    if (v0.p == NULL && std.signature.p == NULL) {
        return VERDICT_UNSIGNED;
    }
    if (r->n_keys == 0) {
        return VERDICT_NO_SECRET;
    }
    if (v0.p != NULL && sign_default_verify(r->v0, r->n_keys, rq->body, v0) != 0) {
        return VERDICT_INVALID;
    }
    if (std.signature.p != NULL &&
        sign_standard_verify(r->v1, r->n_keys, &std, rq->body, loop_wall_ms(r->loop) / 1000) != 0) {
        *scheme = "v1";
        return VERDICT_INVALID;
    }
    return VERDICT_VALID;
}

static void print_json(const struct http_request *rq, const char *verdict, const char *scheme)
{
    struct buf text;
    buf_init(&text, MAX_BODY * 7); /* each byte may take six */
    struct jw w;
    jw_init(&w, &text);
    jw_obj(&w);
    JW_STR(&w, "method", rq->method_text);
    JW_STR(&w, "target", rq->target);
    JW_STR(&w, "signature", str_c(verdict));
    JW_STR(&w, "scheme", str_c(scheme));
    jw_key(&w, STR("headers"));
    jw_obj(&w);
    for (size_t i = 0; i < rq->n_headers; i++) {
        jw_key(&w, rq->headers[i].name);
        jw_str(&w, rq->headers[i].value);
    }
    jw_obj_end(&w);
    JW_STR(&w, "body", rq->body);
    jw_obj_end(&w);
    (void)buf_add_c(&text, '\n');
    (void)fwrite(text.p, 1, text.n, stdout);
    buf_fini(&text);
}

/* Control characters, those of the C1 range and bytes that are no text are shown as dots: a
 * terminal would act on them. */
static void print_safe(struct str s)
{
    for (size_t i = 0; i < s.n;) {
        const size_t n = utf8_sequence(s.p + i, s.n - i);
        const unsigned char c = (unsigned char)s.p[i];
        const bool ascii = n == 1 && (c == '\n' || c == '\t' || (c >= 0x20 && c != 0x7f));
        const bool c1 = n == 2 && c == 0xc2 && (unsigned char)s.p[i + 1] < 0xa0;
        if (ascii || (n > 1 && !c1)) {
            (void)fwrite(s.p + i, 1, n, stdout);
        } else {
            (void)fputc('.', stdout);
        }
        i += n != 0 ? n : 1;
    }
}

static void print_text(const struct receiver *r, const struct http_request *rq, const char *verdict,
                       const char *scheme)
{
    char now[DATE_MAX];
    (void)date_rfc3339_s(now, loop_wall_ms(r->loop));
    (void)fprintf(stdout, "%s " STR_FMT " ", now, STR_ARG(rq->method_text));
    print_safe(rq->target);
    (void)fprintf(stdout, "  signature %s: %s\n", scheme, verdict);
    for (size_t i = 0; i < rq->n_headers; i++) {
        (void)fputs("  ", stdout);
        print_safe(rq->headers[i].name);
        (void)fputs(": ", stdout);
        print_safe(rq->headers[i].value);
        (void)fputc('\n', stdout);
    }
    (void)fputs("\n  ", stdout);
    print_safe(rq->body);
    (void)fputs("\n\n", stdout);
}

static void on_closed(void *ctx)
{
    struct receiver *r = ctx;
    r->http = NULL;
    loop_close_handles(r->loop);
}

static void stop(struct receiver *r)
{
    if (!r->closing) {
        r->closing = true;
        http_server_close(r->http, on_closed, r);
    }
}

static int on_head(void *ctx, struct http_request *rq, int64_t *max_body,
                   struct http_reply *refusal)
{
    (void)ctx;
    (void)rq;
    (void)refusal;
    *max_body = MAX_BODY;
    return 0;
}

static void on_request(void *ctx, struct http_request *rq)
{
    struct receiver *r = ctx;
    const char *scheme = "v0";
    const enum verdict v = verify(r, rq, &scheme);
    if (r->cli->json) {
        print_json(rq, verdict_word[v], scheme);
    } else {
        print_text(r, rq, verdict_text[v], scheme);
    }
    (void)fflush(stdout);
    r->seen++;
    r->bad += v != VERDICT_VALID && v != VERDICT_NO_SECRET;
    const struct http_reply rp = {
        .status = r->status, .content_type = "text/plain", .body = STR("ok\n")};
    http_reply(rq, &rp);
    if (r->count != 0 && r->seen >= r->count) {
        http_server_drain(r->http);
        stop(r);
    }
}

static void on_signal(void *ctx, int signum)
{
    (void)signum;
    stop(ctx);
}

static int parse_options(struct receiver *r, struct err_detail *err)
{
    uint64_t status = 200;
    if (r->cli->status != NULL &&
        (str_to_u64(str_c(r->cli->status), &status) != 0 || status < 200 || status > 599)) {
        return err_set(err, ERR_INVALID, 0, "--status takes a number from 200 to 599");
    }
    r->status = (int)status;
    if (r->cli->count != NULL && str_to_u64(str_c(r->cli->count), &r->count) != 0) {
        return err_set(err, ERR_INVALID, 0, "--count takes a number");
    }
    union addr listen;
    if (r->cli->listen != NULL && addr_parse(&listen, str_c(r->cli->listen)) != 0) {
        return err_set(err, ERR_INVALID, 0,
                       "--listen: \"%.60s\" is not an address and port such as 127.0.0.1:4000",
                       r->cli->listen);
    }
    if ((r->cli->tls_cert == NULL) != (r->cli->tls_key == NULL)) {
        return err_set(err, ERR_INVALID, 0, "--tls-cert and --tls-key go together");
    }
    for (size_t i = 0; i < r->cli->n_secrets; i++) {
        const struct str secret = str_c(r->cli->secrets[i]);
        if (secret.n == 0) {
            return err_set(err, ERR_INVALID, 0, "--secret is empty: anybody could sign with it");
        }
        int rc = sign_key_from_secret(&r->v0[i], SIGN_MODE_DEFAULT, secret);
        if (rc == 0) {
            rc = sign_key_from_secret(&r->v1[i], SIGN_MODE_STANDARD, secret);
        }
        if (rc != 0) {
            return err_set(err, rc, 0, "--secret: %s", err_text(rc));
        }
        r->n_keys++;
    }
    return 0;
}

static int open_server(struct receiver *r, struct err_detail *err)
{
    struct http_server_cfg cfg = {.max_body = MAX_BODY,
                                  .max_publish_body = MAX_BODY,
                                  .max_head = 64 << 10,
                                  .max_headers = 100,
                                  .max_connections = 1000,
                                  .head_timeout_ms = 10000,
                                  .body_timeout_ms = 30000,
                                  .idle_timeout_ms = 60000,
                                  .write_timeout_ms = 10000};
    char default_listen[] = "127.0.0.1:4000";
    char none[] = "";
    char *listen =
        r->cli->listen != NULL ? mem_strndup(r->cli->listen, str_c(r->cli->listen).n) : NULL;
    char *cert =
        r->cli->tls_cert != NULL ? mem_strndup(r->cli->tls_cert, str_c(r->cli->tls_cert).n) : NULL;
    char *key =
        r->cli->tls_key != NULL ? mem_strndup(r->cli->tls_key, str_c(r->cli->tls_key).n) : NULL;
    cfg.listen = listen != NULL ? listen : default_listen;
    cfg.tls_cert = cert != NULL ? cert : none;
    cfg.tls_key = key != NULL ? key : none;
    const struct http_handler handler = {.on_head = on_head, .on_request = on_request, .ctx = r};
    const int rc = http_server_open(&r->http, r->loop, &cfg, &handler, err);
    mem_free(listen);
    mem_free(cert);
    mem_free(key);
    return rc;
}

static void announce(const struct receiver *r)
{
    union addr bound;
    char text[ADDR_TEXT_MAX];
    http_server_addr(r->http, &bound);
    (void)addr_format(text, &bound);
    const char *scheme = r->cli->tls_cert != NULL ? "https" : "http";
    if (r->cli->json) {
        (void)fprintf(stdout, "{\"event\":\"ready\",\"listen\":\"%s://%s\"}\n", scheme, text);
    } else {
        (void)fprintf(stdout, "receiving on %s://%s\n\n", scheme, text);
    }
    (void)fflush(stdout);
}

int receive_run(const struct cli *cli)
{
    struct receiver r = {.cli = cli};
    struct err_detail err = {0};
    log_setup(LOG_WARN, false);
    int rc = parse_options(&r, &err);
    if (rc == 0) {
        rc = loop_open(&r.loop, NULL);
    }
    if (rc == 0) {
        rc = open_server(&r, &err);
    }
    if (rc == 0) {
        rc = loop_on_signal(r.loop, SIGTERM, on_signal, &r);
    }
    if (rc == 0) {
        rc = loop_on_signal(r.loop, SIGINT, on_signal, &r);
    }
    if (rc == 0) {
        announce(&r);
        (void)loop_run(r.loop);
    } else {
        (void)fprintf(stderr, "longline: receive: %s\n",
                      err.msg[0] != '\0' ? err.msg : err_text(rc));
        if (r.http != NULL) {
            stop(&r);
        } else if (r.loop != NULL) {
            loop_close_handles(r.loop);
        }
        if (r.loop != NULL) {
            (void)loop_run(r.loop);
        }
    }
    if (r.loop != NULL) {
        loop_free(r.loop);
    }
    return rc != 0 || r.bad != 0 ? EXIT_FAIL : EXIT_OK;
}
