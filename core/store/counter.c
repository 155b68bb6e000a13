/* counter.c - see counter.h. */
#include "store/counter.h"

#include <string.h>

#include "base/mem.h"

int64_t counter_length(enum window window)
{
    static const int64_t seconds[] = { 1, 10, 60, 3600, 5 * 3600, 86400, 7 * 86400, 31 * 86400 };

    return seconds[window] * 1000;
}

static int64_t part_length(const struct counter *counter)
{
    return (counter_length(counter->window) + COUNTER_SLOTS - 2) / (COUNTER_SLOTS - 1);
}

static int slot_count(const struct counter *counter)
{
    return counter->sliding ? COUNTER_SLOTS : 1;
}

static int slot_of(const struct counter *counter, int64_t at)
{
    return counter->sliding ? (int)(at % COUNTER_SLOTS) : 0;
}

/* The one way to change an amount: the sum of all goes along. */
static void set(struct counter *counter, int64_t *amount, int64_t value)
{
    counter->sum += (unsigned __int128)value - (unsigned __int128)*amount;
    *amount = value;
}

/* Never below zero, never beyond what a number holds. */
static void add(struct counter *counter, int64_t *amount, int64_t change)
{
    int64_t value;

    if (__builtin_add_overflow(*amount, change, &value))
        value = INT64_MAX;
    set(counter, amount, value < 0 ? 0 : value);
}

static void note(struct counter *counter, uint64_t slots)
{
    counter->dirty |= slots;
    counter->moved |= slots;
}

void counter_touch_all(struct counter *counter)
{
    note(counter, ((UINT64_C(1) << (slot_count(counter) - 1)) - 1) << 1 | 1);
}

struct counter *counter_new(const char *name, size_t name_length, const struct store_limit *limit)
{
    bool sliding = limit->sliding && limit->window != WINDOW_NONE;
    struct counter *counter = mem_zero(sizeof *counter + (sliding ? COUNTER_SLOTS : 1) * sizeof *counter->slots);

    counter->name = mem_copy(name, name_length);
    counter->name_length = name_length;
    counter->key_length = strlen(limit->key);
    counter->zone = limit->window >= WINDOW_DAY && !sliding ? limit->zone : NULL; /* no other window knows zones */
    counter->window = limit->window;
    counter->sliding = sliding;
    return counter;
}

void counter_free(struct counter *counter)
{
    if (!counter)
        return;
    mem_free(counter->name);
    mem_free(counter);
}

static void fit_window(struct counter *counter, int64_t now)
{
    int64_t start, end;

    zone_window(counter->zone, counter->window, now / 1000, &start, &end);
    counter->at = start * 1000;
    counter->ends = end == INT64_MAX ? end : end * 1000;
}

/* If it waits to be written out it still does: what it is to take the place of may lie in the future. */
static void clear_slot(struct counter *counter, int slot)
{
    set(counter, &counter->slots[slot].settled, 0);
    set(counter, &counter->slots[slot].reserved, 0);
    counter->slots[slot].told = 0;
}

/* The clock was far ahead: everything that was counted is taken to be of now. */
static void turn_back(struct counter *counter, int64_t now)
{
    int64_t sum = counter_used(counter);

    for (int i = 0; i < slot_count(counter); i++)
        clear_slot(counter, i);
    if (counter->sliding)
        counter->at = now / part_length(counter);
    else
        fit_window(counter, now);
    set(counter, &counter->slots[slot_of(counter, counter->at)].settled, sum);
    counter_touch_all(counter);
    counter->turn++;
}

static void roll_sliding(struct counter *counter, int64_t now)
{
    int64_t at = now / part_length(counter);

    if (at < counter->at) {
        if (counter->at - at >= COUNTER_SLOTS)
            turn_back(counter, now);
        return;
    }
    if (at - counter->at > COUNTER_SLOTS)
        counter->at = at - COUNTER_SLOTS;
    while (counter->at < at)
        clear_slot(counter, slot_of(counter, ++counter->at));
}

void counter_roll(struct counter *counter, int64_t now)
{
    if (now < 0)
        now = 0;
    if (counter->sliding) {
        roll_sliding(counter, now);
    } else if (now >= counter->ends) {
        fit_window(counter, now);
        clear_slot(counter, 0);
    } else if (now < counter->at && counter->at - now > counter->ends - counter->at) {
        turn_back(counter, now);
    }
}

int64_t counter_used(const struct counter *counter)
{
    return counter->sum > INT64_MAX ? INT64_MAX : (int64_t)counter->sum;
}

int64_t counter_wait(const struct counter *counter, int64_t amount, int64_t max, int64_t now)
{
    int64_t used = counter_used(counter);

    if (amount > max || counter->ends == INT64_MAX)
        return 0;
    if (!counter->sliding)
        return counter->ends - now;
    for (int64_t at = counter->at - COUNTER_SLOTS + 1; at <= counter->at; at++) {
        int slot = slot_of(counter, at < 0 ? at + COUNTER_SLOTS : at);

        used -= counter->slots[slot].settled + counter->slots[slot].reserved;
        if (amount <= max - used)
            return (at + COUNTER_SLOTS) * part_length(counter) - now;
    }
    return 0;
}

int64_t counter_end(const struct counter *counter, int64_t now)
{
    const struct counter_slot *slot;
    int64_t at;

    if (!counter->sliding)
        return counter->ends;
    if (counter->sum == 0)
        return now;
    at = counter->at - COUNTER_SLOTS + 1;
    slot = &counter->slots[slot_of(counter, counter->at + 1)]; /* where the oldest part is */
    for (; slot->settled == 0 && slot->reserved == 0; at++)
        slot = slot == &counter->slots[COUNTER_SLOTS - 1] ? counter->slots : slot + 1;
    return (at + COUNTER_SLOTS) * part_length(counter);
}

struct counter_place counter_reserve(struct counter *counter, int64_t amount)
{
    add(counter, &counter->slots[slot_of(counter, counter->at)].reserved, amount);
    return (struct counter_place){ counter->at, counter->turn };
}

static bool is_present(const struct counter *counter, struct counter_place place)
{
    return place.turn == counter->turn && place.at > counter->at - slot_count(counter);
}

void counter_cancel(struct counter *counter, struct counter_place place, int64_t reserved)
{
    if (is_present(counter, place))
        add(counter, &counter->slots[slot_of(counter, place.at)].reserved, -reserved);
}

void counter_settle(struct counter *counter, struct counter_place place, int64_t reserved, int64_t actual)
{
    int slot = slot_of(counter, counter->at);

    if (is_present(counter, place)) {
        slot = slot_of(counter, place.at);
        add(counter, &counter->slots[slot].reserved, -reserved);
    } else {
        actual = actual > reserved ? actual - reserved : 0;
    }
    if (actual == 0)
        return;
    add(counter, &counter->slots[slot].settled, actual);
    note(counter, UINT64_C(1) << slot);
}

void counter_touch(struct counter *counter, struct counter_place place)
{
    if (is_present(counter, place))
        note(counter, UINT64_C(1) << slot_of(counter, place.at));
}

bool counter_add(struct counter *counter, int64_t at, int64_t ends, int64_t amount)
{
    if (at < 0)
        return false;
    if (counter->sliding && at > counter->at)
        roll_sliding(counter, at * part_length(counter));
    if (!counter->sliding && at > counter->at) {
        clear_slot(counter, 0);
        counter->at = at;
        counter->ends = ends;
    }
    if (at <= counter->at - slot_count(counter))
        return false; /* of a fixed window: any but the present one */
    add(counter, &counter->slots[slot_of(counter, at)].settled, amount);
    note(counter, UINT64_C(1) << slot_of(counter, at));
    return true;
}

bool counter_is_over(const struct counter *counter, int64_t now)
{
    if (counter->ends == INT64_MAX)
        return false;
    if (counter->sliding)
        return now / part_length(counter) - counter->at > (int64_t)2 * COUNTER_SLOTS;
    return now - counter->ends > counter->ends - counter->at;
}

int64_t counter_slot_at(const struct counter *counter, int slot)
{
    return counter->sliding ? counter->at - (counter->at % COUNTER_SLOTS - slot + COUNTER_SLOTS) % COUNTER_SLOTS
                            : counter->at;
}

int64_t counter_slot_ends(const struct counter *counter, int slot)
{
    return counter->sliding ? (counter_slot_at(counter, slot) + COUNTER_SLOTS) * part_length(counter) : counter->ends;
}

void counter_load(struct counter *counter, int64_t at, int64_t ends, int64_t settled)
{
    if (at < 0 || settled < 0)
        return;
    if (counter->sliding) {
        if (at > counter->at)
            roll_sliding(counter, at * part_length(counter));
        if (at <= counter->at - COUNTER_SLOTS)
            return;
    } else {
        counter->at = at;
        counter->ends = ends;
    }
    set(counter, &counter->slots[slot_of(counter, at)].settled, settled);
}
