/* log.c - moongate.core.log: one line an event. */
#include "bind/bind.h"

#include <string.h>

#include <lauxlib.h>

#include "base/log.h"

static const char *const levels[] = { "debug", "info", "warn", "error", NULL };

/* write(level, message, members): members is JSON text without its braces, or nothing. */
static int log_write(lua_State *L)
{
    int level = luaL_checkoption(L, 1, "info", levels);
    const char *message = luaL_checkstring(L, 2);

    log_members((enum log_level)level, message, luaL_optstring(L, 3, ""));
    return 0;
}

/* is_on(level): whether a line of that level is written; what is dear to tell can be left out */
static int log_is_on(lua_State *L)
{
    lua_pushboolean(L, log_writes((enum log_level)luaL_checkoption(L, 1, "info", levels)));
    return 1;
}

static const luaL_Reg functions[] = {
    { "is_on", log_is_on },
    { "write", log_write },
    { NULL, NULL },
};

int bind_log_module(lua_State *L)
{
    lua_newtable(L);
    luaL_register(L, NULL, functions);
    return 1;
}
