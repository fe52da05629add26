/* SPDX-License-Identifier: Apache-2.0 */
#include "exit_status.h"

#include <stddef.h>

#include "longline/check.h"
#include "longline/err.h"

int exit_status_of(int code)
{
    static const struct {
        int code;
        int status;
    } rows[] = {
        {ERR_OK, EXIT_OK},
        {ERR_CORRUPT, EXIT_DATA},
        {ERR_VERSION, EXIT_DATA},
        {ERR_SYNTAX, EXIT_DATA}, /* a stored object; the configuration has been read by then */
        {ERR_INVALID, EXIT_CONFIG},
        {ERR_TOO_BIG, EXIT_CONFIG},
        {ERR_RANGE, EXIT_CONFIG},
        {ERR_NOT_FOUND, EXIT_CONFIG}, /* also the key that stored credentials were sealed with */
        {ERR_UNSUPPORTED, EXIT_CONFIG},
    };
    for (size_t i = 0; i < LL_COUNT(rows); i++) {
        if (rows[i].code == code) {
            return rows[i].status;
        }
    }
    return EXIT_FAIL;
}
