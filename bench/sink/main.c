/* SPDX-License-Identifier: Apache-2.0 */
/* bench_sink: receives webhooks and keeps books; see sink.h. */

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sink.h"

#define BACKLOG 4096

static const char USAGE[] =
    "usage: bench_sink [--port 0] [--tls-port 0 --ca-out FILE] [--control-port 0]\n"
    "  [--secret TEXT [--verify N] [--signature-header x-outpost-signature]]\n"
    "The first line on stdout is JSON with the ports. Without --ca-out there is no TLS.\n";

struct options {
    int port;
    int tls_port;
    int control_port;
    const char *ca_out;
};

static int port_number(const char *name, const char *value)
{
    return (int)bench_uint(name, value, 65535);
}

static void set_option(struct sink *s, struct options *o, const char *name, const char *value)
{
    if (strcmp(name, "--port") == 0) {
        o->port = port_number(name, value);
    } else if (strcmp(name, "--tls-port") == 0) {
        o->tls_port = port_number(name, value);
    } else if (strcmp(name, "--control-port") == 0) {
        o->control_port = port_number(name, value);
    } else if (strcmp(name, "--ca-out") == 0) {
        o->ca_out = value;
    } else if (strcmp(name, "--secret") == 0) {
        s->secret = value;
    } else if (strcmp(name, "--verify") == 0) {
        s->verify_every = bench_uint(name, value, UINT32_MAX);
    } else if (strcmp(name, "--signature-header") == 0) {
        s->signature_header = value;
    } else {
        fputs(USAGE, stderr);
        exit(2);
    }
}

static void on_plain(uv_stream_t *listener, int status)
{
    if (status == 0) {
        peer_accept(listener->data, listener, false);
    }
}

static void on_tls(uv_stream_t *listener, int status)
{
    if (status == 0) {
        peer_accept(listener->data, listener, true);
    }
}

static void on_control(uv_stream_t *listener, int status)
{
    if (status == 0) {
        control_accept(listener->data, listener);
    }
}

/* Returns the port that was bound. */
static int start_listening(struct sink *s, uv_tcp_t *tcp, int port, uv_connection_cb on_connection)
{
    struct sockaddr_in addr;
    int len = sizeof addr;
    if (uv_ip4_addr("127.0.0.1", port, &addr) != 0 || uv_tcp_init(&s->loop, tcp) != 0 ||
        uv_tcp_bind(tcp, (const struct sockaddr *)&addr, 0) != 0 ||
        uv_listen((uv_stream_t *)tcp, BACKLOG, on_connection) != 0 ||
        uv_tcp_getsockname(tcp, (struct sockaddr *)&addr, &len) != 0) {
        bench_die("listen", "port cannot be used");
    }
    tcp->data = s;
    return (addr.sin_port & 0xff) << 8 | addr.sin_port >> 8;
}

int main(int argc, char **argv)
{
    (void)signal(SIGPIPE, SIG_IGN);
    struct sink *s = bench_alloc(sizeof *s);
    memset(s, 0, sizeof *s);
    s->mode.status = 200;
    s->verify_every = 1000;
    s->signature_header = "x-outpost-signature";
    struct options o = {0};
    for (int i = 1; i < argc; i += 2) {
        set_option(s, &o, argv[i], i + 1 < argc ? argv[i + 1] : "");
    }
    if (s->verify_every == 0) {
        s->secret = NULL;
    }
    if (uv_loop_init(&s->loop) != 0) {
        bench_die("uv_loop_init", "failed");
    }
    const int plain = start_listening(s, &s->plain, o.port, on_plain);
    const int control = start_listening(s, &s->control, o.control_port, on_control);
    int tls = 0;
    if (o.ca_out != NULL) {
        tls_server_init(&s->tls_server, o.ca_out);
        tls = start_listening(s, &s->tls, o.tls_port, on_tls);
    }
    printf("{\"event\":\"ready\",\"port\":%d,\"tls_port\":%d,\"control_port\":%d}\n", plain, tls,
           control);
    (void)fflush(stdout);
    return uv_run(&s->loop, UV_RUN_DEFAULT);
}
