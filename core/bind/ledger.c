/*
 * ledger.c - moongate.core.ledger: rows of the ledger, as tables whose members
 * carry the names that callers see. Times are unix seconds.
 */
#include "bind/bind.h"

#include <stddef.h>
#include <string.h>

#include <lauxlib.h>

#include "base/mem.h"
#include "gate/gate.h"
#include "gate/worker.h"
#include "net/loop.h"
#include "script/task.h"
#include "store/store.h"

static const struct {
    const char *name;
    size_t offset;
} texts[] = {
    { "request_id", offsetof(struct ledger_row, request_id) },
    { "org", offsetof(struct ledger_row, org) },
    { "key", offsetof(struct ledger_row, key) },
    { "label", offsetof(struct ledger_row, label) },
    { "tier", offsetof(struct ledger_row, tier) },
    { "surface", offsetof(struct ledger_row, surface) },
    { "task", offsetof(struct ledger_row, task) },
    { "policy", offsetof(struct ledger_row, policy) },
    { "provider", offsetof(struct ledger_row, provider) },
    { "model", offsetof(struct ledger_row, model) },
    { "outcome", offsetof(struct ledger_row, outcome) },
    { "detail", offsetof(struct ledger_row, detail) },
};

static const struct {
    const char *name;
    size_t offset;
} integers[] = {
    { "input_tokens", offsetof(struct ledger_row, input_tokens) },
    { "cached_tokens", offsetof(struct ledger_row, cached_tokens) },
    { "cache_write_tokens", offsetof(struct ledger_row, cache_write_tokens) },
    { "output_tokens", offsetof(struct ledger_row, output_tokens) },
    { "reasoning_tokens", offsetof(struct ledger_row, reasoning_tokens) },
    { "billed_tokens", offsetof(struct ledger_row, billed_tokens) },
    { "cost_microusd", offsetof(struct ledger_row, cost_microusd) },
    { "savings_microusd", offsetof(struct ledger_row, savings_microusd) },
    { "latency_ms", offsetof(struct ledger_row, latency_ms) },
};

enum { TEXTS = sizeof texts / sizeof texts[0], INTEGERS = sizeof integers / sizeof integers[0] };

static const char **text_at(struct ledger_row *row, int i)
{
    return (const char **)((char *)row + texts[i].offset);
}

static int64_t *integer_at(struct ledger_row *row, int i)
{
    return (int64_t *)((char *)row + integers[i].offset);
}

static void post(void *loop, void (*on_call)(void *), void *arg)
{
    loop_post(loop, on_call, arg);
}

static struct store *store_of(lua_State *L)
{
    return bind_worker(L)->gate->store;
}

/* The row in the table at 1. Its strings stay on the stack. */
static struct ledger_row read_row(lua_State *L)
{
    struct ledger_row row = { 0 };

    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checkstack(L, TEXTS + 4, "a ledger row");
    for (int i = 0; i < TEXTS; i++) {
        const char *text = bind_text(L, 1, texts[i].name);

        *text_at(&row, i) = text ? text : "";
    }
    for (int i = 0; i < INTEGERS; i++)
        *integer_at(&row, i) = bind_integer(L, 1, integers[i].name, 0);
    luaL_argcheck(L, *row.request_id, 1, "a row needs its request_id");
    row.time = (int64_t)(bind_number(L, 1, "time", 0) * 1000);
    row.status = (int)bind_integer(L, 1, "status", 0);
    row.attempts = (int)bind_integer(L, 1, "attempts", 0);
    row.estimated = bind_flag(L, 1, "estimated");
    return row;
}

void bind_push_row(lua_State *L, const struct ledger_row *given)
{
    struct ledger_row copy = *given, *row = &copy;

    lua_createtable(L, 0, TEXTS + INTEGERS + 4);
    for (int i = 0; i < TEXTS; i++) {
        lua_pushstring(L, *text_at(row, i) ? *text_at(row, i) : "");
        lua_setfield(L, -2, texts[i].name);
    }
    for (int i = 0; i < INTEGERS; i++) {
        lua_pushnumber(L, (lua_Number)*integer_at(row, i));
        lua_setfield(L, -2, integers[i].name);
    }
    lua_pushnumber(L, (lua_Number)row->time / 1000);
    lua_setfield(L, -2, "time");
    lua_pushinteger(L, row->status);
    lua_setfield(L, -2, "status");
    lua_pushinteger(L, row->attempts);
    lua_setfield(L, -2, "attempts");
    lua_pushboolean(L, row->estimated);
    lua_setfield(L, -2, "estimated");
}

/* open(row): noted, not waited for; gives the row its row_id, by which close knows it */
static int ledger_open(lua_State *L)
{
    struct ledger_row row = read_row(L);
    char row_id[ID_LENGTH + 1];

    store_row_open(store_of(L), &row, row_id);
    lua_pushstring(L, row_id);
    lua_setfield(L, 1, "row_id");
    return 0;
}

/* refuses(): why no row can be kept now; nil while all is well */
static int ledger_refuses_rows(lua_State *L)
{
    const char *why = store_refuses(store_of(L));

    if (!why)
        return 0;
    lua_pushstring(L, why);
    return 1;
}

/* A wait for the store. It may outlive its task: then the answer is thrown away. */
struct waiting {
    struct task *task; /* NULL: nobody waits any more */
    bool committed;
    const struct ledger_row *row;
};

static void on_cancel(void *arg)
{
    ((struct waiting *)arg)->task = NULL;
}

static int push_committed(lua_State *L, void *arg)
{
    lua_pushboolean(L, ((struct waiting *)arg)->committed);
    return 1;
}

static void on_committed(void *arg, bool committed)
{
    struct waiting *waiting = arg;

    waiting->committed = committed;
    if (waiting->task)
        task_wake(waiting->task, push_committed, waiting);
    mem_free(waiting);
}

/* close(row): true once it is safe; false if it could not be kept. A row without row_id was never opened. */
static int ledger_close(lua_State *L)
{
    struct store_home home = { post, bind_worker(L)->loop };
    struct ledger_row row = read_row(L);
    struct task *task = task_here(L);
    struct waiting *waiting = mem_zero(sizeof *waiting);

    row.row_id = bind_text(L, 1, "row_id");
    waiting->task = task;
    store_row_close(store_of(L), &row, &home, on_committed, waiting);
    return task_wait(L, on_cancel, waiting);
}

static int push_found(lua_State *L, void *arg)
{
    const struct waiting *waiting = arg;

    if (!waiting->row)
        return 0;
    bind_push_row(L, waiting->row);
    return 1;
}

static void on_row(void *arg, const struct ledger_row *row)
{
    struct waiting *waiting = arg;

    waiting->row = row;
    if (waiting->task)
        task_wake(waiting->task, push_found, waiting);
    mem_free(waiting);
}

/* find(request_id): the row, or nil */
static int ledger_find(lua_State *L)
{
    struct store_home home = { post, bind_worker(L)->loop };
    const char *id = luaL_checkstring(L, 1);
    struct task *task = task_here(L);
    struct waiting *waiting = mem_zero(sizeof *waiting);

    waiting->task = task;
    store_row_find(store_of(L), id, &home, on_row, waiting);
    return task_wait(L, on_cancel, waiting);
}

static const luaL_Reg functions[] = {
    { "open", ledger_open }, { "close", ledger_close }, { "find", ledger_find }, { "refuses", ledger_refuses_rows },
    { NULL, NULL },
};

int bind_ledger_module(lua_State *L)
{
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
