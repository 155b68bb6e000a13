/*
 * inbox.c - what store specs need of C: a home for answers (LuaJIT must not be
 * called from another thread), a loop that runs until a verdict is there, and a
 * backend that has no way of its own to add rows up; threads that reserve at the
 * same time are in crowd.c.
 * Built and loaded by spec/store/workbench.lua; never part of the program.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "net/loop.h"
#include "store/backend.h"
#include "store/journal.h"
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

/* ---- reserving ---- */

struct asked {
    struct loop *loop;
    struct store_verdict *verdict;
    bool is_told, is_waiting;
};

static void on_verdict(void *arg, const struct store_verdict *verdict)
{
    struct asked *asked = arg;

    *asked->verdict = *verdict;
    asked->is_told = true;
    if (asked->is_waiting)
        loop_stop(asked->loop);
}

/* Runs the loop (of this thread, which has joined) until the verdict is there. */
void inbox_reserve(struct store *store, struct loop *loop, const struct store_call *call, int64_t now,
                   struct store_verdict *verdict)
{
    struct asked asked = { .loop = loop, .verdict = verdict };

    store_reserve(store, call, now, on_verdict, &asked);
    asked.is_waiting = true;
    if (!asked.is_told)
        loop_run(loop);
}

static void on_elapsed(void *arg)
{
    loop_stop(arg);
}

/* Runs the loop for so long. */
void inbox_turn(struct loop *loop, double seconds)
{
    loop_after(loop, seconds, on_elapsed, loop);
    loop_run(loop);
}

/* Several threads at once: each notes a row, removes the one before it, and leaves its last. */
struct scribe {
    struct journal *journal;
    int number, rounds;
    uint32_t (*add)(struct journal *, const struct ledger_row *);
    void (*remove)(struct journal *, uint32_t);
};

static void *scribble(void *arg)
{
    struct scribe *scribe = arg;
    uint32_t before = 0;

    for (int i = 0; i < scribe->rounds; i++) {
        char id[ID_LENGTH + 1];
        struct ledger_row row = { .row_id = id, .request_id = id, .time = i };
        uint32_t slot;

        snprintf(id, sizeof id, "%013d%013d", scribe->number, i);
        slot = scribe->add(scribe->journal, &row);
        scribe->remove(scribe->journal, before);
        before = slot;
    }
    return NULL;
}

void crowd_journal(struct journal *journal, int threads, int rounds, void *add, void *remove)
{
    struct scribe scribes[64];
    pthread_t all[64];

    for (int i = 0; i < threads; i++) {
        scribes[i] = (struct scribe){ .journal = journal, .number = i, .rounds = rounds };
        memcpy(&scribes[i].add, &add, sizeof add);
        memcpy(&scribes[i].remove, &remove, sizeof remove);
        pthread_create(&all[i], NULL, scribble, &scribes[i]);
    }
    for (int i = 0; i < threads; i++)
        pthread_join(all[i], NULL);
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
