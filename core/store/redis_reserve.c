/* redis_reserve.c - see redis_reserve.h. */
#include "store/redis_reserve.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/loop.h"
#include "net/redis_link.h"
#include "store/backend.h"
#include "store/limits.h"
#include "store/redis.h"
#include "store/redis_keeper.h"
#include "store/redis_scripts.h"
#include "store/redis_share.h"
#include "store/redis_shares.h"
#include "store/redis_standing.h"
#include "store/redis_words.h"

static const int DEADLINE_MS = 30;
/* A link that has just been made is waited for, this long at most. */
static const int64_t PATIENCE_US = 500000;
static const double LINK_TICK_S = 0.002;
/* Leases come back within a millisecond or two, but from a gateway that is away. */
static const double lease_waits[] = { 0.003, 0.01, 0.03, 0.06 };

enum { LEASE_WAITS = sizeof lease_waits / sizeof *lease_waits, NUMBERS_A_CLAIM = 5 };

/* A thread that has joined. */
struct redis_desk {
    struct redis *redis;
    struct redis_desk *next;      /* of the store: under its lock */
    struct redis_desk *next_here; /* of the thread */
    struct loop *loop;
    struct redis_link *link; /* NULL: it has left */
    struct ask *asks;
    int64_t joined_us;
    bool was_up;
    bool is_up;        /* under the store's lock, as is what follows */
    bool is_resetting; /* that is posted, and not yet done */
};

static _Thread_local struct redis_desk *desks_here;

/* A reservation that Redis is asked for. */
struct ask {
    struct redis_desk *desk;
    struct ask *next, **link;
    struct store_call call; /* a copy, with all that it points to, in the same block */
    struct redis_hold *holds;
    struct redis_told *told;
    int64_t now;
    uint64_t epoch;
    size_t waits;
    int64_t held_us; /* since when it waits for Redis to count again; 0: it does not */
    struct loop_timer *timer;
    void (*on_verdict)(void *arg, const struct store_verdict *verdict);
    void *arg;
};

static struct redis_desk *desk_here(const struct redis *redis)
{
    struct redis_desk *desk = desks_here;

    while (desk && desk->redis != redis)
        desk = desk->next_here;
    return desk;
}

struct redis_link *redis_reserve_link(struct redis *redis)
{
    struct redis_desk *desk = desk_here(redis);

    return desk && desk->link && redis_link_is_up(desk->link) ? desk->link : NULL;
}

static int deadline_ms(const struct redis *redis)
{
    return redis->address.deadline_ms ? redis->address.deadline_ms : DEADLINE_MS;
}

static void tell_news(struct redis *redis)
{
    if (redis_standing_has_news(redis->shares))
        redis_keeper_wake(redis->keeper);
}

/* ---- asks ---- */

static size_t size_of(const char *text)
{
    return text ? strlen(text) + 1 : 0;
}

static char *put(char **room, const char *text)
{
    size_t size = size_of(text);
    char *at = *room;

    if (!text)
        return NULL;
    memcpy(at, text, size);
    *room += size;
    return at;
}

static struct ask *new_ask(struct redis_desk *desk, const struct store_call *call)
{
    size_t count = call->claim_count, texts = size_of(call->provider) + size_of(call->model);
    struct store_claim *claims;
    struct ask *ask;
    char *room;

    for (size_t i = 0; i < count; i++)
        texts += size_of(call->claims[i].limit.key);
    ask = mem_zero(sizeof *ask + count * (sizeof *ask->holds + sizeof *ask->told + sizeof *claims) + texts);
    ask->holds = (struct redis_hold *)(ask + 1);
    ask->told = (struct redis_told *)(ask->holds + count);
    claims = (struct store_claim *)(ask->told + count);
    room = (char *)(claims + count);
    ask->call = *call;
    ask->call.claims = claims;
    ask->call.provider = put(&room, call->provider);
    ask->call.model = put(&room, call->model);
    for (size_t i = 0; i < count; i++) {
        claims[i] = call->claims[i];
        claims[i].limit.key = put(&room, call->claims[i].limit.key);
    }
    ask->desk = desk;
    ask->next = desk->asks;
    if (ask->next)
        ask->next->link = &ask->next;
    ask->link = &desk->asks;
    desk->asks = ask;
    return ask;
}

static void finish(struct ask *ask, const struct store_verdict *verdict)
{
    void (*on_verdict)(void *arg, const struct store_verdict *verdict) = ask->on_verdict;
    void *arg = ask->arg;
    struct redis *redis = ask->desk->redis;

    *ask->link = ask->next;
    if (ask->next)
        ask->next->link = ask->link;
    loop_forget(ask->timer);
    mem_free(ask);
    tell_news(redis);
    on_verdict(arg, verdict);
}

/* What nobody can decide is refused. */
static void give_up(struct ask *ask)
{
    struct store_verdict verdict = { .away = true };

    if (ask->call.claim_count > 0)
        limits_refuse(&verdict, &ask->call.claims[0].limit, 0);
    redis_shares_let_go(ask->desk->redis->shares, ask->holds, ask->call.claim_count);
    finish(ask, &verdict);
}

static void decide(struct ask *ask);

static void on_waited(void *arg)
{
    struct ask *ask = arg;

    ask->timer = NULL;
    decide(ask);
}

static void wait_for(struct ask *ask, double seconds)
{
    ask->timer = loop_after(ask->desk->loop, seconds, on_waited, ask);
}

static bool read_told(struct ask *ask, const struct redis_reply *reply)
{
    if (redis_count(reply) != 1 + NUMBERS_A_CLAIM * ask->call.claim_count)
        return false;
    for (size_t i = 0; i < ask->call.claim_count; i++) {
        size_t first = 1 + NUMBERS_A_CLAIM * i;

        ask->told[i] = (struct redis_told){
            .total = redis_integer(redis_item(reply, first)),
            .own = redis_integer(redis_item(reply, first + 1)),
            .fits = (int)redis_integer(redis_item(reply, first + 2)),
            .grown = redis_integer(redis_item(reply, first + 3)),
            .last = redis_integer(redis_item(reply, first + 4)),
        };
    }
    return true;
}

/* Why an answer is none; NULL: it is one. */
static const char *fault_of(const struct redis_reply *reply)
{
    if (!reply)
        return "no answer in time";
    if (redis_kind(reply) != REDIS_ARRAY)
        return redis_kind(reply) == REDIS_ERROR ? redis_text(reply, NULL) : "an answer of another kind";
    switch (redis_integer(redis_item(reply, 0))) {
    case REDIS_AGAIN:
        return "it does not know this gateway any more";
    case REDIS_BROKEN:
        return "a counter was no counter";
    default:
        return NULL;
    }
}

static void tell_broken(struct ask *ask, const struct redis_reply *reply)
{
    size_t which = (size_t)redis_integer(redis_item(reply, 1)) - 1;

    if (redis_integer(redis_item(reply, 0)) == REDIS_BROKEN && which < ask->call.claim_count)
        redis_keeper_note_broken(ask->desk->redis->keeper, ask->holds[which].share->key,
                                 ask->holds[which].share->key_length);
}

static void on_reserved(void *arg, const struct redis_reply *reply)
{
    struct ask *ask = arg;
    struct redis *redis = ask->desk->redis;
    const char *fault = fault_of(reply);
    bool has_waited = ask->waits == LEASE_WAITS;
    struct store_verdict verdict;

    if (!fault && !read_told(ask, reply))
        fault = "an answer of another length";
    if (fault) {
        tell_broken(ask, reply);
        redis_go_away(redis, ask->epoch, ask->desk->link ? fault : NULL);
        decide(ask);
    } else if (redis_integer(redis_item(reply, 0)) == REDIS_GRANTED) {
        if (redis_shares_grant(redis->shares, &ask->call, ask->holds, ask->told, ask->epoch, ask->now, &verdict))
            finish(ask, &verdict);
        else
            decide(ask);
    } else if (redis_shares_refuse(redis->shares, &ask->call, ask->holds, ask->told, has_waited, ask->now, &verdict) &&
               !has_waited) {
        wait_for(ask, lease_waits[ask->waits++]);
    } else {
        redis_shares_let_go(redis->shares, ask->holds, ask->call.claim_count);
        finish(ask, &verdict);
    }
}

static void on_added(void *arg, const struct redis_reply *reply)
{
    struct redis_desk *desk = arg;
    const char *fault = fault_of(reply);

    /* What a thread that leaves had still to tell, the figures will. */
    if (fault)
        redis_go_away(desk->redis, 0, desk->link ? fault : NULL);
}

static void run(struct redis_desk *desk, struct redis_script *script, struct redis_words *words,
                void (*on_reply)(void *arg, const struct redis_reply *reply), void *arg)
{
    redis_link_run(desk->link, script, words->key_count, redis_words_list(words), words->key_count + words->other_count,
                   on_reply, arg);
}

/* False: Redis does not count any more. */
static bool send(struct ask *ask)
{
    struct redis_desk *desk = ask->desk;
    struct redis_words reserve = { 0 }, add = { 0 };
    bool is_online =
        redis_shares_ask(desk->redis->shares, &ask->call, ask->holds, ask->now, &reserve, &add, &ask->epoch);

    if (is_online && add.key_count > 2)
        run(desk, &redis_script_add, &add, on_added, desk);
    if (is_online)
        run(desk, &redis_script_reserve, &reserve, on_reserved, ask);
    redis_words_free(&reserve);
    redis_words_free(&add);
    return is_online;
}

/* Waits a moment for Redis to have the last figures; false: it takes longer than an answer may. */
static bool is_held_up(struct ask *ask)
{
    int64_t now_us = clock_monotonic_us();

    if (ask->held_us == 0)
        ask->held_us = now_us;
    if (now_us - ask->held_us > (int64_t)deadline_ms(ask->desk->redis) * 1000)
        return false;
    wait_for(ask, LINK_TICK_S);
    return true;
}

/* Asks Redis if it counts, else the books. Redis may come and go meanwhile. */
static void decide(struct ask *ask)
{
    struct redis_desk *desk = ask->desk;
    struct redis *redis = desk->redis;
    struct store_verdict verdict;
    uint64_t epoch;

    for (int round = 0; round < 8; round++) {
        enum redis_state state = redis_standing_of(redis->shares, &epoch);

        if (state == REDIS_LANDING) {
            if (is_held_up(ask))
                return;
            redis_go_away(redis, epoch, "no answer in time");
        } else if (state != REDIS_ONLINE) {
            if (redis_shares_take(redis->shares, &ask->call, ask->holds, ask->now, &verdict)) {
                finish(ask, &verdict);
                return;
            }
        } else if (!desk->link) {
            break;
        } else if (redis_link_is_up(desk->link)) {
            if (send(ask))
                return;
        } else if (!desk->was_up && clock_monotonic_us() - desk->joined_us < PATIENCE_US) {
            wait_for(ask, LINK_TICK_S);
            return;
        } else {
            redis_go_away(redis, epoch, redis_link_fault(desk->link));
        }
    }
    give_up(ask);
}

/* What a provider told is known here: a call that does not fit that costs no round trip. */
static bool is_told_otherwise(struct redis *redis, const struct store_call *call, int64_t now,
                              struct store_verdict *verdict)
{
    struct store_call rest = *call;

    rest.claim_count = 0;
    limits_fits(redis->store->limits, &rest, now, verdict);
    return !verdict->granted;
}

static void reserve_alone(struct redis *redis, const struct store_call *call, int64_t now,
                          struct store_verdict *verdict)
{
    struct redis_hold *holds = mem_alloc((call->claim_count + 1) * sizeof *holds);

    redis_shares_hold(redis->shares, call, now, holds);
    if (!redis_shares_take(redis->shares, call, holds, now, verdict)) {
        redis_shares_let_go(redis->shares, holds, call->claim_count);
        *verdict = (struct store_verdict){ .blocked = "a thread that has not joined its loop with the store" };
    }
    mem_free(holds);
}

void redis_reserve_call(struct redis *redis, const struct store_call *call, int64_t now,
                        void (*on_verdict)(void *arg, const struct store_verdict *verdict), void *arg)
{
    struct redis_desk *desk = desk_here(redis);
    struct store_verdict verdict;
    struct ask *ask;

    if (is_told_otherwise(redis, call, now, &verdict)) {
        on_verdict(arg, &verdict);
        return;
    }
    if (call->claim_count == 0) { /* nothing that Redis counts */
        tell_news(redis);
        redis_shares_draw(redis->shares, call, now, &verdict);
        on_verdict(arg, &verdict);
        return;
    }
    if (!desk) {
        reserve_alone(redis, call, now, &verdict);
        on_verdict(arg, &verdict);
        return;
    }
    ask = new_ask(desk, call);
    ask->now = now;
    ask->on_verdict = on_verdict;
    ask->arg = arg;
    redis_shares_hold(redis->shares, &ask->call, now, ask->holds);
    decide(ask);
}

void redis_reserve_settle(struct redis *redis, uint64_t reservation, const int64_t *amounts, size_t count, int64_t now)
{
    struct redis_desk *desk = desk_here(redis);
    bool can_send = redis_reserve_link(redis);
    struct redis_words words = { 0 };
    uint64_t epoch;

    if (redis_shares_settle(redis->shares, reservation, amounts, count, now, can_send, &words, &epoch))
        run(desk, &redis_script_add, &words, on_added, desk);
    else if (!can_send)
        redis_keeper_wake(redis->keeper);
    redis_words_free(&words);
    tell_news(redis);
}

/* ---- desks ---- */

static void on_state(void *arg, bool is_up)
{
    struct redis_desk *desk = arg;

    pthread_mutex_lock(&desk->redis->lock);
    desk->is_up = is_up;
    pthread_mutex_unlock(&desk->redis->lock);
    desk->was_up |= is_up;
    if (is_up)
        redis_keeper_wake(desk->redis->keeper);
    else
        redis_go_away(desk->redis, 0, redis_link_fault(desk->link));
}

void redis_reserve_join(struct redis *redis, struct loop *loop)
{
    struct redis_desk *desk = mem_zero(sizeof *desk);

    desk->redis = redis;
    desk->loop = loop;
    desk->joined_us = clock_monotonic_us();
    desk->next_here = desks_here;
    desks_here = desk;
    desk->link = redis_link_new(loop, &redis->address, deadline_ms(redis) / 1e3, on_state, desk);
    pthread_mutex_lock(&redis->lock);
    desk->next = redis->desks;
    redis->desks = desk;
    pthread_mutex_unlock(&redis->lock);
}

void redis_reserve_leave(struct redis *redis)
{
    struct redis_desk *desk = desk_here(redis), **place = &desks_here;
    struct redis_link *link;
    bool is_resetting;

    if (!desk)
        return;
    pthread_mutex_lock(&redis->lock);
    for (struct redis_desk **other = &redis->desks; *other; other = &(*other)->next) {
        if (*other == desk) {
            *other = desk->next;
            break;
        }
    }
    pthread_mutex_unlock(&redis->lock);
    link = desk->link;
    desk->link = NULL;
    redis_link_close(link); /* whoever waits for an answer is told by the books */
    while (desk->asks)
        give_up(desk->asks);
    while (*place != desk)
        place = &(*place)->next_here;
    *place = desk->next_here;
    pthread_mutex_lock(&redis->lock);
    is_resetting = desk->is_resetting;
    pthread_mutex_unlock(&redis->lock);
    if (!is_resetting)
        mem_free(desk);
}

static void on_reset(void *arg)
{
    struct redis_desk *desk = arg;

    if (!desk->link) { /* it has left; the store may be gone, too */
        mem_free(desk);
        return;
    }
    redis_link_reset(desk->link);
    pthread_mutex_lock(&desk->redis->lock);
    desk->is_up = false;
    desk->is_resetting = false;
    pthread_mutex_unlock(&desk->redis->lock);
}

void redis_reserve_reset_links(struct redis *redis)
{
    pthread_mutex_lock(&redis->lock);
    for (struct redis_desk *desk = redis->desks; desk; desk = desk->next) {
        if (!desk->is_resetting)
            loop_post(desk->loop, on_reset, desk);
        desk->is_resetting = true;
    }
    pthread_mutex_unlock(&redis->lock);
}

bool redis_reserve_links_are_up(struct redis *redis)
{
    bool are_up = true;

    pthread_mutex_lock(&redis->lock);
    for (struct redis_desk *desk = redis->desks; desk; desk = desk->next)
        are_up = are_up && desk->is_up && !desk->is_resetting;
    pthread_mutex_unlock(&redis->lock);
    return are_up;
}
