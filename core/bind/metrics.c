/* metrics.c - moongate.core.metrics: counts into the worker's set, and the sum of all sets as text. */
#include "bind/bind.h"

#include <lauxlib.h>

#include "base/buf.h"
#include "base/mem.h"
#include "gate/counters.h"
#include "gate/gate.h"
#include "gate/worker.h"

/* series(name, labels): the number to count under; it stays the same, so keep it. */
static int metrics_series(lua_State *L)
{
    const char *name = luaL_checkstring(L, 1);
    int series = counters_series(bind_worker(L)->counters, name, luaL_optstring(L, 2, ""));

    luaL_argcheck(L, series >= 0, 1, "no metric has this name");
    lua_pushinteger(L, series);
    return 1;
}

static int metrics_add(lua_State *L)
{
    counters_add(bind_worker(L)->counters, (int)luaL_checkinteger(L, 1), (int64_t)luaL_optnumber(L, 2, 1));
    return 0;
}

/* observe(series, seconds) */
static int metrics_observe(lua_State *L)
{
    counters_observe(bind_worker(L)->counters, (int)luaL_checkinteger(L, 1), luaL_checknumber(L, 2));
    return 0;
}

/* What a request ends with, told in one call: durations to observe, then amounts to add. */
struct tally {
    int observed, count;
    int series[];
};

static int tell_tally(lua_State *L)
{
    const struct tally *tally = lua_touserdata(L, lua_upvalueindex(1));
    struct counters *counters = bind_worker(L)->counters;
    int count = lua_gettop(L);

    for (int i = 0; i < tally->count && i < count; i++) {
        double number = lua_tonumber(L, i + 1);

        if (i < tally->observed)
            counters_observe(counters, tally->series[i], number);
        else
            counters_add(counters, tally->series[i], (int64_t)number);
    }
    return 0;
}

/* tally(durations, amounts): of two lists of series makes a function that is given a number for each, or the first. */
static int metrics_tally(lua_State *L)
{
    int observed, count;
    struct tally *tally;

    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, 2, LUA_TTABLE);
    observed = (int)lua_objlen(L, 1);
    count = observed + (int)lua_objlen(L, 2);
    tally = lua_newuserdata(L, sizeof *tally + (size_t)count * sizeof *tally->series);
    *tally = (struct tally){ observed, count };
    for (int i = 0; i < count; i++) {
        lua_rawgeti(L, i < observed ? 1 : 2, i < observed ? i + 1 : i - observed + 1);
        tally->series[i] = (int)luaL_checkinteger(L, -1);
        lua_pop(L, 1);
    }
    lua_pushcclosure(L, tell_tally, 1);
    return 1;
}

/* The sets of all workers, in a block that Lua frees: it stays on the stack. */
static struct counters **push_sets(lua_State *L, const struct gate *gate)
{
    struct counters **sets = lua_newuserdata(L, gate->worker_count * sizeof *sets);

    for (size_t i = 0; i < gate->worker_count; i++)
        sets[i] = gate->workers[i]->counters;
    return sets;
}

static int metrics_text(lua_State *L)
{
    struct gate *gate = bind_worker(L)->gate;
    struct counters **sets = push_sets(L, gate);
    struct buf text = { 0 };

    counters_write(sets, gate->worker_count, &text);
    lua_pushlstring(L, text.data, text.length);
    buf_free(&text);
    return 1;
}

static void on_series(void *arg, const char *labels, int64_t value, double seconds)
{
    buf_add_format(arg, "%lld %.6f %s\n", (long long)value, seconds, labels);
}

/* read(name): the series of that name, a line each: value, seconds, labels */
static int metrics_read(lua_State *L)
{
    struct gate *gate = bind_worker(L)->gate;
    const char *name = luaL_checkstring(L, 1);
    struct counters **sets = push_sets(L, gate);
    struct buf text = { 0 };

    counters_each(sets, gate->worker_count, name, on_series, &text);
    lua_pushlstring(L, text.data ? text.data : "", text.length);
    buf_free(&text);
    return 1;
}

static const luaL_Reg functions[] = {
    { "series", metrics_series },
    { "add", metrics_add },
    { "observe", metrics_observe },
    { "tally", metrics_tally },
    { "text", metrics_text },
    { "read", metrics_read },
    { NULL, NULL },
};

int bind_metrics_module(lua_State *L)
{
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
