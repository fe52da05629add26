/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"

#include <stdio.h>

#include "longline/check.h"
#include "longline/str.h"

/* Which commands an option belongs to, as letters: Serve Check-config Receive Backup Health,
 * Damage (check), saLvage. */
struct option {
    const char *name;
    const char *commands;
    const char *value; /* placeholder, NULL: a flag */
    const char *help;
};

static const struct option options[] = {
    {"--config", "SCBD", "FILE", "configuration file (conf/longline.conf lists every key)"},
    {"--data-dir", "SCBD", "DIR", "short for --set store.data_dir=DIR"},
    {"--set", "SCBD", "SECTION.KEY=VALUE", "one setting; wins over file and environment"},
    {"--dev", "SC", NULL, "allow deliveries to loopback and over plain http, and short keys"},
    {"--reference", "C", NULL, "print the configuration file with every key and its default"},
    {"--print", "C", NULL, "print the effective settings"},
    {"--listen", "R", "ADDR:PORT", "where to listen (default 127.0.0.1:4000)"},
    {"--secret", "R", "TEXT", "a destination's secret to verify signatures with; may be repeated"},
    {"--status", "R", "CODE", "answer with this status (default 200)"},
    {"--count", "R", "N", "end after N requests: status 0 when all signatures were valid"},
    {"--tls-cert", "R", "FILE", "PEM certificate chain: serve https"},
    {"--tls-key", "R", "FILE", "PEM key"},
    {"--json", "R", NULL, "print one JSON object per request"},
    {"--url", "H", "URL", "the gateway (default http://127.0.0.1:3333)"},
    {"--ca-file", "H", "FILE", "PEM certificate authority of the gateway"},
};

struct command {
    const char *name;
    char letter;
    const char *help;
};

static const struct command commands[] = {
    {"serve", 'S', "run the gateway"},
    {"check-config", 'C', "read the configuration and say what is wrong with it"},
    {"receive", 'R', "run a small receiver that prints webhooks and checks their signatures"},
    {"backup", 'B', "copy the data into a new directory, also while the gateway runs: backup TO"},
    {"check", 'D',
     "read every page and record of a stopped data directory; exit status 65: damaged"},
    {"salvage", 'L', "copy what is not damaged into a new data directory: salvage OLD NEW"},
    {"health", 'H', "ask a running gateway for its health; exit status 0 when it is well"},
    {"version", 'V', "print the version"},
    {"help", '?', "print this"},
};

void cli_usage(void)
{
    (void)fputs("usage: longline COMMAND [OPTION ...]\n\n", stdout);
    for (size_t i = 0; i < LL_COUNT(commands); i++) {
        const struct command *c = &commands[i];
        (void)fprintf(stdout, "  %-13s %s\n", c->name, c->help);
        for (size_t k = 0; k < LL_COUNT(options); k++) {
            const struct option *o = &options[k];
            if (str_find(str_c(o->commands), c->letter) == str_c(o->commands).n) {
                continue;
            }
            (void)fprintf(stdout, "      %s%s%s\n                %s\n", o->name,
                          o->value != NULL ? " " : "", o->value != NULL ? o->value : "", o->help);
        }
    }
}

/* Arguments that are no options. */
static size_t n_args(char letter)
{
    return letter == 'B' ? 1 : letter == 'L' ? 2 : 0;
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < LL_COUNT(commands); i++) {
        if (str_eq(str_c(name), str_c(commands[i].name))) {
            return &commands[i];
        }
    }
    return NULL;
}

static const struct option *find_option(struct str name, char letter)
{
    for (size_t i = 0; i < LL_COUNT(options); i++) {
        const struct str letters = str_c(options[i].commands);
        if (str_eq(name, str_c(options[i].name)) && str_find(letters, letter) < letters.n) {
            return &options[i];
        }
    }
    return NULL;
}

static int add_set(struct cli *out, const char *text, struct err_detail *err)
{
    if (out->n_sets == CLI_MAX_SETS) {
        return err_set(err, ERR_LIMIT, 0, "more than %d --set options", CLI_MAX_SETS);
    }
    out->sets[out->n_sets++] = text;
    return 0;
}

static int add_secret(struct cli *out, const char *text, struct err_detail *err)
{
    if (out->n_secrets == CLI_MAX_SECRETS) {
        return err_set(err, ERR_LIMIT, 0, "more than %d --secret options", CLI_MAX_SECRETS);
    }
    out->secrets[out->n_secrets++] = text;
    return 0;
}

static int set_data_dir(struct cli *out, const char *dir, struct err_detail *err)
{
    const int n = snprintf(out->data_dir_set, sizeof(out->data_dir_set), "store.data_dir=%s", dir);
    if (n < 0 || (size_t)n >= sizeof(out->data_dir_set)) {
        return err_set(err, ERR_TOO_BIG, 0, "--data-dir is too long");
    }
    return add_set(out, out->data_dir_set, err);
}

static int set_flag(struct cli *out, struct str name)
{
    if (str_eq(name, STR("--dev"))) {
        out->dev = true;
    } else if (str_eq(name, STR("--reference"))) {
        out->print_reference = true;
    } else if (str_eq(name, STR("--print"))) {
        out->print_values = true;
    } else {
        out->json = true;
    }
    return 0;
}

static int set_value(struct cli *out, struct str name, const char *value, struct err_detail *err)
{
    struct slot {
        struct str name;
        const char **to;
    };
    const struct slot slots[] = {
        {STR("--config"), &out->config_file},
        {STR("--listen"), &out->listen},
        {STR("--status"), &out->status},
        {STR("--count"), &out->count},
        {STR("--tls-cert"), &out->tls_cert},
        {STR("--tls-key"), &out->tls_key},
        {STR("--url"), &out->url},
        {STR("--ca-file"), &out->ca_file},
    };
    for (size_t i = 0; i < LL_COUNT(slots); i++) {
        if (str_eq(name, slots[i].name)) {
            *slots[i].to = value;
            return 0;
        }
    }
    if (str_eq(name, STR("--set"))) {
        return add_set(out, value, err);
    }
    if (str_eq(name, STR("--secret"))) {
        return add_secret(out, value, err);
    }
    return set_data_dir(out, value, err);
}

/* One option at argv[*i], as "--name value" or "--name=value". */
static int take_option(struct cli *out, char letter, int argc, char **argv, int *i,
                       struct err_detail *err)
{
    const struct str arg = str_c(argv[*i]);
    const size_t eq = str_find(arg, '=');
    const struct str name = str_of(arg.p, eq);
    const struct option *o = find_option(name, letter);
    if (o == NULL) {
        return err_set(err, ERR_INVALID, 0, "%s does not know the option " STR_FMT, out->command,
                       STR_ARG(name));
    }
    if (o->value == NULL) {
        if (eq < arg.n) {
            return err_set(err, ERR_INVALID, 0, "%s takes no value", o->name);
        }
        return set_flag(out, name);
    }
    if (eq < arg.n) {
        return set_value(out, name, arg.p + eq + 1, err);
    }
    if (*i + 1 >= argc) {
        return err_set(err, ERR_INVALID, 0, "%s needs a value: %s", o->name, o->value);
    }
    (*i)++;
    return set_value(out, name, argv[*i], err);
}

static bool asks_for_help(const char *arg)
{
    return str_eq(str_c(arg), STR("--help")) || str_eq(str_c(arg), STR("-h"));
}

int cli_parse(struct cli *out, int argc, char **argv, struct err_detail *err)
{
    *out = (struct cli){.command = "help"};
    if (argc < 2) {
        return 0;
    }
    const char *first = argv[1];
    if (asks_for_help(first)) {
        return 0;
    }
    if (str_eq(str_c(first), STR("--version"))) {
        out->command = "version";
        return 0;
    }
    const struct command *c = find_command(first);
    if (c == NULL) {
        return err_set(err, ERR_INVALID, 0, "there is no command \"%s\"", first);
    }
    out->command = c->name;
    for (int i = 2; i < argc; i++) {
        if (asks_for_help(argv[i])) {
            out->command = "help";
            return 0;
        }
        if (argv[i][0] == '-') {
            const int rc = take_option(out, c->letter, argc, argv, &i, err);
            if (rc != 0) {
                return rc;
            }
        } else if (out->n_args < n_args(c->letter)) {
            out->args[out->n_args++] = argv[i];
        } else {
            return err_set(err, ERR_INVALID, 0, "unexpected argument \"%s\"", argv[i]);
        }
    }
    return 0;
}
