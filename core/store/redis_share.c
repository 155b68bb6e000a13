/* redis_share.c - see redis_share.h. */
#include "store/redis_share.h"

#include <string.h>

#include "base/buf.h"
#include "base/mem.h"
#include "net/redis.h"
#include "store/redis_words.h"

/* Redis keeps a window a little longer: clocks differ, and what was under way comes late. */
static const int64_t KEPT_MS = 2 * 60 * 1000;

static int64_t part_length(const struct redis_windows *windows)
{
    return (counter_length(windows->window) + COUNTER_SLOTS - 2) / (COUNTER_SLOTS - 1);
}

static int part_count(const struct redis_share *share)
{
    return share->windows->sliding ? COUNTER_SLOTS : 1;
}

/* ---- windows ---- */

void redis_share_name(const struct store_limit *limit, struct buf *text)
{
    bool sliding = limit->sliding && limit->window != WINDOW_NONE;
    bool has_zone = limit->window >= WINDOW_DAY && limit->window < WINDOW_NONE && !sliding;
    const char *zone = has_zone ? zone_name(limit->zone) : "UTC";

    buf_add_text(text, "moongate:counter:");
    buf_add_text(text, limit->key);
    buf_add_char(text, ':');
    buf_add_text(text, window_name(limit->window));
    if (sliding || strcmp(zone, "UTC") != 0) {
        buf_add_char(text, ':');
        buf_add_text(text, sliding ? "sliding" : zone);
    }
}

struct redis_windows *redis_share_windows(const struct store_limit *limit, const char *name, size_t length)
{
    struct redis_windows *windows = mem_zero(sizeof *windows);

    windows->name = mem_copy(name, length);
    windows->name_length = length;
    windows->window = limit->window;
    windows->sliding = limit->sliding && limit->window != WINDOW_NONE;
    windows->zone = limit->zone;
    return windows;
}

static void free_share(struct redis_share *share)
{
    mem_free(share->key);
    mem_free(share);
}

void redis_share_free_windows(struct redis_windows *windows)
{
    struct redis_share *older;

    for (struct redis_share *share = windows->newest; share; share = older) {
        older = share->older;
        free_share(share);
    }
    mem_free(windows->name);
    mem_free(windows);
}

static struct redis_share *make(struct redis_windows *windows, int64_t at, int64_t ends)
{
    int count = windows->sliding ? COUNTER_SLOTS : 1;
    struct redis_share *share = mem_zero(sizeof *share + (size_t)count * sizeof *share->parts);
    struct buf key = { 0 };

    buf_add(&key, windows->name, windows->name_length);
    if (!windows->sliding)
        buf_add_format(&key, ":%lld", (long long)at);
    share->windows = windows;
    share->key = mem_copy(key.data, key.length);
    share->key_length = key.length;
    share->at = at;
    share->ends = ends;
    share->recall = -1;
    share->cap = -1;
    for (int i = 0; i < count; i++)
        share->parts[i].at = windows->sliding ? -1 : at;
    share->older = windows->newest;
    windows->newest = share;
    buf_free(&key);
    return share;
}

/* Everything is taken to be of the present part. Redis does the same when it is asked next. */
static void turn_back_parts(struct redis_share *share, int64_t at)
{
    struct redis_part sum = { .at = at };

    for (int i = 0; i < COUNTER_SLOTS; i++) {
        struct redis_part *part = &share->parts[i];

        if (part->at > share->at - COUNTER_SLOTS) {
            sum.own += part->own;
            sum.unsent += part->unsent;
        }
        *part = (struct redis_part){ .at = -1 };
    }
    share->at = at;
    share->parts[at % COUNTER_SLOTS] = sum;
}

static struct redis_share *find_sliding(struct redis_windows *windows, int64_t now)
{
    int64_t at = now / part_length(windows);
    struct redis_share *share = windows->newest ? windows->newest : make(windows, at, INT64_MAX);

    if (at > share->at)
        share->at = at;
    else if (share->at - at >= COUNTER_SLOTS)
        turn_back_parts(share, at);
    return share;
}

/* The window at `at` comes first again, or is made. */
static struct redis_share *bring_up(struct redis_windows *windows, int64_t at, int64_t ends)
{
    struct redis_share **link = &windows->newest, *share;

    while ((share = *link) && (share->at != at || share->is_void))
        link = &share->older;
    if (!share)
        return make(windows, at, ends);
    *link = share->older;
    share->older = windows->newest;
    windows->newest = share;
    return share;
}

/* What is counted in a window far ahead moves to the present one. */
static void move(struct redis_share *from, struct redis_share *to)
{
    int64_t own = from->parts[0].own;

    redis_share_change(to, to->at, own, 0);
    redis_share_change(from, from->at, -own, -from->parts[0].reserved);
    from->unsent_lease -= from->lease;
    from->lease = 0;
    from->is_void = true;
}

struct redis_share *redis_share_find(struct redis_windows *windows, int64_t now)
{
    struct redis_share *newest = windows->newest, *share;
    int64_t start, end;
    bool is_behind;

    if (now < 0)
        now = 0;
    if (windows->sliding)
        return find_sliding(windows, now);
    is_behind = newest && now < newest->at;
    if (newest && now < newest->ends && (!is_behind || newest->at - now <= newest->ends - newest->at))
        return newest;
    zone_window(windows->zone, windows->window, now / 1000, &start, &end);
    share = bring_up(windows, start * 1000, end == INT64_MAX ? end : end * 1000);
    if (is_behind)
        move(newest, share);
    else
        redis_share_sweep(windows, now);
    return share;
}

static bool is_over(const struct redis_share *share, int64_t now)
{
    if (share->holders > 0)
        return false;
    if (share->windows->sliding)
        return now / part_length(share->windows) - share->at > (int64_t)2 * COUNTER_SLOTS;
    return (share->is_void && !share->parts[0].unsent && !share->unsent_lease) ||
           (share->ends < INT64_MAX && now - share->ends > KEPT_MS && now - share->ends > share->ends - share->at);
}

bool redis_share_sweep(struct redis_windows *windows, int64_t now)
{
    struct redis_share **link = &windows->newest, *share;

    while ((share = *link)) {
        if (is_over(share, now)) {
            *link = share->older;
            free_share(share);
        } else {
            link = &share->older;
        }
    }
    return !windows->newest;
}

/* ---- amounts ---- */

struct redis_part *redis_share_part(struct redis_share *share, int64_t at)
{
    struct redis_part *part;

    if (!share->windows->sliding)
        return &share->parts[0];
    if (at <= share->at - COUNTER_SLOTS || at < 0)
        return NULL;
    part = &share->parts[at % COUNTER_SLOTS];
    if (part->at > at)
        return NULL;
    if (part->at < at)
        *part = (struct redis_part){ .at = at };
    if (at > share->at)
        share->at = at;
    return part;
}

bool redis_share_is_present(const struct redis_share *share, int64_t at)
{
    if (!share->windows->sliding)
        return share == share->windows->newest && !share->is_void;
    return at > share->at - COUNTER_SLOTS && at <= share->at && share->parts[at % COUNTER_SLOTS].at == at;
}

void redis_share_change(struct redis_share *share, int64_t at, int64_t own, int64_t reserved)
{
    struct redis_part *part = redis_share_part(share, at);

    if (!part)
        return;
    part->own += own;
    part->reserved += reserved;
    part->unsent += own;
    part->unsent_reserved += reserved;
}

static bool counts(const struct redis_share *share, const struct redis_part *part)
{
    return !share->windows->sliding || (part->at >= 0 && part->at > share->at - COUNTER_SLOTS);
}

int64_t redis_share_own(const struct redis_share *share)
{
    int64_t sum = 0;

    for (int i = 0; i < part_count(share); i++)
        if (counts(share, &share->parts[i]))
            sum += share->parts[i].own;
    return sum;
}

int64_t redis_share_others(const struct redis_share *share, int64_t now)
{
    if (!share->is_told || share->others < 0)
        return 0;
    if (share->windows->sliding && now - share->told_at >= counter_length(share->windows->window))
        return 0;
    return share->others;
}

int64_t redis_share_part_wait(const struct redis_share *share, int64_t part, int64_t now)
{
    return (part + COUNTER_SLOTS) * part_length(share->windows) - now;
}

int64_t redis_share_wait(const struct redis_share *share, int64_t amount, int64_t max, int64_t now)
{
    int64_t used = redis_share_own(share) + redis_share_others(share, now);

    if (amount > max || (!share->windows->sliding && share->ends == INT64_MAX))
        return 0;
    if (!share->windows->sliding)
        return share->ends - now;
    for (int64_t at = share->at - COUNTER_SLOTS + 1; at <= share->at; at++) {
        if (at >= 0 && share->parts[at % COUNTER_SLOTS].at == at)
            used -= share->parts[at % COUNTER_SLOTS].own;
        if (amount <= max - used)
            return redis_share_part_wait(share, at, now);
    }
    return redis_share_part_wait(share, share->at, now);
}

int64_t redis_share_end(const struct redis_share *share, int64_t now)
{
    if (!share->windows->sliding)
        return share->ends;
    for (int64_t at = share->at - COUNTER_SLOTS + 1; at <= share->at; at++)
        if (at >= 0 && share->parts[at % COUNTER_SLOTS].at == at && share->parts[at % COUNTER_SLOTS].own > 0)
            return now + redis_share_part_wait(share, at, now);
    return redis_share_others(share, now) > 0 ? share->told_at + counter_length(share->windows->window) : now;
}

int64_t redis_share_ttl(const struct redis_share *share, int64_t now)
{
    int64_t left;

    if (share->windows->sliding)
        return 2 * counter_length(share->windows->window);
    if (share->ends == INT64_MAX)
        return 0;
    left = share->ends - now;
    return (left > 0 ? left : 0) + KEPT_MS;
}

/* ---- words for scripts ---- */

void redis_share_describe(const struct redis_share *share, int64_t at, int64_t now, struct redis_words *words)
{
    redis_words_key(words, share->key, share->key_length);
    redis_words_text(words, share->windows->sliding ? "sliding" : "fixed");
    redis_words_integer(words, at);
    redis_words_integer(words, redis_share_ttl(share, now));
}

bool redis_share_unsent(struct redis_share *share, int64_t now, struct redis_words *words)
{
    bool is_any = false;

    for (int i = 0; i < part_count(share); i++) {
        struct redis_part *part = &share->parts[i];

        if (!part->unsent && !part->unsent_reserved && !share->unsent_lease)
            continue;
        if (counts(share, part)) {
            redis_share_describe(share, part->at, now, words);
            redis_words_integer(words, part->unsent);
            redis_words_integer(words, part->unsent_reserved);
            redis_words_integer(words, share->unsent_lease);
            is_any = true;
        }
        part->unsent = part->unsent_reserved = share->unsent_lease = 0;
    }
    return is_any;
}

void redis_share_figures(struct redis_share *share, int64_t now, struct redis_words *words)
{
    struct buf amounts = { 0 };
    int64_t reserved = 0;

    for (int i = 0; i < part_count(share); i++) {
        struct redis_part *part = &share->parts[i];

        if (counts(share, part) && share->windows->sliding)
            buf_add_format(&amounts, "%lld %lld ", (long long)part->at, (long long)part->own);
        else if (counts(share, part))
            buf_add_format(&amounts, "%lld", (long long)part->own);
        reserved += part->reserved;
        part->unsent = part->unsent_reserved = 0;
    }
    share->unsent_lease = 0;
    redis_share_describe(share, share->at, now, words);
    redis_words_text(words, buf_text_of(&amounts));
    redis_words_integer(words, reserved);
    redis_words_integer(words, share->lease);
    buf_free(&amounts);
}
