/* thread.c - see thread.h. */
#include "base/thread.h"

#include <sched.h>
#include <signal.h>
#include <stddef.h>

#include "base/clock.h"

/* To give way is a system call, even where nobody wants to go first. */
enum { PASS_EVERY_US = 50 };

static _Thread_local int64_t patient_until, passed_at;

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
    int64_t now = patient_until ? clock_monotonic_us() : 0;

    if (now >= patient_until || now - passed_at < PASS_EVERY_US)
        return;
    sched_yield();
    passed_at = clock_monotonic_us();
}
