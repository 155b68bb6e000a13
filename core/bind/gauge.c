/*
 * gauge.c - moongate.core.gauge: how a target stands. Every candidate of every
 * request is asked, so what has been read stays in C: it is read once, most of it
 * in one call, and only what somebody asks for becomes a value of Lua's.
 */
#include "bind/bind.h"

#include <math.h>

#include <lauxlib.h>

#include "bind/seen.h"

enum { RESTS_FEW = 32, TOLD_FEW = 16 };

/* begin(gauge): a reading of which nobody has asked for anything: what is asked for is read. */
static int gauge_lua_begin(lua_State *L)
{
    seen_push(L, 1);
    return 1;
}

/* read(gauge): a reading of which all has been read, and whether its target may be called. */
static int gauge_lua_read(lua_State *L)
{
    const struct seen *seen;

    lua_settop(L, 1);
    seen_push(L, 1);
    seen = seen_need(L, 2, SEEN_READ);
    lua_pushboolean(L, seen->wait_s == 0 && !seen->is_open);
    return 2;
}

/* complete(seen): it, or another one in its place, of which all has been read. */
static int gauge_lua_complete(lua_State *L)
{
    lua_settop(L, 1);
    seen_need(L, 1, SEEN_READ);
    return 1;
}

/* exhausted(seen): seconds left (0: usable), of the target or of its provider, whichever waits longer; and the reason
 */
static int gauge_lua_exhausted(lua_State *L)
{
    const struct seen *seen = seen_need(L, 1, SEEN_WAIT);

    lua_pushnumber(L, seen->wait_s);
    lua_pushstring(L, seen->why ? seen->why : "");
    return 2;
}

/* health(seen): open, latency in ms or nil, error rate, seconds until an open breaker lets one through */
static int gauge_lua_health(lua_State *L)
{
    const struct seen *seen = seen_need(L, 1, SEEN_HEALTH);

    lua_pushboolean(L, seen->is_open);
    if (seen->latency_ms < 0)
        lua_pushnil(L);
    else
        lua_pushnumber(L, seen->latency_ms);
    lua_pushnumber(L, seen->error_rate);
    lua_pushnumber(L, seen->open_s);
    return 4;
}

/* counts(seen): what is used of each limit, as a list in their order */
static int gauge_lua_counts(lua_State *L)
{
    const struct seen *seen = seen_need(L, 1, SEEN_COUNTS);

    lua_createtable(L, (int)seen->gauge->count, 0);
    for (size_t i = 0; i < seen->gauge->count; i++) {
        lua_pushnumber(L, (lua_Number)seen->counts[i]);
        lua_rawseti(L, -2, (int)i + 1);
    }
    return 1;
}

/* The place of a name among these, the last of which may be new. */
static struct seen_told *rest_of(struct seen_told *rests, size_t *count, struct gauge_name name)
{
    for (size_t i = 0; i < *count; i++)
        if (rests[i].name.number == name.number)
            return &rests[i];
    rests[*count] = (struct seen_told){ name, INFINITY };
    return &rests[(*count)++];
}

static bool is_told(const struct seen *seen, struct gauge_name name)
{
    for (int i = 0; i < seen->told_count; i++)
        if (seen->told[i].name.number == name.number)
            return true;
    return false;
}

static void push_by_name(lua_State *L, const struct seen_told *rests, size_t count)
{
    lua_createtable(L, 0, (int)count);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, lua_upvalueindex(GAUGE_UP_NAMES), rests[i].name.number);
        lua_pushnumber(L, rests[i].remains);
        lua_rawset(L, -3);
    }
}

/*
 * left(seen): what is left, by the names of limits, as decision.left says it of what is recorded; and the reading,
 * which may be another one now.
 */
static int gauge_lua_left(lua_State *L)
{
    struct seen_told few[RESTS_FEW], *rests = few;
    const struct gauge *gauge;
    const struct seen *seen;
    size_t count = 0;

    lua_settop(L, 1);
    seen = seen_need(L, 1, SEEN_COUNTS | SEEN_TOLD);
    gauge = seen->gauge;
    if (gauge->count + (size_t)seen->told_count > RESTS_FEW)
        rests = lua_newuserdata(L, (gauge->count + (size_t)seen->told_count) * sizeof *rests);
    for (size_t i = 0; i < gauge->count; i++) {
        const struct gauge_limit *limit = &gauge->limits[i];
        double rest = limit->max - (double)seen->counts[i];
        struct seen_told *place;

        if (limit->is_documented && is_told(seen, limit->name))
            continue;
        place = rest_of(rests, &count, limit->name);
        place->remains = fmin(place->remains, rest < 0 ? 0 : rest);
    }
    for (int i = 0; i < seen->told_count; i++) {
        struct seen_told *place = rest_of(rests, &count, seen->told[i].name);

        place->remains = fmin(place->remains, seen->told[i].remains);
    }
    push_by_name(L, rests, count);
    lua_pushvalue(L, 1);
    return 2;
}

/* remains(gauge): what its provider told that remains now, by the names of limits */
static int gauge_lua_remains(lua_State *L)
{
    const struct gauge *gauge = gauge_at(L, 1);
    struct seen_told few[TOLD_FEW], *told = few;
    int room = TOLD_FEW, count;

    while ((count = gauge_read_told(L, gauge, told, room)) > room) {
        room = count;
        told = lua_newuserdata(L, (size_t)room * sizeof *told);
    }
    push_by_name(L, told, (size_t)count);
    return 1;
}

/* balance(seen): whether it is known what is left at the target's provider, and that, if it is anything */
static int gauge_lua_balance(lua_State *L)
{
    const struct seen *seen = seen_at(L, 1);

    lua_pushboolean(L, (seen->parts & SEEN_BALANCE) != 0);
    if (!seen->has_balance)
        return 1;
    lua_pushnumber(L, seen->balance);
    return 2;
}

/* note_balance(seen, balance or nil) */
static int gauge_lua_note_balance(lua_State *L)
{
    struct seen *seen = seen_at(L, 1);

    seen->parts |= SEEN_BALANCE;
    seen->has_balance = lua_isnumber(L, 2);
    seen->balance = lua_tonumber(L, 2);
    return 0;
}

static const char *needed(lua_State *L, const char *name)
{
    const char *text = bind_text(L, 1, name);

    lua_pop(L, 1);
    luaL_argcheck(L, text, 1, "a target has an id, a provider and a model");
    return text;
}

/* Of the table on top, which it takes; what the limit's strings are held by is put into the table at held. */
static struct gauge_limit read_limit(lua_State *L, int held)
{
    int top = lua_gettop(L);
    struct gauge_limit limit = { .limit = bind_read_limit(L, top) };

    limit.max = bind_number(L, top, "max", INFINITY);
    limit.is_documented = bind_flag(L, top, "documented");
    lua_settop(L, top);
    luaL_argcheck(L, bind_text(L, top, "name"), 1, "a limit has a name");
    limit.name = gauge_name(L);
    bind_name_limit(L, &limit.limit);
    lua_rawseti(L, held, (int)lua_objlen(L, held) + 1);
    lua_settop(L, top - 1);
    return limit;
}

/*
 * of({ index, id, provider, model, limits = { { name, max, documented, key, window, sliding, zone } ... } }): a gauge.
 * The table is read once, and must not change.
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
    *gauge = (struct gauge){
        gauge_type, (int)bind_integer(L, 1, "index", 0), 0, needed(L, "id"), needed(L, "provider"), needed(L, "model"),
        count
    };
    lua_createtable(L, (int)count + 2, 0);
    lua_pushvalue(L, 1);
    lua_rawseti(L, 4, 1);
    lua_pushvalue(L, 3); /* a reading may outlive all else that knows the gauge */
    lua_rawseti(L, 4, 2);
    for (size_t i = 0; i < count; i++) {
        lua_rawgeti(L, 2, (int)i + 1);
        luaL_checktype(L, 5, LUA_TTABLE);
        gauge->limits[i] = read_limit(L, 4);
    }
    lua_setfenv(L, 3);
    return 1;
}

/*
 * meaning(function): what says what a word of a provider's means, given its metric, window and source: the limit's name
 * (nil: none that policies could read), the rank of the source (1 is trusted most), and the seconds that it holds where
 * no reset was told. The same is not asked for again and again.
 */
static int gauge_lua_meaning(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TFUNCTION);
    lua_settop(L, 1);
    gauge_set_meaning(L);
    return 0;
}

static const luaL_Reg functions[] = {
    { "balance", gauge_lua_balance },
    { "begin", gauge_lua_begin },
    { "complete", gauge_lua_complete },
    { "counts", gauge_lua_counts },
    { "exhausted", gauge_lua_exhausted },
    { "health", gauge_lua_health },
    { "left", gauge_lua_left },
    { "meaning", gauge_lua_meaning },
    { "note_balance", gauge_lua_note_balance },
    { "of", gauge_lua_of },
    { "read", gauge_lua_read },
    { "remains", gauge_lua_remains },
    { NULL, NULL },
};

int bind_gauge_module(lua_State *L)
{
    lua_createtable(L, 0, sizeof functions / sizeof *functions);
    gauge_push_words(L);
    for (const luaL_Reg *each = functions; each->name; each++) {
        lua_pushvalue(L, -2);
        lua_pushvalue(L, -2);
        lua_pushcclosure(L, each->func, GAUGE_UPS);
        lua_setfield(L, -4, each->name);
    }
    lua_settop(L, -GAUGE_UPS - 1);
    return 1;
}
