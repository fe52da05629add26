/* SPDX-License-Identifier: Apache-2.0 */
#include "process.h"

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "longline/check.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_INSTRUMENTED true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) ||                         \
    __has_feature(leak_sanitizer)
#define IS_INSTRUMENTED true
#endif
#endif
#ifndef IS_INSTRUMENTED
#define IS_INSTRUMENTED false
#endif

void process_keep_private(void)
{
    const struct rlimit none = {.rlim_cur = 0, .rlim_max = 0};
    if (IS_INSTRUMENTED) {
        return;
    }
    (void)setrlimit(RLIMIT_CORE, &none);
    (void)prctl(PR_SET_DUMPABLE, 0, 0, 0, 0);
}

static bool is_left_alone(int signum)
{
    static const int left[] = {
        SIGTERM, SIGINT,  SIGQUIT,                                     /* ask the process to end */
        SIGILL,  SIGTRAP, SIGABRT, SIGBUS,  SIGFPE,  SIGSEGV, SIGSYS,  /* it cannot go on */
        SIGKILL, SIGSTOP,                                              /* cannot be ignored */
        SIGCHLD, SIGCONT, SIGTSTP, SIGTTIN, SIGTTOU, SIGURG,  SIGWINCH /* do not end it */
    };
    for (size_t i = 0; i < LL_COUNT(left); i++) {
        if (left[i] == signum) {
            return true;
        }
    }
    return false;
}

void process_ignore_signals(void)
{
    const struct sigaction ignore = {.sa_handler = SIG_IGN};
    for (int signum = 1; signum <= SIGRTMAX; signum++) {
        struct sigaction now;
        /* The C library refuses its own signals. */
        if (!is_left_alone(signum) && sigaction(signum, NULL, &now) == 0 &&
            now.sa_handler == SIG_DFL) {
            (void)sigaction(signum, &ignore, NULL);
        }
    }
}
