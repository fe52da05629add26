/* SPDX-License-Identifier: Apache-2.0 */
/* Messages to systemd (sd_notify(3) protocol): one datagram to $NOTIFY_SOCKET. Does nothing without
 * it; never fails the caller. */
#ifndef LL_NOTIFY_H
#define LL_NOTIFY_H

#include <stdint.h>

void notify_send(const char *state); /* "READY=1", "STOPPING=1", … */
/* Half of $WATCHDOG_USEC in ms, or 0 when no watchdog is wanted. */
int64_t notify_watchdog_ms(void);

#endif
