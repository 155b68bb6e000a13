/* saving.c - see saving.h. */
#include "bind/saving.h"

void saving_done(void *arg, bool saved)
{
    struct saving *saving = arg;

    pthread_mutex_lock(&saving->lock);
    saving->saved = saved;
    saving->over = true;
    pthread_cond_signal(&saving->done);
    pthread_mutex_unlock(&saving->lock);
}

bool saving_wait(struct saving *saving)
{
    pthread_mutex_lock(&saving->lock);
    while (!saving->over)
        pthread_cond_wait(&saving->done, &saving->lock);
    pthread_mutex_unlock(&saving->lock);
    return saving->saved;
}
