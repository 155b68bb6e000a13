/*
 * usage.c - moongate.core.usage: what the ledger's rows add up to. A number in
 * Lua is exact up to 2^53 only, so sums come as texts of digits.
 */
#include "bind/bind.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <lauxlib.h>

#include "base/mem.h"
#include "gate/gate.h"
#include "gate/worker.h"
#include "net/loop.h"
#include "script/task.h"
#include "store/usage.h"

static const struct {
    const char *name;
    size_t offset;
} sums[] = {
    { "requests", offsetof(struct usage_sums, requests) },
    { "input_tokens", offsetof(struct usage_sums, input_tokens) },
    { "output_tokens", offsetof(struct usage_sums, output_tokens) },
    { "billed_tokens", offsetof(struct usage_sums, billed_tokens) },
    { "cost_microusd", offsetof(struct usage_sums, cost_microusd) },
    { "savings_microusd", offsetof(struct usage_sums, savings_microusd) },
};

enum { SUMS = sizeof sums / sizeof sums[0] };

static int64_t milliseconds(double seconds, int64_t otherwise)
{
    /* As from a row's time, which is a whole number of them. */
    return isfinite(seconds) && fabs(seconds) < 1e15 ? (int64_t)llround(seconds * 1000) : otherwise;
}

static enum store_by read_dimension(lua_State *L, int index)
{
    const char *wanted = bind_text(L, index, "by"), *name;

    for (int by = 0; (name = usage_by_name(by)); by++)
        if (wanted && strcmp(wanted, name) == 0)
            return (enum store_by)by;
    luaL_error(L, "there is no dimension %s", wanted ? wanted : "of that name");
    return STORE_BY_MODEL;
}

struct store_usage_query bind_read_usage_query(lua_State *L, int index)
{
    struct store_usage_query query = { .most = 1 };
    const char *after;

    luaL_checktype(L, index, LUA_TTABLE);
    query.by = read_dimension(L, index);
    query.from = milliseconds(bind_number(L, index, "from", 0), 0);
    query.to = milliseconds(bind_number(L, index, "to", HUGE_VAL), INT64_MAX);
    query.org = bind_text(L, index, "org");
    query.key = bind_text(L, index, "key");
    query.most = bind_integer(L, index, "most", INT32_MAX);
    luaL_argcheck(L, query.most >= 1, index, "most is at least 1");
    after = bind_text(L, index, "after");
    if (after && sscanf(after, "%" SCNd64 "-%" SCNd64, &query.after.time, &query.after.number) != 2)
        luaL_error(L, "after is what next was");
    return query;
}

static void set_digits(lua_State *L, const char *name, int64_t number)
{
    char digits[24];

    snprintf(digits, sizeof digits, "%" PRId64, number);
    lua_pushstring(L, digits);
    lua_setfield(L, -2, name);
}

static void push_sums(lua_State *L, const struct usage_sums *given)
{
    lua_createtable(L, 0, SUMS + 1);
    for (int i = 0; i < SUMS; i++)
        set_digits(L, sums[i].name, *(const int64_t *)(const void *)((const char *)given + sums[i].offset));
}

/* What is left of an answer to be told. */
struct telling {
    struct usage *usage;
    size_t at;
};

static int telling_gc(lua_State *L)
{
    struct telling *telling = lua_touserdata(L, 1);

    usage_free(telling->usage);
    telling->usage = NULL;
    return 0;
}

/* Upvalue: the telling. One at a time: a long answer all at once would hold its worker up. */
static int tell_next(lua_State *L)
{
    struct telling *telling = lua_touserdata(L, lua_upvalueindex(1));
    const struct usage *usage = telling->usage;
    const char *name;

    if (telling->at == usage_count(usage))
        return 0;
    if (usage_query(usage)->by == STORE_BY_REQUEST) {
        bind_push_row(L, usage_row(usage, telling->at++));
        return 1;
    }
    push_sums(L, usage_group(usage, telling->at++, &name));
    lua_pushstring(L, name);
    lua_setfield(L, -2, usage_by_name(usage_query(usage)->by));
    return 1;
}

static void push_each(lua_State *L, const struct usage *usage)
{
    struct telling *telling = lua_newuserdata(L, sizeof *telling);

    *telling = (struct telling){ NULL, 0 };
    if (luaL_newmetatable(L, "moongate.telling")) {
        lua_pushcfunction(L, telling_gc);
        lua_setfield(L, -2, "__gc");
    }
    lua_setmetatable(L, -2);
    telling->usage = usage_take(usage); /* nothing raises between this and who frees it */
    lua_pushcclosure(L, tell_next, 1);
}

void bind_push_usage(lua_State *L, const struct usage *usage)
{
    struct store_place place = usage_place(usage);
    char next[48];

    lua_createtable(L, 0, 4);
    push_sums(L, usage_totals(usage));
    lua_setfield(L, -2, "totals");
    lua_pushboolean(L, usage_is_over(usage));
    lua_setfield(L, -2, "is_over");
    snprintf(next, sizeof next, "%" PRId64 "-%" PRId64, place.time, place.number);
    lua_pushstring(L, next);
    lua_setfield(L, -2, "next");
    push_each(L, usage);
    lua_setfield(L, -2, "each");
}

/* A wait for the answer. It may outlive its task: then the answer is thrown away. */
struct waiting {
    struct task *task; /* NULL: nobody waits any more */
    const struct usage *usage;
};

static void on_cancel(void *arg)
{
    ((struct waiting *)arg)->task = NULL;
}

static int push_answer(lua_State *L, void *arg)
{
    const struct waiting *waiting = arg;

    if (!waiting->usage)
        return 0;
    bind_push_usage(L, waiting->usage);
    return 1;
}

static void on_usage(void *arg, const struct usage *usage)
{
    struct waiting *waiting = arg;

    waiting->usage = usage;
    if (waiting->task)
        task_wake(waiting->task, push_answer, waiting);
    mem_free(waiting);
}

static void post(void *loop, void (*on_call)(void *), void *arg)
{
    loop_post(loop, on_call, arg);
}

/* ask(query): what bind_push_usage leaves, or nil if the ledger cannot be read */
static int usage_ask(lua_State *L)
{
    struct store_usage_query query = bind_read_usage_query(L, 1);
    struct worker *worker = bind_worker(L);
    struct store_home home = { post, worker->loop };
    struct task *task = task_here(L);
    struct waiting *waiting = mem_zero(sizeof *waiting);

    waiting->task = task;
    store_usage(worker->gate->store, &query, &home, on_usage, waiting);
    return task_wait(L, on_cancel, waiting);
}

static const luaL_Reg functions[] = {
    { "ask", usage_ask },
    { NULL, NULL },
};

int bind_usage_module(lua_State *L)
{
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
