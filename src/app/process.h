/* SPDX-License-Identifier: Apache-2.0 */
/* What the process tells the kernel about itself at its start. */
#ifndef LL_PROCESS_H
#define LL_PROCESS_H

/* Keeps the keys in memory from other processes of the same user: no core file, no debugger that
 * attaches later, no reading of /proc/PID/mem or environ. Root still can. Instrumented builds leave
 * it out, because the leak checker attaches to its own process. */
void process_keep_private(void);

/* Ignores every signal that would end the process by default, but for those that ask it to end
 * (SIGTERM, SIGINT, SIGQUIT), faults, and those for which something else (a profiler, say) has set
 * a handler. With SIGXFSZ ignored, a file that may not grow is an error of the write. */
void process_ignore_signals(void);

#endif
