/* SPDX-License-Identifier: Apache-2.0 */
/* The command table. */
#include <signal.h>
#include <stdio.h>

#include "longline/check.h"
#include "longline/mem.h"
#include "longline/str.h"
#include "longline/version.h"

#include "app_config.h"
#include "cli.h"
#include "health.h"
#include "load.h"
#include "process.h"
#include "receive.h"
#include "server.h"

static int print_buf(struct buf *b, int rc)
{
    if (rc == 0) {
        (void)fwrite(b->p, 1, b->n, stdout);
    }
    buf_fini(b);
    return rc == 0 && fflush(stdout) == 0 ? EXIT_OK : EXIT_FAIL;
}

static int run_check_config(const struct cli *cli)
{
    struct buf text;
    buf_init(&text, 1u << 20);
    if (cli->print_reference) {
        return print_buf(&text, cfg_write_reference(&app_schema, &text));
    }
    struct err_detail err = {0};
    struct config *cfg = NULL;
    if (load_config(cli, &cfg, &err) != 0) {
        (void)fprintf(stderr, "longline: configuration: %s\n", err.msg);
        buf_fini(&text);
        return EXIT_CONFIG;
    }
    int rc = 0;
    if (cli->print_values) {
        rc = cfg_write_values(&app_schema, cfg, &text);
    } else {
        rc = buf_add_lit(&text, "the configuration is good\n");
    }
    cfg_free(&app_schema, cfg);
    return print_buf(&text, rc);
}

static int run_backup(const struct cli *cli)
{
    struct err_detail err = {0};
    struct config *cfg = NULL;
    if (cli->n_args != 1) {
        (void)fputs("longline: backup: say where to: longline backup [--data-dir DIR] TO\n",
                    stderr);
        return EXIT_USAGE;
    }
    int status = EXIT_CONFIG;
    int rc = load_settings(cli, &cfg, &err);
    if (rc == 0) {
        status = EXIT_FAIL;
        rc = store_backup(cfg->store.data_dir, cli->args[0], &err);
        cfg_free(&app_schema, cfg);
    }
    if (rc != 0) {
        (void)fprintf(stderr, "longline: backup: %s\n", err.msg);
        return rc == ERR_CORRUPT ? (int)EXIT_DATA : (int)status;
    }
    (void)fprintf(stdout, "backup written to %s\n", cli->args[0]);
    return EXIT_OK;
}

static void say_line(void *ctx, const char *line)
{
    (void)fprintf(ctx, "%s\n", line);
}

static int run_check(const struct cli *cli)
{
    struct err_detail err = {0};
    struct config *cfg = NULL;
    if (load_settings(cli, &cfg, &err) != 0) {
        (void)fprintf(stderr, "longline: check: %s\n", err.msg);
        return EXIT_CONFIG;
    }
    const int rc = store_check(cfg->store.data_dir, say_line, stdout, &err);
    cfg_free(&app_schema, cfg);
    if (rc != 0) {
        (void)fflush(stdout);
        (void)fprintf(stderr, "longline: check: %s\n", err.msg);
        return rc == ERR_CORRUPT || rc == ERR_VERSION ? EXIT_DATA : EXIT_FAIL;
    }
    (void)fputs("no damage\n", stdout);
    return fflush(stdout) == 0 ? EXIT_OK : EXIT_FAIL;
}

static int run_salvage(const struct cli *cli)
{
    struct err_detail err = {0};
    if (cli->n_args != 2) {
        (void)fputs("longline: salvage: say from where and to where: longline salvage OLD NEW\n",
                    stderr);
        return EXIT_USAGE;
    }
    if (store_salvage(cli->args[0], cli->args[1], say_line, stdout, &err) != 0) {
        (void)fflush(stdout);
        (void)fprintf(stderr, "longline: salvage: %s\n", err.msg);
        return EXIT_FAIL;
    }
    (void)fprintf(stdout, "saved to %s\n", cli->args[1]);
    return fflush(stdout) == 0 ? EXIT_OK : EXIT_FAIL;
}

static int run_version(const struct cli *cli)
{
    (void)cli;
    (void)fputs("longline " LL_VERSION "\n", stdout);
    return EXIT_OK;
}

static int run_help(const struct cli *cli)
{
    (void)cli;
    cli_usage();
    return EXIT_OK;
}

struct command_row {
    const char *name;
    int (*run)(const struct cli *cli);
};

static const struct command_row rows[] = {
    {"serve", server_run},    {"check-config", run_check_config},
    {"receive", receive_run}, {"backup", run_backup},
    {"check", run_check},     {"salvage", run_salvage},
    {"health", health_run},   {"version", run_version},
    {"help", run_help},
};

int main(int argc, char **argv)
{
    static struct cli cli; /* large, and used until the end */
    struct err_detail err = {0};
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    (void)sigaction(SIGPIPE, &ignore, NULL);
    process_keep_private(); /* before anything secret is read */
    mem_setup();
    app_config_setup();
    if (cli_parse(&cli, argc, argv, &err) != 0) {
        (void)fprintf(stderr, "longline: %s\ntry: longline help\n", err.msg);
        return EXIT_USAGE;
    }
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        if (str_eq(str_c(cli.command), str_c(rows[i].name))) {
            return rows[i].run(&cli);
        }
    }
    return EXIT_USAGE;
}
