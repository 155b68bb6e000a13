/* redis_told.c - see redis_told.h. */
#include "store/redis_told.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/json_scan.h"
#include "base/mem.h"
#include "store/digest.h"
#include "store/redis_scripts.h"

enum { DEPTH = 64, PLAIN_MIN_MS = 60 * 1000 };

/* Beyond that a number of Lua's is no whole one. */
static const int64_t EXACT = INT64_C(1) << 53;

const char REDIS_TOLD_KEYS[] = "moongate:keys", REDIS_TOLD_PREFIXES[] = "moongate:keys:prefixes",
           REDIS_TOLD_MARKS[] = "moongate:marks", REDIS_TOLD_PROVIDERS[] = "moongate:learnt",
           REDIS_TOLD_LEARNT[] = "moongate:learnt:";
static const char CHANNEL[] = "moongate:news";

/* ---- to Redis ---- */

static void add_json_text(struct buf *json, const char *text)
{
    buf_add_json(json, text ? text : "", text ? strlen(text) : 0);
}

/* Settings that are JSON themselves stand there as they are; the script relies on `revoked` being the last. */
static void write_key(struct buf *json, const struct store_key *key, const char *hash)
{
    struct json_index index = { 0 };
    struct json_fault fault;

    buf_add_format(json, "{\"hash\":\"%s\",\"prefix\":", hash);
    add_json_text(json, key->prefix);
    buf_add_format(json, ",\"created\":%" PRId64 ",\"settings\":", key->created);
    if (json_scan(key->settings, strlen(key->settings), DEPTH - 1, &index, &fault) &&
        index.nodes[0].type == JSON_OBJECT)
        buf_add_text(json, key->settings);
    else
        add_json_text(json, key->settings);
    buf_add_format(json, ",\"revoked\":%" PRId64 "}", key->revoked);
    json_index_free(&index);
}

void redis_told_key(struct redis_order *order, const struct store_key *key)
{
    char hash[DIGEST_HEX + 1];
    struct buf json = { 0 };

    digest_hex(key->hash, hash);
    write_key(&json, key, hash);
    redis_order_begin(order, &redis_script_keep_key);
    redis_order_key(order, REDIS_TOLD_KEYS, NULL);
    redis_order_key(order, REDIS_TOLD_PREFIXES, NULL);
    redis_words_text(&order->words, CHANNEL);
    redis_words_text(&order->words, hash);
    redis_words_text(&order->words, key->prefix);
    redis_words_text(&order->words, buf_text_of(&json));
    redis_words_text(&order->words, key->revoked ? "1" : "0");
    buf_free(&json);
}

static void add_json_word(struct redis_words *words, const char *text)
{
    struct buf json = { 0 };

    add_json_text(&json, text);
    redis_words_text(words, buf_text_of(&json));
    buf_free(&json);
}

void redis_told_mark(struct redis_order *order, const struct mark_state *mark)
{
    redis_order_begin(order, &redis_script_keep_mark);
    redis_order_key(order, REDIS_TOLD_MARKS, NULL);
    redis_words_text(&order->words, CHANNEL);
    redis_words_text(&order->words, mark->target);
    add_json_word(&order->words, mark->target);
    redis_words_integer(&order->words, mark->until < EXACT ? mark->until : EXACT);
    redis_words_integer(&order->words, mark->step);
    add_json_word(&order->words, mark->reason);
}

void redis_told_drop_mark(struct redis_order *order, const char *target, const char *json)
{
    redis_order_begin(order, &redis_script_drop_mark);
    redis_order_key(order, REDIS_TOLD_MARKS, NULL);
    redis_words_text(&order->words, target);
    redis_words_text(&order->words, json);
}

static void write_learnt(struct buf *json, const struct store_learnt *word)
{
    buf_add_text(json, "{\"provider\":");
    add_json_text(json, word->provider);
    buf_add_text(json, ",\"model\":");
    add_json_text(json, word->model);
    buf_add_text(json, ",\"metric\":");
    add_json_text(json, word->metric);
    buf_add_text(json, ",\"window\":");
    add_json_text(json, word->window);
    buf_add_text(json, ",\"source\":");
    add_json_text(json, word->source);
    buf_add_format(json, ",\"limit\":%" PRId64 ",\"remaining\":%" PRId64 ",\"reset_at\":%" PRId64, word->limit,
                   word->remaining, word->reset_at);
    buf_add_format(json, ",\"seen_at\":%" PRId64 "}", word->seen_at);
}

/* Dollars as people write them: 9.80, 0.000042. */
static void write_dollars(char *text, size_t size, int64_t micro)
{
    size_t length;

    snprintf(text, size, "%" PRId64 ".%06" PRId64, micro / 1000000, micro % 1000000);
    for (length = strlen(text); text[length - 1] == '0' && text[length - 3] != '.'; length--)
        text[length - 1] = '\0';
}

struct plain_string {
    const char *name; /* NULL: the balance */
    int64_t value, lasting_ms;
};

static size_t list_plain(const struct redis_told_plain *plain, struct plain_string strings[5])
{
    const struct plain_string all[5] = {
        { "rpm:max", plain->rpm_max, plain->rpm_ms }, { "rpm:current", plain->rpm_current, plain->rpm_ms },
        { "tpm:max", plain->tpm_max, plain->tpm_ms }, { "tpm:current", plain->tpm_current, plain->tpm_ms },
        { NULL, plain->balance, plain->balance_ms },
    };
    size_t count = 0;

    for (size_t i = 0; i < 5; i++)
        if (all[i].value >= 0)
            strings[count++] = all[i];
    return count;
}

static void add_plain_key(struct redis_order *order, const char *provider, const char *name)
{
    char *end = mem_format("%s%s%s", provider, name ? ":" : "", name ? name : "");

    redis_order_key(order, name ? "limit:" : "balance:", end);
    mem_free(end);
}

void redis_told_learnt(struct redis_order *order, const struct store_learnt *word, const struct redis_told_plain *plain)
{
    struct plain_string strings[5];
    size_t count = list_plain(plain, strings);
    struct buf json = { 0 };
    char dollars[32], *field;

    redis_order_begin(order, &redis_script_keep_learnt);
    redis_order_key(order, REDIS_TOLD_LEARNT, word->provider);
    redis_order_key(order, REDIS_TOLD_PROVIDERS, NULL);
    for (size_t i = 0; i < count; i++)
        add_plain_key(order, word->provider, strings[i].name);
    write_learnt(&json, word);
    redis_words_text(&order->words, CHANNEL);
    redis_words_text(&order->words, word->provider);
    field = mem_format("%s %s %s", word->metric, word->window, word->model);
    redis_words_text(&order->words, field);
    mem_free(field);
    redis_words_text(&order->words, buf_text_of(&json));
    redis_words_integer(&order->words, word->seen_at);
    for (size_t i = 0; i < count; i++) {
        if (strings[i].name) {
            redis_words_integer(&order->words, strings[i].value);
        } else {
            write_dollars(dollars, sizeof dollars, strings[i].value);
            redis_words_text(&order->words, dollars);
        }
        redis_words_integer(&order->words, strings[i].lasting_ms > PLAIN_MIN_MS ? strings[i].lasting_ms : PLAIN_MIN_MS);
    }
    buf_free(&json);
}

/* ---- and back ---- */

struct told {
    const char *json;
    struct json_index index;
};

static bool begin(struct told *told, const char *json, size_t length)
{
    struct json_fault fault;

    *told = (struct told){ json, { 0 } };
    return json_scan(json, length, DEPTH, &told->index, &fault) && told->index.nodes[0].type == JSON_OBJECT;
}

static const struct json_node *member(const struct told *told, const char *name, enum json_type type)
{
    size_t at = json_member(told->json, &told->index, 0, name, strlen(name));

    return at && told->index.nodes[at].type == type ? &told->index.nodes[at] : NULL;
}

static int64_t integer_of(const struct told *told, const char *name, int64_t fallback)
{
    const struct json_node *node = member(told, name, JSON_NUMBER);
    char digits[24] = "";

    if (!node || node->end - node->start >= sizeof digits)
        return fallback;
    memcpy(digits, told->json + node->start, node->end - node->start);
    return strtoll(digits, NULL, 10);
}

/* A new string; NULL if there is none. */
static char *text_of(const struct told *told, const char *name)
{
    const struct json_node *node = member(told, name, JSON_STRING);
    struct buf text = { 0 };
    char *copy;

    if (!node)
        return NULL;
    json_unescape(told->json, node, &text);
    copy = mem_copy(text.length ? text.data : "", text.length);
    buf_free(&text);
    return copy;
}

static bool copy_text(const struct told *told, const char *name, char *to, size_t size)
{
    char *text = text_of(told, name);
    bool is_there = text != NULL;

    snprintf(to, size, "%s", text ? text : "");
    mem_free(text);
    return is_there;
}

bool redis_told_read_key(const char *json, size_t length, struct store_key *key)
{
    const struct json_node *settings;
    char hash[DIGEST_HEX + 2];
    struct told told;
    bool is_good;

    *key = (struct store_key){ 0 };
    is_good = begin(&told, json, length) && copy_text(&told, "hash", hash, sizeof hash) &&
              digest_from_hex(hash, key->hash) && copy_text(&told, "prefix", key->prefix, sizeof key->prefix);
    if (is_good) {
        settings = member(&told, "settings", JSON_OBJECT);
        key->settings =
            settings ? mem_copy(json + settings->start, settings->end - settings->start) : text_of(&told, "settings");
        is_good = key->settings != NULL;
        key->created = integer_of(&told, "created", 0);
        key->revoked = integer_of(&told, "revoked", 0);
    }
    json_index_free(&told.index);
    return is_good;
}

bool redis_told_read_mark(const char *json, size_t length, struct mark_state *mark)
{
    struct told told;
    bool is_good = begin(&told, json, length);

    *mark = (struct mark_state){ 0 };
    if (is_good) {
        mark->target = text_of(&told, "target");
        mark->reason = text_of(&told, "reason");
        mark->until = integer_of(&told, "until", 0);
        mark->step = integer_of(&told, "step", 0);
    }
    json_index_free(&told.index);
    if (mark->target && mark->reason)
        return true;
    mem_free(mark->target);
    mem_free(mark->reason);
    return false;
}

bool redis_told_read_learnt(const char *json, size_t length, struct store_learnt *word)
{
    struct told told;
    bool is_good;

    *word = (struct store_learnt){ 0 };
    is_good = begin(&told, json, length) && copy_text(&told, "provider", word->provider, sizeof word->provider) &&
              copy_text(&told, "model", word->model, sizeof word->model) &&
              copy_text(&told, "metric", word->metric, sizeof word->metric) &&
              copy_text(&told, "window", word->window, sizeof word->window) &&
              copy_text(&told, "source", word->source, sizeof word->source);
    if (is_good) {
        word->limit = integer_of(&told, "limit", -1);
        word->remaining = integer_of(&told, "remaining", -1);
        word->reset_at = integer_of(&told, "reset_at", 0);
        word->seen_at = integer_of(&told, "seen_at", 0);
    }
    json_index_free(&told.index);
    return is_good;
}
