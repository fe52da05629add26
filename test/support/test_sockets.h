/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the kernel does with this process' own TCP sockets. A port means every open IPv4 socket that
 * has it at either end: the listening one, those it accepted and those that were dialed to it.
 */
#ifndef LL_TEST_SOCKETS_H
#define LL_TEST_SOCKETS_H

#include <stddef.h>
#include <stdint.h>

/* More than a connection takes without its reader once both of its ends are bounded. */
#define BOUNDED_MAX (2u << 20)

/* Makes the buffers small and fixed, so that what does not fit is the same on every host. What a
 * listening socket accepts later inherits them. */
void test_sockets_bound(uint16_t port);
/* Bytes sent that have not reached the other end's kernel. */
size_t test_sockets_unacked(uint16_t port);
/* Bytes that came and were not read. */
size_t test_sockets_unread(uint16_t port);

#endif
