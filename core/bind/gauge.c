/*
 * gauge.c - moongate.core.gauge: how a target stands. Every candidate of every
 * request is asked, so what has been read stays in C: it is read once, most of it
 * in one call, and only what somebody asks for becomes a value of Lua's.
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

enum { WHY_SIZE = 256, RESTS_FEW = 32, TOLD_FEW = 16 };

static const char GAUGE[] = "moongate.gauge", SEEN[] = "moongate.seen";

/* A block of this kind at index: what it holds besides differs from one to the next. */
static void *block_at(lua_State *L, int index, const char *type, size_t least)
{
    void *block = lua_touserdata(L, index);

    if (!block || lua_objlen(L, index) < least || *(const char *const *)block != type)
        luaL_typerror(L, index, type);
    return block;
}

static struct gauge *gauge_at(lua_State *L, int index)
{
    return block_at(L, index, GAUGE, sizeof(struct gauge));
}

struct seen *seen_at(lua_State *L, int index)
{
    return block_at(L, index, SEEN, sizeof(struct seen));
}

/* The seconds that the target or its provider is exhausted for, whichever waits longer, and why. */
static double read_wait(struct store *store, const struct gauge *gauge, int64_t now, char why[static WHY_SIZE])
{
    char other[WHY_SIZE];
    int64_t until = store_exhausted(store, gauge->id, now, why, WHY_SIZE);
    int64_t all = store_exhausted(store, gauge->provider, now, other, sizeof other);

    if (all > until) {
        until = all;
        memcpy(why, other, sizeof other);
    }
    return until > now ? (double)(until - now) / 1000 : 0;
}

/* Pushes one of which nothing has been read. environment: of its gauge or another reading. */
static struct seen *push_empty(lua_State *L, int environment, struct gauge *gauge, size_t why_size)
{
    size_t told = (size_t)gauge->told_room * sizeof(struct seen_told), counts = gauge->count * sizeof(int64_t);
    struct seen *seen = lua_newuserdata(L, sizeof *seen + told + counts + why_size);
    char *behind = (char *)seen->told + told;

    *seen = (struct seen){ .type = SEEN, .gauge = gauge, .told_room = gauge->told_room };
    seen->counts = (int64_t *)(void *)behind;
    seen->why = why_size ? behind + counts : NULL;
    lua_getfenv(L, environment);
    lua_setfenv(L, -2);
    return seen;
}

/* Pushes one that knows whether its target is exhausted, though nobody has asked: only who is needs room for why. */
static struct seen *push_seen(lua_State *L, int index)
{
    struct gauge *gauge = gauge_at(L, index);
    char why[WHY_SIZE];
    double wait_s = read_wait(bind_worker(L)->gate->store, gauge, clock_recent_wall_ms(), why);
    struct seen *seen = push_empty(L, index, gauge, wait_s > 0 ? strlen(why) + 1 : 0);

    seen->wait_s = wait_s;
    if (seen->why)
        memcpy(seen->why, why, strlen(why) + 1);
    return seen;
}

/* In few digits: what is recorded of a decision is what was seen, to the bit. */
static double rounded(double value, int places)
{
    return floor(value * places + 0.5) / places;
}

static void need_health(lua_State *L, struct seen *seen)
{
    struct health_state state;
    int64_t now;

    if (seen->parts & SEEN_HEALTH)
        return;
    now = clock_recent_wall_ms();
    state = health_state(bind_worker(L)->gate->health, seen->gauge->id, now);
    seen->is_open = state.open;
    seen->latency_ms = state.latency_ms < 0 ? -1 : rounded(state.latency_ms, 100);
    seen->error_rate = rounded(state.error_rate, 10000);
    seen->open_s = state.open_until > now ? (double)(state.open_until - now) / 1000 : 0;
    seen->parts |= SEEN_HEALTH;
}

static void need_counts(lua_State *L, struct seen *seen)
{
    struct store *store = bind_worker(L)->gate->store;
    int64_t now = clock_recent_wall_ms();

    if (seen->parts & SEEN_COUNTS)
        return;
    for (size_t i = 0; i < seen->gauge->count; i++)
        seen->counts[i] = store_used(store, &seen->gauge->limits[i].limit, now, NULL);
    seen->parts |= SEEN_COUNTS;
}

/* What has been read, into one that has more room. */
static void copy_seen(struct seen *to, const struct seen *from)
{
    struct seen own = *to;

    *to = *from;
    to->counts = own.counts;
    to->why = own.why;
    to->told_room = own.told_room;
    memcpy(to->counts, from->counts, from->gauge->count * sizeof *to->counts);
    if (to->why)
        memcpy(to->why, from->why, strlen(from->why) + 1);
}

/* The reading at index; another one is put in its place where what was told needs more room. */
static struct seen *need_told(lua_State *L, int index)
{
    struct seen *seen = seen_at(L, index), *larger;
    struct gauge *gauge = seen->gauge;

    while (!(seen->parts & SEEN_TOLD)) {
        int count = gauge_read_told(L, gauge, seen->told, seen->told_room);

        if (count <= seen->told_room) {
            seen->told_count = count;
            seen->parts |= SEEN_TOLD;
            break;
        }
        if (gauge->told_room < count)
            gauge->told_room = count;
        larger = push_empty(L, index, gauge, seen->why ? strlen(seen->why) + 1 : 0);
        copy_seen(larger, seen);
        seen = larger;
        lua_replace(L, index);
    }
    return seen;
}

/* begin(gauge): a reading of which nobody has asked for anything: what is asked for is read. */
static int gauge_lua_begin(lua_State *L)
{
    push_seen(L, 1);
    return 1;
}

/* Reads all that the reading at index has not read yet: it, or another one in its place. */
static struct seen *need_all(lua_State *L, int index)
{
    struct seen *seen = need_told(L, index);

    seen->parts |= SEEN_WAIT;
    need_health(L, seen);
    need_counts(L, seen);
    return seen;
}

/* read(gauge): a reading of which all has been read, and whether its target may be called. */
static int gauge_lua_read(lua_State *L)
{
    const struct seen *seen;

    lua_settop(L, 1);
    push_seen(L, 1);
    seen = need_all(L, 2);
    lua_pushboolean(L, seen->wait_s == 0 && !seen->is_open);
    return 2;
}

/* complete(seen): it, or another one in its place, of which all has been read. */
static int gauge_lua_complete(lua_State *L)
{
    lua_settop(L, 1);
    need_all(L, 1);
    return 1;
}

/* exhausted(seen): seconds left (0: usable), of the target or of its provider, whichever waits longer; and the reason
 */
static int gauge_lua_exhausted(lua_State *L)
{
    struct seen *seen = seen_at(L, 1);

    seen->parts |= SEEN_WAIT;
    lua_pushnumber(L, seen->wait_s);
    lua_pushstring(L, seen->why ? seen->why : "");
    return 2;
}

/* health(seen): open, latency in ms or nil, error rate, seconds until an open breaker lets one through */
static int gauge_lua_health(lua_State *L)
{
    struct seen *seen = seen_at(L, 1);

    need_health(L, seen);
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
    struct seen *seen = seen_at(L, 1);

    need_counts(L, seen);
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
    struct seen *seen;
    size_t count = 0;

    lua_settop(L, 1);
    seen = need_told(L, 1);
    need_counts(L, seen);
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
        GAUGE, (int)bind_integer(L, 1, "index", 0), 0, needed(L, "id"), needed(L, "provider"), needed(L, "model"), count
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
