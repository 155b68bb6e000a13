/* signals.h - POSIX signals as calls on a loop. For the control thread only. */
#ifndef NET_SIGNALS_H
#define NET_SIGNALS_H

struct loop;
struct signals;

/* Calls on_signal(arg, number) for each signal of the zero-terminated list. */
struct signals *signals_start(struct loop *loop, const int *numbers, void (*on_signal)(void *arg, int number),
                              void *arg);
void signals_stop(struct signals *signals);

#endif
