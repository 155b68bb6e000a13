/* saving.h - waits on this thread until the store says that something is kept: for commands and the control thread. */
#ifndef BIND_SAVING_H
#define BIND_SAVING_H

#include <pthread.h>
#include <stdbool.h>

struct saving {
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool over, saved;
};

#define SAVING_NEW                                                                                                     \
    {                                                                                                                  \
        PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, false, false                                              \
    }

/* on_saved of the store, from any thread; the struct saving as arg. */
void saving_done(void *arg, bool saved);
bool saving_wait(struct saving *saving);

#endif
