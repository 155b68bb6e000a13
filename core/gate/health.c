/* health.c - see health.h. One short lock; the table only grows with the configuration. */
#include "gate/health.h"

#include <pthread.h>
#include <stddef.h>
#include <string.h>

#include "base/mem.h"

enum { BUCKETS = 1024 };

/* Weight of the newest call in the moving figures: the last ten or so are what counts. */
static const double NEWEST = 0.2;

/* A trial call that has told nothing by then never will: its script failed. Another one may try. */
enum { TRIAL_MS = 120 * 1000 };

struct entry {
    struct entry *next;
    char *target;
    int failures;        /* in a row */
    int64_t open_until;  /* 0: closed */
    int64_t trial_until; /* half open: one call is under way; 0: none */
    double latency_ms;
    double error_rate;
};

struct health {
    pthread_mutex_t lock;
    struct entry *buckets[BUCKETS];
};

static struct entry *find(struct health *health, const char *target)
{
    unsigned hash = 5381;
    struct entry **place, *entry;

    for (const char *c = target; *c; c++)
        hash = hash * 33 + (unsigned char)*c;
    place = &health->buckets[hash % BUCKETS];
    for (entry = *place; entry; entry = entry->next)
        if (strcmp(entry->target, target) == 0)
            return entry;
    entry = mem_zero(sizeof *entry);
    entry->target = mem_text(target);
    entry->latency_ms = -1;
    entry->next = *place;
    *place = entry;
    return entry;
}

struct health *health_new(void)
{
    struct health *health = mem_zero(sizeof *health);

    pthread_mutex_init(&health->lock, NULL);
    return health;
}

void health_free(struct health *health)
{
    if (!health)
        return;
    for (int i = 0; i < BUCKETS; i++)
        while (health->buckets[i]) {
            struct entry *entry = health->buckets[i];

            health->buckets[i] = entry->next;
            mem_free(entry->target);
            mem_free(entry);
        }
    pthread_mutex_destroy(&health->lock);
    mem_free(health);
}

static bool refuses(const struct entry *entry, int64_t now)
{
    return entry->open_until && (now < entry->open_until || now < entry->trial_until);
}

bool health_admit(struct health *health, const char *target, int64_t now)
{
    struct entry *entry;
    bool admitted;

    pthread_mutex_lock(&health->lock);
    entry = find(health, target);
    admitted = !refuses(entry, now);
    if (admitted && entry->open_until)
        entry->trial_until = now + TRIAL_MS;
    pthread_mutex_unlock(&health->lock);
    return admitted;
}

void health_succeeded(struct health *health, const char *target, double latency_ms)
{
    struct entry *entry;

    pthread_mutex_lock(&health->lock);
    entry = find(health, target);
    entry->failures = 0;
    entry->open_until = 0;
    entry->trial_until = 0;
    entry->latency_ms =
        entry->latency_ms < 0 ? latency_ms : entry->latency_ms + NEWEST * (latency_ms - entry->latency_ms);
    entry->error_rate -= NEWEST * entry->error_rate;
    pthread_mutex_unlock(&health->lock);
}

void health_failed(struct health *health, const char *target, int64_t now, int failures, double open_s)
{
    struct entry *entry;

    pthread_mutex_lock(&health->lock);
    entry = find(health, target);
    entry->error_rate += NEWEST * (1 - entry->error_rate);
    entry->failures++;
    if (entry->trial_until || entry->failures >= failures)
        entry->open_until = now + (int64_t)(open_s * 1000);
    entry->trial_until = 0;
    pthread_mutex_unlock(&health->lock);
}

void health_released(struct health *health, const char *target)
{
    pthread_mutex_lock(&health->lock);
    find(health, target)->trial_until = 0;
    pthread_mutex_unlock(&health->lock);
}

struct health_state health_state(struct health *health, const char *target, int64_t now)
{
    struct health_state state;
    struct entry *entry;

    pthread_mutex_lock(&health->lock);
    entry = find(health, target);
    state = (struct health_state){
        .open = refuses(entry, now),
        .open_until = entry->open_until,
        .latency_ms = entry->latency_ms,
        .error_rate = entry->error_rate,
    };
    pthread_mutex_unlock(&health->lock);
    return state;
}
