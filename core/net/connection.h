/*
 * connection.h - one connection to a provider, plain or TLS: bytes out, bytes
 * in, and a word when either is possible. Nothing blocks, and nothing is held
 * back: what cannot be sent now is the caller's to keep.
 */
#ifndef NET_CONNECTION_H
#define NET_CONNECTION_H

#include <event2/event_struct.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

struct event_base;
struct origin;
struct ssl_st;

struct connection {
    int descriptor;
    struct ssl_st *ssl; /* NULL: plain */
    struct event event;
    bool reads, writes, needs_output; /* what the event waits for; the last for a read of TLS */
    short added;
    void (*on_ready)(void *arg, short what);
    void *arg;

    /* While it is idle, the pool's. */
    struct origin *origin;
    int64_t idle_since_us;
    TAILQ_ENTRY(connection) entry, peer; /* of all that are idle; of those of its origin */
};

/* Beside how many bytes moved. */
enum connection_answer { CONNECTION_ENDED = 0, CONNECTION_LATER = -1, CONNECTION_BROKEN = -2 };

/* Takes the connected descriptor over, and ssl (NULL: plain). */
struct connection *connection_new(struct event_base *base, int descriptor, struct ssl_st *ssl);
/* Not broken off: the other side is told that this is the end, if it can be at once. */
void connection_close(struct connection *connection);
/* Whoever is told from now on. on_ready may close the connection. */
void connection_hand(struct connection *connection, void (*on_ready)(void *arg, short what), void *arg);
/* Which of EV_READ and EV_WRITE is told. */
void connection_want(struct connection *connection, bool reads, bool writes);
/* Calls on_ready soon, as if it could be read. */
void connection_wake(struct connection *connection);

/* The TLS handshake: true once it is done (at once, if plain); else CONNECTION_LATER or _BROKEN in answer. */
bool connection_shake(struct connection *connection, enum connection_answer *answer);
/* After a handshake that was broken: a sentence why. */
void connection_say(struct connection *connection, const char *host, char *message, size_t size);
ssize_t connection_read(struct connection *connection, void *data, size_t size);
/* What is there can be read without being told. */
bool connection_has_more(const struct connection *connection);
/* Sends as much of head, and of body behind it, as it takes. LATER: ask again with the same. */
ssize_t connection_send(struct connection *connection, const char *head, size_t head_length, const char *body,
                        size_t body_length);
/* Whether an idle one is still good: it is open, and nothing came that nobody asked for. */
bool connection_is_quiet(struct connection *connection);

#endif
