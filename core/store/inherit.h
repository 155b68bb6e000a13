/*
 * inherit.h - what a process that took the store over still hears from the one
 * before it: a thread that keeps its rows and counters as our own, until it is
 * gone. Called by sqlite.c.
 */
#ifndef STORE_INHERIT_H
#define STORE_INHERIT_H

#include <stdbool.h>

struct inherit;
struct ledger;
struct store;

/* The socket is its own from now on. */
struct inherit *inherit_start(struct store *store, struct ledger *ledger, int socket);
/* Whether the process before lives on. Any thread. */
bool inherit_is_live(const struct inherit *inherit);
/* Hears no more of it. NULL is fine. */
void inherit_stop(struct inherit *inherit);

#endif
