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

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/redis_line.h"
#include "store/redis.h"
#include "store/redis_news.h"
#include "store/redis_reserve.h"
#include "store/redis_rows.h"
#include "store/redis_scripts.h"
#include "store/redis_shares.h"
#include "store/redis_standing.h"
#include "store/redis_words.h"

enum { SECOND_US = 1000000, MILLISECOND_US = 1000, COUNTERS_A_BEAT = 1000, COUNTERS_A_BURIAL = 200 };

static const double TIMEOUT_S = 0.2;
static const double START_TIMEOUT_S = 0.5;
static const int64_t BEAT_US = SECOND_US;
/* What changed is told together with what changes a moment later. */
static const int64_t GATHER_US = 3 * MILLISECOND_US;
static const int64_t RETRY_LEAST_US = 20 * MILLISECOND_US;
static const int64_t RETRY_MOST_US = SECOND_US;
/* Gateways that were away with us tell their figures within this, or are left out. */
static const int64_t OTHERS_US = 2500 * MILLISECOND_US;
/* Who has just come back takes nobody else for dead: others may need longer for that. */
static const int64_t SURE_US = INT64_C(5) * SECOND_US;

struct redis_keeper {
    struct redis *redis;
    pthread_t thread;
    int wake; /* eventfd */
    bool is_woken, is_stopping;
    struct redis_line *line, *news;
    int64_t beat_at, due_at, retry_at, retry_us, online_since;
    bool had_session;
    pthread_mutex_t lock; /* guards what follows */
    bool is_away;
    char why[400];
    int64_t away_since;
    char broken[300]; /* the last counter that was none */
    int64_t broken_at;
};

/* ---- what went wrong ---- */

void redis_keeper_note_away(struct redis_keeper *keeper, const char *why)
{
    bool is_news;

    if (!keeper)
        return;
    pthread_mutex_lock(&keeper->lock);
    is_news = !keeper->is_away;
    if (is_news)
        keeper->away_since = clock_monotonic_us();
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
    was_away = keeper->is_away;
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

/* ---- calls ---- */

static struct redis_reply *run(struct redis_keeper *keeper, struct redis_script *script, struct redis_words *words)
{
    return redis_line_run(keeper->line, script, words->key_count, redis_words_list(words),
                          words->key_count + words->other_count);
}

static struct redis_reply *call(struct redis_line *line, const char *first, const char *second, const char *third)
{
    struct redis_word words[] = { { first, strlen(first) },
                                  { second, strlen(second) },
                                  { third ? third : "", third ? strlen(third) : 0 } };

    return redis_line_call(line, words, third ? 3 : 2);
}

/* False: there is no answer, or it is an error, and why says so. */
static bool is_answer(const struct redis_reply *reply, char *why, size_t size)
{
    if (reply && redis_kind(reply) != REDIS_ERROR)
        return true;
    snprintf(why, size, "%s", reply ? redis_text(reply, NULL) : "no answer in time");
    return false;
}

static void key_of(struct redis_words *words, const char *prefix, const char *name)
{
    struct buf key = { 0 };

    buf_add_text(&key, prefix);
    buf_add_text(&key, name);
    redis_words_key(words, key.data, key.length);
    buf_free(&key);
}

/* The status of a script that answers one first; -1: none, and why says so. */
static int64_t status_of(struct redis_keeper *keeper, struct redis_script *script, struct redis_words *words, char *why,
                         size_t size)
{
    struct redis_reply *reply = run(keeper, script, words);
    int64_t status = -1;

    if (is_answer(reply, why, size))
        status = redis_integer(redis_item(reply, 0));
    if (status == REDIS_AGAIN)
        snprintf(why, size, "it does not know this gateway any more");
    if (status == REDIS_BROKEN)
        snprintf(why, size, "a counter was no counter");
    redis_reply_free(reply);
    return status;
}

/* ---- coming back ---- */

static bool bury(struct redis_keeper *keeper, const char *name)
{
    int64_t left = 1;

    while (left > 0) {
        struct redis_words words = { 0 };
        struct redis_reply *reply;

        redis_words_key(&words, "moongate:gateways", strlen("moongate:gateways"));
        key_of(&words, "moongate:touched:", name);
        key_of(&words, "moongate:gateway:", name);
        redis_words_text(&words, name);
        redis_words_integer(&words, COUNTERS_A_BURIAL);
        reply = run(keeper, &redis_script_bury, &words);
        left = redis_kind(reply) == REDIS_INTEGER ? redis_integer(reply) : -1;
        redis_reply_free(reply);
        redis_words_free(&words);
    }
    return left == 0;
}

/* Those whose ledger rows are ours now. */
static void bury_predecessors(struct redis_keeper *keeper)
{
    const char *name;

    while ((name = redis_rows_predecessor(keeper->redis->rows)) && bury(keeper, name))
        redis_rows_buried(keeper->redis->rows);
}

/* The server's own name for this run of it. */
static bool read_run(struct redis_keeper *keeper, char run_id[static 64], char *why, size_t size)
{
    struct redis_reply *reply = call(keeper->line, "INFO", "server", NULL);
    const char *at = strstr(redis_text(reply, NULL), "run_id:");
    bool is_fine = is_answer(reply, why, size);

    snprintf(run_id, 64, "%.*s", at ? (int)strcspn(at + 7, "\r\n") : 0, at ? at + 7 : "");
    redis_reply_free(reply);
    return is_fine;
}

static bool greet(struct redis_keeper *keeper, const char *session, char *why, size_t size)
{
    struct redis_words words = { 0 };
    struct redis_reply *reply;
    char run_id[64];
    bool is_fine;

    if (!read_run(keeper, run_id, why, size))
        return false;
    key_of(&words, "moongate:gateway:", keeper->redis->id);
    redis_words_key(&words, "moongate:gateways", strlen("moongate:gateways"));
    redis_words_key(&words, "moongate:run", strlen("moongate:run"));
    redis_words_key(&words, "moongate:lost", strlen("moongate:lost"));
    redis_words_text(&words, session);
    redis_words_text(&words, keeper->redis->id);
    redis_words_text(&words, run_id);
    redis_words_text(&words, keeper->had_session ? "1" : "0");
    reply = run(keeper, &redis_script_hello, &words);
    is_fine = is_answer(reply, why, size);
    keeper->had_session |= is_fine;
    redis_reply_free(reply);
    redis_words_free(&words);
    return is_fine;
}

static bool send_figures(struct redis_keeper *keeper, const char *session, char *why, size_t size)
{
    size_t count;
    struct redis_words *pieces = redis_standing_sync(keeper->redis->shares, session, &count);
    bool is_fine = true;

    for (size_t i = 0; i < count; i++) {
        is_fine = is_fine && status_of(keeper, &redis_script_sync, &pieces[i], why, size) == REDIS_GRANTED;
        redis_words_free(&pieces[i]);
    }
    mem_free(pieces);
    return is_fine;
}

/* Scripts that workers run are there before they are asked for: none of their commands overtakes another. */
static bool load_scripts(struct redis_keeper *keeper, char *why, size_t size)
{
    struct redis_script *const scripts[] = { &redis_script_reserve, &redis_script_add };
    bool is_fine = true;

    for (size_t i = 0; is_fine && i < sizeof scripts / sizeof *scripts; i++) {
        struct redis_reply *reply = call(keeper->line, "SCRIPT", "LOAD", scripts[i]->source);

        is_fine = is_answer(reply, why, size);
        redis_reply_free(reply);
    }
    return is_fine;
}

/* How many gateways there are; 0: some have not told their figures yet; -1: why says what is wrong. */
static int64_t ask_ready(struct redis_keeper *keeper, const char *session, char *why, size_t size)
{
    struct redis_words words = { 0 };
    struct redis_reply *reply;
    int64_t answer = -1;

    key_of(&words, "moongate:gateway:", keeper->redis->id);
    redis_words_key(&words, "moongate:gateways", strlen("moongate:gateways"));
    redis_words_key(&words, "moongate:told", strlen("moongate:told"));
    redis_words_key(&words, "moongate:lost", strlen("moongate:lost"));
    redis_words_text(&words, session);
    redis_words_text(&words, keeper->redis->id);
    redis_words_integer(&words, redis_standing_gateways(keeper->redis->shares));
    reply = run(keeper, &redis_script_ready, &words);
    if (is_answer(reply, why, size)) {
        answer = redis_integer(reply);
        if (answer < 0)
            snprintf(why, size, "it does not know this gateway any more");
    }
    redis_reply_free(reply);
    redis_words_free(&words);
    return answer;
}

static bool is_stopping(struct redis_keeper *keeper)
{
    return __atomic_load_n(&keeper->is_stopping, __ATOMIC_ACQUIRE);
}

/* Until every worker's link is up, and the other gateways have told their figures or had the time to. */
static bool await_others(struct redis_keeper *keeper, const char *session, char *why, size_t size)
{
    int64_t asked_us = clock_monotonic_us(), until_us = asked_us + OTHERS_US, gateways = 0;
    bool are_up = false;

    for (;;) {
        are_up = redis_reserve_links_are_up(keeper->redis);
        asked_us = clock_monotonic_us();
        gateways = ask_ready(keeper, session, why, size);
        if (gateways < 0)
            return false;
        if (are_up && (gateways > 0 || asked_us > until_us))
            break;
        if (asked_us > until_us) {
            snprintf(why, size, "it takes no connection of a worker's");
            return false;
        }
        if (is_stopping(keeper))
            return false;
        poll(NULL, 0, 5);
    }
    if (gateways == 0)
        gateways = redis_standing_gateways(keeper->redis->shares);
    return redis_standing_go_online(keeper->redis->shares, asked_us, gateways);
}

static void hang_up(struct redis_keeper *keeper)
{
    redis_line_close(keeper->line);
    redis_line_close(keeper->news);
    keeper->line = keeper->news = NULL;
}

static bool connect_lines(struct redis_keeper *keeper, double timeout, bool *is_refused, char *why, size_t size)
{
    struct redis_reply *reply;
    bool is_fine;

    hang_up(keeper);
    keeper->line = redis_line_try(&keeper->redis->address, timeout, is_refused, why, size);
    if (!keeper->line)
        return false;
    keeper->news = redis_line_open(&keeper->redis->address, timeout, why, size);
    if (!keeper->news)
        return false;
    reply = call(keeper->news, "SUBSCRIBE", "moongate:news", NULL);
    is_fine = is_answer(reply, why, size);
    redis_reply_free(reply);
    return is_fine;
}

/* From nothing to ONLINE. False: why says what is in the way. */
static bool come_back(struct redis_keeper *keeper, double timeout, bool *is_refused, char *why, size_t size)
{
    char session[ID_LENGTH + 1];

    *is_refused = false;
    id_make(session);
    snprintf(why, size, "it went away while figures were told");
    if (!connect_lines(keeper, timeout, is_refused, why, size) || !load_scripts(keeper, why, size))
        return false;
    bury_predecessors(keeper);
    if (!greet(keeper, session, why, size) || !redis_news_load(keeper->redis->news, keeper->line) ||
        !send_figures(keeper, session, why, size) || !await_others(keeper, session, why, size))
        return false;
    keeper->online_since = clock_monotonic_us();
    keeper->beat_at = keeper->online_since + BEAT_US;
    keeper->due_at = 0;
    redis_rows_come_back(keeper->redis->rows, keeper->line);
    keeper->retry_us = RETRY_LEAST_US;
    note_back(keeper);
    return true;
}

static void try_to_come_back(struct redis_keeper *keeper)
{
    char why[400];
    bool is_refused;
    uint64_t epoch;

    if (come_back(keeper, TIMEOUT_S, &is_refused, why, sizeof why))
        return;
    redis_standing_of(keeper->redis->shares, &epoch);
    redis_standing_go_away(keeper->redis->shares, epoch);
    hang_up(keeper);
    if (is_stopping(keeper))
        return;
    redis_keeper_note_away(keeper, why);
    keeper->retry_at = clock_monotonic_us() + keeper->retry_us / 2 + arc4random_uniform((uint32_t)keeper->retry_us / 2);
    keeper->retry_us = keeper->retry_us * 2 < RETRY_MOST_US ? keeper->retry_us * 2 : RETRY_MOST_US;
}

/* ---- while Redis is there ---- */

/* A call of ours got no answer, or the wrong one. */
static void lose(struct redis_keeper *keeper, const char *why)
{
    redis_go_away(keeper->redis, 0, why);
    hang_up(keeper);
}

static bool send_unsent(struct redis_keeper *keeper)
{
    struct redis_words words = { 0 };
    char why[200] = "";
    bool is_fine = !redis_standing_unsent(keeper->redis->shares, &words) ||
                   status_of(keeper, &redis_script_add, &words, why, sizeof why) == REDIS_GRANTED;

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

        if (bury(keeper, name))
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
    reply = run(keeper, &redis_script_beat, &words);
    is_fine = is_answer(reply, why, sizeof why) && redis_integer(redis_item(reply, 0)) == REDIS_GRANTED;
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
    return is_fine;
}

static bool give_lease_back(struct redis_keeper *keeper, const char *key, size_t length, int64_t number)
{
    struct redis_words words = { 0 };
    char why[200] = "";
    bool is_fine = !redis_standing_recall(keeper->redis->shares, key, length, number, &words) ||
                   status_of(keeper, &redis_script_unlease, &words, why, sizeof why) == REDIS_GRANTED;

    redis_words_free(&words);
    if (!is_fine)
        lose(keeper, why);
    return is_fine;
}

/* "recall KEY NUMBER", "broken KEY", or what is for others to hear. */
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
    redis_news_heard(keeper->redis->news, text, length);
    return true;
}

static bool listen(struct redis_keeper *keeper)
{
    struct redis_reply *reply;
    bool is_fine = true;

    while (is_fine && (reply = redis_line_pushed(keeper->news))) {
        const struct redis_reply *message = redis_item(reply, 2);
        size_t length;
        const char *text = redis_text(message, &length);

        if (strcmp(redis_text(redis_item(reply, 0), NULL), "message") == 0)
            is_fine = hear(keeper, text, length);
        redis_reply_free(reply);
    }
    if (is_fine && redis_line_is_broken(keeper->news)) {
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
    redis_news_keep_keys(keeper->redis->news, keeper->line);
    redis_news_publish(keeper->redis->news, keeper->line);
    bury_predecessors(keeper);
    is_more = !redis_line_is_broken(keeper->line) && redis_rows_deliver(keeper->redis->rows, keeper->line);
    keeper->due_at = clock_monotonic_us() + (is_more ? 0 : BEAT_US);
    if (redis_line_is_broken(keeper->line)) {
        lose(keeper, "no answer in time");
        return false;
    }
    return true;
}

static int64_t sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
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
    int64_t until_us = keeper->line ? sooner(keeper->beat_at, keeper->due_at) : keeper->retry_at;
    uint64_t count;
    int milliseconds = until_us <= now_us ? 0 : (int)sooner((until_us - now_us + 999) / 1000, 1000);

    if (keeper->news)
        watched[1].fd = redis_line_descriptor(keeper->news);
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

    while (!is_stopping(keeper)) {
        if (!keeper->line && clock_monotonic_us() >= keeper->retry_at)
            try_to_come_back(keeper);
        if (!keeper->line)
            redis_news_keep_keys(keeper->redis->news, NULL);
        if (keeper->line && !turn(keeper)) {
            hang_up(keeper);
            keeper->retry_at = 0;
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
    hang_up(keeper);
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

    keeper->redis = redis;
    keeper->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    keeper->retry_us = RETRY_LEAST_US;
    keeper->due_at = INT64_MAX;
    pthread_mutex_init(&keeper->lock, NULL);
    if (!come_back(keeper, START_TIMEOUT_S, &is_refused, why, sizeof why)) {
        redis_standing_go_away(redis->shares, 0);
        hang_up(keeper);
        if (is_refused) {
            snprintf(error, error_size, "%s", why);
            redis_keeper_free(keeper);
            return NULL;
        }
        redis_keeper_note_away(keeper, why);
    }
    fault = pthread_create(&keeper->thread, NULL, keep, keeper);
    if (!fault)
        return keeper;
    snprintf(error, error_size, "a thread for Redis does not start: %s", strerrordesc_np(fault));
    redis_keeper_free(keeper);
    return NULL;
}

/* The last figures, and that this gateway is no more. */
static void say_goodbye(struct redis_keeper *keeper)
{
    char session[ID_LENGTH + 1], why[400];
    bool is_refused;

    if (!keeper->line && !connect_lines(keeper, TIMEOUT_S, &is_refused, why, sizeof why))
        return;
    redis_standing_go_away(keeper->redis->shares, 0);
    redis_standing_give_back(keeper->redis->shares);
    id_make(session);
    if (greet(keeper, session, why, sizeof why) && send_figures(keeper, session, why, sizeof why))
        bury(keeper, keeper->redis->id);
}

void redis_keeper_stop(struct redis_keeper *keeper)
{
    if (!keeper)
        return;
    __atomic_store_n(&keeper->is_stopping, true, __ATOMIC_RELEASE);
    redis_keeper_wake(keeper);
    pthread_join(keeper->thread, NULL);
    say_goodbye(keeper);
    hang_up(keeper);
}
