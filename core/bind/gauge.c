/*
 * gauge.c - moongate.core.gauge: how a target stands. Every candidate of every
 * request is asked, so what is asked for is read once, and an answer is numbers
 * rather than tables.
 */
#include "bind/bind.h"

#include <math.h>
#include <string.h>

#include <lauxlib.h>

#include "base/clock.h"
#include "bind/seen.h"
#include "gate/gate.h"
#include "gate/health.h"
#include "gate/worker.h"
#include "store/store.h"

enum { WORDS_FEW = 16, WORD_VALUES = 7 };

/* Its strings are Lua's, held by the table that it was read from. */
struct gauge {
    int index;
    const char *id, *provider, *model;
    size_t count;
    struct store_limit limits[];
};

static const struct gauge *gauge_of(lua_State *L)
{
    return lua_touserdata(L, lua_upvalueindex(1));
}

/* Pushes the seconds that the target or its provider is exhausted for, whichever waits longer, and why; nil if not. */
static void push_exhausted(lua_State *L, const struct gauge *gauge, int64_t now)
{
    struct store *store = bind_worker(L)->gate->store;
    char reason[256], other[256];
    int64_t until = store_exhausted(store, gauge->id, now, reason, sizeof reason);
    int64_t all = store_exhausted(store, gauge->provider, now, other, sizeof other), last = all > until ? all : until;

    if (last <= now) {
        lua_pushnumber(L, 0);
        lua_pushnil(L);
        return;
    }
    lua_pushnumber(L, (lua_Number)(last - now) / 1000);
    lua_pushstring(L, all > until ? other : reason);
}

static void push_counts(lua_State *L, const struct gauge *gauge, int64_t now)
{
    struct store *store = bind_worker(L)->gate->store;

    lua_createtable(L, (int)gauge->count, 0);
    for (size_t i = 0; i < gauge->count; i++) {
        lua_pushnumber(L, (lua_Number)store_used(store, &gauge->limits[i], now, NULL));
        lua_rawseti(L, -2, (int)i + 1);
    }
}

/* In few digits: what is recorded of a decision is what was seen, to the bit. */
static lua_Number rounded(double value, int places)
{
    return floor(value * places + 0.5) / places;
}

/* Pushes open, latency in ms or false, error rate, seconds until an open breaker lets one through. */
static void push_health(lua_State *L, const struct gauge *gauge, int64_t now)
{
    struct health_state state = health_state(bind_worker(L)->gate->health, gauge->id, now);

    lua_pushboolean(L, state.open);
    if (state.latency_ms < 0)
        lua_pushboolean(L, 0);
    else
        lua_pushnumber(L, rounded(state.latency_ms, 100));
    lua_pushnumber(L, rounded(state.error_rate, 10000));
    lua_pushnumber(L, state.open_until > now ? (lua_Number)(state.open_until - now) / 1000 : 0);
}

/* exhausted(): seconds left (0: usable), of the target or of its provider, whichever waits longer; and the reason */
static int exhausted(lua_State *L)
{
    push_exhausted(L, gauge_of(L), clock_wall_ms());
    return 2;
}

/* counts(): what is used of each limit, as a list in their order */
static int counts(lua_State *L)
{
    push_counts(L, gauge_of(L), clock_wall_ms());
    return 1;
}

/* health(): open, latency in ms or false, error rate, seconds until an open breaker lets one through */
static int health(lua_State *L)
{
    push_health(L, gauge_of(L), clock_wall_ms());
    return 4;
}

/* read(): what a view has seen, with all of these in it */
static int read_all(lua_State *L)
{
    const struct gauge *gauge = gauge_of(L);
    int64_t now = clock_recent_wall_ms();

    lua_settop(L, 0);
    lua_createtable(L, SEEN_PLACES, 0);
    lua_pushinteger(L, gauge->index);
    push_exhausted(L, gauge, now);
    push_health(L, gauge, now);
    push_counts(L, gauge, now);
    for (int place = SEEN_COUNTS; place >= SEEN_INDEX; place--)
        lua_rawseti(L, 1, place);
    return 1;
}

/* What a provider told of what remains for this target. Copied: the store's lock is held meanwhile. */
struct words {
    const struct gauge *gauge;
    struct store_learnt *items;
    size_t count, capacity;
    bool by_model; /* any is of one model, be it another */
};

static void add_word(void *arg, const struct store_learnt *word)
{
    struct words *words = arg;

    words->by_model = words->by_model || *word->model;
    if (word->remaining < 0 || (*word->model && strcmp(word->model, words->gauge->model) != 0))
        return;
    if (words->count < words->capacity)
        words->items[words->count] = *word;
    words->count++;
}

/*
 * told(list): writes into the list what the provider told of what remains, for this model or for all, and answers how
 * much of the list that is, and whether it told anything of single models, this one or others. Of each word metric,
 * window, source, whether it is of this model alone, what remains, seconds until it is reset (false: not told), and its
 * age in seconds.
 */
static int told(lua_State *L)
{
    struct store_learnt few[WORDS_FEW];
    struct words words = { gauge_of(L), few, 0, WORDS_FEW, false };
    struct store *store = bind_worker(L)->gate->store;
    int64_t now = clock_recent_wall_ms();
    int at = 0;

    luaL_checktype(L, 1, LUA_TTABLE);
    store_each_learnt(store, words.gauge->provider, add_word, &words);
    /* In memory of Lua's: what follows may raise where a policy has used up its own. */
    while (words.count > words.capacity) {
        words.capacity = words.count;
        words.items = lua_newuserdata(L, words.capacity * sizeof *words.items);
        words.count = 0;
        store_each_learnt(store, words.gauge->provider, add_word, &words);
    }
    for (size_t i = 0; i < words.count; i++) {
        const struct store_learnt *word = &words.items[i];

        lua_pushstring(L, word->metric);
        lua_pushstring(L, word->window);
        lua_pushstring(L, word->source);
        lua_pushboolean(L, *word->model != '\0');
        lua_pushnumber(L, (lua_Number)word->remaining);
        if (word->reset_at > 0)
            lua_pushnumber(L, word->reset_at > now ? (lua_Number)(word->reset_at - now) / 1000 : 0);
        else
            lua_pushboolean(L, 0);
        lua_pushnumber(L, (lua_Number)(now - word->seen_at) / 1000);
        at += WORD_VALUES;
        for (int value = 0; value < WORD_VALUES; value++)
            lua_rawseti(L, 1, at - value);
    }
    lua_pushinteger(L, at);
    lua_pushboolean(L, words.by_model);
    return 2;
}

static const char *needed(lua_State *L, const char *name)
{
    const char *text = bind_text(L, 1, name);

    lua_pop(L, 1);
    luaL_argcheck(L, text, 1, "a target has an id, a provider and a model");
    return text;
}

static const struct luaL_Reg readers[] = {
    { "exhausted", exhausted }, { "counts", counts }, { "health", health },
    { "told", told },           { "read", read_all }, { NULL, NULL },
};

/*
 * of({ index, id, provider, model, limits = { { key, window, sliding, zone } ... } }): { exhausted, counts, health,
 * told, read }, the functions above. The table is read once, and must not change.
 */
static int gauge_lua_of(lua_State *L)
{
    struct gauge *gauge;
    size_t count;

    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_getfield(L, 1, "limits");
    luaL_checktype(L, 2, LUA_TTABLE);
    count = lua_objlen(L, 2);
    gauge = lua_newuserdata(L, sizeof *gauge + count * sizeof *gauge->limits);
    *gauge = (struct gauge){ (int)bind_integer(L, 1, "index", 0), needed(L, "id"), needed(L, "provider"),
                             needed(L, "model"), count };
    lua_createtable(L, (int)count, 0); /* of the names of counters */
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, 2, (int)i + 1);
        luaL_checktype(L, 5, LUA_TTABLE);
        gauge->limits[i] = bind_read_limit(L, 5);
        bind_name_limit(L, &gauge->limits[i]);
        lua_rawseti(L, 4, (int)i + 1);
        lua_settop(L, 4);
    }
    lua_setfenv(L, 3);
    lua_createtable(L, 0, sizeof readers / sizeof *readers);
    for (const luaL_Reg *reader = readers; reader->name; reader++) {
        lua_pushvalue(L, 3);
        lua_pushvalue(L, 1);
        lua_pushcclosure(L, reader->func, 2);
        lua_setfield(L, -2, reader->name);
    }
    return 1;
}

static const luaL_Reg functions[] = {
    { "of", gauge_lua_of },
    { NULL, NULL },
};

int bind_gauge_module(lua_State *L)
{
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
