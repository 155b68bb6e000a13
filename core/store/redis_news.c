/* redis_news.c - see redis_news.h. */
#include "store/redis_news.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/redis.h"
#include "net/redis_line.h"
#include "store/backend.h"
#include "store/limits.h"
#include "store/marks.h"
#include "store/redis.h"
#include "store/redis_imports.h"
#include "store/redis_keeper.h"
#include "store/redis_keys.h"
#include "store/redis_mend.h"
#include "store/redis_plain.h"
#include "store/redis_told.h"

/* A mark that has been over for longer than the longest wait does not even make the next wait longer. */
static const int64_t MARK_OUTLIVES_MS = 2 * 3600 * 1000;
/* A gateway that was away for longer may raise again what was pardoned. */
static const int64_t PARDON_OUTLIVES_MS = INT64_C(2) * 86400 * 1000;
/* How long whoever changes a key waits for Redis to be back. */
static const int64_t KEY_WAIT_US = INT64_C(1) * 1000000;

/* When the last word about a limit that Redis has, or was sent, was heard: what was drawn since is no word. */
struct sent {
    int64_t seen_at;
    size_t length;
    char name[];
};

struct redis_news {
    struct redis *redis;
    atomic_bool is_behind; /* something that was sent did not arrive: all is told again */
    pthread_mutex_t lock;
    struct hash sent;
    struct key_wait *waiting; /* for the keeper */
};

struct redis_news *redis_news_new(struct redis *redis)
{
    struct redis_news *news = mem_zero(sizeof *news);

    news->redis = redis;
    pthread_mutex_init(&news->lock, NULL);
    return news;
}

/* Notes the word as one that Redis has; false: it had it already. */
static bool note_word(struct redis_news *news, const struct store_learnt *word)
{
    char name[sizeof *word];
    int length = snprintf(name, sizeof name, "%s %s %s %s", word->metric, word->window, word->provider, word->model);
    struct sent *sent;
    bool is_new;

    pthread_mutex_lock(&news->lock);
    sent = hash_get(&news->sent, name, (size_t)length);
    is_new = !sent || sent->seen_at != word->seen_at;
    if (!sent) {
        sent = mem_alloc(sizeof *sent + (size_t)length);
        sent->length = (size_t)length;
        memcpy(sent->name, name, sent->length);
        hash_put(&news->sent, sent->name, sent->length, sent);
    }
    sent->seen_at = word->seen_at;
    pthread_mutex_unlock(&news->lock);
    return is_new;
}

static void forget_words(struct redis_news *news)
{
    struct sent *sent;
    size_t at = 0;

    pthread_mutex_lock(&news->lock);
    while ((sent = hash_next(&news->sent, &at)))
        sent->seen_at = -1;
    pthread_mutex_unlock(&news->lock);
}

/* ---- what changed here ---- */

/* Fetched from the tables, whose locks are held only while it is copied. */
struct changes {
    struct redis_news *news;
    struct buf marks, words; /* of struct mark_state, struct store_learnt */
};

static void on_counter(void *arg, const struct counter_state *state)
{
    (void)arg;
    mem_free(state->key);
}

static void on_word(void *arg, const struct store_learnt *word)
{
    struct changes *changes = arg;

    if (note_word(changes->news, word))
        buf_add(&changes->words, word, sizeof *word);
}

static void on_mark(void *arg, const struct mark_state *mark)
{
    struct changes *changes = arg;

    buf_add(&changes->marks, mark, sizeof *mark);
}

static void free_changes(struct changes *changes)
{
    struct mark_state *marks = (void *)changes->marks.data;

    for (size_t i = 0; i < changes->marks.length / sizeof *marks; i++) {
        mem_free(marks[i].target);
        mem_free(marks[i].reason);
    }
    buf_free(&changes->marks);
    buf_free(&changes->words);
}

static bool is_kept(const struct redis_reply *reply)
{
    return redis_kind(reply) == REDIS_TEXT;
}

static void on_told(void *arg, const struct redis_reply *reply)
{
    struct redis_news *news = arg;

    if (!is_kept(reply))
        atomic_store(&news->is_behind, true);
}

/* Over the link, or else the line. False: it is not there. */
static bool tell(struct redis_news *news, struct redis_order *order, struct redis_link *link, struct redis_line *line)
{
    struct redis_reply *reply;
    bool is_good;

    if (link) {
        redis_order_send(order, link, on_told, news);
        return true;
    }
    reply = redis_order_run(order, line);
    is_good = is_kept(reply);
    redis_reply_free(reply);
    return is_good;
}

static bool tell_changes(struct changes *changes, struct redis_link *link, struct redis_line *line)
{
    const struct mark_state *marks = (void *)changes->marks.data;
    const struct store_learnt *words = (void *)changes->words.data;
    struct redis_news *news = changes->news;
    struct redis_order order = { 0 };
    struct redis_told_plain plain;
    int64_t now = clock_wall_ms();
    bool is_good = true;

    for (size_t i = 0; i < changes->marks.length / sizeof *marks; i++) {
        redis_told_mark(&order, &marks[i]);
        is_good = tell(news, &order, link, line) && is_good;
    }
    for (size_t i = 0; i < changes->words.length / sizeof *words; i++) {
        redis_plain_gather(news->redis->store->limits, words[i].provider, now, &plain);
        redis_told_learnt(&order, &words[i], &plain);
        is_good = tell(news, &order, link, line) && is_good;
    }
    redis_order_free(&order);
    if (!is_good)
        atomic_store(&news->is_behind, true);
    return is_good;
}

static bool tell_all(struct redis_news *news, struct redis_link *link, struct redis_line *line)
{
    struct changes changes = { .news = news };
    bool is_good;

    limits_each_changed(news->redis->store->limits, true, on_counter, on_word, &changes);
    marks_each_changed(news->redis->store->marks, on_mark, &changes);
    is_good = tell_changes(&changes, link, line);
    free_changes(&changes);
    return is_good;
}

bool redis_news_changed(struct redis_news *news)
{
    struct redis_link *link = redis_is_online(news->redis, NULL) ? redis_link_here(news->redis) : NULL;

    return link && tell_all(news, link, NULL);
}

static bool matters(const struct mark_state *mark)
{
    int64_t now = clock_wall_ms();

    return mark->until + MARK_OUTLIVES_MS > now || mark->pardoned + PARDON_OUTLIVES_MS > now;
}

static void on_old_mark(void *arg, const struct mark_state *mark)
{
    if (matters(mark)) {
        on_mark(arg, mark);
    } else {
        mem_free(mark->target);
        mem_free(mark->reason);
    }
}

/* Everything that this process knows, not only what is new. */
static bool tell_again(struct redis_news *news, struct redis_line *line)
{
    struct changes changes = { .news = news };
    bool is_good;

    limits_each_learnt(news->redis->store->limits, NULL, on_word, &changes);
    marks_each(news->redis->store->marks, on_old_mark, &changes);
    is_good = tell_changes(&changes, NULL, line);
    free_changes(&changes);
    return is_good;
}

static bool mend(struct redis_line *line)
{
    return redis_mend_key(line, REDIS_TOLD_KEYS, "hash") && redis_mend_key(line, REDIS_TOLD_PREFIXES, "hash") &&
           redis_mend_key(line, REDIS_TOLD_MARKS, "hash") && redis_mend_key(line, REDIS_TOLD_PROVIDERS, "set");
}

void redis_news_publish(struct redis_news *news, struct redis_line *line)
{
    if (atomic_exchange(&news->is_behind, false)) {
        forget_words(news);
        if (!mend(line) || !tell_again(news, line))
            atomic_store(&news->is_behind, true);
    }
    tell_all(news, NULL, line);
}

/* ---- keys ---- */

/* Its answer is awaited. A short interruption only delays it: the keeper asks again. */
struct key_wait {
    struct key_wait *next;
    struct redis_news *news;
    struct store_key key; /* its settings are its own */
    int64_t until_us;
    struct answer answer;
};

static void end_key(struct key_wait *wait, bool is_kept)
{
    if (!is_kept)
        redis_keys_give_up(wait->news->redis->store->keys, &wait->key);
    answer_give(&wait->answer, is_kept);
    mem_free((char *)wait->key.settings);
    mem_free(wait);
}

static void let_wait(struct key_wait *wait)
{
    struct redis_news *news = wait->news;

    pthread_mutex_lock(&news->lock);
    wait->next = news->waiting;
    news->waiting = wait;
    pthread_mutex_unlock(&news->lock);
}

static void on_key(void *arg, const struct redis_reply *reply)
{
    struct key_wait *wait = arg;

    if (redis_is_unavailable(reply)) {
        let_wait(wait);
        redis_keeper_wake(wait->news->redis->keeper);
    } else {
        end_key(wait, redis_keys_is_kept(reply));
    }
}

void redis_news_keep_key(struct redis_news *news, const struct store_key *key, struct answer answer)
{
    struct redis_link *link = redis_is_online(news->redis, NULL) ? redis_link_here(news->redis) : NULL;
    struct key_wait *wait = mem_alloc(sizeof *wait);
    struct redis_order order = { 0 };

    *wait = (struct key_wait){ NULL, news, *key, clock_monotonic_us() + KEY_WAIT_US, answer };
    wait->key.settings = mem_text(key->settings);
    if (!link) {
        let_wait(wait);
        redis_keeper_wake(news->redis->keeper);
        return;
    }
    redis_keys_order(news->redis->store->keys, key, &order);
    redis_order_send(&order, link, on_key, wait);
    redis_order_free(&order);
}

static struct key_wait *take_waiting(struct redis_news *news)
{
    struct key_wait *waiting;

    pthread_mutex_lock(&news->lock);
    waiting = news->waiting;
    news->waiting = NULL;
    pthread_mutex_unlock(&news->lock);
    return waiting;
}

void redis_news_keep_keys(struct redis_news *news, struct redis_line *line)
{
    struct key_wait *wait, *next;
    struct redis_order order = { 0 };

    for (wait = take_waiting(news); wait; wait = next) {
        struct redis_reply *reply = NULL;

        next = wait->next;
        if (line && !redis_line_is_broken(line)) {
            redis_keys_order(news->redis->store->keys, &wait->key, &order);
            reply = redis_order_run(&order, line);
        }
        if (redis_is_unavailable(reply) && clock_monotonic_us() < wait->until_us)
            let_wait(wait);
        else
            end_key(wait, redis_keys_is_kept(reply));
        redis_reply_free(reply);
    }
    redis_order_free(&order);
    redis_imports_turn(news->redis->imports, line);
}

/* ---- what Redis and the others tell ---- */

static bool hear_key(struct redis_news *news, const char *json, size_t length)
{
    redis_keys_hear(news->redis->store->keys, json, length);
    return false;
}

static bool hear_mark(struct redis_news *news, const char *json, size_t length)
{
    struct mark_state mark;

    if (!redis_told_read_mark(json, length, &mark))
        return false;
    marks_hear(news->redis->store->marks, &mark);
    mem_free(mark.target);
    mem_free(mark.reason);
    return false;
}

static bool hear_learnt(struct redis_news *news, const char *json, size_t length)
{
    struct store_learnt word;

    if (redis_told_read_learnt(json, length, &word) && note_word(news, &word))
        limits_learn(news->redis->store->limits, &word);
    return false;
}

static bool hear_models(struct redis_news *news, const char *text, size_t length)
{
    return redis_imports_heard(news->redis->imports, text, length);
}

bool redis_news_heard(struct redis_news *news, const char *text, size_t length)
{
    static const struct {
        const char *word;
        bool (*hear)(struct redis_news *news, const char *json, size_t length);
    } kinds[] = {
        { "key ", hear_key }, { "mark ", hear_mark }, { "learnt ", hear_learnt }, { "models ", hear_models }
    };

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        size_t size = strlen(kinds[i].word);

        if (length > size && memcmp(text, kinds[i].word, size) == 0)
            return kinds[i].hear(news, text + size, length - size);
    }
    return false;
}

/* A plain command of two words; its answer, to be freed. */
static struct redis_reply *ask(struct redis_line *line, const char *command, const char *key)
{
    const struct redis_word words[] = { { command, strlen(command) }, { key, strlen(key) } };

    return redis_line_call(line, words, 2);
}

static void load_mark(struct redis_news *news, struct redis_line *line, const char *target,
                      const struct redis_reply *json)
{
    struct redis_order order = { 0 };
    struct mark_state mark;
    size_t length;
    const char *text = redis_text(json, &length);

    if (redis_told_read_mark(text, length, &mark)) {
        if (matters(&mark)) {
            marks_hear(news->redis->store->marks, &mark);
        } else {
            redis_told_drop_mark(&order, target, text);
            redis_reply_free(redis_order_run(&order, line));
            redis_order_free(&order);
        }
        mem_free(mark.target);
        mem_free(mark.reason);
    }
}

static bool load_marks(struct redis_news *news, struct redis_line *line)
{
    struct redis_reply *all = ask(line, "HGETALL", REDIS_TOLD_MARKS);
    bool is_good = redis_kind(all) == REDIS_ARRAY;

    for (size_t i = 0; i + 1 < redis_count(all); i += 2)
        load_mark(news, line, redis_text(redis_item(all, i), NULL), redis_item(all, i + 1));
    redis_reply_free(all);
    return is_good;
}

static bool load_learnt(struct redis_news *news, struct redis_line *line)
{
    struct redis_reply *providers = ask(line, "SMEMBERS", REDIS_TOLD_PROVIDERS);
    bool is_good = redis_kind(providers) == REDIS_ARRAY;

    for (size_t i = 0; is_good && i < redis_count(providers); i++) {
        char *key = mem_format("%s%s", REDIS_TOLD_LEARNT, redis_text(redis_item(providers, i), NULL));
        struct redis_reply *words;

        is_good = redis_mend_key(line, key, "hash");
        words = ask(line, "HGETALL", key);
        mem_free(key);
        is_good = is_good && redis_kind(words) == REDIS_ARRAY;
        for (size_t j = 1; j < redis_count(words); j += 2) {
            size_t length;
            const char *text = redis_text(redis_item(words, j), &length);

            hear_learnt(news, text, length);
        }
        redis_reply_free(words);
    }
    redis_reply_free(providers);
    return is_good;
}

bool redis_news_load(struct redis_news *news, struct redis_line *line)
{
    if (!mend(line))
        return false;
    forget_words(news);
    if (!redis_keys_load(news->redis->store->keys, line) || !load_marks(news, line) || !load_learnt(news, line) ||
        !redis_imports_load(news->redis->imports, line))
        return false;
    atomic_store(&news->is_behind, false);
    return tell_again(news, line);
}

void redis_news_free(struct redis_news *news)
{
    struct key_wait *wait;
    struct sent *sent;
    size_t at = 0;

    if (!news)
        return;
    while ((wait = news->waiting)) {
        news->waiting = wait->next;
        end_key(wait, false);
    }
    while ((sent = hash_next(&news->sent, &at)))
        mem_free(sent);
    hash_free(&news->sent);
    pthread_mutex_destroy(&news->lock);
    mem_free(news);
}
