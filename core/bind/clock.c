/* clock.c - moongate.core.clock: the two clocks, waiting for one, and doing something later. */
#include "bind/bind.h"

#include <lauxlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "gate/worker.h"
#include "net/loop.h"
#include "script/task.h"
#include "script/vm.h"

/* now(): unix seconds, with milliseconds. */
static int clock_now(lua_State *L)
{
    lua_pushnumber(L, (lua_Number)clock_recent_wall_ms() / 1000);
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

static const char LATER[] = "moongate.later";

struct later {
    struct loop_timer *timer;
    struct worker *worker;
    int fn, anchor;
};

static void on_task_end(void *arg, const char *error)
{
    (void)arg;
    if (error)
        log_line(LOG_ERROR, "a task in the background failed", "error", error, NULL);
}

static void let_go(lua_State *L, struct later *later)
{
    loop_forget(later->timer);
    later->timer = NULL;
    luaL_unref(L, LUA_REGISTRYINDEX, later->fn);
    luaL_unref(L, LUA_REGISTRYINDEX, later->anchor);
}

static void on_later(void *arg)
{
    struct later *later = arg;
    struct vm *vm = later->worker->vm;
    lua_State *L = vm_state(vm);

    later->timer = NULL;
    lua_rawgeti(L, LUA_REGISTRYINDEX, later->fn);
    let_go(L, later);
    task_start(vm, 0, on_task_end, NULL);
}

/* later(seconds, fn): runs fn as a task of its own, once; answers a handle with cancel(). */
static int clock_later(lua_State *L)
{
    lua_Number seconds = luaL_checknumber(L, 1);
    struct worker *worker = bind_worker(L);
    struct later *later;

    luaL_argcheck(L, seconds >= 0, 1, "there is no time before now");
    luaL_checktype(L, 2, LUA_TFUNCTION);
    later = lua_newuserdata(L, sizeof *later);
    *later = (struct later){ .worker = worker };
    luaL_getmetatable(L, LATER);
    lua_setmetatable(L, -2);
    lua_pushvalue(L, -1);
    later->anchor = luaL_ref(L, LUA_REGISTRYINDEX);
    lua_pushvalue(L, 2);
    later->fn = luaL_ref(L, LUA_REGISTRYINDEX);
    later->timer = loop_after(worker->loop, seconds, on_later, later);
    return 1;
}

/* cancel(): it does not run, if it has not begun */
static int later_cancel(lua_State *L)
{
    struct later *later = luaL_checkudata(L, 1, LATER);

    if (later->timer)
        let_go(L, later);
    return 0;
}

/* The state is being closed. */
static int later_collected(lua_State *L)
{
    struct later *later = luaL_checkudata(L, 1, LATER);

    loop_forget(later->timer);
    later->timer = NULL;
    return 0;
}

static const luaL_Reg functions[] = {
    { "now", clock_now }, { "monotonic", clock_monotonic }, { "sleep", clock_sleep }, { "later", clock_later },
    { NULL, NULL },
};

int bind_clock_module(lua_State *L)
{
    luaL_newmetatable(L, LATER);
    lua_newtable(L);
    lua_pushcfunction(L, later_cancel);
    lua_setfield(L, -2, "cancel");
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, later_collected);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
