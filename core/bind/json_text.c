/*
 * json_text.c - values of Lua as JSON texts: of any shape (encode), or of a
 * shape that the caller writes out itself (write). Never runs Lua: no metamethod
 * is honoured in here.
 */
#include "bind/json.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { FEW_NAMES = 24, ENCODED_BYTES = 64 << 20 };

static void add_name(struct json_kept *kept, const char *text, size_t length)
{
    if (kept->names_count == kept->names_capacity) {
        kept->names_capacity = kept->names_capacity ? kept->names_capacity * 2 : 64;
        kept->names = mem_resize(kept->names, kept->names_capacity * sizeof *kept->names);
    }
    kept->names[kept->names_count++] = (struct json_name){ text, length };
}

static int compare_names(const void *a, const void *b)
{
    const struct json_name *one = a, *other = b;
    size_t shorter = one->length < other->length ? one->length : other->length;
    int order = memcmp(one->text, other->text, shorter);

    return order ? order : (one->length > other->length) - (one->length < other->length);
}

/* Most objects have a handful of members. */
static void sort_names(struct json_name *names, size_t count)
{
    if (count > FEW_NAMES) {
        qsort(names, count, sizeof *names, compare_names);
        return;
    }
    for (size_t i = 1; i < count; i++) {
        struct json_name name = names[i];
        size_t to = i;

        for (; to > 0 && compare_names(&names[to - 1], &name) > 0; to--)
            names[to] = names[to - 1];
        names[to] = name;
    }
}

void json_add_keys(lua_State *L, struct json_kept *kept, int index)
{
    size_t first = kept->names_count, length;
    const char *text;

    lua_pushnil(L);
    while (lua_next(L, index)) {
        lua_pop(L, 1);
        if (lua_type(L, -1) != LUA_TSTRING)
            luaL_error(L, "a table with %s keys is neither a list nor an object", luaL_typename(L, -1));
        text = lua_tolstring(L, -1, &length);
        add_name(kept, text, length);
    }
    sort_names(kept->names + first, kept->names_count - first);
}

/*
 * A number of few decimals, as %.14g has it, which costs twenty times as much. False: it has more than nine, or so many
 * digits that the shortest text has to be looked for. Numerator and denominator are exact, so their quotient is what
 * the decimal reads as.
 */
static bool add_decimal(struct buf *out, double number)
{
    double positive = fabs(number), scale = 1;
    char digits[32], *first = digits + sizeof digits, *last = first;
    int places = 0, exponent;
    int64_t scaled = 0;

    do {
        scale *= 10;
        if (++places > 9 || positive * scale >= 1e14)
            return false;
        scaled = (int64_t)(positive * scale + 0.5);
    } while ((double)scaled / scale != positive);
    do
        *--first = (char)('0' + scaled % 10);
    while (scaled /= 10);
    if (number < 0)
        buf_add_char(out, '-');
    exponent = (int)(last - first) - 1 - places;
    if (exponent < -4) {
        buf_add_char(out, *first++);
        if (first < last)
            buf_add_char(out, '.');
        buf_add(out, first, (size_t)(last - first));
        buf_add_text(out, "e-0");
        buf_add_char(out, (char)('0' - exponent));
        return true;
    }
    while (last - first <= places)
        *--first = '0';
    buf_add(out, first, (size_t)(last - first - places));
    buf_add_char(out, '.');
    buf_add(out, last - places, (size_t)places);
    return true;
}

static void add_number(lua_State *L, struct buf *out, double number)
{
    char text[32];

    if (fabs(number) <= 9007199254740992.0) {
        int64_t whole = (int64_t)number;

        if ((double)whole == number && (whole || !signbit(number))) {
            buf_add_integer(out, whole);
            return;
        }
    }
    if (!isfinite(number))
        luaL_error(L, "%s cannot be encoded as JSON", isnan(number) ? "not-a-number" : "an infinite number");
    if (number != 0 && add_decimal(out, number))
        return;
    /* The shortest that reads back as the same number. */
    for (int digits = 14; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, number);
        if (strtod(text, NULL) == number)
            break;
    }
    buf_add_text(out, text);
}

static bool is_marked(lua_State *L, const struct json_kept *kept, int index)
{
    bool marked = false;

    if (lua_getmetatable(L, index)) {
        marked = lua_topointer(L, -1) == kept->array;
        lua_pop(L, 1);
    }
    return marked;
}

static void refuse_holes(lua_State *L)
{
    luaL_error(L, "a list with holes cannot be encoded as JSON");
}

/* How many items the list at index has; raises if it has more keys or fewer. */
static size_t check_list(lua_State *L, int index)
{
    size_t count = 0, size = lua_objlen(L, index);

    lua_pushnil(L);
    while (lua_next(L, index)) {
        lua_pop(L, 1);
        if (lua_type(L, -1) != LUA_TNUMBER)
            luaL_error(L, "a list with a %s key cannot be encoded as JSON", luaL_typename(L, -1));
        count++;
    }
    if (count != size)
        refuse_holes(L);
    return size;
}

static bool is_list(lua_State *L, const struct json_kept *kept, int index)
{
    bool list = is_marked(L, kept, index);

    if (!list) {
        lua_rawgeti(L, index, 1);
        list = !lua_isnil(L, -1);
        lua_pop(L, 1);
    }
    return list;
}

static void add_value(lua_State *L, struct json_kept *kept, struct buf *out, int index, int depth);

/* Encodes the table at index. A cycle ends at the depth bound. */
static void add_table(lua_State *L, struct json_kept *kept, struct buf *out, int table, int depth)
{
    size_t first = kept->names_count;

    if (depth >= JSON_DEPTH)
        luaL_error(L, "nested more than %d deep, or in a circle: cannot be encoded as JSON", (int)JSON_DEPTH);
    /* A table may hold the same table many times, and that one another ... */
    if (out->length > ENCODED_BYTES)
        luaL_error(L, "larger than 64 MiB: cannot be encoded as JSON");
    json_check_time(L);
    luaL_checkstack(L, 4, "nested too deeply");
    if (is_list(L, kept, table)) {
        size_t size = check_list(L, table);

        buf_add_char(out, '[');
        for (size_t i = 1; i <= size; i++) {
            if (i > 1)
                buf_add_char(out, ',');
            lua_rawgeti(L, table, (int)i);
            if (lua_isnil(L, -1))
                refuse_holes(L);
            add_value(L, kept, out, lua_gettop(L), depth + 1);
            lua_pop(L, 1);
        }
        buf_add_char(out, ']');
        return;
    }
    /* Sorted, so that the same value is always the same text. */
    json_add_keys(L, kept, table);
    buf_add_char(out, '{');
    for (size_t i = first, end = kept->names_count; i < end; i++) {
        struct json_name name = kept->names[i];

        if (i > first)
            buf_add_char(out, ',');
        buf_add_json(out, name.text, name.length);
        buf_add_char(out, ':');
        lua_pushlstring(L, name.text, name.length);
        lua_rawget(L, table);
        add_value(L, kept, out, lua_gettop(L), depth + 1);
        lua_pop(L, 1);
    }
    buf_add_char(out, '}');
    kept->names_count = first;
}

/* Encodes the value at index, which is counted from below, and of that type. */
static void add_typed(lua_State *L, struct json_kept *kept, struct buf *out, int index, int type, int depth)
{
    const char *text;
    size_t length;

    switch (type) {
    case LUA_TSTRING:
        text = lua_tolstring(L, index, &length);
        buf_add_json(out, text, length);
        break;
    case LUA_TNUMBER:
        add_number(L, out, lua_tonumber(L, index));
        break;
    case LUA_TBOOLEAN:
        buf_add_text(out, lua_toboolean(L, index) ? "true" : "false");
        break;
    case LUA_TTABLE:
        add_table(L, kept, out, index, depth);
        break;
    case LUA_TLIGHTUSERDATA:
        if (!lua_touserdata(L, index)) {
            buf_add_text(out, "null");
            break;
        }
        /* fall through */
    default:
        luaL_error(L, "a %s cannot be encoded as JSON", luaL_typename(L, index));
    }
}

void json_add_typed(lua_State *L, struct json_kept *kept, struct buf *out, int index, int type)
{
    add_typed(L, kept, out, index, type, 0);
}

static void add_value(lua_State *L, struct json_kept *kept, struct buf *out, int index, int depth)
{
    add_typed(L, kept, out, index, lua_type(L, index), depth);
}

void json_add_value(lua_State *L, struct json_kept *kept, struct buf *out, int index)
{
    add_value(L, kept, out, index, 0);
}

/* encode(value): the text, object members sorted by name; raises on what JSON cannot say. */
static int json_encode(lua_State *L)
{
    struct json_kept *kept;

    luaL_checkany(L, 1);
    lua_settop(L, 1);
    kept = json_kept(L);
    add_value(L, kept, &kept->out, 1, 0);
    lua_pushlstring(L, kept->out.data, kept->out.length);
    return 1;
}

void json_add_raw(struct buf *out, const char *text, size_t length)
{
    if (length && text[0] == ',' && out->length) {
        char last = out->data[out->length - 1];
        bool is_first = last == '{' || last == '[';

        text += is_first;
        length -= is_first;
    }
    buf_add(out, text, length);
}

static void add_raw(lua_State *L, struct buf *out, int index)
{
    size_t length;
    const char *text = luaL_checklstring(L, index, &length);

    json_add_raw(out, text, length);
}

/*
 * The arguments: a raw text, then a raw text and a value as often as one likes, and perhaps a last raw text. Raw texts
 * are written as they are, and values as encode has them; where one is nil, the text before it is left out, too.
 */
static void add_arguments(lua_State *L, struct json_kept *kept, struct buf *out)
{
    int count = lua_gettop(L);

    add_raw(L, out, 1);
    for (int i = 2; i < count; i += 2) {
        int type = lua_type(L, i + 1);

        if (type == LUA_TNIL)
            continue;
        add_raw(L, out, i);
        add_typed(L, kept, out, i + 1, type, 0);
    }
    if (count > 1 && count % 2 == 0)
        add_raw(L, out, count);
}

/* write(raw, [raw, value]..., [raw]): the text. write("{", ',"a":', nil, ',"b":', "x", "}") is {"b":"x"}. */
static int json_write(lua_State *L)
{
    struct json_kept *kept = json_kept(L);

    add_arguments(L, kept, &kept->out);
    lua_pushlstring(L, kept->out.data, kept->out.length);
    return 1;
}

/* add(raw, [raw, value]..., [raw]): as write, to the end of the text. */
static int json_add(lua_State *L)
{
    struct json_kept *kept = lua_touserdata(L, lua_upvalueindex(JSON_UP_KEPT));

    kept->names_count = 0;
    add_arguments(L, kept, &kept->text);
    return 0;
}

/* begin([raw, ...]): from here on add goes to a new text, which begins with these. There is one at a time. */
static int json_begin(lua_State *L)
{
    json_forget_text(lua_touserdata(L, lua_upvalueindex(JSON_UP_KEPT)));
    return lua_gettop(L) ? json_add(L) : 0;
}

/* finish(): the text that was begun */
static int json_finish(lua_State *L)
{
    struct json_kept *kept = lua_touserdata(L, lua_upvalueindex(JSON_UP_KEPT));

    lua_pushlstring(L, kept->text.data, kept->text.length);
    return 1;
}

/* array(t): marks t, so that it is an array even when it is empty; returns it. */
static int json_array(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 1);
    lua_pushvalue(L, lua_upvalueindex(JSON_UP_ARRAY));
    lua_setmetatable(L, 1);
    return 1;
}

/* is_array(t): whether encode writes it as an array: marked, or a list that is not empty. */
static int json_is_array(lua_State *L)
{
    lua_pushboolean(L, lua_istable(L, 1) && is_list(L, json_kept(L), 1));
    return 1;
}

const luaL_Reg json_text_functions[] = {
    { "encode", json_encode }, { "write", json_write },
    { "begin", json_begin },   { "add", json_add },
    { "finish", json_finish }, { "is_array", json_is_array },
    { "array", json_array },   { "add_seen", json_add_seen },
    { "form", json_form },     { NULL, NULL },
};
