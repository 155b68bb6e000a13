/* thread.h - threads that no signal of the process reaches, which are for those that have a loop; and their manners. */
#ifndef BASE_THREAD_H
#define BASE_THREAD_H

#include <pthread.h>
#include <stdint.h>

/* Like pthread_create: 0, or what is wrong. SIGSYS alone still comes: confine.c answers it in the thread that it hits.
 */
int thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg);

/*
 * For so many microseconds from now on, this thread lets others that want the processor go first where it calls
 * thread_pass, every 50 us at most: after that not, however busy they are. 0, as at first: never.
 */
void thread_be_patient(int64_t microseconds);
void thread_pass(void);

#endif
