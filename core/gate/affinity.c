/* affinity.c - see affinity.h. One place a conversation, found by its digest; a newer one takes it over. */
#include "gate/affinity.h"

#include <pthread.h>
#include <string.h>

#include "base/mem.h"

enum {
    PLACES = 16384,         /* a power of two; 2.4 MiB, once a process */
    KEPT_MS = 5 * 60 * 1000 /* how long Anthropic keeps a cached prompt unless told otherwise; others are near it */
};

struct place {
    uint64_t conversation;
    int64_t seen;
    char target[AFFINITY_TARGET_SIZE];
};

struct affinity {
    pthread_mutex_t lock;
    struct place places[PLACES];
};

struct affinity *affinity_new(void)
{
    struct affinity *affinity = mem_zero(sizeof *affinity);

    pthread_mutex_init(&affinity->lock, NULL);
    return affinity;
}

void affinity_free(struct affinity *affinity)
{
    if (!affinity)
        return;
    pthread_mutex_destroy(&affinity->lock);
    mem_free(affinity);
}

static struct place *place_of(struct affinity *affinity, const void *conversation, uint64_t *digest)
{
    memcpy(digest, conversation, sizeof *digest);
    return &affinity->places[*digest % PLACES];
}

void affinity_remember(struct affinity *affinity, const void *conversation, const char *target, int64_t now)
{
    struct place *place;
    size_t length = strlen(target);
    uint64_t digest;

    if (length >= AFFINITY_TARGET_SIZE)
        return;
    pthread_mutex_lock(&affinity->lock);
    place = place_of(affinity, conversation, &digest);
    place->conversation = digest;
    place->seen = now;
    memcpy(place->target, target, length + 1);
    pthread_mutex_unlock(&affinity->lock);
}

bool affinity_recall(struct affinity *affinity, const void *conversation, int64_t now,
                     char target[static AFFINITY_TARGET_SIZE])
{
    const struct place *place;
    uint64_t digest;
    bool known;

    pthread_mutex_lock(&affinity->lock);
    place = place_of(affinity, conversation, &digest);
    known = place->target[0] && place->conversation == digest && now - place->seen < KEPT_MS;
    if (known)
        memcpy(target, place->target, sizeof place->target);
    pthread_mutex_unlock(&affinity->lock);
    return known;
}
