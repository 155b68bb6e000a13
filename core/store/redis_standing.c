/* redis_standing.c - see redis_standing.h. */
#include "store/redis_standing.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "net/redis.h"
#include "store/redis_books.h"
#include "store/redis_words.h"

enum { WINDOWS_A_PIECE = 200, BEATS_KEPT = 60 };

enum redis_state redis_standing_of(struct redis_shares *shares, uint64_t *epoch)
{
    enum redis_state state;

    pthread_mutex_lock(&shares->lock);
    state = shares->state;
    if (epoch)
        *epoch = shares->epoch;
    pthread_mutex_unlock(&shares->lock);
    return state;
}

/* Walks over all windows: at and share begin as 0 and NULL; NULL is the end. */
static struct redis_share *next_share(const struct redis_shares *shares, size_t *at, struct redis_share *share)
{
    struct redis_windows *windows;

    if (share && share->older)
        return share->older;
    while ((windows = hash_next(&shares->windows, at)))
        if (windows->newest)
            return windows->newest;
    return NULL;
}

static int64_t left_of(const struct redis_share *share)
{
    int64_t left = share->cap - redis_share_own(share);

    return left > 0 ? left : 0;
}

/* ---- coming and going ---- */

bool redis_standing_go_away(struct redis_shares *shares, uint64_t epoch)
{
    struct redis_share *share = NULL;
    bool is_news;
    size_t at = 0;

    pthread_mutex_lock(&shares->lock);
    is_news = shares->state != REDIS_AWAY && (epoch == 0 || epoch == shares->epoch);
    while (is_news && shares->state == REDIS_ONLINE && (share = next_share(shares, &at, share)))
        share->cap = share->is_told && !share->is_void ? redis_share_own(share) + share->lease : -1;
    if (is_news) {
        shares->state = REDIS_AWAY;
        shares->epoch++;
    }
    pthread_mutex_unlock(&shares->lock);
    return is_news;
}

/* What has been lent and not been used remains lent, unless the others have been told that this process is dead. */
static void take_stock(const struct redis_shares *shares, struct redis_share *share)
{
    if (share->cap < 0) {
        share->lease = 0;
    } else {
        if (redis_books_is_forgotten(shares))
            share->cap -= share->lease;
        share->lease = left_of(share);
    }
    share->recall = -1; /* Redis may have been emptied, and count from the beginning */
}

static bool is_of_use(const struct redis_shares *shares, const struct redis_share *share)
{
    return share->windows->sliding || shares->now < share->ends;
}

struct redis_words *redis_standing_sync(struct redis_shares *shares, const char *session, size_t *count)
{
    struct redis_words *pieces = NULL;
    struct redis_share *share = NULL;
    size_t at = 0, in_piece = WINDOWS_A_PIECE;

    *count = 0;
    pthread_mutex_lock(&shares->lock);
    shares->state = REDIS_SYNCING;
    snprintf(shares->session, sizeof shares->session, "%s", session);
    while ((share = next_share(shares, &at, share))) {
        if (!is_of_use(shares, share))
            continue;
        if (in_piece++ == WINDOWS_A_PIECE) {
            pieces = mem_resize(pieces, (*count + 1) * sizeof *pieces);
            pieces[*count] = (struct redis_words){ 0 };
            redis_books_begin(shares, &pieces[(*count)++]);
            in_piece = 1;
        }
        take_stock(shares, share);
        redis_share_figures(share, shares->now, &pieces[*count - 1]);
    }
    pthread_mutex_unlock(&shares->lock);
    return pieces;
}

bool redis_standing_land(struct redis_shares *shares, struct redis_words *words)
{
    struct redis_share *share = NULL;
    bool is_synced;
    size_t at = 0;

    pthread_mutex_lock(&shares->lock);
    is_synced = shares->state == REDIS_SYNCING;
    if (is_synced) {
        shares->state = REDIS_LANDING;
        redis_books_begin(shares, words);
    }
    /* Not left to whoever asks first: a lease that was used up must not be used again before Redis knows. */
    while (is_synced && (share = next_share(shares, &at, share))) {
        int64_t left = share->cap < 0 ? 0 : left_of(share);

        share->unsent_lease += left - share->lease;
        share->lease = left;
        if (is_of_use(shares, share))
            redis_share_unsent(share, shares->now, words);
    }
    pthread_mutex_unlock(&shares->lock);
    return is_synced;
}

bool redis_standing_go_online(struct redis_shares *shares, int64_t contact_us, int64_t gateways)
{
    struct redis_share *share = NULL;
    bool has_landed;
    size_t at = 0;

    pthread_mutex_lock(&shares->lock);
    has_landed = shares->state == REDIS_LANDING;
    while (has_landed && (share = next_share(shares, &at, share)))
        share->cap = -1;
    if (has_landed) {
        shares->state = REDIS_ONLINE;
        shares->contact_us = contact_us;
        shares->gateways = gateways > 0 ? gateways : 1;
        shares->has_unsent = true; /* what was settled meanwhile */
    }
    pthread_mutex_unlock(&shares->lock);
    return has_landed;
}

void redis_standing_note_contact(struct redis_shares *shares, int64_t contact_us, int64_t gateways)
{
    pthread_mutex_lock(&shares->lock);
    shares->contact_us = contact_us;
    shares->gateways = gateways > 0 ? gateways : 1;
    pthread_mutex_unlock(&shares->lock);
}

int64_t redis_standing_gateways(struct redis_shares *shares)
{
    int64_t gateways;

    pthread_mutex_lock(&shares->lock);
    gateways = shares->gateways;
    pthread_mutex_unlock(&shares->lock);
    return gateways;
}

void redis_standing_give_back(struct redis_shares *shares)
{
    struct redis_share *share = NULL;
    size_t at = 0;

    pthread_mutex_lock(&shares->lock);
    while ((share = next_share(shares, &at, share))) {
        int parts = share->windows->sliding ? COUNTER_SLOTS : 1;

        for (int i = 0; i < parts; i++) {
            share->parts[i].own -= share->parts[i].reserved;
            share->parts[i].reserved = 0;
        }
        share->cap = -1;
    }
    pthread_mutex_unlock(&shares->lock);
}

/* ---- while Redis is there ---- */

bool redis_standing_unsent(struct redis_shares *shares, struct redis_words *words)
{
    struct redis_share *share = NULL;
    bool is_any = false;
    size_t at = 0;

    pthread_mutex_lock(&shares->lock);
    if (shares->state == REDIS_ONLINE && shares->has_unsent) {
        redis_books_begin(shares, words);
        while ((share = next_share(shares, &at, share)))
            is_any |= is_of_use(shares, share) && redis_share_unsent(share, shares->now, words);
        shares->has_unsent = false;
    }
    pthread_mutex_unlock(&shares->lock);
    return is_any;
}

/* A key is a limit's name, a colon and the window's time. */
static struct redis_share *share_of(struct redis_shares *shares, const char *key, size_t length)
{
    const char *colon = memrchr(key, ':', length);
    struct redis_windows *windows = colon ? hash_get(&shares->windows, key, (size_t)(colon - key)) : NULL;
    struct redis_share *share = windows ? windows->newest : NULL;

    while (share && (share->key_length != length || memcmp(share->key, key, length) != 0))
        share = share->older;
    return share;
}

bool redis_standing_recall(struct redis_shares *shares, const char *key, size_t length, int64_t number,
                           struct redis_words *words)
{
    struct redis_share *share;

    pthread_mutex_lock(&shares->lock);
    share = shares->state == REDIS_ONLINE ? share_of(shares, key, length) : NULL;
    if (share) {
        share->lease = share->unsent_lease = 0; /* all of it goes back, whatever Redis takes it to be */
        if (number > share->recall)
            share->recall = number;
        redis_books_begin(shares, words);
        redis_words_key(words, key, length);
    }
    pthread_mutex_unlock(&shares->lock);
    return share;
}

struct redis_hold *redis_standing_beat(struct redis_shares *shares, struct redis_words *words, size_t most,
                                       size_t *count)
{
    struct redis_hold *holds = NULL;
    struct redis_share *share = NULL;
    size_t at = 0;

    *count = 0;
    pthread_mutex_lock(&shares->lock);
    shares->beat++;
    redis_books_begin(shares, words);
    redis_words_key(words, "moongate:gateways", strlen("moongate:gateways"));
    while (*count < most && (share = next_share(shares, &at, share))) {
        if (shares->beat - share->touched > BEATS_KEPT || !is_of_use(shares, share))
            continue;
        if ((*count & (*count - 1)) == 0)
            holds = mem_resize(holds, (*count ? *count * 2 : 1) * sizeof *holds);
        holds[(*count)++] = (struct redis_hold){ share, share->at, 0 };
        share->holders++;
        redis_share_describe(share, share->at, shares->now, words);
    }
    pthread_mutex_unlock(&shares->lock);
    return holds;
}

void redis_standing_hear(struct redis_shares *shares, const struct redis_hold *hold, int64_t total, int64_t own)
{
    struct redis_share *share = hold->share;

    pthread_mutex_lock(&shares->lock);
    if (total >= 0) {
        share->is_told = true;
        share->others = total - (share->windows->sliding ? redis_share_own(share) : own);
        share->told_at = shares->now;
    }
    pthread_mutex_unlock(&shares->lock);
}

bool redis_standing_has_news(struct redis_shares *shares)
{
    bool has_news;

    pthread_mutex_lock(&shares->lock);
    has_news = shares->has_news;
    shares->has_news = false;
    pthread_mutex_unlock(&shares->lock);
    return has_news;
}
