/* SPDX-License-Identifier: Apache-2.0 */
#include "notify.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "longline/str.h"

void notify_send(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET"); /* NOLINT(concurrency-mt-unsafe): never set */
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    if (path == NULL || (path[0] != '/' && path[0] != '@')) {
        return;
    }
    const size_t n = strlen(path);
    if (n >= sizeof(sa.sun_path)) {
        return;
    }
    memcpy(sa.sun_path, path, n);
    if (path[0] == '@') {
        sa.sun_path[0] = '\0'; /* the abstract namespace */
    }
    const int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return;
    }
    const socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    (void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&sa, len);
    (void)close(fd);
}

int64_t notify_watchdog_ms(void)
{
    uint64_t usec = 0;
    const char *text = getenv("WATCHDOG_USEC"); /* NOLINT(concurrency-mt-unsafe): never set */
    if (text == NULL || str_to_u64(str_c(text), &usec) != 0 || usec > UINT64_C(3600000000)) {
        return 0;
    }
    return (int64_t)(usec / 2000);
}
