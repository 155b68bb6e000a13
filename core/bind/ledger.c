/*
 * ledger.c - moongate.core.ledger: rows of the ledger, as tables whose members
 * carry the names that callers see, or as arguments in their order. Times are
 * unix seconds.
 */
#include "bind/bind.h"

#include <stddef.h>
#include <string.h>

#include <lauxlib.h>

#include "base/mem.h"
#include "bind/json.h"
#include "gate/gate.h"
#include "gate/worker.h"
#include "net/loop.h"
#include "script/task.h"
#include "store/store.h"

/* WRITTEN: a text that may be json.written. */
enum field_type { TEXT, WRITTEN, INTEGER, WHOLE, FLAG, SECONDS };

/* The members of a row, and where they lie, in the order in which open and close are given them. Open gets the first.
 */
static const struct field {
    const char *name;
    size_t offset;
    enum field_type type;
} fields[] = {
    { "request_id", offsetof(struct ledger_row, request_id), TEXT },
    { "time", offsetof(struct ledger_row, time), SECONDS },
    { "org", offsetof(struct ledger_row, org), TEXT },
    { "key", offsetof(struct ledger_row, key), TEXT },
    { "label", offsetof(struct ledger_row, label), TEXT },
    { "tier", offsetof(struct ledger_row, tier), TEXT },
    { "surface", offsetof(struct ledger_row, surface), TEXT },
    { "policy", offsetof(struct ledger_row, policy), TEXT },
    { "task", offsetof(struct ledger_row, task), TEXT },
    { "model", offsetof(struct ledger_row, model), TEXT },
    { "input_tokens", offsetof(struct ledger_row, input_tokens), INTEGER },
    { "provider", offsetof(struct ledger_row, provider), TEXT },
    { "outcome", offsetof(struct ledger_row, outcome), TEXT },
    { "detail", offsetof(struct ledger_row, detail), WRITTEN },
    { "cached_tokens", offsetof(struct ledger_row, cached_tokens), INTEGER },
    { "cache_write_tokens", offsetof(struct ledger_row, cache_write_tokens), INTEGER },
    { "output_tokens", offsetof(struct ledger_row, output_tokens), INTEGER },
    { "reasoning_tokens", offsetof(struct ledger_row, reasoning_tokens), INTEGER },
    { "billed_tokens", offsetof(struct ledger_row, billed_tokens), INTEGER },
    { "cost_microusd", offsetof(struct ledger_row, cost_microusd), INTEGER },
    { "savings_microusd", offsetof(struct ledger_row, savings_microusd), INTEGER },
    { "latency_ms", offsetof(struct ledger_row, latency_ms), INTEGER },
    { "status", offsetof(struct ledger_row, status), WHOLE },
    { "attempts", offsetof(struct ledger_row, attempts), WHOLE },
    { "estimated", offsetof(struct ledger_row, estimated), FLAG },
};

enum { FIELDS = sizeof fields / sizeof fields[0], OPENED_FIELDS = 11 };

static void post(void *loop, void (*on_call)(void *), void *arg)
{
    loop_post(loop, on_call, arg);
}

static struct store *store_of(lua_State *L)
{
    return bind_worker(L)->gate->store;
}

/* The first members of a row, from the argument `first` on; the others are empty. */
static struct ledger_row read_row(lua_State *L, int first, int count)
{
    struct ledger_row row = { 0 };

    for (int i = 0; i < FIELDS; i++) {
        void *field = (char *)&row + fields[i].offset;
        int at = first + i;
        const char *text;

        if (fields[i].type == TEXT || fields[i].type == WRITTEN) {
            text = i >= count ? NULL : fields[i].type == TEXT ? lua_tostring(L, at) : json_text_at(L, at);
            *(const char **)field = text ? text : "";
        } else if (i >= count) {
            continue;
        } else if (fields[i].type == INTEGER) {
            *(int64_t *)field = bind_whole(lua_tonumber(L, at), 0);
        } else if (fields[i].type == WHOLE) {
            *(int *)field = (int)bind_whole(lua_tonumber(L, at), 0);
        } else if (fields[i].type == SECONDS) {
            *(int64_t *)field = (int64_t)(lua_tonumber(L, at) * 1000);
        } else {
            *(bool *)field = lua_toboolean(L, at);
        }
    }
    luaL_argcheck(L, *row.request_id, first, "a row needs its request_id");
    return row;
}

void bind_push_row(lua_State *L, const struct ledger_row *row)
{
    lua_createtable(L, 0, FIELDS);
    for (int i = 0; i < FIELDS; i++) {
        const void *field = (const char *)row + fields[i].offset;

        if (fields[i].type == TEXT || fields[i].type == WRITTEN)
            lua_pushstring(L, *(const char *const *)field ? *(const char *const *)field : "");
        else if (fields[i].type == INTEGER)
            lua_pushnumber(L, (lua_Number) * (const int64_t *)field);
        else if (fields[i].type == WHOLE)
            lua_pushinteger(L, *(const int *)field);
        else if (fields[i].type == SECONDS)
            lua_pushnumber(L, (lua_Number) * (const int64_t *)field / 1000);
        else
            lua_pushboolean(L, *(const bool *)field);
        lua_setfield(L, -2, fields[i].name);
    }
}

/* open(request_id, ...): noted, not waited for; the row_id, by which close knows it */
static int ledger_open(lua_State *L)
{
    struct ledger_row row = read_row(L, 1, OPENED_FIELDS);
    char row_id[ID_LENGTH + 1];

    store_row_open(store_of(L), &row, row_id);
    lua_pushlstring(L, row_id, ID_LENGTH);
    return 1;
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
    bool is_asking;    /* close has not returned */
    bool is_answered, committed;
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
    waiting->is_answered = true;
    if (waiting->is_asking)
        return;
    if (waiting->task)
        task_wake(waiting->task, push_committed, waiting);
    mem_free(waiting);
}

/*
 * close(row_id, request_id, ...): true once it is safe; false if it could not be kept. Without row_id it was never
 * opened.
 */
static int ledger_close(lua_State *L)
{
    struct store_home home = { post, bind_worker(L)->loop };
    struct ledger_row row = read_row(L, 2, FIELDS);
    struct task *task = task_here(L);
    struct waiting *waiting = mem_zero(sizeof *waiting);

    row.row_id = lua_tostring(L, 1);
    waiting->task = task;
    waiting->is_asking = true;
    store_row_close(store_of(L), &row, &home, on_committed, waiting);
    waiting->is_asking = false;
    if (!waiting->is_answered)
        return task_wait(L, on_cancel, waiting);
    lua_pushboolean(L, waiting->committed);
    mem_free(waiting);
    return 1;
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
