/*
 * guard.c - runs a function within a budget of time and memory.
 *
 * Opened as moongate.core.guard, for lua/moongate/policies.lua.
 * A script is never given it.
 */
#include "bind/guard.h"

#include <dlfcn.h>

#include <lauxlib.h>
#include <luajit.h>

#include "script/budget.h"
#include "script/strings.h"

/* Results beyond the most are dropped: all that hand them on would need room for thousands. */
enum { RESULTS_MOST = 16, PIECE_BYTES = 256 };

/*
 * call(milliseconds, bytes, fn, ...): true and the first results; or false, the kind ("time", "memory", "depth",
 * "error"), text. Arguments at the end that are nil are left out.
 */
static int guard_call(lua_State *L)
{
    lua_Number milliseconds = luaL_checknumber(L, 1), bytes = luaL_checknumber(L, 2);
    enum budget_end end;
    int arguments;

    luaL_argcheck(L, milliseconds > 0 && milliseconds <= 1e6, 1, "a time of up to 1000 s was expected");
    luaL_argcheck(L, bytes > 0 && bytes <= 1e12, 2, "a number of bytes was expected");
    luaL_checktype(L, 3, LUA_TFUNCTION);
    arguments = lua_gettop(L) - 3;
    while (arguments > 0 && lua_isnil(L, arguments + 3))
        arguments--;
    lua_settop(L, arguments + 3);
    end = budget_call(L, arguments, LUA_MULTRET, milliseconds, (size_t)bytes);
    if (end == BUDGET_FINE) {
        if (lua_gettop(L) > 2 + RESULTS_MOST)
            lua_settop(L, 2 + RESULTS_MOST);
        lua_pushboolean(L, 1);
        lua_replace(L, 2);
        return lua_gettop(L) - 1;
    }
    lua_pushboolean(L, 0);
    lua_pushstring(L, budget_end_name(end));
    lua_pushvalue(L, 3);
    return 3;
}

/* What is left of a text that is being compiled. */
struct reading {
    const char *at;
    size_t left;
};

/* The compiler takes time with the square of a long chain of `or`: in small pieces it can be stopped. */
static const char *next_piece(lua_State *L, void *data, size_t *size)
{
    struct reading *reading = data;
    const char *piece = reading->at;

    if (*budget_over())
        luaL_error(L, "out of time while compiling");
    *size = reading->left < PIECE_BYTES ? reading->left : PIECE_BYTES;
    reading->at += *size;
    reading->left -= *size;
    return piece;
}

/* load(text, name, env): its function in that environment; or nil and what is wrong. No bytecode. */
static int guard_load(lua_State *L)
{
    struct reading reading;
    const char *name = luaL_checkstring(L, 2);

    reading.at = luaL_checklstring(L, 1, &reading.left);
    luaL_checktype(L, 3, LUA_TTABLE);
    lua_settop(L, 3);
    if (lua_loadx(L, next_piece, &reading, name, "t") != 0) {
        lua_pushnil(L);
        lua_insert(L, -2);
        return 2;
    }
    /* Compiled code cannot be stopped. */
    luaJIT_setmode(L, -1, LUAJIT_MODE_ALLFUNC | LUAJIT_MODE_OFF);
    lua_pushvalue(L, 3);
    lua_setfenv(L, -2);
    return 1;
}

static const luaL_Reg functions[] = {
    { "call", guard_call },
    { "load", guard_load },
    { NULL, NULL },
};

int bind_guard(lua_State *L)
{
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}

/*
 * In a program that is not the gateway (specs): what vm.c and main.c do there is done here. The library must never be
 * unloaded, for the watchdog runs in it.
 */
int luaopen_moongate_core_guard(lua_State *L)
{
    Dl_info library;

    if (dladdr(&functions, &library))
        dlopen(library.dli_fname, RTLD_NOW | RTLD_NODELETE);
    budget_start();
    luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_OFF);
    luaJIT_setmode(L, 0, LUAJIT_MODE_ENGINE | LUAJIT_MODE_FLUSH);
    strings_protect(L);
    tables_protect(L);
    return bind_guard(L);
}
