/*
 * inbox.c - what store specs need of C: a home for answers (LuaJIT must not be
 * called from another thread), a loop that runs until a verdict is there, and
 * threads that reserve at the same time.
 * Built and loaded by spec/store/workbench.lua; never part of the program.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "net/loop.h"
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

/* Several threads at once: each reserves `rounds` times, settles what it got, and counts what was granted. */
struct crowd {
    struct store *store;
    struct store_call call;
    int rounds;
    int64_t now;
    const int64_t *actual; /* NULL: never settled */
    pthread_barrier_t start;
};

static void *push(void *arg)
{
    struct crowd *crowd = arg;
    struct loop *loop = loop_new();
    struct store_claim *nothing = malloc(crowd->call.claim_count * sizeof *nothing);
    struct store_call last = { .claims = nothing, .claim_count = crowd->call.claim_count };
    struct store_verdict verdict;
    long granted = 0;

    store_join(crowd->store, loop);
    pthread_barrier_wait(&crowd->start);
    for (int i = 0; i < crowd->rounds; i++) {
        inbox_reserve(crowd->store, loop, &crowd->call, crowd->now, &verdict);
        granted += verdict.granted;
        if (verdict.granted && crowd->actual) {
            store_settle(crowd->store, verdict.reservation, crowd->actual, crowd->call.claim_count, crowd->now);
            store_settle(crowd->store, verdict.reservation, crowd->actual, crowd->call.claim_count, crowd->now);
        }
    }
    /* When this is answered, all that was settled before has been heard. */
    memcpy(nothing, crowd->call.claims, crowd->call.claim_count * sizeof *nothing);
    for (size_t i = 0; i < last.claim_count; i++)
        nothing[i].amount = 0;
    inbox_reserve(crowd->store, loop, &last, crowd->now, &verdict);
    store_leave(crowd->store);
    loop_free(loop);
    free(nothing);
    return (void *)granted;
}

long crowd_run(struct store *store, const struct store_call *call, int threads, int rounds, int64_t now,
               const int64_t *actual)
{
    struct crowd crowd = { .store = store, .call = *call, .rounds = rounds, .now = now, .actual = actual };
    pthread_t all[64];
    long granted = 0;

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
