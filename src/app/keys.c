/* SPDX-License-Identifier: Apache-2.0 */
#include "keys.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "longline/enc.h"
#include "longline/file.h"
#include "longline/log.h"
#include "longline/mem.h"
#include "longline/rng.h"

#define PATH_ROOM 4096
#define KEY_BYTES (KEY_FILE_TEXT / 2)

static int fail(struct err_detail *err, const char *what, const char *path)
{
    const int e = errno;
    return err_set(err, err_from_errno(e), e, "cannot %s %s", what, path);
}

/* Somebody may have copied it into place. */
static void warn_if_open(int fd, const char *path)
{
    struct stat st;
    if (fstat(fd, &st) == 0 && (st.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        char mode[8];
        (void)snprintf(mode, sizeof(mode), "%04o", (unsigned)(st.st_mode & 07777));
        log_warn("keys.readable_by_others", LOG_CSTR("file", path), LOG_CSTR("mode", mode),
                 LOG_CSTR("should_be", "0600"));
    }
}

static int read_key(int fd, const char *path, size_t min, struct buf *out, struct err_detail *err)
{
    char text[512];
    const ssize_t n = read(fd, text, sizeof(text));
    if (n < 0) {
        return fail(err, "read", path);
    }
    const struct str key = str_trim(str_of(text, (size_t)n));
    int rc = 0;
    if ((size_t)n == sizeof(text)) { /* cut off, perhaps: half a key is another key */
        rc = err_set(err, ERR_TOO_BIG, 0, "%s holds more than a key", path);
    } else if (key.n < min) {
        rc = err_set(err, ERR_INVALID, 0, "%s holds less than %zu characters", path, min);
    } else {
        rc = buf_add_str(out, key);
    }
    mem_wipe(text, sizeof(text));
    return rc;
}

static int write_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        const ssize_t done = write(fd, p, n);
        if (done < 0) {
            return -1;
        }
        p += done;
        n -= (size_t)done;
    }
    return 0;
}

static int sync_dir(const char *data_dir)
{
    const int fd = open(data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    const int rc = fsync(fd);
    (void)close(fd);
    return rc;
}

/* Written beside its place and linked into it, so that a half-written key never has the name. */
static int make_key(const char *data_dir, const char *path, struct buf *out, struct err_detail *err)
{
    char tmp[PATH_ROOM];
    if (snprintf(tmp, sizeof(tmp), "%s.new", path) >= (int)sizeof(tmp)) {
        return err_set(err, ERR_TOO_BIG, 0, "the path of the data directory is too long");
    }
    unsigned char raw[KEY_BYTES];
    char text[KEY_FILE_TEXT + 1];
    rng_fill(rng_system(), raw, sizeof(raw));
    enc_hex(text, raw, sizeof(raw));
    text[KEY_FILE_TEXT] = '\n';
    mem_wipe(raw, sizeof(raw));
    (void)unlink(tmp);
    const int fd = open(tmp, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return fail(err, "create", tmp);
    }
    int rc = 0;
    if (write_all(fd, text, sizeof(text)) != 0 || fsync(fd) != 0) {
        rc = fail(err, "write", tmp);
    }
    (void)close(fd);
    if (rc == 0 && (rename(tmp, path) != 0 || sync_dir(data_dir) != 0)) {
        rc = fail(err, "create", path);
    }
    if (rc == 0) {
        rc = buf_add(out, text, KEY_FILE_TEXT);
    }
    mem_wipe(text, sizeof(text));
    return rc;
}

int key_file_load(const char *data_dir, const char *name, size_t min, struct buf *out, bool *made,
                  struct err_detail *err)
{
    char path[PATH_ROOM];
    if (snprintf(path, sizeof(path), "%s/%s", data_dir, name) >= (int)sizeof(path)) {
        return err_set(err, ERR_TOO_BIG, 0, "the path of the data directory is too long");
    }
    *made = false;
    int fd = -1;
    int rc = file_open(&fd, path, err);
    if (rc == 0) {
        warn_if_open(fd, path);
        rc = read_key(fd, path, min, out, err);
        (void)close(fd);
    }
    if (rc != ERR_NOT_FOUND) {
        return rc;
    }
    *made = true;
    return make_key(data_dir, path, out, err);
}
