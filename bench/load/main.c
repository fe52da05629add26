/* SPDX-License-Identifier: Apache-2.0 */
/* bench_load: publishes events at a fixed rate or as fast as they are accepted; see load.h. */

#include <signal.h>
#include <stdlib.h>

#include "load.h"

int main(int argc, char **argv)
{
    struct load_options options;
    load_options_parse(&options, argc, argv);
    (void)signal(SIGPIPE, SIG_IGN);

    struct load_result *result = bench_alloc(sizeof *result);
    *result = (struct load_result){0};
    load_run(&options, result);
    load_report(&options, result);
    bitmap_fini(&result->accepted);
    bitmap_fini(&result->unknown);
    free(result);
    return 0;
}
