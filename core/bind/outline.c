/*
 * outline.c - what a JSON value should look like, told once and held against
 * many: one call in the place of a walk from Lua. It says yes or no; what is
 * wrong, and where, is for whoever asked to find out. Part of
 * moongate.core.json, opened by json.c.
 */
#include "bind/json.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"

enum { NOTED_MOST = 256, DEPTH_MOST = 32, COUNTS_MOST = 4, LEVELS_MOST = 128 };

struct text {
    char *data;
    size_t length;
};

/* What one value may be. */
struct outline {
    unsigned kinds; /* a bit for each enum json_type; 0: one of the alternatives */
    double least, most;
    bool whole, tallied, noting, noted, is_new;
    bool again;          /* the whole outline once more, of which this is a part; nothing else counts then */
    size_t deepest;      /* levels of arrays and objects; 0: any */
    int counter;         /* that it adds one to; 0: none */
    int counters;        /* the highest in it */
    int place;           /* of its value among those that are taken; 0: it is not */
    int takes;           /* the highest place in it */
    struct text *values; /* of a string; none: any */
    char *letters;       /* of a string, besides letters and digits; NULL: any */
    size_t value_count;
    struct outline **alternatives;
    size_t alternative_count;
    struct outline *items; /* NULL: anything */
    struct member {
        struct text name;
        struct outline *value;
        bool needed;
    } * members;
    size_t member_count, needed_count;
    uint16_t *places; /* of the members, from 1, by what their names begin and end with; 0: none */
    size_t place_mask;
    struct outline *others; /* of all other members; NULL: anything */
};

/* ---- told: an outline is freed by whoever holds its root, also after an error half-way ---- */

static void free_outline(struct outline *outline)
{
    if (!outline)
        return;
    for (size_t i = 0; i < outline->value_count; i++)
        mem_free(outline->values[i].data);
    for (size_t i = 0; i < outline->alternative_count; i++)
        free_outline(outline->alternatives[i]);
    for (size_t i = 0; i < outline->member_count; i++) {
        mem_free(outline->members[i].name.data);
        free_outline(outline->members[i].value);
    }
    free_outline(outline->items);
    free_outline(outline->others);
    mem_free(outline->letters);
    mem_free(outline->values);
    mem_free(outline->alternatives);
    mem_free(outline->members);
    mem_free(outline->places);
    mem_free(outline);
}

static unsigned kinds_of(lua_State *L, const char *kind)
{
    static const struct {
        const char *name;
        unsigned kinds;
    } known[] = {
        { "any", ~0u },
        { "null", 1u << JSON_NULL },
        { "boolean", 1u << JSON_FALSE | 1u << JSON_TRUE },
        { "number", 1u << JSON_NUMBER },
        { "string", 1u << JSON_STRING },
        { "array", 1u << JSON_ARRAY },
        { "object", 1u << JSON_OBJECT },
    };

    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (strcmp(kind, known[i].name) == 0)
            return known[i].kinds;
    return (unsigned)luaL_error(L, "an outline is of no kind \"%s\"", kind);
}

static bool is_set(lua_State *L, int index, const char *field)
{
    bool set;

    lua_getfield(L, index, field);
    set = lua_toboolean(L, -1);
    lua_pop(L, 1);
    return set;
}

static double bound(lua_State *L, int index, const char *field, double otherwise)
{
    double number;

    lua_getfield(L, index, field);
    number = luaL_optnumber(L, -1, otherwise);
    lua_pop(L, 1);
    return number;
}

/* The same for one that counts something, from 1 to most; 0: there is none. */
static int ordinal(lua_State *L, int index, const char *field, int most)
{
    double number = bound(L, index, field, 0);

    if (number < 0 || number > most)
        luaL_error(L, "an outline has a %s from 1 to %d", field, most);
    return (int)number;
}

/* Pushes the table under that name and answers how many items it has; 0, and nothing is pushed: there is none. */
static size_t push_list(lua_State *L, int index, const char *field)
{
    size_t count;

    lua_getfield(L, index, field);
    count = lua_istable(L, -1) ? lua_objlen(L, -1) : 0;
    if (count == 0)
        lua_pop(L, 1);
    return count;
}

static struct text text_at(lua_State *L, int index)
{
    size_t length;
    const char *data = luaL_checklstring(L, index, &length);

    return (struct text){ mem_copy(data, length), length };
}

static void read_outline(lua_State *L, struct outline **place, int depth);

/* Reads the description on top of the stack into *place, a part of outline. */
static void read_part(lua_State *L, struct outline *outline, struct outline **place, int depth)
{
    read_outline(L, place, depth);
    if ((*place)->takes > outline->takes)
        outline->takes = (*place)->takes;
    if ((*place)->counters > outline->counters)
        outline->counters = (*place)->counters;
}

static void read_members(lua_State *L, int index, const char *field, struct outline *outline, int depth)
{
    bool needed = strcmp(field, "needs") == 0;

    lua_getfield(L, index, field);
    if (lua_istable(L, -1)) {
        lua_pushnil(L);
        while (lua_next(L, -2)) {
            struct member *member;

            outline->members = mem_resize(outline->members, (outline->member_count + 1) * sizeof *outline->members);
            member = &outline->members[outline->member_count];
            *member = (struct member){ .name = text_at(L, -2), .needed = needed };
            outline->member_count++;
            outline->needed_count += needed;
            read_part(L, outline, &member->value, depth);
            lua_pop(L, 1);
        }
    }
    lua_pop(L, 1);
}

/* Where the search for a name begins. */
static inline size_t place_of(const struct outline *outline, const char *name, size_t length)
{
    unsigned first = length ? (unsigned char)name[0] : 0, last = length ? (unsigned char)name[length - 1] : 0;

    return (first * 5 + last * 11 + length * 3) & outline->place_mask;
}

/* Members are told in no order, and one after the other is a long way. */
static void arrange_members(lua_State *L, struct outline *outline)
{
    size_t size = 8;

    if (outline->member_count == 0)
        return;
    if (outline->member_count > UINT16_MAX)
        luaL_error(L, "an outline has at most %d members", UINT16_MAX);
    while (size < outline->member_count * 4)
        size *= 2;
    outline->places = mem_zero(size * sizeof *outline->places);
    outline->place_mask = size - 1;
    for (size_t i = 0; i < outline->member_count; i++) {
        const struct text *name = &outline->members[i].name;
        size_t at = place_of(outline, name->data, name->length);

        while (outline->places[at])
            at = (at + 1) & outline->place_mask;
        outline->places[at] = (uint16_t)(i + 1);
    }
}

/* Reads the description on top of the stack, a kind or a table, into *place. */
static void read_outline(lua_State *L, struct outline **place, int depth)
{
    struct outline *outline = *place = mem_zero(sizeof *outline);
    int index = lua_gettop(L);
    size_t count;

    luaL_checkstack(L, 8, "nested too deeply");
    if (depth > DEPTH_MOST)
        luaL_error(L, "an outline is nested at most %d deep", (int)DEPTH_MOST);
    outline->least = -INFINITY;
    outline->most = INFINITY;
    if (lua_type(L, index) == LUA_TSTRING) {
        outline->kinds = kinds_of(L, lua_tostring(L, index));
        return;
    }
    luaL_checktype(L, index, LUA_TTABLE);
    outline->again = is_set(L, index, "again");
    if (outline->again)
        return;
    count = push_list(L, index, "either");
    if (count) {
        outline->alternatives = mem_zero(count * sizeof *outline->alternatives);
        for (size_t i = 0; i < count; i++) {
            lua_rawgeti(L, -1, (int)i + 1);
            read_part(L, outline, &outline->alternatives[outline->alternative_count++], depth + 1);
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
        return;
    }
    lua_getfield(L, index, "kind");
    outline->kinds = kinds_of(L, luaL_checkstring(L, -1));
    lua_pop(L, 1);
    if (is_set(L, index, "null"))
        outline->kinds |= 1u << JSON_NULL;
    outline->least = bound(L, index, "least", -INFINITY);
    outline->most = bound(L, index, "most", INFINITY);
    outline->whole = is_set(L, index, "whole");
    outline->tallied = is_set(L, index, "tally");
    outline->noting = is_set(L, index, "note");
    outline->noted = is_set(L, index, "noted");
    outline->is_new = is_set(L, index, "new");
    outline->deepest = (size_t)ordinal(L, index, "deepest", LEVELS_MOST);
    outline->counters = outline->counter = ordinal(L, index, "count", COUNTS_MOST);
    outline->takes = outline->place = ordinal(L, index, "take", JSON_TAKEN_MOST);
    lua_getfield(L, index, "letters");
    if (!lua_isnil(L, -1))
        outline->letters = mem_text(luaL_checkstring(L, -1));
    lua_pop(L, 1);
    count = push_list(L, index, "values");
    if (count) {
        outline->values = mem_zero(count * sizeof *outline->values);
        for (size_t i = 0; i < count; i++) {
            lua_rawgeti(L, -1, (int)i + 1);
            outline->values[outline->value_count++] = text_at(L, -1);
            lua_pop(L, 1);
        }
        lua_pop(L, 1);
    }
    lua_getfield(L, index, "items");
    if (!lua_isnil(L, -1))
        read_part(L, outline, &outline->items, depth + 1);
    lua_pop(L, 1);
    lua_getfield(L, index, "others");
    if (!lua_isnil(L, -1))
        read_part(L, outline, &outline->others, depth + 1);
    lua_pop(L, 1);
    read_members(L, index, "needs", outline, depth + 1);
    read_members(L, index, "may", outline, depth + 1);
    arrange_members(L, outline);
}

static int collect_outline(lua_State *L)
{
    struct outline **outline = lua_touserdata(L, 1);

    free_outline(*outline);
    *outline = NULL;
    return 0;
}

void json_push_outline_type(lua_State *L)
{
    lua_newtable(L);
    lua_pushliteral(L, "outline");
    lua_setfield(L, -2, "__metatable");
    lua_pushcfunction(L, collect_outline);
    lua_setfield(L, -2, "__gc");
}

/*
 * outline(description): for doc:fits. A description is a kind ("string", "number", "boolean", "null", "array",
 * "object", "any") or a table: { kind =, null = true: or null, least =, most = (of a number its value, else the bytes,
 * items or members), whole =, values = {texts}, items = description, needs = {name = description}, may = {name =
 * description}, others = description of all other members }; or { either = {descriptions} }; or { again = true }: the
 * whole description once more, for what may lie in its own kind. tally: count the bytes of its strings; note: remember
 * the text; noted: a text that was noted before it; new: one that was not; letters =: ASCII letters, digits and these
 * alone; deepest =: so many levels of arrays and objects at most; count =: add one to that count.
 */
static int json_outline(lua_State *L)
{
    struct outline **outline;

    lua_settop(L, 1);
    outline = lua_newuserdata(L, sizeof *outline);
    *outline = NULL;
    lua_pushvalue(L, lua_upvalueindex(JSON_UP_OUTLINE));
    lua_setmetatable(L, -2);
    lua_pushvalue(L, 1);
    read_outline(L, outline, 0);
    lua_pop(L, 1);
    return 1;
}

/* ---- held against a document ---- */

struct fitting {
    const char *text;
    struct json_index *index; /* its nodes may move */
    const struct outline *whole;
    size_t rounds;            /* of the whole outline in itself */
    size_t noted[NOTED_MOST]; /* nodes */
    struct found {
        size_t tally, noted_count, counts[COUNTS_MOST];
        uint32_t taken[JSON_TAKEN_MOST]; /* nodes; 0: none */
    } found;
};

static bool equals(const struct fitting *fitting, size_t at, const char *data, size_t length)
{
    const struct json_node *node = &fitting->index->nodes[at];

    if (node->size != length)
        return false;
    return node->escaped ? json_equals(fitting->text, fitting->index, at, data, length)
                         : memcmp(fitting->text + node->start + 1, data, length) == 0;
}

/* Whether a string is of ASCII letters, digits and others alone. */
static bool is_spelt(const char *text, const struct json_node *node, const char *others)
{
    for (const char *c = text + node->start + 1, *end = text + node->end - 1; c < end; c++) {
        bool is_letter = (*c | 0x20) >= 'a' && (*c | 0x20) <= 'z';

        if (!is_letter && !(*c >= '0' && *c <= '9') && (!*c || !strchr(others, *c)))
            return false;
    }
    return true;
}

static bool string_fits(struct fitting *fitting, const struct outline *outline, size_t at)
{
    const struct json_node *nodes = fitting->index->nodes, *node = &nodes[at];
    bool fits = outline->value_count == 0;

    for (size_t i = 0; i < outline->value_count && !fits; i++)
        fits = equals(fitting, at, outline->values[i].data, outline->values[i].length);
    if (!fits || (outline->letters && (node->escaped || !is_spelt(fitting->text, node, outline->letters))))
        return false;
    if (!outline->noting && !outline->noted)
        return true;
    /* Rare, and of no use to be quick about. */
    if (node->escaped || fitting->found.noted_count == NOTED_MOST)
        return false;
    if (outline->noted || outline->is_new) {
        bool is_noted = false;

        for (size_t i = fitting->found.noted_count; i > 0 && !is_noted; i--)
            is_noted = equals(fitting, fitting->noted[i - 1], fitting->text + node->start + 1, node->size);
        if (is_noted == outline->is_new)
            return false;
    }
    if (outline->noting)
        fitting->noted[fitting->found.noted_count++] = at;
    return true;
}

static bool value_fits(struct fitting *fitting, const struct outline *outline, size_t at);

/* The member of the name at that node; NULL: none. */
static const struct member *member_at(const struct fitting *fitting, const struct outline *outline, size_t at)
{
    const struct json_node *node = &fitting->index->nodes[at];
    const char *name = fitting->text + node->start + 1;
    const struct member *members = outline->members;

    if (outline->member_count == 0)
        return NULL;
    if (node->escaped) {
        for (size_t i = 0; i < outline->member_count; i++)
            if (equals(fitting, at, members[i].name.data, members[i].name.length))
                return &members[i];
        return NULL;
    }
    for (size_t i = place_of(outline, name, node->size); outline->places[i]; i = (i + 1) & outline->place_mask) {
        const struct member *member = &members[outline->places[i] - 1];

        if (member->name.length == node->size && memcmp(member->name.data, name, node->size) == 0)
            return member;
    }
    return NULL;
}

static bool members_fit(struct fitting *fitting, const struct outline *outline, size_t at)
{
    size_t needed = outline->needed_count, next;

    if (outline->member_count == 0 && !outline->others)
        return true;
    at = json_open(fitting->text, fitting->index, at);
    for (size_t name = at + 1; name < fitting->index->nodes[at].next; name = next) {
        const struct member *member = member_at(fitting, outline, name);
        const struct outline *value = member ? member->value : outline->others;

        next = fitting->index->nodes[name + 1].next;
        needed -= member && member->needed;
        if (value && !value_fits(fitting, value, name + 1))
            return false;
    }
    return needed == 0;
}

static bool items_fit(struct fitting *fitting, const struct outline *outline, size_t at)
{
    size_t end = fitting->index->nodes[at].next, next;

    for (size_t item = at + 1; item < end; item = next) {
        next = fitting->index->nodes[item].next;
        if (!value_fits(fitting, outline, item))
            return false;
    }
    return true;
}

static bool one_fits(struct fitting *fitting, const struct outline *outline, size_t at)
{
    struct found before = fitting->found;

    for (size_t i = 0; i < outline->alternative_count; i++) {
        if (value_fits(fitting, outline->alternatives[i], at))
            return true;
        fitting->found = before;
    }
    return false;
}

/* Deeper than any schema may be: what is deeper does not fit. */
static bool whole_fits(struct fitting *fitting, size_t at)
{
    bool fits = fitting->rounds < LEVELS_MOST;

    fitting->rounds++;
    fits = fits && value_fits(fitting, fitting->whole, at);
    fitting->rounds--;
    return fits;
}

/* As deep as the outline is, and as often as it may lie in itself, however deep the document. */
static bool value_fits(struct fitting *fitting, const struct outline *outline, size_t at)
{
    const struct json_node *nodes = fitting->index->nodes, *node = &nodes[at];
    double number;

    if (outline->again)
        return whole_fits(fitting, at);
    if (outline->kinds == 0)
        return one_fits(fitting, outline, at);
    if (!(outline->kinds >> node->type & 1))
        return false;
    switch ((enum json_type)node->type) {
    case JSON_NULL:
        return true;
    case JSON_FALSE:
    case JSON_TRUE:
    case JSON_FOLDED:
        break;
    case JSON_NUMBER:
        number = json_number(fitting->text, node);
        if (number < outline->least || number > outline->most || (outline->whole && number != floor(number)))
            return false;
        break;
    case JSON_STRING:
    case JSON_ARRAY:
    case JSON_OBJECT:
        if (node->size < outline->least || node->size > outline->most)
            return false;
        break;
    }
    if (outline->place)
        fitting->found.taken[outline->place - 1] = (uint32_t)at;
    if (outline->counter)
        fitting->found.counts[outline->counter - 1]++;
    if (outline->tallied)
        fitting->found.tally += json_string_bytes(nodes, at, node->next);
    if (outline->deepest && node->levels > outline->deepest)
        return false;
    if (node->type == JSON_STRING)
        return string_fits(fitting, outline, at);
    if (node->type == JSON_OBJECT)
        return members_fit(fitting, outline, at);
    return node->type != JSON_ARRAY || !outline->items || items_fit(fitting, outline->items, at);
}

/* The outline at index. */
static const struct outline *check_outline(lua_State *L, int index)
{
    bool is_outline = lua_isuserdata(L, index) && lua_getmetatable(L, index);

    if (is_outline) {
        is_outline = lua_rawequal(L, -1, lua_upvalueindex(JSON_UP_OUTLINE));
        lua_pop(L, 1);
    }
    luaL_argcheck(L, is_outline, index, "an outline was expected");
    return *(struct outline **)lua_touserdata(L, index);
}

static bool hold_against(struct fitting *fitting, const struct outline *outline, const char *text,
                         struct json_index *nodes, size_t at)
{
    fitting->text = text;
    fitting->index = nodes;
    fitting->whole = outline;
    fitting->rounds = 0;
    fitting->found = (struct found){ 0 };
    return value_fits(fitting, outline, at);
}

/* Pushes what was taken, in the order of the places; nil: nothing. nodes: of arrays and objects their nodes. */
static void push_taken(lua_State *L, struct json_kept *kept, const struct fitting *fitting, int takes, bool nodes)
{
    for (int i = 0; i < takes; i++) {
        size_t at = fitting->found.taken[i];

        if (!at)
            lua_pushnil(L);
        else if (nodes && fitting->index->nodes[at].type >= JSON_ARRAY)
            lua_pushnumber(L, (lua_Number)at);
        else
            json_push_value(L, kept, fitting->text, fitting->index, at);
    }
}

int json_fits(lua_State *L, int index, const char *text, struct json_index *nodes, size_t at)
{
    const struct outline *outline = check_outline(L, index);
    struct fitting fitting;
    bool is_fit = hold_against(&fitting, outline, text, nodes, at);

    lua_pushboolean(L, is_fit);
    if (!is_fit)
        return 1;
    luaL_checkstack(L, outline->counters + outline->takes + 1, "too many values");
    lua_pushnumber(L, (lua_Number)fitting.found.tally);
    for (int i = 0; i < outline->counters; i++)
        lua_pushnumber(L, (lua_Number)fitting.found.counts[i]);
    push_taken(L, json_kept(L), &fitting, outline->takes, true);
    return outline->counters + outline->takes + 2;
}

/*
 * fits(text, outline): true, the bytes that the outline tallies and the values that it takes in the order of their
 * places (nil: there is none); or false, also where the text is no JSON.
 */
static int json_lua_fits(lua_State *L)
{
    size_t length;
    const char *text = luaL_checklstring(L, 1, &length);
    const struct outline *outline = check_outline(L, 2);
    struct json_kept *kept = json_kept(L);
    struct json_fault fault;
    struct fitting fitting;
    bool is_fit = json_scan(text, length, JSON_DEPTH, &kept->index, &fault) &&
                  hold_against(&fitting, outline, text, &kept->index, 0);

    lua_pushboolean(L, is_fit);
    if (!is_fit)
        return 1;
    luaL_checkstack(L, outline->takes + 1, "too many values");
    lua_pushnumber(L, (lua_Number)fitting.found.tally);
    push_taken(L, kept, &fitting, outline->takes, false);
    return outline->takes + 2;
}

const luaL_Reg json_outline_functions[] = {
    { "outline", json_outline },
    { "fits", json_lua_fits },
    { NULL, NULL },
};
