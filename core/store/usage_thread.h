/*
 * usage_thread.h - answers questions about usage one after the other on a thread
 * of its own, so that adding up a long ledger keeps neither a loop nor a look-up
 * of one row waiting. Called by store.c.
 */
#ifndef STORE_USAGE_THREAD_H
#define STORE_USAGE_THREAD_H

#include "store/store.h"

struct usage_thread;

/* The thread itself begins with the first question. */
struct usage_thread *usage_thread_new(struct store *store);
/* What is under way is given up; whoever waits is told that it cannot be read. NULL is fine. */
void usage_thread_stop(struct usage_thread *thread);
/* Any thread. Takes the usage over. */
void usage_thread_ask(struct usage_thread *thread, struct usage *usage, const struct store_home *home,
                      void (*on_usage)(void *arg, const struct usage *usage), void *arg);

#endif
