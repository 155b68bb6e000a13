/*
 * wire.h - the bytes of one connection: what waits to go out, and what may be
 * there to come in. client.c decides when; this knows how.
 */
#ifndef NET_WIRE_H
#define NET_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"

struct tls;

struct wire {
    int descriptor;
    struct tls *tls;     /* NULL: bytes go as they are; else owned */
    struct buf output;   /* append to it, then send */
    size_t sent;         /* of output */
    int64_t progress_us; /* when output last moved, while blocked */
    bool blocked;        /* the socket takes no more for now */
    bool ending;         /* behind the output goes the farewell of TLS */
    bool readable;       /* the socket may hold unread bytes: set at every edge, cleared by a read that empties it */
};

/* The bytes that have not gone out; a farewell counts as one. */
size_t wire_waiting(const struct wire *wire);
/* Before so many bytes are appended: what is sent already makes way where the output would have to grow. */
void wire_make_room(struct wire *wire, size_t length);
/* Sends what the socket takes; memory of what is sent is given back. False: nothing will ever go out again. */
bool wire_send(struct wire *wire);
/*
 * Takes up to most bytes. Returns their number, 0 at the end (or a fault, which ends it too), -1 if there are none
 * now. ending: the peer's end is known to be near, and must be read up to.
 */
ssize_t wire_receive(struct wire *wire, char *piece, size_t most, bool ending);
/* True after a reset, even if unread bytes hide it. */
bool wire_is_broken(const struct wire *wire);
/* After what is in the output now comes nothing more: TLS says so to the peer. */
void wire_end(struct wire *wire);
/* The socket takes output again, for which a read may have waited. */
void wire_note_writable(struct wire *wire);
/* False while the handshake of TLS is under way. */
bool wire_is_open(const struct wire *wire);
/* reset: the peer sees a broken connection instead of an end. */
void wire_close(struct wire *wire, bool reset);

#endif
