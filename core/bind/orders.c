/*
 * orders.c - moongate.core.orders: what a worker asks of the control thread, and
 * waits for: a reload, an import. Runs in a task.
 */
#include "bind/bind.h"

#include <lauxlib.h>

#include "base/mem.h"
#include "gate/gate.h"
#include "gate/orders.h"
#include "gate/worker.h"
#include "script/task.h"

static const char TYPE[] = "moongate.order";

/* Anchored in the registry while it waits. */
struct waiting {
    lua_State *L;
    struct task *task;
    struct order *order; /* NULL: it was answered */
    const char *answer;
    int anchor;
};

static int push_answer(lua_State *L, void *arg)
{
    struct waiting *waiting = arg;

    luaL_unref(L, LUA_REGISTRYINDEX, waiting->anchor);
    lua_pushstring(L, waiting->answer);
    return 1;
}

static void on_answer(void *arg, const char *answer)
{
    struct waiting *waiting = arg;

    waiting->order = NULL;
    waiting->answer = answer;
    task_wake(waiting->task, push_answer, waiting);
}

static void forget(struct waiting *waiting)
{
    if (waiting->order)
        order_forget(waiting->order);
    waiting->order = NULL;
}

static void on_cancel(void *arg)
{
    struct waiting *waiting = arg;

    forget(waiting);
    luaL_unref(waiting->L, LUA_REGISTRYINDEX, waiting->anchor);
}

/* The state is being closed. */
static int waiting_collected(lua_State *L)
{
    forget(luaL_checkudata(L, 1, TYPE));
    return 0;
}

/* ask(name, text): what the control thread answers, JSON; nil and the reason if the wait was cut short */
static int orders_lua_ask(lua_State *L)
{
    size_t length;
    const char *name = luaL_checkstring(L, 1), *text = luaL_optlstring(L, 2, "", &length);
    struct worker *worker = bind_worker(L);
    struct task *task = task_here(L);
    struct waiting *waiting = lua_newuserdata(L, sizeof *waiting);

    *waiting = (struct waiting){ .L = L, .task = task };
    luaL_getmetatable(L, TYPE);
    lua_setmetatable(L, -2);
    waiting->anchor = luaL_ref(L, LUA_REGISTRYINDEX);
    waiting->order = orders_ask(worker->gate->orders, name, text, length, worker->loop, on_answer, waiting);
    return task_wait(L, on_cancel, waiting);
}

static const luaL_Reg functions[] = {
    { "ask", orders_lua_ask },
    { NULL, NULL },
};

int bind_orders_module(lua_State *L)
{
    luaL_newmetatable(L, TYPE);
    lua_pushcfunction(L, waiting_collected);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
