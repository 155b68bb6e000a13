/*
 * inbox.c - what store specs need of C: a home for answers (LuaJIT must not be
 * called from another thread), a loop that runs until a verdict is there, a
 * crowd at a journal, and a backend that has no way of its own to add rows up;
 * threads that reserve at the same time are in crowd.c.
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
    struct letter *first, **last;
    struct store_home home;
    struct loop *our_loop;
    struct loop_timer *timer;
};

static void stop(void *loop)
{
    loop_stop(loop);
}

static void post(void *loop, void (*on_call)(void *arg), void *arg)
{
    struct inbox *inbox = loop;
    struct letter *letter = malloc(sizeof *letter);

    *letter = (struct letter){ NULL, on_call, arg };
    pthread_mutex_lock(&inbox->lock);
    *inbox->last = letter;
    inbox->last = &letter->next;
    pthread_mutex_unlock(&inbox->lock);
    loop_post(inbox->our_loop, stop, inbox->our_loop);
}

/* Of the thread whose loop that is. */
struct inbox *inbox_new(struct loop *our_loop)
{
    struct inbox *inbox = calloc(1, sizeof *inbox);

    pthread_mutex_init(&inbox->lock, NULL);
    inbox->our_loop = our_loop;
    inbox->last = &inbox->first;
    inbox->home = (struct store_home){ post, inbox };
    return inbox;
}

const struct store_home *inbox_home(const struct inbox *inbox)
{
    return &inbox->home;
}

static struct letter *take(struct inbox *inbox)
{
    struct letter *letter;

    pthread_mutex_lock(&inbox->lock);
    letter = inbox->first;
    if (letter) {
        inbox->first = letter->next;
        if (!inbox->first)
            inbox->last = &inbox->first;
    }
    pthread_mutex_unlock(&inbox->lock);
    return letter;
}

static void on_second(void *arg)
{
    struct inbox *inbox = arg;

    inbox->timer = NULL;
    loop_stop(inbox->our_loop);
}

/* Runs one call on this thread, and the loop until there is one; false: none came within that many seconds. */
bool inbox_run(struct inbox *inbox, int seconds)
{
    struct letter *letter = take(inbox);
    struct timespec now;
    time_t until;

    clock_gettime(CLOCK_MONOTONIC, &now);
    until = now.tv_sec + seconds;
    while (!letter && now.tv_sec <= until) {
        inbox->timer = loop_after(inbox->our_loop, 1, on_second, inbox);
        loop_run(inbox->our_loop);
        loop_forget(inbox->timer);
        letter = take(inbox);
        clock_gettime(CLOCK_MONOTONIC, &now);
    }
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
    while (!asked.is_told) /* an inbox stops the loop too */
        loop_run(loop);
}

struct turn {
    struct loop *loop;
    bool is_over;
};

static void on_elapsed(void *arg)
{
    struct turn *turn = arg;

    turn->is_over = true;
    loop_stop(turn->loop);
}

/* Runs the loop for so long. */
void inbox_turn(struct loop *loop, double seconds)
{
    struct turn turn = { loop, false };

    loop_after(loop, seconds, on_elapsed, &turn);
    while (!turn.is_over)
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
