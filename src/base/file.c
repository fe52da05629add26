/* SPDX-License-Identifier: Apache-2.0 */
#include "longline/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define PIECE ((size_t)16 << 10)

static int fail(struct err_detail *err, const char *path, int e)
{
    const int code = err_from_errno(e);
    return err_set(err, code, e, "%.100s: %s", path, err_text(code));
}

int file_open(int *fd, const char *path, struct err_detail *err)
{
    struct stat st;
    /* O_NONBLOCK: opening a FIFO returns at once; for a regular file it means nothing. */
    const int opened = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
    int e = errno;
    if (opened < 0 && e != ENXIO) { /* ENXIO: a socket, or a device that is not there */
        return fail(err, path, e);
    }
    if (opened >= 0 && fstat(opened, &st) == 0 && S_ISREG(st.st_mode)) {
        *fd = opened;
        return 0;
    }
    if (opened >= 0) {
        (void)close(opened);
    }
    return err_set(err, ERR_INVALID, 0, "%.100s is not a regular file", path);
}

int file_read(struct buf *out, const char *path, struct err_detail *err)
{
    int fd = -1;
    int rc = file_open(&fd, path, err);
    if (rc != 0) {
        return rc;
    }
    for (;;) {
        const size_t left = out->max - out->n;
        const size_t room = left < PIECE ? left : PIECE;
        /* At the maximum, one more byte tells whether the file goes on. */
        char extra;
        rc = buf_reserve(out, room);
        if (rc != 0) {
            (void)err_set(err, rc, 0, "%.100s: %s", path, err_text(rc));
            break;
        }
        const ssize_t n = read(fd, room > 0 ? out->p + out->n : &extra, room > 0 ? room : 1);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            rc = fail(err, path, errno);
        } else if (n > 0 && room == 0) {
            rc = err_set(err, ERR_TOO_BIG, 0, "%.100s is longer than %zu bytes", path, out->max);
        }
        if (n <= 0 || rc != 0) {
            break;
        }
        out->n += (size_t)n;
    }
    (void)close(fd);
    return rc;
}
