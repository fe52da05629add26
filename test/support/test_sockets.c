/* SPDX-License-Identifier: Apache-2.0 */
#include "test_sockets.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "longline/check.h"

#define MAX_GAP 32 /* numbers in a row that are not open: there are no more */
/* Doubled by the kernel. Not below the loopback's segment of 64 KiB: that stalls for 200 ms. */
#define BUFFER  (128 << 10)

/* 0 when there is none. */
static uint16_t port_of(int fd, bool remote)
{
    struct sockaddr_in a = {.sin_family = AF_UNSPEC};
    socklen_t len = sizeof(a);
    struct sockaddr *const sa = (struct sockaddr *)&a;
    const int rc = remote ? getpeername(fd, sa, &len) : getsockname(fd, sa, &len);
    return rc == 0 && a.sin_family == AF_INET ? ntohs(a.sin_port) : 0;
}

static bool has_port(int fd, uint16_t port)
{
    return port_of(fd, false) == port || port_of(fd, true) == port;
}

/* The next open descriptor with the port after `fd`, or -1. */
static int next_with(uint16_t port, int fd)
{
    int gap = 0;
    while (gap < MAX_GAP) {
        fd++;
        if (has_port(fd, port)) {
            return fd;
        }
        gap = fcntl(fd, F_GETFD) < 0 && errno == EBADF ? gap + 1 : 0;
    }
    return -1;
}

void test_sockets_bound(uint16_t port)
{
    const int size = BUFFER;
    for (int fd = next_with(port, -1); fd >= 0; fd = next_with(port, fd)) {
        LL_ASSERT(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)) == 0);
        LL_ASSERT(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size)) == 0);
    }
}

static size_t sum(uint16_t port, unsigned long what)
{
    size_t total = 0;
    for (int fd = next_with(port, -1); fd >= 0; fd = next_with(port, fd)) {
        int n = 0;
        /* One that was reset, or listens, has no peer. */
        if (port_of(fd, true) != 0 && ioctl(fd, what, &n) == 0) {
            total += (size_t)n;
        }
    }
    return total;
}

size_t test_sockets_unacked(uint16_t port)
{
    const int now = 1;
    /* What came is known to the sender only by the acknowledgement, which may wait for 40 ms. */
    for (int fd = next_with(port, -1); fd >= 0; fd = next_with(port, fd)) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &now, sizeof(now));
    }
    return sum(port, SIOCOUTQ);
}

size_t test_sockets_unread(uint16_t port)
{
    return sum(port, SIOCINQ);
}
