/*
 * json.c - JSON for Lua: texts to values, and the opening of moongate.core.json
 * (values to texts are json_text.c, documents document.c). All reading is
 * strict, as base/json_scan.h says. Never runs Lua: no metamethod is honoured
 * in here.
 */
#include "bind/json.h"

#include <limits.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "script/budget.h"
#include "script/spent.h"

static const char TYPE[] = "moongate.json";

enum { KEEP_NODES = 16384, KEEP_BYTES = 1 << 20, KEEP_NAMES = 16384 };

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

void json_forget_text(struct json_kept *kept)
{
    if (kept->text.capacity > KEEP_BYTES)
        buf_free(&kept->text);
    buf_clear(&kept->text);
}

const char *json_text_at(lua_State *L, int index)
{
    struct json_kept *kept = lua_touserdata(L, index);

    if (kept && lua_objlen(L, index) == sizeof *kept && kept->type == TYPE)
        return buf_text_of(&kept->text);
    return lua_type(L, index) == LUA_TSTRING ? lua_tostring(L, index) : NULL;
}

static int free_kept(lua_State *L)
{
    struct json_kept *kept = lua_touserdata(L, 1);

    json_index_free(&kept->index);
    buf_free(&kept->out);
    buf_free(&kept->text);
    mem_free(kept->names);
    *kept = (struct json_kept){ .type = TYPE };
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

void json_check_time(lua_State *L)
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

/* What only a document has, so that the kept index is free. */
static void push_folded(lua_State *L, struct json_kept *kept, const char *text, const struct json_node *node)
{
    struct json_fault fault;

    json_scan(text + node->start, node->end - node->start, UINT_MAX, &kept->index, &fault);
    json_push_value(L, kept, text + node->start, &kept->index, 0);
}

/* One slot of the Lua stack for the result, two more for every level of nesting. */
void json_push_value(lua_State *L, struct json_kept *kept, const char *text, const struct json_index *index, size_t at)
{
    const struct json_node *nodes = index->nodes, *node = &nodes[at];
    size_t child = at + 1;

    json_check_time(L);
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
        if (node->folded) {
            push_folded(L, kept, text, node);
            break;
        }
        lua_createtable(L, 0, (int)node->size);
        for (; child < node->next; child = nodes[child + 1].next) {
            json_push_string(L, kept, text, &nodes[child]);
            json_push_value(L, kept, text, index, child + 1);
            lua_rawset(L, -3);
        }
        break;
    case JSON_FOLDED: /* nobody gets there */
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

static const luaL_Reg functions[] = {
    { "decode", json_decode },
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
    *kept = (struct json_kept){ .type = TYPE };
    lua_newtable(L);
    lua_pushcfunction(L, free_kept);
    lua_setfield(L, -2, "__gc");
    lua_setmetatable(L, JSON_UP_KEPT);
    push_metatable(L, "array");
    kept->array = lua_topointer(L, JSON_UP_ARRAY);
    push_metatable(L, "document");
    json_add_kinds(L);
    lua_pushcfunction(L, json_document_collected);
    lua_setfield(L, -2, "__gc");
    json_push_outline_type(L);

    lua_newtable(L);
    add_functions(L, json_document_methods);
    lua_setfield(L, JSON_UP_DOCUMENT, "__index");
    lua_pushvalue(L, JSON_UP_DOCUMENT);
    spent_prepare(L);
    lua_pop(L, 1);

    lua_newtable(L);
    add_functions(L, functions);
    add_functions(L, json_text_functions);
    add_functions(L, json_document_functions);
    add_functions(L, json_outline_functions);
    lua_pushlightuserdata(L, NULL);
    lua_setfield(L, -2, "null");
    /* The text of json.add, for C that takes it without a string being made of it. */
    lua_pushvalue(L, JSON_UP_KEPT);
    lua_setfield(L, -2, "written");
    return 1;
}

int luaopen_moongate_core_json(lua_State *L)
{
    return bind_json(L);
}
