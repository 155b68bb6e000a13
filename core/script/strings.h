/*
 * strings.h - the library functions that a script could hang or crash a worker
 * with, made anew: same names, same meaning, but pattern matching and sorting
 * stop when the time of a guarded call is up, and callbacks cannot nest until
 * the C stack overflows. Library Lua and policies use the same ones.
 */
#ifndef SCRIPT_STRINGS_H
#define SCRIPT_STRINGS_H

#include <lua.h>

/*
 * Puts find match gmatch gsub format into `string`. Methods of strings are then looked up in a private copy of it, and
 * the metatable of strings is hidden.
 */
void strings_protect(lua_State *L);
/* Puts sort and insert into `table`, and has remove interpreted. */
void tables_protect(lua_State *L);

#endif
