/*
 * marks.h - what a pipe looks for in a stream, read from a table of Lua's: members
 * as in gate/attempt.h, but that `terminal` may be a list of types, too.
 */
#ifndef BIND_MARKS_H
#define BIND_MARKS_H

#include <lua.h>

struct signs_marks;

/* Before any other. */
void bind_marks_open(lua_State *L);
/* Of the table at that index, which keeps them in itself: it is many streams', and does not change from then on. */
struct signs_marks *bind_marks(lua_State *L, int index);

#endif
