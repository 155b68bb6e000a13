/*
 * crowd.c - threads that reserve and settle at the same time, for store specs:
 * a crowd at one store, or a storm at several. Built with inbox.c.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "net/loop.h"
#include "store/store.h"

void inbox_reserve(struct store *store, struct loop *loop, const struct store_call *call, int64_t now,
                   struct store_verdict *verdict);

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

/* ---- a storm: gateways that reserve and settle at random while a spec does something to their Redis ---- */

enum { HOLDS_KEPT = 24, ASKS_AT_ONCE = 6, GATEWAYS_MOST = 8 };

/* What all have taken together: never more than Redis counts, since it is noted later and given back earlier. */
struct storm {
    const char *key;
    int window;
    int64_t max, now, amount_most;
    bool strict, sliding, keeps; /* keeps: settles nothing, until the end */
    int64_t used, peak;          /* peak: the most that was used at once */
    int64_t granted, refused, away;
    int64_t longest_us; /* that a verdict took */
    int stop;
    int count;
    struct gust {
        struct storm *storm;
        struct store *store;
        struct loop *loop;
        pthread_t thread;
        uint64_t seed;
        int asking, kept;
        bool is_leaving;
        struct {
            uint64_t reservation;
            int64_t amount;
        } holds[HOLDS_KEPT];
    } gusts[GATEWAYS_MOST];
};

struct blow {
    struct gust *gust;
    int64_t amount, began_us;
};

static int64_t now_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t draw(struct gust *gust, int64_t most)
{
    gust->seed = gust->seed * 6364136223846793005u + 1442695040888963407u;
    return (int64_t)((gust->seed >> 33) % (uint64_t)most);
}

static void raise_to(int64_t *most, int64_t value)
{
    int64_t before = __atomic_load_n(most, __ATOMIC_RELAXED);

    while (value > before &&
           !__atomic_compare_exchange_n(most, &before, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED))
        ;
}

static void settle_one(struct gust *gust, int at)
{
    struct storm *storm = gust->storm;
    /* Most of it comes back, or there would soon be nothing to fight for. */
    int64_t actual = draw(gust, 64) == 0 ? draw(gust, gust->holds[at].amount + 1) : 0;

    __atomic_sub_fetch(&storm->used, gust->holds[at].amount - actual, __ATOMIC_RELAXED);
    store_settle(gust->store, gust->holds[at].reservation, &actual, 1, storm->now);
    gust->holds[at] = gust->holds[--gust->kept];
}

static void on_blown(void *arg, const struct store_verdict *verdict)
{
    struct blow *blow = arg;
    struct gust *gust = blow->gust;
    struct storm *storm = gust->storm;

    raise_to(&storm->longest_us, now_us() - blow->began_us);
    gust->asking--;
    if (blow->amount > 0)
        __atomic_add_fetch(verdict->granted ? &storm->granted : &storm->refused, 1, __ATOMIC_RELAXED);
    if (verdict->away)
        __atomic_add_fetch(&storm->away, 1, __ATOMIC_RELAXED);
    if (verdict->granted) {
        raise_to(&storm->peak, __atomic_add_fetch(&storm->used, blow->amount, __ATOMIC_RELAXED));
        if (storm->keeps)
            store_settle(gust->store, verdict->reservation, &blow->amount, 1, storm->now);
        else if (gust->kept == HOLDS_KEPT)
            settle_one(gust, (int)draw(gust, gust->kept));
        if (!storm->keeps) {
            gust->holds[gust->kept].reservation = verdict->reservation;
            gust->holds[gust->kept++].amount = blow->amount;
        }
    }
    free(blow);
}

static void ask(struct gust *gust, int64_t amount)
{
    struct storm *storm = gust->storm;
    struct store_claim claim = { { storm->key, storm->window, storm->sliding, NULL, storm->max, storm->strict },
                                 amount };
    struct store_call call = { .claims = &claim, .claim_count = 1 };
    struct blow *blow = malloc(sizeof *blow);

    *blow = (struct blow){ gust, amount, now_us() };
    gust->asking++;
    store_reserve(gust->store, &call, storm->now, on_blown, blow);
}

static void on_gust(void *arg)
{
    struct gust *gust = arg;
    bool stops = __atomic_load_n(&gust->storm->stop, __ATOMIC_ACQUIRE);

    for (int i = 0; !stops && i < 3 && gust->asking < ASKS_AT_ONCE; i++)
        ask(gust, 1 + draw(gust, gust->storm->amount_most));
    for (int i = 0; i < 3 && gust->kept > (stops ? 0 : HOLDS_KEPT / 2); i++)
        settle_one(gust, (int)draw(gust, gust->kept));
    if (stops && gust->asking == 0 && gust->kept == 0 && gust->is_leaving) {
        loop_stop(gust->loop);
        return;
    }
    if (stops && gust->asking == 0 && gust->kept == 0) { /* its answer comes when all else has been heard */
        gust->is_leaving = true;
        ask(gust, 0);
    }
    loop_after(gust->loop, 0.0005, on_gust, gust);
}

static void *blow(void *arg)
{
    struct gust *gust = arg;

    store_join(gust->store, gust->loop);
    loop_after(gust->loop, 0, on_gust, gust);
    loop_run(gust->loop);
    store_leave(gust->store);
    loop_free(gust->loop);
    return NULL;
}

/* One thread for each of count stores; a store may be there twice. */
struct storm *storm_begin(struct store **stores, int count, const struct store_limit *limit, int64_t amount_most,
                          bool keeps, int64_t now, uint64_t seed)
{
    struct storm *storm = calloc(1, sizeof *storm);

    *storm = (struct storm){ .key = strdup(limit->key),
                             .window = limit->window,
                             .max = limit->max,
                             .strict = limit->strict,
                             .sliding = limit->sliding,
                             .keeps = keeps,
                             .now = now,
                             .amount_most = amount_most,
                             .count = count };
    for (int i = 0; i < count; i++) {
        struct gust *gust = &storm->gusts[i];

        gust->storm = storm;
        gust->store = stores[i];
        gust->seed = seed * 1000 + (uint64_t)i;
        gust->loop = loop_new();
        pthread_create(&gust->thread, NULL, blow, gust);
    }
    return storm;
}

/* What has been counted so far: granted, refused, decided while Redis was away, used, its peak, longest verdict. */
void storm_look(const struct storm *storm, int64_t figures[6])
{
    const int64_t *const from[] = { &storm->granted, &storm->refused, &storm->away,
                                    &storm->used,    &storm->peak,    &storm->longest_us };

    for (int i = 0; i < 6; i++)
        figures[i] = __atomic_load_n(from[i], __ATOMIC_RELAXED);
}

/* Everything is settled and heard. */
void storm_end(struct storm *storm)
{
    __atomic_store_n(&storm->stop, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < storm->count; i++)
        pthread_join(storm->gusts[i].thread, NULL);
}

void storm_free(struct storm *storm)
{
    free((char *)storm->key);
    free(storm);
}
