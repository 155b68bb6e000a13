/* redis_socket.h - a socket that connects to a numeric address without waiting. */
#ifndef NET_REDIS_SOCKET_H
#define NET_REDIS_SOCKET_H

/* host is numeric, or the path of a Unix socket where port is 0. -1 with errno; else writable once it is decided. */
int redis_socket_connect(const char *host, int port);
/* An errno if the connection did not come about, or 0. */
int redis_socket_error(int descriptor);

#endif
