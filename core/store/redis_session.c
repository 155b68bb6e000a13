/* redis_session.c - see redis_session.h. */
#include "store/redis_session.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
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

enum { COUNTERS_A_BURIAL = 200 };

static const double GOODBYE_S = 0.2;
struct redis_reply *redis_session_run(struct redis_session *session, struct redis_script *script,
                                      struct redis_words *words)
{
    return redis_line_run(session->line, script, words->key_count, redis_words_list(words),
                          words->key_count + words->other_count);
}

static struct redis_reply *call(struct redis_line *line, const char *first, const char *second, const char *third)
{
    struct redis_word words[] = { { first, strlen(first) },
                                  { second, strlen(second) },
                                  { third ? third : "", third ? strlen(third) : 0 } };

    return redis_line_call(line, words, third ? 3 : 2);
}

bool redis_session_is_answer(const struct redis_reply *reply, char *why, size_t size)
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

int64_t redis_session_status(struct redis_session *session, struct redis_script *script, struct redis_words *words,
                             char *why, size_t size)
{
    struct redis_reply *reply = redis_session_run(session, script, words);
    int64_t status = -1;

    if (redis_session_is_answer(reply, why, size))
        status = redis_integer(redis_item(reply, 0));
    if (status == REDIS_AGAIN)
        snprintf(why, size, "it does not know this gateway any more");
    if (status == REDIS_BROKEN)
        snprintf(why, size, "a counter was no counter");
    redis_reply_free(reply);
    return status;
}

/* ---- coming back ---- */

bool redis_session_bury(struct redis_session *session, const char *name)
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
        reply = redis_session_run(session, &redis_script_bury, &words);
        left = redis_kind(reply) == REDIS_INTEGER ? redis_integer(reply) : -1;
        redis_reply_free(reply);
        redis_words_free(&words);
    }
    return left == 0;
}

/* The server's own name for this run of it. */
static bool read_run(struct redis_session *session, char run_id[static 64], char *why, size_t size)
{
    struct redis_reply *reply = call(session->line, "INFO", "server", NULL);
    const char *at = strstr(redis_text(reply, NULL), "run_id:");
    bool is_fine = redis_session_is_answer(reply, why, size);

    snprintf(run_id, 64, "%.*s", at ? (int)strcspn(at + 7, "\r\n") : 0, at ? at + 7 : "");
    redis_reply_free(reply);
    return is_fine;
}

static bool greet(struct redis_session *session, char *why, size_t size)
{
    struct redis_words words = { 0 };
    struct redis_reply *reply;
    char run_id[64];
    bool is_fine;

    if (!read_run(session, run_id, why, size))
        return false;
    key_of(&words, "moongate:gateway:", session->redis->id);
    redis_words_key(&words, "moongate:gateways", strlen("moongate:gateways"));
    redis_words_key(&words, "moongate:run", strlen("moongate:run"));
    redis_words_key(&words, "moongate:lost", strlen("moongate:lost"));
    redis_words_text(&words, session->name);
    redis_words_text(&words, session->redis->id);
    redis_words_text(&words, run_id);
    redis_words_text(&words, session->had_one ? "1" : "0");
    reply = redis_session_run(session, &redis_script_hello, &words);
    is_fine = redis_session_is_answer(reply, why, size);
    session->had_one |= is_fine;
    redis_reply_free(reply);
    redis_words_free(&words);
    return is_fine;
}

static bool send_figures(struct redis_session *session, char *why, size_t size)
{
    size_t count;
    struct redis_words *pieces = redis_standing_sync(session->redis->shares, session->name, &count);
    bool is_fine = true;

    for (size_t i = 0; i < count; i++) {
        is_fine = is_fine && redis_session_status(session, &redis_script_sync, &pieces[i], why, size) == REDIS_GRANTED;
        redis_words_free(&pieces[i]);
    }
    mem_free(pieces);
    return is_fine;
}

/* Scripts that workers run are there before they are asked for: none of their commands overtakes another. */
static bool load_scripts(struct redis_session *session, char *why, size_t size)
{
    struct redis_script *const scripts[] = { &redis_script_reserve, &redis_script_add };
    bool is_fine = true;

    for (size_t i = 0; is_fine && i < sizeof scripts / sizeof *scripts; i++) {
        struct redis_reply *reply = call(session->line, "SCRIPT", "LOAD", scripts[i]->source);

        is_fine = redis_session_is_answer(reply, why, size);
        redis_reply_free(reply);
    }
    return is_fine;
}

/* How many gateways there are; 0: some have not told their figures yet; -1: why says what is wrong. */
static int64_t ask_ready(struct redis_session *session, char *why, size_t size)
{
    struct redis_words words = { 0 };
    struct redis_reply *reply;
    int64_t answer = -1;

    key_of(&words, "moongate:gateway:", session->redis->id);
    redis_words_key(&words, "moongate:gateways", strlen("moongate:gateways"));
    redis_words_key(&words, "moongate:told", strlen("moongate:told"));
    redis_words_key(&words, "moongate:lost", strlen("moongate:lost"));
    redis_words_text(&words, session->name);
    redis_words_text(&words, session->redis->id);
    redis_words_integer(&words, redis_standing_gateways(session->redis->shares));
    reply = redis_session_run(session, &redis_script_ready, &words);
    if (redis_session_is_answer(reply, why, size)) {
        answer = redis_integer(reply);
        if (answer < 0)
            snprintf(why, size, "it does not know this gateway any more");
    }
    redis_reply_free(reply);
    redis_words_free(&words);
    return answer;
}

static bool land(struct redis_session *session, int64_t asked_us, int64_t gateways, char *why, size_t size)
{
    struct redis_shares *shares = session->redis->shares;
    struct redis_words words = { 0 };
    bool is_fine = redis_standing_land(shares, &words) &&
                   redis_session_status(session, &redis_script_add, &words, why, size) == REDIS_GRANTED &&
                   redis_standing_go_online(shares, asked_us, gateways);

    redis_words_free(&words);
    return is_fine;
}

/* Until every worker's link is up, and the other gateways have told their figures or had the time to. */
static bool await_others(struct redis_session *session, double patience, char *why, size_t size)
{
    int64_t asked_us = clock_monotonic_us(), until_us = asked_us + (int64_t)(patience * 1e6), gateways = 0;
    bool are_up = false;

    for (;;) {
        are_up = redis_reserve_links_are_up(session->redis);
        asked_us = clock_monotonic_us();
        gateways = ask_ready(session, why, size);
        if (gateways < 0)
            return false;
        if (are_up && (gateways > 0 || (asked_us > until_us && patience >= REDIS_SESSION_PATIENCE_S)))
            break;
        if (asked_us > until_us) {
            snprintf(why, size,
                     are_up ? "other gateways have still to tell it their figures"
                            : "it takes no connection of a worker's");
            return false;
        }
        if (__atomic_load_n(&session->is_ending, __ATOMIC_ACQUIRE))
            return false;
        poll(NULL, 0, 5);
    }
    if (gateways == 0)
        gateways = redis_standing_gateways(session->redis->shares);
    return land(session, asked_us, gateways, why, size);
}

void redis_session_close(struct redis_session *session)
{
    redis_line_close(session->line);
    redis_line_close(session->news);
    session->line = session->news = NULL;
}

static bool connect_lines(struct redis_session *session, double timeout, bool *is_refused, char *why, size_t size)
{
    struct redis_reply *reply;
    bool is_fine;

    redis_session_close(session);
    session->line = redis_line_try(&session->redis->address, timeout, is_refused, why, size);
    if (!session->line)
        return false;
    session->news = redis_line_open(&session->redis->address, timeout, why, size);
    if (!session->news)
        return false;
    reply = call(session->news, "SUBSCRIBE", "moongate:news", NULL);
    is_fine = redis_session_is_answer(reply, why, size);
    redis_reply_free(reply);
    return is_fine;
}

void redis_session_bury_predecessors(struct redis_session *session)
{
    struct redis_rows *rows = session->redis->rows;
    const char *name;

    while ((name = redis_rows_predecessor(rows)) && redis_session_bury(session, name))
        redis_rows_buried(rows);
}

bool redis_session_open(struct redis_session *session, double timeout, double patience, bool *is_refused, char *why,
                        size_t size)
{
    *is_refused = false;
    id_make(session->name);
    snprintf(why, size, "it went away while figures were told");
    if (!connect_lines(session, timeout, is_refused, why, size) || !load_scripts(session, why, size))
        return false;
    redis_session_bury_predecessors(session);
    return greet(session, why, size) && redis_news_load(session->redis->news, session->line) &&
           send_figures(session, why, size) && await_others(session, patience, why, size);
}

void redis_session_end(struct redis_session *session)
{
    char why[400];
    bool is_refused;

    if (!session->line && !connect_lines(session, GOODBYE_S, &is_refused, why, sizeof why))
        return;
    redis_standing_go_away(session->redis->shares, 0);
    redis_standing_give_back(session->redis->shares);
    id_make(session->name);
    if (greet(session, why, sizeof why) && send_figures(session, why, sizeof why))
        redis_session_bury(session, session->redis->id);
}
