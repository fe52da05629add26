/* SPDX-License-Identifier: Apache-2.0 */
/* Translation of libuv's error codes. */
#include "loop_impl.h"

int err_from_uv(int rc)
{
    switch (rc) {
    case 0:
        return 0;
    case UV_EOF:
        return ERR_CLOSED;
    case UV_ECANCELED:
        return ERR_CANCELED;
    case UV_ECHARSET:
    case UV_UNKNOWN:
        return ERR_UNKNOWN;
    default:
        /* On Unix all others are negated errno values. */
        return err_from_errno(-rc);
    }
}
