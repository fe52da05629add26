/* SPDX-License-Identifier: Apache-2.0 */
#include "server.h"

#include <signal.h>
#include <stdio.h>

#include "longline/json.h"
#include "longline/log.h"
#include "longline/mem.h"
#include "longline/version.h"

#include "load.h"
#include "notify.h"
#include "process.h"
#include "server_internal.h"

static void on_stop_signal(void *ctx, int signum)
{
    (void)signum;
    server_shutdown(ctx);
}

static void on_reload_signal(void *ctx, int signum)
{
    (void)signum;
    server_reload(ctx);
}

static void on_watchdog(void *ctx)
{
    struct server *s = ctx;
    notify_send("WATCHDOG=1");
    timer_in(&s->watchdog, notify_watchdog_ms());
}

/* The first line on stdout: for people, scripts and tests. */
static void announce(const struct server *s)
{
    char addr[ADDR_TEXT_MAX];
    union addr bound;
    http_server_addr(s->http, &bound);
    (void)addr_format(addr, &bound);
    struct buf text;
    buf_init(&text, 64u << 10);
    struct jw w;
    jw_init(&w, &text);
    jw_obj(&w);
    JW_STR(&w, "event", STR("ready"));
    jw_key(&w, STR("listen"));
    char url[ADDR_TEXT_MAX + 16];
    const bool tls = s->config->server.tls_cert[0] != '\0';
    const int n = snprintf(url, sizeof(url), "%s://%s", tls ? "https" : "http", addr);
    jw_str(&w, str_of(url, (size_t)n));
    JW_STR(&w, "data_dir", str_c(s->config->store.data_dir));
    JW_STR(&w, "version", STR(LL_VERSION));
    if (s->config->auth.admin_key[0] == '\0') {
        struct buf path;
        buf_init(&path, 8192);
        (void)buf_printf(&path, "%s/admin.key", s->config->store.data_dir);
        JW_STR(&w, "admin_key_file", buf_str(&path));
        buf_fini(&path);
    }
    jw_obj_end(&w);
    (void)buf_add_c(&text, '\n');
    (void)fwrite(text.p, 1, text.n, stdout);
    (void)fflush(stdout);
    buf_fini(&text);
    if (s->admin_key_generated) {
        log_info("auth.admin_key_generated", LOG_CSTR("file", "admin.key in the data directory"));
    }
}

static int watch_signals(struct server *s)
{
    static const struct {
        int signum;
        void (*fn)(void *ctx, int signum);
    } rows[] = {
        {SIGTERM, on_stop_signal},
        {SIGINT, on_stop_signal},
        {SIGQUIT, on_stop_signal},
        {SIGHUP, on_reload_signal},
    };
    int rc = 0;
    for (size_t i = 0; i < LL_COUNT(rows) && rc == 0; i++) {
        rc = loop_on_signal(s->loop, rows[i].signum, rows[i].fn, s);
    }
    return rc;
}

static int become_ready(struct server *s)
{
    const int rc = watch_signals(s);
    if (rc != 0) {
        return rc;
    }
    s->state = SERVER_READY;
    api_set_ready(s->api, true);
    timer_init(&s->watchdog, s->loop, on_watchdog, s);
    if (notify_watchdog_ms() != 0) {
        on_watchdog(s);
    }
    announce(s);
    notify_send("READY=1");
    return 0;
}

static int fail(const char *what, const struct err_detail *err, int status)
{
    (void)fprintf(stderr, "longline: %s: %s\n", what,
                  err->msg[0] != '\0' ? err->msg : err_text(err->code));
    return status;
}

int server_run(const struct cli *cli)
{
    struct err_detail err = {0};
    struct server *s = mem_zalloc(sizeof(*s));
    process_ignore_signals();
    s->cli = cli;
    int status = EXIT_OK;
    int rc = load_config(cli, &s->config, &err);
    if (rc != 0) {
        mem_free(s);
        return fail("configuration", &err, EXIT_CONFIG);
    }
    log_setup((enum log_level)s->config->log.level, s->config->log.format != 0);
    rc = server_open(s, &err);
    if (rc == 0) {
        rc = become_ready(s);
    }
    if (rc != 0) {
        err.code = rc;
        status = fail("cannot start", &err, exit_status_of(rc));
    }
    if (s->loop != NULL) {
        if (rc != 0) {
            server_close(s);
        }
        (void)loop_run(s->loop);
    }
    server_free(s);
    mem_free(s);
    return status;
}
