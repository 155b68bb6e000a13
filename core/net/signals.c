/* signals.c - see signals.h. */
#include "net/signals.h"

#include <event2/event.h>

#include "base/mem.h"
#include "net/loop.h"

enum { SIGNALS_MAX = 8 };

struct signals {
    struct event *events[SIGNALS_MAX];
    void (*on_signal)(void *arg, int number);
    void *arg;
};

static void on_event(evutil_socket_t number, short what, void *arg)
{
    struct signals *signals = arg;

    (void)what;
    signals->on_signal(signals->arg, (int)number);
}

struct signals *signals_start(struct loop *loop, const int *numbers, void (*on_signal)(void *arg, int number),
                              void *arg)
{
    struct signals *signals = mem_zero(sizeof *signals);

    signals->on_signal = on_signal;
    signals->arg = arg;
    for (int i = 0; numbers[i] && i < SIGNALS_MAX; i++) {
        signals->events[i] = evsignal_new(loop_base(loop), numbers[i], on_event, signals);
        event_add(signals->events[i], NULL);
    }
    return signals;
}

void signals_stop(struct signals *signals)
{
    for (int i = 0; i < SIGNALS_MAX; i++)
        if (signals->events[i])
            event_free(signals->events[i]);
    mem_free(signals);
}
