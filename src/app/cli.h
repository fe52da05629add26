/* SPDX-License-Identifier: Apache-2.0 */
/* The command line: commands, options, usage. */
#ifndef LL_CLI_H
#define LL_CLI_H

#include <stdbool.h>
#include <stddef.h>

#include "longline/err.h"

#include "exit_status.h"

#define CLI_MAX_SETS    64
#define CLI_MAX_SECRETS 8
#define CLI_MAX_ARGS    2

struct cli {
    const char *command;
    const char *config_file; /* NULL: none */
    bool dev;
    bool print_reference;
    bool print_values;
    bool json;
    const char *sets[CLI_MAX_SETS]; /* section.key=value, in order */
    size_t n_sets;
    const char *listen;
    const char *secrets[CLI_MAX_SECRETS];
    size_t n_secrets;
    const char *status;
    const char *count;
    const char *tls_cert;
    const char *tls_key;
    const char *url;
    const char *ca_file;
    const char *args[CLI_MAX_ARGS]; /* that are no options */
    size_t n_args;
    char data_dir_set[4096]; /* room for "store.data_dir=…" */
};

/* Fills *out from argv; ERR_INVALID with a sentence. */
int cli_parse(struct cli *out, int argc, char **argv, struct err_detail *err) LL_MUST_USE;
void cli_usage(void);

#endif
