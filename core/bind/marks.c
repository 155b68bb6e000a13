/* marks.c - see marks.h. */
#include "bind/marks.h"

#include <stdio.h>

#include <lauxlib.h>

#include "bind/bind.h"
#include "gate/signs.h"

static const char TYPE[] = "moongate.marks";

static void read_mark(lua_State *L, int index, const char *name, char mark[32])
{
    const char *text = bind_text(L, index, name);

    if (text)
        snprintf(mark, 32, "%s", text);
    lua_pop(L, 1);
}

static void read_mark_list(lua_State *L, int index, const char *name, char (*marks)[32])
{
    lua_getfield(L, index, name);
    for (int i = 0; i < 4 && lua_istable(L, -1); i++) {
        lua_rawgeti(L, -1, i + 1);
        if (lua_isstring(L, -1))
            snprintf(marks[i], 32, "%s", lua_tostring(L, -1));
        lua_pop(L, 1);
    }
    lua_pop(L, 1);
}

static struct signs_marks *read_marks(lua_State *L, int index)
{
    struct attempt_marks marks = { 0 };

    read_mark(L, index, "terminal", marks.terminal);
    read_mark(L, index, "usage", marks.usage);
    read_mark(L, index, "error", marks.error);
    read_mark(L, index, "finish", marks.finish);
    read_mark(L, index, "hollow", marks.hollow);
    read_mark(L, index, "last", marks.last);
    read_mark_list(L, index, "text", marks.text);
    read_mark_list(L, index, "counts", marks.counts);
    read_mark_list(L, index, "terminal", marks.ends);
    read_mark_list(L, index, "failed", marks.failed);
    marks.hide_usage = bind_flag(L, index, "hide_usage");
    marks.keep = bind_flag(L, index, "keep");
    return signs_new(&marks);
}

struct signs_marks *bind_marks(lua_State *L, int index)
{
    struct signs_marks **marks;

    luaL_checktype(L, index, LUA_TTABLE);
    lua_pushlightuserdata(L, (void *)TYPE);
    lua_rawget(L, index);
    marks = lua_touserdata(L, -1);
    if (!marks) {
        lua_pushlightuserdata(L, (void *)TYPE);
        marks = lua_newuserdata(L, sizeof *marks);
        *marks = NULL;
        luaL_getmetatable(L, TYPE);
        lua_setmetatable(L, -2);
        *marks = read_marks(L, index);
        lua_rawset(L, index);
    }
    lua_pop(L, 1);
    return *marks;
}

static int marks_collected(lua_State *L)
{
    struct signs_marks **marks = lua_touserdata(L, 1);

    if (*marks)
        signs_drop(*marks);
    return 0;
}

void bind_marks_open(lua_State *L)
{
    luaL_newmetatable(L, TYPE);
    lua_pushcfunction(L, marks_collected);
    lua_setfield(L, -2, "__gc");
    lua_pop(L, 1);
}
