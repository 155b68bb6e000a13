/* spent.c - see spent.h. Under its 0 a metatable has the same one without __gc. */
#include "script/spent.h"

void spent_prepare(lua_State *L)
{
    int metatable = lua_gettop(L), spent = metatable + 1;

    lua_newtable(L);
    lua_pushnil(L);
    while (lua_next(L, metatable)) {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, spent);
    }
    lua_pushnil(L);
    lua_setfield(L, spent, "__gc");
    lua_rawseti(L, metatable, 0);
}

void spent_mark(lua_State *L, int index)
{
    if (!lua_getmetatable(L, index))
        return;
    lua_rawgeti(L, -1, 0);
    if (lua_istable(L, -1))
        lua_setmetatable(L, index);
    else
        lua_pop(L, 1);
    lua_pop(L, 1);
}
