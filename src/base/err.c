/* SPDX-License-Identifier: Apache-2.0 */
#include "longline/err.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "longline/check.h"

struct err_row {
    const char *name;
    const char *text;
};

/* Indexed by the positive number. */
static const struct err_row rows[] = {[0] = {"OK", "success"},
#define LL_ERR_ROW(sym, num, text) [num] = {#sym, text},
                                      LL_ERR_MAP(LL_ERR_ROW)
#undef LL_ERR_ROW
};

static const struct err_row *row_of(int code)
{
    if (code > 0 || code <= -(int)LL_COUNT(rows) || rows[-code].name == NULL) {
        return &rows[-ERR_UNKNOWN];
    }
    return &rows[-code];
}

const char *err_name(int code)
{
    return row_of(code)->name;
}

const char *err_text(int code)
{
    return row_of(code)->text;
}

int err_from_errno(int e)
{
    static const struct {
        int number;
        int code;
    } map[] = {
        {0, ERR_OK},
        {ENOMEM, ERR_NOMEM},
        {E2BIG, ERR_TOO_BIG},
        {EFBIG, ERR_TOO_BIG},
        {EMSGSIZE, ERR_TOO_BIG},
        {ENAMETOOLONG, ERR_TOO_BIG},
        {EINVAL, ERR_INVALID},
        {EBADF, ERR_INVALID},
        {ERANGE, ERR_RANGE},
        {EOVERFLOW, ERR_RANGE},
        {ENOENT, ERR_NOT_FOUND},
        {ENOTDIR, ERR_NOT_FOUND},
        {EEXIST, ERR_EXISTS},
        {EADDRINUSE, ERR_EXISTS},
        {ENOSPC, ERR_FULL},
        {EDQUOT, ERR_FULL},
        {EAGAIN, ERR_BUSY},
        {EBUSY, ERR_BUSY},
        {EINTR, ERR_BUSY},
        {ETIMEDOUT, ERR_TIMEOUT},
        {EPIPE, ERR_CLOSED},
        {ENOTCONN, ERR_CLOSED},
        {ESHUTDOWN, ERR_CLOSED},
        {ECANCELED, ERR_CANCELED},
        {EIO, ERR_IO},
        {EPROTO, ERR_PROTO},
        {ECONNREFUSED, ERR_REFUSED},
        {ECONNRESET, ERR_RESET},
        {ECONNABORTED, ERR_RESET},
        {ENETUNREACH, ERR_UNREACHABLE},
        {EHOSTUNREACH, ERR_UNREACHABLE},
        {ENETDOWN, ERR_UNREACHABLE},
        {EADDRNOTAVAIL, ERR_UNREACHABLE},
        {EACCES, ERR_DENIED},
        {EPERM, ERR_DENIED},
        {EROFS, ERR_DENIED},
        {EMFILE, ERR_NO_FILES},
        {ENFILE, ERR_NO_FILES},
        {ENOTSUP, ERR_UNSUPPORTED},
        {ENOSYS, ERR_UNSUPPORTED},
        {EAFNOSUPPORT, ERR_UNSUPPORTED},
    };
    for (size_t i = 0; i < LL_COUNT(map); i++) {
        if (map[i].number == e) {
            return map[i].code;
        }
    }
    return ERR_UNKNOWN;
}

int err_set(struct err_detail *d, int code, int foreign, const char *fmt, ...)
{
    if (d != NULL) {
        va_list ap;
        d->code = code;
        d->foreign = foreign;
        va_start(ap, fmt);
        (void)vsnprintf(d->msg, sizeof(d->msg), fmt, ap);
        va_end(ap);
    }
    return code;
}

void err_prefix(struct err_detail *d, const char *fmt, ...)
{
    char old[sizeof(d->msg)];
    va_list ap;
    int len;
    size_t n;

    if (d == NULL) {
        return;
    }
    memcpy(old, d->msg, sizeof(old));
    va_start(ap, fmt);
    len = vsnprintf(d->msg, sizeof(d->msg), fmt, ap);
    va_end(ap);
    n = len < 0 ? 0 : (size_t)len;
    if (n < sizeof(d->msg) - 1) {
        char *rest = d->msg + n;
        const size_t room = sizeof(d->msg) - n;
        /* What no longer fits is cut off at the end. */
        if (snprintf(rest, room, ": %s", old) < 0) {
            *rest = '\0';
        }
    }
}
