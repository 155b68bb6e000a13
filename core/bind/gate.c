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

/* state(): { draining, store_problem, problems (JSON array), uptime_s, worker, workers, busy } */
static int gate_state(lua_State *L)
{
    struct worker *worker = bind_worker(L);
    struct gate *gate = worker->gate;
    const char *store = store_problem(gate->store);
    char *problems = gate_problems(gate);

    lua_createtable(L, 0, 8);
    lua_pushboolean(L, __atomic_load_n(&gate->draining, __ATOMIC_RELAXED));
    lua_setfield(L, -2, "draining");
    if (store) {
        lua_pushstring(L, store);
        lua_setfield(L, -2, "store_problem");
    }
    lua_pushstring(L, problems);
    lua_setfield(L, -2, "problems");
    lua_pushnumber(L, (lua_Number)(clock_wall_ms() - gate->started) / 1000);
    lua_setfield(L, -2, "uptime_s");
    lua_pushinteger(L, worker->index);
    lua_setfield(L, -2, "worker");
    lua_pushinteger(L, (lua_Integer)gate->worker_count);
    lua_setfield(L, -2, "workers");
    lua_pushinteger(L, (lua_Integer)gate_busy(gate));
    lua_setfield(L, -2, "busy");
    mem_free(problems);
    return 1;
}

static const luaL_Reg functions[] = {
    { "state", gate_state },
    { NULL, NULL },
};

int bind_gate_module(lua_State *L)
{
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
