/* limits_kept.c - what of the limits is kept elsewhere: told as it changes, and loaded. See limits.h. */
#include "store/limits_inside.h"

#include "base/mem.h"

struct counter limits_last_dirty;

static struct counter_state state_of(const struct counter *counter, int slot, int64_t amount)
{
    return (struct counter_state){ .key = mem_copy(counter->name, counter->key_length),
                                   .window = counter->window,
                                   .sliding = counter->sliding,
                                   .zone = counter->zone,
                                   .slot = slot,
                                   .at = counter_slot_at(counter, slot),
                                   .ends = counter_slot_ends(counter, slot),
                                   .settled = amount };
}

static void tell_moved(struct limits *limits, struct counter *counter)
{
    for (int slot = 0; counter->moved >> slot; slot++) {
        struct counter_state state;

        if (!(counter->moved >> slot & 1))
            continue;
        state = state_of(counter, slot, counter->slots[slot].settled);
        limits->on_moved(limits->moved_arg, &state);
        mem_free(state.key);
    }
    counter->moved = 0;
}

bool limits_note_change(struct limits *limits, struct counter *counter)
{
    if (!counter->dirty)
        return false;
    if (limits->on_moved && counter->moved)
        tell_moved(limits, counter);
    if (!counter->next_dirty) {
        counter->next_dirty = limits->dirty;
        limits->dirty = counter;
    }
    return true;
}

void limits_load_counter(struct limits *limits, const struct counter_state *state)
{
    struct store_limit limit = {
        .key = state->key, .window = state->window, .sliding = state->sliding, .zone = state->zone
    };

    counter_load(limits_find(limits, &limit, true), state->at, state->ends, state->settled);
}

void limits_load_learnt(struct limits *limits, const struct store_learnt *word)
{
    learnt_load(&limits->learnt, word);
}

static void tell_slot(const struct counter *counter, int slot, int64_t amount,
                      void (*on_counter)(void *arg, const struct counter_state *), void *arg)
{
    struct counter_state state = state_of(counter, slot, amount);

    on_counter(arg, &state);
}

static int64_t total_of(const struct counter_slot *slot)
{
    return slot->settled > INT64_MAX - slot->reserved ? INT64_MAX : slot->settled + slot->reserved;
}

/* What is to be told of a changed slot. False: nothing. */
static bool news_of(const struct limits *limits, struct counter_slot *slot, int64_t *amount)
{
    int64_t total = total_of(slot);

    *amount = slot->settled;
    if (!limits->is_handed_over)
        return true;
    *amount = total - slot->told;
    slot->told = total;
    return *amount != 0;
}

static struct counter *take_dirty(struct limits *limits)
{
    struct counter *counter = limits->dirty;

    if (counter == &limits_last_dirty)
        return NULL;
    limits->dirty = counter->next_dirty;
    counter->next_dirty = NULL;
    return counter;
}

bool limits_each_changed(struct limits *limits, bool all_words,
                         void (*on_counter)(void *arg, const struct counter_state *),
                         void (*on_learnt)(void *arg, const struct store_learnt *), void *arg)
{
    struct counter *counter;
    int64_t amount;
    bool some_wait;

    pthread_mutex_lock(&limits->lock);
    while ((counter = take_dirty(limits))) {
        for (int slot = 0; counter->dirty >> slot; slot++)
            if ((counter->dirty >> slot & 1) && news_of(limits, &counter->slots[slot], &amount))
                tell_slot(counter, slot, amount, on_counter, arg);
        counter->dirty = 0;
    }
    some_wait = learnt_each_dirty(&limits->learnt, all_words, on_learnt, arg);
    pthread_mutex_unlock(&limits->lock);
    return some_wait;
}

void limits_watch(struct limits *limits, void (*on_moved)(void *arg, const struct counter_state *state), void *arg)
{
    pthread_mutex_lock(&limits->lock);
    limits->on_moved = on_moved;
    limits->moved_arg = arg;
    pthread_mutex_unlock(&limits->lock);
}

void limits_hand_over(struct limits *limits, void (*on_counter)(void *arg, const struct counter_state *), void *arg)
{
    struct counter *counter;
    size_t at = 0;

    pthread_mutex_lock(&limits->lock);
    limits->is_handed_over = true;
    while ((counter = hash_next(&limits->counters, &at))) {
        for (int slot = 0; slot < (counter->sliding ? COUNTER_SLOTS : 1); slot++) {
            struct counter_slot *here = &counter->slots[slot];

            here->told = total_of(here);
            if (here->told || (counter->dirty >> slot & 1))
                tell_slot(counter, slot, here->told, on_counter, arg);
        }
        counter->dirty = 0;
    }
    while (take_dirty(limits))
        ;
    pthread_mutex_unlock(&limits->lock);
}

void limits_take_back(struct limits *limits)
{
    struct counter *counter;
    size_t at = 0;

    pthread_mutex_lock(&limits->lock);
    limits->is_handed_over = false;
    while ((counter = hash_next(&limits->counters, &at))) {
        counter_touch_all(counter);
        limits_note_change(limits, counter);
    }
    pthread_mutex_unlock(&limits->lock);
}

bool limits_add(struct limits *limits, const struct counter_state *difference)
{
    struct store_limit limit = {
        .key = difference->key, .window = difference->window, .sliding = difference->sliding, .zone = difference->zone
    };
    struct counter *counter;
    bool changed;

    pthread_mutex_lock(&limits->lock);
    counter = limits_find(limits, &limit, true);
    changed = counter_add(counter, difference->at, difference->ends, difference->settled) &&
              limits_note_change(limits, counter);
    pthread_mutex_unlock(&limits->lock);
    return changed;
}

int64_t limits_now(struct limits *limits)
{
    int64_t now;

    pthread_mutex_lock(&limits->lock);
    now = limits->now;
    pthread_mutex_unlock(&limits->lock);
    return now;
}
