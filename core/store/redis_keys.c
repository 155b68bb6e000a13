/* redis_keys.c - see redis_keys.h. */
#include "store/redis_keys.h"

#include <stdio.h>
#include <string.h>

#include "base/buf.h"
#include "base/hash.h"
#include "base/mem.h"
#include "net/redis.h"
#include "net/redis_line.h"
#include "store/keys.h"
#include "store/redis_told.h"

void redis_keys_order(struct keys *keys, const struct store_key *key, struct redis_order *order)
{
    struct store_key whole = *key;
    char *settings = key->settings ? mem_text(key->settings) : keys_settings(keys, key->hash);

    whole.settings = settings ? settings : "{}";
    redis_told_key(order, &whole);
    mem_free(settings);
}

bool redis_keys_is_kept(const struct redis_reply *reply)
{
    return strcmp(redis_text(reply, NULL), "KEPT") == 0;
}

void redis_keys_give_up(struct keys *keys, const struct store_key *key)
{
    if (key->settings)
        keys_remove(keys, key->hash);
}

void redis_keys_hear(struct keys *keys, const char *json, size_t length)
{
    struct store_key key;

    if (redis_told_read_key(json, length, &key))
        keys_put(keys, &key);
    mem_free((char *)key.settings);
}

/* ---- loading ---- */

/* Which keys Redis has, and which of them it knows to be revoked. */
struct list {
    struct hash seen; /* hash of a key -> its struct store_key, without settings */
    struct buf missing;
};

static void see(struct keys *keys, struct list *list, const char *json, size_t length)
{
    struct store_key key, *seen;

    if (redis_told_read_key(json, length, &key) && !hash_get(&list->seen, key.hash, STORE_HASH)) {
        keys_put(keys, &key);
        seen = mem_alloc(sizeof *seen);
        *seen = key;
        seen->settings = NULL;
        hash_put(&list->seen, seen->hash, STORE_HASH, seen);
    }
    mem_free((char *)key.settings);
}

/* One step of a walk over all; the cursor is "0" at the end. */
static bool see_some(struct keys *keys, struct list *list, struct redis_line *line, char *cursor, size_t size)
{
    const char *const texts[] = { "HSCAN", REDIS_TOLD_KEYS, cursor, "COUNT", "500" };
    struct redis_word words[5];
    struct redis_reply *reply;
    const struct redis_reply *pairs;
    size_t length;
    bool is_good;

    for (size_t i = 0; i < 5; i++)
        words[i] = (struct redis_word){ texts[i], strlen(texts[i]) };
    reply = redis_line_call(line, words, 5);
    pairs = redis_item(reply, 1);
    for (size_t i = 1; i < redis_count(pairs); i += 2) {
        const char *json = redis_text(redis_item(pairs, i), &length);

        see(keys, list, json, length);
    }
    snprintf(cursor, size, "%s", redis_text(redis_item(reply, 0), NULL));
    is_good = redis_kind(reply) == REDIS_ARRAY;
    redis_reply_free(reply);
    return is_good;
}

static void on_own_key(void *arg, const struct store_key *key)
{
    struct list *list = arg;
    const struct store_key *there = hash_get(&list->seen, key->hash, STORE_HASH);
    struct store_key copy = *key;

    if (there && (there->revoked || !key->revoked))
        return;
    copy.settings = mem_text(key->settings);
    buf_add(&list->missing, &copy, sizeof copy);
}

static bool restore(struct keys *keys, struct list *list, struct redis_line *line)
{
    const struct store_key *missing;
    struct redis_order order = { 0 };
    bool is_good = true;

    keys_each(keys, on_own_key, list);
    missing = (const void *)list->missing.data;
    for (size_t i = 0; i < list->missing.length / sizeof *missing; i++) {
        if (is_good) {
            struct redis_reply *reply;

            redis_told_key(&order, &missing[i]);
            reply = redis_order_run(&order, line);
            is_good = redis_kind(reply) == REDIS_TEXT;
            redis_reply_free(reply);
        }
        mem_free((char *)missing[i].settings);
    }
    redis_order_free(&order);
    return is_good;
}

bool redis_keys_load(struct keys *keys, struct redis_line *line)
{
    struct list list = { 0 };
    char cursor[32] = "0";
    struct store_key *seen;
    size_t at = 0;
    bool is_good;

    do {
        is_good = see_some(keys, &list, line, cursor, sizeof cursor);
    } while (is_good && strcmp(cursor, "0") != 0);
    is_good = is_good && restore(keys, &list, line);
    buf_free(&list.missing);
    while ((seen = hash_next(&list.seen, &at)))
        mem_free(seen);
    hash_free(&list.seen);
    return is_good;
}
