/* affinity.c - see affinity.h. One place a conversation, found by its digest; a newer one takes it over. */
#include "gate/affinity.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

enum {
    PLACES = 16384, /* a power of two; 2.4 MiB, once a process */
    TARGET_MAX = 127,
    KEPT_MS = 5 * 60 * 1000 /* how long Anthropic keeps a cached prompt unless told otherwise; others are near it */
};

struct place {
    uint64_t conversation;
    int64_t seen;
    char target[TARGET_MAX + 1];
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
    uint64_t digest;

    if (strlen(target) > TARGET_MAX)
        return;
    pthread_mutex_lock(&affinity->lock);
    place = place_of(affinity, conversation, &digest);
    place->conversation = digest;
    place->seen = now;
    snprintf(place->target, sizeof place->target, "%s", target);
    pthread_mutex_unlock(&affinity->lock);
}

bool affinity_recall(struct affinity *affinity, const void *conversation, int64_t now, char *target, size_t size)
{
    const struct place *place;
    uint64_t digest;
    bool known;

    pthread_mutex_lock(&affinity->lock);
    place = place_of(affinity, conversation, &digest);
    known = place->target[0] && place->conversation == digest && now - place->seen < KEPT_MS;
    if (known)
        snprintf(target, size, "%s", place->target);
    pthread_mutex_unlock(&affinity->lock);
    return known;
}
