/*
 * limits.c - see limits.h. Counters are found by name, reservations by number:
 * a place in an array and how often that place was used, so that a second
 * settle finds nobody. Counters whose window is over are swept when the table
 * would grow.
 */
#include "store/limits_inside.h"

#include <string.h>

#include "base/mem.h"
#include "store/counter.h"

struct limits *limits_new(void)
{
    struct limits *limits = mem_zero(sizeof *limits);

    pthread_mutex_init(&limits->lock, NULL);
    limits->dirty = &limits_last_dirty;
    limits->sweep_at = 1024;
    limits->reservations = mem_zero(sizeof *limits->reservations);
    limits->reservation_count = 1;
    return limits;
}

void limits_free(struct limits *limits)
{
    struct counter *counter;
    size_t at = 0;

    if (!limits)
        return;
    while ((counter = hash_next(&limits->counters, &at)))
        counter_free(counter);
    hash_free(&limits->counters);
    for (uint32_t i = 0; i < limits->reservation_count; i++) {
        mem_free(limits->reservations[i].holds);
        mem_free(limits->reservations[i].draws);
    }
    mem_free(limits->reservations);
    learnt_free(&limits->learnt);
    pthread_mutex_destroy(&limits->lock);
    mem_free(limits);
}

/* ---- finding counters ---- */

static size_t append(char *name, size_t length, const char *text)
{
    size_t size = strlen(text);

    memcpy(name + length, text, size);
    name[length + size] = '\n';
    return length + size + 1;
}

/* What tells counters apart: two zones have two days. In a block of its own if room is too small. */
static char *work_out_name(const struct store_limit *limit, char *room, size_t size, size_t *length)
{
    bool sliding = limit->sliding && limit->window != WINDOW_NONE; /* what has no window cannot slide */
    bool has_zone = limit->window >= WINDOW_DAY && limit->window < WINDOW_NONE && !sliding;
    const char *zone = has_zone ? zone_name(limit->zone) : "";
    size_t needed = strlen(limit->key) + strlen(zone) + 32;
    char *name = needed > size ? mem_alloc(needed) : room;

    *length = append(name, 0, limit->key);
    *length = append(name, *length, window_name(limit->window));
    *length = append(name, *length, sliding ? "sliding" : zone);
    return name;
}

static void sweep(struct limits *limits)
{
    struct counter **gone = mem_alloc(limits->counters.count * sizeof(struct counter *)), *counter;
    size_t at = 0, count = 0;

    while ((counter = hash_next(&limits->counters, &at)))
        if (counter->holders == 0 && !counter->next_dirty && counter_is_over(counter, limits->now))
            gone[count++] = counter;
    for (size_t i = 0; i < count; i++) {
        hash_remove(&limits->counters, gone[i]->name, gone[i]->name_length);
        counter_free(gone[i]);
    }
    mem_free(gone);
    limits->sweep_at = limits->counters.count * 2 + 1024;
}

bool limits_name(struct store_limit *limit, char *room, size_t size)
{
    size_t length;
    char *name = work_out_name(limit, room, size, &length);

    if (name != room) {
        mem_free(name);
        return false;
    }
    limit->name = name;
    limit->name_length = length;
    limit->name_code = hash_code(name, length);
    return true;
}

struct counter *limits_find(struct limits *limits, const struct store_limit *limit, bool make)
{
    struct counter *counter = NULL;
    char room[256], *name;
    size_t length;

    if (limit->name)
        counter = hash_get_coded(&limits->counters, limit->name_code, limit->name, limit->name_length);
    if (counter || (limit->name && !make))
        return counter;
    name = work_out_name(limit, room, sizeof room, &length);
    counter = hash_get(&limits->counters, name, length);
    if (!counter && make) {
        if (limits->counters.count >= limits->sweep_at)
            sweep(limits);
        counter = counter_new(name, length, limit);
        hash_put(&limits->counters, counter->name, counter->name_length, counter);
    }
    if (name != room)
        mem_free(name);
    return counter;
}

static void lock_at(struct limits *limits, int64_t now)
{
    pthread_mutex_lock(&limits->lock);
    limits->now = now;
}

/* ---- reserving ---- */

static uint64_t open_reservation(struct limits *limits, struct reservation **opened)
{
    uint32_t place = limits->first_free;
    struct reservation *reservation;

    if (place) {
        limits->first_free = limits->reservations[place].next_free;
    } else {
        place = limits->reservation_count++;
        /* Room doubles when the count passes a power of two. */
        if ((place & (place - 1)) == 0)
            limits->reservations = mem_resize(limits->reservations, (size_t)place * 2 * sizeof *limits->reservations);
        limits->reservations[place] = (struct reservation){ 0 };
    }
    reservation = &limits->reservations[place];
    *reservation = (struct reservation){ .round = reservation->round + 1, .is_open = true };
    *opened = reservation;
    return (uint64_t)reservation->round << 32 | place;
}

static void close_reservation(struct limits *limits, struct reservation *reservation)
{
    uint32_t place = (uint32_t)(reservation - limits->reservations);

    mem_free(reservation->holds);
    mem_free(reservation->draws);
    *reservation = (struct reservation){ .round = reservation->round, .next_free = limits->first_free };
    limits->first_free = place;
}

void limits_refuse(struct store_verdict *verdict, const struct store_limit *limit, int64_t wait)
{
    const char *window = window_name(limit->window);
    size_t room = sizeof verdict->blocked - strlen(window) - 2;
    size_t length = strnlen(limit->key, room);

    if (verdict->blocked[0] && wait != 0 && (verdict->wait_ms == 0 || wait <= verdict->wait_ms))
        return;
    memcpy(verdict->blocked, limit->key, length);
    verdict->blocked[length] = ' ';
    memcpy(verdict->blocked + length + 1, window, strlen(window) + 1);
    verdict->wait_ms = wait;
}

/* Takes every claim into holds; false: one or more had no room, and the one with the longest wait is named. */
static bool take_claims(struct limits *limits, const struct store_call *call, int64_t now, struct hold *holds,
                        struct store_verdict *verdict)
{
    bool fits = true;

    for (size_t i = 0; i < call->claim_count; i++) {
        const struct store_claim *claim = &call->claims[i];
        struct counter *counter = limits_find(limits, &claim->limit, true);
        int64_t amount = claim->amount > 0 ? claim->amount : 0, max = claim->limit.max > 0 ? claim->limit.max : 0, wait;

        counter_roll(counter, now);
        counter->holders++;
        if (amount > 0 && max != INT64_MAX && amount > max - counter_used(counter)) {
            wait = counter_wait(counter, amount, max, now);
            limits_refuse(verdict, &claim->limit, wait);
            fits = false;
            amount = 0;
        }
        holds[i] = (struct hold){ counter, counter_reserve(counter, amount), amount };
    }
    return fits;
}

/* As take_claims, and what the provider told must have room too. */
static bool take(struct limits *limits, const struct store_call *call, int64_t now, struct hold *holds,
                 struct store_verdict *verdict)
{
    return take_claims(limits, call, now, holds, verdict) && learnt_allows(&limits->learnt, call, now, verdict);
}

/* Rolling may have moved what a wrong clock had put into the future: true if a counter changed. */
static bool note_changes(struct limits *limits, const struct hold *holds, size_t count)
{
    bool changed = false;

    for (size_t i = 0; i < count; i++)
        changed |= limits_note_change(limits, holds[i].counter);
    return changed;
}

/* Who took the store over is to know of reservations too. */
static bool touch(struct limits *limits, const struct hold *hold)
{
    if (!limits->is_handed_over)
        return false;
    counter_touch(hold->counter, hold->place);
    return limits_note_change(limits, hold->counter);
}

static void give_back(const struct hold *holds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        counter_cancel(holds[i].counter, holds[i].place, holds[i].amount);
        holds[i].counter->holders--;
    }
}

bool limits_reserve(struct limits *limits, const struct store_call *call, int64_t now, struct store_verdict *verdict)
{
    struct hold *holds = mem_alloc(call->claim_count * sizeof *holds);
    struct reservation *reservation;
    bool changed;

    *verdict = (struct store_verdict){ 0 };
    lock_at(limits, now);
    verdict->granted = take(limits, call, now, holds, verdict);
    changed = note_changes(limits, holds, call->claim_count);
    if (verdict->granted) {
        verdict->reservation = open_reservation(limits, &reservation);
        reservation->holds = holds;
        reservation->hold_count = call->claim_count;
        reservation->draw_count = learnt_take(&limits->learnt, call, now, &reservation->draws);
        changed |= reservation->draw_count > 0;
        for (size_t i = 0; i < call->claim_count; i++)
            changed |= touch(limits, &holds[i]);
    } else {
        give_back(holds, call->claim_count);
        mem_free(holds);
    }
    pthread_mutex_unlock(&limits->lock);
    return changed;
}

bool limits_fits(struct limits *limits, const struct store_call *call, int64_t now, struct store_verdict *verdict)
{
    struct hold *holds = mem_alloc(call->claim_count * sizeof *holds);
    bool changed;

    *verdict = (struct store_verdict){ 0 };
    lock_at(limits, now);
    verdict->granted = take(limits, call, now, holds, verdict);
    changed = note_changes(limits, holds, call->claim_count);
    give_back(holds, call->claim_count);
    pthread_mutex_unlock(&limits->lock);
    mem_free(holds);
    return changed;
}

static bool settle(struct limits *limits, struct reservation *reservation, const int64_t *amounts, size_t count,
                   int64_t now)
{
    bool all_back = count > 0 && count >= reservation->hold_count, changed = false;

    for (size_t i = 0; i < reservation->hold_count; i++) {
        struct hold *hold = &reservation->holds[i];
        /* An amount that was not told is taken to be what was reserved. */
        int64_t actual = i < count ? amounts[i] : hold->amount;

        counter_roll(hold->counter, now);
        counter_settle(hold->counter, hold->place, hold->amount, actual > 0 ? actual : 0);
        hold->counter->holders--;
        changed |= limits_note_change(limits, hold->counter) | touch(limits, hold);
        all_back = all_back && actual <= 0;
    }
    for (size_t i = 0; all_back && i < reservation->draw_count; i++) {
        learnt_give_back(&limits->learnt, &reservation->draws[i]);
        changed = true;
    }
    close_reservation(limits, reservation);
    return changed;
}

bool limits_settle(struct limits *limits, uint64_t reservation, const int64_t *amounts, size_t count, int64_t now)
{
    uint32_t place = (uint32_t)reservation;
    struct reservation *opened;
    bool changed = false;

    lock_at(limits, now);
    if (place < limits->reservation_count) {
        opened = &limits->reservations[place];
        if (opened->is_open && opened->round == reservation >> 32)
            changed = settle(limits, opened, amounts, count, now);
    }
    pthread_mutex_unlock(&limits->lock);
    return changed;
}

int64_t limits_used(struct limits *limits, const struct store_limit *limit, int64_t now, int64_t *window_end)
{
    struct counter *counter, *spare = NULL;
    int64_t used;

    lock_at(limits, now);
    counter = limits_find(limits, limit, false);
    if (counter) {
        counter_roll(counter, now);
        limits_note_change(limits, counter);
    } else if (window_end) {
        counter = spare = counter_new("", 0, limit);
        counter_roll(counter, now);
    }
    used = counter ? counter_used(counter) : 0;
    if (window_end)
        *window_end = counter_end(counter, now);
    counter_free(spare);
    pthread_mutex_unlock(&limits->lock);
    return used;
}

/* ---- learnt limits ---- */

bool limits_learn(struct limits *limits, const struct store_learnt *word)
{
    struct store_learnt clean = *word;
    bool is_news;

    clean.provider[sizeof clean.provider - 1] = '\0';
    clean.model[sizeof clean.model - 1] = '\0';
    clean.metric[sizeof clean.metric - 1] = '\0';
    clean.window[sizeof clean.window - 1] = '\0';
    clean.source[sizeof clean.source - 1] = '\0';
    pthread_mutex_lock(&limits->lock);
    is_news = learnt_put(&limits->learnt, &clean);
    pthread_mutex_unlock(&limits->lock);
    return is_news;
}

bool limits_inherit_learnt(struct limits *limits, const struct store_learnt *word)
{
    bool is_news;

    pthread_mutex_lock(&limits->lock);
    is_news = learnt_inherit(&limits->learnt, word);
    pthread_mutex_unlock(&limits->lock);
    return is_news;
}

void limits_each_learnt(struct limits *limits, const char *provider,
                        void (*each)(void *arg, const struct store_learnt *), void *arg)
{
    pthread_mutex_lock(&limits->lock);
    learnt_each(&limits->learnt, provider, each, arg);
    pthread_mutex_unlock(&limits->lock);
}
