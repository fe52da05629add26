/* SPDX-License-Identifier: Apache-2.0 */
/* Arguments, one per line of the input. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "app/cli.h"
#include "longline/check.h"
#include "longline/mem.h"

#define MAX_ARGS 200
#define MAX_TEXT 16384

static void check_good(const struct cli *cli)
{
    LL_ASSERT(cli->command != NULL);
    LL_ASSERT(cli->n_sets <= CLI_MAX_SETS && cli->n_secrets <= CLI_MAX_SECRETS);
    for (size_t i = 0; i < cli->n_sets; i++) {
        LL_ASSERT(cli->sets[i] != NULL);
    }
    LL_ASSERT(memchr(cli->data_dir_set, '\0', sizeof(cli->data_dir_set)) != NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > MAX_TEXT) {
        return 0;
    }
    char name[] = "longline";
    char *argv[MAX_ARGS + 1] = {name};
    char *text = mem_strndup((const char *)data, size);
    int argc = 1;
    char *at = text;
    while (argc < MAX_ARGS && at != NULL) {
        char *end = strchr(at, '\n');
        argv[argc++] = at;
        if (end != NULL) {
            *end++ = '\0';
        }
        at = end;
    }
    struct cli cli;
    struct err_detail err = {0};
    if (cli_parse(&cli, argc, argv, &err) == 0) {
        check_good(&cli);
    } else {
        LL_ASSERT(err.msg[0] != '\0');
    }
    mem_free(text);
    return 0;
}
