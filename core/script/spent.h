/*
 * spent.h - tells Lua's collector that a userdata has nothing left that its
 * __gc would free. Such a one costs the collector what a table does; any other
 * a call, and a second round until its memory is free.
 */
#ifndef SCRIPT_SPENT_H
#define SCRIPT_SPENT_H

#include <lua.h>

/* Userdata of the metatable on top, which is complete, may be spent. */
void spent_prepare(lua_State *L);
/* That userdata (at a positive index) is. It keeps its methods, under another metatable. Never raises. */
void spent_mark(lua_State *L, int index);

#endif
