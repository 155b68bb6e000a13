/* thread.c - see thread.h. */
#include "base/thread.h"

#include <signal.h>
#include <stddef.h>

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
