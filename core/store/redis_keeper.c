/*
 * redis_keeper.c - see redis_keeper.h. Each turn of its thread is one of two:
 * Redis is away, and it tries to come back; or Redis is there, and it does what
 * is due. All it asks has a timeout of 200 ms, and a call without an answer
 * means that Redis is away.
 */
#include "store/redis_keeper.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "net/redis_line.h"
#include "store/redis.h"
#include "store/redis_news.h"
#include "store/redis_rows.h"
#include "store/redis_scripts.h"
#include "store/redis_session.h"
#include "store/redis_shares.h"
#include "store/redis_standing.h"
#include "store/redis_words.h"

enum { SECOND_US = 1000000, MILLISECOND_US = 1000, COUNTERS_A_BEAT = 1000 };

static const double TIMEOUT_S = 0.2;
static const double START_S = 0.5;
static const int64_t BEAT_US = SECOND_US;
/* What changed is told together with what changes a moment later. */
static const int64_t GATHER_US = 3 * MILLISECOND_US;
static const int64_t RETRY_LEAST_US = 20 * MILLISECOND_US;
static const int64_t RETRY_MOST_US = SECOND_US;
static const int64_t CALM_US = SECOND_US;
/* Who has just come back takes nobody else for dead: others may need longer for that. */
static const int64_t SURE_US = INT64_C(5) * SECOND_US;

struct redis_keeper {
    struct redis *redis;
    pthread_t thread;
    int wake; /* eventfd */
    bool is_woken;
    struct redis_session session;
    int64_t beat_at, due_at, retry_at, retry_us, online_since;
    pthread_mutex_t lock; /* guards what follows */
    bool is_away, is_told;
    char why[400];
    int64_t away_since, told_at;
    char broken[300]; /* the last counter that was none */
    int64_t broken_at;
};

/* ---- what went wrong ---- */

void redis_keeper_note_away(struct redis_keeper *keeper, const char *why)
{
    int64_t now_us = clock_monotonic_us();
    bool is_news;

    if (!keeper)
        return;
    pthread_mutex_lock(&keeper->lock);
    if (!keeper->is_away)
        keeper->away_since = now_us;
    /* One that comes and goes is told of once a second. */
    is_news = !keeper->is_away && (keeper->told_at == 0 || now_us - keeper->told_at > SECOND_US);
    if (is_news)
        keeper->told_at = now_us;
    keeper->is_told = keeper->is_away ? keeper->is_told : is_news;
    keeper->is_away = true;
    snprintf(keeper->why, sizeof keeper->why, "%s", why);
    pthread_mutex_unlock(&keeper->lock);
    if (is_news)
        log_line(LOG_WARN, "Redis is away: limits are kept by this gateway's own share until it is back", "reason", why,
                 NULL);
}

static void note_back(struct redis_keeper *keeper)
{
    bool was_away;
    char seconds[32];

    pthread_mutex_lock(&keeper->lock);
    was_away = keeper->is_away && keeper->is_told;
    keeper->is_away = false;
    snprintf(seconds, sizeof seconds, "%.3f", (double)(clock_monotonic_us() - keeper->away_since) / 1e6);
    pthread_mutex_unlock(&keeper->lock);
    if (was_away)
        log_line(LOG_INFO, "Redis is back, and has this gateway's figures", "seconds", seconds, NULL);
}

void redis_keeper_note_broken(struct redis_keeper *keeper, const char *key, size_t length)
{
    int64_t now_us = clock_monotonic_us();
    bool is_news;

    pthread_mutex_lock(&keeper->lock);
    /* Whoever stumbles over it hears of it as well. */
    is_news = strncmp(keeper->broken, key, length) != 0 || now_us - keeper->broken_at > SECOND_US;
    snprintf(keeper->broken, sizeof keeper->broken, "%.*s", (int)length, key);
    keeper->broken_at = now_us;
    pthread_mutex_unlock(&keeper->lock);
    if (is_news)
        log_line(LOG_ERROR, "a key in Redis was no counter: it is renamed, and all gateways tell their figures anew",
                 "key", keeper->broken, NULL);
}

bool redis_keeper_problem(struct redis_keeper *keeper, char *text, size_t size)
{
    bool is_problem = true;

    pthread_mutex_lock(&keeper->lock);
    if (keeper->is_away)
        snprintf(
            text, size,
            "Redis is away for %.0f s (%s): limits are kept by this gateway's own share, budgets beyond what it had "
            "lent itself are refused, and ledger rows are kept here until it is back",
            (double)(clock_monotonic_us() - keeper->away_since) / 1e6, keeper->why);
    else if (keeper->broken_at && clock_monotonic_us() - keeper->broken_at < INT64_C(60) * SECOND_US)
        snprintf(text, size, "the key %s in Redis was no counter: it is renamed to end in :broken; who writes to it?",
                 keeper->broken);
    else
        is_problem = false;
    pthread_mutex_unlock(&keeper->lock);
    return is_problem;
}

void redis_keeper_wake(struct redis_keeper *keeper)
{
    uint64_t one = 1;

    if (keeper && !__atomic_exchange_n(&keeper->is_woken, true, __ATOMIC_ACQ_REL))
        while (write(keeper->wake, &one, sizeof one) < 0 && errno == EINTR)
            ;
}

static bool is_ending(struct redis_keeper *keeper)
{
    return __atomic_load_n(&keeper->session.is_ending, __ATOMIC_ACQUIRE);
}

static int64_t sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* ---- coming back ---- */

static bool come_back(struct redis_keeper *keeper, double timeout, double patience, bool *is_refused, char *why,
                      size_t size)
{
    if (!redis_session_open(&keeper->session, timeout, patience, is_refused, why, size))
        return false;
    keeper->online_since = clock_monotonic_us();
    keeper->beat_at = keeper->online_since + BEAT_US;
    keeper->due_at = 0;
    redis_rows_come_back(keeper->redis->rows, keeper->session.line);
    note_back(keeper);
    return true;
}

/* When it is tried next: at once after a time of calm, else ever later. One that answers, but too slowly, is left
 * alone. */
static void put_off(struct redis_keeper *keeper)
{
    int64_t now_us = clock_monotonic_us();

    if (keeper->online_since > 0 && now_us - keeper->online_since > CALM_US) {
        keeper->retry_us = RETRY_LEAST_US;
        keeper->retry_at = now_us;
    } else {
        keeper->retry_at = now_us + keeper->retry_us / 2 + arc4random_uniform((uint32_t)keeper->retry_us / 2);
        keeper->retry_us = sooner(keeper->retry_us * 2, RETRY_MOST_US);
    }
    keeper->online_since = 0;
}

static void try_to_come_back(struct redis_keeper *keeper)
{
    char why[400];
    bool is_refused;
    uint64_t epoch;

    if (come_back(keeper, TIMEOUT_S, REDIS_SESSION_PATIENCE_S, &is_refused, why, sizeof why))
        return;
    redis_standing_of(keeper->redis->shares, &epoch);
    redis_standing_go_away(keeper->redis->shares, epoch);
    redis_session_close(&keeper->session);
    if (is_ending(keeper))
        return;
    redis_keeper_note_away(keeper, why);
    put_off(keeper);
}

/* ---- while Redis is there ---- */

/* A call of ours got no answer, or the wrong one. */
static void lose(struct redis_keeper *keeper, const char *why)
{
    redis_go_away(keeper->redis, 0, why);
    redis_session_close(&keeper->session);
}

static bool send_unsent(struct redis_keeper *keeper)
{
    struct redis_words words = { 0 };
    char why[200] = "";
    bool is_fine = !redis_standing_unsent(keeper->redis->shares, &words) ||
                   redis_session_status(&keeper->session, &redis_script_add, &words, why, sizeof why) == REDIS_GRANTED;

    redis_words_free(&words);
    if (!is_fine)
        lose(keeper, why);
    return is_fine;
}

static void hear_of_the_dead(struct redis_keeper *keeper, const struct redis_reply *reply, size_t count)
{
    if (clock_monotonic_us() - keeper->online_since < SURE_US)
        return;
    for (size_t i = 0; i < count; i++) {
        const char *name = redis_text(redis_item(reply, 3 + i), NULL);

        if (redis_session_bury(&keeper->session, name))
            log_line(LOG_INFO, "a gateway is dead: what it had reserved is free again", "gateway", name, NULL);
    }
}

static bool beat(struct redis_keeper *keeper)
{
    struct redis_words words = { 0 };
    struct redis_shares *shares = keeper->redis->shares;
    struct redis_reply *reply;
    size_t count, first;
    struct redis_hold *holds = redis_standing_beat(shares, &words, COUNTERS_A_BEAT, &count);
    int64_t asked_us = clock_monotonic_us();
    char why[200] = "it does not know this gateway any more";
    bool is_fine;

    keeper->beat_at = asked_us + BEAT_US;
    reply = redis_session_run(&keeper->session, &redis_script_beat, &words);
    is_fine = redis_session_is_answer(reply, why, sizeof why) && redis_integer(redis_item(reply, 0)) == REDIS_GRANTED;
    if (is_fine) {
        redis_standing_note_contact(shares, asked_us, redis_integer(redis_item(reply, 1)));
        first = 3 + (size_t)redis_integer(redis_item(reply, 2));
        for (size_t i = 0; i < count && first + 2 * i + 1 < redis_count(reply); i++)
            redis_standing_hear(shares, &holds[i], redis_integer(redis_item(reply, first + 2 * i)),
                                redis_integer(redis_item(reply, first + 2 * i + 1)));
        hear_of_the_dead(keeper, reply, first - 3);
    }
    redis_shares_let_go(shares, holds, count);
    mem_free(holds);
    redis_reply_free(reply);
    redis_words_free(&words);
    if (!is_fine)
        lose(keeper, why);
    return is_fine && send_unsent(keeper);
}

static bool give_lease_back(struct redis_keeper *keeper, const char *key, size_t length, int64_t number)
{
    struct redis_words words = { 0 };
    char why[200] = "";
    bool is_fine =
        !redis_standing_recall(keeper->redis->shares, key, length, number, &words) ||
        redis_session_status(&keeper->session, &redis_script_unlease, &words, why, sizeof why) == REDIS_GRANTED;

    redis_words_free(&words);
    if (!is_fine)
        lose(keeper, why);
    return is_fine;
}

/* "recall KEY NUMBER", "broken KEY", "hello", or what is for others to hear. */
static bool hear(struct redis_keeper *keeper, const char *text, size_t length)
{
    const char *space = memrchr(text, ' ', length);

    if (space && length > 7 && strncmp(text, "recall ", 7) == 0 && space > text + 7)
        return give_lease_back(keeper, text + 7, (size_t)(space - text - 7), strtoll(space + 1, NULL, 10));
    if (length > 7 && strncmp(text, "broken ", 7) == 0) {
        redis_keeper_note_broken(keeper, text + 7, length - 7);
        lose(keeper, "a counter was no counter");
        return false;
    }
    if (length == 5 && strncmp(text, "hello", 5) == 0)
        keeper->beat_at = 0; /* how many there are decides on shares */
    else if (redis_news_heard(keeper->redis->news, text, length))
        keeper->due_at = 0;
    return true;
}

static bool listen(struct redis_keeper *keeper)
{
    struct redis_reply *reply;
    bool is_fine = true;

    while (is_fine && (reply = redis_line_pushed(keeper->session.news))) {
        const struct redis_reply *message = redis_item(reply, 2);
        size_t length;
        const char *text = redis_text(message, &length);

        if (strcmp(redis_text(redis_item(reply, 0), NULL), "message") == 0)
            is_fine = hear(keeper, text, length);
        redis_reply_free(reply);
    }
    if (is_fine && redis_line_is_broken(keeper->session.news)) {
        lose(keeper, "its connection for news is lost");
        return false;
    }
    return is_fine;
}

/* What has gathered: figures, news, rows. */
static bool tell(struct redis_keeper *keeper)
{
    bool is_more;

    if (!send_unsent(keeper))
        return false;
    redis_session_bury_predecessors(&keeper->session);
    redis_news_keep_keys(keeper->redis->news, keeper->session.line);
    redis_news_publish(keeper->redis->news, keeper->session.line);
    is_more =
        !redis_line_is_broken(keeper->session.line) && redis_rows_deliver(keeper->redis->rows, keeper->session.line);
    keeper->due_at = clock_monotonic_us() + (is_more ? 0 : BEAT_US);
    if (redis_line_is_broken(keeper->session.line)) {
        lose(keeper, "no answer in time");
        return false;
    }
    return true;
}

static bool turn(struct redis_keeper *keeper)
{
    int64_t now_us = clock_monotonic_us();

    return listen(keeper) && redis_standing_of(keeper->redis->shares, NULL) == REDIS_ONLINE &&
           (now_us < keeper->due_at || tell(keeper)) && (now_us < keeper->beat_at || beat(keeper));
}

/* Sleeps until something is due, is heard, or wakes it. */
static void rest(struct redis_keeper *keeper)
{
    struct pollfd watched[2] = { { .fd = keeper->wake, .events = POLLIN }, { .fd = -1, .events = POLLIN } };
    int64_t now_us = clock_monotonic_us();
    int64_t until_us = keeper->session.line ? sooner(keeper->beat_at, keeper->due_at) : keeper->retry_at;
    uint64_t count;
    int milliseconds = until_us <= now_us ? 0 : (int)sooner((until_us - now_us + 999) / 1000, 1000);

    if (keeper->session.news)
        watched[1].fd = redis_line_descriptor(keeper->session.news);
    poll(watched, 2, milliseconds);
    if (!(watched[0].revents & POLLIN))
        return;
    while (read(keeper->wake, &count, sizeof count) < 0 && errno == EINTR)
        ;
    __atomic_store_n(&keeper->is_woken, false, __ATOMIC_RELEASE);
    keeper->due_at = sooner(keeper->due_at, clock_monotonic_us() + GATHER_US);
}

static void *keep(void *arg)
{
    struct redis_keeper *keeper = arg;

    while (!is_ending(keeper)) {
        if (!keeper->session.line && clock_monotonic_us() >= keeper->retry_at)
            try_to_come_back(keeper);
        if (!keeper->session.line)
            redis_news_keep_keys(keeper->redis->news, NULL);
        if (keeper->session.line && !turn(keeper)) {
            redis_session_close(&keeper->session);
            put_off(keeper);
            continue;
        }
        rest(keeper);
    }
    return NULL;
}

/* ---- its life ---- */

void redis_keeper_free(struct redis_keeper *keeper)
{
    if (!keeper)
        return;
    redis_session_close(&keeper->session);
    close(keeper->wake);
    pthread_mutex_destroy(&keeper->lock);
    mem_free(keeper);
}

struct redis_keeper *redis_keeper_start(struct redis *redis, char *error, size_t error_size)
{
    struct redis_keeper *keeper = mem_zero(sizeof *keeper);
    char why[400];
    bool is_refused;
    int fault;

    keeper->redis = keeper->session.redis = redis;
    keeper->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    keeper->retry_us = RETRY_LEAST_US;
    keeper->due_at = INT64_MAX;
    pthread_mutex_init(&keeper->lock, NULL);
    if (!come_back(keeper, START_S, START_S, &is_refused, why, sizeof why)) {
        redis_standing_go_away(redis->shares, 0);
        redis_session_close(&keeper->session);
        if (is_refused) {
            snprintf(error, error_size, "%s", why);
            redis_keeper_free(keeper);
            return NULL;
        }
        redis_keeper_note_away(keeper, why);
    }
    fault = thread_start(&keeper->thread, keep, keeper);
    if (!fault)
        return keeper;
    snprintf(error, error_size, "a thread for Redis does not start: %s", strerrordesc_np(fault));
    redis_keeper_free(keeper);
    return NULL;
}

void redis_keeper_stop(struct redis_keeper *keeper)
{
    if (!keeper)
        return;
    __atomic_store_n(&keeper->session.is_ending, true, __ATOMIC_RELEASE);
    redis_keeper_wake(keeper);
    pthread_join(keeper->thread, NULL);
    redis_session_end(&keeper->session);
}
