/*
 * heritage.h - what a process finds when it starts: listening sockets that the
 * one before it (see successor.h), or systemd, has left open for it, and a line
 * to that process. Blocks where it says so: used before there is a loop.
 */
#ifndef NET_HERITAGE_H
#define NET_HERITAGE_H

#include <stdbool.h>
#include <stddef.h>

struct heritage;

/* Reads what the environment tells, and takes it out of there. NULL: there is nothing. */
struct heritage *heritage_read(void);
/* Closes what was not taken. NULL is fine. */
void heritage_free(struct heritage *heritage);

/* A socket that listens on the address as the configuration has it; -1: there is none (left). NULL is fine. */
int heritage_take_socket(struct heritage *heritage, const char *address);
/* The socket of the store, once the process before has said that the store is ours; else -1. NULL is fine. */
int heritage_take_store(struct heritage *heritage);

/* True if there is a process before that is told how we fare. */
bool heritage_has_predecessor(const struct heritage *heritage);
/*
 * Asks it for the store of that address; waits until all is written there. False: it refuses, with a sentence. A
 * process that is gone, or has another store, refuses nothing.
 */
bool heritage_ask_for_store(struct heritage *heritage, const char *address, char *error, size_t error_size);
/* Tells it that we serve: it drains and ends. Or why we do not: it goes on. */
void heritage_tell_serving(struct heritage *heritage);
void heritage_tell_failure(struct heritage *heritage, const char *reason);

#endif
