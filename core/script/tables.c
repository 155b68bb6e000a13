/* tables.c - see strings.h: sort and insert, which are Lua's own behind a check. */
#include "script/strings.h"

#include <lauxlib.h>
#include <luajit.h>

#include "script/budget.h"

/* Upvalue 1: a comparison in C, or nil for the order of Lua. */
static int is_less(lua_State *L)
{
    if (*budget_over())
        return luaL_error(L, "out of time while sorting");
    budget_check_depth(L);
    if (lua_isnil(L, lua_upvalueindex(1))) {
        lua_pushboolean(L, lua_lessthan(L, 1, 2));
        return 1;
    }
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, 2, 1);
    return 1;
}

/* sort(t, less): upvalue 1 is Lua's own. A comparison in Lua can be stopped by itself. */
static int tables_sort(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    if (!lua_isnoneornil(L, 2))
        luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    budget_check_depth(L);
    if (lua_isnil(L, 2) || lua_iscfunction(L, 2))
        lua_pushcclosure(L, is_less, 1);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, 2, 0);
    return 0;
}

/* insert(t, [position,] value): upvalue 1 is Lua's own, which counts down to any position, however far. */
static int tables_insert(lua_State *L)
{
    int arguments = lua_gettop(L);

    luaL_checktype(L, 1, LUA_TTABLE);
    if (arguments != 2 && arguments != 3)
        return luaL_error(L, "wrong number of arguments to 'insert'");
    if (arguments == 3) {
        lua_Number position = luaL_checknumber(L, 2);

        luaL_argcheck(L, position >= 1 && position <= (lua_Number)lua_objlen(L, 1) + 1, 2, "position out of bounds");
    }
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, arguments, 0);
    return 0;
}

static void wrap(lua_State *L, const char *name, lua_CFunction function)
{
    lua_getfield(L, -1, name);
    if (lua_tocfunction(L, -1) == function) { /* a second time */
        lua_pop(L, 1);
        return;
    }
    lua_pushcclosure(L, function, 1);
    lua_setfield(L, -2, name);
}

void tables_protect(lua_State *L)
{
    lua_getglobal(L, "table");
    wrap(L, "sort", tables_sort);
    wrap(L, "insert", tables_insert);
    /* It is Lua's own, in Lua, and as long as a table seems to be. */
    lua_getfield(L, -1, "remove");
    luaJIT_setmode(L, -1, LUAJIT_MODE_FUNC | LUAJIT_MODE_OFF);
    lua_pop(L, 1);
    lua_pop(L, 1);
}
