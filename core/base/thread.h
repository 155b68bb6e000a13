/* thread.h - threads that no signal of the process reaches: those are for the threads that have a loop. */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <pthread.h>

/* Like pthread_create: 0, or what is wrong. SIGSYS alone still comes: confine.c answers it in the thread that it hits.
 */
int thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg);

#endif
