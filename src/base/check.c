/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of the process when an invariant is broken. Nothing here allocates or takes a lock: the
 * heap and the log may be what is broken.
 */
#include "longline/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "longline/log.h"

void check_failed(const char *expr, const char *file, int line, const char *func)
{
    char text[512];
    const int len =
        snprintf(text, sizeof(text), "assertion failed: %s (%s:%d, %s)\n", expr, file, line, func);
    if (len > 0) {
        const size_t n = (size_t)len < sizeof(text) ? (size_t)len : sizeof(text) - 1;
        if (write(STDERR_FILENO, text, n) < 0) {
            /* Nobody is left to tell. */
            abort();
        }
    }
    log_dump_ring(STDERR_FILENO);
    abort();
}
