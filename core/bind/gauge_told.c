/*
 * gauge_told.c - what a provider told of what remains for a target: of each limit
 * the word that is trusted most, of those that still hold. What a word means is
 * said by Lua, and asked for once.
 */
#include "bind/bind.h"

#include <string.h>

#include <lauxlib.h>

#include "base/clock.h"
#include "bind/seen.h"
#include "gate/gate.h"
#include "gate/worker.h"

enum { WORDS_FEW = 16, MEANINGS = 32 };

struct meaning {
    char metric[24], window[12], source[12];
    struct gauge_name name;
    int rank;       /* of the source: 1 is trusted most */
    double lasts_s; /* that it holds where no reset was told */
};

struct words {
    int name_count;
    size_t count, next; /* meanings: the eldest gives way */
    struct meaning meanings[MEANINGS];
};

void gauge_push_words(lua_State *L)
{
    struct words *words = lua_newuserdata(L, sizeof *words);

    *words = (struct words){ 0 };
    lua_newtable(L);
}

void gauge_set_meaning(lua_State *L)
{
    lua_rawseti(L, lua_upvalueindex(GAUGE_UP_NAMES), 0);
}

struct gauge_name gauge_name(lua_State *L)
{
    struct words *words = lua_touserdata(L, lua_upvalueindex(GAUGE_UP_WORDS));
    struct gauge_name name = { lua_tostring(L, -1), 0 };

    lua_pushvalue(L, -1);
    lua_rawget(L, lua_upvalueindex(GAUGE_UP_NAMES));
    name.number = (int)lua_tointeger(L, -1);
    lua_pop(L, 1);
    if (name.number) {
        lua_pop(L, 1);
        return name;
    }
    name.number = ++words->name_count;
    lua_pushvalue(L, -1);
    lua_rawseti(L, lua_upvalueindex(GAUGE_UP_NAMES), name.number);
    lua_pushinteger(L, name.number);
    lua_rawset(L, lua_upvalueindex(GAUGE_UP_NAMES));
    return name;
}

static struct meaning ask(lua_State *L, const struct store_learnt *word)
{
    struct meaning meaning = { .name = { NULL, 0 } };

    luaL_checkstack(L, 8, "too much was told");
    lua_rawgeti(L, lua_upvalueindex(GAUGE_UP_NAMES), 0);
    lua_pushstring(L, word->metric);
    lua_pushstring(L, word->window);
    lua_pushstring(L, word->source);
    lua_call(L, 3, 3);
    meaning.rank = (int)lua_tointeger(L, -2);
    meaning.lasts_s = lua_tonumber(L, -1);
    lua_pop(L, 2);
    if (lua_type(L, -1) == LUA_TSTRING)
        meaning.name = gauge_name(L);
    else
        lua_pop(L, 1);
    memcpy(meaning.metric, word->metric, sizeof meaning.metric);
    memcpy(meaning.window, word->window, sizeof meaning.window);
    memcpy(meaning.source, word->source, sizeof meaning.source);
    return meaning;
}

static const struct meaning *meaning_of(lua_State *L, const struct store_learnt *word)
{
    struct words *words = lua_touserdata(L, lua_upvalueindex(GAUGE_UP_WORDS));
    struct meaning *place;

    for (size_t i = 0; i < words->count; i++) {
        const struct meaning *meaning = &words->meanings[i];

        if (strcmp(meaning->metric, word->metric) == 0 && strcmp(meaning->window, word->window) == 0 &&
            strcmp(meaning->source, word->source) == 0)
            return meaning;
    }
    place = &words->meanings[words->next];
    *place = ask(L, word);
    words->next = (words->next + 1) % MEANINGS;
    if (words->count < MEANINGS)
        words->count++;
    return place;
}

/* What may count, copied: the store's lock is held meanwhile. */
struct heard {
    const char *model;
    int64_t now;
    struct store_learnt *words;
    size_t count, capacity;
};

static void add_word(void *arg, const struct store_learnt *word)
{
    struct heard *heard = arg;

    if (word->remaining < 0 || (word->reset_at > 0 && word->reset_at <= heard->now) ||
        (*word->model && strcmp(word->model, heard->model) != 0))
        return;
    if (heard->count < heard->capacity)
        heard->words[heard->count] = *word;
    heard->count++;
}

/* What was told of one limit: of all models, and of this one. */
struct best {
    struct gauge_name name;
    struct {
        int rank; /* 0: nothing was told */
        double remains;
    } of[2];
};

static void keep_best(struct best *best, size_t *count, const struct meaning *meaning, const struct store_learnt *word)
{
    int of = *word->model != '\0';
    size_t i = 0;

    while (i < *count && best[i].name.number != meaning->name.number)
        i++;
    if (i == *count)
        best[(*count)++] = (struct best){ .name = meaning->name };
    if (best[i].of[of].rank && best[i].of[of].rank <= meaning->rank)
        return;
    best[i].of[of].rank = meaning->rank;
    best[i].of[of].remains = (double)word->remaining;
}

static double least(const struct best *best)
{
    bool is_second = !best->of[0].rank || (best->of[1].rank && best->of[1].remains < best->of[0].remains);

    return best->of[is_second].remains;
}

/* What was told with a reset counts until then, and is not even copied later. */
static bool holds(const struct meaning *meaning, const struct store_learnt *word, int64_t now)
{
    return word->reset_at > 0 || (double)(now - word->seen_at) / 1000 < meaning->lasts_s;
}

int gauge_read_told(lua_State *L, const struct gauge *gauge, struct seen_told *told, int room)
{
    struct store_learnt few[WORDS_FEW];
    struct best few_best[WORDS_FEW], *best = few_best;
    struct heard heard = { gauge->model, clock_recent_wall_ms(), few, 0, WORDS_FEW };
    struct store *store = bind_worker(L)->gate->store;
    int top = lua_gettop(L);
    size_t count = 0;

    store_each_learnt(store, gauge->provider, add_word, &heard);
    /* In memory of Lua's: what follows may raise where a policy has used up its own. */
    while (heard.count > heard.capacity) {
        heard.capacity = heard.count;
        heard.words = lua_newuserdata(L, heard.capacity * sizeof *heard.words);
        best = lua_newuserdata(L, heard.capacity * sizeof *best);
        heard.count = 0;
        store_each_learnt(store, gauge->provider, add_word, &heard);
    }
    for (size_t i = 0; i < heard.count; i++) {
        const struct meaning *meaning = meaning_of(L, &heard.words[i]);

        if (meaning->name.number && holds(meaning, &heard.words[i], heard.now))
            keep_best(best, &count, meaning, &heard.words[i]);
    }
    for (size_t i = 0; i < count && i < (size_t)room; i++)
        told[i] = (struct seen_told){ best[i].name, least(&best[i]) };
    lua_settop(L, top);
    return (int)count;
}
