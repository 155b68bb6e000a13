/*
 * confine.h - of all system calls, only those that a gateway makes (seccomp): whoever takes it over can't mount, trace,
 * load, change its rights, or make memory that is both written and executed. The program can still be started anew
 * (SIGUSR2): it is confined from its first instruction on, by the filter of the process before.
 */
#ifndef BASE_CONFINE_H
#define BASE_CONFINE_H

#include <stdbool.h>
#include <stddef.h>

/* From here on a call that is refused fails with EPERM and is remembered; before this it would end the process. Once.
 */
void confine_prepare(void);
/* Confines every thread there is and will be, for good. False: error says why not. */
bool confine_start(char *error, size_t error_size);
/* The number of a system call that was refused and not told of yet, or -1. Any thread. */
int confine_refused(void);

#endif
