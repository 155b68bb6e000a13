/* learnt.c - see learnt.h. */
#include "store/learnt.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "store/counter.h"

/* A provider tells a handful of limits a model; more than this is a mistake. */
enum { ENTRIES_MAX = 8192 };

/* Answers overtake each other by seconds; a word that is older by more is of a clock that was ahead before. */
static const int64_t OVERTAKEN_MS = 3600 * 1000;

/* Who told it, the most trusted first; see learnt.h. What was kept by an earlier version is a header's word. */
static const char *const sources[] = { "header", "checker", "error", "probe" };
enum { SOURCES = sizeof sources / sizeof *sources };

struct learnt_entry {
    struct learnt_entry *next; /* of the same provider */
    struct learnt_entry *twin; /* a ring: of the same limit, by other sources */
    int rank;                  /* in sources */
    struct learnt_entry *next_dirty;
    bool is_dirty;
    int64_t stopped_until; /* as it was when it was handed over last; -1: it never was */
    uint64_t word;         /* counts the words of the provider */
    struct store_learnt told;
};

/* Until when the provider's word holds: its own reset, or one window after it was heard. */
static int64_t holds_until(const struct store_learnt *told)
{
    enum window window;

    if (told->reset_at > 0)
        return told->reset_at;
    if (!window_parse(told->window, &window))
        window = WINDOW_MINUTE;
    return window == WINDOW_NONE ? INT64_MAX : told->seen_at + counter_length(window);
}

/* Until when it lets no call through; 0: it lets some. */
static int64_t stops_until(const struct store_learnt *told)
{
    return told->remaining == 0 ? holds_until(told) : 0;
}

static void mark_dirty(struct learnt *learnt, struct learnt_entry *entry)
{
    learnt->is_urgent |= stops_until(&entry->told) != entry->stopped_until;
    if (entry->is_dirty)
        return;
    entry->is_dirty = true;
    entry->next_dirty = learnt->dirty;
    learnt->dirty = entry;
}

static struct learnt_entry *first_of(const struct learnt *learnt, const char *provider)
{
    return provider ? hash_get(&learnt->providers, provider, strlen(provider)) : NULL;
}

static int rank_of(const struct store_learnt *word)
{
    for (int rank = 0; rank < SOURCES; rank++)
        if (strcmp(word->source, sources[rank]) == 0)
            return rank;
    return 0;
}

static bool is_same_limit(const struct store_learnt *a, const struct store_learnt *b)
{
    return strcmp(a->metric, b->metric) == 0 && strcmp(a->window, b->window) == 0 && strcmp(a->model, b->model) == 0;
}

/* NULL: there are too many. */
static struct learnt_entry *entry_of(struct learnt *learnt, const struct store_learnt *word)
{
    struct learnt_entry *first = hash_get(&learnt->providers, word->provider, strlen(word->provider));
    struct learnt_entry *entry, *twin = NULL;
    int rank = rank_of(word);
    size_t count = 0;

    for (entry = first; entry; entry = entry->next, count++) {
        if (!is_same_limit(&entry->told, word))
            continue;
        if (entry->rank == rank)
            return entry;
        twin = entry;
    }
    if (count >= ENTRIES_MAX)
        return NULL;
    entry = mem_zero(sizeof *entry);
    entry->told = *word;
    entry->told.seen_at = 0;
    entry->stopped_until = -1;
    entry->rank = rank;
    entry->twin = twin ? twin->twin : entry;
    if (twin)
        twin->twin = entry;
    if (first) {
        entry->next = first->next;
        first->next = entry;
    } else {
        hash_put(&learnt->providers, entry->told.provider, strlen(entry->told.provider), entry);
    }
    return entry;
}

bool learnt_put(struct learnt *learnt, const struct store_learnt *word)
{
    struct learnt_entry *entry = entry_of(learnt, word);

    if (!entry || (word->seen_at < entry->told.seen_at && word->seen_at > entry->told.seen_at - OVERTAKEN_MS))
        return false;
    entry->told = *word;
    entry->word++;
    mark_dirty(learnt, entry);
    return true;
}

bool learnt_inherit(struct learnt *learnt, const struct store_learnt *word)
{
    struct learnt_entry *entry = entry_of(learnt, word);

    return entry && word->seen_at > entry->told.seen_at && learnt_put(learnt, word);
}

void learnt_load(struct learnt *learnt, const struct store_learnt *word)
{
    struct learnt_entry *entry = entry_of(learnt, word);

    if (!entry)
        return;
    entry->told = *word;
    entry->stopped_until = stops_until(word);
}

/* Whether a more trusted source says what remains of that limit. */
static bool is_outranked(const struct learnt_entry *entry, int64_t now)
{
    for (const struct learnt_entry *twin = entry->twin; twin != entry; twin = twin->twin)
        if (twin->rank < entry->rank && twin->told.remaining >= 0 && now < holds_until(&twin->told))
            return true;
    return false;
}

static bool is_outdated(const struct learnt_entry *entry)
{
    for (const struct learnt_entry *twin = entry->twin; twin != entry; twin = twin->twin)
        if (twin->told.seen_at > entry->told.seen_at)
            return true;
    return false;
}

/* What the call takes of that limit; -1 if it has nothing to do with it. */
static int64_t draw_of(const struct store_learnt *told, const struct store_call *call, int64_t now)
{
    int64_t draw;

    if (told->model[0] && (!call->model || strcmp(told->model, call->model) != 0))
        return -1;
    if (told->remaining < 0 || now >= holds_until(told))
        return -1;
    if (strcmp(told->metric, "requests") == 0)
        return 1;
    if (strcmp(told->metric, "tokens") != 0 && strcmp(told->metric, "input_tokens") != 0)
        return -1;
    draw = call->tokens;
    return draw > 0 ? draw : -1;
}

bool learnt_allows(struct learnt *learnt, const struct store_call *call, int64_t now, struct store_verdict *verdict)
{
    bool fits = true;

    for (struct learnt_entry *entry = first_of(learnt, call->provider); entry; entry = entry->next) {
        const struct store_learnt *told = &entry->told;
        int64_t draw = draw_of(told, call, now), until = holds_until(told);
        bool never = until == INT64_MAX || (told->limit >= 0 && draw > told->limit);
        int64_t wait = never ? 0 : until - now;

        if (draw <= told->remaining || is_outranked(entry, now))
            continue;
        if (fits || wait == 0 || (verdict->wait_ms > 0 && wait > verdict->wait_ms)) {
            snprintf(verdict->blocked, sizeof verdict->blocked, "provider:%.40s%s%.48s:%.20s %s (told by the provider)",
                     told->provider, told->model[0] ? "/" : "", told->model, told->metric, told->window);
            verdict->wait_ms = wait;
        }
        fits = false;
    }
    return fits;
}

size_t learnt_take(struct learnt *learnt, const struct store_call *call, int64_t now, struct learnt_draw **draws)
{
    size_t count = 0;

    *draws = NULL;
    for (struct learnt_entry *entry = first_of(learnt, call->provider); entry; entry = entry->next) {
        int64_t draw = draw_of(&entry->told, call, now);

        if (draw < 0)
            continue;
        if (draw > entry->told.remaining) /* a more trusted source allowed it */
            draw = entry->told.remaining;
        if ((count & (count - 1)) == 0)
            *draws = mem_resize(*draws, (count ? count * 2 : 1) * sizeof **draws);
        (*draws)[count++] = (struct learnt_draw){ entry, entry->word, draw };
        entry->told.remaining -= draw;
        mark_dirty(learnt, entry);
    }
    return count;
}

void learnt_give_back(struct learnt *learnt, const struct learnt_draw *draw)
{
    if (draw->word != draw->entry->word)
        return;
    draw->entry->told.remaining += draw->amount;
    mark_dirty(learnt, draw->entry);
}

void learnt_each(const struct learnt *learnt, const char *provider,
                 void (*each)(void *arg, const struct store_learnt *), void *arg)
{
    struct learnt_entry *entry;
    size_t at = 0;

    if (provider) {
        for (entry = first_of(learnt, provider); entry; entry = entry->next)
            each(arg, &entry->told);
        return;
    }
    while ((entry = hash_next(&learnt->providers, &at)))
        for (; entry; entry = entry->next)
            each(arg, &entry->told);
}

bool learnt_each_dirty(struct learnt *learnt, bool all, void (*each)(void *arg, const struct store_learnt *), void *arg)
{
    if (!all && !learnt->is_urgent)
        return learnt->dirty != NULL;
    learnt->is_urgent = false;
    while (learnt->dirty) {
        struct learnt_entry *entry = learnt->dirty;

        learnt->dirty = entry->next_dirty;
        entry->is_dirty = false;
        entry->stopped_until = stops_until(&entry->told);
        if (!is_outdated(entry))
            each(arg, &entry->told);
    }
    return false;
}

void learnt_free(struct learnt *learnt)
{
    struct learnt_entry *entry, *next;
    size_t at = 0;

    while ((entry = hash_next(&learnt->providers, &at))) {
        for (; entry; entry = next) {
            next = entry->next;
            mem_free(entry);
        }
    }
    hash_free(&learnt->providers);
    learnt->dirty = NULL;
}
