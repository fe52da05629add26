/* SPDX-License-Identifier: Apache-2.0 */
/* The command line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "app/cli.h"
#include "longline/check.h"

#define MAX_ARGS 80

/* Splits at blanks, in place. */
static int split(char *text, char *argv[MAX_ARGS])
{
    int n = 0;
    char *at = text;
    while (*at != '\0') {
        argv[n++] = at;
        at += strcspn(at, " ");
        if (*at == ' ') {
            *at++ = '\0';
        }
    }
    argv[n] = NULL;
    return n;
}

static int parse(struct cli *cli, char room[256], const char *line, struct err_detail *err)
{
    static char *argv[MAX_ARGS];
    (void)snprintf(room, 256, "longline%s%s", line[0] != '\0' ? " " : "", line);
    *err = (struct err_detail){0};
    const int argc = split(room, argv);
    return cli_parse(cli, argc, argv, err);
}

static void test_commands(void **state)
{
    (void)state;
    static const struct {
        const char *line, *command;
    } rows[] = {
        {"", "help"},
        {"help", "help"},
        {"--help", "help"},
        {"-h", "help"},
        {"serve --help", "help"},
        {"receive --count 1 -h", "help"},
        {"version", "version"},
        {"--version", "version"},
        {"serve", "serve"},
        {"receive", "receive"},
        {"check-config", "check-config"},
        {"backup x", "backup"},
        {"health", "health"},
    };
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        struct cli cli;
        char room[256];
        struct err_detail err;
        if (parse(&cli, room, rows[i].line, &err) != 0) {
            fail_msg("%s: %s", rows[i].line, err.msg);
        }
        assert_string_equal(cli.command, rows[i].command);
    }
}

static void test_errors(void **state)
{
    (void)state;
    static const struct {
        const char *line, *msg;
    } rows[] = {
        {"run", "there is no command \"run\""},
        {"Serve", "there is no command \"Serve\""},
        {"--config x", "there is no command \"--config\""},
        {"serve now", "unexpected argument \"now\""},
        {"serve --lisen x", "serve does not know the option --lisen"},
        {"serve --listen x", "serve does not know the option --listen"},
        {"receive --set a.b=c", "receive does not know the option --set"},
        {"serve --reference", "serve does not know the option --reference"},
        {"version --json", "version does not know the option --json"},
        {"serve --config", "--config needs a value: FILE"},
        {"serve --set", "--set needs a value: SECTION.KEY=VALUE"},
        {"serve --dev=yes", "--dev takes no value"},
        {"serve -", "serve does not know the option -"},
        {"backup a b", "unexpected argument \"b\""},
        {"serve --=x", "serve does not know the option --"},
    };
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        struct cli cli;
        char room[256];
        struct err_detail err;
        assert_int_equal(parse(&cli, room, rows[i].line, &err), ERR_INVALID);
        assert_string_equal(err.msg, rows[i].msg);
    }
}

static void test_options(void **state)
{
    (void)state;
    struct cli cli;
    char room[256];
    struct err_detail err;
    assert_int_equal(parse(&cli, room,
                           "serve --config a.conf --set x.y=1 --data-dir /d --dev "
                           "--set=z.w=--2=3",
                           &err),
                     0);
    assert_string_equal(cli.config_file, "a.conf");
    assert_true(cli.dev);
    assert_int_equal(cli.n_sets, 3); /* in the order in which they were given */
    assert_string_equal(cli.sets[0], "x.y=1");
    assert_string_equal(cli.sets[1], "store.data_dir=/d");
    assert_string_equal(cli.sets[2], "z.w=--2=3");
    assert_int_equal(parse(&cli, room, "check-config --reference --print --config=b", &err), 0);
    assert_true(cli.print_reference && cli.print_values && !cli.dev);
    assert_string_equal(cli.config_file, "b");
    assert_int_equal(parse(&cli, room,
                           "receive --listen :1 --secret a --secret b --status 500 --count 3 "
                           "--tls-cert c --tls-key k --json",
                           &err),
                     0);
    assert_string_equal(cli.listen, ":1");
    assert_int_equal(cli.n_secrets, 2);
    assert_string_equal(cli.secrets[1], "b");
    assert_string_equal(cli.status, "500");
    assert_string_equal(cli.count, "3");
    assert_string_equal(cli.tls_cert, "c");
    assert_string_equal(cli.tls_key, "k");
    assert_true(cli.json);
    assert_int_equal(parse(&cli, room, "health --url http://h --ca-file f", &err), 0);
    assert_string_equal(cli.url, "http://h");
    assert_string_equal(cli.ca_file, "f");
    assert_int_equal(parse(&cli, room, "backup --config c --data-dir /d to", &err), 0);
    assert_int_equal(cli.n_args, 1);
    assert_string_equal(cli.args[0], "to");
    assert_string_equal(cli.config_file, "c");
    assert_int_equal(parse(&cli, room, "salvage old new", &err), 0);
    assert_int_equal(cli.n_args, 2);
    assert_string_equal(cli.args[1], "new");
    assert_int_equal(parse(&cli, room, "salvage old new newer", &err), ERR_INVALID);
    assert_int_equal(parse(&cli, room, "check --data-dir /d", &err), 0);
    assert_int_equal(parse(&cli, room, "check /d", &err), ERR_INVALID);
    assert_int_equal(parse(&cli, room, "serve --config=", &err), 0);
    assert_string_equal(cli.config_file, "");
}

static void test_limits(void **state)
{
    (void)state;
    static char *argv[2 + 2 * CLI_MAX_SETS + 3];
    char name[] = "longline";
    char serve[] = "serve";
    char receive[] = "receive";
    char set[] = "--set";
    char secret[] = "--secret";
    char value[] = "a.b=c";
    struct cli cli;
    struct err_detail err = {0};
    int n = 2;
    argv[0] = name;
    argv[1] = serve;
    for (int i = 0; i < CLI_MAX_SETS; i++) {
        argv[n++] = set;
        argv[n++] = value;
    }
    assert_int_equal(cli_parse(&cli, n, argv, &err), 0);
    assert_int_equal(cli.n_sets, CLI_MAX_SETS);
    argv[n++] = set;
    argv[n++] = value;
    assert_int_equal(cli_parse(&cli, n, argv, &err), ERR_LIMIT);
    assert_string_equal(err.msg, "more than 64 --set options");
    argv[1] = receive;
    for (n = 2; n < 2 + 2 * (CLI_MAX_SECRETS + 1); n += 2) {
        argv[n] = secret;
    }
    assert_int_equal(cli_parse(&cli, n - 2, argv, &err), 0);
    assert_int_equal(cli_parse(&cli, n, argv, &err), ERR_LIMIT);
    assert_string_equal(err.msg, "more than 8 --secret options");
    static char dir[5000];
    char data_dir[] = "--data-dir";
    memset(dir, 'd', sizeof(dir) - 1);
    argv[1] = serve;
    argv[2] = data_dir;
    argv[3] = dir;
    assert_int_equal(cli_parse(&cli, 4, argv, &err), ERR_TOO_BIG);
    assert_string_equal(err.msg, "--data-dir is too long");
    assert_int_equal(cli_parse(&cli, 0, argv, &err), 0);
    assert_string_equal(cli.command, "help");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_commands),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_options),
        cmocka_unit_test(test_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
