/*
 * loop.c - see loop.h. libevent without its locks: the base belongs to one
 * thread, and other threads reach it through an eventfd and a queue alone.
 */
#include "net/loop.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/queue.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"

/* After so many callbacks the loop looks at its sockets again: one busy connection holds up nobody. */
enum { CALLBACKS_A_TURN = 64, QUEUE_KEPT = 1024 };

struct call {
    void (*on_call)(void *arg);
    void *arg;
};

struct queue {
    struct call *calls;
    size_t count;
    size_t capacity;
};

struct loop_timer {
    struct event event;
    void (*on_elapsed)(void *arg);
    void *arg;
    LIST_ENTRY(loop_timer) link;
};

struct loop {
    struct event_base *base;
    struct event wake; /* another thread posted */
    struct event turn; /* the loop's own did */
    int wake_descriptor;
    LIST_HEAD(, loop_timer) timers;
    atomic_uint wakers;   /* threads that are about to wake it: until then it stays */
    pthread_mutex_t lock; /* guards what follows */
    struct queue posted;
    bool stopping;
};

/* The one that this thread runs. */
static _Thread_local struct loop *running;

/*
 * Every write is an edge, and wakes, whether or not the earlier ones were read: so nobody reads them. Without the lock,
 * which the thread that wakes would have to wait for.
 */
static void signal_wake(struct loop *loop)
{
    uint64_t one = 1;

    while (write(loop->wake_descriptor, &one, sizeof one) < 0 && errno == EINTR)
        ;
    atomic_fetch_sub(&loop->wakers, 1);
}

/* Runs what was posted up to now; what these calls post comes in the next turn. Tells whether there was anything. */
static bool run_posted(struct loop *loop)
{
    struct queue taken;

    pthread_mutex_lock(&loop->lock);
    taken = loop->posted;
    loop->posted = (struct queue){ 0 };
    pthread_mutex_unlock(&loop->lock);

    for (size_t i = 0; i < taken.count; i++)
        taken.calls[i].on_call(taken.calls[i].arg);

    pthread_mutex_lock(&loop->lock);
    if (!loop->posted.calls && taken.capacity <= QUEUE_KEPT) {
        loop->posted.calls = taken.calls;
        loop->posted.capacity = taken.capacity;
        taken.calls = NULL;
    }
    pthread_mutex_unlock(&loop->lock);
    mem_free(taken.calls);
    return taken.count > 0;
}

static void on_turn(evutil_socket_t descriptor, short what, void *arg)
{
    (void)descriptor;
    (void)what;
    run_posted(arg);
}

static void on_wake(evutil_socket_t descriptor, short what, void *arg)
{
    struct loop *loop = arg;
    bool stopping;

    (void)descriptor;
    (void)what;
    clock_refresh();
    run_posted(loop);
    pthread_mutex_lock(&loop->lock);
    stopping = loop->stopping;
    loop->stopping = false;
    pthread_mutex_unlock(&loop->lock);
    if (stopping)
        event_base_loopbreak(loop->base);
}

struct loop *loop_new(void)
{
    struct loop *loop = mem_zero(sizeof *loop);
    struct event_config *config = event_config_new();

    LIST_INIT(&loop->timers);
    if (config) {
        event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK);
        event_config_set_flag(config, EVENT_BASE_FLAG_IGNORE_ENV);
        event_config_set_max_dispatch_interval(config, NULL, CALLBACKS_A_TURN, 0);
        loop->base = event_base_new_with_config(config);
        event_config_free(config);
    }
    loop->wake_descriptor = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (!loop->base || loop->wake_descriptor < 0) {
        perror("moongate: no event loop");
        abort();
    }
    pthread_mutex_init(&loop->lock, NULL);
    event_assign(&loop->wake, loop->base, loop->wake_descriptor, EV_READ | EV_ET | EV_PERSIST, on_wake, loop);
    event_add(&loop->wake, NULL);
    event_assign(&loop->turn, loop->base, -1, 0, on_turn, loop);
    return loop;
}

void loop_free(struct loop *loop)
{
    if (!loop)
        return;
    while (run_posted(loop))
        ;
    while (atomic_load(&loop->wakers))
        sched_yield();
    while (!LIST_EMPTY(&loop->timers))
        loop_forget(LIST_FIRST(&loop->timers));
    event_del(&loop->wake);
    event_del(&loop->turn);
    event_base_free(loop->base);
    close(loop->wake_descriptor);
    pthread_mutex_destroy(&loop->lock);
    mem_free(loop->posted.calls);
    mem_free(loop);
}

void loop_run(struct loop *loop)
{
    struct loop *outer = running;

    running = loop;
    event_base_loop(loop->base, EVLOOP_NO_EXIT_ON_EMPTY);
    running = outer;
}

void loop_stop(struct loop *loop)
{
    pthread_mutex_lock(&loop->lock);
    loop->stopping = true;
    atomic_fetch_add(&loop->wakers, 1);
    pthread_mutex_unlock(&loop->lock);
    signal_wake(loop);
}

struct event_base *loop_base(struct loop *loop)
{
    return loop->base;
}

static void on_timer(evutil_socket_t descriptor, short what, void *arg)
{
    struct loop_timer *timer = arg;
    void (*on_elapsed)(void *arg) = timer->on_elapsed;
    void *elapsed_arg = timer->arg;

    (void)descriptor;
    (void)what;
    clock_refresh();
    LIST_REMOVE(timer, link);
    mem_free(timer);
    on_elapsed(elapsed_arg);
}

struct loop_timer *loop_after(struct loop *loop, double seconds, void (*on_elapsed)(void *arg), void *arg)
{
    struct loop_timer *timer = mem_alloc(sizeof *timer);
    struct timeval delay = { 0, 0 };

    if (seconds > 0) {
        /* A year stands for ever: nothing later fits in a timer, and nothing waits that long. */
        if (seconds > 31536000.0)
            seconds = 31536000.0;
        delay.tv_sec = (time_t)seconds;
        delay.tv_usec = (suseconds_t)((seconds - (double)delay.tv_sec) * 1e6);
    }
    timer->on_elapsed = on_elapsed;
    timer->arg = arg;
    LIST_INSERT_HEAD(&loop->timers, timer, link);
    evtimer_assign(&timer->event, loop->base, on_timer, timer);
    evtimer_add(&timer->event, &delay);
    return timer;
}

void loop_forget(struct loop_timer *timer)
{
    if (!timer)
        return;
    event_del(&timer->event);
    LIST_REMOVE(timer, link);
    mem_free(timer);
}

void loop_post(struct loop *loop, void (*on_call)(void *arg), void *arg)
{
    struct queue *posted = &loop->posted;
    bool wakes;

    pthread_mutex_lock(&loop->lock);
    if (posted->count == posted->capacity) {
        posted->capacity = posted->capacity ? posted->capacity * 2 : 16;
        posted->calls = mem_resize(posted->calls, posted->capacity * sizeof *posted->calls);
    }
    posted->calls[posted->count++] = (struct call){ on_call, arg };
    wakes = posted->count == 1 && running != loop;
    if (wakes)
        atomic_fetch_add(&loop->wakers, 1);
    else if (posted->count == 1)
        event_active(&loop->turn, EV_TIMEOUT, 0);
    pthread_mutex_unlock(&loop->lock);
    if (wakes)
        signal_wake(loop);
}
