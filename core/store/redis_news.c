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
#include "store/keys.h"
#include "store/limits.h"
#include "store/marks.h"
#include "store/redis.h"
#include "store/redis_plain.h"
#include "store/redis_told.h"

/* A mark that has been over for longer than the longest wait does not even make the next wait longer. */
static const int64_t MARK_OUTLIVES_MS = 2 * 3600 * 1000;

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
};

struct redis_news *redis_news_new(struct redis *redis)
{
    struct redis_news *news = mem_zero(sizeof *news);

    news->redis = redis;
    pthread_mutex_init(&news->lock, NULL);
    return news;
}

void redis_news_free(struct redis_news *news)
{
    struct sent *sent;
    size_t at = 0;

    if (!news)
        return;
    while ((sent = hash_next(&news->sent, &at)))
        mem_free(sent);
    hash_free(&news->sent);
    pthread_mutex_destroy(&news->lock);
    mem_free(news);
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

    limits_each_changed(news->redis->store->limits, on_counter, on_word, &changes);
    marks_each_changed(news->redis->store->marks, on_mark, &changes);
    is_good = tell_changes(&changes, link, line);
    free_changes(&changes);
    return is_good;
}

bool redis_news_changed(struct redis_news *news)
{
    struct redis_link *link = redis_is_online(news->redis) ? redis_link_here(news->redis) : NULL;

    return link && tell_all(news, link, NULL);
}

static void on_old_mark(void *arg, const struct mark_state *mark)
{
    if (mark->until + MARK_OUTLIVES_MS > clock_wall_ms()) {
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

void redis_news_publish(struct redis_news *news, struct redis_line *line)
{
    if (atomic_exchange(&news->is_behind, false)) {
        forget_words(news);
        tell_again(news, line);
    }
    tell_all(news, NULL, line);
}

/* ---- keys ---- */

struct key_wait {
    struct redis_news *news;
    unsigned char hash[STORE_HASH];
    bool is_new;
    struct answer answer;
};

/* A new key that Redis does not have is none; one that is revoked is not in force here, and Redis is told later. */
static void end_key(struct key_wait *wait, bool kept)
{
    if (!kept && wait->is_new)
        keys_remove(wait->news->redis->store->keys, wait->hash);
    answer_give(&wait->answer, kept);
    mem_free(wait);
}

static void on_key(void *arg, const struct redis_reply *reply)
{
    end_key(arg, strcmp(redis_text(reply, NULL), "KEPT") == 0);
}

void redis_news_keep_key(struct redis_news *news, const struct store_key *key, struct answer answer)
{
    struct redis_link *link = redis_is_online(news->redis) ? redis_link_here(news->redis) : NULL;
    struct key_wait *wait = mem_zero(sizeof *wait);
    struct redis_order order = { 0 };
    struct store_key whole = *key;

    wait->news = news;
    memcpy(wait->hash, key->hash, STORE_HASH);
    wait->is_new = key->settings != NULL;
    wait->answer = answer;
    if (!link) {
        end_key(wait, false);
        return;
    }
    whole.settings = key->settings ? mem_text(key->settings) : keys_settings(news->redis->store->keys, key->hash);
    redis_told_key(&order, &whole);
    redis_order_send(&order, link, on_key, wait);
    redis_order_free(&order);
    mem_free((char *)whole.settings);
}

/* A plain command; its answer, to be freed. */
static struct redis_reply *ask(struct redis_line *line, const char *const *texts, size_t count)
{
    struct redis_word words[8];

    for (size_t i = 0; i < count; i++)
        words[i] = (struct redis_word){ texts[i], strlen(texts[i]) };
    return redis_line_call(line, words, count);
}

/* Which keys Redis has, and which of them it knows to be revoked. */
struct key_list {
    struct hash seen; /* hash of a key -> its struct store_key */
    struct buf missing;
};

static void on_own_key(void *arg, const struct store_key *key)
{
    struct key_list *list = arg;
    const struct store_key *there = hash_get(&list->seen, key->hash, STORE_HASH);
    struct store_key copy = *key;

    if (there && (there->revoked || !key->revoked))
        return;
    copy.settings = mem_text(key->settings);
    buf_add(&list->missing, &copy, sizeof copy);
}

/* What Redis has lost, or was not told while it was away. */
static bool restore_keys(struct redis_news *news, struct key_list *list, struct redis_line *line)
{
    struct store_key *keys;
    struct redis_order order = { 0 };
    bool is_good = true;
    size_t count;

    keys_each(news->redis->store->keys, on_own_key, list);
    keys = (void *)list->missing.data;
    count = list->missing.length / sizeof *keys;
    for (size_t i = 0; i < count; i++) {
        redis_told_key(&order, &keys[i]);
        if (is_good && !tell(news, &order, NULL, line))
            is_good = false;
        mem_free((char *)keys[i].settings);
    }
    redis_order_free(&order);
    return is_good;
}

static void see_key(struct redis_news *news, struct key_list *list, const struct redis_reply *json)
{
    struct store_key key, *kept;
    size_t length;
    const char *text = redis_text(json, &length);

    if (redis_told_read_key(text, length, &key) && !hash_get(&list->seen, key.hash, STORE_HASH)) {
        keys_put(news->redis->store->keys, &key);
        kept = mem_alloc(sizeof *kept);
        *kept = key;
        kept->settings = NULL;
        hash_put(&list->seen, kept->hash, STORE_HASH, kept);
    }
    mem_free((char *)key.settings);
}

static bool load_keys(struct redis_news *news, struct redis_line *line)
{
    struct key_list list = { 0 };
    struct redis_reply *reply = NULL;
    char cursor[32] = "0";
    struct store_key *key;
    size_t at = 0;
    bool is_good;

    do {
        redis_reply_free(reply);
        reply = ask(line, (const char *[]){ "HSCAN", REDIS_TOLD_KEYS, cursor, "COUNT", "500" }, 5);
        for (size_t i = 1; i < redis_count(redis_item(reply, 1)); i += 2)
            see_key(news, &list, redis_item(redis_item(reply, 1), i));
        snprintf(cursor, sizeof cursor, "%s", redis_text(redis_item(reply, 0), NULL));
        is_good = redis_kind(reply) == REDIS_ARRAY;
    } while (is_good && strcmp(cursor, "0") != 0);
    redis_reply_free(reply);
    is_good = is_good && restore_keys(news, &list, line);
    buf_free(&list.missing);
    while ((key = hash_next(&list.seen, &at)))
        mem_free(key);
    hash_free(&list.seen);
    return is_good;
}

/* ---- what Redis and the others tell ---- */

static void hear_key(struct redis_news *news, const char *json, size_t length)
{
    struct store_key key;

    if (redis_told_read_key(json, length, &key))
        keys_put(news->redis->store->keys, &key);
    mem_free((char *)key.settings);
}

static void hear_mark(struct redis_news *news, const char *json, size_t length)
{
    struct mark_state mark;

    if (!redis_told_read_mark(json, length, &mark))
        return;
    marks_hear(news->redis->store->marks, &mark);
    mem_free(mark.target);
    mem_free(mark.reason);
}

static void hear_learnt(struct redis_news *news, const char *json, size_t length)
{
    struct store_learnt word;

    if (redis_told_read_learnt(json, length, &word) && note_word(news, &word))
        limits_learn(news->redis->store->limits, &word);
}

void redis_news_heard(struct redis_news *news, const char *text, size_t length)
{
    static const struct {
        const char *word;
        void (*hear)(struct redis_news *news, const char *json, size_t length);
    } kinds[] = { { "key ", hear_key }, { "mark ", hear_mark }, { "learnt ", hear_learnt } };

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        size_t size = strlen(kinds[i].word);

        if (length > size && memcmp(text, kinds[i].word, size) == 0)
            kinds[i].hear(news, text + size, length - size);
    }
}

static void load_mark(struct redis_news *news, struct redis_line *line, const char *target,
                      const struct redis_reply *json)
{
    struct redis_order order = { 0 };
    struct mark_state mark;
    size_t length;
    const char *text = redis_text(json, &length);

    if (redis_told_read_mark(text, length, &mark)) {
        if (mark.until + MARK_OUTLIVES_MS > clock_wall_ms()) {
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
    struct redis_reply *all = ask(line, (const char *[]){ "HGETALL", REDIS_TOLD_MARKS }, 2);
    bool is_good = redis_kind(all) == REDIS_ARRAY;

    for (size_t i = 0; i + 1 < redis_count(all); i += 2)
        load_mark(news, line, redis_text(redis_item(all, i), NULL), redis_item(all, i + 1));
    redis_reply_free(all);
    return is_good;
}

static bool load_learnt(struct redis_news *news, struct redis_line *line)
{
    struct redis_reply *providers = ask(line, (const char *[]){ "SMEMBERS", REDIS_TOLD_PROVIDERS }, 2);
    bool is_good = redis_kind(providers) == REDIS_ARRAY;

    for (size_t i = 0; is_good && i < redis_count(providers); i++) {
        char *key = mem_format("%s%s", REDIS_TOLD_LEARNT, redis_text(redis_item(providers, i), NULL));
        struct redis_reply *words = ask(line, (const char *[]){ "HGETALL", key }, 2);

        mem_free(key);
        is_good = redis_kind(words) == REDIS_ARRAY;
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
    forget_words(news);
    if (!load_keys(news, line) || !load_marks(news, line) || !load_learnt(news, line))
        return false;
    atomic_store(&news->is_behind, false);
    return tell_again(news, line);
}
