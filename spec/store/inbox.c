/*
 * inbox.c - what store specs need of C: a home for answers (LuaJIT must not be
 * called from another thread), threads that reserve at the same time, and a
 * backend that has no way of its own to add rows up.
 * Built and loaded by spec/store/workbench.lua; never part of the program.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/backend.h"
#include "store/store.h"

struct letter {
    struct letter *next;
    void (*on_call)(void *arg);
    void *arg;
};

struct inbox {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct letter *first, **last;
    struct store_home home;
};

static void post(void *loop, void (*on_call)(void *arg), void *arg)
{
    struct inbox *inbox = loop;
    struct letter *letter = malloc(sizeof *letter);

    *letter = (struct letter){ NULL, on_call, arg };
    pthread_mutex_lock(&inbox->lock);
    *inbox->last = letter;
    inbox->last = &letter->next;
    pthread_cond_signal(&inbox->wake);
    pthread_mutex_unlock(&inbox->lock);
}

struct inbox *inbox_new(void)
{
    struct inbox *inbox = calloc(1, sizeof *inbox);

    pthread_mutex_init(&inbox->lock, NULL);
    pthread_cond_init(&inbox->wake, NULL);
    inbox->last = &inbox->first;
    inbox->home = (struct store_home){ post, inbox };
    return inbox;
}

const struct store_home *inbox_home(const struct inbox *inbox)
{
    return &inbox->home;
}

/* Runs one call on this thread; false: none came within that many seconds. */
bool inbox_run(struct inbox *inbox, int seconds)
{
    struct letter *letter;
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += seconds;
    pthread_mutex_lock(&inbox->lock);
    while (!inbox->first && pthread_cond_timedwait(&inbox->wake, &inbox->lock, &until) == 0)
        ;
    letter = inbox->first;
    if (letter) {
        inbox->first = letter->next;
        if (!inbox->first)
            inbox->last = &inbox->first;
    }
    pthread_mutex_unlock(&inbox->lock);
    if (!letter)
        return false;
    letter->on_call(letter->arg);
    free(letter);
    return true;
}

void inbox_free(struct inbox *inbox)
{
    while (inbox->first)
        inbox_run(inbox, 0);
    pthread_mutex_destroy(&inbox->lock);
    pthread_cond_destroy(&inbox->wake);
    free(inbox);
}

/* on_committed, on_saved: the answer is put where arg points. */
void inbox_note(void *arg, bool kept)
{
    *(int *)arg = kept ? 1 : 0;
}

/* Several threads at once: each reserves `rounds` times, settles what it got, and counts what was granted. */
struct crowd {
    struct store *store;
    struct store_call call;
    int rounds;
    int64_t now;
    const int64_t *actual; /* NULL: never settled */
    void (*reserve)(struct store *, const struct store_call *, int64_t, struct store_verdict *);
    void (*settle)(struct store *, uint64_t, const int64_t *, size_t, int64_t);
    pthread_barrier_t start;
};

static void *push(void *arg)
{
    struct crowd *crowd = arg;
    long granted = 0;

    pthread_barrier_wait(&crowd->start);
    for (int i = 0; i < crowd->rounds; i++) {
        struct store_verdict verdict;

        crowd->reserve(crowd->store, &crowd->call, crowd->now, &verdict);
        granted += verdict.granted;
        if (verdict.granted && crowd->actual) {
            crowd->settle(crowd->store, verdict.reservation, crowd->actual, crowd->call.claim_count, crowd->now);
            crowd->settle(crowd->store, verdict.reservation, crowd->actual, crowd->call.claim_count, crowd->now);
        }
    }
    return (void *)granted;
}

long crowd_run(struct store *store, const struct store_call *call, int threads, int rounds, int64_t now,
               const int64_t *actual, void *reserve, void *settle)
{
    struct crowd crowd = { .store = store, .call = *call, .rounds = rounds, .now = now, .actual = actual };
    pthread_t all[64];
    long granted = 0;

    memcpy(&crowd.reserve, &reserve, sizeof reserve);
    memcpy(&crowd.settle, &settle, sizeof settle);
    pthread_barrier_init(&crowd.start, NULL, (unsigned)threads);
    for (int i = 0; i < threads; i++)
        pthread_create(&all[i], NULL, push, &crowd);
    for (int i = 0; i < threads; i++) {
        void *got;

        pthread_join(all[i], &got);
        granted += (long)got;
    }
    pthread_barrier_destroy(&crowd.start);
    return granted;
}

/* read is usage_read: through the backend's pages of rows, whatever else it can. */
bool paged_read(struct usage *usage, struct store *store, void *read)
{
    const struct backend *own = store->backend;
    struct backend plain = *own;
    bool (*usage_read)(struct usage *, struct store *);
    bool is_read;

    memcpy(&usage_read, &read, sizeof read);
    plain.usage = NULL;
    store->backend = &plain;
    is_read = usage_read(usage, store);
    store->backend = own;
    return is_read;
}
