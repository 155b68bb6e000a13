/* notify.c - see notify.h. */
#include "base/notify.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/clock.h"

void notify(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    size_t length = path ? strlen(path) : 0;
    int line;

    if (length < 2 || length >= sizeof address.sun_path || (path[0] != '/' && path[0] != '@'))
        return;
    memcpy(address.sun_path, path, length);
    if (path[0] == '@') /* an address that is no file */
        address.sun_path[0] = '\0';
    line = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (line < 0)
        return;
    /* If nobody listens, there is nobody to tell that either. */
    (void)sendto(line, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&address,
                 (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length));
    close(line);
}

void notify_reloading(void)
{
    char state[64];

    snprintf(state, sizeof state, "RELOADING=1\nMONOTONIC_USEC=%lld", (long long)clock_monotonic_us());
    notify(state);
}

int64_t notify_watchdog_us(void)
{
    /* WATCHDOG_PID names the process that was started first, which an upgrade has replaced. */
    const char *text = getenv("WATCHDOG_USEC");
    long long us = text ? strtoll(text, NULL, 10) : 0;

    return us > 0 ? us : 0;
}
