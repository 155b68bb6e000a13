/*
 * bell.h - wakes the ledger's thread once for all the rows that one turn of a
 * loop closes, behind the turn's last: a commit costs the same for one row as
 * for twenty. It outlives the ledger for as long as a loop has yet to ring it.
 */
#ifndef STORE_BELL_H
#define STORE_BELL_H

#include "store/store.h"

struct bell;

/* on_ring comes on the thread of the loop, until the bell is taken down. */
struct bell *bell_new(void (*on_ring)(void *arg), void *arg);
/* Has it rung at the end of this turn of the home's loop (not NULL). Any thread, whatever locks it holds. */
void bell_ask(struct bell *bell, const struct store_home *home);
/* It rings no more once this returns. Holds no lock that on_ring takes. NULL is fine. */
void bell_take_down(struct bell *bell);

#endif
