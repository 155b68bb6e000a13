/*
 * json.c - JSON for Lua: texts to values and back, and the opening of
 * moongate.core.json (its documents are document.c). All reading is strict, as
 * base/json_scan.h says. Never runs Lua: no metamethod is honoured in here.
 */
#include "bind/json.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "script/budget.h"

enum { KEEP_NODES = 16384, KEEP_BYTES = 1 << 20, KEEP_NAMES = 16384, FEW_NAMES = 24, ENCODED_BYTES = 64 << 20 };

struct json_kept *json_kept(lua_State *L)
{
    struct json_kept *kept = lua_touserdata(L, lua_upvalueindex(JSON_UP_KEPT));

    if (kept->index.capacity > KEEP_NODES)
        json_index_free(&kept->index);
    if (kept->out.capacity > KEEP_BYTES)
        buf_free(&kept->out);
    if (kept->names_capacity > KEEP_NAMES) {
        mem_free(kept->names);
        kept->names = NULL;
        kept->names_capacity = 0;
    }
    buf_clear(&kept->out);
    kept->names_count = 0;
    return kept;
}

static int free_kept(lua_State *L)
{
    struct json_kept *kept = lua_touserdata(L, 1);

    json_index_free(&kept->index);
    buf_free(&kept->out);
    mem_free(kept->names);
    *kept = (struct json_kept){ 0 };
    return 0;
}

void json_push_string(lua_State *L, struct json_kept *kept, const char *text, const struct json_node *node)
{
    if (!node->escaped) {
        lua_pushlstring(L, text + node->start + 1, node->end - node->start - 2);
        return;
    }
    buf_clear(&kept->out);
    json_unescape(text, node, &kept->out);
    lua_pushlstring(L, kept->out.data, kept->out.length);
}

/* A policy's budget holds in here too. */
static void check_time(lua_State *L)
{
    if (*budget_over())
        luaL_error(L, "out of time in JSON");
}

double json_number(const char *text, const struct json_node *node)
{
    /* Such powers of ten are exact, and so are 15 digits: one division rounds as it must. */
    static const double tens[] = { 1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15 };
    size_t length = node->end - node->start, i = text[node->start] == '-', fraction = 0;
    const char *digits = text + node->start;
    int64_t whole = 0;
    char few[64], *copy;
    double number;

    if (length <= 16) {
        while (i < length && digits[i] >= '0' && digits[i] <= '9')
            whole = whole * 10 + (digits[i++] - '0');
        if (i < length && digits[i] == '.')
            for (i++; i < length && digits[i] >= '0' && digits[i] <= '9'; fraction++)
                whole = whole * 10 + (digits[i++] - '0');
        if (i == length && (whole || digits[0] != '-'))
            return (double)(digits[0] == '-' ? -whole : whole) / tens[fraction];
    }
    if (length < sizeof few) {
        memcpy(few, digits, length);
        few[length] = '\0';
        return strtod(few, NULL);
    }
    copy = mem_copy(digits, length);
    number = strtod(copy, NULL);
    mem_free(copy);
    return number;
}

/* One slot of the Lua stack for the result, two more for every level of nesting. */
void json_push_value(lua_State *L, struct json_kept *kept, const char *text, const struct json_index *index, size_t at)
{
    const struct json_node *nodes = index->nodes, *node = &nodes[at];
    size_t child = at + 1;

    check_time(L);
    luaL_checkstack(L, 4, "nested too deeply");
    switch ((enum json_type)node->type) {
    case JSON_NULL:
        lua_pushlightuserdata(L, NULL);
        break;
    case JSON_FALSE:
    case JSON_TRUE:
        lua_pushboolean(L, node->type == JSON_TRUE);
        break;
    case JSON_NUMBER:
        lua_pushnumber(L, json_number(text, node));
        break;
    case JSON_STRING:
        json_push_string(L, kept, text, node);
        break;
    case JSON_ARRAY:
        lua_createtable(L, (int)node->size, 0);
        for (int i = 1; child < node->next; i++, child = nodes[child].next) {
            json_push_value(L, kept, text, index, child);
            lua_rawseti(L, -2, i);
        }
        lua_pushvalue(L, lua_upvalueindex(JSON_UP_ARRAY));
        lua_setmetatable(L, -2);
        break;
    case JSON_OBJECT:
        lua_createtable(L, 0, (int)node->size);
        for (; child < node->next; child = nodes[child + 1].next) {
            json_push_string(L, kept, text, &nodes[child]);
            json_push_value(L, kept, text, index, child + 1);
            lua_rawset(L, -3);
        }
        break;
    }
}

/* decode(text): the value; or nil and "line 3, column 7: what is wrong". */
static int json_decode(lua_State *L)
{
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    struct json_kept *kept = json_kept(L);
    struct json_fault fault;

    if (!json_scan(text, length, JSON_DEPTH, &kept->index, &fault)) {
        lua_pushnil(L);
        lua_pushfstring(L, "line %d, column %d: %s", (int)fault.line, (int)fault.column, fault.message);
        return 2;
    }
    json_push_value(L, kept, text, &kept->index, 0);
    return 1;
}

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

static void add_number(lua_State *L, struct buf *out, double number)
{
    char text[32];

    if (!isfinite(number))
        luaL_error(L, "%s cannot be encoded as JSON", isnan(number) ? "not-a-number" : "an infinite number");
    if (number == floor(number) && fabs(number) <= 9007199254740992.0 && !(number == 0 && signbit(number))) {
        buf_add_integer(out, (int64_t)number);
        return;
    }
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

/* How many items the list at index has; raises if its keys are not 1 to that number. */
static size_t check_list(lua_State *L, int index)
{
    size_t count = 0, size = lua_objlen(L, index);

    lua_pushnil(L);
    while (lua_next(L, index)) {
        lua_pop(L, 1);
        if (lua_type(L, -1) != LUA_TNUMBER)
            luaL_error(L, "a list with a %s key cannot be encoded as JSON", luaL_typename(L, -1));
        count++;
        if (lua_tonumber(L, -1) < 1 || lua_tonumber(L, -1) > (double)size ||
            lua_tonumber(L, -1) != floor(lua_tonumber(L, -1)))
            luaL_error(L, "a list with holes cannot be encoded as JSON");
    }
    if (count != size)
        luaL_error(L, "a list with holes cannot be encoded as JSON");
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

static void add_value(lua_State *L, struct json_kept *kept, int depth);

/* Encodes the table on top of the stack. A cycle ends at the depth bound. */
static void add_table(lua_State *L, struct json_kept *kept, int depth)
{
    struct buf *out = &kept->out;
    int table = lua_gettop(L);
    size_t first = kept->names_count;

    if (depth >= JSON_DEPTH)
        luaL_error(L, "nested more than %d deep, or in a circle: cannot be encoded as JSON", (int)JSON_DEPTH);
    /* A table may hold the same table many times, and that one another ... */
    if (out->length > ENCODED_BYTES)
        luaL_error(L, "larger than 64 MiB: cannot be encoded as JSON");
    check_time(L);
    luaL_checkstack(L, 4, "nested too deeply");
    if (is_list(L, kept, table)) {
        size_t size = check_list(L, table);

        buf_add_char(out, '[');
        for (size_t i = 1; i <= size; i++) {
            if (i > 1)
                buf_add_char(out, ',');
            lua_rawgeti(L, table, (int)i);
            add_value(L, kept, depth + 1);
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
        add_value(L, kept, depth + 1);
        lua_pop(L, 1);
    }
    buf_add_char(out, '}');
    kept->names_count = first;
}

/* Encodes the value on top of the stack and leaves it there. */
static void add_value(lua_State *L, struct json_kept *kept, int depth)
{
    const char *text;
    size_t length;

    switch (lua_type(L, -1)) {
    case LUA_TSTRING:
        text = lua_tolstring(L, -1, &length);
        buf_add_json(&kept->out, text, length);
        break;
    case LUA_TNUMBER:
        add_number(L, &kept->out, lua_tonumber(L, -1));
        break;
    case LUA_TBOOLEAN:
        buf_add_text(&kept->out, lua_toboolean(L, -1) ? "true" : "false");
        break;
    case LUA_TTABLE:
        add_table(L, kept, depth);
        break;
    case LUA_TLIGHTUSERDATA:
        if (!lua_touserdata(L, -1)) {
            buf_add_text(&kept->out, "null");
            break;
        }
        /* fall through */
    default:
        luaL_error(L, "a %s cannot be encoded as JSON", luaL_typename(L, -1));
    }
}

/* encode(value): the text, object members sorted by name; raises on what JSON cannot say. */
static int json_encode(lua_State *L)
{
    struct json_kept *kept;

    luaL_checkany(L, 1);
    lua_settop(L, 1);
    kept = json_kept(L);
    add_value(L, kept, 0);
    lua_pushlstring(L, kept->out.data, kept->out.length);
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

static const luaL_Reg functions[] = {
    { "decode", json_decode },
    { "encode", json_encode },
    { "array", json_array },
    { "is_array", json_is_array },
    { NULL, NULL },
};

/* Registers into the table on top of the stack; the upvalues lie at the indexes 1 to JSON_UPS. */
static void add_functions(lua_State *L, const luaL_Reg *list)
{
    for (; list->name; list++) {
        for (int i = 1; i <= JSON_UPS; i++)
            lua_pushvalue(L, i);
        lua_pushcclosure(L, list->func, JSON_UPS);
        lua_setfield(L, -2, list->name);
    }
}

/* A metatable that Lua code can neither see nor replace. */
static void push_metatable(lua_State *L, const char *name)
{
    lua_newtable(L);
    lua_pushstring(L, name);
    lua_setfield(L, -2, "__metatable");
}

int bind_json(lua_State *L)
{
    struct json_kept *kept;

    lua_settop(L, 0);
    kept = lua_newuserdata(L, sizeof *kept);
    *kept = (struct json_kept){ 0 };
    lua_newtable(L);
    lua_pushcfunction(L, free_kept);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, JSON_UP_KEPT);
    push_metatable(L, "array");
    kept->array = lua_topointer(L, JSON_UP_ARRAY);
    push_metatable(L, "document");
    json_add_kinds(L);
    kept->document = lua_topointer(L, JSON_UP_DOCUMENT);
    json_push_outline_type(L);

    lua_newtable(L);
    add_functions(L, json_document_methods);
    lua_setfield(L, JSON_UP_DOCUMENT, "__index");

    lua_newtable(L);
    add_functions(L, functions);
    add_functions(L, json_document_functions);
    add_functions(L, json_outline_functions);
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, -2, "null");
    return 1;
}

int luaopen_moongate_core_json(lua_State *L)
{
    return bind_json(L);
}
