/*
 * json_seen.c - what a view has read of a target, as a recorded decision has it.
 * Every candidate of every request is written down, so it is done in one call.
 */
#include "bind/json.h"

#include "bind/seen.h"

/* Of what has been read of every target, only what is unusual is written. */
static bool is_usual(lua_State *L, enum seen_place place)
{
    int list = lua_gettop(L);

    switch (place) {
    case SEEN_WAIT:
    case SEEN_ERROR_RATE:
        return lua_tonumber(L, list) == 0;
    case SEEN_BALANCE:
        return !lua_toboolean(L, list);
    case SEEN_COUNTS:
        for (size_t i = lua_objlen(L, list); i > 0; i--) {
            bool is_zero;

            lua_rawgeti(L, list, (int)i);
            is_zero = lua_tonumber(L, -1) == 0;
            lua_pop(L, 1);
            if (!is_zero)
                return false;
        }
        return true;
    default:
        return false;
    }
}

/* What is never written: a latency that is not known, a breaker that is closed, an empty word. */
static bool is_nothing(lua_State *L, enum seen_place place)
{
    bool is_empty;

    switch (place) {
    case SEEN_LATENCY_MS:
    case SEEN_OPEN:
        return !lua_toboolean(L, -1);
    case SEEN_OPEN_S:
        return lua_tonumber(L, -1) == 0;
    case SEEN_TOLD:
        lua_pushnil(L);
        is_empty = !lua_next(L, -2);
        lua_pop(L, is_empty ? 0 : 2);
        return is_empty;
    default:
        return false;
    }
}

/* The figures of a list, also of an empty one. */
static void add_counts(lua_State *L, struct json_kept *kept)
{
    int list = lua_gettop(L);

    buf_add_char(&kept->text, '[');
    for (int i = 1, count = (int)lua_objlen(L, list); i <= count; i++) {
        if (i > 1)
            buf_add_char(&kept->text, ',');
        lua_rawgeti(L, list, i);
        json_add_value(L, kept, &kept->text, list + 1);
        lua_pop(L, 1);
    }
    buf_add_char(&kept->text, ']');
}

/* add_seen(seen, whole): adds a member, named by the target's index, to the text. whole: see above. */
int json_add_seen(lua_State *L)
{
    static const struct {
        enum seen_place place;
        const char *name;
    } members[] = {
        { SEEN_WAIT, "\"wait\":" },       { SEEN_LATENCY_MS, "\"ms\":" }, { SEEN_ERROR_RATE, "\"errors\":" },
        { SEEN_OPEN, "\"open\":" },       { SEEN_OPEN_S, "\"open_s\":" }, { SEEN_TOLD, "\"told\":" },
        { SEEN_BALANCE, "\"balance\":" }, { SEEN_COUNTS, "\"used\":" },
    };
    struct json_kept *kept = lua_touserdata(L, lua_upvalueindex(JSON_UP_KEPT));
    struct buf *out = &kept->text;
    bool whole = lua_toboolean(L, 2);
    size_t before = out->length, begun;

    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 2);
    kept->names_count = 0;
    lua_rawgeti(L, 1, SEEN_INDEX);
    if (before > 0 && out->data[before - 1] != '{')
        buf_add_char(out, ',');
    buf_add_char(out, '"');
    buf_add_integer(out, lua_tointeger(L, 3));
    buf_add_text(out, "\":{");
    begun = out->length;
    for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
        enum seen_place place = members[i].place;

        lua_settop(L, 2);
        lua_rawgeti(L, 1, place);
        if (lua_isnil(L, 3) || is_nothing(L, place) || (whole && is_usual(L, place)))
            continue;
        if (out->length > begun)
            buf_add_char(out, ',');
        buf_add_text(out, members[i].name);
        if (place == SEEN_COUNTS)
            add_counts(L, kept);
        else
            json_add_value(L, kept, out, 3);
    }
    if (whole && out->length == begun)
        out->length = before;
    else
        buf_add_char(out, '}');
    return 0;
}
