/* limit_headers.c - moongate.core.limit_headers: the rate-limit headers of answers, by a grammar that Lua has. */
#include "bind/limit_headers.h"

#include <lauxlib.h>

#include "base/headers.h"
#include "bind/bind.h"
#include "gate/limit_headers.h"

static const char TYPE[] = "moongate.limit_grammar";

static const char *const fields[] = { "limit", "remaining", "reset", "other", NULL };

struct handle {
    const char *type;
    struct limit_grammar *grammar;
};

const struct limit_grammar *bind_limit_grammar(lua_State *L, int index)
{
    return ((struct handle *)bind_handle(L, index, TYPE, sizeof(struct handle)))->grammar;
}

/* grammar(lines, no_zeros): each line is { name, "limit" | "remaining" | "reset" | "other", metric, window } */
static int limit_headers_lua_grammar(lua_State *L)
{
    struct handle *handle;

    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 2);
    handle = lua_newuserdata(L, sizeof *handle);
    *handle = (struct handle){ .type = TYPE };
    luaL_getmetatable(L, TYPE);
    lua_setmetatable(L, 3);
    handle->grammar = limit_grammar_new(lua_toboolean(L, 2));
    for (int i = 1, count = (int)lua_objlen(L, 1); i <= count; i++) {
        lua_rawgeti(L, 1, i);
        for (int part = 1; part <= 4; part++)
            lua_rawgeti(L, 4, part);
        limit_grammar_add(handle->grammar, luaL_checkstring(L, 5),
                          (enum limit_field)luaL_checkoption(L, 6, NULL, fields), luaL_optstring(L, 7, ""),
                          luaL_optstring(L, 8, ""));
        lua_settop(L, 3);
    }
    return 1;
}

static void push_told(lua_State *L, const struct limit_told *told)
{
    static const char *const names[] = { "limit", "remaining", "reset_s" };

    lua_createtable(L, 0, 5);
    lua_pushstring(L, told->metric);
    lua_setfield(L, -2, "metric");
    lua_pushstring(L, told->window);
    lua_setfield(L, -2, "window");
    for (int field = 0; field < LIMIT_FIELD_OTHER; field++) {
        if (told->values[field] < 0)
            continue;
        lua_pushnumber(L, told->values[field]);
        lua_setfield(L, -2, names[field]);
    }
}

/* grammar:read(headers, now): the limits in no order; nil where that has to be read in Lua. For specs. */
static int grammar_lua_read(lua_State *L)
{
    const struct limit_grammar *grammar = bind_limit_grammar(L, 1);
    double now = luaL_checknumber(L, 3);
    struct limit_told told[LIMIT_HEADERS_MAX];
    struct headers headers = { 0 };
    int count;

    bind_read_headers(L, 2, &headers);
    count = limit_headers_read(grammar, &headers, now, told);
    headers_free(&headers);
    if (count < 0)
        return 0;
    lua_createtable(L, count, 0);
    for (int i = 0; i < count; i++) {
        push_told(L, &told[i]);
        lua_rawseti(L, -2, i + 1);
    }
    return 1;
}

static int grammar_collected(lua_State *L)
{
    struct handle *handle = bind_handle(L, 1, TYPE, sizeof *handle);

    limit_grammar_free(handle->grammar);
    handle->grammar = NULL;
    return 0;
}

int bind_limit_headers(lua_State *L)
{
    luaL_newmetatable(L, TYPE);
    lua_newtable(L);
    lua_pushcfunction(L, grammar_lua_read);
    lua_setfield(L, -2, "read");
    lua_setfield(L, -2, "__index");
    lua_pushcfunction(L, grammar_collected);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
    lua_newtable(L);
    lua_pushcfunction(L, limit_headers_lua_grammar);
    lua_setfield(L, -2, "grammar");
    return 1;
}

int luaopen_moongate_core_limit_headers(lua_State *L)
{
    return bind_limit_headers(L);
}
