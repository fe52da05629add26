/* SPDX-License-Identifier: Apache-2.0 */
/* The control port: one request per connection, answered and closed. */

#include "sink.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define URL_MAX 256u

struct asker {
    uv_tcp_t tcp;
    uv_write_t write;
    llhttp_t parser;
    llhttp_settings_t settings;
    struct sink *sink;
    char *answer;
    size_t url_len;
    char url[URL_MAX];
    char buffer[4096];
};

static void on_closed(uv_handle_t *handle)
{
    struct asker *a = handle->data;
    free(a->answer);
    free(a);
}

static void asker_close(struct asker *a)
{
    if (uv_is_closing((uv_handle_t *)&a->tcp) == 0) {
        uv_close((uv_handle_t *)&a->tcp, on_closed);
    }
}

static void on_answered(uv_write_t *req, int status)
{
    (void)status;
    asker_close(req->data);
}

static void answer(struct asker *a, unsigned status, const void *body, size_t len)
{
    a->answer = bench_alloc(len + 256);
    const int head = snprintf(a->answer, 256,
                              "HTTP/1.1 %u %s\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n",
                              status, status == 200 ? "OK" : "No", len);
    if (len != 0) {
        memcpy(a->answer + head, body, len);
    }
    a->write.data = a;
    const uv_buf_t buf = uv_buf_init(a->answer, (unsigned)((size_t)head + len));
    if (uv_write(&a->write, (uv_stream_t *)&a->tcp, &buf, 1, on_answered) != 0) {
        asker_close(a);
    }
}

static void write_stats(const struct sink *s, FILE *out)
{
    const struct ledger *l = &s->ledger;
    struct rusage ru = {0};
    (void)getrusage(RUSAGE_SELF, &ru);
    fprintf(out,
            "{\"posts\":%" PRIu64 ",\"delivered\":%" PRIu64 ",\"unique\":%" PRIu64
            ",\"duplicates\":%" PRIu64 ",\"refused\":%" PRIu64 ",\"never\":%" PRIu64
            ",\"unmarked\":%" PRIu64 ",\"measured\":%" PRIu64,
            l->posts, l->delivered, l->unique.set, l->duplicates, l->refused, l->never, l->unmarked,
            l->measured);
    fprintf(out,
            ",\"verified\":%" PRIu64 ",\"bad_signatures\":%" PRIu64 ",\"first_ns\":%" PRId64
            ",\"last_ns\":%" PRId64 ",\"connections\":%" PRIu64 ",\"open\":%" PRIu64
            ",\"handshakes\":%" PRIu64 ",\"handshake_failures\":%" PRIu64,
            l->verified, l->bad_signatures, l->first_ns, l->last_ns, s->connections, s->open,
            s->handshakes, s->handshake_failures);
    fprintf(out, ",\"cpu_us\":%" PRId64,
            ((int64_t)ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * 1000000 + ru.ru_utime.tv_usec +
                ru.ru_stime.tv_usec);
}

static void answer_stats(struct asker *a, bool with_histogram)
{
    char *text = NULL;
    size_t len = 0;
    FILE *out = open_memstream(&text, &len);
    if (out == NULL) {
        bench_die("open_memstream", "failed");
    }
    write_stats(a->sink, out);
    if (with_histogram) {
        fputs(",\"delivery_us\":", out);
        hdr_write_json(&a->sink->ledger.delivery, out);
    }
    fputs("}\n", out);
    if (fclose(out) != 0) {
        bench_die("open_memstream", "failed");
    }
    answer(a, 200, text, len);
    free(text);
}

/* The value of a query parameter, or the fallback. */
static unsigned parameter(const char *url, const char *name, unsigned fallback)
{
    const char *at = strchr(url, '?');
    const size_t len = strlen(name);
    while (at != NULL) {
        at++;
        if (strncmp(at, name, len) == 0 && at[len] == '=') {
            const unsigned long v = strtoul(at + len + 1, NULL, 10);
            return v < 100000000 ? (unsigned)v : fallback;
        }
        at = strchr(at, '&');
    }
    return fallback;
}

static int on_url(llhttp_t *parser, const char *at, size_t n)
{
    struct asker *a = parser->data;
    if (n >= sizeof a->url - a->url_len) {
        return -1;
    }
    memcpy(a->url + a->url_len, at, n);
    a->url_len += n;
    return 0;
}

static int on_complete(llhttp_t *parser)
{
    struct asker *a = parser->data;
    struct sink *s = a->sink;
    a->url[a->url_len] = '\0';
    const bool is_post = parser->method == HTTP_POST;
    if (!is_post && strcmp(a->url, "/stats") == 0) {
        answer_stats(a, true);
    } else if (!is_post && strcmp(a->url, "/counts") == 0) {
        answer_stats(a, false);
    } else if (!is_post && strcmp(a->url, "/ledger") == 0) {
        answer(a, 200, s->ledger.unique.bytes, s->ledger.unique.used);
    } else if (is_post && strcmp(a->url, "/reset") == 0) {
        ledger_reset(&s->ledger);
        answer(a, 200, NULL, 0);
    } else if (is_post && strncmp(a->url, "/mode?", 6) == 0) {
        s->mode = (struct sink_mode){
            .status = parameter(a->url, "status", 200),
            .delay_ms = parameter(a->url, "delay_ms", 0),
            .closes = parameter(a->url, "close", 0) != 0,
        };
        answer(a, 200, NULL, 0);
    } else {
        answer(a, 404, NULL, 0);
    }
    return HPE_PAUSED;
}

static void on_alloc(uv_handle_t *handle, size_t wanted, uv_buf_t *buf)
{
    (void)wanted;
    struct asker *a = handle->data;
    *buf = uv_buf_init(a->buffer, sizeof a->buffer);
}

static void on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct asker *a = stream->data;
    if (n < 0) {
        asker_close(a);
        return;
    }
    const llhttp_errno_t rc = n > 0 ? llhttp_execute(&a->parser, buf->base, (size_t)n) : HPE_OK;
    if (rc == HPE_PAUSED) {
        (void)uv_read_stop(stream);
    } else if (rc != HPE_OK) {
        asker_close(a);
    }
}

void control_accept(struct sink *s, uv_stream_t *listener)
{
    struct asker *a = bench_alloc(sizeof *a);
    memset(a, 0, sizeof *a);
    a->sink = s;
    if (uv_tcp_init(&s->loop, &a->tcp) != 0) {
        bench_die("accept", "no handle");
    }
    a->tcp.data = a;
    llhttp_settings_init(&a->settings);
    a->settings.on_url = on_url;
    a->settings.on_message_complete = on_complete;
    llhttp_init(&a->parser, HTTP_REQUEST, &a->settings);
    a->parser.data = a;
    if (uv_accept(listener, (uv_stream_t *)&a->tcp) != 0 ||
        uv_read_start((uv_stream_t *)&a->tcp, on_alloc, on_read) != 0) {
        asker_close(a);
    }
}
