/* redis_socket.c - see redis_socket.h. */
#include "net/redis_socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

union place {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_un un;
};

static socklen_t place_of(union place *place, const char *host, int port)
{
    memset(place, 0, sizeof *place);
    if (!port) {
        if (strlen(host) >= sizeof place->un.sun_path)
            return 0;
        place->un.sun_family = AF_UNIX;
        memcpy(place->un.sun_path, host, strlen(host) + 1);
        return sizeof place->un;
    }
    if (inet_pton(AF_INET, host, &place->in.sin_addr) == 1) {
        place->in.sin_family = AF_INET;
        place->in.sin_port = htons((uint16_t)port);
        return sizeof place->in;
    }
    if (inet_pton(AF_INET6, host, &place->in6.sin6_addr) == 1) {
        place->in6.sin6_family = AF_INET6;
        place->in6.sin6_port = htons((uint16_t)port);
        return sizeof place->in6;
    }
    return 0;
}

int redis_socket_connect(const char *host, int port)
{
    union place place;
    socklen_t length = place_of(&place, host, port);
    int one = 1, descriptor, error;

    if (!length) {
        errno = EINVAL;
        return -1;
    }
    descriptor = socket(place.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (descriptor < 0)
        return -1;
    if (port) {
        setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        setsockopt(descriptor, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof one);
    }
    if (connect(descriptor, &place.any, length) == 0 || errno == EINPROGRESS)
        return descriptor;
    error = errno;
    close(descriptor);
    errno = error;
    return -1;
}

int redis_socket_error(int descriptor)
{
    int error = 0;
    socklen_t size = sizeof error;

    if (getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
        return errno;
    return error;
}
