/* bulletin.c - see bulletin.h. */
#include "gate/bulletin.h"

#include <pthread.h>

#include "base/mem.h"

enum { NOTICES = 256, MOST_WATCHERS = 32 };

struct bulletin {
    pthread_mutex_t lock;
    size_t watchers;
    char *notices[NOTICES]; /* number n is at n % NOTICES */
    int64_t newest;         /* 0: none yet */
    char **notes;           /* of each worker */
    size_t workers;
};

struct bulletin *bulletin_new(size_t workers)
{
    struct bulletin *bulletin = mem_zero(sizeof *bulletin);

    pthread_mutex_init(&bulletin->lock, NULL);
    bulletin->workers = workers;
    bulletin->notes = mem_zero(workers * sizeof *bulletin->notes);
    for (size_t i = 0; i < workers; i++)
        bulletin->notes[i] = mem_text("[]");
    return bulletin;
}

void bulletin_free(struct bulletin *bulletin)
{
    if (!bulletin)
        return;
    for (size_t i = 0; i < NOTICES; i++)
        mem_free(bulletin->notices[i]);
    for (size_t i = 0; i < bulletin->workers; i++)
        mem_free(bulletin->notes[i]);
    mem_free(bulletin->notes);
    pthread_mutex_destroy(&bulletin->lock);
    mem_free(bulletin);
}

bool bulletin_watch(struct bulletin *bulletin)
{
    bool is_welcome;

    pthread_mutex_lock(&bulletin->lock);
    is_welcome = bulletin->watchers < MOST_WATCHERS;
    if (is_welcome)
        __atomic_store_n(&bulletin->watchers, bulletin->watchers + 1, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&bulletin->lock);
    return is_welcome;
}

void bulletin_leave(struct bulletin *bulletin)
{
    pthread_mutex_lock(&bulletin->lock);
    if (bulletin->watchers > 0)
        __atomic_store_n(&bulletin->watchers, bulletin->watchers - 1, __ATOMIC_RELAXED);
    pthread_mutex_unlock(&bulletin->lock);
}

size_t bulletin_watchers(const struct bulletin *bulletin)
{
    return __atomic_load_n(&bulletin->watchers, __ATOMIC_RELAXED);
}

void bulletin_post(struct bulletin *bulletin, char *notice)
{
    char **place;

    pthread_mutex_lock(&bulletin->lock);
    place = &bulletin->notices[++bulletin->newest % NOTICES];
    mem_free(*place);
    *place = notice;
    pthread_mutex_unlock(&bulletin->lock);
}

int64_t bulletin_since(struct bulletin *bulletin, int64_t number, void (*each)(void *arg, const char *notice),
                       void *arg)
{
    int64_t newest;

    pthread_mutex_lock(&bulletin->lock);
    newest = bulletin->newest;
    if (number < newest - NOTICES)
        number = newest - NOTICES;
    if (number < 0)
        number = 0;
    for (int64_t i = number + 1; i <= newest; i++)
        each(arg, bulletin->notices[i % NOTICES]);
    pthread_mutex_unlock(&bulletin->lock);
    return newest;
}

void bulletin_keep(struct bulletin *bulletin, size_t worker, char *note)
{
    pthread_mutex_lock(&bulletin->lock);
    mem_free(bulletin->notes[worker]);
    bulletin->notes[worker] = note;
    pthread_mutex_unlock(&bulletin->lock);
}

char *bulletin_kept(struct bulletin *bulletin, size_t worker)
{
    char *copy;

    pthread_mutex_lock(&bulletin->lock);
    copy = mem_text(bulletin->notes[worker]);
    pthread_mutex_unlock(&bulletin->lock);
    return copy;
}
