/* clock.c - moongate.core.clock: the two clocks, and waiting for one. */
#include "bind/bind.h"

#include <lauxlib.h>

#include "base/clock.h"
#include "gate/worker.h"
#include "net/loop.h"
#include "script/task.h"

/* now(): unix seconds, with milliseconds. */
static int clock_now(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)clock_wall_ms() / 1000);
    return 1;
}

/* monotonic(): seconds since some start, with microseconds. */
static int clock_monotonic(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)clock_monotonic_us() / 1e6);
    return 1;
}

struct sleep {
    struct loop_timer *timer;
    struct task *task;
    lua_State *L;
    int anchor;
};

static int push_true(lua_State *L, void *arg)
{
    luaL_unref(L, LUA_REGISTRYINDEX, ((struct sleep *)arg)->anchor);
    lua_pushboolean(L, 1);
    return 1;
}

static void on_elapsed(void *arg)
{
    struct sleep *sleep = arg;

    sleep->timer = NULL;
    task_wake(sleep->task, push_true, sleep);
}

static void on_cancel(void *arg)
{
    struct sleep *sleep = arg;

    loop_forget(sleep->timer);
    luaL_unref(sleep->L, LUA_REGISTRYINDEX, sleep->anchor);
}

/* sleep(seconds): waits, then true; nil and the reason if the request was cut short. */
static int clock_sleep(lua_State *L)
{
    lua_Number seconds = luaL_checknumber(L, 1);
    struct sleep *sleep;

    luaL_argcheck(L, seconds >= 0, 1, "one cannot sleep a negative time");
    (void)task_here(L);
    /* A C function that yields leaves its slots to the collector: the registry holds it while the task waits. */
    sleep = lua_newuserdata(L, sizeof *sleep);
    lua_pushvalue(L, -1);
    sleep->anchor = luaL_ref(L, LUA_REGISTRYINDEX);
    sleep->L = L;
    sleep->task = task_here(L);
    sleep->timer = loop_after(bind_worker(L)->loop, seconds, on_elapsed, sleep);
    return task_wait(L, on_cancel, sleep);
}

static const luaL_Reg functions[] = {
    { "now", clock_now },
    { "monotonic", clock_monotonic },
    { "sleep", clock_sleep },
    { NULL, NULL },
};

int bind_clock_module(lua_State *L)
{
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
