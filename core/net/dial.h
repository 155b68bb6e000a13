/*
 * dial.h - one TCP connection to a host of which any address will do: the next
 * is tried as soon as one refuses, and beside one that is slow to answer. It
 * never blocks; how long it may take is its caller's to bound.
 */
#ifndef NET_DIAL_H
#define NET_DIAL_H

#include <stdint.h>

struct dial;
struct event_base;

/*
 * addresses: numeric ones, joined by commas, in the order to be tried; IPv6 may stand in brackets. scope: the interface
 * of a link-local one, or 0. on_done gets a connected descriptor, which is its to close, or -1 and an errno: once,
 * later (never inside this call), and the dial is gone by then.
 */
struct dial *dial_start(struct event_base *base, const char *addresses, uint16_t port, uint32_t scope,
                        void (*on_done)(void *arg, int descriptor, int error), void *arg);
/* Gives it up: on_done will not be called. NULL is fine. */
void dial_cancel(struct dial *dial);

#endif
