/* gate.c - moongate.core.gate: what a worker's Lua may know of the whole gateway. */
#include "bind/bind.h"

#include <lauxlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "gate/gate.h"
#include "gate/worker.h"
#include "script/policyset.h"
#include "store/store.h"

void bind_push_policies(lua_State *L, const struct policyset *policies)
{
    lua_createtable(L, (int)policies->count, 0);
    for (size_t i = 0; i < policies->count; i++) {
        const struct policy_file *file = &policies->files[i];

        lua_createtable(L, 0, 3);
        lua_pushstring(L, file->path);
        lua_setfield(L, -2, "path");
        lua_pushlstring(L, file->text, file->length);
        lua_setfield(L, -2, "text");
        lua_pushstring(L, file->version);
        lua_setfield(L, -2, "version");
        lua_rawseti(L, -2, (int)i + 1);
    }
}

static void push_reports(lua_State *L, struct gate *gate)
{
    lua_createtable(L, (int)gate->worker_count, 0);
    for (int i = 0; i < (int)gate->worker_count; i++) {
        char *report = gate_report(gate, i);

        lua_pushstring(L, report);
        lua_rawseti(L, -2, i + 1);
        mem_free(report);
    }
}

static bool is_starved(const struct gate *gate)
{
    for (size_t i = 0; i < gate->worker_count; i++)
        if (worker_is_starved(gate->workers[i]))
            return true;
    return false;
}

/* state(): { draining, starved, store_problem, problems (JSON array), reports (one such of each worker), uptime_s,
   worker, workers, busy } */
static int gate_state(lua_State *L)
{
    struct worker *worker = bind_worker(L);
    struct gate *gate = worker->gate;
    const char *store = store_problem(gate->store);
    char *problems = gate_problems(gate);

    lua_createtable(L, 0, 10);
    lua_pushboolean(L, __atomic_load_n(&gate->draining, __ATOMIC_RELAXED));
    lua_setfield(L, -2, "draining");
    lua_pushboolean(L, is_starved(gate));
    lua_setfield(L, -2, "starved");
    if (store) {
        lua_pushstring(L, store);
        lua_setfield(L, -2, "store_problem");
    }
    lua_pushstring(L, problems);
    lua_setfield(L, -2, "problems");
    push_reports(L, gate);
    lua_setfield(L, -2, "reports");
    lua_pushinteger(L, (lua_Integer)(gate->started / 1000));
    lua_setfield(L, -2, "started_at");
    lua_pushinteger(L, worker->index);
    lua_setfield(L, -2, "worker");
    lua_pushinteger(L, (lua_Integer)gate->worker_count);
    lua_setfield(L, -2, "workers");
    lua_pushinteger(L, (lua_Integer)gate_busy(gate));
    lua_setfield(L, -2, "busy");
    mem_free(problems);
    return 1;
}

/* report(problems): what this worker found wrong as it served, a JSON array. */
static int gate_take_report(lua_State *L)
{
    struct worker *worker = bind_worker(L);

    gate_set_report(worker->gate, worker->index, mem_text(luaL_checkstring(L, 1)));
    return 0;
}

/* publish(readings): what the quota checkers found, a JSON object; the worker that polls tells the others. */
static int gate_publish(lua_State *L)
{
    gate_set_readings(bind_worker(L)->gate, mem_text(luaL_checkstring(L, 1)));
    return 0;
}

/* readings(): what was published last. */
static int gate_lua_readings(lua_State *L)
{
    char *readings = gate_readings(bind_worker(L)->gate);

    lua_pushstring(L, readings);
    mem_free(readings);
    return 1;
}

static const luaL_Reg functions[] = {
    { "state", gate_state },
    { "report", gate_take_report },
    { "publish", gate_publish },
    { "readings", gate_lua_readings },
    { NULL, NULL },
};

int bind_gate_module(lua_State *L)
{
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
