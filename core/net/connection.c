/* connection.c - see connection.h. The event stays added from one call to the next: no system call changes it. */
#include "net/connection.h"

#include <errno.h>
#include <event2/event.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/ssl.h>

#include "base/mem.h"
#include "net/tls_client.h"

enum { RECORD_BYTES = 16 * 1024 };

static void on_event(evutil_socket_t descriptor, short what, void *arg)
{
    struct connection *connection = arg;

    (void)descriptor;
    connection->on_ready(connection->arg, what);
}

struct connection *connection_new(struct event_base *base, int descriptor, struct ssl_st *ssl)
{
    struct connection *connection = mem_zero(sizeof *connection);

    connection->descriptor = descriptor;
    connection->ssl = ssl;
    if (ssl)
        SSL_set_fd(ssl, descriptor); /* which only fails for want of memory, of which there is always some */
    event_assign(&connection->event, base, descriptor, 0, on_event, connection);
    return connection;
}

void connection_close(struct connection *connection)
{
    event_del(&connection->event);
    if (connection->ssl)
        tls_client_end(connection->ssl);
    SSL_free(connection->ssl);
    close(connection->descriptor);
    mem_free(connection);
}

void connection_hand(struct connection *connection, void (*on_ready)(void *arg, short what), void *arg)
{
    connection->on_ready = on_ready;
    connection->arg = arg;
}

static void update(struct connection *connection)
{
    short wanted =
        (short)((connection->reads ? EV_READ : 0) | (connection->writes || connection->needs_output ? EV_WRITE : 0));

    if (wanted == connection->added)
        return;
    event_del(&connection->event);
    event_assign(&connection->event, event_get_base(&connection->event), connection->descriptor,
                 (short)(wanted | EV_PERSIST), on_event, connection);
    if (wanted)
        event_add(&connection->event, NULL);
    connection->added = wanted;
}

void connection_want(struct connection *connection, bool reads, bool writes)
{
    connection->reads = reads;
    connection->writes = writes;
    update(connection);
}

void connection_wake(struct connection *connection)
{
    event_active(&connection->event, EV_READ, 0);
}

static enum connection_answer later(struct connection *connection, ssize_t answer)
{
    if (answer == TLS_BROKEN)
        return CONNECTION_BROKEN;
    connection->needs_output = answer == TLS_NEEDS_OUTPUT;
    update(connection);
    return CONNECTION_LATER;
}

bool connection_shake(struct connection *connection, enum connection_answer *answer)
{
    int n = connection->ssl ? tls_client_shake(connection->ssl) : 1;

    connection->needs_output = false;
    if (n == 1)
        return true;
    connection->reads = true;
    *answer = later(connection, n);
    return false;
}

void connection_say(struct connection *connection, const char *host, char *message, size_t size)
{
    tls_client_say(connection->ssl, host, message, size);
}

static ssize_t read_plain(struct connection *connection, void *data, size_t size)
{
    ssize_t n;

    do
        n = recv(connection->descriptor, data, size, 0);
    while (n < 0 && errno == EINTR);
    if (n >= 0)
        return n;
    return errno == EAGAIN || errno == EWOULDBLOCK ? CONNECTION_LATER : CONNECTION_BROKEN;
}

ssize_t connection_read(struct connection *connection, void *data, size_t size)
{
    ssize_t n;

    if (!connection->ssl)
        return read_plain(connection, data, size);
    connection->needs_output = false;
    n = tls_client_read(connection->ssl, data, size);
    return n >= 0 ? n : later(connection, n);
}

bool connection_has_more(const struct connection *connection)
{
    return connection->ssl && tls_client_has_more(connection->ssl);
}

static ssize_t send_plain(struct connection *connection, const char *head, size_t head_length, const char *body,
                          size_t body_length)
{
    struct iovec parts[2] = { { (char *)head, head_length }, { (char *)body, body_length } };
    struct msghdr message = { .msg_iov = head_length ? parts : parts + 1, .msg_iovlen = head_length ? 2 : 1 };
    ssize_t n;

    do
        n = sendmsg(connection->descriptor, &message, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    if (n >= 0)
        return n;
    return errno == EAGAIN || errno == EWOULDBLOCK ? CONNECTION_LATER : CONNECTION_BROKEN;
}

/* Head and what fits of the body go in one record; what is left of the body goes from where it stands. */
static ssize_t send_secure(struct connection *connection, const char *head, size_t head_length, const char *body,
                           size_t body_length)
{
    char record[RECORD_BYTES];
    ssize_t n;

    if (head_length == 0) {
        n = tls_client_write(connection->ssl, body, body_length);
    } else {
        if (head_length > sizeof record)
            head_length = sizeof record;
        if (body_length > sizeof record - head_length)
            body_length = sizeof record - head_length;
        memcpy(record, head, head_length);
        if (body_length)
            memcpy(record + head_length, body, body_length);
        n = tls_client_write(connection->ssl, record, head_length + body_length);
        explicit_bzero(record, head_length); /* a key is in it */
    }
    if (n > 0)
        return n;
    return n == TLS_BROKEN ? CONNECTION_BROKEN : CONNECTION_LATER;
}

ssize_t connection_send(struct connection *connection, const char *head, size_t head_length, const char *body,
                        size_t body_length)
{
    return connection->ssl ? send_secure(connection, head, head_length, body, body_length)
                           : send_plain(connection, head, head_length, body, body_length);
}

bool connection_is_quiet(struct connection *connection)
{
    char byte;

    /* Of TLS there may be a ticket, which is for nobody but OpenSSL. */
    if (connection->ssl)
        return tls_client_read(connection->ssl, &byte, 1) == TLS_NEEDS_INPUT;
    return recv(connection->descriptor, &byte, 1, MSG_PEEK) < 0 && (errno == EAGAIN || errno == EWOULDBLOCK);
}
