/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* O_PATH, NSIG */
#include "upkeep/crash_mark.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "longline/check.h"

#include "journal/env.h"

static const int fatal[] = {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE};

/* Signal handlers belong to the process, and so do these. */
static _Atomic int mark_dir = -1;
static struct sigaction before[LL_COUNT(fatal)];

/* Calls nothing but what is safe in a signal handler. */
static void on_fatal_signal(int signum, siginfo_t *info, void *context)
{
    const int saved = errno;
    const int dir = atomic_load(&mark_dir);

    (void)context;
    if (dir >= 0) {
        const int fd = openat(dir, CRASH_MARK_FILE, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
        if (fd >= 0) {
            (void)close(fd);
        }
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

bool crash_mark_is_set(const char *data_dir)
{
    char path[ENV_PATH_MAX];
    struct stat st;
    return path_join(path, data_dir, CRASH_MARK_FILE) == 0 && lstat(path, &st) == 0;
}

int crash_mark_clear(const char *data_dir)
{
    char path[ENV_PATH_MAX];
    if (path_join(path, data_dir, CRASH_MARK_FILE) != 0) {
        return ERR_TOO_BIG;
    }
    return unlink(path) == 0 || errno == ENOENT ? 0 : err_from_errno(errno);
}
