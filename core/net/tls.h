/*
 * tls.h - one caller's TLS connection over its socket: the handshake, reading
 * and writing, the farewell, none of which blocks. wire.c alone uses it.
 */
#ifndef NET_TLS_H
#define NET_TLS_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct certificate;
struct tls;

/* The server's side of a connection; the socket stays the caller's. NULL: no memory. */
struct tls *tls_new(struct certificate *certificate, int descriptor);
void tls_free(struct tls *tls); /* NULL is fine */

/* Both do the handshake first. Bytes moved; 0: the end, or a fault, which ends it too; -1: not now. */
ssize_t tls_read(struct tls *tls, void *data, size_t size);
ssize_t tls_write(struct tls *tls, const void *data, size_t length);
/* Says farewell, so that the end is not taken for a cut. False: the socket takes no more now; ask again. */
bool tls_end(struct tls *tls);
/* The handshake is done. */
bool tls_is_open(const struct tls *tls);
/* A read waits until the socket takes output. */
bool tls_read_waits_to_write(const struct tls *tls);

#endif
