/*
 * json_seen.c - what a view has read of a target, as a recorded decision has it.
 * Every candidate of every request is written down, so it is done in one call.
 */
#include "bind/json.h"

#include <math.h>
#include <string.h>

#include "bind/seen.h"

static void add_number(lua_State *L, struct json_kept *kept, double number)
{
    if (number == floor(number) && fabs(number) < 1e15 && !(number == 0 && signbit(number))) {
        buf_add_integer(&kept->text, (int64_t)number);
        return;
    }
    lua_pushnumber(L, number);
    json_add_value(L, kept, &kept->text, lua_gettop(L));
    lua_pop(L, 1);
}

/* What comes behind what is in the text already from begun on. */
static void add_name(struct json_kept *kept, size_t begun, const char *name)
{
    if (kept->text.length > begun)
        buf_add_char(&kept->text, ',');
    buf_add_text(&kept->text, name);
}

static void add_member(lua_State *L, struct json_kept *kept, size_t begun, const char *name, double number)
{
    add_name(kept, begun, name);
    add_number(L, kept, number);
}

/* The one behind that name, in the order of their names; NULL: that was the last. */
static const struct seen_told *next_told(const struct seen *seen, const char *name)
{
    const struct seen_told *next = NULL;

    for (const struct seen_told *told = seen->told; told < seen->told + seen->told_count; told++)
        if (strcmp(told->name.text, name) > 0 && (!next || strcmp(told->name.text, next->name.text) < 0))
            next = told;
    return next;
}

/* Sorted by name, as all objects are. Names of limits have no letter that JSON escapes. */
static void add_told(lua_State *L, struct json_kept *kept, const struct seen *seen)
{
    char before = '{';

    for (const struct seen_told *told = next_told(seen, ""); told; told = next_told(seen, told->name.text)) {
        buf_add_char(&kept->text, before);
        buf_add_char(&kept->text, '"');
        buf_add_text(&kept->text, told->name.text);
        buf_add_text(&kept->text, "\":");
        add_number(L, kept, told->remains);
        before = ',';
    }
    buf_add_char(&kept->text, '}');
}

static bool is_unused(const struct seen *seen)
{
    for (size_t i = 0; i < seen->gauge->count; i++)
        if (seen->counts[i] != 0)
            return false;
    return true;
}

static void add_counts(lua_State *L, struct json_kept *kept, const struct seen *seen)
{
    buf_add_char(&kept->text, '[');
    for (size_t i = 0; i < seen->gauge->count; i++) {
        if (i > 0)
            buf_add_char(&kept->text, ',');
        add_number(L, kept, (double)seen->counts[i]);
    }
    buf_add_char(&kept->text, ']');
}

static void add_health(lua_State *L, struct json_kept *kept, size_t begun, const struct seen *seen, bool whole)
{
    if (seen->latency_ms >= 0)
        add_member(L, kept, begun, "\"ms\":", seen->latency_ms);
    if (!whole || seen->error_rate != 0)
        add_member(L, kept, begun, "\"errors\":", seen->error_rate);
    if (seen->is_open)
        add_name(kept, begun, "\"open\":true");
    if (seen->open_s != 0)
        add_member(L, kept, begun, "\"open_s\":", seen->open_s);
}

/*
 * add_seen(seen, whole): adds a member, named by the target's index, to the text. whole: all has been read of every
 * target, and only what is unusual is written.
 */
int json_add_seen(lua_State *L)
{
    struct json_kept *kept = lua_touserdata(L, lua_upvalueindex(JSON_UP_KEPT));
    struct buf *out = &kept->text;
    const struct seen *seen = seen_at(L, 1);
    bool whole = lua_toboolean(L, 2);
    size_t before = out->length, begun;

    kept->names_count = 0;
    if (before > 0 && out->data[before - 1] != '{')
        buf_add_char(out, ',');
    buf_add_char(out, '"');
    buf_add_integer(out, seen->gauge->index);
    buf_add_text(out, "\":{");
    begun = out->length;
    if (seen->parts & SEEN_WAIT && !(whole && seen->wait_s == 0))
        add_member(L, kept, begun, "\"wait\":", seen->wait_s);
    if (seen->parts & SEEN_HEALTH)
        add_health(L, kept, begun, seen, whole);
    if (seen->parts & SEEN_TOLD && seen->told_count > 0) {
        add_name(kept, begun, "\"told\":");
        add_told(L, kept, seen);
    }
    if (seen->has_balance)
        add_member(L, kept, begun, "\"balance\":", seen->balance);
    else if (seen->parts & SEEN_BALANCE && !whole)
        add_name(kept, begun, "\"balance\":false");
    if (seen->parts & SEEN_COUNTS && !(whole && is_unused(seen))) {
        add_name(kept, begun, "\"used\":");
        add_counts(L, kept, seen);
    }
    if (whole && out->length == begun)
        out->length = before;
    else
        buf_add_char(out, '}');
    return 0;
}
