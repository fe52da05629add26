/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* O_PATH, NSIG */
#include "repair/crash_mark.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "longline/check.h"

#include "journal/env.h"

/* The journal was found good after a crash; a byte for each crash in its map so far. */
#define CHECKED_FILE ".journal-checked"

static const int fatal[] = {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE};
static const char *const names[N_CRASH_FILES] = {".journal-crashed", ".index-crashed"};

/* Signal handlers belong to the process, and so do these. */
static _Atomic int mark_dir = -1;
static _Atomic unsigned n_before; /* crashes in the journal's map in earlier runs */
static _Atomic uintptr_t map_start[N_CRASH_FILES];
static _Atomic size_t map_bytes[N_CRASH_FILES];
static struct sigaction before[LL_COUNT(fatal)];

/* The mark holds a byte for each crash that is known to be this file's. Calls nothing but what is
 * safe in a signal handler. */
static void leave_mark(enum crash_file which, bool is_known)
{
    static const char bytes[CRASH_MAX] = {'c', 'c', 'c'};
    const int dir = atomic_load(&mark_dir);
    const int fd =
        dir < 0 ? -1 : openat(dir, names[which], O_WRONLY | O_CREAT | O_CLOEXEC | O_TRUNC, 0600);
    unsigned n = atomic_load(&n_before) + (is_known ? 1 : 0);

    if (fd < 0) {
        return;
    }
    n = n < CRASH_MAX ? n : CRASH_MAX;
    if (write(fd, bytes, n) != (ssize_t)n) {
        /* The disk is full: that the mark is there is what counts. */
    }
    (void)close(fd);
}

void crash_mark_set(enum crash_file which)
{
    leave_mark(which, true);
}

static bool lies_in(enum crash_file which, const void *address)
{
    const uintptr_t start = atomic_load(&map_start[which]);
    return (uintptr_t)address >= start &&
           (uintptr_t)address - start < atomic_load(&map_bytes[which]);
}

static void on_fatal_signal(int signum, siginfo_t *info, void *context)
{
    const int saved = errno;
    const bool has_address = info->si_code > 0 && (signum == SIGSEGV || signum == SIGBUS);
    const bool journal = has_address && lies_in(CRASH_JOURNAL, info->si_addr);
    const bool index = has_address && lies_in(CRASH_INDEX, info->si_addr);

    (void)context;
    if (journal || !index) {
        leave_mark(CRASH_JOURNAL, journal);
    }
    if (index || !journal) {
        leave_mark(CRASH_INDEX, index);
    }
    for (size_t i = 0; i < LL_COUNT(fatal); i++) {
        if (fatal[i] == signum) {
            (void)sigaction(signum, &before[i], NULL);
        }
    }
    if (info->si_code <= 0) {
        (void)raise(signum); /* sent by somebody: it comes again when the handler has returned */
    }
    errno = saved; /* else: the instruction fails again */
}

int crash_mark_arm(const char *data_dir)
{
    struct sigaction sa = {.sa_sigaction = on_fatal_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    const int fd = open(data_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);

    if (fd < 0) {
        return err_from_errno(errno);
    }
    crash_mark_disarm();
    atomic_store(&n_before, crash_count(data_dir));
    atomic_store(&mark_dir, fd);
    (void)sigemptyset(&sa.sa_mask);
    for (size_t i = 0; i < LL_COUNT(fatal); i++) {
        struct sigaction old;
        if (sigaction(fatal[i], NULL, &old) == 0 && old.sa_sigaction != on_fatal_signal) {
            before[i] = old;
            (void)sigaction(fatal[i], &sa, NULL);
        }
    }
    return 0;
}

void crash_mark_disarm(void)
{
    const int fd = atomic_exchange(&mark_dir, -1);
    if (fd >= 0) {
        (void)close(fd);
    }
}

void crash_mark_map(enum crash_file which, const void *start, size_t n)
{
    atomic_store(&map_bytes[which], 0);
    atomic_store(&map_start[which], (uintptr_t)start);
    atomic_store(&map_bytes[which], n);
}

bool crash_mark_is_set(const char *data_dir, enum crash_file which)
{
    char path[ENV_PATH_MAX];
    struct stat st;
    return path_join(path, data_dir, names[which]) == 0 && lstat(path, &st) == 0;
}

int crash_mark_clear(const char *data_dir, enum crash_file which)
{
    char path[ENV_PATH_MAX];
    if (path_join(path, data_dir, names[which]) != 0) {
        return ERR_TOO_BIG;
    }
    return unlink(path) == 0 || errno == ENOENT ? 0 : err_from_errno(errno);
}

static unsigned bytes_of(const char *data_dir, const char *name)
{
    char path[ENV_PATH_MAX];
    struct stat st;
    return path_join(path, data_dir, name) == 0 && lstat(path, &st) == 0 && st.st_size > 0
               ? (unsigned)st.st_size
               : 0;
}

unsigned crash_count(const char *data_dir)
{
    const unsigned marked = bytes_of(data_dir, names[CRASH_JOURNAL]);
    const unsigned checked = bytes_of(data_dir, CHECKED_FILE);
    return marked > checked ? marked : checked;
}

int crash_checked(const char *data_dir)
{
    char from[ENV_PATH_MAX];
    char to[ENV_PATH_MAX];
    if (path_join(from, data_dir, names[CRASH_JOURNAL]) != 0 ||
        path_join(to, data_dir, CHECKED_FILE) != 0) {
        return ERR_TOO_BIG;
    }
    return rename(from, to) == 0 ? 0 : err_from_errno(errno);
}

void crash_forget(const char *data_dir)
{
    char path[ENV_PATH_MAX];
    if (path_join(path, data_dir, CHECKED_FILE) == 0) {
        (void)unlink(path);
    }
    if (path_join(path, data_dir, names[CRASH_JOURNAL]) == 0) {
        (void)unlink(path);
    }
}
