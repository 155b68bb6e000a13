/*
 * tls_client.h - TLS with a provider over a connected socket: the handshake,
 * reading and writing, none of which blocks. trust.h makes the SSL;
 * connection.c alone uses this.
 */
#ifndef NET_TLS_CLIENT_H
#define NET_TLS_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct ssl_st;

/* Beside how many bytes moved. A close without its farewell is no end: it may be a cut. */
enum tls_client_answer { TLS_ENDED = 0, TLS_NEEDS_INPUT = -1, TLS_NEEDS_OUTPUT = -2, TLS_BROKEN = -3 };

/* 1: it is done, and the certificate is good. Else one of the above. */
int tls_client_shake(struct ssl_st *ssl);
/* After a handshake that was broken: a sentence why. */
void tls_client_say(struct ssl_st *ssl, const char *host, char *message, size_t size);
ssize_t tls_client_read(struct ssl_st *ssl, void *data, size_t size);
/* To be asked again with the same bytes, if it could not be. */
ssize_t tls_client_write(struct ssl_st *ssl, const void *data, size_t length);
/* Something can be read that the socket no longer shows. */
bool tls_client_has_more(struct ssl_st *ssl);
/* Says farewell, if that can be done at once. */
void tls_client_end(struct ssl_st *ssl);

#endif
