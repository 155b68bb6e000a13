/* strings.c - see strings.h. Matching is pattern.c's; what cannot run long is Lua's own function. */
#include "script/strings.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#include <lauxlib.h>

#include "script/budget.h"
#include "script/pattern.h"

static struct pattern begin(const char *subject, size_t length, const char *pattern, size_t pattern_length)
{
    return (struct pattern){ .subject = subject,
                             .subject_end = subject + length,
                             .pattern_end = pattern + pattern_length,
                             .stop = budget_over() };
}

static const char *try_at(lua_State *L, struct pattern *p, const char *at, const char *from)
{
    const char *end = pattern_match(p, at, from);

    if (p->fault)
        luaL_error(L, "%s", p->fault);
    return end;
}

/* Pushes capture number i; the whole match as the first if there are none. */
static void push_capture(lua_State *L, const struct pattern *p, int i, const char *start, const char *end)
{
    if (i >= p->level) {
        if (i != 0)
            luaL_error(L, "invalid capture index");
        lua_pushlstring(L, start, (size_t)(end - start));
    } else if (p->captures[i].length == PATTERN_POSITION) {
        lua_pushinteger(L, p->captures[i].start - p->subject + 1);
    } else {
        if (p->captures[i].length == PATTERN_OPEN)
            luaL_error(L, "unfinished capture");
        lua_pushlstring(L, p->captures[i].start, (size_t)p->captures[i].length);
    }
}

/* start NULL: the captures only, if any. */
static int push_captures(lua_State *L, const struct pattern *p, const char *start, const char *end)
{
    int count = p->level == 0 && start ? 1 : p->level;

    luaL_checkstack(L, count, "too many captures");
    for (int i = 0; i < count; i++)
        push_capture(L, p, i, start, end);
    return count;
}

static bool is_plain(const char *pattern, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (pattern[i] && strchr("^$*+?.([%-", pattern[i]))
            return false;
    return true;
}

static int find_plain(lua_State *L, const char *subject, size_t length, size_t start, const char *text, size_t size)
{
    /* Most texts have not even its first byte, and memchr finds that out many times as fast. */
    const char *first = size ? memchr(subject + start, *text, length - start) : subject + start;
    const char *found = first ? memmem(first, length - (size_t)(first - subject), text, size) : NULL;

    if (!found) {
        lua_pushnil(L);
        return 1;
    }
    lua_pushinteger(L, found - subject + 1);
    lua_pushinteger(L, found - subject + (lua_Integer)size);
    return 2;
}

static int find_or_match(lua_State *L, bool find)
{
    size_t length, size;
    const char *subject = luaL_checklstring(L, 1, &length);
    const char *pattern = luaL_checklstring(L, 2, &size);
    lua_Integer start = luaL_optinteger(L, 3, 1);
    const char *at, *end;
    struct pattern p;
    bool anchored;

    if (start < 0)
        start += (lua_Integer)length + 1;
    if (start < 1)
        start = 1;
    if (start > (lua_Integer)length + 1)
        start = (lua_Integer)length + 1;
    if (find && (lua_toboolean(L, 4) || is_plain(pattern, size)))
        return find_plain(L, subject, length, (size_t)start - 1, pattern, size);

    p = begin(subject, length, pattern, size);
    anchored = size > 0 && *pattern == '^';
    for (at = subject + start - 1; at <= p.subject_end; at++) {
        end = try_at(L, &p, at, pattern + anchored);
        if (end) {
            if (!find)
                return push_captures(L, &p, at, end);
            lua_pushinteger(L, at - subject + 1);
            lua_pushinteger(L, end - subject);
            return push_captures(L, &p, NULL, NULL) + 2;
        }
        if (anchored)
            break;
    }
    lua_pushnil(L);
    return 1;
}

static int strings_find(lua_State *L)
{
    return find_or_match(L, true);
}

static int strings_match(lua_State *L)
{
    return find_or_match(L, false);
}

/* The step of gmatch: upvalues the subject, the pattern, and where to go on. */
static int next_match(lua_State *L)
{
    size_t length, size;
    const char *subject = lua_tolstring(L, lua_upvalueindex(1), &length);
    const char *pattern = lua_tolstring(L, lua_upvalueindex(2), &size);
    struct pattern p = begin(subject, length, pattern, size);

    for (const char *at = subject + lua_tointeger(L, lua_upvalueindex(3)); at <= p.subject_end; at++) {
        const char *end = try_at(L, &p, at, pattern);

        if (end) {
            lua_pushinteger(L, end - subject + (end == at));
            lua_replace(L, lua_upvalueindex(3));
            return push_captures(L, &p, at, end);
        }
    }
    return 0;
}

static int strings_gmatch(lua_State *L)
{
    luaL_checkstring(L, 1);
    luaL_checkstring(L, 2);
    lua_settop(L, 2);
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, next_match, 3);
    return 1;
}

/* Adds the replacement text, in which %0 to %9 are captures, and % and anything else is that. */
static void add_text(lua_State *L, luaL_Buffer *out, const struct pattern *p, const char *start, const char *end)
{
    size_t length;
    const char *at = lua_tolstring(L, 3, &length), *behind = at + length, *percent;

    while ((percent = memchr(at, '%', (size_t)(behind - at))) && percent + 1 < behind) {
        luaL_addlstring(out, at, (size_t)(percent - at));
        at = percent + 2;
        if (percent[1] == '0') {
            luaL_addlstring(out, start, (size_t)(end - start));
        } else if (isdigit((unsigned char)percent[1])) {
            push_capture(L, p, percent[1] - '1', start, end);
            luaL_addvalue(out);
        } else {
            luaL_addlstring(out, percent + 1, 1);
        }
    }
    luaL_addlstring(out, at, (size_t)(behind - at));
}

static void add_replacement(lua_State *L, luaL_Buffer *out, const struct pattern *p, const char *start, const char *end)
{
    switch (lua_type(L, 3)) {
    case LUA_TFUNCTION:
        lua_pushvalue(L, 3);
        lua_call(L, push_captures(L, p, start, end), 1);
        break;
    case LUA_TTABLE:
        push_capture(L, p, 0, start, end);
        lua_gettable(L, 3);
        break;
    default:
        add_text(L, out, p, start, end);
        return;
    }
    if (!lua_toboolean(L, -1)) {
        lua_pop(L, 1);
        luaL_addlstring(out, start, (size_t)(end - start));
        return;
    }
    if (!lua_isstring(L, -1))
        luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
    luaL_addvalue(out);
}

static int strings_gsub(lua_State *L)
{
    size_t length, size;
    const char *subject = luaL_checklstring(L, 1, &length);
    const char *pattern = luaL_checklstring(L, 2, &size);
    int type = lua_type(L, 3);
    lua_Integer most = luaL_optinteger(L, 4, (lua_Integer)length + 1), count = 0;
    const char *at = subject, *kept = subject;
    struct pattern p;
    luaL_Buffer out;
    bool anchored = size > 0 && *pattern == '^';

    luaL_argcheck(L, type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TFUNCTION || type == LUA_TTABLE, 3,
                  "string/function/table expected");
    budget_check_depth(L);
    p = begin(subject, length, pattern, size);
    luaL_buffinit(L, &out);
    while (count < most) {
        const char *end = try_at(L, &p, at, pattern + anchored);

        if (end) {
            luaL_addlstring(&out, kept, (size_t)(at - kept));
            kept = end;
            count++;
            add_replacement(L, &out, &p, at, end);
        }
        if (end && end > at)
            at = end;
        else if (at++ >= p.subject_end)
            break;
        if (anchored)
            break;
    }
    luaL_addlstring(&out, kept, (size_t)(p.subject_end - kept));
    luaL_pushresult(&out);
    lua_pushinteger(L, count);
    return 2;
}

/* format calls __tostring, which may call format: upvalue 1 is Lua's own. */
static int strings_format(lua_State *L)
{
    budget_check_depth(L);
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, 1);
    return 1;
}

static const luaL_Reg own[] = {
    { "find", strings_find }, { "match", strings_match }, { "gmatch", strings_gmatch }, { "gsub", strings_gsub },
    { NULL, NULL },
};

static const char *const methods[] = { "byte",  "char",  "find", "format",  "gmatch", "gsub", "len",
                                       "lower", "match", "rep",  "reverse", "sub",    "upper" };

void strings_protect(lua_State *L)
{
    int string = lua_gettop(L) + 1;

    lua_getglobal(L, "string");
    lua_getfield(L, string, "format");
    if (lua_tocfunction(L, -1) == strings_format) { /* a second time */
        lua_settop(L, string - 1);
        return;
    }
    lua_pop(L, 1);
    for (const luaL_Reg *function = own; function->name; function++) {
        lua_pushcfunction(L, function->func);
        lua_setfield(L, string, function->name);
    }
    lua_getfield(L, string, "format");
    lua_pushcclosure(L, strings_format, 1);
    lua_setfield(L, string, "format");

    lua_pushliteral(L, "");
    lua_getmetatable(L, -1);
    lua_newtable(L);
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        lua_getfield(L, string, methods[i]);
        lua_setfield(L, -2, methods[i]);
    }
    lua_setfield(L, -2, "__index");
    lua_pushliteral(L, "string");
    lua_setfield(L, -2, "__metatable");
    lua_settop(L, string - 1);
}
