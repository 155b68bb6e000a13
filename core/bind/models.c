/*
 * models.c - moongate.core.models: imported models in a store, and what imports
 * changed. May block: it is for commands and the control thread, which has the
 * running gateway's own store, never for a worker's tasks. Times are unix seconds.
 */
#include "bind/bind.h"

#include <string.h>

#include <lauxlib.h>

#include "bind/saving.h"
#include "store/store.h"

static const char LIVE[] = "moongate.live_store";

void bind_set_store(lua_State *L, struct store *store)
{
    lua_pushlightuserdata(L, store);
    lua_setfield(L, LUA_REGISTRYINDEX, LIVE);
}

/* The running gateway's, or NULL. */
static struct store *live_store(lua_State *L)
{
    struct store *store;

    lua_getfield(L, LUA_REGISTRYINDEX, LIVE);
    store = lua_touserdata(L, -1);
    lua_pop(L, 1);
    return store;
}

struct list {
    lua_State *L;
    int count;
};

/* Onto the table on top of the stack. */
static void add_import(void *arg, const struct store_import *import)
{
    struct list *list = arg;
    lua_State *L = list->L;

    lua_createtable(L, 0, 4);
    lua_pushstring(L, import->source);
    lua_setfield(L, -2, "source");
    lua_pushnumber(L, (lua_Number)import->time / 1000);
    lua_setfield(L, -2, "time");
    lua_pushstring(L, import->models);
    lua_setfield(L, -2, "models");
    lua_pushstring(L, import->changes);
    lua_setfield(L, -2, "changes");
    lua_rawseti(L, -2, ++list->count);
}

static int fail(lua_State *L, const char *reason)
{
    lua_pushnil(L);
    lua_pushstring(L, reason);
    return 2;
}

/* Leaves the list; or nil and why not. since: of changes; below 0: of models. */
static int read_store(lua_State *L, double since)
{
    struct store *live = live_store(L), *store = live;
    struct list list = { L, 0 };
    const char *problem;
    char error[512] = "";
    bool is_read;
    int results = 1;

    if (!store)
        store = store_open_reader(luaL_checkstring(L, 1), error, sizeof error);
    if (!store)
        return fail(L, error);
    lua_newtable(L);
    if (since < 0)
        is_read = store_each_source(store, add_import, &list);
    else
        is_read = store_each_import(store, (int64_t)(since * 1000), add_import, &list);
    if (!is_read) {
        problem = store_problem(store);
        results = fail(L, problem ? problem : "the store cannot be read; is its disk in order?");
    }
    if (!live)
        store_close(store);
    return results;
}

/* sources(address): { source, time, models } of each; or nil and why not. The address is of no account while a gateway
 * runs here. */
static int models_sources(lua_State *L)
{
    return read_store(L, -1);
}

/* changes(address, since): { source, time, changes } of each import since then that changed something */
static int models_changes(lua_State *L)
{
    double since = luaL_optnumber(L, 2, 0);

    return read_store(L, since < 0 ? 0 : since);
}

/* keep(address, { source, time, models, changes }): true once it is safe; or nil and why it is not */
static int models_keep(lua_State *L)
{
    struct saving saving = SAVING_NEW;
    struct store *live = live_store(L), *store = live;
    struct store_import import;
    char error[512] = "the store did not take it; nothing was changed";
    bool is_saved;

    luaL_checktype(L, 2, LUA_TTABLE);
    import = (struct store_import){
        .source = bind_text(L, 2, "source"),
        .models = bind_text(L, 2, "models"),
        .changes = bind_text(L, 2, "changes"),
        .time = (int64_t)(bind_number(L, 2, "time", 0) * 1000),
    };
    luaL_argcheck(L, import.source && import.models && import.changes, 2, "source, models and changes are needed");
    if (!store)
        store = store_open(luaL_checkstring(L, 1), error, sizeof error);
    if (!store)
        return fail(L, error);
    store_import(store, &import, NULL, saving_done, &saving);
    is_saved = saving_wait(&saving);
    if (!live)
        store_close(store);
    if (!is_saved)
        return fail(L, error);
    lua_pushboolean(L, 1);
    return 1;
}

static const luaL_Reg functions[] = {
    { "sources", models_sources },
    { "changes", models_changes },
    { "keep", models_keep },
    { NULL, NULL },
};

int bind_models_module(lua_State *L)
{
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
