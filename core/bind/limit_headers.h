/* limit_headers.h - moongate.core.limit_headers, also loadable by a plain luajit. */
#ifndef BIND_LIMIT_HEADERS_H
#define BIND_LIMIT_HEADERS_H

#include <lua.h>

struct limit_grammar;

/* The grammar at index; raises where there is none. */
const struct limit_grammar *bind_limit_grammar(lua_State *L, int index);

int bind_limit_headers(lua_State *L);
int luaopen_moongate_core_limit_headers(lua_State *L);

#endif
