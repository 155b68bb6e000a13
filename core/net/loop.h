/*
 * loop.h - one event loop a thread. Everything here but loop_post and
 * loop_stop is for the loop's own thread.
 */
#ifndef NET_LOOP_H
#define NET_LOOP_H

struct event_base;
struct loop;
struct loop_timer;

struct loop *loop_new(void);
void loop_free(struct loop *loop);
void loop_run(struct loop *loop);  /* until loop_stop */
void loop_stop(struct loop *loop); /* any thread */
struct event_base *loop_base(struct loop *loop);

/* Calls on_elapsed(arg) once after so many seconds, on this loop. The timer is gone then. */
struct loop_timer *loop_after(struct loop *loop, double seconds, void (*on_elapsed)(void *arg), void *arg);
/* Takes a timer that has not elapsed back; NULL is fine. */
void loop_forget(struct loop_timer *timer);

/* Calls on_call(arg) soon on the loop's thread, in order; from any thread. Calls made before loop_free are run by it.
 */
void loop_post(struct loop *loop, void (*on_call)(void *arg), void *arg);

#endif
