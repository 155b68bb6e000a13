/* guard.h - opens moongate.core.guard, see guard.c. Also loadable by a plain luajit (package.loadlib). */
#ifndef BIND_GUARD_H
#define BIND_GUARD_H

#include <lua.h>

int bind_guard(lua_State *L);
int luaopen_moongate_core_guard(lua_State *L);

#endif
