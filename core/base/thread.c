/* thread.c - see thread.h. */
#include "base/thread.h"

#include <sched.h>
#include <signal.h>
#include <stddef.h>

#include "base/clock.h"

static _Thread_local int64_t patient_until;

int thread_start(pthread_t *thread, void *(*run)(void *arg), void *arg)
{
    sigset_t quiet, before;
    int fault;

    sigfillset(&quiet);
    sigdelset(&quiet, SIGSYS);
    pthread_sigmask(SIG_SETMASK, &quiet, &before);
    fault = pthread_create(thread, NULL, run, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return fault;
}

void thread_be_patient(int64_t microseconds)
{
    patient_until = microseconds ? clock_monotonic_us() + microseconds : 0;
}

void thread_pass(void)
{
    if (patient_until && clock_monotonic_us() < patient_until)
        sched_yield();
}
