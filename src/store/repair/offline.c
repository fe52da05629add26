/* SPDX-License-Identifier: Apache-2.0 */
#include "repair/offline.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "longline/check.h"
#include "longline/date.h"
#include "longline/enc.h"

#include "journal/env.h"
#include "record/schema.h"

#define SAY_MAX 1024U

static int try_lock(int fd, const char *data_dir, struct err_detail *err)
{
    if (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
        return err_set(err, ERR_BUSY, errno, "%.80s is in use by another process: stop it first",
                       data_dir);
    }
    return 0;
}

int offline_lock(struct offline *o, const char *data_dir, struct err_detail *err)
{
    char path[ENV_PATH_MAX];
    int rc = path_join(path, data_dir, "lock");

    o->lock_fd = -1;
    o->dir_fd = -1;
    if (rc != 0) {
        return err_set(err, rc, 0, "the path is too long");
    }
    o->dir_fd = open(data_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (o->dir_fd < 0) {
        rc = err_from_errno(errno);
        return err_set(err, rc, errno, "cannot open %.100s: %s", data_dir, err_text(rc));
    }
    o->lock_fd = open(path, O_RDONLY | O_CLOEXEC); /* a directory that was restored has none */
    rc = try_lock(o->dir_fd, data_dir, err);
    rc = rc == 0 ? try_lock(o->lock_fd, data_dir, err) : rc;
    if (rc != 0) {
        offline_unlock(o);
    }
    return rc;
}

void offline_unlock(struct offline *o)
{
    if (o->lock_fd >= 0) {
        (void)close(o->lock_fd);
    }
    if (o->dir_fd >= 0) {
        (void)close(o->dir_fd);
    }
    o->lock_fd = -1;
    o->dir_fd = -1;
}

void offline_say(const struct offline *o, const char *fmt, ...)
{
    char line[SAY_MAX];
    va_list ap;
    va_start(ap, fmt);
    (void)vsnprintf(line, sizeof(line), fmt, ap);
    va_end(ap);
    o->say(o->ctx, line);
}

static void seq_text(char *out, const char *what, uint64_t seq)
{
    char date[DATE_MAX];
    const size_t n = date_rfc3339_ms(date, SEQ_MS(seq));
    (void)snprintf(out, OFFLINE_KEY_MAX, "%s %llu (%.*s)", what, (unsigned long long)seq, (int)n,
                   date);
}

/* A text key; tenant and destination are parted by a zero byte. */
static void plain_text(char *out, const char *what, struct str key)
{
    size_t n = (size_t)snprintf(out, OFFLINE_KEY_MAX, "%s ", what);
    for (size_t i = 0; i < key.n && n + 1 < OFFLINE_KEY_MAX; i++) {
        const char c = key.p[i];
        out[n++] = (char)(c == '\0' ? '/' : c >= 0x20 && c < 0x7f ? c : '.');
    }
    out[n] = '\0';
}

void offline_key_text(char out[OFFLINE_KEY_MAX], const char *tree, struct str key)
{
    static const struct {
        const char *tree;
        const char *what;
        size_t n;
    } by_seq[] = {{"ev", "event", KEY_SEQ},
                  {"at", "attempt", KEY_SEQ},
                  {"bd", "a part of", KEY_CHUNK},
                  {"rt", "retry of event", KEY_RETRY}};
    static const char *const kinds[STORE_LAST_OBJECT + 1] = {
        "object", "tenant", "destination", "key", "topic", "mark of a deleted tenant"};

    for (size_t i = 0; i < LL_COUNT(by_seq); i++) {
        if (strcmp(tree, by_seq[i].tree) == 0 && key.n == by_seq[i].n) {
            seq_text(out, by_seq[i].what, get_be64(key.p));
            return;
        }
    }
    if (strcmp(tree, "ik") == 0) {
        (void)snprintf(out, OFFLINE_KEY_MAX, "an idempotency key");
    } else if (strcmp(tree, "cf") == 0 && key.n != 0) {
        const size_t kind = (unsigned char)key.p[0];
        plain_text(out, kinds[kind < LL_COUNT(kinds) ? kind : 0], str_of(key.p + 1, key.n - 1));
    } else {
        plain_text(out, "value", key);
    }
}
