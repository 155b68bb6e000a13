/* redis_shares.c - see redis_shares.h. */
#include "store/redis_shares.h"

#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/redis.h"
#include "store/limits.h"
#include "store/redis_books.h"
#include "store/redis_words.h"

/* Numbers in a script are doubles: exact up to here. */
static const int64_t NUMBER_MOST = INT64_C(1) << 53;
static const int64_t LENT_US = 1000000;

/* What became of a reservation's holds, found by its number. */
struct booking {
    uint64_t reservation;
    size_t count;
    struct redis_hold holds[];
};

struct redis_shares *redis_shares_new(const char *name, struct limits *limits)
{
    struct redis_shares *shares = mem_zero(sizeof *shares);

    pthread_mutex_init(&shares->lock, NULL);
    shares->name = mem_text(name);
    shares->limits = limits;
    shares->epoch = 1;
    shares->gateways = 1;
    shares->sweep_at = 1024;
    return shares;
}

void redis_shares_free(struct redis_shares *shares)
{
    struct redis_windows *windows;
    struct booking *booking;
    size_t at = 0;

    if (!shares)
        return;
    while ((windows = hash_next(&shares->windows, &at)))
        redis_share_free_windows(windows);
    for (at = 0; (booking = hash_next(&shares->bookings, &at));)
        mem_free(booking);
    hash_free(&shares->windows);
    hash_free(&shares->bookings);
    buf_free(&shares->scratch);
    pthread_mutex_destroy(&shares->lock);
    mem_free(shares->name);
    mem_free(shares);
}

/* ---- claims ---- */

static void sweep(struct redis_shares *shares)
{
    struct redis_windows **gone = mem_alloc((shares->windows.count + 1) * sizeof *gone), *windows;
    size_t at = 0, count = 0;

    while ((windows = hash_next(&shares->windows, &at)))
        if (redis_share_sweep(windows, shares->now))
            gone[count++] = windows;
    for (size_t i = 0; i < count; i++) {
        hash_remove(&shares->windows, gone[i]->name, gone[i]->name_length);
        redis_share_free_windows(gone[i]);
    }
    mem_free(gone);
    shares->sweep_at = shares->windows.count * 2 + 1024;
}

static struct redis_share *find(struct redis_shares *shares, const struct store_limit *limit, int64_t now)
{
    struct redis_windows *windows;
    struct redis_share *share;

    buf_clear(&shares->scratch);
    redis_share_name(limit, &shares->scratch);
    windows = hash_get(&shares->windows, shares->scratch.data, shares->scratch.length);
    if (!windows) {
        if (shares->windows.count >= shares->sweep_at)
            sweep(shares);
        windows = redis_share_windows(limit, shares->scratch.data, shares->scratch.length);
        hash_put(&shares->windows, windows->name, windows->name_length, windows);
    }
    shares->now = now;
    share = redis_share_find(windows, now);
    share->touched = shares->beat;
    if (share->older && share->older->is_void)
        shares->has_unsent = true;
    return share;
}

static struct redis_hold hold_of(struct redis_shares *shares, const struct store_claim *claim, int64_t now)
{
    struct redis_share *share = find(shares, &claim->limit, now);
    int64_t amount = claim->amount > 0 ? claim->amount : 0;

    return (struct redis_hold){ share, share->at, amount < NUMBER_MOST ? amount : NUMBER_MOST };
}

static bool is_limited(const struct store_limit *limit)
{
    return limit->max < NUMBER_MOST;
}

static int64_t max_of(const struct store_limit *limit)
{
    return limit->max > 0 ? limit->max : 0;
}

void redis_shares_hold(struct redis_shares *shares, const struct store_call *call, int64_t now,
                       struct redis_hold *holds)
{
    pthread_mutex_lock(&shares->lock);
    for (size_t i = 0; i < call->claim_count; i++) {
        holds[i] = hold_of(shares, &call->claims[i], now);
        holds[i].share->holders++;
    }
    pthread_mutex_unlock(&shares->lock);
}

static void let_go(const struct redis_hold *holds, size_t count)
{
    for (size_t i = 0; i < count; i++)
        holds[i].share->holders--;
}

void redis_shares_let_go(struct redis_shares *shares, const struct redis_hold *holds, size_t count)
{
    pthread_mutex_lock(&shares->lock);
    let_go(holds, count);
    pthread_mutex_unlock(&shares->lock);
}

/* ---- asking Redis ---- */

bool redis_shares_ask(struct redis_shares *shares, const struct store_call *call, const struct redis_hold *holds,
                      int64_t now, struct redis_words *reserve, struct redis_words *add, uint64_t *epoch)
{
    bool is_online;

    pthread_mutex_lock(&shares->lock);
    is_online = shares->state == REDIS_ONLINE;
    *epoch = shares->epoch;
    if (is_online) {
        redis_books_begin(shares, reserve);
        redis_books_begin(shares, add);
    }
    for (size_t i = 0; is_online && i < call->claim_count; i++) {
        const struct store_limit *limit = &call->claims[i].limit;
        struct redis_share *share = holds[i].share;

        redis_share_unsent(share, now, add);
        redis_share_describe(share, holds[i].at, now, reserve);
        redis_words_integer(reserve, is_limited(limit) ? max_of(limit) : -1);
        redis_words_integer(reserve, holds[i].amount);
        redis_words_integer(reserve,
                            is_limited(limit) && !share->windows->sliding ? max_of(limit) / 4 / shares->gateways : 0);
    }
    pthread_mutex_unlock(&shares->lock);
    return is_online;
}

static void note(struct redis_shares *shares, const struct redis_hold *hold, const struct redis_told *told)
{
    struct redis_share *share = hold->share;
    int64_t own = share->windows->sliding ? redis_share_own(share) : told->own;

    share->is_told = true;
    share->others = told->total - own;
    share->told_at = shares->now;
}

/* Answers to several threads come in any order: below zero for a moment is fine. */
static void note_lease(struct redis_share *share, const struct redis_told *told)
{
    if (told->last > share->recall)
        share->lease += told->grown;
}

static void keep(struct redis_shares *shares, uint64_t reservation, const struct redis_hold *holds, size_t count)
{
    struct booking *booking = mem_alloc(sizeof *booking + count * sizeof *holds);

    booking->reservation = reservation;
    booking->count = count;
    if (count > 0)
        memcpy(booking->holds, holds, count * sizeof *holds);
    hash_put(&shares->bookings, &booking->reservation, sizeof booking->reservation, booking);
}

/* What providers told is drawn from, whoever counts the rest. */
static bool draw(struct redis_shares *shares, const struct store_call *call, int64_t now, struct store_verdict *verdict)
{
    struct store_call rest = *call;

    rest.claim_count = 0;
    shares->has_news |= limits_reserve(shares->limits, &rest, now, verdict);
    return verdict->granted;
}

void redis_shares_draw(struct redis_shares *shares, const struct store_call *call, int64_t now,
                       struct store_verdict *verdict)
{
    pthread_mutex_lock(&shares->lock);
    if (draw(shares, call, now, verdict))
        keep(shares, verdict->reservation, NULL, 0);
    pthread_mutex_unlock(&shares->lock);
}

bool redis_shares_grant(struct redis_shares *shares, const struct store_call *call, struct redis_hold *holds,
                        const struct redis_told *told, uint64_t epoch, int64_t now, struct store_verdict *verdict)
{
    bool is_valid, is_drawn;

    pthread_mutex_lock(&shares->lock);
    is_valid = shares->state == REDIS_ONLINE && shares->epoch == epoch;
    is_drawn = is_valid && draw(shares, call, now, verdict);
    for (size_t i = 0; is_valid && i < call->claim_count; i++) {
        struct redis_hold *hold = &holds[i];
        struct redis_part *part;

        if (hold->share->windows->sliding)
            hold->at = told[i].last;
        else
            note_lease(hold->share, &told[i]);
        part = redis_share_part(hold->share, hold->at);
        if (part && is_drawn) {
            part->own += hold->amount;
            part->reserved += hold->amount;
        } else if (part) { /* Redis has it, and must be told that it was not taken */
            part->unsent -= hold->amount;
            part->unsent_reserved -= hold->amount;
            shares->has_unsent = true;
        }
    }
    /* Not before all are booked: two claims may be on one window. */
    for (size_t i = 0; is_valid && i < call->claim_count; i++)
        note(shares, &holds[i], &told[i]);
    if (is_drawn)
        keep(shares, verdict->reservation, holds, call->claim_count);
    else if (is_valid)
        let_go(holds, call->claim_count);
    pthread_mutex_unlock(&shares->lock);
    return is_valid;
}

static int64_t wait_of(const struct redis_hold *hold, const struct redis_told *told, int64_t max, int64_t now)
{
    if (!hold->share->windows->sliding)
        return redis_share_wait(hold->share, hold->amount, max, now);
    return told->last < 0 ? 0 : redis_share_part_wait(hold->share, told->last, now);
}

bool redis_shares_refuse(struct redis_shares *shares, const struct store_call *call, const struct redis_hold *holds,
                         const struct redis_told *told, bool has_waited, int64_t now, struct store_verdict *verdict)
{
    int64_t now_us = clock_monotonic_us();
    bool is_full = false, is_worth_waiting = true;

    *verdict = (struct store_verdict){ 0 };
    pthread_mutex_lock(&shares->lock);
    for (size_t i = 0; i < call->claim_count; i++) {
        const struct store_limit *limit = &call->claims[i].limit;
        struct redis_share *share = holds[i].share;

        if (!share->windows->sliding)
            note(shares, &holds[i], &told[i]);
        if (told[i].fits == 0)
            continue;
        limits_refuse(verdict, limit, wait_of(&holds[i], &told[i], max_of(limit), now));
        is_full |= told[i].fits == 1;
        is_worth_waiting &= told[i].fits == 1 || now_us >= share->lent_until_us;
        if (told[i].fits == 2 && has_waited)
            share->lent_until_us = now_us + LENT_US;
    }
    pthread_mutex_unlock(&shares->lock);
    return !is_full && !has_waited && is_worth_waiting;
}

/* ---- without Redis ---- */

/* The most that this process may use of a window by itself. */
static int64_t cap_of(const struct redis_shares *shares, const struct redis_share *share,
                      const struct store_limit *limit)
{
    int64_t max = max_of(limit), cap;

    if (share->windows->sliding || share->cap < 0)
        return limit->strict && !share->windows->sliding ? 0 : max / shares->gateways;
    cap = redis_books_is_forgotten(shares) ? share->cap - share->lease : share->cap;
    return cap < max ? cap : max;
}

static int64_t room_of(const struct redis_shares *shares, const struct redis_share *share,
                       const struct store_limit *limit, int64_t now)
{
    if (shares->state == REDIS_ONLINE)
        return max_of(limit) - redis_share_own(share) - redis_share_others(share, now);
    return cap_of(shares, share, limit) - redis_share_own(share);
}

static void book(struct redis_hold *hold, int64_t amount)
{
    redis_share_change(hold->share, hold->at, amount, amount);
}

/* Books all claims, or none; the verdict then says why. */
static bool take_claims(struct redis_shares *shares, const struct store_call *call, struct redis_hold *holds,
                        int64_t now, struct store_verdict *verdict)
{
    bool fits = true;

    for (size_t i = 0; i < call->claim_count; i++) {
        const struct store_limit *limit = &call->claims[i].limit;
        struct redis_hold *hold = &holds[i];

        if (hold->amount > 0 && is_limited(limit) && hold->amount > room_of(shares, hold->share, limit, now)) {
            limits_refuse(verdict, limit, redis_share_wait(hold->share, hold->amount, max_of(limit), now));
            fits = false;
            hold->amount = -hold->amount;
        } else {
            book(hold, hold->amount);
        }
    }
    for (size_t i = 0; !fits && i < call->claim_count; i++) {
        if (holds[i].amount > 0)
            book(&holds[i], -holds[i].amount);
        else
            holds[i].amount = -holds[i].amount;
    }
    return fits;
}

bool redis_shares_take(struct redis_shares *shares, const struct store_call *call, struct redis_hold *holds,
                       int64_t now, struct store_verdict *verdict)
{
    bool is_alone, fits;

    *verdict = (struct store_verdict){ 0 };
    pthread_mutex_lock(&shares->lock);
    is_alone = shares->state == REDIS_AWAY || shares->state == REDIS_SYNCING;
    if (is_alone) {
        fits = take_claims(shares, call, holds, now, verdict);
        if (fits && !draw(shares, call, now, verdict)) {
            for (size_t i = 0; i < call->claim_count; i++)
                book(&holds[i], -holds[i].amount);
            fits = false;
        }
        if (fits)
            keep(shares, verdict->reservation, holds, call->claim_count);
        else
            let_go(holds, call->claim_count);
        verdict->away = true;
    }
    pthread_mutex_unlock(&shares->lock);
    return is_alone;
}

void redis_shares_fits(struct redis_shares *shares, const struct store_call *call, int64_t now,
                       struct store_verdict *verdict)
{
    struct redis_hold *holds = mem_alloc((call->claim_count + 1) * sizeof *holds);
    struct store_call rest = *call;

    rest.claim_count = 0;
    *verdict = (struct store_verdict){ 0 };
    pthread_mutex_lock(&shares->lock);
    for (size_t i = 0; i < call->claim_count; i++)
        holds[i] = hold_of(shares, &call->claims[i], now);
    if (take_claims(shares, call, holds, now, verdict)) {
        for (size_t i = 0; i < call->claim_count; i++)
            book(&holds[i], -holds[i].amount);
        limits_fits(shares->limits, &rest, now, verdict);
    }
    verdict->away = shares->state != REDIS_ONLINE;
    pthread_mutex_unlock(&shares->lock);
    mem_free(holds);
}

int64_t redis_shares_used(struct redis_shares *shares, const struct store_limit *limit, int64_t now,
                          int64_t *window_end)
{
    struct redis_share *share;
    int64_t used;

    pthread_mutex_lock(&shares->lock);
    share = find(shares, limit, now);
    used = redis_share_own(share) + redis_share_others(share, now);
    if (window_end)
        *window_end = redis_share_end(share, now);
    pthread_mutex_unlock(&shares->lock);
    return used > 0 ? used : 0;
}

/* ---- settling ---- */

/* The real amount in the reserved one's place; of a window that is over the present one gets what came on top. */
static struct redis_share *settle(struct redis_shares *shares, const struct redis_hold *hold, int64_t actual,
                                  int64_t now)
{
    struct redis_share *present = redis_share_find(hold->share->windows, now);

    shares->now = now;
    present->touched = shares->beat;
    if (actual > NUMBER_MOST)
        actual = NUMBER_MOST;
    if (redis_share_is_present(hold->share, hold->at))
        redis_share_change(hold->share, hold->at, actual - hold->amount, -hold->amount);
    else if (actual > hold->amount)
        redis_share_change(present, present->at, actual - hold->amount, 0);
    hold->share->holders--;
    return present;
}

bool redis_shares_settle(struct redis_shares *shares, uint64_t reservation, const int64_t *amounts, size_t count,
                         int64_t now, bool can_send, struct redis_words *words, uint64_t *epoch)
{
    static const int64_t nothing = 0;
    struct booking *booking;
    bool all_back = true, sends = false;

    pthread_mutex_lock(&shares->lock);
    *epoch = shares->epoch;
    booking = hash_remove(&shares->bookings, &reservation, sizeof reservation);
    can_send = can_send && shares->state == REDIS_ONLINE;
    if (booking && can_send)
        redis_books_begin(shares, words);
    if (booking)
        all_back = count > 0 && count >= booking->count;
    for (size_t i = 0; booking && i < booking->count; i++) {
        /* An amount that was not told is taken to be what was reserved. */
        int64_t actual = i < count ? amounts[i] : booking->holds[i].amount;
        struct redis_share *present = settle(shares, &booking->holds[i], actual > 0 ? actual : 0, now);

        all_back &= actual <= 0;
        if (!can_send)
            shares->has_unsent = true;
        else if (redis_share_unsent(present, now, words))
            sends = true;
    }
    if (booking)
        shares->has_news |= limits_settle(shares->limits, reservation, &nothing, all_back ? 1 : 0, now);
    pthread_mutex_unlock(&shares->lock);
    mem_free(booking);
    return sends;
}
