/*
 * sheet.c - moongate.core.sheet: a table of a foreign SQLite file, whole. May
 * block: it is for the control thread, never for a worker's tasks.
 */
#include "bind/bind.h"

#include <lauxlib.h>

#include "store/sheet.h"

static const char TYPE[] = "moongate.sheet";

static int sheet_gc(lua_State *L)
{
    struct sheet **handle = lua_touserdata(L, 1);

    sheet_close(*handle);
    *handle = NULL;
    return 0;
}

static int failed(lua_State *L, struct sheet **handle, const char *error)
{
    sheet_close(*handle);
    *handle = NULL;
    lua_pushnil(L);
    lua_pushstring(L, error);
    return 2;
}

static void push_columns(lua_State *L, const struct sheet *sheet)
{
    int width = sheet_width(sheet);

    lua_createtable(L, width, 0);
    for (int i = 0; i < width; i++) {
        lua_pushstring(L, sheet_column(sheet, i));
        lua_rawseti(L, -2, i + 1);
    }
}

static void push_row(lua_State *L, struct sheet *sheet)
{
    int width = sheet_width(sheet);

    lua_createtable(L, width, 0);
    for (int i = 0; i < width; i++) {
        size_t length;
        const char *text = sheet_cell(sheet, i, &length);

        lua_pushlstring(L, text ? text : "", length);
        lua_rawseti(L, -2, i + 1);
    }
}

/*
 * read(path, table, { rows, bytes, seconds }): the names of its columns, and its rows as lists of texts ("" where there
 * is no value); or nil and why not
 */
static int sheet_read(lua_State *L)
{
    const char *path = luaL_checkstring(L, 1), *table = luaL_checkstring(L, 2);
    struct sheet_limits limits;
    struct sheet **handle;
    char error[512] = "";
    int count = 0;

    luaL_checktype(L, 3, LUA_TTABLE);
    limits = (struct sheet_limits){ (size_t)bind_integer(L, 3, "rows", 100000),
                                    (size_t)bind_integer(L, 3, "bytes", 64 * 1024 * 1024),
                                    bind_number(L, 3, "seconds", 10) };
    handle = lua_newuserdata(L, sizeof *handle);
    *handle = NULL;
    luaL_getmetatable(L, TYPE);
    lua_setmetatable(L, -2); /* from here on an error in Lua leaks nothing */
    *handle = sheet_open(path, table, &limits, error, sizeof error);
    if (!*handle)
        return failed(L, handle, error);
    push_columns(L, *handle);
    lua_newtable(L);
    while (sheet_next(*handle, error, sizeof error)) {
        push_row(L, *handle);
        lua_rawseti(L, -2, ++count);
    }
    if (*error)
        return failed(L, handle, error);
    sheet_close(*handle);
    *handle = NULL;
    return 2;
}

static const luaL_Reg functions[] = {
    { "read", sheet_read },
    { NULL, NULL },
};

int bind_sheet_module(lua_State *L)
{
    luaL_newmetatable(L, TYPE);
    lua_pushcfunction(L, sheet_gc);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
