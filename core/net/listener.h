/*
 * listener.h - a listening socket, and accepting from it on one loop without
 * ever spinning: short of descriptors it rests and sheds.
 */
#ifndef NET_LISTENER_H
#define NET_LISTENER_H

#include <stdbool.h>
#include <stddef.h>

struct certificate;
struct loop;
struct listener;
struct tls;

/*
 * Opens one listening socket (SO_REUSEPORT) for "127.0.0.1:8080", "[::1]:8080", "localhost:8080" or ":8080" (all
 * addresses). `first` also makes sure that no other program listens there. Returns the descriptor, or -1 with a
 * sentence in error: what was wrong with the address, who may have the port, what to do.
 */
int listener_bind(const char *address, bool first, char *error, size_t error_size);
/* The port that a descriptor listens on (for "127.0.0.1:0"). */
int listener_port(int descriptor);
/* True if only this machine can reach the address. */
bool listener_is_loopback(const char *address);

/*
 * Accepts from descriptor (which it now owns); on_accept owns the new one (non-blocking, close-on-exec), and the TLS
 * to be spoken on it: NULL where there is no certificate.
 */
struct listener *listener_start(struct loop *loop, int descriptor, struct certificate *certificate,
                                void (*on_accept)(void *arg, int accepted, struct tls *tls, const char *peer),
                                void *arg);
/*
 * Keeps *starved (any thread may read it): true from when connections are turned away for want of descriptors until one
 * is accepted again.
 */
void listener_watch(struct listener *listener, bool *starved);
/* Accepts what is queued, then closes. */
void listener_stop(struct listener *listener);
/* Closes our descriptor of a socket that another process listens on too, to which it leaves what is queued. */
void listener_leave(struct listener *listener);
/* True if the descriptor is a listening socket bound to just that address. */
bool listener_is_at(int descriptor, const char *address);

#endif
