/*
 * document.c - a JSON text that is scanned once, looked into by node and
 * patched, without being rebuilt. Part of moongate.core.json, opened by json.c.
 * Of a Lua string it holds that string, never a copy.
 */
#include "bind/json.h"

#include <ctype.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/json_opening.h"
#include "base/json_search.h"
#include "base/mem.h"
#include "script/spent.h"

enum { DEPTH_MOST = 1000, PATCH_ROOM = 256, FEW_CHANGES = 8 };

/*
 * Made of a Lua string, which its environment table holds, all its memory is the collector's, which so sees its full
 * size. Made of bytes that it has taken over, it has its nodes beside Lua too, and what is large in it is folded.
 */
struct document {
    const char *type; /* by which it is told from other userdata */
    const char *text; /* NULL: it is closed */
    size_t length;
    struct json_index index; /* nodes lie behind this struct, or are its own */
    char *own;               /* the text, of bytes taken over */
};

static const char TYPE[] = "moongate.document";

static int push_fault(lua_State *L, const struct json_fault *fault)
{
    lua_pushnil(L);
    lua_createtable(L, 0, 4);
    lua_pushstring(L, fault->message);
    lua_setfield(L, -2, "message");
    lua_pushnumber(L, (lua_Number)fault->offset);
    lua_setfield(L, -2, "offset");
    lua_pushnumber(L, (lua_Number)fault->line);
    lua_setfield(L, -2, "line");
    lua_pushnumber(L, (lua_Number)fault->column);
    lua_setfield(L, -2, "column");
    return 2;
}

static int scan_string(lua_State *L, unsigned depth)
{
    size_t length, size;
    const char *text = luaL_checklstring(L, 1, &length);
    struct json_kept *kept = json_kept(L);
    struct document *document;
    struct json_fault fault;

    if (!json_scan(text, length, depth, &kept->index, &fault))
        return push_fault(L, &fault);
    size = kept->index.count * sizeof *kept->index.nodes;
    document = lua_newuserdata(L, sizeof *document + size);
    *document = (struct document){ .type = TYPE, .text = text, .length = length };
    document->index.nodes = (struct json_node *)(document + 1);
    document->index.count = document->index.capacity = kept->index.count;
    memcpy(document->index.nodes, kept->index.nodes, size);
    lua_createtable(L, 1, 0);
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, 1);
    lua_setfenv(L, -2);
    lua_pushvalue(L, lua_upvalueindex(JSON_UP_DOCUMENT));
    lua_setmetatable(L, -2);
    spent_mark(L, lua_gettop(L)); /* it is all in one block */
    return 1;
}

static int scan_bytes(lua_State *L, unsigned depth)
{
    struct json_kept *kept = json_kept(L);
    struct document *document = lua_newuserdata(L, sizeof *document);
    struct json_fault fault;

    *document = (struct document){ .type = TYPE };
    lua_pushvalue(L, lua_upvalueindex(JSON_UP_DOCUMENT));
    lua_setmetatable(L, -2);
    document->own = json_take_body(L, 1, &document->length);
    document->text = document->own ? document->own : "";
    if (!json_scan_folding(document->text, document->length, depth, &kept->index, &fault)) {
        json_document_collected(L);
        return push_fault(L, &fault);
    }
    document->index.nodes =
        (struct json_node *)mem_copy(kept->index.nodes, kept->index.count * sizeof(struct json_node));
    document->index.count = document->index.capacity = kept->index.count;
    return 1;
}

/* scan(text, depth = 200): a document; or nil and { message =, offset =, line =, column = }. text: a string; or bytes
 * as of exchange:take_body, which the document takes over, so that it is better closed than left to the collector. */
static int json_scan_text(lua_State *L)
{
    lua_Integer depth = luaL_optinteger(L, 2, JSON_DEPTH);

    luaL_argcheck(L, depth >= 1 && depth <= DEPTH_MOST, 2, "a depth is 1 to 1000");
    lua_settop(L, 1);
    return lua_isuserdata(L, 1) ? scan_bytes(L, (unsigned)depth) : scan_string(L, (unsigned)depth);
}

static void close_document(struct document *document)
{
    if (document->own)
        mem_free(document->index.nodes);
    mem_free(document->own);
    *document = (struct document){ .type = TYPE };
}

int json_document_collected(lua_State *L)
{
    close_document(lua_touserdata(L, -1));
    return 0;
}

static struct document *check_userdata(lua_State *L, int argument)
{
    struct document *document = lua_touserdata(L, argument);

    /* A light userdata has no length. */
    luaL_argcheck(L, document && lua_objlen(L, argument) >= sizeof *document && document->type == TYPE, argument,
                  "a document was expected");
    return document;
}

static struct document *check_document(lua_State *L, int argument)
{
    struct document *document = check_userdata(L, argument);

    luaL_argcheck(L, document->text, argument, "the document is closed");
    return document;
}

static size_t check_node(lua_State *L, const struct document *document, int argument)
{
    lua_Number node = luaL_checknumber(L, argument);

    luaL_argcheck(L, node >= 0 && node < (lua_Number)document->index.count && node == floor(node), argument,
                  "the document has no such node");
    return (size_t)node;
}

/* The node by which what is inside of a node is found. */
static size_t opened(struct document *document, size_t node)
{
    return json_open(document->text, &document->index, node);
}

static const char *const kinds[] = { "null", "boolean", "boolean", "number", "string", "array", "object" };

void json_add_kinds(lua_State *L)
{
    for (int i = 0; i < (int)(sizeof kinds / sizeof kinds[0]); i++) {
        lua_pushstring(L, kinds[i]);
        lua_rawseti(L, -2, i + 1);
    }
}

/* doc:kind(node): "object", "array", "string", "number", "boolean" or "null". */
static int document_kind(lua_State *L)
{
    const struct document *document = check_document(L, 1);

    lua_rawgeti(L, lua_upvalueindex(JSON_UP_DOCUMENT), document->index.nodes[check_node(L, document, 2)].type + 1);
    return 1;
}

/* doc:find(node, name, ...): the nodes of those members' values; nil where there is none (or if node is no object). */
static int document_find(lua_State *L)
{
    struct document *document = check_document(L, 1);
    size_t node = opened(document, check_node(L, document, 2));
    int names = lua_gettop(L);

    luaL_checkstring(L, 3);
    luaL_checkstack(L, names, "too many names");
    for (int i = 3; i <= names; i++) {
        size_t length, found;
        const char *name = luaL_checklstring(L, i, &length);

        found = json_member(document->text, &document->index, node, name, length);
        if (found)
            lua_pushinteger(L, (lua_Integer)found);
        else
            lua_pushnil(L);
    }
    return names - 2;
}

/* doc:size(node): items of an array, members of an object, else 0. */
static int document_size(lua_State *L)
{
    const struct document *document = check_document(L, 1);
    const struct json_node *node = &document->index.nodes[check_node(L, document, 2)];

    lua_pushnumber(L, node->type == JSON_STRING ? 0 : node->size);
    return 1;
}

/* doc:item(node, place): the item of an array at that place, from 1; from -1, counted from the end; nil: there is none
 */
static int document_item(lua_State *L)
{
    const struct document *document = check_document(L, 1);
    const struct json_node *nodes = document->index.nodes;
    size_t node = check_node(L, document, 2), item = node + 1;
    lua_Integer place = luaL_checkinteger(L, 3);

    if (place < 0)
        place += (lua_Integer)nodes[node].size + 1;
    if (nodes[node].type != JSON_ARRAY || place < 1 || place > (lua_Integer)nodes[node].size)
        return 0;
    while (--place > 0)
        item = nodes[item].next;
    lua_pushinteger(L, (lua_Integer)item);
    return 1;
}

/* doc:last(node, name, text): the last item of an array whose member of that name is that string; nil: there is none */
static int document_last(lua_State *L)
{
    const struct document *document = check_document(L, 1);
    const struct json_node *nodes = document->index.nodes;
    size_t node = check_node(L, document, 2), name_length, length, found = 0;
    const char *name = luaL_checklstring(L, 3, &name_length), *text = luaL_checklstring(L, 4, &length);

    if (nodes[node].type != JSON_ARRAY)
        return 0;
    for (size_t item = node + 1; item < nodes[node].next; item = nodes[item].next) {
        size_t member = json_member(document->text, &document->index, item, name, name_length);

        if (member && json_equals(document->text, &document->index, member, text, length))
            found = item;
    }
    if (!found)
        return 0;
    lua_pushinteger(L, (lua_Integer)found);
    return 1;
}

/* The step of doc:items; behind the module's upvalues: the document, the next child, the end, the items so far. */
enum { UP_OWNER = JSON_UPS + 1, UP_CHILD, UP_END, UP_COUNT };

static int next_item(lua_State *L)
{
    const struct document *document = lua_touserdata(L, lua_upvalueindex(UP_OWNER));
    const struct json_node *nodes = document->index.nodes;
    size_t child = (size_t)lua_tonumber(L, lua_upvalueindex(UP_CHILD));

    luaL_argcheck(L, document->text, 1, "the document is closed");
    if (child >= (size_t)lua_tonumber(L, lua_upvalueindex(UP_END)))
        return 0;
    if (nodes[child].name) {
        json_push_string(L, json_kept(L), document->text, &nodes[child++]);
    } else {
        lua_pushnumber(L, lua_tonumber(L, lua_upvalueindex(UP_COUNT)) + 1);
        lua_pushvalue(L, -1);
        lua_replace(L, lua_upvalueindex(UP_COUNT));
    }
    lua_pushnumber(L, nodes[child].next);
    lua_replace(L, lua_upvalueindex(UP_CHILD));
    lua_pushnumber(L, (lua_Number)child);
    return 2;
}

/* doc:items(node): for i, item in an array, for name, value in an object; nothing in any other value. */
static int document_items(lua_State *L)
{
    struct document *document = check_document(L, 1);
    size_t node = opened(document, check_node(L, document, 2));

    for (int i = 1; i <= JSON_UPS; i++)
        lua_pushvalue(L, lua_upvalueindex(i));
    lua_pushvalue(L, 1);
    lua_pushnumber(L, (lua_Number)(node + 1));
    lua_pushnumber(L, document->index.nodes[node].next);
    lua_pushnumber(L, 0);
    lua_pushcclosure(L, next_item, UP_COUNT);
    return 1;
}

/* doc:value(node): the value, built. */
static int document_value(lua_State *L)
{
    const struct document *document = check_document(L, 1);
    size_t node = check_node(L, document, 2);

    json_push_value(L, json_kept(L), document->text, &document->index, node);
    return 1;
}

/* doc:text(node, most): its bytes, as they are in the text; of these the first, if there are more than most. */
static int document_text(lua_State *L)
{
    const struct document *document = check_document(L, 1);
    const struct json_node *node = &document->index.nodes[check_node(L, document, 2)];
    size_t length = node->end - node->start;
    lua_Number most = luaL_optnumber(L, 3, (lua_Number)length);

    lua_pushlstring(L, document->text + node->start, most >= 0 && most < (lua_Number)length ? (size_t)most : length);
    return 1;
}

/* doc:string_bytes(node): the bytes, unescaped, of all string values at and below node; names do not count. */
static int document_string_bytes(lua_State *L)
{
    const struct document *document = check_document(L, 1);
    size_t node = check_node(L, document, 2);

    lua_pushnumber(L, (lua_Number)json_string_bytes(document->index.nodes, node, document->index.nodes[node].next));
    return 1;
}

/* doc:digest(owner, name, text, most_items, most_bytes, lists...): 8 bytes, see json_opening.h; of the first there is
 * of these members of the root, and nil where that is no array. */
static int document_digest(lua_State *L)
{
    struct document *document = check_document(L, 1);
    struct json_opening start = { .items = (size_t)luaL_checkinteger(L, 5), .bytes = (size_t)luaL_checkinteger(L, 6) };
    size_t length, root = opened(document, 0), list = 0;
    uint64_t digest;

    start.owner = luaL_checklstring(L, 2, &start.owner_length);
    start.name = luaL_checklstring(L, 3, &start.name_length);
    start.value = luaL_checklstring(L, 4, &start.value_length);
    for (int i = 7; i <= lua_gettop(L) && !list; i++) {
        const char *name = luaL_checklstring(L, i, &length);

        list = json_member(document->text, &document->index, root, name, length);
    }
    if (!list || document->index.nodes[list].type != JSON_ARRAY)
        return 0;
    digest = json_opening(&json_kept(L)->out, document->text, &document->index, list, &start);
    lua_pushlstring(L, (const char *)&digest, sizeof digest);
    return 1;
}

/* doc:begins(text, ...): whether a string anywhere in it begins with one of the texts: at most 4, each with a letter
 * first, and nothing that is escaped in them. */
static int document_begins(lua_State *L)
{
    const struct document *document = check_document(L, 1);
    struct json_start starts[JSON_STARTS_MOST];
    int count = lua_gettop(L) - 1;

    luaL_argcheck(L, count <= JSON_STARTS_MOST, 6, "at most 4 texts");
    for (int i = 0; i < count; i++) {
        starts[i].text = luaL_checklstring(L, i + 2, &starts[i].length);
        luaL_argcheck(L, isalpha((unsigned char)starts[i].text[0]), i + 2, "a text that begins with a letter");
    }
    lua_pushboolean(L, json_begins(document->text, &document->index, starts, (size_t)count));
    return 1;
}

/* doc:fits(node, outline): true, the bytes that it tallies, its counts, what it takes (see push_taken); or false. */
static int document_fits(lua_State *L)
{
    struct document *document = check_document(L, 1);
    size_t node = check_node(L, document, 2);

    return json_fits(L, 3, document->text, &document->index, node);
}

/* What doc:patch is to do with one member. */
struct change {
    struct json_name name;
    size_t value; /* the node of the value it replaces; 0: it is new */
    const char *text;
    size_t length;
    bool removed;
};

/*
 * Reads the table at index 2 into a list sorted by name: `few`, or one that is left on the stack, so that nothing leaks
 * if a change is not what it should be.
 */
static struct change *read_changes(lua_State *L, struct json_kept *kept, const struct document *document,
                                   struct change few[static FEW_CHANGES], size_t *count)
{
    struct change *changes;
    struct json_fault fault;

    json_add_keys(L, kept, 2);
    *count = kept->names_count;
    changes = *count <= FEW_CHANGES ? few : lua_newuserdata(L, *count * sizeof *changes);
    for (size_t i = 0; i < *count; i++) {
        struct change *change = &changes[i];

        *change = (struct change){ .name = kept->names[i] };
        change->value = json_member(document->text, &document->index, 0, change->name.text, change->name.length);
        lua_pushlstring(L, change->name.text, change->name.length);
        lua_rawget(L, 2);
        if (lua_type(L, -1) == LUA_TSTRING) {
            change->text = lua_tolstring(L, -1, &change->length);
            if (!json_scan(change->text, change->length, DEPTH_MOST, &kept->index, &fault))
                luaL_error(L, "the change of \"%s\" is no JSON text: %s", change->name.text, fault.message);
        } else if (lua_isboolean(L, -1) && !lua_toboolean(L, -1)) {
            change->removed = true;
        } else {
            luaL_error(L, "the change of \"%s\" must be a JSON text or false", change->name.text);
        }
        lua_pop(L, 1);
    }
    return changes;
}

/* Separator and bytes of one member. lead is where the member before it ended. */
static void patch_member(struct buf *out, const struct document *document, size_t name, size_t lead, bool first,
                         const struct change *change)
{
    const struct json_node *nodes = document->index.nodes;
    const char *text = document->text, *start = text + lead, *comma;

    /* The first one that stays must not keep the comma of its place. */
    if (first && (comma = memchr(start, ',', nodes[name].start - lead)))
        start = comma + 1;
    if (!change) {
        buf_add(out, start, (size_t)(text + nodes[name + 1].end - start));
        return;
    }
    buf_add(out, start, (size_t)(text + nodes[name + 1].start - start));
    buf_add(out, change->text, change->length);
}

/* Appends the document at index 1, changed as the table at index 2 tells. */
static void add_patched(lua_State *L, struct json_kept *kept, struct buf *out)
{
    const struct document *document = check_document(L, 1);
    const struct json_node *nodes = document->index.nodes;
    struct change few[FEW_CHANGES], *changes;
    size_t count, lead;
    bool first = true;

    luaL_checktype(L, 2, LUA_TTABLE);
    luaL_argcheck(L, nodes[0].type == JSON_OBJECT, 1, "only an object can be patched");
    changes = read_changes(L, kept, document, few, &count);

    buf_reserve(out, document->length + PATCH_ROOM);
    lead = nodes[0].start + 1;
    buf_add(out, document->text, lead);
    for (size_t name = 1; name < nodes[0].next; name = nodes[name + 1].next) {
        const struct change *change = NULL;

        for (size_t i = 0; i < count && !change; i++)
            if (changes[i].value == name + 1)
                change = &changes[i];
        if (!change || !change->removed) {
            patch_member(out, document, name, lead, first, change);
            first = false;
        }
        lead = nodes[name + 1].end;
    }
    for (size_t i = 0; i < count; i++) {
        if (changes[i].value || changes[i].removed)
            continue;
        if (!first)
            buf_add_char(out, ',');
        buf_add_json(out, changes[i].name.text, changes[i].name.length);
        buf_add_char(out, ':');
        buf_add(out, changes[i].text, changes[i].length);
        first = false;
    }
    buf_add(out, document->text + lead, document->length - lead);
}

/*
 * doc:patch(changes): the text with members of its root object replaced by raw JSON texts, or removed (false). Members
 * keep their place, new ones come last, sorted by name; every other byte stays.
 */
static int document_patch(lua_State *L)
{
    struct json_kept *kept = json_kept(L);

    add_patched(L, kept, &kept->out);
    lua_pushlstring(L, kept->out.data, kept->out.length);
    return 1;
}

static const char BYTES[] = "moongate.bytes";

char *json_take_body(lua_State *L, int index, size_t *length)
{
    struct buf *bytes = lua_isuserdata(L, index) ? luaL_checkudata(L, index, BYTES) : NULL;
    const char *text;
    char *taken;

    *length = 0;
    if (!bytes) {
        text = luaL_optlstring(L, index, NULL, length);
        return text ? mem_copy(text, *length) : NULL;
    }
    taken = bytes->data;
    *length = bytes->length;
    *bytes = (struct buf){ 0 };
    return taken;
}

static int collect_bytes(lua_State *L)
{
    buf_free(lua_touserdata(L, 1));
    return 0;
}

static int bytes_text(lua_State *L)
{
    const struct buf *out = luaL_checkudata(L, 1, BYTES);

    lua_pushlstring(L, out->data, out->length);
    return 1;
}

static struct buf *push_new_bytes(lua_State *L)
{
    struct buf *pushed = lua_newuserdata(L, sizeof *pushed);

    *pushed = (struct buf){ 0 };
    if (luaL_newmetatable(L, BYTES)) {
        lua_pushboolean(L, 0);
        lua_setfield(L, -2, "__metatable");
        lua_pushcfunction(L, collect_bytes);
        lua_setfield(L, -2, "__gc");
        lua_pushcfunction(L, bytes_text);
        lua_setfield(L, -2, "__tostring");
    }
    lua_setmetatable(L, -2);
    return pushed;
}

/* One that is used up is used again: bytes are taken as soon as they are there, and each would cost the collector. */
static struct buf *push_bytes(lua_State *L)
{
    static const char key;
    struct buf *pushed;

    lua_pushlightuserdata(L, (void *)&key);
    lua_rawget(L, LUA_REGISTRYINDEX);
    pushed = lua_touserdata(L, -1);
    if (pushed && !pushed->data)
        return pushed;
    lua_pop(L, 1);
    pushed = push_new_bytes(L);
    lua_pushlightuserdata(L, (void *)&key);
    lua_pushvalue(L, -2);
    lua_rawset(L, LUA_REGISTRYINDEX);
    return pushed;
}

void json_push_bytes(lua_State *L, struct buf *bytes)
{
    /* None at all could not be told from what is used up. */
    struct buf *pushed = bytes->data ? push_bytes(L) : push_new_bytes(L);

    *pushed = *bytes;
    *bytes = (struct buf){ 0 };
}

/* doc:outgoing(changes): what doc:patch answers, as a body for attempt.send: no string of Lua's, but tostring makes one
 * while it has not been sent. */
static int document_outgoing(lua_State *L)
{
    struct json_kept *kept = json_kept(L);

    lua_settop(L, 2);
    push_bytes(L);
    add_patched(L, kept, lua_touserdata(L, 3));
    lua_settop(L, 3);
    return 1;
}

/* doc:close(): nobody looks into it any more. Its memory, where that is its own, goes now, not when it is collected. */
static int document_close(lua_State *L)
{
    close_document(check_userdata(L, 1));
    spent_mark(L, 1);
    return 0;
}

const luaL_Reg json_document_functions[] = {
    { "scan", json_scan_text },
    { NULL, NULL },
};

const luaL_Reg json_document_methods[] = {
    { "kind", document_kind },         { "find", document_find },
    { "size", document_size },         { "item", document_item },
    { "last", document_last },         { "begins", document_begins },
    { "digest", document_digest },     { "fits", document_fits },
    { "items", document_items },       { "value", document_value },
    { "text", document_text },         { "string_bytes", document_string_bytes },
    { "close", document_close },       { "patch", document_patch },
    { "outgoing", document_outgoing }, { NULL, NULL },
};
